"""A real server of fakes on loopback, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import anyio
import httpx
import websockets
from websockets.asyncio.client import ClientConnection

from voxray.builtin.memory_store import MemoryStore
from voxray.builtin.websocket import WebSocketListener
from voxray.config.settings import Settings
from voxray.protocols.call import CallInfo
from voxray.protocols.carrier import Carrier
from voxray.protocols.peers import Peers
from voxray.protocols.rooms import Rooms
from voxray.protocols.transport import Listener
from voxray.registry import Registry
from voxray.server.app import create_app
from voxray.server.calls import Calls, Hooks
from voxray.server.metrics import Metrics
from voxray.server.routes.endpoint import Endpoint
from voxray.server.run import listen, serve
from voxray.server.runtime import ListenerContext, Runtime
from voxray.server.telephony.lines import Lines
from voxray.session.services import Services, SessionOptions
from voxray.specs import SerializerSpec
from voxray.testing.fakes import services

WAIT_SECS = 5.0


@dataclass(slots=True)
class Served:
    runtime: Runtime
    port: int
    http: httpx.AsyncClient

    @property
    def calls(self) -> Calls:
        return self.runtime.calls

    def ws(self, path: str = "/ws", **options: Any) -> Any:
        return websockets.connect(f"ws://127.0.0.1:{self.port}{path}", **{"max_size": None, **options})

    async def metric(self, line: str) -> float:
        """The value of the sample that starts with `line`; 0 if there is none."""
        for row in (await self.http.get("/metrics")).text.splitlines():
            if row.startswith(line) and not row.startswith("#"):
                return float(row.rsplit(" ", 1)[1])
        return 0.0

    async def emptied(self) -> None:
        """Wait until no call is left."""
        with anyio.fail_after(WAIT_SECS):
            await self.calls.emptied()


@asynccontextmanager
async def serving(
    *,
    parts: Services | None = None,
    options: SessionOptions | None = None,
    max_sessions: int = 0,
    hooks: Hooks | None = None,
    prepare: Callable[[CallInfo], SessionOptions] | None = None,
    listeners: Sequence[Listener] | None = None,
    extra: Sequence[Endpoint] = (),
    session_store: Any = None,
    carriers: Sequence[Carrier] = (),
    peers: Peers | None = None,
    rooms: Sequence[Rooms] = (),
    metrics_enabled: bool = True,
    body_secs: float = 10.0,
    header_secs: float = 5.0,
    **settings: Any,
) -> AsyncIterator[Served]:
    chosen = replace(Settings(), **settings)
    metrics = Metrics(enabled=metrics_enabled)
    prepared = prepare or (lambda info: options or SessionOptions())
    calls = Calls(parts or services(), prepared, metrics, hooks=hooks, max_sessions=max_sessions)
    async with httpx.AsyncClient() as outgoing, anyio.create_task_group() as requests:
        context = ListenerContext("websocket", chosen, Registry.load(only=["-"]).specs(SerializerSpec), http=outgoing)
        runtime = Runtime(
            settings=chosen,
            calls=calls,
            metrics=metrics,
            listeners=[WebSocketListener(context)] if listeners is None else listeners,
            session_store=session_store,
            lines=Lines(
                carriers,
                chosen.telephony,
                session_store or MemoryStore(None),
                outgoing,
                metrics,
                requests,
                refusal=calls.refusal,
            )
            if carriers
            else None,
            tasks=requests,
            peers=peers,
            rooms=rooms,
        )
        app = create_app(runtime, extra=extra, body_secs=body_secs)
        listener = listen(chosen, 0)
        listener.listen(64)
        port = listener.getsockname()[1]
        stop = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(serve, app, listener, stop, header_secs=header_secs))
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
                yield Served(runtime, port, http)
            stop.set()
        requests.cancel_scope.cancel()


async def until(socket: ClientConnection, kind: str) -> list[Any]:
    """Messages up to the first text of type `kind`: parsed frames and raw audio."""
    import json

    messages: list[Any] = []
    with anyio.fail_after(WAIT_SECS):
        while True:
            message = await socket.recv()
            messages.append(message if isinstance(message, bytes) else json.loads(message))
            if isinstance(messages[-1], dict) and messages[-1]["type"] == kind:
                return messages


async def closing(socket: ClientConnection) -> tuple[int, str]:
    """Read to the end; the close code and reason."""
    with anyio.fail_after(WAIT_SECS):
        try:
            while True:
                await socket.recv()
        except websockets.ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")
