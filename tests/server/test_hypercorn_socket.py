"""The websocket below the application: frames in every cut, and peers that break the rules."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
import pytest
import websockets
from anyio.abc import SocketStream

from tests.server.serving import closing
from tests.server.test_calls_over_websocket import UPGRADE
from voxray.config.settings import Settings
from voxray.server.envelope import Receive, Scope, Send
from voxray.server.hypercorn_socket import frame_of, payload_of, unmasked
from voxray.server.run import MAX_MESSAGE_BYTES, listen, serve

pytestmark = pytest.mark.anyio

MASK = b"\1\2\3\4"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "bye":
            await send({"type": "websocket.close", "code": 4000, "reason": "asked"})
            return
        await send({"type": "websocket.send", "bytes": message.get("bytes"), "text": message.get("text")})


@asynccontextmanager
async def echoing() -> AsyncIterator[int]:
    with listen(Settings(), 0) as listener:
        listener.listen(8)
        stop = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(serve, echo, listener, stop))
            with anyio.fail_after(20):
                yield listener.getsockname()[1]
            stop.set()


@asynccontextmanager
async def upgraded(port: int) -> AsyncIterator[SocketStream]:
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(UPGRADE)
        assert (await stream.receive()).startswith(b"HTTP/1.1 101")
        yield stream


def frame(first: int, payload: bytes, *, mask: bool = True) -> bytes:
    size = len(payload)
    wide = b"" if size < 126 else size.to_bytes(2) if size < 1 << 16 else size.to_bytes(8)
    short = size if size < 126 else 126 if size < 1 << 16 else 127
    if not mask:
        return bytes((first, short)) + wide + payload
    return bytes((first, 0x80 | short)) + wide + MASK + unmasked(MASK, payload)


async def exactly(stream: SocketStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await stream.receive(size - len(data))
    return data


@pytest.mark.parametrize("size", [0, 1, 125, 126, 640, 65_535, 65_536, MAX_MESSAGE_BYTES])
async def test_messages_of_every_size_come_back_as_they_are(size: int) -> None:
    payload = random.Random(size).randbytes(size)
    async with echoing() as port, websockets.connect(f"ws://127.0.0.1:{port}/", max_size=None) as client:
        for message in (payload, "ü" * (size // 2), payload):
            await client.send(message)
            assert await client.recv() == message


@pytest.mark.parametrize("step", [1, 2, 3, 7, 100, 10_000])
async def test_frames_may_arrive_in_any_pieces(step: int) -> None:
    stream_of_frames = b"".join(frame(0x82, bytes([number]) * number * 30) for number in range(12))
    expected = b"".join(frame_of({"bytes": bytes([number]) * number * 30}) for number in range(12))
    async with echoing() as port, upgraded(port) as stream:
        for start in range(0, len(stream_of_frames), step):
            await stream.send(stream_of_frames[start : start + step])
        assert await exactly(stream, len(expected)) == expected


async def test_fragments_are_joined_and_pings_answered_between_them() -> None:
    async with echoing() as port, upgraded(port) as stream:
        await stream.send(frame(0x02, b"one ") + frame(0x89, b"ping") + frame(0x00, b"two ") + frame(0x80, b"three"))
        expected = frame(0x8A, b"ping", mask=False) + frame_of({"bytes": b"one two three"})
        assert await exactly(stream, len(expected)) == expected


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (frame(0x82, b"not masked", mask=False), 1002),
        (frame(0xC2, b"reserved bit"), 1002),
        (frame(0x83, b"unknown opcode"), 1002),
        (frame(0x80, b"continues nothing"), 1002),
        (frame(0x02, b"one") + frame(0x82, b"whole one in between"), 1002),
        (frame(0x81, b"\xff\xfe"), 1007),
        (bytes((0x82, 0xFF)) + (1 << 40).to_bytes(8), 1009),
        (frame(0x02, bytes(MAX_MESSAGE_BYTES)) + frame(0x80, b"and more"), 1009),
    ],
)
async def test_who_breaks_the_rules_is_told_which(frames: bytes, code: int) -> None:
    async with echoing() as port, upgraded(port) as stream:
        await stream.send(frames)
        goodbye = await exactly(stream, 4)
        with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                await stream.receive()
    assert goodbye[0] == 0x88
    assert int.from_bytes(goodbye[2:4]) == code


async def test_a_client_that_goes_on_sending_still_reads_why_it_was_closed() -> None:
    async with echoing() as port:
        client = await websockets.connect(f"ws://127.0.0.1:{port}/")
        await client.send("bye")
        with contextlib.suppress(websockets.ConnectionClosed):
            for _ in range(10_000):
                await client.send(bytes(640))
        assert await closing(client) == (4000, "asked")


async def test_two_requests_use_one_connection_and_http2_is_not_offered() -> None:
    async with echoing() as port, await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n\r\n")
        answer = await stream.receive()
    assert b"101" not in answer.split(b"\r\n")[0]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", None),
        (b"\x82", None),
        (b"\x82\x05", (2, 5)),
        (b"\x82\x85", (6, 5)),
        (b"\x82\xfe\x01", None),
        (b"\x82\xfe\x01\x00", (8, 256)),
        (b"\x82\xff" + bytes(7), None),
        (b"\x82\xff" + (70_000).to_bytes(8), (14, 70_000)),
    ],
)
def test_a_frames_head_says_where_its_payload_is(data: bytes, expected: tuple[int, int] | None) -> None:
    assert payload_of(data, 0) == expected
