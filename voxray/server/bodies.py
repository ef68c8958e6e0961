"""Bodies of requests, read and parsed."""

from __future__ import annotations

import json
from typing import Any

from voxray.server.envelope import ErrorCode, Receive, Refusal


async def read_body(receive: Receive) -> bytes:
    """All of it; the gate bounds size and time."""
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def json_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in `raw`; nothing is an empty one. Raises Refusal."""
    try:
        parsed = json.loads(raw or b"{}")
    except (ValueError, RecursionError) as error:
        raise Refusal(ErrorCode.BAD_REQUEST, "Invalid JSON") from error
    if not isinstance(parsed, dict):
        raise Refusal(ErrorCode.BAD_REQUEST, "Invalid JSON: an object is expected")
    return parsed
