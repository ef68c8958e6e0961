"""Sessions in the memory of one process."""

from __future__ import annotations

from collections import OrderedDict

import anyio

from voxray.errors import StoreError
from voxray.protocols.storage import SessionRecord

MAX_RECORDS = 100_000  # a caller of /start must not fill the memory


class MemoryStore:
    """A `SessionStore`. Records are forgotten when their time is over, or when there are too many."""

    def __init__(self, context: object = None, *, max_records: int = MAX_RECORDS) -> None:
        self._max_records = max_records
        self._records: OrderedDict[str, tuple[float, SessionRecord]] = OrderedDict()

    async def get(self, session_id: str) -> SessionRecord | None:
        due, record = self._records.get(session_id, (0.0, None))
        if record is not None and due <= anyio.current_time():
            del self._records[session_id]
            return None
        return record

    async def put(self, record: SessionRecord, *, ttl_secs: float) -> None:
        now = anyio.current_time()
        while self._records and next(iter(self._records.values()))[0] <= now:
            self._records.popitem(last=False)
        if len(self._records) >= self._max_records:  # some that stay longer may stand in front of expired ones
            self._records = OrderedDict(item for item in self._records.items() if item[1][0] > now)
        if len(self._records) >= self._max_records:
            raise StoreError(f"more than {self._max_records} sessions wait for their call")
        self._records[record.session_id] = (now + ttl_secs, record)
        self._records.move_to_end(record.session_id)

    async def take(self, session_id: str) -> SessionRecord | None:
        record = await self.get(session_id)
        self._records.pop(session_id, None)
        return record

    async def delete(self, session_id: str) -> None:
        self._records.pop(session_id, None)

    async def ping(self) -> None:
        """Always there."""
