"""What all calls in rooms have in common, with a line that only notes what it is given."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from voxray.audio.format import PCM_16K, PCM_24K
from voxray.builtin.rtvi_frames import RtviFrames
from voxray.errors import ProviderUnavailable, TransportFailedError
from voxray.events import (
    ClientReady,
    DtmfReceived,
    DtmfRequested,
    Mark,
    ReplyInterrupted,
    ServerMessage,
    TransferRequested,
)
from voxray.wire import room_transport
from voxray.wire.room_transport import RoomTransport

pytestmark = pytest.mark.anyio

READY = '{"id":"1","label":"rtvi-ai","type":"client-ready","data":{"version":"2.1.0"}}'
GRAIN = PCM_24K.size(0.01)


class NotedLine:
    lead_secs = 0.2
    audio_out = PCM_24K
    sends_keys = True

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.cleared = 0
        self.texts: list[str] = []
        self.keys: list[tuple[str, str]] = []
        self.transfers: list[tuple[str, str]] = []
        self.running = 0
        self.refuses = False
        self.stuck = False
        self.on_transfer: Callable[[], None] = lambda: None

    async def run(self) -> None:
        self.running += 1
        try:
            await anyio.sleep_forever()
        finally:
            self.running -= 1

    async def write(self, pcm: bytes) -> None:
        if self.stuck:
            raise TransportFailedError("stuck")
        self.written.append(pcm)

    def clear(self) -> None:
        self.cleared += 1

    async def send_text(self, text: str) -> None:
        if self.refuses:
            raise ProviderUnavailable("room", "too large")
        if self.stuck:
            await anyio.sleep_forever()
        self.texts.append(text)

    async def send_key(self, who: str, digit: str) -> None:
        self.keys.append((who, digit))

    async def transfer(self, who: str, to: str) -> None:
        if self.refuses:
            raise ProviderUnavailable("room", "busy")
        self.transfers.append((who, to))
        self.on_transfer()


class Source:
    """Sound of the agent, as a session's playout gives it: by the clock."""

    def __init__(self, *items: bytes | Mark) -> None:
        self.items = list(items)
        self.ear_at = 0.0
        self.more = anyio.Event()

    def take(self, size: int) -> bytes | Mark | None:
        if not self.items:
            return None
        item = self.items.pop(0)
        if isinstance(item, Mark):
            return item
        if len(item) > size:
            self.items.insert(0, item[size:])
            item = item[:size]
        self.ear_at = max(self.ear_at, anyio.current_time()) + PCM_24K.secs(len(item))
        return item

    def lead_secs(self) -> float:
        return max(0.0, self.ear_at - anyio.current_time())

    async def wait(self) -> None:
        while not self.items:
            self.more = anyio.Event()
            await self.more.wait()

    def add(self, *items: bytes | Mark) -> None:
        self.items += items
        self.more.set()


def made(
    *, wait_secs: float = 5.0, grace_secs: float = 0.1, put_through: Callable[[], Awaitable[None]] | None = None
) -> tuple[RoomTransport, NotedLine]:
    line = NotedLine()
    transport = RoomTransport(
        RtviFrames(), line, wait_secs=wait_secs, leave_grace_secs=grace_secs, put_through=put_through
    )
    return transport, line


@asynccontextmanager
async def playing(transport: RoomTransport, source: Source) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(transport.play, source)
        yield
        tasks.cancel_scope.cancel()


async def until(condition: Callable[[], Any]) -> None:
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110  the line has nothing to wait for
            await anyio.sleep(0.005)


async def received(transport: RoomTransport, secs: float = 5.0) -> Any:
    with anyio.fail_after(secs):
        return await transport.receive()


# ── who is there ──


async def test_the_call_begins_with_the_first_one_and_ends_when_the_last_one_left_for_a_while() -> None:
    transport, _ = made()
    transport.joined("a")
    assert await transport.established()
    transport.joined("a")
    transport.joined("b")
    transport.left("a")
    transport.left("nobody")
    transport.said(READY)
    assert await received(transport) == ClientReady()
    transport.left("b")
    left = anyio.current_time()
    with pytest.raises(anyio.EndOfStream):
        await received(transport)
    assert anyio.current_time() - left >= 0.1


async def test_nobody_comes_in_time() -> None:
    transport, _ = made(wait_secs=0.05)
    assert not await transport.established()


async def test_the_room_breaks_while_the_agent_waits() -> None:
    transport, _ = made()
    transport.failed("expired")
    assert not await transport.established()


async def test_a_held_call_is_put_through_before_anybody_is_waited_for() -> None:
    order: list[str] = []

    async def put_through() -> None:
        order.append("put through")
        transport.joined("phone", phone=True)

    transport, _ = made(put_through=put_through)
    assert await transport.established()
    assert order == ["put through"]


