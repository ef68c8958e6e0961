"""Several processes behind one listening socket: started, watched, and stopped together."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio
from anyio.abc import Process, TaskStatus
from prometheus_client.multiprocess import mark_process_dead

from voxray.errors import VoxrayError
from voxray.server.metrics import MULTIPROCESS_DIR

logger = logging.getLogger(__name__)

RESTART_SECS = 1.0  # between the end of a process and its successor
START_SECS = 60.0
YOUNG_SECS = 10.0  # a process that ends earlier did not work
MAX_YOUNG_ENDS = 3  # in a row, then the whole server gives up


class WorkersFailedError(VoxrayError):
    """Processes end as soon as they start."""


@dataclass(slots=True)
class _State:
    stopping: bool = False
    young_ends: int = 0


class Workers:
    """`command` starts one process; two descriptors are appended to it, of the listening socket and of a socket to us.
    On the latter it sends a byte when it answers calls, and stops when we are gone."""

    def __init__(self, command: Sequence[str], count: int, listener: socket.socket) -> None:
        self._command = command
        self._count = count
        self._listener = listener
        self._processes: dict[int, Process] = {}
        self._state = _State()

    async def run(self, announce: Callable[[], None]) -> None:
        """Until SIGTERM or SIGINT, which every process gets as often as we do. Raises WorkersFailedError."""
        folder = tempfile.mkdtemp(prefix="voxray-metrics-")
        try:
            async with anyio.create_task_group() as tasks:
                await tasks.start(self._pass_signals)
                async with anyio.create_task_group() as slots:
                    async with anyio.create_task_group() as starting:
                        for _ in range(self._count):
                            starting.start_soon(slots.start, self._keep_one, folder)
                    announce()
                tasks.cancel_scope.cancel()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if not self._state.stopping:
            raise WorkersFailedError("the worker processes end as soon as they start; their messages are above")

    async def _keep_one(self, folder: str, *, task_status: TaskStatus[None]) -> None:
        told = False
        while not self._state.stopping and self._state.young_ends < MAX_YOUNG_ENDS:
            born = anyio.current_time()
            ours, theirs = socket.socketpair()
            with ours:
                with theirs:
                    process = await self._start(folder, theirs)
                async with process:
                    self._processes[process.pid] = process
                    with anyio.move_on_after(START_SECS):
                        await anyio.wait_readable(ours)  # it answers calls, or is gone
                    if not told:
                        told = True
                        task_status.started()
                    code = await process.wait()
            del self._processes[process.pid]
            mark_process_dead(process.pid, folder)  # type: ignore[no-untyped-call]
            if self._state.stopping:
                return
            young = anyio.current_time() - born < YOUNG_SECS
            self._state.young_ends = self._state.young_ends + 1 if young else 0
            logger.error("a worker process ended", extra={"pid": process.pid, "code": code})
            await anyio.sleep(RESTART_SECS)

    async def _start(self, folder: str, parent: socket.socket) -> Process:
        descriptors = (self._listener.fileno(), parent.fileno())
        return await anyio.open_process(
            [*self._command, "--fd", str(descriptors[0]), "--parent-fd", str(descriptors[1])],
            stdin=None,
            stdout=None,
            stderr=None,
            env={**os.environ, MULTIPROCESS_DIR: folder},
            pass_fds=descriptors,
        )

    async def _pass_signals(self, *, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for _ in signals:
                self._state.stopping = True
                for process in list(self._processes.values()):
                    process.terminate()
