"""How long a pause may last before it is the end of the turn."""

from __future__ import annotations

from collections.abc import Callable

from anyio import CancelScope
from anyio.abc import TaskGroup

from voxray.errors import ProviderError
from voxray.events import ProviderFailed
from voxray.protocols.turn import TurnDetector, UserTurn
from voxray.session.alarms import Alarms
from voxray.session.log import Clock, EventLog

RECHECK_SECS = 0.02


class Patience:
    """Calls `on_end` when it is over: after `stop_secs` of silence, or as much less as a detector says.

    While `starting()`, they may just be going on: then the speech gate decides first.
    """

    def __init__(
        self,
        detector: TurnDetector | None,
        stop_secs: float,
        *,
        clock: Clock,
        alarms: Alarms,
        tasks: TaskGroup,
        log: EventLog,
        starting: Callable[[], bool],
        on_end: Callable[[], None],
    ) -> None:
        self._detector = detector
        self._stop_secs = stop_secs
        self._clock = clock
        self._alarms = alarms
        self._tasks = tasks
        self._log = log
        self._starting = starting
        self._on_end = on_end
        self._asking = CancelScope()

    def begin(self, ago_secs: float, turn: Callable[[], UserTurn]) -> None:
        """The pause began `ago_secs` ago; `turn` says what is known of the turn if a detector must be asked."""
        self.stop()
        ended_at = self._clock.now() - ago_secs
        self._set(ended_at + self._stop_secs)
        if self._detector is not None:
            self._asking = CancelScope()
            self._tasks.start_soon(self._ask, self._detector, turn(), self._asking, ended_at)

    def stop(self) -> None:
        """They speak again, or the turn is over."""
        self._asking.cancel()
        self._alarms.clear("patience")

    async def _ask(self, detector: TurnDetector, turn: UserTurn, scope: CancelScope, ended_at: float) -> None:
        with scope:
            try:
                secs = await detector.patience(turn)
            except ProviderError as error:
                self._log.append(ProviderFailed("turn", error.provider, str(error), error.retryable))
                return
            if not scope.cancel_called:
                self._set(ended_at + min(secs, self._stop_secs))

    def _set(self, at: float) -> None:
        self._alarms.set("patience", at, self._over)

    def _over(self) -> None:
        if self._starting():
            self._set(self._clock.now() + RECHECK_SECS)
        else:
            self._on_end()