async def test_a_held_call_that_cannot_be_put_through_is_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def put_through() -> None:
        raise ProviderUnavailable("room", "answered 500")

    transport, _ = made(put_through=put_through)
    assert not await transport.established()
    assert [row.message for row in caplog.records] == ["a held call cannot be put through"]


async def test_who_comes_back_within_the_grace_stays_in_the_call() -> None:
    transport, _ = made(grace_secs=0.2)
    transport.joined("a")
    transport.left("a")
    transport.joined("a")
    transport.said(READY)
    assert await received(transport) == ClientReady()
    with pytest.raises(TimeoutError):
        await received(transport, 0.3)


# ── who may be spoken to ──


@pytest.mark.parametrize("order", ["joined by phone", "joined then known", "known then joined", "known by another id"])
async def test_a_telephone_may_be_spoken_to_at_once(order: str) -> None:
    transport, _ = made()
    if order == "joined by phone":
        transport.joined("a", phone=True)
    elif order == "joined then known":
        transport.joined("a")
        transport.by_phone("a")
        transport.joined("a")
    else:
        transport.by_phone("a" if order == "known then joined" else "another")
        assert not transport.transfers
        transport.joined("a")
    assert await received(transport, 0.5) == ClientReady()
    assert transport.phone == ("another" if order == "known by another id" else "a")
    assert transport.transfers
    assert transport.sends_dtmf
    transport.left("a")
    assert not transport.transfers


async def test_somebody_without_rtvi_is_spoken_to_after_two_seconds_and_only_once() -> None:
    transport, _ = made()
    began = anyio.current_time()
    transport.joined("a")
    assert await received(transport) == ClientReady()
    assert room_transport.READY_SECS <= anyio.current_time() - began < room_transport.READY_SECS + 0.5
    transport.joined("b")
    with pytest.raises(TimeoutError):
        await received(transport, 0.1)
    assert not transport.transfers


# ── what comes ──


async def test_the_sound_of_several_is_one_and_half_samples_are_dropped() -> None:
    transport, _ = made()
    transport.heard("a", b"\1\0" * 320)
    transport.heard("a", b"x")
    transport.heard("b", b"\2\0" * 320)
    transport.heard("a", b"\1\0" * 320)
    assert [await received(transport) for _ in range(2)] == [b"\1\0" * 320, b"\3\0" * 320]


async def test_sound_that_nobody_takes_does_not_fill_the_memory() -> None:
    transport, _ = made()
    for _ in range(2 * room_transport.INBOX):
        transport.heard("a", bytes(640))
    transport.closed()
    for _ in range(room_transport.INBOX):
        assert len(await received(transport)) == 640
    with pytest.raises(anyio.EndOfStream):
        await received(transport)


async def test_keys_arrive_and_other_signs_do_not() -> None:
    transport, _ = made()
    for digit in ("1", "A", "", "##", "#"):
        transport.pressed(digit)
    assert [await received(transport) for _ in range(2)] == [DtmfReceived("1"), DtmfReceived("#")]


async def test_the_first_reason_for_the_end_counts() -> None:
    transport, _ = made()
    transport.failed("expired")
    transport.closed()
    for _ in range(2):
        with pytest.raises(TransportFailedError, match="expired"):
            await received(transport)


# ── what goes ──


async def test_messages_go_in_order_and_requests_are_answered() -> None:
    transport, line = made()
    transport.joined("a")
    transport.said(READY)
    transport.send(ServerMessage("first"))
    transport.send(ServerMessage("second"))
    async with playing(transport, Source()):
        await until(lambda: len(line.texts) == 3)
    assert [kind in text for kind, text in zip(("bot-ready", "first", "second"), line.texts, strict=True)] == [True] * 3
    assert line.running == 0


async def test_a_room_that_takes_no_messages_breaks_the_call() -> None:
    transport, line = made()
    transport.said(READY)
    line.stuck = True
    for number in range(room_transport.OUTBOX + 10):
        transport.send(ServerMessage(str(number)))
    with pytest.raises(TransportFailedError, match="does not take"), anyio.fail_after(5):
        await transport.play(Source())


async def test_a_line_that_plays_nothing_breaks_the_call() -> None:
    transport, line = made()
    line.stuck = True
    with pytest.raises(TransportFailedError, match="stuck"), anyio.fail_after(5):
        await transport.play(Source(bytes(9600)))
    assert line.running == 0


