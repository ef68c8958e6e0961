"""Sessions in the memory of one process."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass

import anyio

from voxray.errors import StoreError
from voxray.protocols.storage import SessionRecord

# Callers of /start must not fill the memory.
MAX_RECORDS = 100_000
MAX_BYTES = 256 * 1024 * 1024  # of the bodies as JSON; as objects they take a few times as much


@dataclass(frozen=True, slots=True)
class _Kept:
    due: float
    record: SessionRecord
    size: int


class MemoryStore:
    """A `SessionStore`. Records are forgotten when their time is over; too many or too large ones are refused."""

    def __init__(self, context: object = None, *, max_records: int = MAX_RECORDS, max_bytes: int = MAX_BYTES) -> None:
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._records: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0

    async def get(self, session_id: str) -> SessionRecord | None:
        kept = self._records.get(session_id)
        if kept is not None and kept.due <= anyio.current_time():
            self._drop(session_id)
            return None
        return kept.record if kept else None

    async def put(self, record: SessionRecord, *, ttl_secs: float) -> None:
        now = anyio.current_time()
        size = len(json.dumps(dict(record.body)))
        self._drop(record.session_id)
        while self._records and next(iter(self._records.values())).due <= now:
            self._drop(next(iter(self._records)))
        if self._is_full(size):  # some that stay longer may stand in front of expired ones
            for session_id in [name for name, kept in self._records.items() if kept.due <= now]:
                self._drop(session_id)
        if self._is_full(size):
            raise StoreError(f"{len(self._records)} sessions of {self._bytes} bytes wait for their call")
        self._records[record.session_id] = _Kept(now + ttl_secs, record, size)
        self._bytes += size

    async def take(self, session_id: str) -> SessionRecord | None:
        record = await self.get(session_id)
        self._drop(session_id)
        return record

    async def delete(self, session_id: str) -> None:
        self._drop(session_id)

    async def ping(self) -> None:
        """Always there."""

    def _is_full(self, size: int) -> bool:
        return len(self._records) >= self._max_records or self._bytes + size > self._max_bytes

    def _drop(self, session_id: str) -> None:
        kept = self._records.pop(session_id, None)
        self._bytes -= kept.size if kept else 0
