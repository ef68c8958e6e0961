"""Is somebody speaking? Detectors report windows; the session's speech gate decides."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

Report = Callable[[float, float], None]
"""Called on the event loop, once per window and in order: probability of speech (0..1), RMS of the window (0..1)."""


class VadStream(Protocol):
    def feed(self, pcm: bytes) -> None:
        """Take pcm16 mono at the stream's rate, any even length; a remainder is kept for the next call. Must take
        < 100 µs; windows are reported now or some milliseconds later."""


class VoiceActivityDetector(Protocol):
    rates_hz: tuple[int, ...]  # sample rates it works at, best first

    def window_samples(self, rate_hz: int) -> int:
        """Samples in one reported window at this rate."""

    def open(self, rate_hz: int, report: Report) -> AbstractContextManager[VadStream]:
        """State for one call. After the block is left, `report` is not called again."""
