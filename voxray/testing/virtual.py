"""Virtual time: calls that last half a minute, run in milliseconds, the same way each time.

`run_virtual(call, …)` runs an async function on an event loop whose clock jumps to the next timer as soon as nothing is
left to do. `anyio.current_time`, `sleep`, `move_on_after` and their asyncio twins all follow it. Sockets and threads
still work: a ready socket is read before the clock moves, and the clock stands still while a worker thread is busy.

In pytest, give a test file this loop with

    @pytest.fixture
    def anyio_backend():
        return VIRTUAL_BACKEND
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from itertools import count
from types import CodeType, FrameType
from typing import Any, TypeVar, TypeVarTuple

import anyio
import anyio.to_thread

T = TypeVar("T")
Args = TypeVarTuple("Args")

PATIENCE_SECS = 5.0  # of real time for a socket or thread when nothing else could ever happen
SPIN_LIMIT = 200_000  # steps of the loop without the clock moving: nobody is waiting for anything, forever
LIMIT_SECS = 24 * 3600.0  # of virtual time; a call that runs on after that has lost its end


class VirtualTimeError(RuntimeError):
    """The program under test cannot end: the text names what is waiting, and where."""


class _Task(asyncio.Task[Any]):
    """A task with a hash of its own. anyio keeps tasks in sets, and the default hash is an address: the order of
    cancellation would change from run to run."""

    _serial: int

    def __new__(cls, *args: Any, loop: VirtualTimeLoop, **kwargs: Any) -> _Task:
        task = super().__new__(cls)
        task._serial = next(loop.serials)
        return task

    def __hash__(self) -> int:
        return self._serial


class _JumpingSelector(selectors.BaseSelector):
    """Waits for files as it must, and for time not at all."""

    def __init__(self, clock: VirtualTimeLoop | None = None) -> None:
        self._real = selectors.DefaultSelector()
        self.loop: VirtualTimeLoop | None = clock

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        loop = self.loop
        ready = self._real.select(0)
        if loop is None or ready:
            return ready
        if timeout is not None and timeout <= 0:
            loop.count_step()
            return ready
        return self._wait(loop, timeout)

    def _wait(self, loop: VirtualTimeLoop, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        # A thread costs no virtual time; a socket costs what `io_wait_secs` grants, unless nothing else can happen.
        busy = loop.busy_threads()
        files = len(self._real.get_map()) > 1  # one of them is the loop's own wake-up
        patience = PATIENCE_SECS if busy or (files and timeout is None) else loop.io_wait_secs if files else 0.0
        if patience:
            ready = self._real.select(patience)
            if ready:
                return ready
        if timeout is None or busy:
            raise VirtualTimeError(loop.explain("a thread or socket did not answer" if patience else "deadlock"))
        loop.jump(timeout)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop with its own clock, which starts at 0 and jumps.

    `io_wait_secs` is the real time it gives sockets to become ready before each jump: 0 is enough for peers in the same
    loop, other threads and processes need more. `limit_secs` bounds virtual time.
    """

    def __init__(self, io_wait_secs: float = 0.0, limit_secs: float = LIMIT_SECS) -> None:
        self._now = 0.0
        self._steps = 0
        self._executing = 0
        self.io_wait_secs = io_wait_secs
        self.limit_secs = limit_secs
        self.serials = count(1)
        selector = _JumpingSelector()
        super().__init__(selector)
        selector.loop = self
        self.set_task_factory(self._make_task)  # type: ignore[arg-type]

    def _make_task(self, loop: VirtualTimeLoop, coro: Any, **kwargs: Any) -> _Task:
        return _Task(coro, loop=loop, **kwargs)

    def time(self) -> float:
        return self._now

    def jump(self, secs: float) -> None:
        """Move the clock."""
        self._now += secs
        self._steps = 0
        if self._now > self.limit_secs:
            limit, self.limit_secs = self.limit_secs, self.limit_secs + 60  # for the clean-up
            raise VirtualTimeError(self.explain(f"no end within {limit:g} s"))

    def count_step(self) -> None:
        """Note that the loop went round without time passing."""
        self._steps += 1
        if self._steps > SPIN_LIMIT:
            self._steps = 0
            raise VirtualTimeError(self.explain(f"{SPIN_LIMIT} steps without waiting for anything"))

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Args], T], *args: *Args) -> asyncio.Future[T]:
        self._executing += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._executed)
        return future

    def _executed(self, _: object) -> None:
        self._executing -= 1

    def busy_threads(self) -> int:
        """How many worker threads this loop is waiting for."""
        try:
            return self._executing + anyio.to_thread.current_default_thread_limiter().borrowed_tokens
        except anyio.NoEventLoopError:  # plain asyncio without anyio
            return self._executing

    def explain(self, what: str) -> str:
        """`what` and the place where each task waits."""
        lines = sorted(f"  {task.get_name()}: {_place(task.get_coro())}" for task in asyncio.all_tasks(self))
        return f"{what} at {self._now:.3f} s of virtual time; waiting are\n" + "\n".join(lines)


def _place(awaited: Any) -> str:
    """The innermost line outside the event loop's own code that `awaited` has reached."""
    place = "not started"
    while awaited is not None:
        frame: FrameType | None = None
        for name in ("cr", "ag", "gi"):
            frame = frame or getattr(awaited, f"{name}_frame", None)
        code: CodeType | None = frame.f_code if frame else None
        if frame and code and not any(part in code.co_filename for part in ("/asyncio/", "/anyio/")):
            place = f"{code.co_filename}:{frame.f_lineno} in {code.co_name}"
        awaited = next(
            (getattr(awaited, f"{name}_await", None) for name in ("cr", "ag") if hasattr(awaited, f"{name}_await")),
            getattr(awaited, "gi_yieldfrom", None),
        )
    return place


@contextmanager
def _ordered_scopes() -> Iterator[None]:
    """Give anyio's cancel scopes the hash of the task they run in, for the reason given at `_Task`."""
    from anyio._backends._asyncio import CancelScope

    def order(scope: CancelScope) -> int:
        return hash(scope._host_task)

    kept = CancelScope.__hash__
    CancelScope.__hash__ = order  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        CancelScope.__hash__ = kept  # type: ignore[method-assign]


VIRTUAL_BACKEND: tuple[str, dict[str, Any]] = ("asyncio", {"loop_factory": VirtualTimeLoop})
"""What an `anyio_backend` fixture returns to run a test in virtual time."""


def run_virtual(
    func: Callable[[*Args], Awaitable[T]],
    *args: *Args,
    io_wait_secs: float = 0.0,
    limit_secs: float = LIMIT_SECS,
) -> T:
    """Run `func(*args)` in virtual time and return its result.

    Raises:
        VirtualTimeError: it cannot end: everything waits for everything, the clock passed `limit_secs`, or the loop
            turns without waiting. A socket or thread gets 5 s of real time when nothing else is left to wait for.
    """

    def make() -> VirtualTimeLoop:
        return VirtualTimeLoop(io_wait_secs, limit_secs)

    with _ordered_scopes():
        return anyio.run(func, *args, backend_options={"loop_factory": make})
