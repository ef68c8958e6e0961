"""Whole calls: who spoke, what was heard, what is remembered."""

from __future__ import annotations

import pytest

from tests.session.calls import hold
from voxray.audio.format import MULAW_8K
from voxray.chat import Assistant, System, ToolCall, ToolResult, User
from voxray.events import (
    CallEnded,
    ContextAppended,
    ContextReplaced,
    EndRequested,
    InterruptRequested,
    ModelAsked,
    Proof,
    ReplyAudible,
    ReplyFinished,
    ReplyInterrupted,
    ReplyRequested,
    ReplyStarted,
    SpeakRequested,
    SpeechHeard,
    SpeechStopped,
    TextReceived,
    TurnEnded,
    TurnTimed,
    UserIdle,
)
from voxray.testing.fakes import (
    FakeTransport,
    ScriptedLlm,
    ScriptedRecognizer,
    ScriptedStt,
    ScriptedSynthesizer,
    ScriptedTts,
    Utterance,
)

LONG = "This is a rather long answer that goes on for a while. It has a second sentence."


def caller(**kwargs):
    return FakeTransport(**kwargs)


def test_a_question_is_answered():
    call = hold(caller().say(1.0).listen().leave(), stt=ScriptedStt(["hello"]), llm=ScriptedLlm(["Hi there."]))
    assert [turn.text for turn in call.all(TurnEnded)] == ["hello"]
    assert call.messages == (User("hello"), Assistant("Hi there."))
    assert call.outcome.cause == "caller_left"
    assert call.outcome.turns == call.outcome.replies == 1


def test_the_log_begins_with_the_start_and_ends_with_the_end_of_the_call():
    call = hold(caller().say(1.0).listen().leave())
    assert type(call.entries[0].event).__name__ == "CallStarted"
    assert isinstance(call.entries[-1].event, CallEnded)
    assert [entry.seq for entry in call.entries] == list(range(len(call.entries)))


def test_the_turn_ends_after_the_configured_silence_and_not_before():
    call = hold(caller().say(1.0).listen().leave(), {"turn_stop_secs": 0.8})
    assert call.at(TurnEnded) == pytest.approx(1.8, abs=0.011)
    assert call.all(TurnEnded)[0].waited_secs == pytest.approx(0.8, abs=0.011)


def test_a_pause_is_not_the_end_of_a_turn():
    heard = caller().say(1.0).silence(0.3).say(1.0).listen().leave()
    call = hold(heard, stt=ScriptedStt(["I would like", "a room please"]))
    assert [turn.text for turn in call.all(TurnEnded)] == ["I would like a room please"]


def test_words_that_come_late_are_waited_for():
    call = hold(caller().say(1.0).listen().leave(), stt=ScriptedStt([Utterance("slow words", delay_secs=1.5)]))
    assert [turn.text for turn in call.all(TurnEnded)] == ["slow words"]
    assert call.at(TurnEnded) == pytest.approx(2.7, abs=0.02)


def test_speaking_on_before_the_answer_is_audible_takes_the_words_back():
    heard = caller().say(1.0).silence(0.6).say(1.0).listen().listen().leave()
    call = hold(heard, stt=ScriptedStt(["book a room", "for two"]), llm=ScriptedLlm(first_token_secs=1.0))
    assert call.messages[0] == User("book a room for two")
    assert call.all(ReplyInterrupted)[0].by == "abandoned"
    assert len([m for m in call.messages if isinstance(m, User)]) == 1


@pytest.mark.parametrize("marks", [False, True])
def test_an_interruption_keeps_what_was_heard(marks):
    heard = caller(acknowledge_marks=marks).say(1.0).until_audible(1.5).say(1.0).listen().leave()
    call = hold(heard, llm=ScriptedLlm([LONG, "Yes?"]))
    cut = call.all(ReplyInterrupted)[0]
    ear = heard.heard()[0]
    assert ear.secs == pytest.approx(cut.heard_secs, abs=0.02)
    assert LONG.startswith(cut.heard)
    assert len(cut.heard) == pytest.approx(ear.secs / 0.05, abs=8)
    assert call.messages[1] == Assistant(cut.heard, interrupted=True)


