"""What a simulated language model answers, in no vendor's format."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Messages = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call. `arguments` as a string goes out as it is, valid JSON or not; an empty `id` is made up."""

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)
    id: str = ""

    @property
    def json(self) -> str:
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of a model.

    `text` is sent in deltas of one word, or in `deltas` as they are. `reasoning` goes before it the way the vendor
    sends reasoning. `first_token_ms` and `token_ms` replace the simulator's own. `events`: these JSON objects are the
    whole stream, for what only some servers do. Usage counts words unless `usage` is (prompt, completion, cached).
    """

    text: str = ""
    calls: Sequence[Call] = ()
    reasoning: str = ""
    deltas: Sequence[str] = ()
    finish: str = ""
    usage: tuple[int, int, int] | None = None
    first_token_ms: float | None = None
    token_ms: float | None = None
    events: Sequence[Mapping[str, Any]] = ()

    def pieces(self) -> list[str]:
        return list(self.deltas) if self.deltas else re.findall(r"\S+\s*|\s+", self.text)


Answer = Reply | str
Replies = Callable[[Messages], Answer] | Sequence[Answer] | None


class ReplyBook:
    """Chooses replies: a function of the messages, a list used up in order (its last one for ever), or the echo."""

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._used = 0

    def choose(self, messages: Messages) -> Reply:
        if callable(self._replies):
            answer = self._replies(messages)
        elif self._replies:
            answer = self._replies[min(self._used, len(self._replies) - 1)]
            self._used += 1
        else:
            answer = last_user_text(messages) or "Hello."
        return Reply(answer) if isinstance(answer, str) else answer


def last_user_text(messages: Messages) -> str:
    """The text of the newest user message, of either vendor's form."""
    for message in reversed(messages):
        if message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            parts = [part.get("text", "") for part in content or () if isinstance(part, dict)]
            if any(parts):
                return " ".join(part for part in parts if part)
    return ""


def count_words(messages: Messages) -> int:
    return len(json.dumps(messages).split())
