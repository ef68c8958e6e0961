"""Keys become turns: "1", "2", "#" is one answer, not three."""

from __future__ import annotations

from collections.abc import Callable

from voxray.session.alarms import Alarms
from voxray.session.log import Clock

PREFIX = "DTMF: "
LONGEST = 64  # keys in one turn; more is somebody leaning on the phone


class Keypad:
    """Collects keys; gives them to `on_turn` as text ("DTMF: 12#") at the terminator, after a pause, or when full."""

    def __init__(
        self, clock: Clock, alarms: Alarms, on_turn: Callable[[str], None], *, timeout_secs: float, terminator: str
    ) -> None:
        self._clock = clock
        self._alarms = alarms
        self._on_turn = on_turn
        self._timeout_secs = timeout_secs
        self._terminator = terminator
        self._keys = ""

    @property
    def collecting(self) -> bool:
        return bool(self._keys)

    def press(self, digit: str) -> None:
        self._keys += digit
        if digit == self._terminator or len(self._keys) >= LONGEST:
            self._finish()
        else:
            self._alarms.set("keypad", self._clock.now() + self._timeout_secs, self._finish)

    def _finish(self) -> None:
        self._alarms.clear("keypad")
        keys, self._keys = self._keys, ""
        if keys:
            self._on_turn(PREFIX + keys)
