"""Which marks are still to come back, and which came back only because the buffer was emptied."""

from __future__ import annotations

from collections import deque

MOST = 1000  # marks remembered; a carrier that loses them must not fill the memory


class Marks:
    """Marks in the order they were set. Repeated, unknown and cleared ones are not reported."""

    def __init__(self) -> None:
        self._pending: deque[str] = deque(maxlen=MOST)
        self._cleared: deque[str] = deque(maxlen=MOST)

    def set(self, name: str) -> None:
        self._pending.append(name)

    def clear(self) -> None:
        """What is pending will come back though it was not heard."""
        self._cleared.extend(self._pending)
        self._pending.clear()

    def reached(self, name: str) -> bool:
        """Has the sound before this mark been played? Earlier marks whose echo was lost are passed with it."""
        if name in self._cleared:
            self._cleared.remove(name)
            return False
        if name not in self._pending:
            return False
        while self._pending.popleft() != name:
            pass
        return True
