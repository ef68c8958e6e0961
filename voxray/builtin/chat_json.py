"""What clients write in JSON, conversations and tools above all: the shapes of OpenAI's chat API, strictly checked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from voxray.chat import Assistant, Message, System, ToolCall, ToolResult, ToolSchema, User

MAX_MESSAGES = 1000
MAX_TOOLS = 128
TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def parse_json(text: str) -> Any:
    """The value in `text`, which can be written as JSON and as UTF-8 again.

    Raises:
        ValueError: no JSON, nested too deeply, a NaN, or half of a surrogate pair, which is no text.
    """
    try:
        found = json.loads(text, parse_constant=_no_constant)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return found


def parse_messages(value: Any) -> tuple[Message, ...]:
    """Messages from `[{"role": …, "content": …}]`.

    Roles: system, developer, user, assistant (with `tool_calls`), tool (with `tool_call_id`). Content is text or a list
    of text parts.

    Raises:
        ValueError: not such a list; the text is safe to send back.
    """
    if not isinstance(value, list):
        raise ValueError('"messages" must be a list')
    if len(value) > MAX_MESSAGES:
        raise ValueError(f'"messages" may hold at most {MAX_MESSAGES}')
    return tuple(_message(entry, f"messages[{index}]") for index, entry in enumerate(value))


def parse_tools(value: Any) -> tuple[ToolSchema, ...]:
    """Tools from `[{"type": "function", "function": {…}}]` or a list of the inner objects.

    Raises:
        ValueError: not such a list; the text is safe to send back.
    """
    if not isinstance(value, list):
        raise ValueError('"tools" must be a list')
    if len(value) > MAX_TOOLS:
        raise ValueError(f'"tools" may hold at most {MAX_TOOLS}')
    return tuple(_tool(entry, f"tools[{index}]") for index, entry in enumerate(value))


def text_of(value: Any, place: str) -> str:
    """`value` as text. Raises ValueError if it is anything else."""
    if not isinstance(value, str):
        raise ValueError(f'"{place}" must be a string')
    return value


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _message(entry: Any, place: str) -> Message:
    if not isinstance(entry, dict):
        raise ValueError(f'"{place}" must be an object')
    match entry.get("role"):
        case "system" | "developer":
            return System(_content(entry.get("content"), place))
        case "user":
            return User(_content(entry.get("content"), place))
        case "assistant":
            calls = entry.get("tool_calls") or []
            if not isinstance(calls, list):
                raise ValueError(f'"{place}.tool_calls" must be a list')
            text = _content(entry.get("content") or "", place)
            return Assistant(text, tuple(_call(call, f"{place}.tool_calls") for call in calls))
        case "tool":
            call_id = text_of(entry.get("tool_call_id"), f"{place}.tool_call_id")
            name = text_of(entry.get("name", ""), f"{place}.name")
            return ToolResult(call_id, name, _content(entry.get("content"), place))
        case _:
            raise ValueError(f'"{place}.role" must be system, developer, user, assistant or tool')


def _content(value: Any, place: str) -> str:
    if isinstance(value, list):
        if not all(isinstance(part, dict) and part.get("type") == "text" for part in value):
            raise ValueError(f'"{place}.content" may hold text parts only')
        return "".join(text_of(part.get("text"), f"{place}.content") for part in value)
    return text_of(value, f"{place}.content")


def _call(call: Any, place: str) -> ToolCall:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict):
        raise ValueError(f'"{place}" must hold objects with "id" and "function"')
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            raise ValueError(f'"{place}.function.arguments" is not JSON') from None
    if not isinstance(arguments, dict):
        raise ValueError(f'"{place}.function.arguments" must be an object')
    return ToolCall(text_of(call.get("id"), f"{place}.id"), _tool_name(function, place), arguments)


def _tool(entry: Any, place: str) -> ToolSchema:
    function = entry.get("function", entry) if isinstance(entry, dict) else None
    if not isinstance(function, dict):
        raise ValueError(f'"{place}" must be an object')
    description = text_of(function.get("description", ""), f"{place}.description")
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    if not isinstance(parameters, dict) or parameters.get("type", "object") != "object":
        raise ValueError(f'"{place}.parameters" must be a JSON Schema of type object')
    return ToolSchema(_tool_name(function, place), description, parameters)


def _tool_name(function: Mapping[str, Any], place: str) -> str:
    name = function.get("name")
    if not isinstance(name, str) or not TOOL_NAME.fullmatch(name):
        raise ValueError(f'"{place}.name" must be 1 to 64 letters, digits, "_" or "-"')
    return name
