"""Media messages may overtake each other: put them back in order, a few at a time."""

from __future__ import annotations

WINDOW = 3  # messages that wait for a missing one: 60 ms
RECENT = 64  # numbers back that are taken for a repetition; further back the count has started anew


class Reorder:
    """Gives sound back in the order of its numbers. Drops nothing but repetitions."""

    def __init__(self) -> None:
        self._next = 1
        self._waiting: dict[int, bytes] = {}
        self._skipped: set[int] = set()
        self._started = False

    def feed(self, chunk: int | None, sound: bytes) -> list[bytes]:
        """What can be played now that message `chunk` came; messages without a number pass."""
        if chunk is None:
            return [sound]
        if not self._started:
            self._started = True
            if chunk > WINDOW:  # we came late, or they do not count from 1
                self._skip_to(chunk)
        if chunk < self._next:
            return self._late(chunk, sound)
        if chunk in self._waiting:
            return []
        self._waiting[chunk] = sound
        ready = self._ready()
        if len(self._waiting) >= WINDOW:  # the missing one is lost, or will be late
            self._skip_to(min(self._waiting))
            ready += self._ready()
            self._skipped = {number for number in self._skipped if number >= self._next - RECENT}
        return ready

    def flush(self) -> list[bytes]:
        """What still waits, when nothing more will come."""
        rest = [self._waiting[number] for number in sorted(self._waiting)]
        self._waiting.clear()
        return rest

    def _skip_to(self, chunk: int) -> None:
        self._skipped.update(range(max(self._next, chunk - RECENT), chunk))
        self._next = chunk

    def _ready(self) -> list[bytes]:
        ready = []
        while self._next in self._waiting:
            ready.append(self._waiting.pop(self._next))
            self._next += 1
        return ready

    def _late(self, chunk: int, sound: bytes) -> list[bytes]:
        if chunk in self._skipped:
            self._skipped.discard(chunk)
            return [sound]
        if self._next - chunk <= RECENT:
            return []  # a repetition
        rest = self.flush()
        self._skipped.clear()
        self._next = chunk + 1
        return [*rest, sound]
