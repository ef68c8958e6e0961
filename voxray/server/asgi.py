"""For other ASGI servers: `uvicorn --factory voxray.server.asgi:app` with the configuration named by VOXRAY_CONFIG."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from voxray.errors import VoxrayError
from voxray.server.app import create_app
from voxray.server.envelope import ASGIApp, Receive, Scope, Send
from voxray.server.runtime import Runtime


def app() -> ASGIApp:
    """The application; its resources are opened by the lifespan. Raises ConfigError."""
    from voxray.config.load import load_settings
    from voxray.registry import Registry
    from voxray.server.runtime import open_runtime

    registry = Registry.load()
    settings = load_settings(os.environ.get("VOXRAY_CONFIG") or "config.json", registry)
    return LifespanApp(lambda: open_runtime(settings, registry))


class LifespanApp:
    """Opens the runtime when the server starts, and serves the application made from it."""

    def __init__(self, opening: Callable[[], AbstractAsyncContextManager[Runtime]]) -> None:
        self._opening = opening
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._app is not None:
            await self._app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()  # lifespan.startup
        try:
            async with self._opening() as runtime:
                self._app = create_app(runtime)
                await send({"type": "lifespan.startup.complete"})
                await receive()  # lifespan.shutdown
                await runtime.calls.drain(runtime.settings.drain_secs)
        except VoxrayError as error:
            failed = "startup" if self._app is None else "shutdown"
            await send({"type": f"lifespan.{failed}.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})
