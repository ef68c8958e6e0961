"""What happens in a call: past participles for facts, nothing else. Frozen, ordered by the call's event log.

Three families:

* `Inbound`: what the connected party sends besides audio.
* `SessionEvent`: what happened. Each one goes into the call's log with its time; transcripts, metrics, latencies, the
  heard text and what serializers tell the client are views of that log.
* `Outbound`: what a transport may be asked to send: every session event, and a few requests that are no facts.

`turn` counts the caller's turns from 1, `reply` the agent's replies from 1; 0 means "none". Seconds are on the call's
clock unless the name says otherwise. Times of events are in `Entry.at`, never in the event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from voxray.chat import Usage
from voxray.inbound import (
    ClientMessage as ClientMessage,
    ClientReady as ClientReady,
    ContextAppended as ContextAppended,
    ContextReplaced as ContextReplaced,
    DtmfReceived as DtmfReceived,
    EndRequested as EndRequested,
    Inbound as Inbound,
    InterruptRequested as InterruptRequested,
    MarkReached as MarkReached,
    ReplyRequested as ReplyRequested,
    SpeakRequested as SpeakRequested,
    TextReceived as TextReceived,
    ToolAnswered as ToolAnswered,
    ToolsReplaced as ToolsReplaced,
    VadUpdated as VadUpdated,
)

# ── Session events ──


class Proof(Enum):
    """How we know what the caller heard, best first."""

    MARK = "mark"  # a carrier's or client's mark came back
    REPORT = "report"  # the client said how far it has played
    WORD_TIME = "word_time"  # the voice gave word times; the position in the sound is an estimate
    ESTIMATE = "estimate"  # share of the sentence by time


@dataclass(frozen=True, slots=True)
class CallStarted:
    """First event of each log."""

    session_id: str
    transport: str
    audio_in_rate_hz: int
    audio_out_rate_hz: int
    allow_interruptions: bool


@dataclass(frozen=True, slots=True)
class CallEnded:
    """Last event of each log. `cause` is one of `Cause`."""

    cause: str
    detail: str = ""


class Cause:
    """Why a call ended. Constants, not an Enum: plugins may add their own (`end_call` tools, carriers)."""

    CALLER_LEFT = "caller_left"  # closed or reset by the other side
    AGENT_ENDED = "agent_ended"  # a tool or plugin hung up
    CLIENT_ASKED = "client_asked"
    TRANSFERRED = "transferred"  # the caller was handed on to another number
    MAX_DURATION = "max_duration"
    IDLE = "idle"  # nothing came from the client for the idle limit
    DRAINED = "drained"  # the server is stopping
    PROVIDER_FAILED = "provider_failed"  # no stage left that could answer
    TRANSPORT_FAILED = "transport_failed"
    ERROR = "error"  # a fault of ours; the log names it


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The caller speaks, and has done so for `for_secs`."""

    for_secs: float = 0.0


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The caller paused `ago_secs` ago."""

    ago_secs: float = 0.0


@dataclass(frozen=True, slots=True)
class Transcribed:
    """Words of the caller. Not final: they may still change and replace the last interim words."""

    text: str
    final: bool
    language: str | None = None


@dataclass(frozen=True, slots=True)
class TurnStarted:
    turn: int


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The turn is over. No `text`: nothing was understood, no reply follows. `waited_secs`: silence after speech."""

    turn: int
    text: str
    cause: str  # "silence", "final", "max_duration", "timeout", "text", "dtmf"
    waited_secs: float = 0.0


@dataclass(frozen=True, slots=True)
class UserIdle:
    """Nothing from the caller for `user_idle_timeout_secs` since the agent finished."""


@dataclass(frozen=True, slots=True)
class ReplyStarted:
    """`cause`: "turn", "text", "greeting", "say", "run", "resume", "fallback"."""

    reply: int
    turn: int
    cause: str


@dataclass(frozen=True, slots=True)
class ModelAsked:
    """A request went to the language model; `round` counts from 1 within the reply (tools start further rounds)."""

    reply: int
    round: int
    provider: str
    model: str = ""


@dataclass(frozen=True, slots=True)
class TextGenerated:
    """The next piece of text from the model, as it came."""

    reply: int
    text: str


@dataclass(frozen=True, slots=True)
class ModelFinished:
    reply: int
    round: int


@dataclass(frozen=True, slots=True)
class SentenceReady:
    """A speakable piece is handed to the voice. `piece` counts from 0 within the reply."""

    reply: int
    piece: int
    text: str


@dataclass(frozen=True, slots=True)
class VoiceAnswered:
    """First sound of the voice for this reply has arrived from the provider."""

    reply: int


