"""Sentences into sound: through the voice, into the lease's part of the playout.

A voice that breaks off, ends too early or says nothing is opened again and asked for the rest, from the word on.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing

import anyio

from voxray.audio.convert import Converter
from voxray.audio.format import AudioFormat, Encoding
from voxray.chat import Usage
from voxray.errors import ProviderError, ProviderUnavailable
from voxray.events import ProviderRetried, SentenceReady, SpeechSynthesized, UsageReported, VoiceAnswered
from voxray.protocols.tts import Spoken
from voxray.session.groups import only
from voxray.session.log import EventLog
from voxray.session.playout import Lease
from voxray.session.retry import retry_delay
from voxray.session.taps import Taps, through
from voxray.session.voice_line import VoiceLine

Sentence = tuple[int, str]  # (round of the model, text)
Source = Callable[[], AsyncGenerator[Sentence, None]]  # each call goes on where the last generator was left


class StageFailedError(Exception):
    """A stage of the reply gave up; `stage` is "llm" or "tts"."""

    def __init__(self, stage: str, error: ProviderError) -> None:
        super().__init__(str(error))
        self.stage = stage
        self.error = error


class Speaker:
    """One call's mouth."""

    def __init__(self, name: str, target: AudioFormat, *, voice: VoiceLine, taps: Taps, log: EventLog) -> None:
        self._name = name
        self._target = target
        self._voice = voice
        self._taps = taps
        self._log = log
        self._answered = 0  # the newest reply that the voice gave sound for

    async def speak(self, lease: Lease, source: Source) -> None:
        """Speak what `source` gives; returns when all of it was heard. Raises StageFailedError."""
        again: list[str] = []
        attempt = 0
        while True:
            try:
                async with aclosing(source()) as given, aclosing(self._announced(lease, again, given)) as text:
                    await self._voiced(lease, text)
                break
            except ProviderError as caught:
                error = caught
            self._voice.broken()
            rest = lease.ledger.broken_off()
            attempt = attempt + 1 if rest[:1] == again[:1] else 1  # it got further than the last time
            again = rest
            delay = retry_delay(error, attempt)
            if delay is None:
                await lease.drained()  # what there is of the sound is better than a sudden nothing
                raise StageFailedError("tts", error) from error
            self._log.append(ProviderRetried("tts", self._name, attempt))
            await anyio.sleep(delay)
        await lease.finished()

    async def _announced(
        self, lease: Lease, again: Sequence[str], sentences: AsyncIterator[Sentence]
    ) -> AsyncGenerator[str, None]:
        for text in again:
            yield text
        ledger = lease.ledger
        async for round, sentence in sentences:
            if ledger.planned and ledger.planned[0] == (round, sentence):
                ledger.planned.popleft()
            tapped = through(self._taps.reply_text, sentence)
            if tapped:
                piece = ledger.generated(tapped, round)
                self._log.append(SentenceReady(lease.reply, piece, tapped))
                yield tapped

    async def _voiced(self, lease: Lease, text: AsyncGenerator[str, None]) -> None:
        # Without a first sentence there is nothing to open the voice for.
        first = await anext(text, None)
        if first is None:
            return
        voice = await self._voice.get()
        sound = False
        with only(ProviderError):
            async with aclosing(_chained(first, text)) as sentences, voice.speak(sentences) as items:
                sound = await self._played(lease, items)
        if not sound:
            raise ProviderUnavailable(self._name, "the answer had no sound")
        if await anext(text, None) is not None:
            raise ProviderUnavailable(self._name, "the sound ended before the text")

    async def _played(self, lease: Lease, items: AsyncIterator[bytes | Spoken | Usage]) -> bool:
        """Write the sound to the playout; returns whether there was any."""
        source = AudioFormat(Encoding.PCM16, self._voice.audio.rate_hz)
        decode = Converter(self._voice.audio, source)
        convert = Converter(source, self._target)
        sound = False
        async for item in items:
            match item:
                case bytes():
                    sound = sound or bool(item)
                    if sound and self._answered < lease.reply:
                        self._answered = lease.reply
                        self._log.append(VoiceAnswered(lease.reply))
                    pcm = decode.process(item)
                    tapped = through(self._taps.audio_out, pcm) if self._taps.audio_out else pcm
                    if tapped:
                        await lease.write(convert.process(tapped))
                case Spoken(said, word):
                    if not word:
                        await lease.write(convert.flush())
                    end_secs = await lease.spoken(said, word=word)
                    self._log.append(SpeechSynthesized(lease.reply, said, round(end_secs, 3)))
                case Usage():
                    self._log.append(UsageReported("tts", self._name, item))
        await lease.write(convert.flush())
        return sound


async def _chained(first: str, rest: AsyncIterator[str]) -> AsyncGenerator[str, None]:
    yield first
    async for item in rest:
        yield item
