"""Messages of the client that want an answer: every one gets one, if not from a plugin then from us."""

from __future__ import annotations

from collections.abc import Callable

from voxray.events import RequestFailed
from voxray.session.alarms import Alarms
from voxray.session.log import Clock

ANSWER_SECS = 7.0  # RTVI clients wait for ten and look every two
MAX_OPEN = 256


class Questions:
    """The open questions of one call, by id."""

    def __init__(self, clock: Clock, alarms: Alarms, send: Callable[[RequestFailed], None]) -> None:
        self._clock = clock
        self._alarms = alarms
        self._send = send
        self._open: set[str] = set()

    def asked(self, question: str, *, heard: bool) -> None:
        """A question came. If no plugin hears the call's events it fails at once, otherwise when their time is up."""
        if not question:
            return
        if not heard:
            self._send(RequestFailed(question, "this agent takes no messages"))
        elif len(self._open) >= MAX_OPEN:
            self._send(RequestFailed(question, "too many messages wait for an answer"))
        else:
            self._open.add(question)
            self._alarms.set(_alarm(question), self._clock.now() + ANSWER_SECS, lambda: self._unanswered(question))

    def answered(self, question: str) -> None:
        if question in self._open:
            self._open.remove(question)
            self._alarms.clear(_alarm(question))

    def _unanswered(self, question: str) -> None:
        self._open.remove(question)
        self._send(RequestFailed(question, "no answer to this message"))


def _alarm(question: str) -> str:
    return f"question {question}"
