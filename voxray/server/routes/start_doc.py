"""What the API's document says of `POST /start`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voxray.server.routes.endpoint import Doc, optional

IDEMPOTENCY_KEY = "Idempotency-Key"


def start_doc(*, transports: Sequence[str], formats: Sequence[str], max_key: int) -> Doc:
    """Of a server with these ways to place a call; `max_key` characters may an Idempotency-Key have."""
    daily: dict[str, Any] = {"createDailyRoom": {"type": "boolean", "description": 'the same as transport "daily"'}}
    return Doc(
        summary="Prepare a call",
        description="Keeps what the call is to know, and answers with what the client needs to place it. With "
        'transport "websocket" the answer is exactly {"wsUrl", "token"}: the token opens one websocket, within five '
        "minutes, instead of the key. Otherwise the fields stand in `data` and at the top.",
        tags=("calls",),
        headers={
            IDEMPOTENCY_KEY: {
                "maxLength": max_key,
                "description": "The same key gets the same answer for 24 hours, and no second session",
            }
        },
        request={
            "type": "object",
            "properties": optional(
                {
                    "transport": {
                        "type": "string",
                        "enum": list(transports),
                        "description": "how the caller comes: webrtc if nothing is said",
                    },
                    "body": {"type": "object", "description": "reaches the call: system_prompt, messages, greeting, …"},
                    "context": {
                        "type": ["object", "string"],
                        "description": "the same, or the system prompt itself; also in body",
                    },
                    "enableDefaultIceServers": {"type": "boolean", "description": "answer with iceConfig"},
                    **(daily if "daily" in transports else {}),
                    "format": {
                        "type": "string",
                        "enum": list(formats),
                        "description": "of the websocket's messages; the first of these if nothing is said",
                    },
                }
            ),
            "example": {"transport": transports[-1], "body": {"greeting": "Hello!"}},
        },
        responses={
            201: ("The call may come", _PREPARED),
            400: ("The body is no JSON object, or the Idempotency-Key is too long", None),
            422: ("A field is wrong, or this server has no such transport", None),
            500: ("The session could not be kept, or the room not be made", None),
            503: ("A room is wanted, and no call can be taken now", None),
        },
        merged=True,
    )


_PREPARED = {
    "type": "object",
    "properties": {
        "sessionId": {"type": "string", "format": "uuid", "description": "of a WebRTC peer or a room"},
        "iceConfig": {
            "type": "object",
            "required": ["iceServers"],
            "properties": {
                "iceServers": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["urls"],
                        "properties": {
                            "urls": {"type": "array", "items": {"type": "string"}},
                            "username": {"type": "string"},
                            "credential": {"type": "string"},
                        },
                    },
                }
            },
        },
        "wsUrl": {"type": "string", "description": "of a websocket or a carrier's stream"},
        "token": {"type": "string", "description": "opens the websocket or the room"},
        "url": {"type": "string", "description": "of a LiveKit server"},
        "dailyRoom": {"type": "string"},
        "dailyToken": {"type": "string"},
    },
    "example": {"sessionId": "7d0a4a2e-27a5-4b8e-9a57-0f3c1e4b9d66"},
}
