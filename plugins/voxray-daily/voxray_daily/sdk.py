"""Daily's SDK: loaded on demand, and one engine per process.

The engine punishes mistakes by ending the process: when it is started twice, and when it is stopped while a client or
a track exists. So it is counted here who is in a room, and an engine that cannot be stopped is left running.
"""

from __future__ import annotations

import importlib
import threading
from typing import Any

from voxray.errors import BrokenPluginError


def load() -> Any:
    """The module `daily`. Raises BrokenPluginError with what to do."""
    try:
        return importlib.import_module("daily")
    except ImportError as error:
        raise BrokenPluginError(
            f"daily: daily-python cannot be loaded ({error}); it exists for Linux with glibc 2.28 and newer, and for "
            "macOS: run Voxray there, or use another transport"
        ) from error


class Engine:
    """The SDK's engine. `daily` is the SDK's module."""

    def __init__(self, daily: Any) -> None:
        self._daily = daily
        self._lock = threading.Lock()
        self._users = 0
        self._running = False
        self._in_rooms = 0

    def use(self) -> None:
        """Start it, if nobody has."""
        with self._lock:
            self._users += 1
            if not self._running:
                self._daily.Daily.init()
                self._running = True

    def release(self) -> None:
        """Stop it, if nobody else uses it and everybody has left."""
        with self._lock:
            self._users -= 1
            if self._running and self._users == 0 and self._in_rooms == 0:
                self._daily.Daily.deinit()
                self._running = False

    def entered(self) -> None:
        """A client and its track were made."""
        with self._lock:
            self._in_rooms += 1

    def left(self) -> None:
        """They are gone, the last reference to them too."""
        with self._lock:
            self._in_rooms -= 1


_engines: dict[int, Engine] = {}


def engine(daily: Any) -> Engine:
    """The one of this process for this module."""
    return _engines.setdefault(id(daily), Engine(daily))
