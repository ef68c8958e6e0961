"""The conversation in the order that vendors insist on."""

from __future__ import annotations

from collections.abc import Sequence

from voxray.chat import Assistant, Message, System, ToolResult, User

NO_RESULT = "no result: the call was broken off"


def paired(messages: Sequence[Message]) -> list[Message]:
    """`messages` with the results of each assistant turn right behind it, in the order of its calls.

    A call without a result gets one that says so, a result without a call and a message without content are dropped:
    vendors refuse all three.
    """
    results = {message.id: message for message in messages if isinstance(message, ToolResult)}
    ordered: list[Message] = []
    for message in messages:
        match message:
            case Assistant(tool_calls=calls) if calls:
                ordered.append(message)
                ordered += [results.get(call.id) or ToolResult(call.id, call.name, NO_RESULT, True) for call in calls]
            case System(text) | User(text) | Assistant(text) if text.strip():
                ordered.append(message)
    return ordered
