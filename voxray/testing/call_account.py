"""What a synthetic caller knows of its call: answers, words, tools, faults, and what its ear has heard by when.

No connection and no tasks: frames of the server go in, with the time on the loop's clock.
"""

from __future__ import annotations

import json
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

from voxray.audio.format import PCM_16K, PCM_24K, AudioFormat

FRAME_SECS = 0.02
LOUD = 300  # a sample above this (-41 dBFS) is speech: where a clip's last word ends


@dataclass(frozen=True, slots=True)
class Clip:
    """Something to say, cut into frames of pcm16 mono 16 kHz up to the end of its last word."""

    frames: tuple[bytes, ...]

    @classmethod
    def of(cls, pcm: bytes, *, rate_hz: int = PCM_16K.rate_hz, frame_secs: float = FRAME_SECS) -> Clip:
        """Cut pcm16 mono at any rate. A clip without a loud sample is kept whole."""
        if rate_hz != PCM_16K.rate_hz:
            from voxray.audio.resample import resample_whole

            pcm = resample_whole(pcm, rate_hz, PCM_16K.rate_hz)
        size = PCM_16K.size(frame_secs)
        frames = [pcm[start : start + size].ljust(size, b"\0") for start in range(0, len(pcm), size)]
        end = len(frames)
        while end and not _loud(frames[end - 1]):
            end -= 1
        return cls(tuple(frames[: end or len(frames)]))

    @property
    def secs(self) -> float:
        return sum(PCM_16K.secs(len(frame)) for frame in self.frames)


def _loud(frame: bytes) -> bool:
    samples = array("h", frame)
    return max(samples) > LOUD or min(samples) < -LOUD


@dataclass(slots=True)
class Reply:
    """One answer of the agent, as far as it is known by now."""

    number: int
    text: str = ""  # what it set out to say
    heard: str = ""  # what the server says was heard, once it is over
    interrupted: bool = False
    first_audio_at: float | None = None
    latency_secs: float | None = None  # from the last frame of speech sent to the first sound received
    ended_at: float | None = None
    stages: dict[str, float] = field(default_factory=dict)  # the server's own account of this turn


@dataclass(frozen=True, slots=True)
class ToolUse:
    at: float
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """An `ErrorFrame`."""

    at: float
    stage: str
    error: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """How the call ended: the server's reason, and the socket's close code."""

    at: float
    reason: str
    detail: str = ""
    code: int = 1000


