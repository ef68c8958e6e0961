"""A vendor's HTTP server for tests and load runs, under full control of every byte it sends.

Bare asyncio on purpose: a web framework neither resets a connection nor stops in the middle of a chunk. One process
carries hundreds of slow streams; the path of one piece of body is a format and a `transport.write`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import anyio
import anyio.abc
import anyio.lowlevel

from voxray.testing.http_form import FormPart, parse_form

if TYPE_CHECKING:
    from types import TracebackType

    from voxray.testing.http_socket import ServerSocket

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 26 * 1024 * 1024
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


@dataclass(slots=True)
class Request:
    """One request as it came, and how its answer ended. Times are the event loop's."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes
    at: float
    sent_bytes: int = 0  # of the answer's body, or of messages on a socket
    client_closed: bool = False  # the client left before the answer was complete
    ended_at: float = 0.0
    finished: anyio.Event = field(default_factory=anyio.Event)
    messages: deque[str | bytes] = field(default_factory=lambda: deque(maxlen=2000))  # that came over the socket
    close_code: int | None = None  # the client's, on a socket

    def json(self) -> Any:
        return json.loads(self.body)

    def form(self) -> dict[str, FormPart]:
        """The parts of a multipart body by name; of equal names the last. Raises ValueError."""
        return parse_form(self.headers.get("content-type", ""), self.body)


Handler = Callable[["Exchange"], Awaitable[None]]


