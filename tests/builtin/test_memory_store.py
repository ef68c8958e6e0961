"""Sessions in the memory of one process."""

from __future__ import annotations

import pytest

from voxray.builtin.memory_store import MemoryStore
from voxray.errors import StoreError
from voxray.protocols.storage import SessionRecord
from voxray.testing import check_session_store

pytestmark = pytest.mark.anyio


async def test_it_keeps_the_contract_of_session_stores() -> None:
    await check_session_store(MemoryStore)


async def test_a_session_is_taken_once() -> None:
    store = MemoryStore()
    await store.put(SessionRecord("a", {"x": 1}), ttl_secs=60)
    assert await store.take("a") == SessionRecord("a", {"x": 1})
    assert await store.take("a") is None


async def test_it_does_not_fill_the_memory_and_takes_more_when_some_are_gone() -> None:
    for store in (MemoryStore(max_records=2), MemoryStore(max_bytes=20)):
        for name in "ab":
            await store.put(SessionRecord(name, {"x": 1}), ttl_secs=60)
            await store.put(SessionRecord(name, {"x": 1}), ttl_secs=60)  # replaced, not added
        with pytest.raises(StoreError, match="2 sessions of 16 bytes"):
            await store.put(SessionRecord("c", {"x": 1}), ttl_secs=60)
        await store.delete("a")
        await store.put(SessionRecord("c", {"x": 1}), ttl_secs=60)


async def test_expired_ones_make_room_even_behind_one_that_stays() -> None:
    store = MemoryStore(max_records=3)
    await store.put(SessionRecord("long"), ttl_secs=60)
    for name in "abcd":
        await store.put(SessionRecord(name), ttl_secs=-1)
    assert await store.get("long") == SessionRecord("long")
    assert await store.get("d") is None