class CallAccount:
    """All times are seconds since the server's `StartFrame`."""

    def __init__(self, *, record: bool = False) -> None:
        self.session_id = ""
        self.audio_out: AudioFormat = PCM_24K
        self.replies: dict[int, Reply] = {}
        self.turns: list[tuple[float, str]] = []  # what the server understood, and when
        self.tools: list[ToolUse] = []
        self.failures: list[Failure] = []
        self.ended: Ended | None = None
        self.said_until = 0.0  # when the last frame of speech, text or key was sent
        self._start = 0.0
        self._changed: anyio.Event | None = None
        self._speaking = False
        self._current: Reply | None = None  # the one that the sound being received belongs to
        self._early_audio_at: float | None = None  # sound that came before its reply was announced
        self._ear_until = 0.0
        self._pieces: list[tuple[float, bytes]] | None = [] if record else None
        self._marks: deque[tuple[float, str]] = deque()

    def now(self) -> float:
        return anyio.current_time() - self._start

    def heard_pcm(self) -> bytes:
        """All that was heard, in `audio_out`, on the call's timeline. Needs `record`."""
        track = bytearray()
        for at, pcm in self._pieces or ():
            track.extend(bytes(max(self.audio_out.size(at) - len(track), 0)))
            track += pcm
        return bytes(track)

    def _hear(self, pcm: bytes) -> None:
        now = self.now()
        at = max(now, self._ear_until)
        self._ear_until = at + self.audio_out.secs(len(pcm))
        if self._pieces is not None:
            self._pieces.append((at, pcm))
        if self._current is None:
            self._early_audio_at = self._early_audio_at or now
        elif self._current.first_audio_at is None:
            self._begin_reply(self._current, now)

    def _begin_reply(self, reply: Reply, at: float) -> None:
        reply.first_audio_at = at
        if at >= self.said_until and not self._speaking:
            reply.latency_secs = at - self.said_until
        self._notify()

    def _forget_sound(self) -> None:
        """The agent was interrupted: what is not heard yet never will be."""
        now = self.now()
        self._marks.clear()
        self._ear_until = min(self._ear_until, now)
        while self._pieces and self._pieces[-1][0] >= now:
            self._pieces.pop()
        if self._pieces:
            at, pcm = self._pieces[-1]
            self._pieces[-1] = at, pcm[: self.audio_out.size(now - at)]

    def _notify(self) -> None:
        if self._changed:
            self._changed.set()
            self._changed = None

    # ── the server's frames ──

    def _reply(self, data: dict[str, Any]) -> Reply:
        number = int(data.get("reply") or 0)
        if number not in self.replies:
            self.replies[number] = Reply(number)
        return self.replies[number]

    def _on_text(self, data: dict[str, Any]) -> None:
        reply = self._reply(data)
        reply.text = f"{reply.text} {str(data.get('text', '')).strip()}".strip()

    def _on_started(self, data: dict[str, Any]) -> None:
        self._current = self._reply(data)
        if self._early_audio_at is not None and self._current.first_audio_at is None:
            self._begin_reply(self._current, self._early_audio_at)
        self._early_audio_at = None

    def _on_stopped(self, data: dict[str, Any]) -> None:
        reply = self._reply(data)
        reply.heard = str(data.get("text", ""))
        reply.interrupted = bool(data.get("interrupted"))
        reply.ended_at = self.now()
        if self._current is reply:
            self._current = None

    def _on_interrupted(self, data: dict[str, Any]) -> None:
        self._forget_sound()
        self._early_audio_at = None

    def _on_mark(self, data: dict[str, Any]) -> None:
        self._marks.append((max(self.now(), self._ear_until), str(data.get("name", ""))))

    def _on_turn(self, data: dict[str, Any]) -> None:
        self.turns.append((self.now(), str(data.get("text", ""))))

    def _on_tool(self, data: dict[str, Any]) -> None:
        arguments = data.get("arguments")
        self.tools.append(
            ToolUse(self.now(), str(data.get("function_name", "")), arguments if isinstance(arguments, dict) else {})
        )

    def _on_timing(self, data: dict[str, Any]) -> None:
        self._reply(data).stages = {
            name: float(value) for name, value in data.items() if name.endswith("_secs") and value is not None
        }

    def _on_error(self, data: dict[str, Any]) -> None:
        self.failures.append(
            Failure(self.now(), str(data.get("processor", "")), str(data.get("error", "")), bool(data.get("fatal")))
        )

    def _on_frame(self, kind: str, data: dict[str, Any]) -> None:
        if handle := _HANDLERS.get(kind):
            handle(self, data)
            self._notify()


def parse_frame(message: str) -> tuple[str, dict[str, Any]]:
    """Type and data of a text message. Raises ValueError for anything else."""
    parsed = json.loads(message)
    if not isinstance(parsed, dict):
        raise ValueError("the server sent a message that is no JSON object")
    data = parsed.get("data")
    return str(parsed.get("type", "")), data if isinstance(data, dict) else {}


_HANDLERS: dict[str, Callable[[CallAccount, dict[str, Any]], None]] = {
    "AggregatedTextFrame": CallAccount._on_text,
    "BotStartedSpeakingFrame": CallAccount._on_started,
    "BotStoppedSpeakingFrame": CallAccount._on_stopped,
    "InterruptionFrame": CallAccount._on_interrupted,
    "MarkFrame": CallAccount._on_mark,
    "UserTurnFrame": CallAccount._on_turn,
    "FunctionCallInProgressFrame": CallAccount._on_tool,
    "TurnTimingFrame": CallAccount._on_timing,
    "ErrorFrame": CallAccount._on_error,
}