class FakeServer:
    """Listens on loopback while its `async with` block runs; `handle` answers each request.

    `requests` keeps the newest `keep_requests`. A handler is cancelled when its client leaves. An exception in a
    handler ends the block: a bug of a test shows where it is.
    """

    def __init__(
        self,
        handle: Handler,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        keep_requests: int = 1000,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self.handle = handle
        self.host = host
        self.port = port
        self.requests: deque[Request] = deque(maxlen=keep_requests)
        self.max_body_bytes = max_body_bytes
        self.connections: set[_Connection] = set()
        self._emptied: anyio.Event | None = None
        self.accepted = 0  # connections ever made: keep-alive shows here

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            self.tasks = await stack.enter_async_context(anyio.create_task_group())
            self._server = await loop.create_server(lambda: _Connection(self, loop), self.host, self.port, backlog=1024)
            self._stack = stack.pop_all()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._server.close()
        self.tasks.cancel_scope.cancel()
        self._emptied = anyio.Event()
        for connection in tuple(self.connections):
            connection.transport.abort()
        try:
            # The block's own error leaves as it is: only errors of handlers come as a group.
            if error is None or isinstance(error, anyio.get_cancelled_exc_class()):
                return await self._stack.__aexit__(kind, error, trace)
            await self._stack.__aexit__(None, None, None)
            return None
        finally:
            with anyio.move_on_after(2, shield=True):
                # Whoever was just accepted gets its `connection_made` in the loop's next rounds.
                for _ in range(3):
                    await anyio.lowlevel.checkpoint()
                while self.connections:
                    self._emptied = anyio.Event()
                    await self._emptied.wait()
                await self._server.wait_closed()

    @property
    def closing(self) -> bool:
        return self._emptied is not None

    def forget(self, connection: _Connection) -> None:
        self.connections.discard(connection)
        if not self.connections and self._emptied is not None:
            self._emptied.set()


class Exchange:
    """One request and the means to answer it, well or badly."""

    def __init__(self, connection: _Connection, request: Request, raw_head: bytes) -> None:
        self.request = request
        self.scope = anyio.CancelScope()
        self.ended = False
        self._connection = connection
        self._transport = connection.transport
        self._raw_head = raw_head
        self._chunked = False
        self._headed = False

    def head(
        self,
        status: int = 200,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        *,
        length: int | None = None,
    ) -> None:
        """Send status line and headers; without `length` the body is chunked."""
        lines = [
            b"HTTP/1.1 %d %s\r\ncontent-type: %s" % (status, _REASONS.get(status, b"Unknown"), content_type.encode())
        ]
        lines += [f"{name}: {value}".encode() for name, value in (headers or {}).items()]
        self._chunked = length is None
        lines.append(b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length)
        self._headed = True
        self._transport.write(b"\r\n".join(lines) + b"\r\n\r\n")

    def write(self, data: bytes) -> None:
        """One piece of the body (one chunk, if chunked)."""
        if not data:
            return
        self.request.sent_bytes += len(data)
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    async def chunk(self, data: bytes, delay_secs: float = 0.0) -> None:
        """`write` after a delay, and not faster than the client reads."""
        if delay_secs > 0:
            await anyio.sleep(delay_secs)
        self.write(data)
        if self._connection.paused is not None:
            await self._connection.paused.wait()

    def end(self) -> None:
        """The answer is complete; the connection stays for the next request."""
        if self.ended:
            return
        self.ended = True
        if not self._headed:
            self.head(200, length=0)
        if self._chunked:
            self._transport.write(b"0\r\n\r\n")

    def respond(self, status: int, body: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        self.head(status, content_type, headers, length=len(body))
        self.write(body)
        self.end()

    def json(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        self.respond(status, json.dumps(body).encode(), "application/json", headers)

    async def abort(self) -> None:
        """TCP reset. Does not return."""
        self.ended = True
        sock = self._transport.get_extra_info("socket")
        if sock is not None:  # without lingering, close() sends RST in place of FIN
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
        await anyio.sleep_forever()

    async def fin_midchunk(self, data: bytes = b"x") -> None:
        """Promise more than is sent, then close in good order. Does not return."""
        self.ended = True
        if not self._headed:
            self.head(200)
        self.request.sent_bytes += len(data)
        self._transport.write(b"%x\r\n%b" % (len(data) + 64, data))
        self._transport.close()
        await anyio.sleep_forever()

    async def stall(self) -> None:
        """Send nothing more until the client leaves. Does not return."""
        await anyio.sleep_forever()

    async def half_open(self) -> None:
        """Neither send nor read: the peer of a client whose cable was cut. Does not return before the server ends."""
        self._transport.pause_reading()
        await anyio.sleep_forever()

    def accept(self) -> ServerSocket:
        """Turn the connection into a websocket. Raises ValueError if the request does not ask for one."""
        from voxray.testing.http_socket import ServerSocket

        self._connection.socket = ServerSocket(self._transport, self.request, self._raw_head)
        self._headed = self.ended = True
        return self._connection.socket


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, server: FakeServer, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._buffer = bytearray()
        self._exchange: Exchange | None = None
        self.paused: anyio.Event | None = None
        self.socket: ServerSocket | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one by shape, not by class
        self._server.connections.add(self)
        if self._server.closing:
            self.transport.abort()
        self._server.accepted += 1

    def data_received(self, data: bytes) -> None:
        if self.socket is not None:
            self.socket.feed(data)
            return
        self._buffer += data
        if self._exchange is None:
            self._next()

    def eof_received(self) -> bool:
        return False  # a client that sends no more has left: the transport closes, and connection_lost follows

    def connection_lost(self, error: Exception | None) -> None:
        self._server.forget(self)
        self.resume_writing()
        if self.socket is not None:
            self.socket.lost()
        if self._exchange is not None:
            self._exchange.request.client_closed = not self._exchange.ended
            self._exchange.scope.cancel()

    def pause_writing(self) -> None:
        self.paused = anyio.Event()

    def resume_writing(self) -> None:
        if self.paused is not None:
            self.paused.set()
            self.paused = None

    def _next(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                self._refuse(431)
            return
        raw_head = bytes(self._buffer[: end + 4])
        try:
            request, length = _parse_head(raw_head, self._loop.time())
        except ValueError:
            self._refuse(400)
            return
        if length > self._server.max_body_bytes:
            self._refuse(413)
            return
        if len(self._buffer) < end + 4 + length:
            return
        request.body = bytes(self._buffer[end + 4 : end + 4 + length])
        del self._buffer[: end + 4 + length]
        self._server.requests.append(request)
        self._exchange = Exchange(self, request, raw_head)
        self._server.tasks.start_soon(self._answer, self._exchange)

    async def _answer(self, exchange: Exchange) -> None:
        with exchange.scope, suppress(anyio.EndOfStream):  # a socket's client has closed
            await self._server.handle(exchange)
            exchange.end()
        exchange.request.ended_at = self._loop.time()
        exchange.request.finished.set()
        self._exchange = None
        if self.socket is not None:
            self.socket.close()
            self.transport.close()
        elif exchange.request.headers.get("connection", "").lower() == "close":
            self.transport.close()
        elif not self.transport.is_closing():
            self._next()

    def _refuse(self, status: int) -> None:
        self.transport.write(
            b"HTTP/1.1 %d %s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % (status, _REASONS[status])
        )
        self.transport.close()


def _parse_head(raw: bytes, now: float) -> tuple[Request, int]:
    first, *rest = raw[:-4].decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(version)
    headers: dict[str, str] = {}
    for line in rest:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(line)
        headers[name.strip().lower()] = value.strip()
    if "chunked" in headers.get("transfer-encoding", "").lower():
        raise ValueError("a request body must say its length")
    length = int(headers.get("content-length", "0"))
    if length < 0:
        raise ValueError("negative length")
    url = urlsplit(target)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    return Request(method, unquote(url.path), query, headers, b"", now), length
