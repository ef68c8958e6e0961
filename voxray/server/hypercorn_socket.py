"""hypercorn's HTTP/1.1, with what calls need and it does not offer: sockets without compression, bounded however a
client behaves, and closed so that the client reads why.

Only this module and `run` know which server carries the application.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import anyio
from hypercorn.asyncio.task_group import TaskGroup, _handle
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Closed, RawData
from hypercorn.protocol.events import Body, Data, EndData, Event, Request, StreamClosed
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11WSConnection
from hypercorn.protocol.ws_stream import ASGIWebsocketState, FrameTooLargeError, WSStream
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import RemoteProtocolError

if TYPE_CHECKING:
    import h11

READ_BYTES = 64 * 1024
WRITE_BUFFER_BYTES = 16 * 1024  # above the kernel's
INBOX_MESSAGES = 16  # read ahead of the application; then the client has to wait
LINGER_SECS = 1.0  # for the client's half of a goodbye
CLOSE_SECS = 5.0  # for what was written to leave; a peer that does not read keeps a socket no longer than this
COMPRESSION = b"sec-websocket-extensions"  # a bomb for us, and 15 % of the time of a message

# First and second byte of a frame.
WHOLE_TEXT, WHOLE_BINARY, FINAL, CONTROL, MASKED = 0x81, 0x82, 0x80, 0x08, 0x80


class Inbox:
    """Messages for the application. A full one makes the reader wait, unless the application is over."""

    def __init__(self) -> None:
        self._messages: deque[Any] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._over = False

    async def put(self, message: Any) -> None:
        leaving = message["type"].endswith(".disconnect")
        while len(self._messages) >= INBOX_MESSAGES and not self._over and not leaving:
            self._room.clear()
            await self._room.wait()
        if not self._over:
            self._messages.append(message)
            self._arrived.set()

    async def get(self) -> Any:
        while not self._messages:
            self._arrived.clear()
            await self._arrived.wait()
        self._room.set()
        return self._messages.popleft()

    def finish(self) -> None:
        """The application has returned: nobody may wait for it any more."""
        self._over = True
        self._messages.clear()
        self._room.set()


class ConnectionTasks(TaskGroup):
    """The tasks of a connection, whose applications read from an `Inbox`."""

    async def spawn_app(
        self, app: Any, config: Any, scope: Any, send: Callable[[Any], Awaitable[None]]
    ) -> Callable[[Any], Awaitable[None]]:
        inbox = Inbox()

        async def finishing_send(message: Any) -> None:
            if message is None:
                inbox.finish()
            await send(message)

        in_thread = partial(self._loop.run_in_executor, None)
        self.spawn(_handle, app, config, scope, inbox.get, finishing_send, in_thread, _never)
        return inbox.put


class CallSocket(WSStream):
    """A websocket that breaks off at the first offence: what comes after it is neither read nor kept."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._peer_left = asyncio.Event()
        self._rest = bytearray()  # a frame that has not arrived as a whole
        self._in_fragments = False

    async def handle(self, event: Event) -> None:
        if isinstance(event, StreamClosed):
            self._peer_left.set()
        elif isinstance(event, Body | Data) and not self.handshake.accepted and not self.closed:
            await self._spoke_too_early()
            return
        if isinstance(event, Data) and not self.closed:
            await self.arrived(event.data)
            return
        await super().handle(event)

    @property
    def is_open(self) -> bool:
        return self.state is ASGIWebsocketState.CONNECTED

    async def app_send(self, message: Any) -> None:
        if message is not None and message["type"] == "websocket.send" and self.is_open and not self.closed:
            await self.send(Data(stream_id=self.stream_id, data=frame_of(message)))
            return
        if message is None and self.state is ASGIWebsocketState.CLOSED and not self.closed:
            with anyio.move_on_after(LINGER_SECS):
                await self._peer_left.wait()
        await super().app_send(message)

    async def arrived(self, data: bytes | bytearray) -> None:
        """Whole binary frames, which is sound, are read here in a few microseconds. Everything else goes to wsproto,
        frame by frame."""
        start = 0
        if self._rest:
            self._rest += data
            data, self._rest = self._rest, bytearray()
        while (head := payload_of(data, start)) is not None and not self.closed:
            begin, size = head
            if size > self.buffer.max_length:
                await self._offended(CloseReason.MESSAGE_TOO_BIG)
                return
            end = begin + size
            if end > len(data):
                break
            masked = data[start + 1] & MASKED
            if data[start] == WHOLE_BINARY and masked and not self._in_fragments and self.is_open:
                payload = unmasked(data[begin - 4 : begin], data[begin:end])
                await self._tell_app({"type": "websocket.receive", "bytes": payload, "text": None})
            else:
                if not data[start] & CONTROL:
                    self._in_fragments = not data[start] & FINAL
                self.connection.receive_data(bytes(data[start:end]))
                await self._handle_events()
            start = end
        # A frame that comes byte by byte must not be copied for each of them.
        self._rest = data if start == 0 and isinstance(data, bytearray) else bytearray(data[start:])

    async def _handle_events(self) -> None:
        try:
            for event in self.connection.events():
                if isinstance(event, TextMessage | BytesMessage):
                    await self._message(event)
                elif isinstance(event, Ping):
                    await self._send_wsproto_event(event.response())
                elif isinstance(event, CloseConnection):
                    await self._send_wsproto_event(event.response())
                    await self._left(event.code)
                    return
        except FrameTooLargeError:
            await self._offended(CloseReason.MESSAGE_TOO_BIG)
        except RemoteProtocolError as error:
            hint = error.event_hint
            await self._offended(hint.code if isinstance(hint, CloseConnection) else CloseReason.PROTOCOL_ERROR)

    async def _message(self, event: TextMessage | BytesMessage) -> None:
        if self.state is not ASGIWebsocketState.CONNECTED:
            return  # we have said goodbye
        self.buffer.extend(event)
        if event.message_finished:
            await self._tell_app(self.buffer.to_message())
            self.buffer.clear()

    async def _spoke_too_early(self) -> None:
        """Frames before the upgrade was answered. The application is told, or its call would wait for ever."""
        await self._send_error_response(400)
        self.closed = True
        self._peer_left.set()
        await self._tell_app({"type": "websocket.disconnect", "code": int(CloseReason.PROTOCOL_ERROR)})
        await self.send(StreamClosed(stream_id=self.stream_id))

    async def _offended(self, code: int) -> None:
        self.buffer.clear()
        await self._send_wsproto_event(CloseConnection(code=code))
        await self._left(code)

    async def _left(self, code: int) -> None:
        self._peer_left.set()
        if self.state is ASGIWebsocketState.CONNECTED:
            self.state = ASGIWebsocketState.CLOSED
            await self._tell_app({"type": "websocket.disconnect", "code": int(code)})
        await self.send(EndData(stream_id=self.stream_id))
        await self.send(StreamClosed(stream_id=self.stream_id))

    async def _tell_app(self, message: dict[str, Any]) -> None:
        if self.app_put is not None:
            await self.app_put(message)


