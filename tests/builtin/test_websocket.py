"""The websocket transport on plain ASGI messages, in virtual time."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

import anyio
import pytest

from voxray.builtin.json_frames import JsonFrames
from voxray.builtin.websocket import BAD_MESSAGES, WebSocketTransport
from voxray.errors import ClientIdleError, TransportFailedError
from voxray.events import CallEnded, Cause, TextReceived, UserIdle
from voxray.testing.virtual import VIRTUAL_BACKEND

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_BACKEND


class Client:
    """The other end of an ASGI connection."""

    def __init__(self, *messages: str | bytes | None, broken: bool = False) -> None:
        self.messages = deque(messages)
        self.received: list[dict[str, Any]] = []
        self.broken = broken

    async def receive(self) -> dict[str, Any]:
        if not self.messages:
            await anyio.sleep_forever()
        message = self.messages.popleft()
        if message is None:
            return {"type": "websocket.disconnect", "code": 1006}
        key = "bytes" if isinstance(message, bytes) else "text"
        return {"type": "websocket.receive", key: message}

    async def send(self, message: Any) -> None:
        if self.broken:
            raise OSError("gone")
        self.received.append(message)

    def transport(self, **options: Any) -> WebSocketTransport:
        return WebSocketTransport(self.receive, self.send, JsonFrames(), **options)


class Silence:
    def take(self, size: int) -> None:
        return None

    def lead_secs(self) -> float:
        return 0.0

    async def wait(self) -> None:
        await anyio.sleep_forever()


async def test_messages_become_sound_and_events() -> None:
    text = json.dumps({"type": "TranscriptionFrame", "data": {"text": "hi"}})
    transport = Client(b"\1\0", text).transport()
    assert await transport.receive() == b"\1\0"
    assert await transport.receive() == TextReceived("hi")


async def test_the_client_leaving_is_the_end_of_the_stream() -> None:
    client = Client(None)
    transport = client.transport()
    with pytest.raises(anyio.EndOfStream):
        await transport.receive()
    transport.send(UserIdle())
    await transport.close(Cause.CALLER_LEFT, "")
    assert client.received == []


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (Cause.CLIENT_ASKED, 1000),
        (Cause.AGENT_ENDED, 1000),
        (Cause.IDLE, 1000),
        (Cause.DRAINED, 1001),
        (Cause.ERROR, 1011),
        ("full", 1013),
    ],
)
async def test_the_close_code_tells_why(cause: str, code: int) -> None:
    client = Client()
    transport = client.transport()
    transport.send(CallEnded(cause))
    await transport.close(cause, "é" * 200)
    await transport.close(cause, "again")
    assert [message["type"] for message in client.received] == ["websocket.send", "websocket.close"]
    assert client.received[-1]["code"] == code
    assert len(client.received[-1]["reason"].encode()) <= 123


async def test_a_call_that_was_refused_ends_with_words_too() -> None:
    client = Client()
    await client.transport().close("full", "")
    [told, _] = client.received
    assert json.loads(told["text"]) == {"type": "EndFrame", "data": {"reason": "full", "detail": ""}}


async def test_too_many_bad_messages_are_a_breach_of_protocol() -> None:
    client = Client(*["rubbish"] * (BAD_MESSAGES + 1))
    transport = client.transport()
    with pytest.raises(TransportFailedError):
        await transport.receive()
    await transport.close(Cause.TRANSPORT_FAILED, "")
    assert client.received[-1]["code"] == 1008


async def test_a_silent_client_is_given_up_after_the_idle_time() -> None:
    client = Client(b"\0\0")
    transport = client.transport(idle_secs=300)
    await transport.receive()
    began = anyio.current_time()
    with pytest.raises(ClientIdleError):
        await transport.play(Silence())
    assert anyio.current_time() - began == pytest.approx(300)


async def test_a_broken_connection_fails_the_transport() -> None:
    transport = Client(broken=True).transport()
    transport.send(UserIdle())
    with pytest.raises(TransportFailedError):
        await transport.play(Silence())


async def test_saying_goodbye_to_a_stuck_client_takes_two_seconds_at_most() -> None:
    class Stuck(Client):
        async def send(self, message: Any) -> None:
            await anyio.sleep_forever()

    transport = Stuck().transport()
    transport.send(UserIdle())
    began = anyio.current_time()
    await transport.close(Cause.ERROR, "")
    assert anyio.current_time() - began <= 2.01
