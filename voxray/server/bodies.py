"""Bodies of requests, read and parsed."""

from __future__ import annotations

from typing import Any

from voxray.builtin.chat_json import parse_json
from voxray.server.envelope import ErrorCode, Receive, Refusal


async def read_body(receive: Receive) -> bytes:
    """All of it; the gate bounds size and time. Raises Refusal: the client left before its end."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":  # half a body must not be taken for a whole one
            raise Refusal(ErrorCode.BAD_REQUEST, "Request body did not arrive as a whole")
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def json_object(raw: bytes | str) -> dict[str, Any]:
    """The JSON object in `raw`; nothing is an empty one. Raises Refusal."""
    try:
        parsed = parse_json((raw if isinstance(raw, str) else raw.decode("utf-8-sig")) or "{}")
    except ValueError as error:
        raise Refusal(ErrorCode.BAD_REQUEST, "Invalid JSON") from error
    if not isinstance(parsed, dict):
        raise Refusal(ErrorCode.BAD_REQUEST, "Invalid JSON: an object is expected")
    return parsed
