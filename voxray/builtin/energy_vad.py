"""Speech by loudness alone: no model, no delay, and every loud noise counts as speech."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from math import sqrt

import numpy as np

from voxray.protocols.context import ProviderContext
from voxray.protocols.vad import Report, VadStream

WINDOW_SECS = 0.01


class EnergyVad:
    """A VoiceActivityDetector whose probability is a window's RMS divided by `threshold`, at most 1."""

    rates_hz = (16_000, 8_000, 24_000, 48_000)  # any will do

    def __init__(self, context: ProviderContext, *, threshold: float) -> None:
        self._threshold = max(threshold, 1e-6)  # 0: everything but silence is speech

    def window_samples(self, rate_hz: int) -> int:
        return max(1, int(rate_hz * WINDOW_SECS))

    def open(self, rate_hz: int, report: Report) -> AbstractContextManager[VadStream]:
        return self._stream(rate_hz, report)

    @contextmanager
    def _stream(self, rate_hz: int, report: Report) -> Iterator[VadStream]:
        stream = EnergyVadStream(self.window_samples(rate_hz), self._threshold, report)
        try:
            yield stream
        finally:
            stream.close()


class EnergyVadStream:
    """One call's remainder of a window. Reports from within `feed()`."""

    def __init__(self, window_samples: int, threshold: float, report: Report) -> None:
        self._window_bytes = 2 * window_samples
        self._full_scale = 32_768.0 * sqrt(window_samples)  # the root of a window's sum of squares, all at full scale
        self._threshold = threshold
        self._report: Report | None = report
        self._rest = b""

    def feed(self, pcm: bytes) -> None:
        if self._rest:
            pcm = self._rest + pcm
        count = len(pcm) // self._window_bytes
        used = count * self._window_bytes
        self._rest = pcm[used:]
        if not count:
            return
        windows = np.frombuffer(pcm, np.int16, used // 2).reshape(count, -1).astype(np.float32)
        for energy in np.einsum("ij,ij->i", windows, windows).tolist():
            if self._report is None:
                return
            rms = sqrt(energy) / self._full_scale
            self._report(min(1.0, rms / self._threshold), rms)

    def close(self) -> None:
        """Report nothing more."""
        self._report = None
