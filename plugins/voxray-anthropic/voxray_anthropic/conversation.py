"""The conversation and the tools on Anthropic's wire."""

from __future__ import annotations

from typing import Any

from voxray.chat import Assistant, Prompt, System, ToolResult, User
from voxray.wire.history import paired

GO_ON = "(The caller is listening.)"  # the last message must be the user's


def request_body(prompt: Prompt, *, model: str, max_tokens: int, effort: str = "") -> dict[str, Any]:
    """Keyword arguments of `messages.create`.

    System messages are joined, neighbours of one role merged, results of one assistant turn put into one user message
    before any text, empty messages dropped.
    """
    system: list[str] = []
    messages: list[dict[str, Any]] = []
    for message in paired(prompt.messages):
        match message:
            case System(text):
                system.append(text)
            case User(text):
                _add(messages, "user", {"type": "text", "text": text})
            case Assistant(text, calls):
                blocks: list[dict[str, Any]] = [{"type": "text", "text": text}] if text.strip() else []
                blocks += [
                    {"type": "tool_use", "id": call.id, "name": call.name, "input": dict(call.arguments)}
                    for call in calls
                ]
                _add(messages, "assistant", *blocks)
            case ToolResult(id, _, text, failed):
                result: dict[str, Any] = {"type": "tool_result", "tool_use_id": id, "content": text}
                _add(messages, "user", result | ({"is_error": True} if failed else {}))
    if not messages or messages[-1]["role"] != "user":
        _add(messages, "user", {"type": "text", "text": GO_ON})
    if messages[0]["role"] != "user":  # a greeting came first
        messages.insert(0, {"role": "user", "content": [{"type": "text", "text": GO_ON}]})
    body: dict[str, Any] = {"model": model, "max_tokens": max_tokens, "messages": messages}
    if system:
        body["system"] = "\n\n".join(system)
    if effort:
        body["output_config"] = {"effort": effort}
    return body | _tools(prompt)


def _add(messages: list[dict[str, Any]], role: str, *blocks: dict[str, Any]) -> None:
    if messages and messages[-1]["role"] == role:
        messages[-1]["content"] += blocks
    else:
        messages.append({"role": role, "content": list(blocks)})


def _tools(prompt: Prompt) -> dict[str, Any]:
    tools = [
        {"name": tool.name, "description": tool.description, "input_schema": dict(tool.parameters)}
        for tool in prompt.tools
    ]
    if not tools:
        return {}
    choices = {"auto": {"type": "auto"}, "none": {"type": "none"}, "required": {"type": "any"}}
    return {
        "tools": tools,
        "tool_choice": choices.get(prompt.tool_choice, {"type": "tool", "name": prompt.tool_choice}),
    }
