"""What the API document says of carriers' webhooks and of placing calls."""

from __future__ import annotations

from collections.abc import Sequence

from voxray.protocols.carrier import Carrier
from voxray.server.routes.endpoint import Doc

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
TAGS = ("telephony",)


def webhook_doc(carriers: Sequence[Carrier], *, page: bool = False) -> Doc:
    """What the API document says of a webhook of one of these carriers. `page`: people who come there get one."""
    busy = [carrier.busy() for carrier in carriers]
    names = " or ".join(carrier.name for carrier in carriers)
    shaped = {"type": "object", "description": "what the carrier says of the call, as a form or as JSON"}
    turned_away = any(answer.status == 503 for answer in busy)
    return Doc(
        summary=f"Webhook of {names}",
        description="Answered with the carrier's own document: what to do with the call. Its proof is checked where "
        "the secret for it is configured. Any other GET is answered with "
        + ("the console." if page else "the names of the carriers."),
        tags=TAGS,
        request=shaped,
        consumes=(JSON, FORM),
        query={"dial": "the one-time token of a call that POST /calls placed"},
        produces=tuple(dict.fromkeys([*(answer.media_type for answer in busy), "text/plain", JSON]))
        + (("text/html",) if page else ()),
        responses={
            200: ("What the carrier should do", None),
            204: ("News of a call, noted", None),
            400: ("No webhook of this carrier", None),
            403: ("The proof does not hold", None),
            503: (
                ("All lines are taken, or the" if turned_away else "The") + " session store is away",
                {"type": "object"} if turned_away else None,
            ),
        },
    )


def dial_doc(carriers: Sequence[str]) -> Doc:
    """What the API document says of placing calls through these carriers."""
    return Doc(
        summary="Place a phone call",
        tags=TAGS,
        request={
            "type": "object",
            "required": ["to", *(["carrier"] if len(carriers) > 1 else [])],
            "properties": {
                "to": {"type": "string", "pattern": r"\S", "description": "number to call, E.164"},
                "from": {"type": "string", "description": "our number; telephony.caller_id by default"},
                "carrier": {
                    "type": "string",
                    "enum": list(carriers),
                    "description": "may be left out if it is the only one",
                },
                "body": {"type": "object", "description": "reaches the session: system_prompt, messages, greeting, …"},
            },
            "example": {"to": "+15005550006", "carrier": carriers[0], "body": {"greeting": "Hello!"}},
        },
        responses={
            201: (
                "The carrier took the call",
                {
                    "type": "object",
                    "required": ["callId", "carrier"],
                    "properties": {
                        "callId": {"type": "string", "description": "as the carrier names it"},
                        "carrier": {"type": "string"},
                    },
                },
            ),
            422: ("Something is missing, or the carrier cannot place calls", None),
            503: ("The carrier did not take it, or the session store is away", None),
        },
    )
