"""Telnyx's JSON, read with doubt: numbers come as strings and strings as numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MAX_DIGITS = 18


def parsed(message: str | bytes) -> dict[str, Any]:
    """The object in a message. Raises ValueError."""
    if isinstance(message, bytes):
        raise ValueError("a binary message, but Telnyx speaks in text")
    return parsed_json(message)


def parsed_json(text: str | bytes) -> dict[str, Any]:
    """The object in JSON text. Raises ValueError."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("not JSON") from error
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def part(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object of this name, {} if there is none."""
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def text(data: Mapping[str, Any], name: str) -> str:
    """The string or number of this name as text, "" if it is neither."""
    value = data.get(name)
    if isinstance(value, str):
        return value.encode(errors="replace").decode()  # half a surrogate pair would break whatever writes it
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**MAX_DIGITS:
        return str(value)
    return ""


def number(data: Mapping[str, Any], name: str) -> int | None:
    """The whole number of this name, None if it is none."""
    written = text(data, name)
    return int(written) if written.isascii() and written.isdigit() and len(written) <= MAX_DIGITS else None
