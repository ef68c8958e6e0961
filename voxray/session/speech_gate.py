"""Windows of the detector in, `SpeechStarted` and `SpeechStopped` out."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum

from voxray.events import SpeechStarted, SpeechStopped

FLOOR_DB = -60.0  # loudness 0
SMOOTHING = 0.2  # share of a new window in the falling volume


class _State(Enum):
    QUIET = "quiet"
    STARTING = "starting"
    SPEAKING = "speaking"
    STOPPING = "stopping"


class SpeechGate:
    """Decides when somebody starts and stops speaking; counts windows, knows no clock.

    A window is speech if its probability reaches `confidence` and the volume (a loudness from 0 at -60 dBFS to 1 at
    full scale that rises at once and falls slowly) reaches `min_volume`.
    """

    def __init__(
        self,
        window_secs: float,
        *,
        confidence: float,
        min_volume: float,
        start_secs: float,
        stop_secs: float,
        on_change: Callable[[SpeechStarted | SpeechStopped], None],
        on_speaking: Callable[[float], None],
    ) -> None:
        self._window_secs = window_secs
        self._confidence = confidence
        self._min_volume = min_volume
        self._on_change = on_change
        self._on_speaking = on_speaking
        self._state = _State.QUIET
        self._volume = 0.0
        self._count = 0  # windows in the present state, while starting or stopping
        self._spoken = 0  # windows since speech began
        self.update(start_secs=start_secs, stop_secs=stop_secs)

    def update(self, *, start_secs: float | None = None, stop_secs: float | None = None) -> None:
        """Change the times from the next window on."""
        if start_secs is not None:
            self._start = max(1, round(start_secs / self._window_secs))
        if stop_secs is not None:
            self._stop = max(1, round(stop_secs / self._window_secs))

    @property
    def speaking(self) -> bool:
        return self._state in (_State.SPEAKING, _State.STOPPING)

    @property
    def starting(self) -> bool:
        """Something that may become speech has begun."""
        return self._state is _State.STARTING

    def window(self, probability: float, rms: float) -> None:
        """Take the detector's next window. `rms` is 0..1."""
        loudness = max(0.0, 1.0 - 20.0 * math.log10(rms) / FLOOR_DB) if rms > 0 else 0.0
        self._volume = max(loudness, self._volume + SMOOTHING * (loudness - self._volume))
        speech = probability >= self._confidence and self._volume >= self._min_volume
        if self._state is _State.QUIET and not speech:
            return
        self._count += 1
        self._spoken += 1
        match self._state, speech:
            case _State.QUIET, True:
                self._enter(_State.STARTING)
                self._spoken = 1
                self._maybe_start()
            case _State.STARTING, True:
                self._maybe_start()
            case _State.STARTING, False:
                self._enter(_State.QUIET)
            case _State.SPEAKING, True:
                self._on_speaking(self._spoken * self._window_secs)
            case _State.SPEAKING, False:
                self._enter(_State.STOPPING)
                self._maybe_stop()
            case _State.STOPPING, True:
                self._enter(_State.SPEAKING)
            case _State.STOPPING, False:
                self._maybe_stop()

    def stalled(self, ago_secs: float) -> None:
        """No more audio comes: whoever was speaking has stopped `ago_secs` ago."""
        was_speaking = self.speaking
        self._enter(_State.QUIET)
        if was_speaking:
            self._on_change(SpeechStopped(ago_secs))

    def _enter(self, state: _State) -> None:
        self._state = state
        self._count = 1

    def _maybe_start(self) -> None:
        if self._count >= self._start:
            self._state = _State.SPEAKING
            self._on_change(SpeechStarted(self._spoken * self._window_secs))

    def _maybe_stop(self) -> None:
        if self._count >= self._stop:
            ago_secs = self._count * self._window_secs
            self._enter(_State.QUIET)
            self._on_change(SpeechStopped(ago_secs))
