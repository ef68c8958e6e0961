"""Sound that waits for the recogniser, and comes again when it was lost."""

from __future__ import annotations

import anyio
import pytest

from voxray.session.backlog import BATCH, REPLAYED, Backlog
from voxray.testing.virtual import VIRTUAL_BACKEND

pytestmark = pytest.mark.anyio
FRAME = 640


@pytest.fixture
def anyio_backend():
    return VIRTUAL_BACKEND


def frames(*numbers: int) -> bytes:
    return b"".join(bytes([number]) * FRAME for number in numbers)


def filled(*items: int | None, cap: int = 256) -> Backlog:
    """Frames of these numbers; None is a flush."""
    backlog = Backlog(cap)
    for item in items:
        if item is None:
            backlog.flush()
        else:
            backlog.append(frames(item))
    return backlog


async def waits(backlog: Backlog) -> bool:
    with anyio.move_on_after(1.0):
        await backlog.take()
        return False
    return True


async def test_sound_is_given_in_batches() -> None:
    backlog = filled(1, 2)
    assert await waits(backlog)
    backlog.append(frames(3))
    assert await backlog.take() == (frames(1, 2, 3), False)
    assert len(frames(1, 2, 3)) == BATCH
    assert await waits(backlog)


async def test_under_load_batches_grow() -> None:
    assert await filled(*range(50)).take() == (frames(*range(50)), False)


async def test_a_flush_gives_what_there_is_and_ends_a_batch() -> None:
    backlog = filled(1, None, 2, None)
    assert await backlog.take() == (frames(1), True)
    assert await backlog.take() == (frames(2), True)


async def test_a_flush_without_sound_is_given_too() -> None:
    assert await filled(None).take() == (b"", True)


async def test_a_waiting_reader_is_woken() -> None:
    for item in (frames(1, 2, 3), None):
        backlog = Backlog(256)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(backlog.take)
            await anyio.sleep(1.0)
            backlog.flush() if item is None else backlog.append(item)


async def test_what_was_not_confirmed_is_given_again() -> None:
    backlog = filled(1, None, 2)
    await backlog.take()
    backlog.rewind()
    assert await backlog.take() == (frames(1), True)
    backlog.flush()
    assert await backlog.take() == (frames(2), True)


async def test_what_was_confirmed_is_not() -> None:
    backlog = filled(1, None, 2, None, 3, 4, 5)
    for _ in range(3):
        await backlog.take()
    backlog.confirm()
    backlog.rewind()
    assert await backlog.take() == (frames(2), True)
    assert await backlog.take() == (frames(3, 4, 5), False)


async def test_words_that_came_without_a_flush_are_not_heard_again_but_the_flush_is_asked_again() -> None:
    backlog = filled(1, 2, 3, None)
    await backlog.take()
    backlog.reported()
    backlog.rewind()
    assert await backlog.take() == (b"", True)
    assert backlog.frames == 0


async def test_a_new_recogniser_hears_ten_seconds_again_at_most_and_all_flushes() -> None:
    backlog = filled(None)
    await backlog.take()
    for _ in range(30):
        backlog.append(bytes(REPLAYED // 10))
        await backlog.take()
    backlog.rewind()
    assert await backlog.take() == (b"", True)
    pcm, flush = await backlog.take()
    assert (len(pcm), flush) == (REPLAYED, False)


async def test_taking_again_after_rewinding_keeps_the_order() -> None:
    backlog = filled(1, 2, 3)
    await backlog.take()
    backlog.append(frames(4))
    backlog.rewind()
    assert await backlog.take() == (frames(1, 2, 3, 4), False)


async def test_dropping_tells_what_was_lost() -> None:
    backlog = filled(1, None, 2, 3, 4)
    await backlog.take()
    assert backlog.drop() == (4 * FRAME, 1)
    assert backlog.drop() == (0, 0)
    assert await waits(backlog)


async def test_a_writer_can_wait_for_room() -> None:
    backlog = filled(*range(10), cap=5)
    assert backlog.full
    assert backlog.frames == 10
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(backlog.wait_room)
        await anyio.sleep(1.0)
        await backlog.take()
    assert not backlog.full


async def test_dropping_makes_room() -> None:
    backlog = filled(*range(10), cap=5)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(backlog.wait_room)
        await anyio.sleep(1.0)
        backlog.drop()
