"""One fault at a time, at each stage: the caller hears something true in time; the call goes on or has its cause."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager

import anyio
import pytest

from tests.session.calls import BRISK, Call, hold
from voxray.chat import Assistant, ToolCall, ToolSchema, User
from voxray.errors import ProviderRefused, ProviderUnavailable
from voxray.events import (
    CallEnded,
    ProviderFailed,
    ProviderRetried,
    ReplyFailed,
    ReplyFinished,
    ReplyInterrupted,
    ReplyStarted,
    SilenceBroken,
    SpeechStarted,
    SpeechStopped,
    TextReceived,
    ToolReturned,
    TurnEnded,
    TurnStarted,
)
from voxray.protocols.tools import Tool
from voxray.testing.fakes import (
    STALL,
    FakeTransport,
    Fault,
    ScriptedLlm,
    ScriptedRecognizer,
    ScriptedStt,
    ScriptedSynthesizer,
    ScriptedTts,
    Utterance,
)

DOWN = ProviderUnavailable("acme", "HTTP 503")
REFUSED = ProviderRefused("acme", "HTTP 401", status=401)
MAX_SILENCE = 3.0


def silences(call: Call) -> list[float]:
    """How long the caller waited after each of their turns until sound reached them, or they spoke on or left."""
    sounds = [sound.at for sound in call.caller.heard()]
    ends = [entry.at for entry in call.entries if isinstance(entry.event, CallEnded | SpeechStarted | TurnStarted)]
    waits = []
    for entry in call.entries:
        if isinstance(entry.event, TurnEnded) and entry.event.text:
            later = [at for at in [*sounds, *ends] if at >= entry.at]
            waits.append(min(later) - entry.at)
    return waits


def ask(**parts):
    options = parts.pop("options", None)
    caller = FakeTransport().say(1.0).listen().silence(9.0).leave()
    return hold(caller, options, **parts)


# ── the model ──


@pytest.mark.parametrize("failures", [1, 2])
def test_a_model_that_fails_at_first_is_asked_again(failures):
    call = ask(llm=ScriptedLlm([[DOWN]] * failures + ["Here I am."]))
    assert call.messages[-1] == Assistant("Here I am.")
    assert len(call.all(ProviderRetried)) == failures


@pytest.mark.parametrize("error", [DOWN, REFUSED, ProviderUnavailable("acme", "429", retry_after_secs=30)])
def test_a_model_that_cannot_answer_is_excused(error):
    call = ask(llm=ScriptedLlm([[error]] * 9))
    assert call.all(ReplyFailed)[0].stage == "llm"
    assert call.messages == (User("words 1"), Assistant("Sorry."))
    assert max(silences(call)) < MAX_SILENCE
    assert call.outcome.cause == "caller_left"


def test_a_refusal_is_not_tried_again():
    llm = ScriptedLlm([[REFUSED]] * 9)
    ask(llm=llm)
    assert len(llm.prompts) == 1


def test_a_short_retry_after_is_waited_for():
    call = ask(llm=ScriptedLlm([[ProviderUnavailable("acme", "429", retry_after_secs=1.0)], "Now."]))
    assert call.messages[-1] == Assistant("Now.")


def test_a_model_that_never_answers_is_bridged_and_then_given_up():
    call = ask(llm=ScriptedLlm([[STALL]]), options={"llm_first_token_secs": 60.0})
    actions = [event.action for event in call.all(SilenceBroken)]
    assert max(silences(call)) < MAX_SILENCE + 0.3
    assert actions == ["tone", "fallback_phrase"]
    assert call.all(ReplyFailed)[0].stage == "silence"
    assert [m.text for m in call.messages] == ["words 1", "One moment.", "Sorry."]


def test_a_slow_model_is_bridged_once_and_then_heard():
    call = ask(llm=ScriptedLlm(["At last."], first_token_secs=4.5))
    assert call.messages[-1].text == "One moment. At last."
    assert not call.all(ReplyFailed)


def test_a_stall_in_the_middle_keeps_what_was_said():
    call = ask(llm=ScriptedLlm([["First sentence here. And", STALL]]), options={"llm_idle_secs": 2.0})
    assert [m.text for m in call.messages] == ["words 1", "First sentence here.", "Sorry."]
    assert call.all(ReplyFailed)[0].stage == "llm"


def test_half_an_answer_is_not_asked_for_again():
    llm = ScriptedLlm([["First sentence here. And", DOWN], "never"])
    call = ask(llm=llm)
    assert len(llm.prompts) == 1
    assert [m.text for m in call.messages] == ["words 1", "First sentence here.", "Sorry."]


def test_a_model_that_says_nothing_leaves_the_floor_to_the_caller():
    call = ask(llm=ScriptedLlm([[""]]))
    assert call.all(ReplyFinished)[0].text == ""
    assert call.messages == (User("words 1"),)


def test_failures_in_a_row_end_the_call_with_their_cause():
    caller = FakeTransport()
    for _ in range(4):
        caller.say(1.0).listen().listen()
    call = hold(caller, llm=ScriptedLlm(lambda prompt: [REFUSED]))
    assert call.outcome.cause == "provider_failed"
    assert len(call.all(ReplyFailed)) == 3


# ── the voice ──


@pytest.mark.parametrize("voice", [ScriptedTts, ScriptedSynthesizer])
def test_a_voice_that_refuses_leaves_at_least_a_tone(voice):
    call = ask(tts=voice(faults=dict.fromkeys(range(99), Fault(REFUSED))))
    assert call.all(ReplyFailed)[0].stage == "tts"
    assert call.caller.heard(), "the caller must hear something"
    assert max(silences(call)) < MAX_SILENCE


def test_a_sentence_without_sound_is_tried_again_and_then_reported():
    tts = ScriptedSynthesizer(faults=dict.fromkeys(range(99), Fault(None)))
    call = ask(tts=tts, llm=ScriptedLlm(["One."]))
    assert len([event for event in call.all(ProviderRetried) if event.stage == "tts"]) >= 2
    assert call.all(ReplyFailed)[0].stage == "tts"
    assert call.messages == (User("words 1"),)


def test_a_voice_that_fails_once_is_tried_again():
    call = ask(tts=ScriptedSynthesizer(faults={0: Fault(DOWN)}), llm=ScriptedLlm(["Good."]))
    assert call.messages[-1] == Assistant("Good.")
    assert not call.all(ReplyFailed)


def test_a_voice_that_stalls_is_broken_by_a_tone_and_given_up():
    call = ask(tts=ScriptedTts(faults={0: Fault(stall=True)}))
    assert [event.action for event in call.all(SilenceBroken)] == ["tone", "fallback_phrase"]
    assert max(silences(call)) < MAX_SILENCE + 0.3
    assert call.messages[-1] == Assistant("Sorry.")


@pytest.mark.parametrize("voice", [ScriptedTts, ScriptedSynthesizer])
def test_a_voice_that_breaks_off_goes_on_at_the_word(voice):
    tts = voice(faults={0: Fault(DOWN, after_secs=1.0)})
    call = ask(tts=tts, llm=ScriptedLlm(["A sentence of some length. And a second one."]))
    assert call.messages[-1] == Assistant("A sentence of some length. And a second one.")
    assert tts.sentences == ["A sentence of some length.", "some length.", "And a second one."]
    assert [event.stage for event in call.all(ProviderRetried)] == ["tts"]
    assert not call.all(ReplyFailed)


@pytest.mark.parametrize("voice", [ScriptedTts, ScriptedSynthesizer])
def test_a_voice_that_breaks_off_for_good_keeps_what_was_heard(voice):
    faults = {0: Fault(DOWN, after_secs=1.0), **dict.fromkeys(range(1, 9), Fault(DOWN))}
    call = ask(tts=voice(faults=faults), llm=ScriptedLlm(["A sentence of some length."]))
    assert call.all(ReplyFailed)[0].stage == "tts"
    assert call.messages[1].interrupted
    assert "A sentence of some length.".startswith(call.messages[1].text)
    assert call.messages[1].text


@pytest.mark.parametrize("voice", [ScriptedTts, ScriptedSynthesizer])
def test_a_voice_that_says_nothing_was_not_heard(voice):
    """It accepts the text and gives no sound: what was not said must not be in the conversation."""
    call = ask(tts=voice(faults=dict.fromkeys(range(99), Fault(None))), llm=ScriptedLlm(["One. Two."]))
    assert call.all(ReplyFailed)[0].stage == "tts"
    assert call.messages == (User("words 1"),)
    assert call.caller.heard(), "the caller must hear something"


def test_a_voice_whose_connection_died_between_two_turns_is_opened_again_and_loses_nothing():
    tts = ScriptedTts(faults={1: Fault(DOWN)})
    caller = FakeTransport().say(1.0).listen().silence(60.0).say(1.0).listen().leave()
    call = hold(caller, tts=tts, llm=ScriptedLlm(["One.", "Two. Three."]))
    assert call.messages[-1] == Assistant("Two. Three.")
    assert len(call.all(ProviderRetried)) == 1


class HastyVoice(ScriptedTts):
    """Ends after its first sentence."""

    @asynccontextmanager
    async def open(self):
        yield self

    def speak(self, text):
        async def first():
            async for sentence in text:
                yield sentence
                return

        return super().speak(first())


def test_a_voice_that_ends_before_the_text_is_asked_for_the_rest():
    call = ask(tts=HastyVoice(), llm=ScriptedLlm(["One. Two. Three."]))
    assert call.messages[-1] == Assistant("One. Two. Three.")


class GroupedVoice(ScriptedTts):
    """Works with tasks of its own, so that its errors come in groups."""

    @asynccontextmanager
    async def speak(self, text):
        async with anyio.create_task_group(), super().speak(text) as items:
            yield items


class GroupedLlm(ScriptedLlm):
    @asynccontextmanager
    async def generate(self, prompt):
        async with anyio.create_task_group(), super().generate(prompt) as items:
            yield items


class GroupedStt(ScriptedStt):
    @asynccontextmanager
    async def open(self, *, language=None):
        async with anyio.create_task_group(), super().open(language=language) as stream:
            yield stream


def test_errors_in_groups_are_errors_like_others():
    call = ask(
        tts=GroupedVoice(faults={0: Fault(DOWN)}),
        llm=GroupedLlm([[DOWN], "Here I am."]),
        stt=GroupedStt(["lost", "hello"], breaks_after_secs=[0.5]),
    )
    assert call.messages == (User("hello"), Assistant("Here I am."))
    assert sorted(event.stage for event in call.all(ProviderRetried)) == ["llm", "stt", "tts"]


def test_many_sentences_and_no_voice_are_one_failure():
    text = " ".join(f"Sentence number {number}." for number in range(40))
    call = ask(tts=ScriptedTts(faults=dict.fromkeys(range(99), Fault(REFUSED))), llm=ScriptedLlm([text] * 3))
    assert call.all(ReplyFailed)[0].stage == "tts"
    assert call.outcome.cause != "error"


class NeverOpens(ScriptedTts):
    @asynccontextmanager
    async def open(self):
        await anyio.sleep_forever()
        yield self


def test_a_voice_that_cannot_be_reached_leaves_at_least_a_tone():
    call = ask(tts=NeverOpens())
    assert call.caller.heard(), "the caller must hear something"
    assert max(silences(call)) < MAX_SILENCE + 0.3
    assert call.outcome.cause in ("caller_left", "provider_failed")


@pytest.mark.parametrize("piece", [1, 3, 333, 4097])
def test_pieces_of_odd_length_are_put_together(piece):
    for voice in (ScriptedTts, ScriptedSynthesizer):
        call = ask(tts=voice(piece_bytes=piece), llm=ScriptedLlm(["Odd."]))
        assert {sound.value for sound in call.caller.heard()} == {1000}


# ── the recogniser ──


def test_a_recogniser_that_breaks_is_reopened_and_given_the_sound_again():
    call = ask(stt=ScriptedStt(["lost", "all of it"], breaks_after_secs=[0.5]))
    assert call.all(TurnEnded)[0].text == "all of it"
    assert call.all(ProviderRetried)[0].stage == "stt"


def test_a_recogniser_that_refuses_ends_the_call_with_an_apology():
    call = hold(FakeTransport(), stt=ScriptedStt(open_errors=[REFUSED] * 9))
    assert call.outcome.cause == "provider_failed"
    assert call.messages == (Assistant("Sorry."),)


@pytest.mark.parametrize("error", [DOWN, REFUSED])
def test_an_utterance_that_cannot_be_recognised_is_excused(error):
    call = ask(stt=ScriptedRecognizer([Utterance("", error=error)] * 3))
    assert call.all(ProviderFailed)[0].stage == "stt"
    assert call.messages == (Assistant("Sorry."),)
    assert call.caller.heard()[0].at - call.at(SpeechStopped) < MAX_SILENCE


def test_a_recogniser_that_never_settles_costs_a_bounded_silence():
    call = ask(stt=ScriptedStt([Utterance("", flushes=False)]), options={"user_turn_stop_timeout_secs": 0.5})
    assert call.caller.heard(), "the caller must hear something"
    assert call.caller.heard()[0].at - call.at(SpeechStopped) < MAX_SILENCE + 0.8


def test_words_without_a_settled_end_are_answered():
    stt = ScriptedStt([Utterance("hello", flushes=False)])
    call = ask(stt=stt)
    assert call.all(TurnEnded)[0].cause == "timeout"
    assert call.messages[0] == User("hello")


def test_doubled_finals_make_one_turn():
    call = ask(stt=ScriptedStt([Utterance("hello", twice=True)]))
    assert len(call.all(TurnEnded)) == 1


# ── the caller ──


@pytest.mark.parametrize("at", [0.1, 0.9, 1.3, 1.6, 2.5])
@pytest.mark.parametrize("how", ["leave", "break_off"])
def test_the_caller_may_go_at_any_time(at, how):
    caller = FakeTransport().say(1.0).silence(3.0)
    caller = FakeTransport()
    caller.say(min(at, 1.0)).silence(max(0.0, at - 1.0))
    getattr(caller, how)()
    call = hold(caller)
    assert call.outcome.cause == ("caller_left" if how == "leave" else "transport_failed")
    assert call.outcome.duration_secs == pytest.approx(at, abs=0.05)
    assert call.caller.closed is not None


def test_sound_that_stops_in_the_middle_of_speech_ends_the_turn():
    caller = FakeTransport(silent_line=False).say(1.0)
    call = hold(caller, {"max_duration_secs": 8.0}, stt=ScriptedStt(["half a"]))
    assert call.all(TurnEnded)[0].text == "half a"


def test_a_call_in_which_nobody_speaks_has_no_turn():
    call = hold(FakeTransport().silence(30.0).leave())
    assert call.outcome.turns == call.outcome.replies == 0


@pytest.mark.parametrize("position", range(0, 50, 2))
def test_the_context_is_what_was_heard_wherever_they_interrupt(position):
    text = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen."
    caller = FakeTransport().say(1.0).until_audible(position * 0.1).say(0.8).listen().listen().leave()
    call = hold(caller, llm=ScriptedLlm([text, "Yes?"]))
    first = next(m for m in call.messages if isinstance(m, Assistant))
    spoken_secs = sum(sound.secs for sound in call.caller.heard() if sound.value == 1000)
    truth = text[: round(spoken_secs / 0.05)].split()
    assert abs(len(first.text.split()) - len(truth)) <= 1


# ── tools ──


class Source:
    def __init__(self, *tools):
        self._tools = tools

    def open(self):
        from contextlib import asynccontextmanager

        @asynccontextmanager
        async def opened():
            yield self._tools

        return opened()


def tool(run, **kwargs):
    return Tool(schema=ToolSchema("act", "does it"), run=run, **kwargs)


ACT = ToolCall("c", "act", {})


@pytest.mark.parametrize("outcome", ["raises", "hangs", "huge"])
def test_a_tool_that_misbehaves_is_reported_to_the_model(outcome):
    async def run(arguments, session):
        import anyio

        if outcome == "raises":
            raise KeyError("no such room")
        if outcome == "hangs":
            await anyio.sleep_forever()
        return "x" * 5_000_000

    source = Source(tool(run, timeout_secs=1.0))
    call = ask(tools=[source], llm=ScriptedLlm([[ACT], "I see."]))
    result = call.all(ToolReturned)[0]
    assert len(result.text) < 20_000
    assert result.failed == (outcome != "huge")
    assert call.messages[-1] == Assistant("I see.")


def test_a_tool_that_takes_long_does_not_leave_the_caller_in_silence():
    async def run(arguments, session):
        import anyio

        await anyio.sleep(5.0)
        return "done"

    call = ask(tools=[Source(tool(run))], llm=ScriptedLlm([[ACT], "It is done."]))
    assert max(silences(call)) <= MAX_SILENCE + 0.3
    assert [m.text for m in call.messages if isinstance(m, Assistant)] == ["One moment.", "It is done."]


def test_an_effect_of_an_interrupted_reply_finishes_once_and_is_remembered():
    done = []

    async def run(arguments, session):
        import anyio

        await anyio.sleep(2.0)
        done.append(1)
        return "booked"

    caller = FakeTransport().say(1.0)
    caller.until(lambda: any(type(event).__name__ == "ToolCalled" for event in caller.events))
    caller.silence(0.5).say(1.0).listen().listen().silence(5.0).leave()
    llm = ScriptedLlm([["Booking it for you now.", ACT], "Anything else?"])
    call = hold(caller, tools=[Source(tool(run))], llm=llm)
    assert done == [1]
    assert call.all(ToolReturned)[0].text == "booked"


def test_hanging_up_waits_for_the_goodbye():
    async def run(arguments, session):
        session.hang_up()
        return "ok"

    call = hold(FakeTransport().say(1.0), tools=[Source(tool(run))], llm=ScriptedLlm([[ACT], "Goodbye then."]))
    assert call.outcome.cause == "agent_ended"
    assert call.messages[-1] == Assistant("Goodbye then.")
    assert sum(sound.secs for sound in call.caller.heard()) == pytest.approx(13 * 0.05, abs=0.01)


def test_speaking_into_the_goodbye_stops_the_hanging_up():
    async def run(arguments, session):
        session.hang_up()
        return "ok"

    caller = FakeTransport().say(1.0).until_audible(0.3).say(1.0).listen().listen().leave()
    llm = ScriptedLlm([[ACT], "Goodbye then and thank you.", "Sure, what else?"])
    call = hold(caller, tools=[Source(tool(run))], llm=llm)
    assert call.outcome.cause == "caller_left"
    assert call.messages[-1] == Assistant("Sure, what else?")


def test_rounds_of_tools_are_bounded():
    async def run(arguments, session):
        return "again"

    llm = ScriptedLlm(lambda prompt: [ACT] if prompt.tool_choice != "none" else "Enough.")
    call = ask(tools=[Source(tool(run))], llm=llm, options={"max_tool_rounds": 3})
    assert len(call.all(ToolReturned)) == 3
    assert call.messages[-1] == Assistant("Enough.")


# ── two at once, at random ──


@pytest.mark.parametrize("seed", range(60))
def test_two_faults_at_once(seed):
    rng = random.Random(seed)
    voice_fault = rng.choice([{}, {0: Fault(DOWN)}, {0: Fault(stall=True)}, {1: Fault(REFUSED, after_secs=0.3)}])
    model = rng.choice([["Fine. Really."], [[DOWN], "Fine."], [[STALL]], [["Half a line. And", DOWN]], [[REFUSED]]])
    ears = rng.choice([None, Utterance("", error=DOWN), Utterance("hm", flushes=False), Utterance("hi", twice=True)])
    caller = FakeTransport(acknowledge_marks=rng.random() < 0.3)
    for _ in range(3):
        caller.say(rng.uniform(0.3, 2.0)).silence(rng.uniform(0.1, 4.0))
        if rng.random() < 0.3:
            caller.post(TextReceived("typed"))
    caller.silence(8.0).leave()
    call = hold(
        caller,
        {"user_turn_stop_timeout_secs": 1.0},
        llm=ScriptedLlm(model),
        tts=rng.choice([ScriptedTts, ScriptedSynthesizer])(faults=voice_fault),
        stt=ScriptedStt([ears] if ears else [], breaks_after_secs=[rng.choice([0.7, 99.0])]),
    )
    assert max(silences(call), default=0.0) < 2 * MAX_SILENCE
    check_invariants(call)


@pytest.mark.parametrize("seed", range(80))
def test_random_conversations(seed):
    rng = random.Random(1000 + seed)
    caller = FakeTransport(acknowledge_marks=rng.random() < 0.5)
    for _ in range(rng.randint(1, 6)):
        caller.say(rng.uniform(0.1, 2.5)).silence(rng.uniform(0.05, 3.0))
    caller.silence(rng.uniform(0.0, 6.0)).leave()
    llm = ScriptedLlm(first_token_secs=rng.uniform(0.05, 1.5), token_secs=rng.uniform(0.0, 0.1))
    stt = ScriptedStt(delay_secs=rng.uniform(0.0, 1.0), word_secs=rng.choice([0.0, 0.2]))
    call = hold(caller, llm=llm, stt=stt, tts=ScriptedTts(first_audio_secs=rng.uniform(0.0, 0.5)))
    check_invariants(call)


def check_invariants(call: Call) -> None:
    started = [event.reply for event in call.all(ReplyStarted)]
    ended = [event.reply for event in [*call.all(ReplyFinished), *call.all(ReplyInterrupted)]]
    assert sorted(started) == sorted(ended), "every reply ends once"
    assert started == sorted(set(started))
    users = [m.text for m in call.messages if isinstance(m, User)]
    turns = [event.text for event in call.all(TurnEnded)]
    assert all(any(part in turn for turn in turns) for part in users)
    for message in call.messages:
        assert not isinstance(message, Assistant) or message.text or message.tool_calls
    assert isinstance(call.entries[-1].event, CallEnded)
    assert call.outcome.cause != "error"


def test_the_options_of_the_tests_are_brisk():
    assert BRISK["turn_stop_secs"] == 0.5
