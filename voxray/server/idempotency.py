"""Answers that are given again to who asks again with the same key, in the memory of this process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice

import anyio

KEEP_SECS = 24 * 3600.0
MAX_ANSWERS = 10_000  # a few hundred bytes each
EVICTED_AT_ONCE = 16  # each request adds one, so that a few are enough


@dataclass(slots=True)
class _Entry:
    due: float
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    users: int = 0
    answer: bytes | None = None


class Idempotency:
    """Of those that ask with the same key at once, one makes the answer and the others wait for it. What fails is not
    kept: the next one tries. The oldest answers go when there are too many."""

    def __init__(self, *, keep_secs: float = KEEP_SECS, max_answers: int = MAX_ANSWERS) -> None:
        self._keep_secs = keep_secs
        self._max_answers = max_answers
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()  # oldest first

    def __len__(self) -> int:
        return len(self._entries)

    async def answer(self, owner: str, key: str, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """The answer to `key` of `owner`, made if there is none yet. Raises what `make` raises."""
        name = sha256(f"{len(owner)}:{owner}:{key}".encode()).digest()  # the owner's secret is not kept
        self._evict()
        entry = self._entries.get(name)
        if entry is None or (entry.due <= anyio.current_time() and not entry.users):
            entry = self._entries[name] = _Entry(anyio.current_time() + self._keep_secs)
        entry.users += 1
        try:
            async with entry.lock:
                if entry.answer is None:
                    entry.answer = await make()
                return entry.answer
        finally:
            entry.users -= 1
            if entry.answer is None and not entry.users and self._entries.get(name) is entry:
                del self._entries[name]

    def _evict(self) -> None:
        now = anyio.current_time()
        for name, entry in list(islice(self._entries.items(), EVICTED_AT_ONCE)):
            if entry.due > now and len(self._entries) < self._max_answers:
                return
            if not entry.users:
                del self._entries[name]
