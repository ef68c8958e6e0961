"""Audio on its way to the ear: who may speak, what was heard, and what cannot come back."""

from __future__ import annotations

import anyio
import pytest

from voxray.audio.format import AudioFormat, Encoding
from voxray.events import Mark, Proof, ReplyAudible, SessionEvent, SpeechHeard, SpeechSent
from voxray.session.log import Clock
from voxray.session.playout import BUFFERED_SECS, MARK_GRACE_SECS, Playout
from voxray.testing.virtual import VIRTUAL_BACKEND

pytestmark = pytest.mark.anyio
SLOW = AudioFormat(Encoding.PCM16, 1000)  # 2000 bytes are a second


@pytest.fixture
def anyio_backend():
    return VIRTUAL_BACKEND


class Line:
    """A playout, what it told, and a listener that takes everything at once."""

    def __init__(self, *, answers_marks: bool = False) -> None:
        self.told: list[SessionEvent] = []
        self.clock = Clock()
        self.playout = Playout(SLOW, self.clock, self.told.append, answers_marks=answers_marks)

    def take(self, size: int = 100) -> list[bytes | Mark]:
        taken: list[bytes | Mark] = []
        while (item := self.playout.take(size)) is not None:
            taken.append(item)
        return taken

    def heard(self) -> list[tuple[str, Proof]]:
        return [(event.text, event.proof) for event in self.told if isinstance(event, SpeechHeard)]


def sound(secs: float) -> bytes:
    return b"\x01\x02" * round(secs * 1000)


async def speaking(line: Line, *sentences: str, secs: float = 1.0):
    """A lease that has said these sentences, each in `secs`."""
    lease = line.playout.lease(1)
    for sentence in sentences:
        lease.ledger.generated(sentence, 1)
        await lease.write(sound(secs))
        await lease.spoken(sentence, word=False)
    return lease


# ── taking ──


@pytest.mark.parametrize("size", [2, 100, 334, 2000, 9999])
@pytest.mark.parametrize("written", [[3000], [1, 999, 2, 1998], [10] * 300, [5000, 1]])
async def test_pieces_of_any_size_make_pieces_of_any_size(written: list[int], size: int) -> None:
    line = Line()
    lease = line.playout.lease(1)
    data = bytes(number % 251 for number in range(sum(written)))
    position = 0
    for length in written:
        await lease.write(data[position : position + length])
        position += length
    taken = line.take(size)
    assert b"".join(taken) == data  # type: ignore[arg-type]
    assert {len(piece) for piece in taken[:-1]} <= {size} or len(written) == 1  # type: ignore[arg-type]
    assert line.take(size) == []
    assert not line.playout.buffered


async def test_a_mark_stands_where_the_sentence_ends() -> None:
    line = Line()
    await speaking(line, "One.", "Two.")
    kinds = [item.name if isinstance(item, Mark) else len(item) for item in line.take(1500)]
    assert kinds == [1500, 500, "1.1", 1500, 500, "1.2"]
    assert [event.text for event in line.told if isinstance(event, SpeechSent)] == ["One.", "Two."]


async def test_the_first_sound_makes_the_reply_audible_once() -> None:
    line = Line()
    await speaking(line, "One.")
    assert line.told == []
    line.take()
    assert line.told[0] == ReplyAudible(1)
    assert sum(isinstance(event, ReplyAudible) for event in line.told) == 1


async def test_empty_sound_is_nothing() -> None:
    line = Line()
    await line.playout.lease(1).write(b"")
    assert line.take() == []


