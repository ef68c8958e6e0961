"""Exotel's JSON, read with doubt: numbers come as strings and strings as numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MAX_DIGITS = 18


def parsed(message: str | bytes) -> dict[str, Any]:
    """The object in a message. Raises ValueError."""
    if isinstance(message, bytes):
        raise ValueError("a binary message, but Exotel speaks in text")
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


def part(data: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The first of these that is an object; {} if none is."""
    return next((value for name in names if isinstance(value := data.get(name), dict)), {})


def text(data: Mapping[str, Any], *names: str) -> str:
    """The first of these that is a string or number, as text; "" if none is."""
    return next((found for name in names if (found := _text(data.get(name)))), "")


def _text(value: object) -> str:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()  # half a surrogate pair would break whatever writes it
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**MAX_DIGITS:
        return str(value)
    return ""


def number(data: Mapping[str, Any], *names: str) -> int | None:
    """The first of these as a whole number, None if it is none."""
    written = text(data, *names)
    return int(written) if written.isascii() and written.isdigit() and len(written) <= MAX_DIGITS else None
