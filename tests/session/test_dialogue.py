"""Turn-taking as lists of events and commands, and any events at all."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from voxray.events import (
    InterruptRequested,
    ReplyAudible,
    ReplyRequested,
    SpeakRequested,
    SpeechStarted,
    SpeechStopped,
    TextReceived,
    Transcribed,
    TurnEnded,
    TurnStarted,
)
from voxray.session.dialogue import Dialogue, Floor, ReplyState, Rules
from voxray.session.moves import (
    Abandon,
    Acted,
    Command,
    Event,
    FlushStt,
    Interrupt,
    Opened,
    PatienceEnded,
    ReplyOver,
    SpeechContinued,
    StartReply,
    StopWaiting,
    Troubled,
    TurnTimedOut,
    TurnTooLong,
    Wait,
    WordsSettled,
)

SPEAK = SpeechStarted(0.2)
PAUSE = SpeechStopped(0.2)
SETTLED = WordsSettled()
PATIENT = PatienceEnded()


def final(text: str) -> Transcribed:
    return Transcribed(text, final=True)


def interim(text: str) -> Transcribed:
    return Transcribed(text, final=False)


def told(events: Sequence[Event], **rules: object) -> list[Command]:
    """All that a new dialogue asks for."""
    dialogue = Dialogue(Rules(**rules))
    return [command for event in events for command in dialogue.on(event)]


def after(events: Sequence[Event], last: Event, **rules: object) -> list[Command]:
    """What a dialogue asks for at the last of these events."""
    dialogue = Dialogue(Rules(**rules))
    for event in events:
        dialogue.on(event)
    return list(dialogue.on(last))


def turn(text: str) -> list[Event]:
    return [SPEAK, PAUSE, final(text), SETTLED, PATIENT]


ASKED = turn("hello")  # reply 1 is being made
ANSWERING = [*ASKED, ReplyAudible(1)]  # and is heard

START_1 = StartReply(1, 1, "turn", "hello")
LISTENING = [StopWaiting()]
CASES: dict[str, tuple[list[Event], list[Command]]] = {
    # one turn
    "a greeting is said": ([Opened("Hi.")], [StartReply(1, 0, "greeting", "Hi.")]),
    "no greeting is no reply": ([Opened()], []),
    "speech opens a turn": ([SPEAK], [TurnStarted(1)]),
    "a pause asks for the words and waits": ([SPEAK, PAUSE], [TurnStarted(1), FlushStt(), Wait(0.2)]),
    "words and patience end the turn": (
        ASKED,
        [TurnStarted(1), FlushStt(), Wait(0.2), TurnEnded(1, "hello", "silence"), START_1],
    ),
    "patience first, then words": (
        [SPEAK, PAUSE, PATIENT, final("hello"), SETTLED],
        [TurnStarted(1), FlushStt(), Wait(0.2), TurnEnded(1, "hello", "silence"), START_1],
    ),
    "patience alone does not end it": ([SPEAK, PAUSE, PATIENT], [TurnStarted(1), FlushStt(), Wait(0.2)]),
    "nor do words alone": (
        [SPEAK, PAUSE, final("hello"), SETTLED],
        [TurnStarted(1), FlushStt(), Wait(0.2)],
    ),
    "a pause is not the end of a turn": (
        [SPEAK, PAUSE, final("book"), SETTLED, SPEAK, PAUSE, final("a room"), SETTLED, PATIENT],
        [
            *(TurnStarted(1), FlushStt(), Wait(0.2), *LISTENING, FlushStt(), Wait(0.2)),
            *(TurnEnded(1, "book a room", "silence"), StartReply(1, 1, "turn", "book a room")),
        ],
    ),
    "interim words replace each other and give way to final ones": (
        [SPEAK, interim("hel"), interim("hello"), PAUSE, final("hello"), SETTLED, PATIENT],
        [TurnStarted(1), FlushStt(), Wait(0.2), TurnEnded(1, "hello", "silence"), START_1],
    ),
    "interim words that never become final count": (
        [SPEAK, interim("hello"), PAUSE, SETTLED, PATIENT],
        [TurnStarted(1), FlushStt(), Wait(0.2), TurnEnded(1, "hello", "silence"), START_1],
    ),
    "a turn without words has no answer": (
        [SPEAK, PAUSE, SETTLED, PATIENT],
        [TurnStarted(1), FlushStt(), Wait(0.2), TurnEnded(1, "", "silence")],
    ),
    "a pause that nobody opened is nothing": ([PAUSE], []),
    "patience that nobody asked for is nothing": ([PATIENT, SETTLED, TurnTimedOut(), TurnTooLong()], []),
    "words without detected speech are a turn": (
        [final("hello"), PATIENT],
        [TurnStarted(1), Wait(0.0), TurnEnded(1, "hello", "silence"), START_1],
    ),
    "interim words without detected speech are not": ([interim("hello")], []),
    "empty words are nothing": ([final(""), interim("")], []),
    "the recogniser that never answers is not waited for": (
        [SPEAK, interim("hello"), PAUSE, PATIENT, TurnTimedOut()],
        [TurnStarted(1), FlushStt(), Wait(0.2), TurnEnded(1, "hello", "timeout"), START_1],
    ),
    "doubled finals after the end are the same turn": (
        [*ASKED, final("hello")],
        [TurnStarted(1), FlushStt(), Wait(0.2), TurnEnded(1, "hello", "silence"), START_1],
    ),
    "so are interim words that turn up again as final ones": (
        [SPEAK, interim("hello"), PAUSE, PATIENT, TurnTimedOut(), final("hello")],
        [TurnStarted(1), FlushStt(), Wait(0.2), TurnEnded(1, "hello", "timeout"), START_1],
    ),
    # the longest turn
    "the longest turn is cut": (
        [SPEAK, TurnTooLong(), final("a story"), SETTLED],
        [
            *(TurnStarted(1), FlushStt(), TurnEnded(1, "a story", "max_duration")),
            StartReply(1, 1, "turn", "a story"),
        ],
    ),
    "what follows the longest turn is one of its own": (
        [*(SPEAK, TurnTooLong(), final("a story"), SETTLED), *(PAUSE, final("the end"), SETTLED, PATIENT)],
        [
            *(TurnStarted(1), FlushStt(), TurnEnded(1, "a story", "max_duration")),
            StartReply(1, 1, "turn", "a story"),
            *(TurnStarted(2), FlushStt(), Wait(0.2), TurnEnded(2, "the end", "silence")),
            *(Abandon(1, ""), StartReply(2, 2, "turn", "the end")),
        ],
    ),
    "who stops right after that has said one turn": (
        [SPEAK, TurnTooLong(), PAUSE, final("a story"), SETTLED],
        [
            *(TurnStarted(1), FlushStt(), FlushStt(), TurnEnded(1, "a story", "max_duration")),
            StartReply(1, 1, "turn", "a story"),
        ],
    ),
    # the client
    "pressed keys are a turn": (
        [TextReceived("DTMF: 12#", via="dtmf")],
        [TurnStarted(1), TurnEnded(1, "DTMF: 12#", "dtmf"), StartReply(1, 1, "text", "DTMF: 12#")],
    ),
    "typed text is a turn": (
        [TextReceived("typed", speak=False)],
        [TurnStarted(1), TurnEnded(1, "typed", "text"), StartReply(1, 1, "text", "typed", speak=False)],
    ),
    "say this": ([SpeakRequested("This.")], [StartReply(1, 0, "say", "This.")]),
    "run": ([ReplyRequested()], [StartReply(1, 0, "run")]),
    "silence in silence": ([InterruptRequested()], []),
    "trouble is told": ([Troubled("Sorry.")], [StartReply(1, 0, "fallback", "Sorry.")]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_new_dialogue(case: str) -> None:
    events, commands = CASES[case]
    assert told(events) == commands


LATER: dict[str, tuple[list[Event], Event, list[Command]]] = {
    "speech takes back what is not audible yet": (ASKED, SPEAK, [TurnStarted(2), Abandon(1, "hello")]),
    "but not when the reply has acted": ([*ASKED, Acted(1)], SPEAK, [TurnStarted(2), Abandon(1, "")]),
    "what another reply did does not count": ([*ASKED, Acted(7)], SPEAK, [TurnStarted(2), Abandon(1, "hello")]),
    "short speech does not interrupt": (ANSWERING, SpeechStarted(0.1), [TurnStarted(2)]),
    "long speech does": (ANSWERING, SPEAK, [TurnStarted(2), Interrupt(1, "speech")]),
    "speech that becomes long does": (
        [*ANSWERING, SpeechStarted(0.1)],
        SpeechContinued(0.2),
        [Interrupt(1, "speech")],
    ),
    "speech goes on when the reply is over": ([*ANSWERING, ReplyOver(1), SPEAK], SpeechContinued(0.5), []),
    "an old reply cannot become audible": ([*ASKED, SPEAK], ReplyAudible(1), []),
    "an old reply cannot be over": ([*ASKED, SPEAK, *turn("again"), ReplyAudible(2)], ReplyOver(1), []),
    "a cough while the agent thinks asks the same again": (
        [*ASKED, SPEAK, PAUSE, SETTLED],
        PATIENT,
        [TurnEnded(2, "hello", "silence"), StartReply(2, 2, "turn", "hello")],
    ),
    "words after the end of the turn are another turn": (
        [*ASKED, final("please")],
        PATIENT,
        [TurnEnded(2, "please", "silence"), Abandon(1, ""), StartReply(2, 2, "turn", "please")],
    ),
    "the same words after a reply count": (
        [*ANSWERING, ReplyOver(1)],
        final("hello"),
        [TurnStarted(2), Wait(0.0)],
    ),
    "after a cough the reply goes on": (
        [*ANSWERING, SPEAK, PAUSE, SETTLED],
        PATIENT,
        [TurnEnded(2, "", "silence"), StartReply(2, 2, "resume", resumes=1)],
    ),
    "after another cough it still does": (
        [*ANSWERING, *(SPEAK, PAUSE, SETTLED, PATIENT), *(SPEAK, PAUSE, SETTLED)],
        PATIENT,
        [TurnEnded(3, "", "silence"), StartReply(3, 3, "resume", resumes=2)],
    ),
    "a reply that acted goes on after a cough": (
        [*ASKED, Acted(1), SPEAK, PAUSE, SETTLED],
        PATIENT,
        [TurnEnded(2, "", "silence"), StartReply(2, 2, "resume", resumes=1)],
    ),
    "after words it does not": (
        [*ANSWERING, SPEAK, PAUSE, final("no"), SETTLED],
        PATIENT,
        [TurnEnded(2, "no", "silence"), StartReply(2, 2, "turn", "no")],
    ),
    "a client's interruption is final": (
        [*ANSWERING, InterruptRequested(), SPEAK, PAUSE, SETTLED],
        PATIENT,
        [TurnEnded(2, "", "silence")],
    ),
    "typed text interrupts": (
        ANSWERING,
        TextReceived("typed"),
        [Interrupt(1, "client"), TurnStarted(2), TurnEnded(2, "typed", "text"), StartReply(2, 2, "text", "typed")],
    ),
    "typed text joins what was just said": (
        [SPEAK, PAUSE, final("a room")],
        TextReceived("for two"),
        [TurnEnded(1, "a room for two", "text"), StartReply(1, 1, "text", "a room for two")],
    ),
    "what is still being said when text comes is a turn of its own": (
        [SPEAK, interim("a ro"), TextReceived("typed"), final("a room"), PAUSE, SETTLED],
        PATIENT,
        [TurnEnded(2, "a room", "silence"), Abandon(1, ""), StartReply(2, 2, "turn", "a room")],
    ),
    "speech does not take typed text back": ([TextReceived("typed")], SPEAK, [TurnStarted(2)]),
    "a saying waits for the reply": (ANSWERING, SpeakRequested("This."), []),
    "and follows it": (
        [*ANSWERING, SpeakRequested("This.")],
        ReplyOver(1),
        [StartReply(2, 1, "say", "This.")],
    ),
    "nobody is talked over": ([SPEAK], SpeakRequested("This."), []),
    "a saying waits for the answer to what they say": (
        [SPEAK, SpeakRequested("This."), PAUSE, final("hello"), SETTLED, PATIENT],
        ReplyOver(1),
        [StartReply(2, 1, "say", "This.")],
    ),
    "or comes when they said nothing": (
        [SPEAK, SpeakRequested("This."), PAUSE, SETTLED],
        PATIENT,
        [TurnEnded(1, "", "silence"), StartReply(1, 1, "say", "This.")],
    ),
    "sayings keep their order": (
        [SpeakRequested("1"), SpeakRequested("2"), SpeakRequested("3"), ReplyOver(1)],
        ReplyOver(2),
        [StartReply(3, 0, "say", "3")],
    ),
    "a client's interruption forgets them": (
        [*ANSWERING, SpeakRequested("This.")],
        InterruptRequested(),
        [Interrupt(1, "client")],
    ),
    "run replaces the reply": (ANSWERING, ReplyRequested(), [Interrupt(1, "client"), StartReply(2, 1, "run")]),
    "trouble waits for nobody": (ANSWERING, Troubled("Sorry."), []),
    "an abandoned run goes on after a cough": (
        [ReplyRequested(), SPEAK, PAUSE, SETTLED],
        PATIENT,
        [TurnEnded(1, "", "silence"), StartReply(2, 1, "resume", resumes=1)],
    ),
    "the greeting is not abandoned": ([Opened("Hi.")], SPEAK, [TurnStarted(1)]),
    "but interrupted when it becomes audible": (
        [Opened("Hi."), SPEAK, ReplyAudible(1)],
        SpeechContinued(0.9),
        [Interrupt(1, "speech")],
    ),
    "an earlier recogniser's interim words do not slip into a new turn": (
        [interim("noise"), SPEAK, PAUSE, SETTLED],
        PATIENT,
        [TurnEnded(1, "", "silence")],
    ),
}


@pytest.mark.parametrize("case", LATER)
def test_a_dialogue_under_way(case: str) -> None:
    events, last, commands = LATER[case]
    assert after(events, last) == commands


# ── the agent may not be interrupted ──

OVER = [*ANSWERING, *turn("wait"), ReplyOver(1)]
HELD: dict[str, tuple[list[Event], Event, list[Command]]] = {
    "speech is let pass": (ANSWERING, SPEAK, [TurnStarted(2)]),
    "its turn ends": ([*ANSWERING, *turn("wait")[:-1]], PATIENT, [TurnEnded(2, "wait", "silence")]),
    "and is answered afterwards": (OVER[:-1], ReplyOver(1), [StartReply(2, 2, "turn", "wait")]),
    "two of them together": (
        [*ANSWERING, *turn("wait"), *turn("please")],
        ReplyOver(1),
        [StartReply(2, 3, "turn", "wait please")],
    ),
    "held turns come before sayings": (
        [*ANSWERING, SpeakRequested("This."), *turn("wait")],
        ReplyOver(1),
        [StartReply(2, 2, "turn", "wait")],
    ),
    "and with the typed turn that interrupts": (
        [*ANSWERING, *turn("wait")],
        TextReceived("typed"),
        [
            *(Interrupt(1, "client"), TurnStarted(3), TurnEnded(3, "typed", "text")),
            StartReply(2, 3, "text", "wait typed"),
        ],
    ),
    "and when the client interrupts": (
        [*ANSWERING, *turn("wait")],
        InterruptRequested(),
        [Interrupt(1, "client"), StartReply(2, 2, "turn", "wait")],
    ),
    "and when the client runs the model": (
        [*ANSWERING, *turn("wait")],
        ReplyRequested(),
        [Interrupt(1, "client"), StartReply(2, 2, "turn", "wait")],
    ),
    "if they speak again, all is answered together": (
        [*ANSWERING, *turn("wait"), SPEAK, ReplyOver(1), PAUSE, final("please"), SETTLED],
        PATIENT,
        [TurnEnded(3, "wait please", "silence"), StartReply(2, 3, "turn", "wait please")],
    ),
    "what is not audible yet can still be taken back": (ASKED, SPEAK, [TurnStarted(2), Abandon(1, "hello")]),
}


@pytest.mark.parametrize("case", HELD)
def test_without_interruptions(case: str) -> None:
    events, last, commands = HELD[case]
    assert after(events, last, allow_interruptions=False) == commands


def test_a_plugin_forbids_interruptions_for_a_while() -> None:
    dialogue = Dialogue(Rules())
    for event in ANSWERING:
        dialogue.on(event)
    dialogue.interruptible = False
    assert dialogue.on(SPEAK) == (TurnStarted(2),)
    dialogue.interruptible = True
    assert dialogue.on(SpeechContinued(0.5)) == (Interrupt(1, "speech"),)


# ── words interrupt ──


@pytest.mark.parametrize(
    ("rules", "words", "cuts"),
    [
        ({"min_words": 3}, "no wait", False),
        ({"min_words": 3}, "no wait please", True),
        ({"phrases": ("stop now",)}, "please stop", False),
        ({"phrases": ("stop now",)}, "Please STOP,  now.", True),
        ({"phrases": ("stop",)}, "nonstop", False),
        ({"phrases": ("c++", "hör auf")}, "Hör auf!", True),
    ],
)
@pytest.mark.parametrize("kind", [interim, final])
def test_only_some_words_interrupt(rules: dict[str, object], words: str, cuts: bool, kind: object) -> None:
    assert after([*ANSWERING, SPEAK], kind(words), **rules) == [Interrupt(1, "speech")] * cuts  # type: ignore[operator]


def test_words_of_several_segments_are_counted_together() -> None:
    assert after([*ANSWERING, SPEAK, final("no")], final("wait"), min_words=2) == [Interrupt(1, "speech")]


def test_too_few_words_are_no_turn() -> None:
    events = [*ANSWERING, SPEAK, PAUSE, final("uh-huh"), SETTLED]
    assert after(events, PATIENT, min_words=2) == [TurnEnded(2, "", "ignored")]


def test_a_short_answer_that_began_before_the_agent_spoke_counts() -> None:
    events = [Opened("Hi."), SPEAK, ReplyAudible(1), PAUSE, final("yes"), SETTLED]
    assert after(events, PATIENT, min_words=2) == [
        TurnEnded(1, "yes", "silence"),
        Interrupt(1, "speech"),
        StartReply(2, 1, "turn", "yes"),
    ]


def test_a_short_answer_counts_when_nobody_is_interrupted() -> None:
    assert told(turn("yes"), min_words=3)[-1] == StartReply(1, 1, "turn", "yes")


# ── other ends of a turn ──


def test_without_patience_the_settled_words_end_the_turn() -> None:
    assert after([SPEAK, PAUSE, final("hello")], SETTLED, patient=False) == [TurnEnded(1, "hello", "silence"), START_1]
    assert told([SPEAK, PAUSE], patient=False) == [TurnStarted(1), FlushStt()]


def test_where_the_recogniser_decides_its_final_words_end_the_turn() -> None:
    rules = {"ends_on_final": True}
    assert told([SPEAK, PAUSE, PATIENT, SETTLED], **rules) == [TurnStarted(1)]
    assert told([interim("hel"), final("hello")], **rules) == [TurnStarted(1), TurnEnded(1, "hello", "final"), START_1]
    assert told([SPEAK, final("hello")], **rules) == [TurnStarted(1), TurnEnded(1, "hello", "final"), START_1]
    assert after([SPEAK, final("hello")], final("hello"), **rules) == []


# ── any events at all ──

WORDS = st.sampled_from(["", "yes", "stop now", "one two three"])
REPLIES = st.integers(min_value=0, max_value=12)
EVENTS = st.one_of(
    st.builds(Opened, WORDS),
    st.builds(SpeechStarted, st.sampled_from([0.1, 0.3])),
    st.builds(SpeechContinued, st.sampled_from([0.1, 0.3])),
    st.builds(SpeechStopped, st.just(0.2)),
    st.builds(Transcribed, WORDS, st.booleans()),
    st.sampled_from([WordsSettled(), PatienceEnded(), TurnTimedOut(), TurnTooLong()]),
    st.builds(Troubled, WORDS),
    st.builds(TextReceived, WORDS, speak=st.booleans()),
    st.builds(SpeakRequested, WORDS),
    st.sampled_from([ReplyRequested(), InterruptRequested()]),
)


class AnyDialogue(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.dialogue = Dialogue(Rules())
        self.under_way = 0
        self.audible = False
        self.replies = 0
        self.turns = 0
        self.ended: set[int] = set()

    @rule(
        wordy=st.sampled_from([{}, {"min_words": 2}, {"phrases": ("stop now",)}]),
        ends=st.sampled_from([{}, {"patient": False}, {"ends_on_final": True}]),
        allow=st.booleans(),
    )
    def another_call(self, wordy: dict[str, object], ends: dict[str, object], allow: bool) -> None:
        self.__init__()  # type: ignore[misc]
        self.dialogue = Dialogue(Rules(**wordy, **ends, allow_interruptions=allow))

    @rule(event=EVENTS)
    def something_happens(self, event: Event) -> None:
        if not isinstance(event, Opened) or not self.replies:
            self._check(self.dialogue.on(event))

    @rule(reply=REPLIES)
    def a_reply_is_audible(self, reply: int) -> None:
        self.audible = self.audible or reply == self.under_way
        self._check(self.dialogue.on(ReplyAudible(reply)))

    @rule(reply=REPLIES)
    def a_reply_is_over(self, reply: int) -> None:
        if reply == self.under_way:
            self.under_way = 0
        self._check(self.dialogue.on(ReplyOver(reply)))

    @rule()
    def the_present_reply_is_over(self) -> None:
        self.a_reply_is_over(self.under_way)

    @rule()
    def the_present_reply_is_audible(self) -> None:
        self.a_reply_is_audible(self.under_way)

    @rule()
    def the_present_reply_acts(self) -> None:
        self._check(self.dialogue.on(Acted(self.under_way)))

    @rule(may=st.booleans())
    def plugins_vote(self, may: bool) -> None:
        self.dialogue.interruptible = may

    @invariant()
    def the_dialogue_knows_of_the_reply(self) -> None:
        state = self.dialogue.reply_state
        assert (state is ReplyState.NONE) == (self.under_way == 0)
        assert (state is ReplyState.AUDIBLE) == (self.under_way != 0 and self.audible)

    @invariant()
    def an_open_turn_was_started(self) -> None:
        assert self.dialogue.floor is Floor.QUIET or self.turns not in self.ended

    def _check(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case TurnStarted(turn):
                    assert turn == self.turns + 1
                    assert self.turns in self.ended or not self.turns, "one turn at a time"
                    self.turns = turn
                case TurnEnded(turn):
                    assert turn == self.turns, "no end without a start"
                    assert turn not in self.ended, "one end for a turn"
                    self.ended.add(turn)
                case StartReply(reply, turn):
                    assert reply == self.replies + 1
                    assert not self.under_way, "one reply at a time"
                    assert turn == self.turns
                    self.replies, self.under_way, self.audible = reply, reply, False
                case Interrupt(reply):
                    assert (reply, self.audible) == (self.under_way, True)
                    self.under_way = 0
                case Abandon(reply):
                    assert (reply, self.audible) == (self.under_way, False)
                    self.under_way = 0
                case FlushStt() | Wait() | StopWaiting():
                    pass


test_any_dialogue = AnyDialogue.TestCase
test_any_dialogue.settings = settings(max_examples=120, stateful_step_count=60, deadline=None)
