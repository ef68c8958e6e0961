"""The messages given to the model: what the caller said, and of the agent's words those that were heard."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from voxray.chat import Assistant, Message, Prompt, System, ToolCall, ToolResult, ToolSchema, User

RUNNING = "still running; its result will follow"


class Conversation:
    """A list of messages with one open reply at most.

    While a reply is open its text stands as generated, so that a further round of the model can build on it. `commit`
    replaces it by what was heard. Every tool call has its result at all times: a placeholder until it returns.
    """

    def __init__(self, messages: Iterable[Message] = ()) -> None:
        self._messages: list[Message] = list(messages)
        self._rounds: dict[int, Assistant] = {}  # of the open reply, by round

    @property
    def messages(self) -> Sequence[Message]:
        return tuple(self._messages)

    def prompt(self, tools: Sequence[ToolSchema] = (), tool_choice: str = "auto") -> Prompt:
        return Prompt(self.messages, tuple(tools), tool_choice)

    def replace(self, messages: Iterable[Message]) -> None:
        """Start over with these messages; of an open reply only what is said without tools will join them."""
        self._messages = list(messages)
        self._rounds = {}

    def append(self, messages: Iterable[Message]) -> None:
        self._messages.extend(messages)

    def persona(self, text: str) -> None:
        """Set the system message, in place of all present ones."""
        self._messages = [message for message in self._messages if not isinstance(message, System)]
        self._messages.insert(0, System(text))

    def user(self, text: str) -> None:
        self._messages.append(User(text))

    def take_back(self, text: str) -> None:
        """Remove the newest user message if it says `text`: they had not finished."""
        for index in range(len(self._messages) - 1, -1, -1):
            message = self._messages[index]
            if isinstance(message, User):
                if message.text == text:
                    del self._messages[index]
                return

    def generated(self, round: int, text: str, tool_calls: tuple[ToolCall, ...] = ()) -> None:
        """The model finished a round of the open reply."""
        message = Assistant(text, tool_calls)
        self._rounds[round] = message
        self._messages.append(message)
        self._messages.extend(ToolResult(call.id, call.name, RUNNING) for call in tool_calls)

    def returned(self, result: ToolResult) -> None:
        """A tool returned, in time or late: its placeholder is replaced. Unknown ids are ignored.

        Some models use an id again; so only results that are still missing are looked at.
        """
        for index, message in enumerate(self._messages):
            if isinstance(message, ToolResult) and message.id == result.id and message.text is RUNNING:
                self._messages[index] = result
                return

    def commit(self, heard: Sequence[tuple[int, str]], *, interrupted: bool) -> None:
        """Close the open reply: of each round, (round, words heard) remain, of unfinished rounds too."""
        texts = dict(heard)
        for round, message in self._rounds.items():
            index = next(i for i, candidate in enumerate(self._messages) if candidate is message)
            text = texts.pop(round, "")
            if text or message.tool_calls:
                cut = interrupted and text != message.text
                self._messages[index] = dataclasses.replace(message, text=text, interrupted=cut)
            else:
                del self._messages[index]
        for text in texts.values():
            if text:
                self._messages.append(Assistant(text, interrupted=interrupted))
        self._rounds = {}
