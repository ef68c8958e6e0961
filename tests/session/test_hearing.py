"""The ear in calls: what the recogniser gets, what becomes of its words, and what happens when it is gone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from tests.session.calls import Call, hold
from voxray.audio.format import MULAW_8K
from voxray.chat import Assistant, User
from voxray.errors import ProviderRefused, ProviderUnavailable
from voxray.events import (
    AudioDropped,
    ProviderFailed,
    ProviderRetried,
    ReplyInterrupted,
    ReplyStarted,
    SilenceBroken,
    SpeechStarted,
    SpeechStopped,
    Transcribed,
    TurnEnded,
    VadUpdated,
)
from voxray.protocols.stt import Flushed, Transcript
from voxray.protocols.turn import UserTurn
from voxray.testing.fakes import FakeTransport, ScriptedLlm, ScriptedRecognizer, ScriptedStt, Utterance

DOWN = ProviderUnavailable("acme", "HTTP 503")
REFUSED = ProviderRefused("acme", "HTTP 401", status=401)


class Stream:
    """A recogniser by hand: notes what it is sent, says what `words` give for each flush."""

    def __init__(self, words: Sequence[Any] = (), *, early: Any = None, ends_after: int = 10**9) -> None:
        self.words = list(words)
        self.early = early  # said as soon as there is some sound
        self.ends_after = ends_after
        self.pcm = bytearray()
        self.flushes = 0
        self.closed = False
        self.send_results, self.results = anyio.create_memory_object_stream[Any](100)

    async def send(self, pcm: bytes) -> None:
        self.pcm += pcm
        if self.early is not None and any(pcm):
            await self.send_results.send(self.early)
            self.early = None
        if len(self.pcm) > self.ends_after:
            raise DOWN

    async def flush(self) -> None:
        self.flushes += 1
        if self.words and (text := self.words.pop(0)):
            await self.send_results.send(Transcript(text, final=True))
        await self.send_results.send(Flushed())

    async def __aiter__(self):
        try:
            with self.send_results, self.results:
                async for item in self.results:
                    yield item
        finally:
            self.closed = True


class Stt:
    """Opens these streams, one after the other; None never opens, an exception refuses."""

    def __init__(self, *streams: Any) -> None:
        self.streams = list(streams)
        self.opened_at: list[float] = []

    @asynccontextmanager
    async def open(self, *, language=None):
        self.opened_at.append(anyio.current_time())
        stream = self.streams.pop(0) if self.streams else Stream()
        if stream is None:
            await anyio.sleep_forever()
        if isinstance(stream, Exception):
            raise stream
        yield stream


def ask(stt: Any, *, caller: FakeTransport | None = None, **kwargs: Any) -> Call:
    caller = caller or FakeTransport().say(1.0).listen().leave()
    return hold(caller, kwargs.pop("options", None), stt=stt, **kwargs)


# ── sound ──


def test_a_recogniser_hears_everything_at_its_own_rate() -> None:
    stream = Stream(["hello"])
    caller = FakeTransport(audio_in=MULAW_8K).silence(0.5).say(1.0).silence(1.5).leave()
    ask(Stt(stream), caller=caller)
    assert len(stream.pcm) / 32_000 == pytest.approx(3.0, abs=0.1)


def test_a_recogniser_of_utterances_keeps_listening_to_a_turn_that_was_too_long() -> None:
    recognizer = ScriptedRecognizer(["first part", "second part"])
    caller = FakeTransport().say(5.0).listen().listen().silence(2.0).leave()
    call = ask(recognizer, caller=caller, options={"turn_max_duration_secs": 2.0})
    assert [event.text for event in call.all(TurnEnded)] == ["first part", "second part"]
    assert sum(map(len, recognizer.requests)) / 32_000 == pytest.approx(5.3, abs=0.4)


def test_words_right_after_the_longest_turn_are_not_lost() -> None:
    stream = Stream(["a long", "story"])
    call = ask(Stt(stream), caller=FakeTransport().say(2.0).listen().leave(), options={"turn_max_duration_secs": 2.15})
    assert " ".join(event.text for event in call.all(TurnEnded)) == "a long story"


def test_the_client_changes_the_detectors_times() -> None:
    caller = FakeTransport().post(VadUpdated(stop_secs=1.0, start_secs=0.4)).say(1.0).silence(2.0).leave()
    call = ask(ScriptedStt(), caller=caller)
    assert call.all(SpeechStarted)[0].for_secs == pytest.approx(0.4, abs=0.03)
    assert call.all(SpeechStopped)[0].ago_secs == pytest.approx(1.0, abs=0.03)


# ── a recogniser that is gone ──


def test_a_recogniser_that_does_not_open_is_given_up_for_another_try() -> None:
    stt = Stt(None, Stream(["hello"]))
    call = ask(stt, caller=FakeTransport().say(1.0).listen().leave())
    assert call.all(ProviderRetried)[0].stage == "stt"
    assert call.all(TurnEnded)[0].text == "hello"
    assert stt.opened_at[1] - stt.opened_at[0] == pytest.approx(4.1, abs=0.01)


def test_one_that_never_opens_is_excused_and_does_not_end_in_silence() -> None:
    call = ask(Stt(*[None] * 99), caller=FakeTransport().say(1.0).silence(20.0).leave())
    assert call.all(ProviderFailed)[0].stage == "stt"
    assert Assistant("Sorry.") in call.messages
    assert call.outcome.failures >= 1


def test_an_outage_while_nobody_speaks_is_not_talked_about() -> None:
    stt = Stt(*[DOWN] * 8, Stream(["hello"]))
    call = ask(stt, caller=FakeTransport().silence(20.0).say(1.0).listen().leave())
    assert call.messages == (User("hello"), Assistant("Reply 1."))
    assert call.outcome.cause == "caller_left"


def test_an_outage_while_somebody_speaks_is() -> None:
    stt = Stt(*[DOWN] * 3, Stream(["", "hello"]))
    call = ask(stt, caller=FakeTransport().say(2.0).listen().silence(3.0).say(1.0).listen().leave())
    assert call.messages[0] == Assistant("Sorry.")
    assert call.all(AudioDropped)


def test_words_that_were_understood_are_not_heard_again_by_the_next_one() -> None:
    first = Stream(early=Transcript("book a room", final=True), ends_after=40_000)
    second = Stream(["for two"])
    call = ask(Stt(first, second), caller=FakeTransport().say(2.0).listen().leave())
    assert call.all(TurnEnded)[0].text == "book a room for two"
    assert len(second.pcm) / 32_000 < 4.2
    assert second.pcm[:3200] != bytes(3200)


def test_its_results_are_closed_with_it() -> None:
    first, second = Stream(ends_after=20_000), Stream(["hello"])
    ask(Stt(first, second))
    assert first.closed
    assert second.closed


def test_one_that_owes_words_is_replaced_and_excused() -> None:
    call = ask(
        ScriptedStt([Utterance("", flushes=False), "hello"]),
        caller=FakeTransport().say(1.0).listen().say(1.0).listen().leave(),
        options={"user_turn_stop_timeout_secs": 0.5, "max_silence_secs": 1.0},
    )
    assert call.messages == (Assistant("Sorry."), User("hello"), Assistant("Reply 1."))


def test_while_words_are_waited_for_the_caller_hears_that_we_are_still_there() -> None:
    stt = ScriptedStt([Utterance("slow words", delay_secs=6.0)])
    call = ask(stt, options={"user_turn_stop_timeout_secs": 8.0})
    assert [(event.reply, event.action) for event in call.all(SilenceBroken)] == [(0, "tone")]
    assert call.caller.heard()[0].at - call.at(SpeechStopped) < 0.3 + 3.3
    assert call.messages[0] == User("slow words")


# ── who ends a turn ──

NONE = {"turn_detection": "none"}


def test_where_the_recogniser_decides_noise_is_not_excused() -> None:
    caller = FakeTransport()
    for _ in range(4):
        caller.say(0.4).silence(12.0)
    call = ask(ScriptedStt([""] * 9), caller=caller.leave(), options=NONE)
    assert not call.all(ReplyStarted)
    assert not call.all(SilenceBroken)
    assert call.outcome.cause == "caller_left"


def test_where_the_recogniser_decides_its_words_are_answered_at_once() -> None:
    stream = Stream(early=Transcript("hello", final=True))
    call = ask(Stt(stream), options=NONE)
    assert call.all(TurnEnded)[0].cause == "final"
    assert stream.flushes == 0


def test_words_without_detected_speech_have_waited_only_since_they_came() -> None:
    async def late(stream: Stream) -> None:
        await anyio.sleep(5.0)
        await stream.send_results.send(Transcript("psst", final=True))

    stream = Stream()
    call = ask(
        Stt(stream),
        caller=FakeTransport().silence(8.0).leave(),
        during=lambda session: session.log.watch(
            lambda entry: session.start_soon(lambda: late(stream)) if entry.seq == 0 else None
        ),
    )
    assert call.all(Transcribed)[0].text == "psst"
    assert call.all(TurnEnded)[0].waited_secs == pytest.approx(0.5, abs=0.01)


# ── turn detectors ──


class Detector:
    """Answers with the next of these patiences, each after its delay, and notes what it was asked."""

    def __init__(self, *answers: float | tuple[float, float] | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[UserTurn] = []

    async def patience(self, turn: UserTurn) -> float:
        self.asked.append(turn)
        answer = self.answers.pop(0) if self.answers else 0.0
        if isinstance(answer, Exception):
            raise answer
        secs, delay = answer if isinstance(answer, tuple) else (answer, 0.0)
        await anyio.sleep(delay)
        return secs


SLOW = {"turn_stop_secs": 2.0}


@pytest.mark.parametrize(
    ("answer", "ends"),
    [
        (0.0, 1.3),  # as soon as the words are there
        (0.8, 1.8),
        (99.0, 3.0),  # never longer than configured
        ((0.3, 0.6), 1.8),
        ((0.3, 1e6), 3.0),  # a detector that does not answer
        (DOWN, 3.0),
    ],
)
def test_a_detector_shortens_the_patience(answer: Any, ends: float) -> None:
    call = ask(ScriptedStt(["hello"]), turn=Detector(answer), options=SLOW)
    assert call.at(TurnEnded) == pytest.approx(ends, abs=0.03)
    assert len(call.all(ProviderFailed)) == (answer is DOWN)


def test_an_answer_about_an_earlier_pause_is_too_late() -> None:
    detector = Detector((0.0, 1.0), 1.5)
    caller = FakeTransport().say(1.0).silence(0.5).say(0.6).listen().leave()
    call = ask(ScriptedStt(["one", "two"]), turn=detector, caller=caller, options=SLOW)
    assert [event.text for event in call.all(TurnEnded)] == ["one two"]
    assert call.at(TurnEnded) == pytest.approx(2.1 + 1.5, abs=0.03)


def test_a_detector_gets_the_speech_of_this_turn_from_before_it_was_noticed() -> None:
    detector = Detector(0.0, 0.0)
    caller = FakeTransport().silence(1.0).say(1.0).listen().silence(1.0).say(2.0).listen().leave()
    ask(ScriptedStt(), turn=detector, caller=caller, options=SLOW)
    lengths = [len(turn.pcm) / 32_000 for turn in detector.asked]
    spoken = [sum(1 for sample in memoryview(bytes(turn.pcm)).cast("h") if sample) / 16_000 for turn in detector.asked]
    assert spoken == [pytest.approx(1.0, abs=0.03), pytest.approx(2.0, abs=0.03)]
    assert lengths[0] < 2.2


def test_a_detector_gets_eight_seconds_at_most_however_long_they_speak() -> None:
    detector = Detector(0.0)
    caller = FakeTransport().say(30.0).listen().leave()
    ask(ScriptedStt(), turn=detector, caller=caller, options={**SLOW, "turn_max_duration_secs": 0.0})
    assert len(detector.asked[0].pcm) == 8 * 32_000


# ── barge-in ──


def test_speech_interrupts_though_the_recogniser_is_gone() -> None:
    stt = Stt(Stream(["hello"], ends_after=60_000), *[None] * 99)
    caller = FakeTransport().say(1.0).until_audible(1.0).say(1.0).listen().leave()
    call = ask(stt, caller=caller, llm=ScriptedLlm(["A rather long answer that goes on and on and on. " * 3]))
    assert call.all(ReplyInterrupted)[0].by == "speech"


def test_a_refusal_that_comes_later_ends_the_call_with_an_apology() -> None:
    stt = Stt(Stream(["hello"], ends_after=60_000), REFUSED)
    caller = FakeTransport().say(1.0).listen().silence(30.0).leave()
    call = ask(stt, caller=caller)
    assert call.outcome.cause == "provider_failed"
    assert call.messages[-1] == Assistant("Sorry.")
