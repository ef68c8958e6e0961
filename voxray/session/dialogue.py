"""Who is talking and what to do next. No awaits, no clock, no I/O.

Every rule of turn-taking lives in this file, and this file knows nothing of tasks, providers or transports. Two states
side by side: the *floor* (what the caller does) and the *reply* (what the agent does).

    floor   QUIET ──speech──► SPEAKING ──pause──► PAUSED ──patience over and all words in──► QUIET, turn ends
                                  ▲────────speech────┘
    reply   NONE ──turn ends, greeting, say──► THINKING ──first sound──► AUDIBLE ──heard or failed──► NONE
                                                   └── speech: Abandon       └── speech: Interrupt
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum

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


class Floor(Enum):
    QUIET = "quiet"
    SPEAKING = "speaking"
    PAUSED = "paused"


class ReplyState(Enum):
    NONE = "none"
    THINKING = "thinking"
    AUDIBLE = "audible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The policy, as configured."""

    ends_on_final: bool = False  # turn_detection none with a streaming recogniser: its final words end the turn
    patient: bool = True  # False: a pause ends the turn as soon as the words are in
    allow_interruptions: bool = True
    min_speech_secs: float = 0.2
    min_words: int = 0  # > 0: only this many words interrupt
    phrases: tuple[str, ...] = ()  # only these interrupt


@dataclass(slots=True)
class Said:
    """What the caller has said since their turn began."""

    words: list[str] = field(default_factory=list)
    interim: str = ""
    settled: bool = False
    patient: bool = True
    cause: str = "silence"
    cut: int = 0  # the reply this turn has interrupted
    over: int = 0  # the reply that was to be heard when the turn began

    def text(self) -> str:
        return " ".join(filter(None, [*self.words, self.interim]))


