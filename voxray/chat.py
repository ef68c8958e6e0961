"""The conversation as the model sees it. Wire formats are the wire's business."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class System:
    text: str


@dataclass(frozen=True, slots=True)
class User:
    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A request by the model, complete: `arguments` is parsed JSON.

    `mark` is opaque vendor data that must travel back with the call (Gemini's thought signatures), else empty.
    """

    id: str
    name: str
    arguments: Mapping[str, Any]
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Assistant:
    """What the agent said (only what was heard) and which tools it asked for."""

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The answer to the call with the same `id`, as text (JSON if the tool returned a structure)."""

    id: str
    name: str
    text: str
    failed: bool = False


Message = System | User | Assistant | ToolResult


@dataclass(frozen=True, slots=True)
class ToolSchema:
    """A tool as the model sees it. `parameters` is a JSON Schema of type object."""

    name: str
    description: str
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request to a language model. `tool_choice` is "auto", "none", "required" or a tool's name."""

    messages: Sequence[Message]
    tools: Sequence[ToolSchema] = ()
    tool_choice: str = "auto"


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the reply's text, to be spoken."""

    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request cost, as far as the vendor says. Tokens for models, characters for voices, seconds for ears."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    characters: int = 0
    audio_secs: float = 0.0
    model: str = ""
