"""The part of proto3's wire format that frames need: varints and length-delimited fields; all else is skipped."""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_VARINT = 2**64 - 1
VARINT_BYTES = 10
WIDTHS = {FIXED64: 8, FIXED32: 4}

Value = int | bytes


def fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """Number and value of each varint and length-delimited field, in order.

    Raises:
        ValueError: not a message, or cut off.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if not 0 < number < 2**29:
            raise ValueError("not a protobuf message: bad field number")
        if kind == VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == BYTES:
            size, at = _varint(message, at)
        elif kind in WIDTHS:
            size = WIDTHS[kind]
        else:
            raise ValueError("not a protobuf message: bad wire type")
        if size > len(message) - at:
            raise ValueError("not a protobuf message: it is cut off")
        if kind == BYTES:
            yield number, message[at : at + size]
        at += size


def field(number: int, value: str | bytes | int) -> bytes:
    """One field; nothing for a zero or empty value, which is what its absence means."""
    if not value:
        return b""
    if isinstance(value, int):
        return _number(number << 3 | VARINT) + _number(value)
    raw = value.encode() if isinstance(value, str) else value
    return _number(number << 3 | BYTES) + _number(len(raw)) + raw


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number that begins at `at`, and where it ends."""
    value = 0
    for shift, byte in enumerate(message[at : at + VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            if value > MAX_VARINT:
                break
            return value, at + shift + 1
    raise ValueError("not a protobuf message: bad number")


def _number(value: int) -> bytes:
    raw = bytearray()
    while value > 0x7F:
        raw.append(value & 0x7F | 0x80)
        value >>= 7
    raw.append(value)
    return bytes(raw)
