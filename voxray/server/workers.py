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
    """`command` starts one process; the listening socket's and a pipe's descriptor are appended to it. The process
    closes the pipe when it answers calls."""

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
                    for _ in range(self._count):
                        await slots.start(self._keep_one, folder)
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
            async with await self._start(folder) as process:
                self._processes[process.pid] = process
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
        if not told:
            task_status.started()

    async def _start(self, folder: str) -> Process:
        ready, told = os.pipe()
        descriptor = self._listener.fileno()
        try:
            process = await anyio.open_process(
                [*self._command, "--fd", str(descriptor), "--ready-fd", str(told)],
                stdin=None,
                stdout=None,
                stderr=None,
                env={**os.environ, MULTIPROCESS_DIR: folder},
                pass_fds=(descriptor, told),
            )
        finally:
            os.close(told)
        with anyio.move_on_after(START_SECS):
            await anyio.wait_readable(ready)  # readable when the other end is closed: it serves, or is gone
        os.close(ready)
        return process

    async def _pass_signals(self, *, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for _ in signals:
                self._state.stopping = True
                for process in list(self._processes.values()):
                    process.terminate()