def test_the_heard_text_of_the_log_is_the_text_that_is_remembered():
    heard = caller().say(1.0).until_audible(3.2).say(1.0).listen().leave()
    call = hold(heard, llm=ScriptedLlm([LONG, "Yes?"]))
    first = [event.text for event in call.all(SpeechHeard) if event.reply == 1]
    assert " ".join(first) == call.messages[1].text
    assert len(first) == 2  # one whole sentence and a part


def test_marks_prove_what_was_heard():
    heard = caller(acknowledge_marks=True).say(1.0).listen().leave()
    call = hold(heard, llm=ScriptedLlm([LONG]))
    assert [event.proof for event in call.all(SpeechHeard)] == [Proof.MARK, Proof.MARK]


def test_word_times_cut_at_the_word():
    heard = caller().say(1.0).until_audible(1.02).say(1.0).listen().leave()
    call = hold(heard, llm=ScriptedLlm([LONG, "Yes?"]), tts=ScriptedTts(word_times=True))
    cut = call.all(ReplyInterrupted)[0]
    spoken = LONG[: int(cut.heard_secs / 0.05) + 1]
    assert cut.heard == spoken[: len(cut.heard)]
    assert len(spoken) - len(cut.heard) <= len("answer ")


def test_nothing_stale_is_heard_after_an_interruption():
    heard = caller().say(1.0).until_audible(1.0).say(1.0).listen().leave()
    call = hold(heard, llm=ScriptedLlm([LONG, "Yes?"]))
    sounds = heard.heard()
    assert [sound.value for sound in sounds[1:]] == sorted(sound.value for sound in sounds[1:])
    assert sounds[0].at + sounds[0].secs <= call.at(ReplyInterrupted) + 1e-6


def test_barge_in_stops_the_sound_within_the_minimum_speech_time():
    heard = caller().say(1.0).until_audible(1.0).say(1.0).listen().leave()
    call = hold(heard, {"vad_start_secs": 0.2}, llm=ScriptedLlm([LONG, "Yes?"]))
    speech_began = call.at(ReplyAudible) + 1.0
    assert call.at(ReplyInterrupted) - speech_began == pytest.approx(0.2, abs=0.045)


def test_without_permission_nobody_interrupts_but_the_words_are_answered_afterwards():
    heard = caller().say(1.0).until_audible(0.5).say(0.6).listen().listen().leave()
    call = hold(heard, {"allow_interruptions": False}, llm=ScriptedLlm([LONG, "Later."]), stt=ScriptedStt(["a", "b"]))
    assert not call.all(ReplyInterrupted)
    assert [message.text for message in call.messages] == ["a", LONG, "b", "Later."]


def test_too_few_words_do_not_interrupt():
    heard = caller().say(1.0).until_audible(0.5).say(0.4).listen().leave()
    options = {"interruption_strategy": "min_words", "min_words": 3}
    call = hold(heard, options, llm=ScriptedLlm([LONG]), stt=ScriptedStt(["hello", "uh huh"]))
    assert not call.all(ReplyInterrupted)
    assert call.all(TurnEnded)[-1].cause == "ignored"
    assert len(call.all(ReplyFinished)) == 1


def test_enough_words_interrupt_while_they_are_still_spoken():
    heard = caller().say(1.0).until_audible(0.5).say(2.0).listen().listen().leave()
    options = {"interruption_strategy": "min_words", "min_words": 3}
    stt = ScriptedStt(["hello", "no wait please stop now"], word_secs=0.3)
    call = hold(heard, options, llm=ScriptedLlm([LONG, "Yes?"]), stt=stt)
    cut = call.at(ReplyInterrupted)
    assert call.at(ReplyAudible) + 0.5 + 0.8 < cut < call.at(SpeechStopped, 1)


