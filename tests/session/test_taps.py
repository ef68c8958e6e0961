"""Pipeline plugins in calls: what they change, what they ask for, and what they cannot break."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tests.session.calls import Call, hold
from voxray.audio.format import PCM_8K
from voxray.chat import Assistant, User
from voxray.events import (
    CallEnded,
    CallStarted,
    ReplyFinished,
    ReplyInterrupted,
    ReplyStarted,
    SentenceReady,
    ServerMessage,
    SessionEvent,
    SpeechStarted,
    Transcribed,
    TurnEnded,
    TurnStarted,
)
from voxray.protocols.call import SessionHandle
from voxray.protocols.pipeline import Tap
from voxray.protocols.stt import Transcript
from voxray.session.taps import Taps, through
from voxray.testing.fakes import FakeSession, FakeTransport, ScriptedLlm, ScriptedStt

LONG = "This is a rather long answer that goes on for a while. It has a second sentence."


class Plugin:
    """A pipeline plugin whose taps have these methods."""

    def __init__(self, **methods: Any) -> None:
        self.sessions: list[SessionHandle] = []
        self._tap = type("TestTap", (Tap,), {name: staticmethod(method) for name, method in methods.items()})

    def open(self, session: SessionHandle) -> Tap:
        self.sessions.append(session)
        tap: Tap = self._tap()
        return tap


def ask(*plugins: Any, caller: FakeTransport | None = None, **kwargs: Any) -> Call:
    caller = caller or FakeTransport().say(1.0).listen().leave()
    return hold(caller, kwargs.pop("options", None), plugins=plugins, **kwargs)


# ── what they change ──


def test_stages_nobody_overrides_are_empty() -> None:
    taps = Taps()
    taps.open([Plugin(), Plugin(user_turn=str.upper)], FakeSession())
    assert (len(taps.audio_in), len(taps.user_turn), len(taps.watchers)) == (0, 1, 0)
    assert taps.may_interrupt()


def test_a_plugin_that_only_looks_like_a_tap_is_used_for_what_it_has() -> None:
    class Looker:
        def event(self, event: SessionEvent) -> None:
            seen.append(event)

        def close(self) -> None:
            seen.append(None)

    seen: list[Any] = []
    plugin = Plugin()
    plugin._tap = Looker
    ask(plugin)
    assert isinstance(seen[0], CallStarted)
    assert seen[-1] is None


@pytest.mark.parametrize(
    ("chain", "result"),
    [
        ([], "a"),
        ([str.upper], "A"),
        ([str.upper, lambda text: text + "!"], "A!"),
        ([lambda text: None, str.upper], None),
    ],
)
def test_taps_work_one_after_the_other_until_one_drops_it(
    chain: list[Callable[[str], str | None]], result: Any
) -> None:
    assert through(chain, "a") == result


def test_transcripts_can_be_changed_and_dropped() -> None:
    def transcript(transcript: Transcript) -> Transcript | None:
        return None if transcript.text == "noise" else Transcript(transcript.text.title(), transcript.final)

    caller = FakeTransport().say(1.0).silence(1.0).say(1.0).listen().leave()
    call = ask(Plugin(transcript=transcript), caller=caller, stt=ScriptedStt(["noise", "hello there"]))
    assert [event.text for event in call.all(Transcribed)] == ["Hello There"]
    assert call.messages[0] == User("Hello There")


def test_a_turn_can_be_changed_or_left_unanswered() -> None:
    caller = FakeTransport().say(1.0).silence(2.0).say(1.0).listen().leave()

    def user_turn(text: str) -> str | None:
        return text.removeprefix("robot, ") if text.startswith("robot, ") else None

    call = ask(Plugin(user_turn=user_turn), caller=caller, stt=ScriptedStt(["just talking", "robot, hello"]))
    assert call.messages[0] == User("hello")
    assert len(call.all(ReplyStarted)) == 1


def test_a_changed_turn_can_be_taken_back() -> None:
    caller = FakeTransport().say(1.0).silence(0.6).say(1.0).listen().listen().leave()
    stt = ScriptedStt(["book a room", "for two"])
    call = ask(Plugin(user_turn=str.upper), caller=caller, stt=stt, llm=ScriptedLlm(first_token_secs=1.0))
    assert [m.text for m in call.messages if isinstance(m, User)] == ["BOOK A ROOM FOR TWO"]


def test_sentences_can_be_changed_and_dropped() -> None:
    def reply_text(sentence: str) -> str | None:
        return {"Two.": None, "Three.": ""}.get(sentence, sentence.upper())

    call = ask(Plugin(reply_text=reply_text), llm=ScriptedLlm(["One. Two. Three. Four."]))
    assert [event.text for event in call.all(SentenceReady)] == ["ONE.", "FOUR."]
    assert call.messages[-1] == Assistant("ONE. FOUR.")


def test_an_answer_of_which_every_sentence_is_dropped_is_over_at_once() -> None:
    call = ask(Plugin(reply_text=lambda sentence: None), llm=ScriptedLlm(["One. Two."]))
    assert call.all(ReplyFinished)[0].text == ""
    assert call.messages == (User("words 1"),)


def test_heard_sound_can_be_changed_before_anybody_hears_it() -> None:
    rates = set()

    def audio_in(pcm: bytes) -> bytes | None:
        rates.add(len(pcm))
        return bytes(len(pcm))

    call = ask(Plugin(audio_in=audio_in), caller=FakeTransport(audio_in=PCM_8K).say(1.0).silence(2.0).leave())
    assert not call.all(SpeechStarted)
    assert max(rates) == 640  # 20 ms at 16 kHz, whatever the line has


def test_heard_sound_can_be_dropped() -> None:
    call = ask(Plugin(audio_in=lambda pcm: None), caller=FakeTransport().say(1.0).silence(2.0).leave())
    assert not call.all(SpeechStarted)


def test_spoken_sound_can_be_changed() -> None:
    def audio_out(pcm: bytes) -> bytes:
        return array("h", [sample + 7 for sample in array("h", pcm)]).tobytes()

    call = ask(Plugin(audio_out=audio_out))
    assert {sound.value for sound in call.caller.heard()} == {1007}


# ── who may interrupt ──


def test_all_must_agree_to_an_interruption() -> None:
    for votes, cuts in (((True, True), 1), ((True, False), 0)):
        plugins = [Plugin(may_interrupt=lambda vote=vote: vote) for vote in votes]
        caller = FakeTransport().say(1.0).until_audible(0.5).say(0.6).listen().listen().leave()
        call = ask(*plugins, caller=caller, llm=ScriptedLlm([LONG, "Later."]))
        assert len(call.all(ReplyInterrupted)) == cuts
        assert call.messages[-1] == Assistant("Later.")


# ── what they see and ask for ──


class Watcher(Tap):
    """Does something at each event of a kind."""

    def __init__(self, session: SessionHandle, kind: type, act: Callable[[SessionHandle], None]) -> None:
        self.session, self.kind, self.act = session, kind, act

    def event(self, event: SessionEvent) -> None:
        if isinstance(event, self.kind):
            self.act(self.session)


class At:
    """A plugin that does `act(session)` at each event of `kind`."""

    def __init__(self, kind: type, act: Callable[[SessionHandle], None]) -> None:
        self.kind, self.act = kind, act

    def open(self, session: SessionHandle) -> Tap:
        return Watcher(session, self.kind, self.act)


def test_they_see_the_whole_call_and_are_closed_after_its_last_event() -> None:
    seen: list[Any] = []
    ask(Plugin(event=seen.append, close=lambda: seen.append("closed")))
    assert isinstance(seen[0], CallStarted)
    assert isinstance(seen[-2], CallEnded)
    assert seen[-1] == "closed"


@pytest.mark.parametrize("kind", [TurnStarted, TurnEnded, ReplyStarted, SpeechStarted, Transcribed])
def test_interrupting_in_the_middle_of_a_decision_leaves_no_reply_astray(kind: type) -> None:
    caller = FakeTransport().say(1.0).silence(2.0).say(1.0).silence(3.0).leave()
    call = ask(At(kind, lambda session: session.interrupt()), caller=caller, llm=ScriptedLlm([LONG] * 3))
    started = [event.reply for event in call.all(ReplyStarted)]
    ended = [event.reply for event in [*call.all(ReplyFinished), *call.all(ReplyInterrupted)]]
    assert sorted(started) == sorted(ended)
    if kind in (TurnEnded, ReplyStarted):
        assert not caller.heard(), "a reply that was silenced before it began is never heard"


@pytest.mark.parametrize("kind", [TurnEnded, ReplyStarted, ReplyFinished, ReplyInterrupted, SentenceReady])
def test_speaking_up_in_the_middle_of_a_decision_is_heard_in_its_turn(kind: type) -> None:
    once = iter([True])

    def act(session: SessionHandle) -> None:
        if next(once, False):
            session.say("By the way.")

    caller = FakeTransport().say(1.0).until_audible(1.0).say(0.6).listen().listen().silence(3.0).leave()
    call = ask(At(kind, act), caller=caller, llm=ScriptedLlm([LONG, "Yes."]))
    assert "By the way." in [event.text for event in call.all(ReplyFinished)]
    values = [sound.value for sound in caller.heard()]
    assert values == sorted(values), "two replies at once"


def test_a_plugin_may_answer_in_place_of_the_model() -> None:
    llm = ScriptedLlm(["Never."])

    class Canned(Tap):
        def __init__(self, session: SessionHandle) -> None:
            self.session = session

        def user_turn(self, text: str) -> str | None:
            self.session.say("We are closed.")
            return None

    plugin = Plugin()
    plugin.open = Canned  # type: ignore[method-assign]
    call = ask(plugin, llm=llm)
    assert not llm.prompts
    assert call.messages == (Assistant("We are closed."),)


def test_a_plugin_may_end_the_call() -> None:
    call = ask(At(ReplyFinished, lambda session: session.hang_up("sold", "two rooms")), caller=FakeTransport().say(1.0))
    assert (call.outcome.cause, call.outcome.detail) == ("sold", "two rooms")


@pytest.mark.parametrize("kind", [TurnStarted, SpeechStarted, Transcribed, TurnEnded, ReplyStarted, ReplyFinished])
def test_a_plugin_may_say_goodbye_at_any_moment_and_it_is_heard(kind: type) -> None:
    once = iter([True])

    def act(session: SessionHandle) -> None:
        if next(once, False):
            session.say("Goodbye then.")
            session.hang_up()

    call = ask(At(kind, act), caller=FakeTransport().say(1.0))
    assert call.outcome.cause == "agent_ended"
    assert call.all(ReplyFinished)[-1].text == "Goodbye then."


def test_a_plugin_may_send_messages_and_work_in_the_background() -> None:
    class Busy(Tap):
        def __init__(self, session: SessionHandle) -> None:
            self.session = session
            session.start_soon(self.work)
            session.say("Hello.")

        async def work(self) -> None:
            await anyio.sleep(0.5)
            self.session.send(ServerMessage("note", {"n": 1}))

    plugin = Plugin()
    plugin.open = Busy  # type: ignore[method-assign]
    call = ask(plugin, caller=FakeTransport().listen().silence(1.0).leave())
    assert ServerMessage("note", {"n": 1}) in call.caller.events
    assert call.messages == (Assistant("Hello."),)


def test_events_at_the_end_of_the_call_start_nothing_any_more() -> None:
    caller = FakeTransport().say(1.0).until_audible(0.5).leave()
    call = ask(At(ReplyInterrupted, lambda session: session.say("Bye!")), caller=caller, llm=ScriptedLlm([LONG]))
    assert len(call.all(ReplyStarted)) == 1
    assert isinstance(call.entries[-1].event, CallEnded)


# ── what they cannot break ──


def fail(*args: Any) -> Any:
    raise ValueError("a plugin's mistake")


def test_a_plugin_that_fails_to_look_hides_nothing_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[SessionEvent] = []
    call = ask(Plugin(event=fail), Plugin(event=seen.append), Plugin(close=fail))
    assert seen == [entry.event for entry in call.entries]
    assert call.messages[-1] == Assistant("Reply 1.")
    assert "an observer of the call failed" in caplog.text
    assert "closing a pipeline plugin failed" in caplog.text


def test_work_in_the_background_that_fails_does_not_end_the_call(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        fail()

    call = ask(At(CallStarted, lambda session: session.start_soon(work)))
    assert call.messages[-1] == Assistant("Reply 1.")
    assert "a plugin's work in a call failed" in caplog.text


@pytest.mark.parametrize("stage", ["audio_in", "transcript", "user_turn", "reply_text", "audio_out", "may_interrupt"])
def test_a_filter_that_fails_ends_the_call_with_a_record_and_a_goodbye(stage: str) -> None:
    caller = FakeTransport().say(1.0).listen().leave()
    with pytest.raises((ExceptionGroup, ValueError)):
        ask(Plugin(**{stage: fail}), caller=caller)
    assert caller.closed == ("error", "ValueError")
    assert caller.events[-1] == CallEnded("error", "ValueError")


def test_a_plugin_that_does_not_open_ends_the_call_in_the_same_way() -> None:
    caller = FakeTransport().say(1.0)
    closed: list[str] = []
    plugin = Plugin()
    plugin.open = fail  # type: ignore[method-assign]
    with pytest.raises((ExceptionGroup, ValueError)):
        ask(Plugin(close=lambda: closed.append("first")), plugin, caller=caller)
    assert caller.closed == ("error", "ValueError")
    assert closed == ["first"]
