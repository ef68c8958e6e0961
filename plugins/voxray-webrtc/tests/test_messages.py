"""What goes over a data channel, and what does not."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from voxray_webrtc.messages import BAD_MESSAGES, WAITING_MESSAGES, Messages

from tests.webrtc_client import calling
from tests.webrtc_desk import context, desk
from voxray.errors import TransportFailedError
from voxray.events import CallStarted, ClientReady, ProviderFailed, ServerMessage, TextReceived

pytestmark = pytest.mark.anyio

TYPED = json.dumps({"type": "TranscriptionFrame", "data": {"text": "hello"}})
STARTED = CallStarted("s", "webrtc", 16_000, 24_000, True)


class FakeChannel:
    """A channel that keeps what it was given; `buffered` is what its peer has not read."""

    def __init__(self, protocol: str = "json") -> None:
        self.label = "any"
        self.protocol = protocol
        self.open = True
        self.buffered = 0
        self.sent: list[Any] = []

    def send(self, text: str) -> bool:
        self.sent.append(json.loads(text))
        return True


def talking(channel: Any, *, answered: bool = True) -> Messages:
    messages = Messages(context(), lambda: None)
    messages.adopt(channel)
    if answered:
        messages.answered()
    return messages


def test_the_protocol_of_the_channel_decides_what_is_spoken() -> None:
    simple, rtvi = FakeChannel("json"), FakeChannel("")
    assert Messages(context(), lambda: None).adopt(simple)  # type: ignore[arg-type]
    assert not Messages(context(), lambda: None).adopt(rtvi)  # type: ignore[arg-type]


def test_another_channel_begins_with_the_start_again() -> None:
    first, second = FakeChannel(), FakeChannel()
    messages = talking(first)
    messages.send(STARTED)
    messages.adopt(second)  # type: ignore[arg-type]
    assert not second.sent, "the first one is still open"
    messages.drop()
    messages.adopt(second)  # type: ignore[arg-type]
    assert [it["type"] for it in first.sent + second.sent] == ["StartFrame", "StartFrame"]


def test_what_comes_before_the_call_is_kept_up_to_a_number() -> None:
    channel = FakeChannel()
    messages = talking(channel, answered=False)
    for _ in range(WAITING_MESSAGES + 10):
        messages.received(channel, TYPED)  # type: ignore[arg-type]
    messages.answered()
    found: list[Any] = []
    while messages.waiting:
        found += messages.take()
    assert found == [TextReceived("hello")] * WAITING_MESSAGES


def test_messages_faster_than_the_call_takes_them_end_it() -> None:
    channel = FakeChannel()
    messages = talking(channel)
    for _ in range(3000):
        messages.received(channel, TYPED)  # type: ignore[arg-type]
    with pytest.raises(TransportFailedError, match="faster"):
        messages.take()


def test_too_many_messages_without_meaning_end_the_call() -> None:
    channel = FakeChannel()
    messages = talking(channel)
    for number in range(BAD_MESSAGES + 1):
        messages.received(channel, "{}" if number % 2 else b"sound")  # type: ignore[arg-type]
        if number < BAD_MESSAGES:
            assert messages.take() == []
    with pytest.raises(TransportFailedError, match="could not be understood"):
        messages.take()


def test_a_client_that_does_not_read_ends_the_call() -> None:
    channel = FakeChannel()
    messages = talking(channel)
    channel.buffered = 3 * 1024 * 1024
    messages.send(ServerMessage("news"))
    with pytest.raises(TransportFailedError, match="does not read"):
        messages.take()


def test_a_message_of_64_kib_is_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    channel = FakeChannel()
    messages = talking(channel)
    messages.send(ServerMessage("news", "x" * 70_000))
    messages.send(ServerMessage("news", "x" * 60_000))
    assert len(channel.sent) == 1
    [record] = caplog.records
    assert record.getMessage() == "a message is too large for a data channel"
    assert "xxx" not in str(vars(record))


async def test_pings_and_signals_mean_nothing_to_the_call() -> None:
    channel = FakeChannel("")
    messages = talking(channel)
    messages.received(channel, "ping: 1732833000000")  # type: ignore[arg-type]
    messages.received(channel, '{"type":"signalling","message":{"type":"trackStatus"}}')  # type: ignore[arg-type]
    assert not messages.waiting
    assert messages.pinged_at is not None


def test_errors_reach_an_rtvi_client_before_it_is_ready() -> None:
    channel = FakeChannel("")
    messages = talking(channel)
    messages.send(STARTED)
    messages.send(ProviderFailed(stage="stt", provider="x", error="broken", retryable=False))
    assert [it["type"] for it in channel.sent] == ["error"]


async def test_a_message_of_a_mebibyte_arrives() -> None:
    text = "x" * (1024 * 1024 - 200)
    async with desk() as our, calling(our.exchange, protocol="json") as client:
        await client.opened.wait()
        await client.until(lambda: ClientReady() in our.heard)
        client.peer.sctp._remote_max_message_size = 1024 * 1024
        client.send(json.dumps({"type": "TranscriptionFrame", "data": {"text": text}}))
        await client.until(lambda: bool(our.events()[1:]), 20)
    assert our.events()[1].text == text


async def test_any_label_will_do_and_a_second_channel_is_ignored() -> None:
    async with desk() as our, calling(our.exchange, protocol="json") as client:
        await client.opened.wait()
        other = client.peer.createDataChannel("other", protocol="json")
        opened = anyio.Event()
        other.on("open", opened.set)
        await opened.wait()
        other.send(TYPED)
        client.send(TYPED)
        await client.until(lambda: TextReceived("hello") in our.heard)
    assert our.heard.count(TextReceived("hello")) == 1