class Dialogue:
    """See the module. `on` returns its commands complete, so that nobody can leave a transition half done."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.floor = Floor.QUIET
        self.reply_state = ReplyState.NONE
        self.turn = 0
        self.reply = 0
        self.said = Said()
        self._asked = ""  # the words the present reply answers, while it is not audible
        self._cause = ""
        self._overrun = False  # the turn was ended while they went on speaking
        self._last = ""  # the newest words of the turn that ended last, to know them if they come twice
        self._held: list[str] = []  # turns to answer when the reply is over
        self._sayings: list[str] = []  # things to say when the reply is over
        self._commands: list[Command] = []
        self.interruptible = True  # what the plugins say at this moment

    @property
    def audible(self) -> bool:
        return self.reply_state is ReplyState.AUDIBLE

    @property
    def settled(self) -> bool:
        """No reply is under way, and nothing waits to be answered or said."""
        return self.reply_state is ReplyState.NONE and not self._held and not self._sayings

    def on(self, event: Event) -> tuple[Command, ...]:
        """Take one event; return what to do, in order."""
        match event:
            case Opened(greeting):
                if greeting:
                    self._start("greeting", greeting)
            case SpeechStarted(for_secs):
                self._speech_started(for_secs)
            case SpeechContinued(for_secs):
                if self.floor is Floor.SPEAKING:
                    self._barge_in(for_secs)
            case SpeechStopped(ago_secs):
                self._speech_stopped(ago_secs)
            case Transcribed(text, final):
                self._transcribed(text, final)
            case WordsSettled():
                self.said.settled = True
                self._maybe_end_turn()
            case PatienceEnded():
                self.said.patient = False
                self._maybe_end_turn()
            case TurnTimedOut():
                if self.floor is not Floor.QUIET:
                    self._overrun = self.floor is Floor.SPEAKING
                    self._end_turn("timeout")
            case TurnTooLong():
                self._too_long()
            case ReplyAudible(reply):
                if reply == self.reply and self.reply_state is ReplyState.THINKING:
                    self.reply_state = ReplyState.AUDIBLE
            case ReplyOver(reply):
                if reply == self.reply:
                    self.reply_state = ReplyState.NONE
                    self._last = ""
                    self._next()
            case Acted(reply):
                if reply == self.reply:
                    self._asked = ""
            case Troubled(text):
                if self.reply_state is ReplyState.NONE:
                    self._start("fallback", text)
            case TextReceived(text, _, speak, via):
                self._silence("client", take_back=False)
                self._typed(text, speak, via)
            case SpeakRequested(text):
                self._sayings.append(text)
                self._next()
            case ReplyRequested():
                self._silence("client", take_back=False)
                if self._held:
                    self._answer("turn", "")
                else:
                    self._start("run")
            case InterruptRequested():
                self._sayings.clear()
                self._silence("client", take_back=False)
                self._next()
        commands, self._commands = tuple(self._commands), []
        return commands

    # ── the caller ──

    def _open_turn(self) -> None:
        self.turn += 1
        self.said.over = self.reply if self.reply_state is ReplyState.AUDIBLE else 0
        self._commands.append(TurnStarted(self.turn))

    def _speech_started(self, for_secs: float) -> None:
        self._overrun = False
        self._last = ""
        if self.floor is Floor.QUIET:
            self.said.interim = ""
            self._open_turn()
        elif self.floor is Floor.PAUSED:
            self._commands.append(StopWaiting())
        self.floor = Floor.SPEAKING
        self.said.cause = "silence"
        if self.reply_state is ReplyState.THINKING and self._cause in ("turn", "run", "resume"):
            if not self._asked:
                self.said.cut = self.reply  # if they say nothing after all, we go on with it
            self._silence("abandoned", take_back=True)
        else:
            self._barge_in(for_secs)

    def _speech_stopped(self, ago_secs: float) -> None:
        if self.floor is Floor.QUIET and self._overrun:
            self._overrun = False
            self._open_turn()  # what they said after we stopped listening is a turn of its own
        elif self.floor is Floor.PAUSED and self._overrun:
            self._overrun = False  # they stopped right after the turn was cut: all of it is one turn
            self.said.settled = False
            self._commands.append(FlushStt())
            return
        elif self.floor is not Floor.SPEAKING:
            return
        self.floor = Floor.PAUSED
        if self._rules.ends_on_final:
            return
        self.said.settled = False
        self.said.patient = self._rules.patient
        self._commands.append(FlushStt())
        if self._rules.patient:
            self._commands.append(Wait(ago_secs))

    def _transcribed(self, text: str, final: bool) -> None:
        if text and text == self._last and self.floor is Floor.QUIET and not self._overrun:
            return  # the recogniser repeats itself: nobody has spoken since the turn ended
        if final:
            self.said.interim = ""
            if text:
                self.said.words.append(text)
        else:
            self.said.interim = text
        if not text:
            return
        if self._rules.ends_on_final:
            if self.floor is Floor.QUIET and not self._overrun:
                self._open_turn()
                self.floor = Floor.PAUSED
            if final:
                self._end_turn("final")
                return
        elif final and self.floor is Floor.QUIET and not self._overrun:
            # Words without detected speech: too soft for the detector, or late. They are a turn all the same.
            self._open_turn()
            self.floor = Floor.PAUSED
            self.said.settled, self.said.patient = True, self._rules.patient
            if self._rules.patient:
                self._commands.append(Wait(0.0))
        if self.reply_state is ReplyState.AUDIBLE and self._enough_words():
            self._silence("speech", take_back=False)
        self._maybe_end_turn()

    def _too_long(self) -> None:
        if self.floor is Floor.SPEAKING:
            self.floor = Floor.PAUSED
            self._overrun = True
            self.said.settled, self.said.patient, self.said.cause = False, False, "max_duration"
            self._commands.append(FlushStt())

    def _maybe_end_turn(self) -> None:
        said = self.said
        if self.floor is Floor.PAUSED and said.settled and not said.patient and not self._rules.ends_on_final:
            self._end_turn(said.cause)

    def _end_turn(self, cause: str) -> None:
        said, self.said = self.said, Said()
        self.floor = Floor.QUIET
        text = said.text()
        self._last = said.interim or "".join(said.words[-1:])
        if text and self.reply_state is ReplyState.AUDIBLE:
            if not self._may_interrupt():
                self._held.append(text)
                self._commands.append(TurnEnded(self.turn, text, cause))
                return
            if said.over == self.reply and (self._rules.min_words or self._rules.phrases):
                self._commands.append(TurnEnded(self.turn, "", "ignored"))  # "uh-huh"
                return
        self._commands.append(TurnEnded(self.turn, text, cause))
        if text:
            self._silence("speech", take_back=False)
            self._answer("turn", text)
        elif said.cut and self.reply_state is ReplyState.NONE:
            self._start("resume", resumes=said.cut)
        else:
            self._next()

    def _typed(self, text: str, speak: bool, via: str) -> None:
        """Text ends an open turn and is answered together with what was said; what is still being said is a turn of
        its own."""
        spoken = ""
        if self.floor is Floor.QUIET:
            self._open_turn()
        else:
            self._overrun = self.floor is Floor.SPEAKING
            said, self.said = self.said, Said()
            if self._overrun:
                self.said.interim, said.interim = said.interim, ""
            spoken = said.text()
            self.floor = Floor.QUIET
        text = " ".join(filter(None, [spoken, text]))
        self._commands.append(TurnEnded(self.turn, text, via))
        self._answer("text", text, speak=speak)

    # ── the agent ──

    def _start(self, cause: str, text: str = "", *, speak: bool = True, resumes: int = 0) -> None:
        self.reply += 1
        self.reply_state = ReplyState.THINKING
        self._cause = cause
        self._asked = text if cause == "turn" else ""
        self._commands.append(StartReply(self.reply, self.turn, cause, text, speak, resumes))

    def _answer(self, cause: str, text: str, *, speak: bool = True) -> None:
        """Start a reply to `text` and to the turns that were held."""
        text = " ".join(filter(None, [*self._held, text]))
        self._held.clear()
        self._start(cause, text, speak=speak)

    def _next(self) -> None:
        """Go on with what has waited, if nobody is speaking."""
        if self.reply_state is not ReplyState.NONE:
            return
        if self.floor is Floor.SPEAKING or (self.floor is Floor.PAUSED and not self._rules.ends_on_final):
            self.said.words[:0] = self._held  # they speak again: all of it is answered together
            self._held.clear()
        elif self._held:
            self._answer("turn", "")
        elif self._sayings:
            self._start("say", self._sayings.pop(0))

    def _barge_in(self, for_secs: float) -> None:
        rules = self._rules
        wordy = rules.min_words or rules.phrases
        if (
            self.reply_state is ReplyState.AUDIBLE
            and self._may_interrupt()
            and not wordy
            and for_secs + 1e-9 >= rules.min_speech_secs
        ):
            self.said.cut = self.reply
            self._silence("speech", take_back=False)

    def _may_interrupt(self) -> bool:
        return self._rules.allow_interruptions and self.interruptible

    def _enough_words(self) -> bool:
        rules = self._rules
        if not self._may_interrupt() or self.floor is Floor.QUIET:
            return False
        text = self.said.text()
        if rules.phrases:
            return any(_contains(text, phrase) for phrase in rules.phrases)
        return bool(rules.min_words) and len(text.split()) >= rules.min_words

    def _silence(self, by: str, *, take_back: bool) -> None:
        """Stop the present reply, whatever its state."""
        match self.reply_state:
            case ReplyState.AUDIBLE:
                self._commands.append(Interrupt(self.reply, by))
            case ReplyState.THINKING:
                taken_back = self._asked if take_back else ""
                if taken_back:
                    self.said.words.insert(0, taken_back)
                self._commands.append(Abandon(self.reply, taken_back))
            case ReplyState.NONE:
                return
        self.reply_state = ReplyState.NONE


def _contains(text: str, phrase: str) -> bool:
    words = r"\W+".join(map(re.escape, phrase.split()))
    return re.search(rf"(?<!\w){words}(?!\w)", text, re.IGNORECASE) is not None
