"""One or more of every event there is, made from the types of its fields: what serializers and taps must cope with."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin, get_type_hints

from voxray.chat import Assistant, System, ToolCall, ToolResult, ToolSchema, Usage, User
from voxray.events import Inbound, Outbound, Proof, SessionEvent

INBOUND: tuple[type, ...] = get_args(Inbound)
OUTBOUND: tuple[type, ...] = get_args(Outbound)
SESSION: tuple[type, ...] = get_args(SessionEvent)

MESSAGES = (
    System("Be brief."),
    User("hi"),
    Assistant("", (ToolCall("1", "look", {"at": 1}),)),
    ToolResult("1", "look", "{}"),
)
PLAIN: dict[Any, Any] = {str: "hello", int: 1, float: 0.25, bool: True}
ODD: dict[Any, Any] = {str: 'ü "\\\u2028 你好 🙂\x00', int: 0, float: 0.0, bool: False}


def samples(kind: type) -> Iterator[Any]:
    """A plain one and an odd one of an event type."""
    hints = get_type_hints(kind, vars(sys.modules[kind.__module__]))
    for values in (PLAIN, ODD):
        yield kind(**{field.name: _value(hints[field.name], values) for field in dataclasses.fields(kind)})


def _value(hint: Any, values: dict[Any, Any]) -> Any:
    if hint in values:
        return values[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return {"a": [1, None, values[str]]}
    if hint is Proof:
        return Proof.MARK
    if hint is Usage:
        return Usage(prompt_tokens=3)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return {"name": values[str]}
    if origin is not None and isinstance(origin, type) and issubclass(origin, Sequence):
        return (ToolSchema("look", "Looks."),) if ToolSchema in arguments else MESSAGES
    if type(None) in arguments:
        return _value(arguments[0], values) if values is PLAIN else None
    raise TypeError(f"no sample for {hint}")