async def test_the_listener_is_woken_by_sound() -> None:
    line = Line()
    lease = line.playout.lease(1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(line.playout.wait)
        await anyio.sleep(1.0)
        await lease.write(sound(0.1))
    assert line.clock.now() == 1.0


async def test_a_long_answer_in_one_piece_is_not_copied_for_each_taking() -> None:
    line = Line()
    lease = line.playout.lease(1)
    await lease.write(sound(60.0))
    assert max(len(item) for item in line.playout._items) <= SLOW.size(1.0)  # type: ignore[arg-type]


# ── the lead ──


async def test_what_was_taken_is_heard_in_its_own_time() -> None:
    line = Line()
    await speaking(line, "One.", "Two.")
    line.take()
    assert line.playout.lead_secs() == pytest.approx(2.0)
    assert line.playout.heard_secs() == 0.0
    await anyio.sleep(1.5)
    assert line.playout.lead_secs() == pytest.approx(0.5)
    assert line.playout.heard_secs() == pytest.approx(1.5)
    await anyio.sleep(9.0)
    assert line.playout.heard_secs() == pytest.approx(2.0)


async def test_sound_after_a_gap_is_heard_from_when_it_comes() -> None:
    line = Line()
    lease = await speaking(line, "One.")
    line.take()
    await anyio.sleep(5.0)
    await lease.write(sound(1.0))
    line.take()
    await anyio.sleep(0.25)
    assert line.playout.heard_secs() == pytest.approx(1.25)


async def test_a_writer_waits_while_ten_seconds_are_buffered() -> None:
    line = Line()
    lease = line.playout.lease(1)
    written = 0.0

    async def write() -> None:
        nonlocal written
        for _ in range(30):
            await lease.write(sound(1.0))
            written += 1.0

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        await anyio.sleep(1.0)
        assert BUFFERED_SECS <= written <= BUFFERED_SECS + 1
        for _ in range(30):
            line.take()
            await anyio.sleep(0.1)
    assert written == 30.0


# ── heard ──


async def test_without_marks_the_clock_decides() -> None:
    line = Line()
    await speaking(line, "One.", "Two.")
    line.take()
    await anyio.sleep(1.0)
    line.take()
    assert line.heard() == [("One.", Proof.ESTIMATE)]
    await anyio.sleep(1.0)
    line.take()
    assert line.heard() == [("One.", Proof.ESTIMATE), ("Two.", Proof.ESTIMATE)]


async def test_words_with_times_of_their_own_are_better_proof() -> None:
    line = Line()
    lease = line.playout.lease(1)
    lease.ledger.generated("One two.", 1)
    await lease.write(sound(0.5))
    assert await lease.spoken("One", word=True) == 0.5
    line.take()
    await anyio.sleep(0.5)
    line.take()
    assert line.heard() == [("One", Proof.WORD_TIME)]


async def test_a_mark_is_proof() -> None:
    line = Line(answers_marks=True)
    await speaking(line, "One.", "Two.")
    line.take()
    await anyio.sleep(1.1)
    line.playout.mark_reached("1.1")
    assert line.heard() == [("One.", Proof.MARK)]


async def test_a_later_mark_proves_the_earlier_sentences() -> None:
    line = Line(answers_marks=True)
    await speaking(line, "One.", "Two.", "Three.")
    line.take()
    await anyio.sleep(2.0)
    line.playout.mark_reached("1.2")
    assert [text for text, _ in line.heard()] == ["One.", "Two."]


@pytest.mark.parametrize("names", [["1.1", "1.1"], ["1.2", "1.1"], ["9.9"], [""], ["2.1", "0.1", "1.1"]])
async def test_marks_that_are_doubled_foreign_or_out_of_order_do_no_harm(names: list[str]) -> None:
    line = Line(answers_marks=True)
    await speaking(line, "One.", "Two.")
    line.take()
    for name in names:
        line.playout.mark_reached(name)
    await anyio.sleep(2.0 + MARK_GRACE_SECS)
    line.take()
    assert [text for text, _ in line.heard()] == ["One.", "Two."]


async def test_a_mark_for_what_was_not_sent_yet_proves_nothing() -> None:
    line = Line(answers_marks=True)
    await speaking(line, "One.")
    line.playout.mark_reached("1.1")
    assert line.heard() == []


async def test_a_client_that_stops_answering_is_believed_the_clock_after_a_grace() -> None:
    line = Line(answers_marks=True)
    await speaking(line, "One.")
    line.take()
    await anyio.sleep(1.0 + MARK_GRACE_SECS * 0.9)
    line.take()
    assert line.heard() == []
    await anyio.sleep(MARK_GRACE_SECS * 0.1)
    line.take()
    assert line.heard() == [("One.", Proof.ESTIMATE)]


async def test_late_marks_tell_how_far_the_ear_is_behind() -> None:
    line = Line(answers_marks=True)
    await speaking(line, "One.", "Two.")
    line.take()
    await anyio.sleep(1.3)
    line.playout.mark_reached("1.1")
    assert line.playout.heard_secs() == pytest.approx(1.0)
    await anyio.sleep(0.4)
    assert line.playout.clear() == pytest.approx(1.4)


async def test_a_mark_that_comes_early_is_believed_more_than_the_clock() -> None:
    line = Line(answers_marks=True)
    lease = await speaking(line, "One two three.", "Four.")
    line.take()
    await anyio.sleep(0.5)
    line.playout.mark_reached("1.1")
    secs = line.playout.clear()
    assert secs == pytest.approx(1.0)
    assert lease.ledger.heard(secs) == "One two three."


async def test_a_reply_is_finished_when_the_last_sound_was_heard() -> None:
    line = Line()
    lease = await speaking(line, "One.", "Two.")
    line.take()
    await lease.finished()
    assert line.clock.now() == pytest.approx(2.0)
    assert [text for text, _ in line.heard()] == ["One.", "Two."]


async def test_with_marks_it_is_finished_when_the_last_mark_came() -> None:
    line = Line(answers_marks=True)
    lease = await speaking(line, "One.")
    line.take()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lease.finished)
        await anyio.sleep(1.4)
        line.playout.mark_reached("1.1")
    assert line.clock.now() == pytest.approx(1.4)


