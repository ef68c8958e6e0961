"""Running the server: listen, announce, and leave without dropping a call that may still end by itself."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

import anyio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config

from voxray.config.settings import Settings
from voxray.errors import ConfigError
from voxray.registry import Registry
from voxray.server.app import create_app
from voxray.server.envelope import ASGIApp
from voxray.server.guard import is_loopback
from voxray.server.hypercorn_socket import connected
from voxray.server.runtime import Runtime, open_runtime

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 1024 * 1024  # of a websocket; larger closes with 1009
HEADER_SECS = 5.0  # for a request's headers, and between two requests
BACKLOG = 1024
SEND_BUFFER_BYTES = 32 * 1024  # in the kernel, which doubles it: 1.3 s of speech, then who does not read shows itself
# A peer that vanished without a word is noticed within 15 to 30 s, whether we send to it or not.
TCP_OPTIONS = {"TCP_NODELAY": 1, "TCP_USER_TIMEOUT": 15_000, "TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
STOP_SECS = 3.0  # for connections after the calls are over


def listen(settings: Settings, port: int | None = None) -> socket.socket:
    """The listening socket of `settings`; `port` overrides theirs, 0 takes a free one.

    Raises:
        ConfigError: the address cannot be bound.
    """
    host = "127.0.0.1" if settings.host == "localhost" else settings.host.strip("[]")
    wanted = settings.port if port is None else port
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in TCP_OPTIONS.items():
        if hasattr(socket, option):  # accepted sockets inherit them
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    try:
        listener.bind((host, wanted))
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen on {host}:{wanted}: {error.strerror or error}") from error
    listener.setblocking(False)
    return listener


def check_exposure(settings: Settings, *, insecure: bool = False) -> None:
    """Refuse what would be open to everybody.

    Raises:
        ConfigError: a public address without a key, TLS without its files.
    """
    if settings.tls_enable and not (settings.tls_cert_file and settings.tls_key_file):
        raise ConfigError("tls_enable needs tls_cert_file and tls_key_file")
    if not insecure and not settings.server_api_key and not is_loopback(settings.host):
        raise ConfigError(
            f'host "{settings.host}" can be reached from outside and there is no server_api_key; '
            "set VOXRAY_SERVER_API_KEY, or say --insecure"
        )


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Raises ConfigError: certificate or key cannot be used."""
    if not settings.tls_enable:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.tls_cert_file, settings.tls_key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"tls_cert_file or tls_key_file cannot be used: {error}") from error
    return context


def address(settings: Settings, listener: socket.socket) -> str:
    """The URL to show."""
    host, port = listener.getsockname()[:2]
    shown = "localhost" if settings.host == "localhost" else f"[{host}]" if ":" in host else host
    return f"{'https' if settings.tls_enable else 'http'}://{shown}:{port}"


async def serve(
    app: ASGIApp,
    listener: socket.socket,
    stop: anyio.Event,
    *,
    tls: ssl.SSLContext | None = None,
    header_secs: float = HEADER_SECS,
) -> None:
    """Answer connections of `listener` until `stop`; then close, within a few seconds."""
    config = _config(header_secs)
    context = WorkerContext(None)
    wrapped = ASGIWrapper(app)  # type: ignore[arg-type]
    tasks: set[asyncio.Task[None]] = set()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        try:
            await connected(wrapped, config, context, reader, writer)
        except asyncio.CancelledError:  # only we cancel it, at the very end; asyncio would log that as a fault
            writer.transport.abort()

    server = await asyncio.start_server(accepted, sock=listener, ssl=tls, backlog=BACKLOG)
    try:
        await stop.wait()
    finally:
        await context.terminated.set()
        server.close()
        with anyio.CancelScope(shield=True):
            await _finish(tasks)


async def run(
    settings: Settings,
    registry: Registry,
    listener: socket.socket,
    *,
    announce: Callable[[], None] = lambda: None,
    parent: int | None = None,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. The first lets calls end (`drain_secs`), the second ends them at once.

    `announce` is called when connections are answered; `about` is what the console says of the agent; `parent` is a
    descriptor that becomes readable when the process that started this one is gone. Raises VoxrayError.
    """
    tls = tls_context(settings)
    stop = anyio.Event()
    async with open_runtime(settings, registry) as runtime:
        app = create_app(runtime, about=about)
        async with anyio.create_task_group() as tasks:
            drain = partial(_drain, runtime, stop)
            await tasks.start(_obey_signals, drain, runtime.calls.end_all)
            if parent is not None:
                tasks.start_soon(_outlive_nobody, parent, drain)
            listener.listen(BACKLOG)  # from here on connections wait for us instead of being refused
            announce()
            await serve(app, listener, stop, tls=tls)
            tasks.cancel_scope.cancel()


async def _drain(runtime: Runtime, stop: anyio.Event) -> None:
    logger.info("stopping", extra={"calls": len(runtime.calls), "drain_secs": runtime.settings.drain_secs})
    await runtime.calls.drain(runtime.settings.drain_secs)
    stop.set()


async def _outlive_nobody(parent: int, drain: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await anyio.wait_readable(parent)
    await drain()


async def _obey_signals(
    first: Callable[[], Coroutine[Any, Any, None]],
    second: Callable[[], None],
    *,
    task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    async with anyio.create_task_group() as tasks:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            seen = False
            async for _ in signals:
                if seen:
                    second()
                else:
                    tasks.start_soon(first)
                seen = True


async def _finish(tasks: set[asyncio.Task[None]]) -> None:
    """Give connections a moment, then cancel what is left of them."""
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=STOP_SECS)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=STOP_SECS)


def _config(header_secs: float) -> Config:
    config = Config()
    config.websocket_max_message_size = MAX_MESSAGE_BYTES
    config.keep_alive_timeout = header_secs
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    return config
