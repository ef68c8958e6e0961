"""A server of the demo inside this process, on a free loopback port, for as long as a block lasts."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType

import anyio

from voxray.config.settings import Settings
from voxray.registry import Registry
from voxray.server.app import create_app
from voxray.server.run import BACKLOG, listen, serve
from voxray.server.runtime import open_runtime

STOP_SECS = 1.0  # for calls that are still there


class LocalServer:
    """`async with LocalServer(settings, registry) as url:` gives the address of its socket. Raises VoxrayError."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._settings = settings
        self._registry = registry
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> str:
        async with AsyncExitStack() as stack:
            listener = stack.enter_context(listen(self._settings, 0))
            self._runtime = await stack.enter_async_context(open_runtime(self._settings, self._registry))
            tasks = await stack.enter_async_context(anyio.create_task_group())
            self._stop = anyio.Event()
            listener.listen(BACKLOG)
            tasks.start_soon(serve, create_app(self._runtime), listener, self._stop)
            self._stack = stack.pop_all()
        host, port = listener.getsockname()[:2]
        return f"ws://{host}:{port}/ws"

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self._runtime.calls.drain(STOP_SECS)
        self._stop.set()
        await self._stack.__aexit__(None, None, None)
