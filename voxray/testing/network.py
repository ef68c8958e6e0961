"""Guards for a test run: no connection leaves this machine, and nothing is left behind.

@pytest.fixture(autouse=True)
def no_network():
    with only_loopback():
        yield

async def test_a_call():
    async with leaks():
        ...
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio

POLL_SECS = 0.01
SETTLE_SECS = 1.0  # what a socket or task may take to be gone after its block
POOLS = ("AnyIO worker thread", "asyncio_", "ThreadPoolExecutor")  # idle threads that are kept for the next use
DESCRIPTORS = Path("/proc/self/fd")


class NetworkError(AssertionError):
    """A test reached for the network."""


class LeakError(AssertionError):
    """A block left tasks, threads or descriptors behind."""


@contextmanager
def only_loopback() -> Iterator[None]:
    """Refuse every connection, datagram and name lookup but this machine's own. Raises NetworkError where it is tried.

    Holds for Python's sockets: asyncio, httpx, websockets, requests. uvloop opens its sockets in C and is not seen.
    """

    def guarded(name: str) -> Any:
        original = getattr(socket.socket, name)

        def call(self: socket.socket, *args: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6):
                _allow(args[-1 if name == "sendto" else 0][0], name)
            return original(self, *args)

        return call

    resolve = socket.getaddrinfo

    def lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        _allow(host, "getaddrinfo")
        return resolve(host, *args, **kwargs)

    names = ("connect", "connect_ex", "sendto")
    outer = {name: vars(socket.socket).get(name) for name in names}  # of a guard around this one
    for name, method in [(name, guarded(name)) for name in names]:
        setattr(socket.socket, name, method)
    socket.getaddrinfo = lookup
    try:
        yield
    finally:
        socket.getaddrinfo = resolve
        for name, method in outer.items():
            if method is None:
                delattr(socket.socket, name)  # the C class below still has it
            else:
                setattr(socket.socket, name, method)


def _allow(host: Any, what: str) -> None:
    if host is None or host == "":
        return
    name = host.decode() if isinstance(host, bytes) else str(host)
    try:
        if ip_address(name.partition("%")[0]).is_loopback or ip_address(name.partition("%")[0]).is_unspecified:
            return
    except ValueError:
        if name == "localhost" or name.endswith(".localhost"):
            return
    raise NetworkError(f'{what} to "{name}": tests must not leave this machine')


class _Seen:
    """What a process holds at one moment, by what identifies it."""

    def __init__(self) -> None:
        self.threads = {
            thread.ident: thread.name for thread in threading.enumerate() if not thread.name.startswith(POOLS)
        }
        self.descriptors = dict(_descriptors())
        self.tasks: dict[int, str] = {}
        try:
            running = asyncio.all_tasks()
        except RuntimeError:
            return
        self.tasks = {id(task): f"{task.get_name()} in {_coroutine(task)}" for task in running}

    def more_than(self, before: _Seen) -> list[str]:
        found = [f"thread {name}" for ident, name in self.threads.items() if ident not in before.threads]
        found += [f"task {name}" for ident, name in self.tasks.items() if ident not in before.tasks]
        known = set(before.descriptors.items())
        return found + [f"descriptor {item[0]}: {item[1]}" for item in self.descriptors.items() if item not in known]


def _descriptors() -> Iterator[tuple[int, str]]:
    if not DESCRIPTORS.is_dir():
        return
    for entry in os.listdir(DESCRIPTORS):
        try:
            target = os.readlink(DESCRIPTORS / entry)
        except OSError:  # the one that listed the folder
            continue
        yield int(entry), target


def _coroutine(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", "?")


class leaks:  # noqa: N801 - reads as the statement it is: `with leaks():`
    """Checks that a block leaves no task, thread or file descriptor behind; LeakError names the guilty.

    `async with` gives what is closing up to `settle_secs` to be gone; `with` too, for threads and descriptors. Idle
    threads of pools do not count. Descriptors are only seen where /proc is.
    """

    def __init__(self, settle_secs: float = SETTLE_SECS) -> None:
        self._settle_secs = settle_secs
        self._before: _Seen | None = None

    def __enter__(self) -> Self:
        self._before = _Seen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _ in range(int(self._settle_secs / POLL_SECS)):
            if not self._found():
                break
            time.sleep(POLL_SECS)
        self._judge(error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _ in range(int(self._settle_secs / POLL_SECS)):
            if not self._found():
                break
            await anyio.sleep(POLL_SECS)
        self._judge(error)

    def _found(self) -> list[str]:
        assert self._before is not None
        return _Seen().more_than(self._before)

    def _judge(self, error: BaseException | None) -> None:
        if error is None and (found := self._found()):  # the block's own error says more
            raise LeakError("left behind: " + "; ".join(found))
