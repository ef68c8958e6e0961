"""Pipeline plugins compiled to tuples of methods: a stage nobody overrides is an empty tuple."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from voxray.events import Entry, SessionEvent
from voxray.protocols.call import SessionHandle
from voxray.protocols.pipeline import PipelinePlugin, Tap
from voxray.protocols.stt import Transcript

T = TypeVar("T")


class Taps:
    """The taps of one call, in the order of the configuration."""

    def __init__(self, plugins: Sequence[PipelinePlugin], session: SessionHandle) -> None:
        self._taps = [plugin.open(session) for plugin in plugins]
        self.audio_in = self._chain("audio_in", bytes)
        self.transcript = self._chain("transcript", Transcript)
        self.user_turn = self._chain("user_turn", str)
        self.reply_text = self._chain("reply_text", str)
        self.audio_out = self._chain("audio_out", bytes)
        self._votes = [tap.may_interrupt for tap in self._taps if _overrides(tap, "may_interrupt")]
        self._watchers: list[Callable[[SessionEvent], None]] = [
            tap.event for tap in self._taps if _overrides(tap, "event")
        ]

    def may_interrupt(self) -> bool:
        return all(vote() for vote in self._votes)

    @property
    def has_votes(self) -> bool:
        return bool(self._votes)

    def see(self, entry: Entry) -> None:
        for watch in self._watchers:
            watch(entry.event)

    def close(self) -> None:
        for tap in self._taps:
            tap.close()

    def _chain(self, stage: str, kind: type[T]) -> tuple[Callable[[T], T | None], ...]:
        return tuple(getattr(tap, stage) for tap in self._taps if _overrides(tap, stage))


def _overrides(tap: Tap, stage: str) -> bool:
    return getattr(type(tap), stage, None) is not getattr(Tap, stage)


def through(chain: Sequence[Callable[[T], T | None]], item: T) -> T | None:
    """Pass `item` through a stage; None as soon as one tap drops it."""
    current: T | None = item
    for step in chain:
        if current is None:
            return None
        current = step(current)
    return current
