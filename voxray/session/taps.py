"""Pipeline plugins compiled to tuples of methods: a stage nobody overrides is an empty tuple."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from voxray.boundary import boundary
from voxray.events import Entry
from voxray.protocols.call import SessionHandle
from voxray.protocols.pipeline import PipelinePlugin, Tap
from voxray.protocols.stt import Transcript

T = TypeVar("T")


class Taps:
    """The taps of one call, in the order of the configuration; none before `open`."""

    def __init__(self) -> None:
        self._taps: list[Tap] = []
        self._compile()

    def open(self, plugins: Sequence[PipelinePlugin], session: SessionHandle) -> None:
        for plugin in plugins:
            self._taps.append(plugin.open(session))
        self._compile()

    def _compile(self) -> None:
        self.audio_in = self._chain("audio_in", bytes)
        self.transcript = self._chain("transcript", Transcript)
        self.user_turn = self._chain("user_turn", str)
        self.reply_text = self._chain("reply_text", str)
        self.audio_out = self._chain("audio_out", bytes)
        self._votes = [tap.may_interrupt for tap in self._taps if _overrides(tap, "may_interrupt")]
        self.watchers = [_watcher(tap) for tap in self._taps if _overrides(tap, "event")]

    def may_interrupt(self) -> bool:
        return all(vote() for vote in self._votes)

    def close(self) -> None:
        for tap in self._taps:
            with boundary("closing a pipeline plugin"):
                tap.close()

    def _chain(self, stage: str, kind: type[T]) -> tuple[Callable[[T], T | None], ...]:
        return tuple(getattr(tap, stage) for tap in self._taps if _overrides(tap, stage))


def _watcher(tap: Tap) -> Callable[[Entry], None]:
    return lambda entry: tap.event(entry.event)


def _overrides(tap: Tap, stage: str) -> bool:
    return getattr(type(tap), stage, None) not in (None, getattr(Tap, stage))


def through(chain: Sequence[Callable[[T], T | None]], item: T) -> T | None:
    """Pass `item` through a stage; None as soon as one tap drops it."""
    current: T | None = item
    for step in chain:
        if current is None:
            return None
        current = step(current)
    return current
