"""How Daily announces phone calls.

Source: https://docs.daily.co/guides/products/dial-in-dial-out/dialin-pinless
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from typing import Any

from voxray.protocols.carrier import Webhook
from voxray.protocols.rooms import DialIn, WebhookFieldsError
from voxray.wire.fields import text_of

REQUIRED = ("From", "To", "callId", "callDomain")
FRESH_SECS = 300.0  # how old a signed request may be
MILLISECONDS = 1e11  # timestamps beyond this do not count seconds
MAX_HEADERS = 50
MAX_CHARS = 500


def signing_key(secret: str) -> bytes:
    """What Daily's `hmac` setting stands for. Raises ValueError if it is no base64."""
    try:
        return base64.b64decode(secret, validate=True)
    except binascii.Error:
        raise ValueError("it is not base64") from None


def signature(key: bytes, timestamp: str, body: bytes) -> str:
    """What `X-Pinless-Signature` must be."""
    return base64.b64encode(hmac.digest(key, timestamp.encode() + b"." + body, "sha256")).decode()


def refusal(key: bytes, webhook: Webhook) -> str:
    """Why the webhook is not proved to be Daily's; "" if it is."""
    given = webhook.headers.get("x-pinless-signature", "")
    timestamp = webhook.headers.get("x-pinless-timestamp", "")
    if not given:
        # Daily tries an address before it has told anybody the secret; that leads to nothing.
        return "" if _tries(webhook.body) else "the signature is missing"
    if not hmac.compare_digest(signature(key, timestamp, webhook.body).encode(), given.encode()):
        return "the signature is wrong"
    try:
        at = float(timestamp)
    except ValueError:
        return ""  # signed all the same
    if at > MILLISECONDS:
        at /= 1000
    return "" if abs(webhook.at - at) <= FRESH_SECS else "the signature is too old"


def dial_in(webhook: Webhook) -> DialIn | None:
    """See `voxray.protocols.rooms.Rooms.dial_in`."""
    data = _object(webhook.body)
    if _is_test(data):
        return None
    values = {name: text_of(data.get(name))[:MAX_CHARS] for name in REQUIRED}
    missing = tuple(name for name in REQUIRED if not values[name])
    if missing:
        raise WebhookFieldsError(missing)
    return DialIn(
        call_id=values["callId"],
        call_domain=values["callDomain"],
        caller=values["From"],
        callee=values["To"],
        headers=_sip_headers(data.get("sipHeaders")),
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the body is no JSON") from None
    if not isinstance(data, dict):
        raise ValueError("the body is no JSON object")
    return data


def _is_test(data: dict[str, Any]) -> bool:
    return bool(data.get("test") or data.get("Test"))


def _tries(body: bytes) -> bool:
    try:
        return _is_test(_object(body))
    except ValueError:
        return False


def _sip_headers(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    named = ((str(name)[:MAX_CHARS], text_of(it)[:MAX_CHARS]) for name, it in list(value.items())[:MAX_HEADERS])
    return {name: text for name, text in named if text}