def test_a_keyword_interrupts_and_other_words_do_not():
    options = {"interruption_strategy": "keyword", "interruption_phrases": ("stop now",)}
    for words, cuts in (("please go on", 0), ("Stop, now!", 1)):
        heard = caller().say(1.0).until_audible(0.5).say(0.5).listen().leave()
        call = hold(heard, options, llm=ScriptedLlm([LONG, "Yes?"]), stt=ScriptedStt(["hello", words]))
        assert len(call.all(ReplyInterrupted)) == cuts, words


def test_after_a_cough_the_agent_goes_on_where_it_was_cut():
    heard = caller().say(1.0).until_audible(1.0).say(0.4).listen().listen().leave()
    call = hold(heard, llm=ScriptedLlm([LONG]), stt=ScriptedStt(["hello", ""]))
    assert [event.cause for event in call.all(ReplyStarted)] == ["turn", "resume"]
    assert call.all(ReplyFinished)[-1].text == LONG
    assert len(call.all(ModelAsked)) == 1


def test_a_typed_turn_is_answered_aloud():
    call = hold(caller().post(TextReceived("typed")).listen().leave(), llm=ScriptedLlm(["Spoken."]))
    assert call.messages == (User("typed"), Assistant("Spoken."))
    assert call.all(TurnEnded)[0].cause == "text"


def test_a_typed_turn_can_be_answered_in_text_alone():
    heard = caller().post(TextReceived("typed", speak=False)).listen().leave()
    call = hold(heard, llm=ScriptedLlm(["Written."]))
    assert call.messages == (User("typed"), Assistant("Written."))
    assert not heard.heard()


def test_text_that_is_only_to_be_remembered_starts_nothing():
    call = hold(caller().post(TextReceived("note", run=False)).silence(2.0).leave())
    assert call.messages == (User("note"),)
    assert not call.all(ReplyStarted)


def test_the_client_gives_persona_and_messages():
    heard = caller().post(ContextReplaced([System("Be brief."), User("Hi")], run=True)).listen().leave()
    llm = ScriptedLlm(["Hello."])
    call = hold(heard, llm=llm)
    assert llm.prompts[0].messages == (System("Be brief."), User("Hi"))
    assert call.messages[-1] == Assistant("Hello.")


def test_messages_can_be_added_and_run_later():
    heard = caller().post(ContextAppended([User("one")]), ContextAppended([User("two")]), ReplyRequested()).listen()
    llm = ScriptedLlm(["Three."])
    hold(heard.leave(), llm=llm)
    assert llm.prompts[0].messages == (User("one"), User("two"))


def test_say_this_waits_for_the_reply_under_way():
    heard = caller().say(1.0).until_audible(0.3).post(SpeakRequested("By the way.")).listen().listen().leave()
    call = hold(heard, llm=ScriptedLlm(["An answer."]))
    assert [reply.text for reply in call.all(ReplyFinished)] == ["An answer.", "By the way."]
    assert call.messages[-1] == Assistant("By the way.")


def test_the_greeting_comes_first_and_is_remembered():
    call = hold(caller().listen().leave(), {"greeting": "Good morning."})
    assert call.messages == (Assistant("Good morning."),)
    assert call.all(ReplyStarted)[0].cause == "greeting"


def test_the_client_can_silence_the_agent():
    heard = caller().say(1.0).until_audible(0.5).post(InterruptRequested()).silence(1.0).leave()
    call = hold(heard, llm=ScriptedLlm([LONG]))
    assert call.all(ReplyInterrupted)[0].by == "client"
    assert heard.heard()[0].secs == pytest.approx(0.5, abs=0.05)


def test_the_client_can_end_the_call():
    call = hold(caller().silence(0.5).post(EndRequested("done")))
    assert (call.outcome.cause, call.outcome.detail) == ("client_asked", "done")


def test_the_longest_call_is_counted_from_the_first_sound():
    call = hold(caller(), {"max_duration_secs": 3.0})
    assert call.outcome.cause == "max_duration"
    assert call.outcome.duration_secs == pytest.approx(3.02, abs=0.05)


