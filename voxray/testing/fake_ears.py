"""Ears that follow a script: recognisers and a speech detector for tests, without models and in virtual time."""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import lru_cache

import anyio

from voxray.audio.format import PCM_16K
from voxray.chat import Usage
from voxray.errors import ProviderUnavailable
from voxray.protocols.stt import Flushed, Transcript
from voxray.protocols.vad import Report

STALL = math.inf  # as a delay: never


async def pause(secs: float) -> None:
    """Sleep; for ever if `secs` is `STALL`."""
    if math.isinf(secs):
        await anyio.sleep_forever()
    await anyio.sleep(secs)


@dataclass(frozen=True, slots=True)
class Utterance:
    """What is understood of the speech before a pause. `delay_secs` counts from the flush, None for the recogniser's
    own; `error` is raised instead. `flushes` False: the words come, `Flushed` never does. `twice`: the final words are
    repeated."""

    text: str
    delay_secs: float | None = None
    language: str | None = None
    error: Exception | None = None
    flushes: bool = True
    twice: bool = False


class _Script:
    def __init__(self, texts: Sequence[str | Utterance]) -> None:
        self._texts = deque(texts)
        self._given = 0

    def next(self) -> Utterance:
        self._given += 1
        item = self._texts.popleft() if self._texts else f"words {self._given}"
        return Utterance(item) if isinstance(item, str) else item


class ScriptedStt:
    """A streaming recogniser. Each pause after speech yields the next of `texts` (then "words 1", "words 2", …), final,
    `delay_secs` after the flush. With `word_secs`, one more interim word for each so many seconds of speech.

    `open_errors[n]` is raised when stream n is opened (None: fine); `breaks_after_secs[n]` is how much sound stream n
    takes before its connection is gone.
    """

    def __init__(
        self,
        texts: Sequence[str | Utterance] = (),
        *,
        delay_secs: float = 0.1,
        word_secs: float = 0.0,
        open_secs: float = 0.0,
        open_errors: Sequence[Exception | None] = (),
        breaks_after_secs: Sequence[float] = (),
    ) -> None:
        self.script = _Script(texts)
        self.delay_secs = delay_secs
        self.word_secs = word_secs
        self.opened = 0
        self.active = 0
        self.heard_secs = 0.0
        self._open_secs = open_secs
        self._open_errors = open_errors
        self._breaks_after_secs = breaks_after_secs

    @asynccontextmanager
    async def open(self, *, language: str | None = None) -> AsyncIterator[_ScriptedStream]:
        number, self.opened = self.opened, self.opened + 1
        await pause(self._open_secs)
        if number < len(self._open_errors) and (error := self._open_errors[number]):
            raise error
        breaks = self._breaks_after_secs[number] if number < len(self._breaks_after_secs) else math.inf
        stream = _ScriptedStream(self, breaks)
        self.active += 1
        try:
            yield stream
        finally:
            self.active -= 1


class _ScriptedStream:
    def __init__(self, stt: ScriptedStt, breaks_after_secs: float) -> None:
        self._stt = stt
        self._breaks_after_secs = breaks_after_secs
        self._due: deque[tuple[float, Transcript | Flushed | Exception]] = deque()
        self._more = anyio.Event()
        self._utterance: Utterance | None = None
        self._speech_secs = 0.0
        self._heard_secs = 0.0
        self._words_shown = 0

    async def send(self, pcm: bytes) -> None:
        secs = PCM_16K.secs(len(pcm))
        self._heard_secs += secs
        self._stt.heard_secs += secs
        if self._heard_secs > self._breaks_after_secs:
            error = ProviderUnavailable("scripted", "the connection is gone")
            self._put(0.0, error)
            raise error
        if pcm.count(0) == len(pcm):
            return
        self._utterance = self._utterance or self._stt.script.next()
        self._speech_secs += secs
        if self._stt.word_secs:
            words = self._utterance.text.split()
            known = min(int(self._speech_secs / self._stt.word_secs + 1e-9), len(words))
            if known > self._words_shown:
                self._words_shown = known
                self._put(0.0, Transcript(" ".join(words[:known]), final=False))

    async def flush(self) -> None:
        utterance, self._utterance = self._utterance, None
        self._speech_secs, self._words_shown = 0.0, 0
        if utterance is None:
            self._put(0.0, Flushed())
            return
        delay = self._stt.delay_secs if utterance.delay_secs is None else utterance.delay_secs
        if utterance.error:
            self._put(delay, utterance.error)
            return
        if utterance.text:
            words = Transcript(utterance.text, final=True, language=utterance.language)
            self._put(delay, words)
            if utterance.twice:
                self._put(delay, words)
        if utterance.flushes:
            self._put(delay, Flushed())

    def _put(self, delay_secs: float, item: Transcript | Flushed | Exception) -> None:
        self._due.append((anyio.current_time() + delay_secs, item))
        self._more.set()

    async def __aiter__(self) -> AsyncGenerator[Transcript | Flushed | Usage, None]:
        while True:
            while not self._due:
                self._more = anyio.Event()
                await self._more.wait()
            at, item = self._due.popleft()
            if (wait := at - anyio.current_time()) > 0:
                await pause(wait)
            if isinstance(item, Exception):
                raise item
            yield item


class ScriptedRecognizer:
    """The small protocol: each request is answered with the next of `texts`, `delay_secs` later. What was asked is in
    `requests`."""

    def __init__(self, texts: Sequence[str | Utterance] = (), *, delay_secs: float = 0.1) -> None:
        self._script = _Script(texts)
        self._delay_secs = delay_secs
        self.requests: list[bytes] = []
        self.active = 0

    async def recognize(self, pcm: bytes, *, language: str | None = None) -> Transcript:
        self.requests.append(pcm)
        utterance = self._script.next()
        self.active += 1
        try:
            await pause(self._delay_secs if utterance.delay_secs is None else utterance.delay_secs)
        finally:
            self.active -= 1
        if utterance.error:
            raise utterance.error
        return Transcript(utterance.text, final=True, language=utterance.language or language)


class ScriptedVad:
    """Exact: a window with any sample that is not zero is speech. Windows of `window_secs`, reported at once."""

    rates_hz = (16_000, 8_000)

    def __init__(self, *, window_secs: float = 0.02) -> None:
        self._window_secs = window_secs
        self.active = 0

    def window_samples(self, rate_hz: int) -> int:
        return round(rate_hz * self._window_secs)

    @contextmanager
    def open(self, rate_hz: int, report: Report) -> Iterator[_ScriptedVadStream]:
        self.active += 1
        try:
            yield _ScriptedVadStream(self.window_samples(rate_hz) * 2, report)
        finally:
            self.active -= 1


class _ScriptedVadStream:
    def __init__(self, window_bytes: int, report: Report) -> None:
        self._window_bytes = window_bytes
        self._report = report
        self._rest = b""

    def feed(self, pcm: bytes) -> None:
        pcm = self._rest + pcm
        size = self._window_bytes
        whole = len(pcm) // size * size
        self._rest = pcm[whole:]
        for start in range(0, whole, size):
            window = pcm[start : start + size]
            self._report(1.0 if any(window) else 0.0, _rms(window))


@lru_cache(maxsize=256)
def _rms(window: bytes) -> float:
    samples = array("h", window)
    return math.sqrt(sum(sample * sample for sample in samples) / len(samples)) / 32768
