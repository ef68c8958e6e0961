"""From the chunks of a chat completion to text, whole tool calls and usage. Pure: no I/O.

Allows for what servers really send: see each comment. Chunks are the parsed JSON of the stream's events.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from voxray.chat import TextDelta, ToolCall, Usage
from voxray.errors import ProviderProtocolError, ProviderRefused

MAX_ARGUMENT_CHARS = 1_000_000


@dataclass(slots=True)
class _OpenCall:
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    whole: Mapping[str, Any] | None = None
    size: int = 0


class ChatDeltas:
    """Reads one completion. `calls_before` makes the ids we invent unique in a conversation."""

    def __init__(self, provider: str, *, model: str = "", calls_before: int = 0) -> None:
        self._provider = provider
        self._model = model
        self._calls_before = calls_before
        self._calls: dict[int, _OpenCall] = {}
        self._newest: _OpenCall | None = None
        self._yielded_calls = 0
        self._thoughts = ThoughtFilter()
        self._usage: Mapping[str, Any] | None = None
        self._spoke = False
        self.started = False  # something of substance has come: text, reasoning or a call
        self.finish = ""

    def take(self, chunk: Mapping[str, Any]) -> Iterator[TextDelta | ToolCall]:
        """Raises ProviderProtocolError for tool arguments that are no JSON object."""
        groq = chunk.get("x_groq")
        for usage in (chunk.get("usage"), groq.get("usage") if isinstance(groq, Mapping) else None):
            if isinstance(usage, Mapping):  # in the last chunk, or in each: the newest counts
                self._usage = usage
        choices = chunk.get("choices")  # absent, null or empty in chunks of usage and of content filters
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
            return
        choice = choices[0]
        delta = choice.get("delta") or choice.get("message")
        if isinstance(delta, Mapping):
            yield from self._text(delta)
            calls = delta.get("tool_calls")
            for call in calls if isinstance(calls, list) else ():
                if isinstance(call, Mapping):
                    self._take_call(call)
        if choice.get("finish_reason"):
            self.finish = str(choice["finish_reason"])
            yield from self._complete()

    def end(self) -> Iterator[TextDelta | ToolCall | Usage]:
        """The stream is over: what is left."""
        yield from self._complete()
        if self.finish == "content_filter" and not self._spoke:
            raise ProviderRefused(self._provider, "the vendor's content filter withheld the answer")
        if self._usage is not None:
            yield _usage(self._usage, self._model)

    def _text(self, delta: Mapping[str, Any]) -> Iterator[TextDelta]:
        if delta.get("reasoning_content") or delta.get("reasoning"):
            self.started = True  # thinking: a sign of life, never spoken
        for content in (delta.get("content"), delta.get("refusal")):
            raw = _plain(content)
            if not raw:
                continue
            self.started = True
            text = self._thoughts.feed(raw)
            if text:
                self._spoke = True
                yield TextDelta(text)

    def _take_call(self, piece: Mapping[str, Any]) -> None:
        self.started = True
        function = piece.get("function")
        function = function if isinstance(function, Mapping) else {}
        name, arguments = function.get("name"), function.get("arguments")
        call = self._find(piece.get("index"), piece.get("id"), name)
        call.id = call.id or str(piece.get("id") or "")
        call.name = call.name or str(name or "")
        if isinstance(arguments, Mapping):  # an object where a string of JSON is due
            call.whole = arguments
        elif isinstance(arguments, str):
            call.pieces.append(arguments)
            call.size += len(arguments)
            if call.size > MAX_ARGUMENT_CHARS:
                raise ProviderProtocolError(
                    self._provider, f"arguments of a tool call exceed {MAX_ARGUMENT_CHARS} characters"
                )

    def _find(self, index: Any, call_id: Any, name: Any) -> _OpenCall:
        """The open call a piece belongs to. Some servers leave out `index`, some give every call the same one."""
        known = None
        if isinstance(index, int):
            known = self._calls.get(index)
        elif call_id:
            known = next((call for call in self._calls.values() if call.id == call_id), None)
        elif not name:
            known = self._newest
        other = known is not None and call_id and name and known.id and known.id != call_id
        if known is None or other:
            known = _OpenCall()
            self._calls[index if isinstance(index, int) and not other else len(self._calls) + 1000] = known
        self._newest = known
        return known

    def _complete(self) -> Iterator[TextDelta | ToolCall]:
        rest = self._thoughts.end()
        if rest:
            self._spoke = True
            yield TextDelta(rest)
        # Decided by the calls that came, not by the finish reason: some servers say "stop" all the same.
        calls, self._calls, self._newest = list(self._calls.values()), {}, None
        for call in calls:
            if not call.name:
                raise ProviderProtocolError(self._provider, "asked for a tool without naming it")
            self._yielded_calls += 1
            self._spoke = True
            made_up = f"call_{self._calls_before}_{self._yielded_calls}"
            yield ToolCall(call.id or made_up, call.name, self._arguments(call))

    def _arguments(self, call: _OpenCall) -> Mapping[str, Any]:
        text = "".join(call.pieces).strip()
        if call.whole is not None or not text:
            return call.whole or {}
        try:
            parsed = json.loads(text)
        except ValueError as error:
            hint = "; raise max_tokens" if self.finish == "length" else ""
            raise ProviderProtocolError(
                self._provider, f'arguments for the tool "{call.name}" are not JSON{hint}'
            ) from error
        if parsed is None:
            return {}
        if not isinstance(parsed, dict):
            raise ProviderProtocolError(self._provider, f'arguments for the tool "{call.name}" are no JSON object')
        return parsed


class ThoughtFilter:
    """Takes `<think>…</think>` out of text that arrives in pieces cut anywhere."""

    def __init__(self) -> None:
        self._held = ""
        self._thinking = False
        self._begun = False  # visible text has come: blanks are no longer leading ones

    def feed(self, piece: str) -> str:
        """The part of the text so far that may be spoken and has not been returned yet."""
        text, self._held = self._held + piece, ""
        if "<" not in text and not self._thinking:
            return self._visible(text)
        shown = ""
        while True:
            tag = "</think>" if self._thinking else "<think>"
            before, found, text_after = text.partition(tag)
            if not found:
                break
            shown += "" if self._thinking else before
            self._thinking = not self._thinking
            text = text_after
        self._held = _tag_start(text, tag)
        rest = text.removesuffix(self._held) if self._held else text
        return self._visible(shown + ("" if self._thinking else rest))

    def end(self) -> str:
        """What was held back because it might have become a tag."""
        held, self._held = self._held, ""
        return "" if self._thinking else self._visible(held)

    def _visible(self, text: str) -> str:
        if not self._begun:
            text = text.lstrip()
            self._begun = bool(text)
        return text


def _tag_start(text: str, tag: str) -> str:
    """The longest end of `text` that could be the beginning of `tag`."""
    for size in range(min(len(tag) - 1, len(text)), 0, -1):
        if text.endswith(tag[:size]):
            return tag[:size]
    return ""


def _plain(content: Any) -> str:
    """Content as text; some servers send a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [
            part.get("text") for part in content if isinstance(part, Mapping) and part.get("type", "text") == "text"
        ]
        return "".join(part for part in parts if isinstance(part, str))
    return ""


def _usage(usage: Mapping[str, Any], model: str) -> Usage:
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, Mapping) else usage.get("prompt_cache_hit_tokens")
    return Usage(
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        cached_tokens=_count(cached),
        model=model,
    )


def _count(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) and value >= 0 else 0
