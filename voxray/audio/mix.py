"""The sound of several people as one stream."""

from __future__ import annotations

import numpy as np

LATE_SECS = 0.06  # nobody is waited for longer: three packets of 20 ms
MOST_SECS = 0.2  # of sound kept for one who lags behind


class Mixer:
    """Adds up live streams of pcm16 mono of one rate; louder than full scale is clipped.

    One who is alone passes untouched and at once. Of several, the mix waits for the slowest, though never longer than
    60 ms: a microphone that is muted sends nothing.
    """

    def __init__(self, rate_hz: int) -> None:
        self._most = int(MOST_SECS * rate_hz)
        self._sum = np.zeros(0, np.int32)  # what is not given yet
        self._ends: dict[str, int] = {}  # how far into it each one's sound reaches
        self._heard_at: dict[str, float] = {}

    def add(self, who: str, pcm: bytes, now: float) -> bytes:
        """Take `who`'s next sound, at `now` seconds on any steady clock; return what is ready, perhaps nothing.

        Raises:
            ValueError: `pcm` has an odd number of bytes.
        """
        samples = np.frombuffer(pcm, np.int16)
        self._heard_at[who] = now
        present = [name for name, at in self._heard_at.items() if now - at <= LATE_SECS]
        if not len(self._sum) and present == [who]:
            return pcm
        start = self._ends.get(who, 0)
        end = start + len(samples)
        if end > len(self._sum):
            self._sum = np.concatenate([self._sum, np.zeros(end - len(self._sum), np.int32)])
        self._sum[start:end] += samples
        self._ends[who] = end
        return self._given(max(min(self._ends.get(name, 0) for name in present), len(self._sum) - self._most))

    def forget(self, who: str) -> None:
        """`who` sends no more."""
        self._ends.pop(who, None)
        self._heard_at.pop(who, None)

    def _given(self, size: int) -> bytes:
        given, self._sum = self._sum[:size], self._sum[size:]
        self._ends = {name: end - size for name, end in self._ends.items() if end > size}
        return np.clip(given, -32768, 32767).astype(np.int16).tobytes()
