"""The waterfall of an answer, from a log written by hand."""

from __future__ import annotations

from voxray.events import (
    Entry,
    ModelAsked,
    ReplyAudible,
    ReplyStarted,
    SentenceReady,
    SessionEvent,
    SpeechStopped,
    TextGenerated,
    Transcribed,
    TurnEnded,
    TurnTimed,
    VoiceAnswered,
)
from voxray.session.timing import TurnTimer

ANSWER: list[tuple[float, SessionEvent]] = [
    (1.2, SpeechStopped(0.2)),
    (1.5, Transcribed("hello", final=True)),
    (1.8, TurnEnded(1, "hello", "silence")),
    (1.8, ReplyStarted(1, 1, "turn")),
    (1.85, ModelAsked(1, 1, "llm")),
    (2.15, TextGenerated(1, "Hi")),
    (2.2, TextGenerated(1, ".")),
    (2.25, SentenceReady(1, 0, "Hi.")),
    (2.5, VoiceAnswered(1)),
    (2.6, ReplyAudible(1)),
]


def timed(log: list[tuple[float, SessionEvent]], timer: TurnTimer | None = None) -> list[TurnTimed]:
    timer = timer or TurnTimer()
    found = [timer.see(Entry(seq, at, event)) for seq, (at, event) in enumerate(log)]
    return [event for event in found if event is not None]


def shifted(secs: float, log: list[tuple[float, SessionEvent]]) -> list[tuple[float, SessionEvent]]:
    return [(at + secs, event) for at, event in log]


def test_each_stage_has_its_time() -> None:
    timer = TurnTimer()
    assert timed(ANSWER, timer) == [
        TurnTimed(turn=1, reply=1, waited_secs=0.8, stt_secs=0.3, llm_secs=0.3, tts_secs=0.25, total_secs=1.6)
    ]
    assert timer.latencies_secs == [1.6]


def test_a_reply_is_timed_once() -> None:
    assert len(timed([*ANSWER, (3.0, ReplyAudible(1))])) == 1


def test_words_that_came_before_the_pause_cost_nothing() -> None:
    log: list[tuple[float, SessionEvent]] = [(1.1, Transcribed("hello", final=True)), *ANSWER]
    assert timed([entry for entry in log if entry[0] != 1.5])[0].stt_secs == 0.6  # none since: until the decision
    assert timed(log)[0].stt_secs == 0.3


def test_a_typed_turn_is_counted_from_its_text() -> None:
    log: list[tuple[float, SessionEvent]] = [
        (5.0, TurnEnded(1, "typed", "text")),
        (5.0, ReplyStarted(1, 1, "text")),
        (5.7, ReplyAudible(1)),
    ]
    expected = TurnTimed(1, 1, waited_secs=0.0, stt_secs=0.0, llm_secs=0.0, tts_secs=0.0, total_secs=0.7)
    assert timed(log) == [expected]
    noise: list[tuple[float, SessionEvent]] = [(1.0, SpeechStopped(0.2)), (2.0, TurnEnded(0, "", "silence"))]
    assert timed([*noise, *log]) == [expected]
    assert timed([(4.9, SpeechStopped(0.2)), *log]) == [expected]


def test_greetings_are_not_timed() -> None:
    assert timed([(0.0, ReplyStarted(1, 0, "greeting")), (0.5, ReplyAudible(1))]) == []


def test_a_turn_that_was_taken_back_is_timed_from_its_last_pause() -> None:
    first = [entry for entry in ANSWER if not isinstance(entry[1], ReplyAudible)]
    second = [(at, ReplyAudible(2) if isinstance(event, ReplyAudible) else event) for at, event in shifted(5.0, ANSWER)]
    second[3] = (6.8, ReplyStarted(2, 2, "turn"))
    assert [event.total_secs for event in timed([*first, *second])] == [1.6]


def test_an_apology_is_the_answer_that_was_heard() -> None:
    log = [
        *[entry for entry in ANSWER if not isinstance(entry[1], ReplyAudible)],
        (4.0, ReplyStarted(2, 1, "fallback")),
        (4.5, ReplyAudible(2)),
    ]
    found = timed(log)[0]
    assert (found.reply, found.total_secs, found.llm_secs) == (2, 3.5, 0.0)


def test_events_of_an_older_reply_do_not_count() -> None:
    log = [*ANSWER[:4], (1.82, TextGenerated(0, "stale")), *ANSWER[4:]]
    assert timed(log)[0].llm_secs == 0.3