class CallProtocol(H11Protocol):
    """HTTP/1.1 whose websockets are `CallSocket`s. Upgrades to HTTP/2 are not offered: calls gain nothing by it."""

    async def _create_stream(self, request: h11.Request) -> None:
        if not is_upgrade(request):
            await super()._create_stream(request)
            return
        self.stream = CallSocket(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        self.connection = H11WSConnection(cast("h11.Connection", self.connection))
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=[(name, value) for name, value in request.headers if name.lower() != COMPRESSION],
                http_version=request.http_version.decode(),
                method="GET",
                raw_path=request.target,
                state=self.connection_state,
            )
        )
        self.keep_alive_requests += 1
        await self.context.mark_request()

    async def _check_protocol(self, event: h11.Request) -> None:
        return


class CallServer(TCPServer):
    """One connection."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.writer.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._closing = False

    async def run(self) -> None:
        socket = self.writer.get_extra_info("socket")
        try:
            client = parse_socket_addr(socket.family, socket.getpeername())
            server = parse_socket_addr(socket.family, socket.getsockname())
            async with ConnectionTasks(self.loop) as tasks:
                self._task_group = tasks
                is_tls = self.writer.get_extra_info("ssl_object") is not None
                state = ConnectionState(self.state)
                protocol = CallProtocol(
                    self.app, self.config, self.context, tasks, state, is_tls, client, server, self.protocol_send
                )
                self._http = protocol
                self.protocol = cast(Any, protocol)
                await protocol.initiate()
                await self.idle_task.restart(tasks, self._idle_timeout)
                await self._read_data()
        except OSError:
            pass  # the connection broke, which is its end in any case
        finally:
            await self._close()

    async def protocol_send(self, event: Any) -> None:
        if isinstance(event, Closed):
            self._say_goodbye()
        else:
            await super().protocol_send(event)

    async def _read_data(self) -> None:
        try:
            while data := await self.reader.read(READ_BYTES):
                stream = self._http.stream
                if self._closing:
                    continue
                if isinstance(stream, CallSocket) and stream.is_open:
                    await stream.arrived(data)  # past the layers of HTTP, which have nothing to add any more
                else:
                    await self.protocol.handle(RawData(data))
        except OSError:
            pass  # reset by the peer
        await self.protocol.handle(Closed())

    def _say_goodbye(self) -> None:
        """Nothing more comes from us. What still comes from the peer is read and dropped for a moment: closing with
        unread bytes resets the connection, and the peer would never read our last words."""
        if self._closing:
            return
        self._closing = True
        if self.writer.can_write_eof():
            with contextlib.suppress(OSError, RuntimeError):
                self.writer.write_eof()
            self.loop.call_later(LINGER_SECS, self.reader.feed_eof)
        else:
            self.writer.close()  # TLS has no half of a goodbye

    async def _close(self) -> None:
        with anyio.move_on_after(CLOSE_SECS) as scope, contextlib.suppress(OSError):  # the peer may be gone already
            await super()._close()
        if scope.cancelled_caught:
            self.writer.transport.abort()


def payload_of(data: bytes | bytearray, start: int) -> tuple[int, int] | None:
    """Where the payload of the frame at `start` begins, and its size (RFC 6455, 5.2); None if that is not known yet."""
    if len(data) < start + 2:
        return None
    size, begin = data[start + 1] & 0x7F, start + 2
    if size >= 126:
        wide = 2 if size == 126 else 8
        if len(data) < begin + wide:
            return None
        size, begin = int.from_bytes(data[begin : begin + wide]), begin + wide
    return begin + (4 if data[start + 1] & MASKED else 0), size


def unmasked(mask: bytes | bytearray, payload: bytes | bytearray) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


def frame_of(message: Any) -> bytes:
    """A server's frame: whole and not masked."""
    binary: bytes | None = message.get("bytes")
    kind, payload = (WHOLE_TEXT, message["text"].encode()) if binary is None else (WHOLE_BINARY, bytes(binary))
    size = len(payload)
    if size < 126:
        head = bytes((kind, size))
    elif size < 1 << 16:
        head = bytes((kind, 126)) + size.to_bytes(2)
    else:
        head = bytes((kind, 127)) + size.to_bytes(8)
    whole: bytes = head + payload
    return whole


def is_upgrade(request: h11.Request) -> bool:
    fields: dict[bytes, bytes] = {name.lower(): value for name, value in request.headers}
    tokens = [token.strip() for token in fields.get(b"connection", b"").lower().split(b",")]
    is_socket = fields.get(b"upgrade", b"").strip().lower() == b"websocket"
    return request.method == b"GET" and is_socket and b"upgrade" in tokens


async def connected(
    app: Any, config: Any, context: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve one connection to its end."""
    await CallServer(app, asyncio.get_running_loop(), config, context, cast(Any, {}), reader, writer)


def _never(*_: Any) -> Any:
    raise RuntimeError("applications of this server are not called from threads")
