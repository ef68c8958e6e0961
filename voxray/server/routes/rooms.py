"""Phone calls that a room service holds: its webhook makes a room, and the agent waits for the caller there."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from voxray.protocols.carrier import PhoneCall
from voxray.protocols.rooms import DialIn, Rooms, WebhookFieldsError
from voxray.server.arrivals import Arrivals
from voxray.server.envelope import ErrorCode, Receive, Refusal, Scope, Send, merged_success, respond
from voxray.server.guard import header, unauthorized
from voxray.server.idempotency import Idempotency
from voxray.server.routes.endpoint import Doc, Endpoint
from voxray.server.telephony.lines import Origin, facts
from voxray.server.telephony.routes import read_webhook

DIAL_IN = Doc(
    summary="A phone call for a room",
    description="The room service's webhook. X-Webhook-Secret must be the configured one; a signature of the service "
    "is checked where its secret is configured. The same call announced again gets the same room.",
    tags=("telephony",),
    headers={"X-Webhook-Secret": "daily_dialin_webhook_secret of the configuration"},
    request={
        "type": "object",
        "required": ["From", "To", "callId", "callDomain"],
        "properties": {
            "From": {"type": "string", "minLength": 1},
            "To": {"type": "string", "minLength": 1},
            "callId": {"type": "string", "minLength": 1},
            "callDomain": {"type": "string", "minLength": 1},
            "test": {"type": "boolean", "description": "the service only tries the address; nothing else is required"},
        },
        "example": {"test": True, "From": "+15005550001", "To": "+15005550006", "callId": "1", "callDomain": "a"},
    },
    responses={
        200: (
            "A test",
            {"type": "object", "required": ["status"], "properties": {"status": {"type": "string", "enum": ["OK"]}}},
        ),
        201: (
            "The room is there",
            {
                "type": "object",
                "required": ["sessionId"],
                "properties": {
                    "sessionId": {"type": "string", "format": "uuid"},
                    "dailyRoom": {"type": "string"},
                    "dailyToken": {"type": "string"},
                },
            },
        ),
        400: ("The body is no JSON object", None),
        401: ("The secret or the signature is wrong", None),
        422: ("Fields are missing", None),
        500: ("The room could not be made", None),
        503: ("No call can be taken now; see Retry-After", None),
    },
    merged=True,
)


def dial_in_endpoints(services: Sequence[Rooms], arrivals: Arrivals, *, secret: str) -> list[Endpoint]:
    """The webhooks of the services that bring phone calls."""
    return [
        Endpoint(
            name=f"{rooms.name}_dial_in",
            path=rooms.dial_in_path,
            handlers={"POST": _DialIn(rooms, arrivals, secret).post},
            docs={"POST": DIAL_IN},
        )
        for rooms in services
        if rooms.dial_in_path
    ]


class _DialIn:
    def __init__(self, rooms: Rooms, arrivals: Arrivals, secret: str) -> None:
        self._rooms = rooms
        self._arrivals = arrivals
        self._secret = secret
        self._answers = Idempotency()  # a service that waits too long asks again

    async def post(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = header(scope, b"x-webhook-secret").strip()
        if self._secret and not hmac.compare_digest(given.encode(), self._secret.encode()):
            raise unauthorized("Unauthorized")
        webhook = await read_webhook(scope, receive, Origin("https", header(scope, b"host")))
        if self._rooms.refusal(webhook):
            raise unauthorized("Signature not accepted")
        try:
            dial_in = self._rooms.dial_in(webhook)
        except WebhookFieldsError as error:
            details = [(name, "required") for name in error.missing]
            raise Refusal(ErrorCode.VALIDATION_ERROR, "Validation failed", details=details) from error
        except ValueError as error:
            raise Refusal(ErrorCode.BAD_REQUEST, "Invalid JSON") from error
        if dial_in is None:
            await respond(scope, send, 200, merged_success(scope, {"status": "OK"}))
            return

        async def make() -> bytes:
            body = {"phone": facts(call_of(self._rooms.name, dial_in))}
            return merged_success(scope, await self._arrivals.in_room(scope, self._rooms, body, dial_in))

        await respond(scope, send, 201, await self._answers.answer("", dial_in.call_id, make))


def call_of(service: str, dial_in: DialIn) -> PhoneCall:
    """The same call as carriers' calls are known."""
    return PhoneCall(
        carrier=service,
        call_id=dial_in.call_id,
        caller=dial_in.caller,
        callee=dial_in.callee,
        details=dial_in.headers,
    )