@dataclass(frozen=True, slots=True)
class SpeechSynthesized:
    """`text` ends `end_secs` into the sound of the reply."""

    reply: int
    text: str
    end_secs: float


@dataclass(frozen=True, slots=True)
class ReplyAudible:
    """First sound of the reply was handed to the connection."""

    reply: int


@dataclass(frozen=True, slots=True)
class TurnTimed:
    """Where the time of an answer went; emitted right after its `ReplyAudible`.

    Distances of two events, at least 0: `waited` end of speech to the decision to answer, `stt` pause to the last final
    words, `llm` question to first text, `tts` first sentence to first sound, `total` end of speech to `ReplyAudible`.
    """

    turn: int
    reply: int
    waited_secs: float
    stt_secs: float
    llm_secs: float
    tts_secs: float
    total_secs: float


@dataclass(frozen=True, slots=True)
class SpeechSent:
    """All sound up to the end of `text` was handed to the connection."""

    reply: int
    text: str


@dataclass(frozen=True, slots=True)
class SpeechHeard:
    """`text` reached the caller's ear, with the kind of proof."""

    reply: int
    text: str
    proof: Proof


@dataclass(frozen=True, slots=True)
class ReplyInterrupted:
    """The reply was cut off. `heard` is the part that reached the ear. Clients must drop what they buffered."""

    reply: int
    heard: str
    heard_secs: float
    by: str = "speech"  # "speech", "client", "abandoned" (never audible), "failed", "end"


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """The reply was heard to its end. Empty text: there was nothing to say."""

    reply: int
    text: str


@dataclass(frozen=True, slots=True)
class ReplyFailed:
    """The reply cannot be completed; `stage` is "llm", "tts", "tool" or "silence"."""

    reply: int
    stage: str
    error: str


@dataclass(frozen=True, slots=True)
class SilenceBroken:
    """The caller heard nothing for `secs`; `action`: "waiting_phrase", "fallback_phrase", "tone", "hang_up"."""

    reply: int
    secs: float
    action: str


@dataclass(frozen=True, slots=True)
class ToolCalled:
    reply: int
    call_id: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    by_client: bool = False  # the client must run it


@dataclass(frozen=True, slots=True)
class ToolReturned:
    reply: int
    call_id: str
    name: str
    text: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class UsageReported:
    stage: str  # "stt", "llm", "tts"
    provider: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class ProviderFailed:
    """A stage of the call failed. `error` is safe to show; `fatal` says that the call ends."""

    stage: str  # "stt", "llm", "tts"
    provider: str
    error: str
    retryable: bool
    fatal: bool = False


@dataclass(frozen=True, slots=True)
class ProviderRetried:
    stage: str
    provider: str
    attempt: int


@dataclass(frozen=True, slots=True)
class AudioDropped:
    """Sound from the client that could not be used: `reason` "odd_length", "undecodable", "backlog"."""

    reason: str
    size_bytes: int


SessionEvent = (
    CallStarted
    | CallEnded
    | SpeechStarted
    | SpeechStopped
    | Transcribed
    | TurnStarted
    | TurnEnded
    | UserIdle
    | ReplyStarted
    | ModelAsked
    | TextGenerated
    | ModelFinished
    | SentenceReady
    | VoiceAnswered
    | SpeechSynthesized
    | ReplyAudible
    | TurnTimed
    | SpeechSent
    | SpeechHeard
    | ReplyInterrupted
    | ReplyFinished
    | ReplyFailed
    | SilenceBroken
    | ToolCalled
    | ToolReturned
    | UsageReported
    | ProviderFailed
    | ProviderRetried
    | AudioDropped
    | DtmfReceived
    | ClientMessage
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a call's event log: `at` seconds since the call was answered, `seq` from 0."""

    seq: int
    at: float
    event: SessionEvent


# ── Outbound: requests to a transport that are no facts ──


@dataclass(frozen=True, slots=True)
class Mark:
    """Ask the other side to tell us (`MarkReached`) when it has played everything sent before this."""

    name: str


@dataclass(frozen=True, slots=True)
class ServerMessage:
    """Anything from the application to the client. `id` answers a `ClientMessage` with that id."""

    kind: str
    data: Any = None
    id: str = ""


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """Nothing answers the `ClientMessage` with this id; `error` is safe to show."""

    id: str
    error: str


@dataclass(frozen=True, slots=True)
class DtmfRequested:
    """Send this key to the other side."""

    digit: str


@dataclass(frozen=True, slots=True)
class TransferRequested:
    """Hand the caller on to this number."""

    to: str


Outbound = SessionEvent | Mark | ServerMessage | RequestFailed | DtmfRequested | TransferRequested
