"""The websocket side of the fake server, and scripts for it."""

from __future__ import annotations

import asyncio
import json
import math
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
from websockets.frames import Frame, Opcode
from websockets.http11 import Request as WebsocketRequest
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

if TYPE_CHECKING:
    from voxray.testing.http_server import Exchange, Request

MAX_MESSAGE_BYTES = 16 * 1024 * 1024


class ServerSocket:
    """One accepted websocket: the `websockets` library's protocol on the fake server's connection."""

    def __init__(self, transport: asyncio.Transport, request: Request, raw_head: bytes) -> None:
        self.request = request
        self._transport = transport
        self._protocol = ServerProtocol(max_size=MAX_MESSAGE_BYTES)
        self._protocol.receive_data(raw_head)
        (asked,) = self._protocol.events_received() or (None,)
        if not isinstance(asked, WebsocketRequest):
            raise ValueError("the request does not ask for a websocket")
        self._protocol.send_response(self._protocol.accept(asked))
        self._flush()
        if self._protocol.state is not OPEN:
            raise ValueError("the request does not ask for a websocket")
        self._arrived, self._messages = anyio.create_memory_object_stream[str | bytes](math.inf)
        self._partial: list[Frame] = []

    async def receive(self) -> str | bytes:
        """The next message. Raises anyio.EndOfStream when the client has closed."""
        try:
            return await self._messages.receive()
        except anyio.ClosedResourceError as error:  # the connection was lost before this was asked
            raise anyio.EndOfStream from error

    def send(self, message: str | bytes | Mapping[str, Any]) -> None:
        """Send text, bytes, or an object as JSON text; nothing happens once the socket is closed."""
        if self._protocol.state is not OPEN:
            return
        if isinstance(message, bytes):
            self._protocol.send_binary(message)
            self.request.sent_bytes += len(message)
        else:
            data = (message if isinstance(message, str) else json.dumps(message)).encode()
            self._protocol.send_text(data)
            self.request.sent_bytes += len(data)
        self._flush()

    def close(self, code: int = 1000, reason: str = "") -> None:
        if self._protocol.state is OPEN:
            self._protocol.send_close(code, reason)
            self._flush()

    async def drop(self) -> None:
        """TCP reset, without a close frame. Does not return."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
        await anyio.sleep_forever()

    def feed(self, data: bytes) -> None:
        """Bytes from the client."""
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._take(event)
        self._flush()
        if self._protocol.close_expected():
            self.request.close_code = self._protocol.close_rcvd.code if self._protocol.close_rcvd else None
            self._arrived.close()
            self._transport.close()

    def lost(self) -> None:
        """The connection is gone."""
        self._arrived.close()
        self._messages.close()

    def _take(self, frame: Frame) -> None:
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        self._partial.append(frame)
        if not frame.fin:
            return
        data = b"".join(bytes(part.data) for part in self._partial)
        message = data.decode() if self._partial[0].opcode is Opcode.TEXT else data
        self._partial.clear()
        self.request.messages.append(message)
        self._arrived.send_nowait(message)

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)


@dataclass(frozen=True, slots=True)
class Expect:
    """Wait for the next message and check it (a JSON text is given parsed)."""

    check: Callable[[Any], bool] = lambda message: True


@dataclass(frozen=True, slots=True)
class Send:
    message: str | bytes | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sleep:
    secs: float


@dataclass(frozen=True, slots=True)
class Close:
    code: int = 1000
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Drop:
    """Reset the connection."""


Step = Expect | Send | Sleep | Close | Drop


def socket_script(*steps: Step) -> Callable[[Exchange], Awaitable[None]]:
    """A handler for `FakeServer` that accepts a websocket and plays `steps`, then waits for the client to leave.

    An `Expect` that is not met raises AssertionError in the server's block.
    """

    async def play(exchange: Exchange) -> None:
        peer = exchange.accept()
        for number, step in enumerate(steps, 1):
            match step:
                case Expect(check):
                    raw = await peer.receive()
                    parsed = json.loads(raw) if isinstance(raw, str) and raw[:1] in "[{" else raw
                    if not check(parsed):
                        raise AssertionError(f"step {number}: unexpected message {str(parsed)[:200]}")
                case Send(message):
                    peer.send(message)
                case Sleep(secs):
                    await anyio.sleep(secs)
                case Close(code, reason):
                    peer.close(code, reason)
                case Drop():
                    await peer.drop()
        while True:
            await peer.receive()  # ends with EndOfStream, which the server expects

    return play
