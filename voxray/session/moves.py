"""What the dialogue is told, and what it asks for in return."""

from __future__ import annotations

from dataclasses import dataclass

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

# ── Told: some events of the call, and these ──


@dataclass(frozen=True, slots=True)
class Opened:
    """The call was answered; `greeting` is to be said, "" for none."""

    greeting: str = ""


@dataclass(frozen=True, slots=True)
class SpeechContinued:
    """The caller has been speaking for `for_secs`."""

    for_secs: float


@dataclass(frozen=True, slots=True)
class WordsSettled:
    """The recogniser has reported everything before the pause."""


@dataclass(frozen=True, slots=True)
class PatienceEnded:
    """The silence after speech has lasted long enough."""


@dataclass(frozen=True, slots=True)
class TurnTimedOut:
    """The turn has been open and inactive for too long."""


@dataclass(frozen=True, slots=True)
class TurnTooLong:
    """The caller has been speaking for the longest time allowed."""


@dataclass(frozen=True, slots=True)
class ReplyOver:
    """The reply was heard to its end, or failed."""

    reply: int


@dataclass(frozen=True, slots=True)
class Acted:
    """The reply has called a tool: the words it answers can no longer be taken back."""

    reply: int


@dataclass(frozen=True, slots=True)
class Troubled:
    """Something of ours failed and the caller must be told, in these words."""

    text: str


Event = (
    Opened
    | SpeechStarted
    | SpeechContinued
    | SpeechStopped
    | Transcribed
    | WordsSettled
    | PatienceEnded
    | TurnTimedOut
    | TurnTooLong
    | ReplyAudible
    | ReplyOver
    | Acted
    | Troubled
    | TextReceived
    | SpeakRequested
    | ReplyRequested
    | InterruptRequested
)

# ── Asked for ──


@dataclass(frozen=True, slots=True)
class FlushStt:
    """Ask the recogniser for everything up to now."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Send `PatienceEnded` when the silence, which began `ago_secs` ago, has lasted long enough."""

    ago_secs: float


@dataclass(frozen=True, slots=True)
class StopWaiting:
    """They speak again."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Silence the audible reply now; keep what was heard."""

    reply: int
    by: str


@dataclass(frozen=True, slots=True)
class Abandon:
    """Drop the reply that was not audible yet. `taken_back`: the user's words that become part of their turn again."""

    reply: int
    taken_back: str


@dataclass(frozen=True, slots=True)
class StartReply:
    """Answer. `cause` "turn", "text" or "run": by the model, after adding `text` as the user's words if there are any;
    "greeting", "say", "fallback": speak `text`; "resume": go on with reply `resumes`, which was cut off."""

    reply: int
    turn: int
    cause: str
    text: str = ""
    speak: bool = True
    resumes: int = 0


Command = FlushStt | Wait | StopWaiting | Interrupt | Abandon | StartReply | TurnStarted | TurnEnded
