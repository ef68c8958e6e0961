"""The call's one event log and its one clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import anyio

from voxray.boundary import boundary
from voxray.events import Entry, SessionEvent

Observer = Callable[[Entry], None]

KEPT = 4096  # entries per call; observers have seen the older ones


class Clock:
    """Seconds since the call was answered, by the event loop's clock: virtual in tests, monotonic in life."""

    def __init__(self) -> None:
        self._start = anyio.current_time()

    def now(self) -> float:
        return anyio.current_time() - self._start

    def loop_time(self, at: float) -> float:
        """The event loop's time for a moment of the call, for deadlines."""
        return self._start + at

    def reached(self, at: float) -> bool:
        """Whether a deadline at that moment of the call has passed: `now() >= at` may differ by rounding."""
        return anyio.current_time() >= self.loop_time(at)


class EventLog:
    """Ordered, typed, time-stamped. Metrics, transcripts and latencies are observers of it.

    `own` is the call's own observer: it comes first, and its exceptions end the call.
    """

    def __init__(self, clock: Clock, own: Observer, observers: tuple[Observer, ...] = ()) -> None:
        self._clock = clock
        self._own = own
        self._observers = list(observers)
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        self._unseen: deque[Entry] = deque()
        self._showing = False
        self._seq = 0

    def append(self, event: SessionEvent) -> Entry:
        """Record `event` now and show it to the observers, in order. An observer that fails is logged and goes on
        seeing events: it must not cost the caller anything."""
        entry = Entry(self._seq, self._clock.now(), event)
        self._seq += 1
        self._entries.append(entry)
        self._unseen.append(entry)
        if not self._showing:  # otherwise an observer has caused it: the others are to see its cause first
            self._showing = True
            try:
                while self._unseen:
                    self._show(self._unseen.popleft())
            finally:
                self._showing = False
        return entry

    def _show(self, entry: Entry) -> None:
        self._own(entry)
        for observer in self._observers:
            with boundary("an observer of the call"):
                observer(entry)

    def watch(self, observer: Observer) -> None:
        """Show further events to `observer` too."""
        self._observers.append(observer)

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        return len(self._entries)
