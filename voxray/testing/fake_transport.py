"""A caller without a network: says what its script says, hears what the session plays, and notes when."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Self

import anyio

from voxray.audio.format import PCM_16K, AudioFormat, Encoding
from voxray.errors import TransportFailedError
from voxray.events import (
    Inbound,
    Mark,
    MarkReached,
    Outbound,
    ReplyAudible,
    ReplyFailed,
    ReplyFinished,
    ReplyInterrupted,
)
from voxray.protocols.transport import AudioSource

LEAD_SECS = 0.2  # how far audio is taken ahead of the ear, like the real transports
PIECE_SECS = 0.04
TONE_HZ = 200  # a square wave: every window of 5 ms and more of it is loud
_LOUD = {Encoding.MULAW: (b"\xa0", b"\x20"), Encoding.ALAW: (b"\x8a", b"\x0a")}  # about a quarter of full scale
_QUIET = {Encoding.PCM16: b"\x00", Encoding.MULAW: b"\xff", Encoding.ALAW: b"\xd5"}
_PCM_LOUD = (8000).to_bytes(2, "little", signed=True), (-8000).to_bytes(2, "little", signed=True)


def speech(audio: AudioFormat, secs: float) -> bytes:
    """Sound of that length that any detector of energy takes for speech: no sample of it is zero."""
    up, down = _LOUD.get(audio.encoding, _PCM_LOUD)
    half = audio.rate_hz // TONE_HZ // 2
    size = audio.size(secs)
    return ((up * half + down * half) * (size // (len(up) * half * 2) + 1))[:size]


def quiet(audio: AudioFormat, secs: float) -> bytes:
    """Digital silence of that length."""
    return _QUIET[audio.encoding] * audio.size(secs)


@dataclass(frozen=True, slots=True)
class Sound:
    """What reached the ear from `at` on, for `secs`. `value` is the sample repeated all through it: `ScriptedTts` gives
    each sentence its own."""

    at: float
    secs: float
    value: int


@dataclass(slots=True)
class _Piece:
    at: float
    pcm: bytes


class FakeTransport:
    """One connected caller. Script it with `say`, `silence`, `post`, `listen`, … before or while the session runs; when
    the script is over the line stays open and quiet (`leave()` ends it).

    Frames of `frame_secs` come at their time on the loop's clock. What the session plays reaches the ear `latency_secs`
    after it was handed over, at the rate of sound, and is dropped at `ReplyInterrupted`. With `acknowledge_marks`, a
    `MarkReached` comes back when the ear is there. All times are seconds since the session first touched the transport.
    """

    def __init__(
        self,
        audio_in: AudioFormat = PCM_16K,
        audio_out: AudioFormat = PCM_16K,
        *,
        frame_secs: float = 0.02,
        latency_secs: float = 0.0,
        acknowledge_marks: bool = False,
        silent_line: bool = True,
    ) -> None:
        self.audio_in = audio_in
        self.audio_out = audio_out
        self.transfers = True
        self.sends_dtmf = True
        self.sent: list[tuple[float, Outbound]] = []
        self.closed: tuple[str, str] | None = None
        self.acknowledge_marks = acknowledge_marks
        self._frame_secs = frame_secs
        self._latency_secs = latency_secs
        self._silent_line = silent_line
        self._steps: deque[Callable[[], bytes | Inbound | None]] = deque()
        self._due: deque[tuple[float, Inbound]] = deque()
        self._frames = 0
        self._start: float | None = None
        self._ear: list[_Piece] = []
        self._ear_until = 0.0
        self._cursor = 0
        self._woken = anyio.Event()
        self._unread = False

    # ── the caller's script ──

    def say(self, sound: float | bytes) -> Self:
        """Speak for that many seconds, or these bytes (in `audio_in`)."""
        return self._sound(speech(self.audio_in, sound) if isinstance(sound, float | int) else sound)

    def silence(self, secs: float) -> Self:
        return self._sound(quiet(self.audio_in, secs))

    def post(self, *events: Inbound) -> Self:
        """Send messages, at once when the script gets here."""
        for event in events:
            self._step(lambda event=event: event)  # type: ignore[misc]
        return self

    def until(self, condition: Callable[[], bool], *, timeout_secs: float = 60.0) -> Self:
        """Be quiet until `condition()` holds; it is asked at every frame. AssertionError after `timeout_secs`."""
        deadline: list[float] = []

        def wait() -> bytes | None:
            if condition():
                return None
            deadline[:] = deadline or [self.now() + timeout_secs]
            if self.now() > deadline[0]:
                raise AssertionError(f"the caller waited {timeout_secs:g} s in vain; sent were {self.events[-5:]}")
            self._steps.appendleft(wait)
            return quiet(self.audio_in, self._frame_secs)

        return self._step(wait)

    def listen(self, *, timeout_secs: float = 60.0) -> Self:
        """Be quiet until the next reply ended: heard, cut off or failed. After a barge-in that is the reply cut off."""
        return self.until(
            lambda: self._saw(ReplyFinished, ReplyInterrupted, ReplyFailed) and self.now() >= self._ear_until,
            timeout_secs=timeout_secs,
        )

    def until_audible(self, secs: float = 0.0, *, timeout_secs: float = 60.0) -> Self:
        """Be quiet until `secs` of the next reply were to be heard: where a barge-in begins."""
        return self.until(lambda: self._saw(ReplyAudible), timeout_secs=timeout_secs).silence(secs)

    def leave(self) -> Self:
        """Hang up."""

        def end() -> None:
            raise anyio.EndOfStream

        return self._step(end)

    def break_off(self, message: str = "connection reset") -> Self:
        """Lose the connection."""

        def end() -> None:
            self._unread = True
            raise TransportFailedError(message)

        return self._step(end)

    # ── what was heard ──

    @property
    def events(self) -> list[Outbound]:
        """What the session sent, without the times."""
        return [event for _, event in self.sent]

    def heard(self) -> list[Sound]:
        """The sounds that reached the ear, in order; zero samples are silence and not listed. Only for pcm16."""
        sounds: list[Sound] = []
        for piece in self._ear:
            position = 0
            for value, group in groupby(array("h", piece.pcm[: len(piece.pcm) // 2 * 2])):
                size = sum(1 for _ in group)
                at = round(piece.at + position / self.audio_out.rate_hz, 6)
                position += size
                secs = size / self.audio_out.rate_hz
                last = sounds[-1] if sounds else None
                if last and last.value == value and abs(last.at + last.secs - at) < 1e-4:
                    sounds[-1] = Sound(last.at, round(last.secs + secs, 6), value)
                else:
                    sounds.append(Sound(at, round(secs, 6), value))
        return [sound for sound in sounds if sound.value]

    def heard_pcm(self) -> bytes:
        """Everything that reached the ear on the caller's timeline, gaps filled with silence."""
        track = bytearray()
        for piece in self._ear:
            track += quiet(self.audio_out, piece.at)[len(track) :]
            track += piece.pcm
        return bytes(track)

    def now(self) -> float:
        """Seconds since the session first touched this transport."""
        if self._start is None:
            self._start = anyio.current_time()
        return anyio.current_time() - self._start

    # ── Transport ──

    @property
    def answers_marks(self) -> bool:
        return self.acknowledge_marks

    async def receive(self) -> bytes | Inbound:
        while True:
            now = self.now()
            if self._due and self._due[0][0] <= now:
                return self._due.popleft()[1]
            if not self._steps and not self._silent_line:
                await self._sleep_until(None)
                continue
            # A frame can be sent when its last sample was spoken.
            ready_at = (self._frames + 1) * self._frame_secs
            if now + 1e-9 < ready_at:
                await self._sleep_until(ready_at)
                continue
            item = self._steps.popleft()() if self._steps else quiet(self.audio_in, self._frame_secs)
            if isinstance(item, bytes):
                self._frames += 1
            if item is not None:
                return item

    async def _sleep_until(self, at: float | None) -> None:
        if self._due:
            at = min(self._due[0][0], at or self._due[0][0])
        if at is None:
            await self._woken.wait()
        else:
            with anyio.move_on_at((self._start or 0.0) + at):
                await self._woken.wait()
        if self._woken.is_set():
            self._woken = anyio.Event()

    def send(self, event: Outbound) -> None:
        if self._unread:
            raise TransportFailedError("the other side is gone")
        now = self.now()
        self.sent.append((now, event))
        if isinstance(event, ReplyInterrupted):
            self._clear(now)

    async def play(self, source: AudioSource) -> None:
        size = self.audio_out.size(PIECE_SECS)
        while True:
            ahead = source.lead_secs() + PIECE_SECS - LEAD_SECS
            if ahead > 1e-6:
                await anyio.sleep(max(ahead, 0.001))
                continue
            item = source.take(size)
            if item is None:
                await source.wait()
            elif isinstance(item, Mark):
                self._mark(item)
            else:
                self._hear(item)

    async def close(self, cause: str, detail: str) -> None:
        self.closed = (cause, detail)

    # ── inside ──

    def _step(self, step: Callable[[], bytes | Inbound | None]) -> Self:
        self._steps.append(step)
        self._woken.set()
        return self

    def _sound(self, pcm: bytes) -> Self:
        size = self.audio_in.size(self._frame_secs)
        for start in range(0, len(pcm), size):
            frame = pcm[start : start + size]
            frame += _QUIET[self.audio_in.encoding] * (size - len(frame))
            self._step(lambda frame=frame: frame)  # type: ignore[misc]
        return self

    def _saw(self, *kinds: type) -> bool:
        for position in range(self._cursor, len(self.sent)):
            if isinstance(self.sent[position][1], kinds):
                self._cursor = position + 1
                return True
        return False

    def _hear(self, pcm: bytes) -> None:
        at = max(self.now() + self._latency_secs, self._ear_until)
        self._ear.append(_Piece(at, pcm))
        self._ear_until = at + self.audio_out.secs(len(pcm))

    def _mark(self, mark: Mark) -> None:
        self.sent.append((self.now(), mark))
        if self.acknowledge_marks:
            self._due.append((max(self.now(), self._ear_until), MarkReached(mark.name)))
            self._woken.set()

    def _clear(self, now: float) -> None:
        self._due.clear()
        kept = [piece for piece in self._ear if piece.at < now]
        if kept:
            last = kept[-1]
            last.pcm = last.pcm[: self.audio_out.size(max(now - last.at, 0.0) + 1e-6)]
        self._ear = kept
        self._ear_until = min(self._ear_until, now)