async def test_sound_goes_in_whole_pieces_little_ahead_and_without_gaps() -> None:
    transport, line = made()
    spoken = bytes(range(1, 251)) * 2 * 96  # one second, no zero in it
    pieces = [spoken[start : start + 700] for start in range(0, len(spoken), 700)]
    source, began = Source(*pieces), anyio.current_time()
    async with playing(transport, source):
        await until(lambda: line.written)
        assert PCM_24K.secs(sum(map(len, line.written))) <= 0.2
        await until(lambda: sum(map(len, line.written)) >= len(spoken))
        took = anyio.current_time() - began
        await until(lambda: b"".join(line.written).rstrip(b"\0") == spoken)
    assert took >= 0.7
    assert all(len(piece) % GRAIN == 0 for piece in line.written)
    assert len(b"".join(line.written)) - len(spoken) < GRAIN


async def test_a_short_end_is_filled_up_with_silence_but_not_while_more_may_come() -> None:
    transport, line = made()
    source = Source(b"\1\1" * 240 * 10, b"\2\2" * 100, Mark("1"))
    async with playing(transport, source):
        await until(lambda: line.written)
        source.add(b"\3\3" * 140)
        await until(lambda: b"\3" in b"".join(line.written))
        assert b"\2\2" * 100 + b"\3\3" * 140 in b"".join(line.written)
        source.add(b"\4\4" * 10)
        await until(lambda: b"\4" in b"".join(line.written))
    assert line.written[-1] == b"\4\4" * 10 + bytes(GRAIN - 20)


async def test_an_interruption_drops_what_was_taken_before() -> None:
    transport, line = made()
    source = Source(b"\1\1" * (240 * 20 + 10))  # ten samples more than a whole piece: they wait for others
    async with playing(transport, source):
        await until(lambda: not source.items)
        taken = len(line.written)
        transport.send(ReplyInterrupted(1, "", 0.0))
        source.ear_at = 0.0
        source.add(b"\2\2" * 240)
        await until(lambda: b"\2" in b"".join(line.written))
    assert line.cleared == 1
    assert line.written[taken:] == [b"\2\2" * 240]


async def test_keys_go_to_the_telephone_only() -> None:
    transport, line = made()
    transport.joined("web")
    transport.send(DtmfRequested("1"))
    async with playing(transport, Source()):
        transport.joined("sip", phone=True)
        transport.send(DtmfRequested("2"))
        await until(lambda: ("sip", "2") in line.keys)
    assert "web" not in dict(line.keys)


# ── the end ──


async def test_the_goodbye_is_sent_and_bounded_in_time() -> None:
    transport, line = made()
    transport.said(READY)
    await transport.close("drained", "full")
    assert line.texts
    stuck, line = made()
    stuck.said(READY)
    line.stuck = True
    with anyio.fail_after(2):
        await stuck.close("agent_ended", "")


async def test_a_caller_is_handed_on_before_the_agent_leaves() -> None:
    transport, line = made()
    transport.joined("sip", phone=True)
    line.on_transfer = lambda: transport.left("sip")
    transport.send(TransferRequested("+15005550009"))
    with anyio.fail_after(2):
        await transport.finish()
    assert line.transfers == [("sip", "+15005550009")]


async def test_a_caller_who_cannot_be_handed_on_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    transport, line = made()
    transport.joined("sip", phone=True)
    line.refuses = True
    transport.send(TransferRequested("+15005550009"))
    await transport.finish()
    assert [row.message for row in caplog.records] == ["a caller was not handed on"]


async def test_nobody_is_handed_on_who_is_gone_or_was_never_asked_to() -> None:
    transport, line = made()
    transport.joined("sip", phone=True)
    await transport.finish()
    transport.send(TransferRequested("+15005550009"))
    transport.left("sip")
    await transport.finish()
    assert line.transfers == []


async def test_a_message_that_does_not_leave_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    transport, line = made()
    transport.said(READY)
    line.refuses = True
    for number in range(5):
        transport.send(ServerMessage(str(number)))
    await transport.close("agent_ended", "")
    assert [row.message for row in caplog.records] == ["a message did not reach the room"]


async def test_what_cannot_be_understood_is_answered_a_hundred_times_and_then_not_read() -> None:
    transport, line = made()
    for _ in range(500):
        transport.said('{"label":"rtvi-ai","type":7}')
    transport.said(READY)
    await transport.close("agent_ended", "")
    answers = [text for text in line.texts if "must be a string" in text]
    assert len(answers) == room_transport.BAD_MESSAGES
    assert not [text for text in line.texts if "bot-ready" in text]


async def test_sound_of_the_caller_may_be_any_length() -> None:
    transport, _ = made()
    transport.heard("a", bytes(PCM_16K.size(0.5)))
    assert len(await received(transport)) == PCM_16K.size(0.5)
