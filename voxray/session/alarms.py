"""All timers of a call in one task: patience, silence, idleness, durations."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from voxray.session.log import Clock


class Alarms:
    """Named deadlines on the call's clock. Setting a name again moves it; firing clears it first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[str, tuple[float, Callable[[], None]]] = {}
        self._changed = anyio.Event()
        self._next = float("inf")  # what run() waits for now

    def set(self, name: str, at: float, action: Callable[[], None]) -> None:
        """Call `action` at `at` seconds of the call (at once if that is past)."""
        self._due[name] = (at, action)
        if at < self._next:
            self._changed.set()

    def clear(self, name: str) -> None:
        # run() may wake for nothing later; cheaper than waking it now.
        self._due.pop(name, None)

    def armed(self, name: str) -> bool:
        return name in self._due

    async def run(self) -> None:
        """Fire alarms until cancelled. An exception of an action ends the call."""
        while True:
            self._changed = anyio.Event()
            self._next = min((at for at, _ in self._due.values()), default=float("inf"))
            with anyio.move_on_at(self._clock.loop_time(self._next)):
                await self._changed.wait()
            for name, (at, action) in sorted(self._due.items(), key=lambda item: item[1][0]):
                if self._clock.reached(at) and self._due.get(name) == (at, action):
                    del self._due[name]
                    action()
