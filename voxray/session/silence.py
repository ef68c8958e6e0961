"""Bounded silence: what the caller hears is watched, not the parts that make it."""

from __future__ import annotations

import math
from collections.abc import Callable

from voxray.audio.convert import Converter
from voxray.audio.format import AudioFormat, Encoding
from voxray.audio.tone import earcon
from voxray.session.alarms import Alarms
from voxray.session.log import Clock
from voxray.session.playout import Playout

MARGIN_SECS = 0.25  # the waiting phrase comes first, from the reply itself
AGAIN_SECS = 0.1  # sound is there but the transport does not take it


class SilenceWatch:
    """Counts the silence in which the caller waits for us; `on_silence(secs, again)` when it becomes too long."""

    def __init__(
        self,
        limit_secs: float,
        *,
        clock: Clock,
        alarms: Alarms,
        playout: Playout,
        on_silence: Callable[[float, bool], None],
    ) -> None:
        self._limit_secs = limit_secs
        self._clock = clock
        self._alarms = alarms
        self._playout = playout
        self._on_silence = on_silence
        self._owed_at: float | None = None  # since when the caller waits for sound
        self._broken = False

    def begin(self) -> None:
        """From now on the caller is owed sound."""
        self._owed_at = self._clock.now()
        self._broken = False
        self._watch()

    def end(self) -> None:
        self._owed_at = None
        self._alarms.clear("silence")

    def left_secs(self) -> float:
        """How long the caller may still be left in silence; infinite if nothing is owed to them."""
        if self._owed_at is None:
            return math.inf
        return max(self._owed_at, self._playout.ear_at) + self._limit_secs - self._clock.now()

    def _watch(self) -> None:
        secs = max(self.left_secs() + MARGIN_SECS, AGAIN_SECS)
        self._alarms.set("silence", self._clock.now() + secs, self._too_long)

    def _too_long(self) -> None:
        left_secs = self.left_secs()
        if left_secs > 0 or self._playout.buffered:
            self._watch()
            return
        again, self._broken = self._broken, True
        self._owed_at = self._clock.now()
        self._watch()
        self._on_silence(round(self._limit_secs - left_secs, 3), again)


def tone_of(target: AudioFormat) -> bytes:
    """The sound that says "still here" without words."""
    sound = earcon(target.rate_hz)
    if target.encoding is Encoding.PCM16:
        return sound
    return Converter(AudioFormat(Encoding.PCM16, target.rate_hz), target).process(sound)
