"""How replies and calls end, go on or are cut: the corners that long calls reach."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.session.calls import BRISK, Call, hold
from voxray.audio.format import MULAW_8K
from voxray.chat import Assistant, ToolCall, User
from voxray.errors import ProviderRefused, TransportFailedError
from voxray.events import (
    CallEnded,
    ContextReplaced,
    EndRequested,
    ModelAsked,
    ReplyAudible,
    ReplyFinished,
    ReplyInterrupted,
    ReplyRequested,
    ReplyStarted,
    SilenceBroken,
    SpeakRequested,
    TextReceived,
    TurnEnded,
    UserIdle,
)
from voxray.protocols.call import CallInfo
from voxray.session.services import SessionOptions
from voxray.session.session import Session
from voxray.testing.fakes import STALL, FakeTransport, ScriptedLlm, ScriptedStt, ScriptedTts, services
from voxray.testing.virtual import run_virtual

LONG = "This is a rather long answer that goes on for a while. It has a second sentence. And a third one."
REFUSED = ProviderRefused("acme", "HTTP 401", status=401)


def causes(call: Call) -> list[str]:
    return [event.cause for event in call.all(ReplyStarted)]


# ── going on after a false interruption ──


def test_after_two_coughs_the_agent_still_goes_on_where_it_was_cut() -> None:
    caller = FakeTransport().say(1.0).until_audible(1.0).say(0.4).silence(0.55).say(0.4).listen().listen().listen()
    llm = ScriptedLlm([LONG])
    call = hold(caller.leave(), llm=llm, stt=ScriptedStt(["hello", "", ""]))
    assert len(llm.prompts) == 1
    assert call.all(ReplyFinished)[-1].text == LONG
    assert causes(call)[-1] == "resume"


def test_after_a_cough_that_cut_off_nothing_the_model_is_not_asked_again() -> None:
    caller = FakeTransport().say(1.0).until_audible(2.85).say(0.4).silence(3.0).leave()
    llm = ScriptedLlm(["A sentence that takes just three seconds to hear, exactly sixty."])
    call = hold(caller, llm=llm, stt=ScriptedStt(["hello", ""]))
    cut = call.all(ReplyInterrupted)
    assert len(llm.prompts) == 1
    if cut and cut[0].heard.endswith("sixty."):
        assert causes(call) == ["turn"]


def test_after_a_cough_the_model_goes_on_if_it_had_not_finished() -> None:
    """What it had said so far is said first, then it is asked to go on."""
    llm = ScriptedLlm([["First sentence of the answer. Second one. And", 2.0, " a third."], "And a third."])
    caller = FakeTransport().say(1.0).until_audible(0.6).say(0.4).listen().listen().leave()
    call = hold(caller, llm=llm, stt=ScriptedStt(["hello", ""]))
    assert causes(call) == ["turn", "resume"]
    assert [m.text for m in llm.prompts[1].messages if isinstance(m, Assistant)][-1] == (
        "First sentence of the answer. Second one."
    )
    assert call.all(ReplyFinished)[-1].text == "First sentence of the answer. Second one. And a third."


def test_a_greeting_cut_off_by_a_cough_is_said_again() -> None:
    caller = FakeTransport().until_audible(0.3).say(0.4).listen().listen().leave()
    call = hold(caller, {"greeting": "Good morning, how may I help you?"}, stt=ScriptedStt([""]))
    assert call.all(ReplyFinished)[-1].text == "Good morning, how may I help you?"


# ── saying things ──


def test_a_saying_stops_the_clock_of_the_idle_caller() -> None:
    caller = FakeTransport().say(1.0).listen().silence(1.5).post(SpeakRequested("A long announcement of things."))
    call = hold(caller.listen().silence(1.0).leave(), {"user_idle_timeout_secs": 2.0})
    assert not call.all(UserIdle)


def test_a_cough_starts_the_clock_of_the_idle_caller_anew() -> None:
    caller = FakeTransport().say(1.0).listen().silence(1.0).say(0.4).silence(5.0).leave()
    call = hold(caller, {"user_idle_timeout_secs": 2.0}, stt=ScriptedStt(["hello", ""]))
    assert len(call.all(UserIdle)) == 1
    assert call.at(UserIdle) - call.at(TurnEnded, 1) == pytest.approx(2.0, abs=0.01)


def test_an_idle_caller_who_is_asked_may_be_asked_again() -> None:
    def during(session: Session) -> None:
        session.log.watch(lambda entry: session.say("Hello?") if isinstance(entry.event, UserIdle) else None)

    call = hold(FakeTransport().say(1.0).listen().silence(8.0).leave(), {"user_idle_timeout_secs": 2.0}, during)
    assert len(call.all(UserIdle)) == 3


@pytest.mark.parametrize("audio_out", [None, MULAW_8K])
def test_without_a_phrase_an_apology_is_a_tone(audio_out: Any) -> None:
    kwargs = {"audio_out": audio_out} if audio_out else {}
    caller = FakeTransport(**kwargs).say(1.0).silence(3.0).leave()
    call = hold(caller, {"fallback_phrase": ""}, llm=ScriptedLlm([[REFUSED]]))
    assert call.all(SilenceBroken)[0].action == "tone"
    assert len(caller.heard_pcm()) > 1000
    assert call.messages == (User("words 1"),)


@pytest.mark.parametrize("text", ["", "  ", "😀", "..."])
def test_nothing_to_say_is_no_reply(text: str) -> None:
    call = hold(FakeTransport().post(SpeakRequested(text), SpeakRequested("But this.")).listen().leave())
    assert call.messages == (Assistant("But this."),)
    assert len(call.all(ReplyStarted)) == 1


def test_a_long_announcement_is_said_by_sentences() -> None:
    tts = ScriptedTts()
    hold(FakeTransport().post(SpeakRequested("One **two**. Three. " * 2)).listen().leave(), tts=tts)
    assert tts.sentences == ["One two.", "Three.", "One two.", "Three."]


def test_an_answer_in_writing_that_fails_is_excused() -> None:
    caller = FakeTransport().post(TextReceived("typed", speak=False)).silence(3.0).leave()
    call = hold(caller, llm=ScriptedLlm([[REFUSED]]))
    assert call.messages == (User("typed"), Assistant("Sorry."))


def test_a_slow_voice_does_not_turn_the_waiting_phrase_into_a_tone() -> None:
    """The phrase is asked for before the caller has waited too long, because voices need time."""
    call = hold(
        FakeTransport().say(1.0).listen().leave(),
        llm=ScriptedLlm(["At last."], first_token_secs=4.5),
        tts=ScriptedTts(first_audio_secs=0.6),
    )
    assert not call.all(SilenceBroken)
    assert call.messages[-1].text == "One moment. At last."
    assert call.at(ReplyAudible) - call.at(TurnEnded) < 3.0


def test_the_context_may_be_replaced_in_the_middle_of_an_answer() -> None:
    caller = FakeTransport().say(1.0).until_audible(0.3).post(ContextReplaced([User("New.")])).listen().leave()
    call = hold(caller, llm=ScriptedLlm(["An answer."]))
    assert call.messages == (User("New."), Assistant("An answer."))


def test_a_call_without_a_word_can_be_answered_by_the_model() -> None:
    call = hold(FakeTransport().post(ReplyRequested()).listen().leave(), llm=ScriptedLlm(["Hi."]))
    assert call.messages == (Assistant("Hi."),)


# ── connections ──


class StuckTransport(FakeTransport):
    """Takes sound for a while, then no more."""

    def __init__(self, stuck_at: float) -> None:
        super().__init__()
        self._stuck_at = stuck_at

    async def play(self, source: Any) -> None:
        with anyio.move_on_after(self._stuck_at):
            await super().play(source)
        await anyio.sleep_forever()


def test_a_connection_that_takes_no_sound_costs_no_processor() -> None:
    caller = StuckTransport(1.9)
    call = hold(caller.say(1.0).silence(30.0).leave(), llm=ScriptedLlm([LONG]))
    assert call.outcome.cause == "caller_left"
    assert not call.all(ReplyFinished)


class BrokenTransport(FakeTransport):
    """Cannot be sent to any more after some events."""

    def __init__(self, events: int) -> None:
        super().__init__()
        self._left = events

    def send(self, event: Any) -> None:
        self._left -= 1
        if self._left < 0:
            raise TransportFailedError("the other side does not read")
        super().send(event)


@pytest.mark.parametrize("events", range(0, 30, 3))
def test_wherever_the_connection_breaks_the_call_ends_with_its_record(events: int) -> None:
    tool_call = ToolCall("c", "act", {})
    call = hold(BrokenTransport(events).say(1.0).listen().leave(), llm=ScriptedLlm([["One.", tool_call], "Two."]))
    assert call.outcome.cause in ("transport_failed", "caller_left")
    assert isinstance(call.entries[-1].event, CallEnded)
    assert call.caller.closed is not None


def test_the_client_may_end_the_call_in_the_middle_of_an_answer() -> None:
    call = hold(FakeTransport().say(1.0).until_audible(1.0).post(EndRequested("enough")), llm=ScriptedLlm([LONG]))
    cut = call.all(ReplyInterrupted)[0]
    assert (cut.by, call.outcome.detail) == ("end", "enough")
    assert call.messages[-1] == Assistant(cut.heard, interrupted=True)


# ── from outside ──


def session_of(caller: FakeTransport, **parts: Any) -> Session:
    info = CallInfo(session_id="s-1", transport="fake", started_at=0.0)
    return Session(caller, info, services(**parts), SessionOptions(**BRISK))


def test_a_call_that_is_cancelled_from_outside_has_its_record_and_says_goodbye() -> None:
    caller = FakeTransport().say(1.0)

    async def main() -> Session:
        session = session_of(caller)
        with anyio.move_on_after(1.7):
            await session.run()
        return session

    session = run_virtual(main)
    assert session.outcome.cause == "drained"
    assert session.outcome.replies == 1
    assert caller.closed == ("drained", "the server gave the call up")
    assert caller.events[-1] == CallEnded("drained", "the server gave the call up")


def test_a_fault_of_ours_leaves_a_record_too() -> None:
    class FaultyLlm(ScriptedLlm):
        def generate(self, prompt):
            raise KeyError("oops")

    caller = FakeTransport().say(1.0)

    async def main() -> Session:
        session = session_of(caller, llm=FaultyLlm())
        with pytest.raises(ExceptionGroup):
            await session.run()
        return session

    session = run_virtual(main)
    assert (session.outcome.cause, session.outcome.detail) == ("error", "KeyError")
    assert caller.closed == ("error", "KeyError")


def test_a_call_may_be_ended_before_it_has_begun() -> None:
    async def main() -> Session:
        session = session_of(FakeTransport().say(1.0))
        session.end("drained")
        await session.run()
        return session

    assert run_virtual(main).outcome.cause == "drained"


def test_a_hang_up_waits_for_the_answer_and_another_cause_comes_too_late() -> None:
    def during(session: Session) -> None:
        def see(entry: Any) -> None:
            if isinstance(entry.event, ReplyAudible):
                session.hang_up("drained", "the server is stopping")
                session.hang_up("other")

        session.log.watch(see)

    call = hold(FakeTransport().say(1.0), None, during, llm=ScriptedLlm(["Goodbye."]))
    assert call.outcome.cause == "drained"
    assert call.all(ReplyFinished)[0].text == "Goodbye."


def test_nothing_is_left_open_after_a_call_wherever_it_ends() -> None:
    for at in (0.1, 1.2, 1.6, 1.75, 1.9, 2.5, 4.0):
        llm, tts, stt = ScriptedLlm([["One. Two.", STALL]]), ScriptedTts(), ScriptedStt()
        caller = FakeTransport().say(min(at, 1.0)).silence(max(0.0, at - 1.0)).leave()
        hold(caller, llm=llm, tts=tts, stt=stt)
        assert (llm.active, tts.active, stt.active) == (0, 0, 0), at


# ── long calls ──


def test_a_long_call_keeps_nothing_but_its_conversation() -> None:
    turns = 60
    caller = FakeTransport(acknowledge_marks=True)
    for number in range(turns):
        caller.say(0.6).listen() if number % 3 else caller.say(0.6).until_audible(0.2)
    kept: list[Session] = []

    def reply(prompt):
        return ["An answer.", ToolCall("c", "none", {})][: 1 + len(prompt.messages) % 2]

    llm = ScriptedLlm(reply)
    call = hold(caller.silence(3.0).leave(), {"max_tool_rounds": 1}, kept.append, llm=llm)
    session = kept[0]
    assert len(call.all(ReplyStarted)) >= turns // 2
    assert not session._tools._answers
    assert not session._tools._shielded
    assert not session._playout._items
    assert not session._playout._unheard
    assert not session.conversation._rounds
    assert not session._conductor.dialogue._sayings
    assert not session._conductor.dialogue._held
    assert set(session._alarms._due) <= {"stall", "idle", "duration"}
    assert len(call.all(ModelAsked)) >= turns // 2
