"""When speech ended, to a few milliseconds: a detector says it in windows, and late.

The caller's configured silence counts from there, so every millisecond of lateness is one they wait for nothing.
"""

from __future__ import annotations

from statistics import median

from voxray.audio.level import block_levels
from voxray.session.backlog import Recent

BLOCK_SECS = 0.005
SPEECH_SECS = 0.3  # before the detector's end: how loud the speech was
EARLIER_SECS = 0.12  # a detector is not later than this; what is quieter for longer is part of the speech
FALL = 0.05  # of the loudest block (-26 dB): below that it is room, breath and echo
MOST_BEHIND = 4  # windows that a detector may have yet to report
ABOVE_ROOM = 3.0  # times the noise after the speech


class SpeechEnd:
    """Keeps the last sound at the detector's rate, and counts how far the detector has come."""

    def __init__(self, rate_hz: int, window_samples: int, stop_secs: float) -> None:
        self._rate_hz = rate_hz
        self._window_samples = window_samples
        self._recent = Recent(SPEECH_SECS + stop_secs + 0.25, bytes_per_sec=2 * rate_hz)
        self._behind = 0  # samples fed and not reported yet

    def feed(self, pcm: bytes) -> None:
        """Take pcm16 mono at the detector's rate, before the detector does."""
        self._behind += len(pcm) // 2
        self._recent.append(pcm)

    def reported(self) -> None:
        """The detector has come one window further."""
        self._behind -= self._window_samples

    def ago_secs(self, told_secs: float) -> float:
        """Seconds from the end of speech to the newest sound. `told_secs`: what the detector's windows say, counted
        from the end of the last one."""
        told = round(told_secs * self._rate_hz) + min(max(0, self._behind), MOST_BEHIND * self._window_samples)
        recent = self._recent.join()
        samples = len(recent) // 2
        block = round(BLOCK_SECS * self._rate_hz)
        edge = (samples - told) // block  # the first block after the end, says the detector
        if edge < 2:
            return told / self._rate_hz
        levels = block_levels(recent, block)
        speech = levels[max(0, edge - round(SPEECH_SECS / BLOCK_SECS)) : edge]
        room = levels[edge:]
        limit = max(max(speech) * FALL, median(room) * ABOVE_ROOM if room else 0.0)
        earliest = edge - round(EARLIER_SECS / BLOCK_SECS)
        while edge > max(1, earliest) and levels[edge - 1] < limit:
            edge -= 1
        if edge <= earliest:
            return told / self._rate_hz  # no clear end: the detector knows better
        return (samples - edge * block) / self._rate_hz
