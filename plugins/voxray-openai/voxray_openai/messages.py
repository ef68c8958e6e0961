"""The conversation and the tools on OpenAI's chat wire."""

from __future__ import annotations

import json
from typing import Any

from voxray.chat import Assistant, Message, Prompt, System, ToolCall, ToolResult, User
from voxray.plugin import Quirks
from voxray.wire.history import paired


def request_body(prompt: Prompt, quirks: Quirks, *, model: str, **fields: Any) -> dict[str, Any]:
    """The JSON body of `POST /chat/completions`. Of `fields` those that are None or "" are left out.

    `max_tokens` and `temperature` are known by these names; the quirks rename or drop what the vendor wants otherwise.
    """
    body: dict[str, Any] = {"model": model, "messages": [_message(one, quirks) for one in paired(prompt.messages)]}
    body["stream"] = True
    if quirks.usage_in_stream:
        body["stream_options"] = {"include_usage": True}
    if prompt.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)},
            }
            for tool in prompt.tools
        ]
        if prompt.tool_choice in ("none", "required"):
            body["tool_choice"] = prompt.tool_choice
        elif prompt.tool_choice != "auto":
            body["tool_choice"] = {"type": "function", "function": {"name": prompt.tool_choice}}
    for name, value in fields.items():
        if value is not None and value != "":
            body[quirks.max_tokens_field if name == "max_tokens" else name] = value
    body.update(quirks.extra_body)
    return {name: value for name, value in body.items() if name not in quirks.drop}


def effort_for(model: str, quirks: Quirks) -> str:
    """The effort to ask for when the user says nothing: that of the longest known start of the model's name."""
    known = [start for start in quirks.efforts if model.startswith(start)]
    return quirks.efforts[max(known, key=len)] if known else ""


def _message(message: Message, quirks: Quirks) -> dict[str, Any]:
    match message:
        case System(text):
            return {"role": quirks.system_role, "content": text}
        case User(text):
            return {"role": "user", "content": text}
        case Assistant(text, calls) if calls:
            return {"role": "assistant", "content": text or None, "tool_calls": [_call(call) for call in calls]}
        case Assistant(text):
            return {"role": "assistant", "content": text}
        case ToolResult(id, _, text):
            return {"role": "tool", "tool_call_id": id, "content": text}


def _call(call: ToolCall) -> dict[str, Any]:
    arguments = json.dumps(dict(call.arguments), ensure_ascii=False)
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}