async def test_a_reply_without_sound_is_finished_at_once() -> None:
    line = Line()
    await line.playout.lease(1).finished()
    assert line.clock.now() == 0.0


# ── cutting off ──


async def test_clearing_drops_what_was_not_heard_and_says_how_much_was() -> None:
    line = Line()
    await speaking(line, "One.", "Two.", "Three.")
    line.playout.take(3000)
    await anyio.sleep(0.4)
    assert line.playout.clear() == pytest.approx(0.4)
    assert line.take() == []
    assert line.playout.lead_secs() == 0.0


async def test_clearing_settles_first() -> None:
    line = Line()
    await speaking(line, "One.", "Two.")
    line.take()
    await anyio.sleep(1.0)
    line.playout.clear()
    assert line.heard() == [("One.", Proof.ESTIMATE)]


async def test_clearing_nothing_is_fine() -> None:
    assert Line().playout.clear() == 0.0


@pytest.mark.parametrize("method", ["write", "spoken", "finished", "drained", "check"])
async def test_a_revoked_lease_never_returns(method: str) -> None:
    line = Line()
    old = await speaking(line, "One.")
    line.playout.clear()
    new = line.playout.lease(2)
    await new.write(sound(0.5))
    calls = {
        "write": lambda: old.write(sound(9.0)),
        "spoken": lambda: old.spoken("Old.", word=False),
        "finished": old.finished,
        "drained": old.drained,
        "check": old.check,
    }
    returned = False
    with anyio.move_on_after(60.0):
        await calls[method]()
        returned = True
    assert not returned
    assert line.take(9999) == [sound(0.5)]


@pytest.mark.parametrize("waiting_for", ["room", "end"])
async def test_a_writer_that_waits_when_the_lease_is_revoked_gets_no_further(waiting_for: str) -> None:
    line = Line()
    lease = line.playout.lease(1)
    passed: list[str] = []

    async def write() -> None:
        with lease.scope:
            for _ in range(20 if waiting_for == "room" else 1):
                await lease.write(sound(1.0))
            await lease.finished()
            passed.append("the reply was heard to its end")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        await anyio.sleep(1.0)
        line.playout.clear()
        line.playout.lease(2)
    assert not passed
    assert line.take() == []


async def test_the_scope_exists_before_the_task_so_a_reply_can_be_cut_before_it_begins() -> None:
    line = Line()
    lease = line.playout.lease(1)
    began: list[str] = []

    async def reply() -> None:
        with lease.scope:
            await anyio.lowlevel.checkpoint()
            began.append("it")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reply)
        line.playout.clear()
    assert not began


async def test_a_new_reply_starts_counting_from_its_own_sound() -> None:
    line = Line()
    await speaking(line, "One.")
    line.take()
    await anyio.sleep(0.5)
    line.playout.clear()
    lease = line.playout.lease(2)
    await lease.write(sound(1.0))
    assert line.playout.heard_secs() == 0.0
    line.take()
    await anyio.sleep(0.25)
    assert line.playout.heard_secs() == pytest.approx(0.25)
    line.playout.mark_reached("1.1")
    assert line.heard() == []
