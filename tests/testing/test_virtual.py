import itertools
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from voxray.testing.virtual import VIRTUAL_BACKEND, VirtualTimeError, run_virtual


def test_half_an_hour_takes_no_time() -> None:
    async def call() -> float:
        for _ in range(30):
            await anyio.sleep(60)
        return anyio.current_time()

    started = time.perf_counter()
    assert run_virtual(call) == 1800
    assert time.perf_counter() - started < 1


def test_timers_of_several_tasks_fire_in_order() -> None:
    async def call() -> list[tuple[float, str]]:
        seen: list[tuple[float, str]] = []

        async def after(secs: float, name: str) -> None:
            await anyio.sleep(secs)
            seen.append((anyio.current_time(), name))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(after, 3, "c")
            tasks.start_soon(after, 1, "a")
            tasks.start_soon(after, 2, "b")
        return seen

    assert run_virtual(call) == [(1, "a"), (2, "b"), (3, "c")]


def test_deadlines_follow_the_virtual_clock() -> None:
    async def call() -> tuple[bool, float]:
        with anyio.move_on_after(2.5) as scope:
            await anyio.sleep_forever()
        return scope.cancelled_caught, anyio.current_time()

    assert run_virtual(call) == (True, 2.5)


def test_a_deadlock_is_named_with_the_line_that_waits() -> None:
    async def call() -> None:
        never = anyio.Event()
        await never.wait()

    with pytest.raises(VirtualTimeError, match=r"(?s)deadlock at 0\.000 s.*test_virtual\.py:\d+ in call"):
        run_virtual(call)


def test_a_call_without_end_is_stopped_by_the_limit() -> None:
    async def call() -> None:
        for _ in itertools.count():
            await anyio.sleep(1)

    with pytest.raises(VirtualTimeError, match=r"no end within 60 s at 61\.000 s"):
        run_virtual(call, limit_secs=60)


def test_a_loop_that_never_waits_is_stopped() -> None:
    async def call() -> None:
        while True:
            await anyio.lowlevel.checkpoint()

    with pytest.raises(VirtualTimeError, match="without waiting"):
        run_virtual(call)


def test_a_thread_costs_no_virtual_time() -> None:
    release = threading.Event()

    async def call() -> tuple[str, float]:
        async def timer() -> None:
            await anyio.sleep(100)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(timer)
            answer = await anyio.to_thread.run_sync(lambda: "done" if not release.wait(0.05) else "")
            at = anyio.current_time()
            tasks.cancel_scope.cancel()
        return answer, at

    assert run_virtual(call) == ("done", 0)


def test_sockets_of_the_same_loop_are_read_before_the_clock_moves() -> None:
    async def call() -> tuple[bytes, float]:
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)
            right.setblocking(False)

            async def answer() -> None:
                await anyio.wait_readable(right)
                right.send(right.recv(10).upper())

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(answer)
                tasks.start_soon(anyio.sleep, 5)
                left.send(b"hello")
                await anyio.wait_readable(left)
                heard, at = left.recv(10), anyio.current_time()
        return heard, at

    assert run_virtual(call) == (b"HELLO", 0)


def test_a_socket_that_answers_late_is_waited_for_when_nothing_else_is_left() -> None:
    async def call() -> bytes:
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)
            timer = threading.Timer(0.02, right.send, [b"late"])
            timer.start()
            await anyio.wait_readable(left)
            timer.join()
            return left.recv(10)

    assert run_virtual(call) == b"late"


PROGRAM = """
import anyio
from voxray.testing.virtual import run_virtual

async def call():
    ends = []
    async def sleeper(name):
        try:
            with anyio.move_on_after(100):
                await anyio.sleep_forever()
        finally:
            ends.append((anyio.current_time(), name))
    async with anyio.create_task_group() as tasks:
        for name in range(20):
            tasks.start_soon(sleeper, name)
        await anyio.sleep(1)
        tasks.cancel_scope.cancel()
    print(ends)

junk = [bytes(n) for n in range(JUNK)]
run_virtual(call)
"""


def test_tasks_are_cancelled_in_the_same_order_in_every_run() -> None:
    runs = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM.replace("JUNK", str(100 + n * 77))],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for n in range(3)
    }
    assert len(runs) == 1


class TestTheFixture:
    @pytest.fixture
    def anyio_backend(self) -> tuple[str, dict[str, Any]]:
        return VIRTUAL_BACKEND

    @pytest.mark.anyio
    async def test_a_pytest_file_can_run_in_virtual_time(self) -> None:
        before = anyio.current_time()
        await anyio.sleep(3600)
        assert anyio.current_time() - before == 3600