def test_the_longest_turn_is_cut_and_answered():
    heard = caller().say(10.0).listen().leave()
    call = hold(heard, {"turn_max_duration_secs": 4.0}, stt=ScriptedStt(["a very long story"]))
    first = call.all(TurnEnded)[0]
    assert (first.text, first.cause) == ("a very long story", "max_duration")
    assert call.at(TurnEnded) == pytest.approx(4.1, abs=0.05)


def test_a_silent_user_is_reported_as_idle():
    heard = caller().say(1.0).listen().silence(3.0).leave()
    call = hold(heard, {"user_idle_timeout_secs": 2.0})
    assert call.at(UserIdle) - call.at(ReplyFinished) == pytest.approx(2.0, abs=0.01)


def test_without_turn_detection_the_final_words_end_the_turn():
    stt = ScriptedStt()
    call = hold(caller().say(1.0).silence(1.0).leave(), {"turn_detection": "none"}, stt=stt)
    assert not call.all(TurnEnded)  # this recogniser ends no segment of its own

    recognizer = ScriptedRecognizer(["at once"])
    call = hold(caller().say(1.0).listen().leave(), {"turn_detection": "none"}, stt=recognizer)
    assert call.all(TurnEnded)[0].text == "at once"


def test_a_recogniser_of_whole_utterances_gets_the_speech_and_what_was_before():
    recognizer = ScriptedRecognizer(["hello"])
    call = hold(caller().silence(3.0).say(1.0).listen().leave(), stt=recognizer)
    assert call.all(TurnEnded)[0].text == "hello"
    assert 1.0 <= sum(map(len, recognizer.requests)) / 32_000 <= 2.2


def test_a_voice_of_single_sentences_is_as_good():
    call = hold(caller().say(1.0).listen().leave(), llm=ScriptedLlm([LONG]), tts=ScriptedSynthesizer())
    assert call.messages[-1] == Assistant(LONG)


def test_a_telephone_line_works_at_its_own_rate():
    heard = caller(audio_in=MULAW_8K, audio_out=MULAW_8K).say(1.0).listen().leave()
    call = hold(heard, llm=ScriptedLlm(["Hello caller."]))
    assert call.messages[-1] == Assistant("Hello caller.")
    assert len(heard.heard_pcm()) > 4000


def test_each_answer_is_timed_by_stage():
    llm = ScriptedLlm(["One. Two."], first_token_secs=0.3)
    call = hold(caller().say(1.0).listen().leave(), llm=llm, tts=ScriptedTts(first_audio_secs=0.2))
    timed = call.all(TurnTimed)[0]
    assert timed.waited_secs == pytest.approx(0.5, abs=0.02)
    assert timed.stt_secs == pytest.approx(0.1, abs=0.02)
    assert timed.llm_secs == pytest.approx(0.3, abs=0.001)
    assert timed.tts_secs == pytest.approx(0.2, abs=0.001)
    assert timed.total_secs == pytest.approx(1.0, abs=0.1)
    assert call.outcome.latencies_secs == (timed.total_secs,)


def test_the_same_script_gives_the_same_log():
    def once() -> str:
        heard = caller().say(1.0).until_audible(1.0).say(0.8).listen().say(0.5).listen().leave()
        return hold(heard, llm=ScriptedLlm([LONG, "Yes?", "Bye."])).text()

    first = once()
    assert all(once() == first for _ in range(5))


def test_roles_alternate_and_tools_keep_their_place():
    from voxray.chat import ToolSchema
    from voxray.events import ToolAnswered, ToolsReplaced

    tools = ToolsReplaced([ToolSchema("weather", "the weather")])
    call_weather = ToolCall("c1", "weather", {"city": "Rome"})
    heard = caller().post(tools).say(1.0)
    heard.until(lambda: any(type(e).__name__ == "ToolCalled" for e in heard.events))
    heard.post(ToolAnswered("c1", "sunny")).listen().leave()
    call = hold(heard, llm=ScriptedLlm([["Let me look.", call_weather], "It is sunny."]), stt=ScriptedStt(["weather?"]))
    assert call.messages == (
        User("weather?"),
        Assistant("Let me look.", (call_weather,)),
        ToolResult("c1", "weather", "sunny"),
        Assistant("It is sunny."),
    )
