"""Ears, minds and voices that follow a script: for tests of sessions, without vendors and in virtual time.

All of them wait with `anyio.sleep` only, count what is open (`active`, zero after a call), and take faults by number.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

from voxray.audio.format import PCM_16K, AudioFormat
from voxray.chat import Prompt, TextDelta, ToolCall, Usage
from voxray.events import ServerMessage
from voxray.protocols.call import CallInfo
from voxray.protocols.tts import Spoken
from voxray.streaming import streaming
from voxray.testing.fake_ears import STALL, ScriptedRecognizer, ScriptedStt, ScriptedVad, Utterance, pause
from voxray.testing.fake_transport import FakeTransport, Sound, quiet, speech

if TYPE_CHECKING:
    from voxray.session.services import Services

__all__ = [
    "STALL",
    "FakeSession",
    "FakeTransport",
    "Fault",
    "ScriptedLlm",
    "ScriptedRecognizer",
    "ScriptedStt",
    "ScriptedSynthesizer",
    "ScriptedTts",
    "ScriptedVad",
    "Sound",
    "SpeechFault",
    "Utterance",
    "quiet",
    "services",
    "speech",
]

FIRST_VALUE = 1000  # the sample of the first sentence that a scripted voice speaks; the next has one more


# ── Minds ──

Step = str | float | ToolCall | Usage | Exception
Reply = str | Sequence[Step]


class ScriptedLlm:
    """A model that answers with the next of `replies`, or what `replies(prompt)` returns; then with "Reply <n>.".

    A reply is a text, or a list of texts, pauses in seconds (`STALL`: for ever), tool calls, usages and exceptions, in
    order. Texts come word by word: the first after `first_token_secs`, then one every `token_secs`.
    """

    def __init__(
        self,
        replies: Sequence[Reply] | Callable[[Prompt], Reply] = (),
        *,
        first_token_secs: float = 0.2,
        token_secs: float = 0.02,
    ) -> None:
        self._replies = replies if callable(replies) else deque(replies)
        self._first_token_secs = first_token_secs
        self._token_secs = token_secs
        self.prompts: list[Prompt] = []
        self.active = 0
        self.finished = 0

    @streaming
    async def generate(self, prompt: Prompt) -> AsyncGenerator[TextDelta | ToolCall | Usage, None]:
        self.prompts.append(prompt)
        self.active += 1
        try:
            await pause(self._first_token_secs)
            async with aclosing(self._follow(self._next(prompt))) as items:
                async for item in items:
                    yield item
            self.finished += 1
        finally:
            self.active -= 1

    def _next(self, prompt: Prompt) -> Reply:
        if callable(self._replies):
            return self._replies(prompt)
        return self._replies.popleft() if self._replies else f"Reply {len(self.prompts)}."

    async def _follow(self, reply: Reply) -> AsyncGenerator[TextDelta | ToolCall | Usage, None]:
        for step in [reply] if isinstance(reply, str) else reply:
            match step:
                case str():
                    for number, word in enumerate(step.split(" ")):
                        yield TextDelta(f" {word}" if number else word)
                        await pause(self._token_secs)
                case float() | int():
                    await pause(step)
                case Exception():
                    raise step
                case _:
                    yield step


# ── Voices ──


@dataclass(frozen=True, slots=True)
class SpeechFault:
    """What goes wrong with one sentence: `after_secs` of sound, raise `error`, or say nothing more if that is None and
    `stall` is not set; `stall`: never come back."""

    error: Exception | None = None
    after_secs: float = 0.0
    stall: bool = False


Fault = SpeechFault


class _Speaker:
    def __init__(
        self,
        *,
        audio: AudioFormat = PCM_16K,
        secs_per_char: float = 0.05,
        first_audio_secs: float = 0.1,
        pace: float = 0.0,
        piece_bytes: int = 0,
        faults: Mapping[int, SpeechFault] | None = None,
    ) -> None:
        self.audio = audio
        self.sentences: list[str] = []
        self.active = 0
        self._secs_per_char = secs_per_char
        self._first_audio_secs = first_audio_secs
        self._pace = pace
        self._piece_bytes = piece_bytes or audio.size(0.1)
        self._faults = faults or {}

    async def _say(self, text: str) -> AsyncGenerator[bytes, None]:
        number = len(self.sentences)
        self.sentences.append(text)
        fault = self._faults.get(number)
        await pause(self._first_audio_secs)
        secs = len(text) * self._secs_per_char
        pcm = array("h", [FIRST_VALUE + number]).tobytes() * (self.audio.size(secs) // 2)
        if fault:
            pcm = pcm[: self.audio.size(min(fault.after_secs, secs))]
        for start in range(0, len(pcm), self._piece_bytes):
            piece = pcm[start : start + self._piece_bytes]
            yield piece
            if self._pace:
                await pause(self.audio.secs(len(piece)) * self._pace)
        if fault and fault.stall:
            await anyio.sleep_forever()
        if fault and fault.error:
            raise fault.error


class ScriptedTts(_Speaker):
    """A streaming voice. Sentence n (from 0) is the sample 1000 + n, `secs_per_char` for each character, in pieces of
    `piece_bytes` (odd ones too). The first comes `first_audio_secs` after the text, the others at `pace` seconds for a
    second of sound (0: at once). `faults[n]` says what goes wrong with sentence n. With `word_times`, every word is
    reported in its place, not only the sentence."""

    def __init__(self, *, word_times: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._word_times = word_times

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ScriptedTts]:
        yield self

    @streaming
    async def speak(self, text: AsyncIterable[str]) -> AsyncGenerator[bytes | Spoken | Usage, None]:
        self.active += 1
        try:
            async for sentence in text:
                async with aclosing(self._speak_one(sentence)) as items:
                    async for item in items:
                        yield item
        finally:
            self.active -= 1

    async def _speak_one(self, sentence: str) -> AsyncGenerator[bytes | Spoken, None]:
        words, size = deque(self._word_ends(sentence)), 0
        async with aclosing(self._say(sentence)) as pieces:
            async for piece in pieces:
                rest = piece
                while words and words[0][0] <= size + len(rest):
                    end, word = words.popleft()
                    yield rest[: end - size]
                    yield Spoken(word, word=True)
                    rest, size = rest[end - size :], end
                if rest:
                    yield rest
                    size += len(rest)
        if size and not self._word_times:
            yield Spoken(sentence)

    def _word_ends(self, sentence: str) -> Iterator[tuple[int, str]]:
        end = -1
        for word in sentence.split(" ") if self._word_times else ():
            end += 1 + len(word)
            yield self.audio.size(end * self._secs_per_char), word


class ScriptedSynthesizer(_Speaker):
    """The small protocol: as `ScriptedTts`, one request per sentence."""

    @streaming
    async def synthesize(self, text: str) -> AsyncGenerator[bytes, None]:
        self.active += 1
        try:
            async with aclosing(self._say(text)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            self.active -= 1


# ── The call itself ──


class FakeSession:
    """A `SessionHandle` that notes what is asked of it: for tests of tools and pipeline plugins."""

    def __init__(self, info: CallInfo | None = None) -> None:
        self.info = info or CallInfo(session_id="test", transport="websocket", started_at=0.0)
        self.said: list[str] = []
        self.interruptions = 0
        self.hung_up: tuple[str, str] | None = None
        self.sent: list[ServerMessage] = []
        self.work: list[Callable[[], Awaitable[None]]] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def interrupt(self) -> None:
        self.interruptions += 1

    def hang_up(self, cause: str = "agent_ended", detail: str = "") -> None:
        self.hung_up = self.hung_up or (cause, detail)

    def send(self, message: ServerMessage) -> None:
        self.sent.append(message)

    def start_soon(self, work: Callable[[], Awaitable[None]]) -> None:
        self.work.append(work)

    async def finish_work(self) -> None:
        """Run what `start_soon` was given, one after the other."""
        while self.work:
            await self.work.pop(0)()


# ── All together ──


def services(**overrides: Any) -> Services:
    """`Services` of fakes; `overrides` are its fields."""
    from voxray.session.services import Services

    parts: dict[str, Any] = {"stt": ScriptedStt(), "llm": ScriptedLlm(), "tts": ScriptedTts(), "vad": ScriptedVad()}
    return Services(**{**parts, **overrides})
