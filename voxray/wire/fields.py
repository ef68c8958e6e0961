"""Fields of carriers' and vendors' JSON messages, which come in other types than documented, or not at all."""

from __future__ import annotations

import json
from binascii import a2b_base64
from typing import Any


def parsed(message: str | bytes) -> dict[str, Any]:
    """The object that a text message holds. Raises ValueError."""
    if isinstance(message, bytes):
        raise ValueError("a binary message")
    try:
        data = json.loads(message)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    return data


def part(data: dict[str, Any], name: str) -> dict[str, Any]:
    """The object of this name; an empty one if there is none."""
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def text_of(value: Any) -> str:
    """Ids, keys and names come as strings or as numbers. Half characters, which JSON can write, become "?"."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode(errors="replace").decode()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**30 else ""


def sound_of(media: dict[str, Any]) -> bytes:
    """The caller's sound in a message's `media`, decoded from base64; nothing for other tracks. Raises ValueError."""
    payload = media.get("payload")
    if media.get("track", "inbound") != "inbound":
        return b""
    if not isinstance(payload, str):
        raise ValueError("media without payload")
    try:
        return a2b_base64(payload, strict_mode=True)
    except ValueError:
        raise ValueError("the payload is not base64") from None
