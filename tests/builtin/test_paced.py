"""The paced writer, in virtual time."""

from __future__ import annotations

import anyio
import pytest

from voxray.audio.format import PCM_24K
from voxray.builtin.json_frames import JsonFrames
from voxray.builtin.paced import LEAD_SECS, OUTBOX_MESSAGES, PacedWriter
from voxray.errors import TransportFailedError
from voxray.events import Mark, ReplyAudible, ReplyInterrupted, UserIdle
from voxray.testing.virtual import VIRTUAL_BACKEND

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_BACKEND


class Source:
    """Audio that a listener hears in real time."""

    def __init__(self, *items: bytes | Mark) -> None:
        self.items = list(items)
        self.ear_at = 0.0
        self.leads: list[float] = []
        self.more = anyio.Event()

    def take(self, size: int) -> bytes | Mark | None:
        if not self.items:
            return None
        item = self.items.pop(0)
        if isinstance(item, bytes):
            if len(item) > size:
                self.items.insert(0, item[size:])
                item = item[:size]
            self.ear_at = max(self.ear_at, anyio.current_time()) + PCM_24K.secs(len(item))
            self.leads.append(self.lead_secs())
        return item

    def lead_secs(self) -> float:
        return max(0.0, self.ear_at - anyio.current_time())

    async def wait(self) -> None:
        while not self.items:
            self.more = anyio.Event()
            await self.more.wait()

    def add(self, item: bytes | Mark) -> None:
        self.items.append(item)
        self.more.set()


class Wire:
    def __init__(self, *, stuck: bool = False) -> None:
        self.written: list[str | bytes] = []
        self.at: list[float] = []
        self.stuck = stuck

    async def write(self, message: str | bytes) -> None:
        if self.stuck:
            await anyio.sleep_forever()
        await anyio.lowlevel.checkpoint()
        self.written.append(message)
        self.at.append(anyio.current_time())

    @property
    def kinds(self) -> list[str]:
        return ["audio" if isinstance(each, bytes) else each.split('"')[3] for each in self.written]


async def played(writer: PacedWriter, source: Source, secs: float) -> None:
    with anyio.move_on_after(secs):
        await writer.play(source)


async def test_sound_is_sent_a_fifth_of_a_second_ahead_and_in_pieces() -> None:
    wire, source = Wire(), Source(bytes(PCM_24K.size(0.5)))
    began = anyio.current_time()
    await played(PacedWriter(wire.write, JsonFrames()), source, 0.6)
    assert max(source.leads) <= LEAD_SECS + 1e-6
    assert {PCM_24K.secs(len(piece)) for piece in wire.written} <= {0.06, 0.02}
    assert sum(map(len, wire.written)) == PCM_24K.size(0.5)
    assert wire.at[-1] - began == pytest.approx(0.3, abs=0.05)


async def test_events_overtake_sound_that_waits_for_its_time() -> None:
    wire, source = Wire(), Source(bytes(PCM_24K.size(1)))
    writer = PacedWriter(wire.write, JsonFrames())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writer.play, source)
        await anyio.wait_all_tasks_blocked()
        sent = len(wire.written)
        writer.send(UserIdle())
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert wire.kinds[sent] == "UserIdleFrame"


async def test_an_idle_writer_wakes_for_sound_and_for_events() -> None:
    wire, source = Wire(), Source()
    writer = PacedWriter(wire.write, JsonFrames())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writer.play, source)
        for _ in range(3):
            await anyio.wait_all_tasks_blocked()
            writer.send(UserIdle())
            await anyio.wait_all_tasks_blocked()
            source.add(Mark("m"))
            await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert wire.kinds == ["UserIdleFrame", "MarkFrame"] * 3


async def test_news_caused_by_taking_sound_arrives_before_it() -> None:
    wire = Wire()
    writer = PacedWriter(wire.write, JsonFrames())

    class Telling(Source):
        def take(self, size: int) -> bytes | Mark | None:
            item = super().take(size)
            if item:
                writer.send(ReplyAudible(1))
            return item

    await played(writer, Telling(bytes(960)), 0.05)
    assert wire.kinds == ["BotStartedSpeakingFrame", "audio"]


async def test_sound_taken_before_an_interruption_is_not_sent_after_it() -> None:
    wire = Wire()
    writer = PacedWriter(wire.write, JsonFrames())

    class Interrupted(Source):
        def take(self, size: int) -> bytes | Mark | None:
            item = super().take(size)
            if item:
                writer.send(ReplyInterrupted(1, "", 0.0))
            return item

    await played(writer, Interrupted(bytes(960)), 0.05)
    assert wire.kinds == ["InterruptionFrame", "BotStoppedSpeakingFrame"]


async def test_a_client_that_takes_nothing_fails_the_transport() -> None:
    writer = PacedWriter(Wire(stuck=True).write, JsonFrames(), send_secs=0.01)
    with pytest.raises(TransportFailedError, match="took nothing"):
        await writer.play(Source(bytes(960)))


@pytest.mark.parametrize("stuck", [False, True])
@pytest.mark.parametrize("answers", [False, True])
async def test_the_queue_of_events_and_answers_is_bounded(stuck: bool, answers: bool) -> None:
    writer = PacedWriter(Wire(stuck=stuck).write, JsonFrames())
    began = anyio.current_time()

    async def flood() -> None:
        await anyio.sleep(0.001)
        for _ in range(OUTBOX_MESSAGES * 2):
            if answers:
                writer.respond("pong")
            else:
                writer.send(UserIdle())

    with pytest.RaisesGroup(pytest.RaisesExc(TransportFailedError, match="does not read")):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(flood)
            writer.send(UserIdle())
            await writer.play(Source())
    assert anyio.current_time() - began < 0.01


async def test_coalescing_waits_for_more_sound() -> None:
    wire, source = Wire(), Source(bytes(960))
    writer = PacedWriter(wire.write, JsonFrames(), coalesce_ms=20)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writer.play, source)
        await anyio.sleep(0.01)
        source.add(bytes(960))
        await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()
    assert [len(piece) for piece in wire.written] == [1920]


async def test_the_lead_does_not_grow_in_ten_minutes() -> None:
    source, wire = Source(bytes(PCM_24K.size(600.0))), Wire()
    writer = PacedWriter(wire.write, JsonFrames())
    with anyio.move_on_after(600.5):
        await writer.play(source)
    assert not source.items
    assert max(source.leads) <= LEAD_SECS + 0.06
    assert max(source.leads[-100:]) <= max(source.leads[5:105]) + 0.001
