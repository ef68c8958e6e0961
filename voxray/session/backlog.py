"""Sound for a recogniser that may be slower than the caller, or gone for a moment."""

from __future__ import annotations

from collections import deque

import anyio

BYTES_PER_SEC = 32_000  # pcm16 mono 16 kHz
BATCH = BYTES_PER_SEC * 60 // 1000  # fewer, larger sends instead of longer queues
REPLAYED = BYTES_PER_SEC * 10  # what a new connection is given again at most


class Backlog:
    """One writer that never waits, one reader that takes everything at once.

    What was taken is kept until `confirm()`, so that `rewind()` can give it to a new connection.
    """

    def __init__(self, cap_frames: int) -> None:
        self._cap = cap_frames * 640  # frames of 20 ms
        self._waiting: deque[bytes | None] = deque()  # None: flush here
        self._taken: deque[bytes | None] = deque()
        self._waiting_bytes = 0
        self._taken_bytes = 0
        self._ready = anyio.Event()
        self._room = anyio.Event()

    @property
    def full(self) -> bool:
        return self._waiting_bytes > self._cap

    @property
    def frames(self) -> int:
        """Frames of 20 ms that wait."""
        return self._waiting_bytes // 640

    def append(self, pcm: bytes) -> None:
        self._waiting.append(pcm)
        self._waiting_bytes += len(pcm)
        if self._waiting_bytes >= BATCH:
            self._ready.set()

    def flush(self) -> None:
        """Mark a pause: the reader gets everything before it, then the flush."""
        self._waiting.append(None)
        self._ready.set()

    async def take(self) -> tuple[bytes, bool]:
        """All sound up to the next flush, once there are 60 ms or a flush; and whether a flush follows."""
        while self._waiting_bytes < BATCH and None not in self._waiting:
            self._ready = anyio.Event()
            await self._ready.wait()
        parts: list[bytes] = []
        flush = False
        while self._waiting and not flush:
            part = self._waiting.popleft()
            self._taken.append(part)
            if part is None:
                flush = True
            else:
                parts.append(part)
        pcm = b"".join(parts)
        self._waiting_bytes -= len(pcm)
        self._taken_bytes += len(pcm)
        self._forget(REPLAYED)
        self._room.set()
        return pcm, flush

    async def wait_room(self) -> None:
        while self.full:
            self._room = anyio.Event()
            await self._room.wait()

    def confirm(self) -> None:
        """Everything up to the first flush taken has been answered: forget it."""
        while self._taken:
            part = self._taken.popleft()
            if part is None:
                return
            self._taken_bytes -= len(part)

    def reported(self) -> None:
        """Final words have come: the sound they were made of must not be heard twice. Flushes are still owed."""
        self._forget(0)

    def _forget(self, kept_bytes: int) -> None:
        flushes = 0
        while self._taken_bytes > kept_bytes:
            part = self._taken.popleft()
            flushes += part is None
            self._taken_bytes -= len(part or b"")
        self._taken.extendleft([None] * flushes)

    def rewind(self) -> None:
        """Give everything unconfirmed again."""
        self._waiting.extendleft(reversed(self._taken))
        self._waiting_bytes += self._taken_bytes
        self._taken.clear()
        self._taken_bytes = 0
        self._ready.set()

    def drop(self) -> tuple[int, int]:
        """Forget everything; return the bytes of sound and the number of flushes lost."""
        flushes = sum(part is None for part in (*self._taken, *self._waiting))
        lost = self._waiting_bytes + self._taken_bytes
        self._waiting.clear()
        self._taken.clear()
        self._waiting_bytes = self._taken_bytes = 0
        self._room.set()
        return lost, flushes


class Recent:
    """The last seconds of sound; pcm16 mono."""

    def __init__(self, secs: float, bytes_per_sec: int = BYTES_PER_SEC) -> None:
        self._cap = int(secs * bytes_per_sec) // 2 * 2
        self._pieces: deque[bytes] = deque()
        self._bytes = 0

    def append(self, pcm: bytes) -> None:
        self._pieces.append(pcm)
        self._bytes += len(pcm)
        while self._bytes - len(self._pieces[0]) > self._cap:
            self._bytes -= len(self._pieces.popleft())

    def join(self) -> bytes:
        return b"".join(self._pieces)[-self._cap :] if self._cap else b""

    def clear(self) -> None:
        self._pieces.clear()
        self._bytes = 0
