"""Named deadlines of a call."""

from __future__ import annotations

import anyio
import pytest

from voxray.session.alarms import Alarms
from voxray.session.log import Clock
from voxray.testing.virtual import VIRTUAL_BACKEND

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return VIRTUAL_BACKEND


class Bell:
    def __init__(self) -> None:
        self.clock = Clock()
        self.alarms = Alarms(self.clock)
        self.rung: list[tuple[str, float]] = []

    def set(self, name: str, at: float) -> None:
        self.alarms.set(name, at, lambda: self.rung.append((name, round(self.clock.now(), 6))))

    async def wait(self, secs: float) -> None:
        with anyio.move_on_after(secs):
            await self.alarms.run()


async def test_alarms_ring_once_each_in_order_at_their_time() -> None:
    bell = Bell()
    bell.set("b", 2.0)
    bell.set("a", 1.0)
    bell.set("c", 3.0)
    await bell.wait(10.0)
    assert bell.rung == [("a", 1.0), ("b", 2.0), ("c", 3.0)]
    assert not bell.alarms.armed("a")


async def test_setting_again_moves_an_alarm_both_ways() -> None:
    bell = Bell()
    bell.set("later", 1.0)
    bell.set("later", 2.0)
    bell.set("sooner", 9.0)
    bell.set("sooner", 1.5)
    await bell.wait(10.0)
    assert bell.rung == [("sooner", 1.5), ("later", 2.0)]


async def test_a_cleared_alarm_does_not_ring() -> None:
    bell = Bell()
    bell.set("a", 1.0)
    assert bell.alarms.armed("a")
    bell.alarms.clear("a")
    bell.alarms.clear("never set")
    await bell.wait(10.0)
    assert bell.rung == []


async def test_a_past_moment_rings_at_once() -> None:
    bell = Bell()
    await anyio.sleep(5.0)
    bell.set("a", 1.0)
    await bell.wait(1.0)
    assert bell.rung == [("a", 5.0)]


async def test_an_earlier_alarm_set_while_waiting_is_noticed() -> None:
    bell = Bell()
    bell.set("late", 9.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bell.wait, 20.0)
        await anyio.sleep(1.0)
        bell.set("early", 2.0)
    assert bell.rung == [("early", 2.0), ("late", 9.0)]


async def test_an_action_may_set_and_clear_alarms() -> None:
    bell = Bell()

    def action() -> None:
        bell.alarms.clear("b")
        bell.set("c", 1.0)
        bell.set("d", 4.0)

    bell.alarms.set("a", 1.0, action)
    bell.set("b", 1.0)
    await bell.wait(10.0)
    assert bell.rung == [("c", 1.0), ("d", 4.0)]


@pytest.mark.parametrize("start", [0.1, 1 / 3, 12345.678, 1e5 / 7])
async def test_rounding_neither_delays_an_alarm_nor_makes_the_task_spin(start: float) -> None:
    await anyio.sleep(start)
    bell = Bell()
    for number in range(50):
        bell.set(str(number), number * 0.1)
    await bell.wait(10.0)
    assert [name for name, _ in bell.rung] == [str(number) for number in range(50)]


async def test_what_an_action_raises_ends_the_call() -> None:
    bell = Bell()
    bell.alarms.set("a", 1.0, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await bell.alarms.run()
