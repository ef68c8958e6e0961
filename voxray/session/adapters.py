"""Small protocols lifted to the full ones, once: a request per utterance becomes a stream, a request per sentence a
voice. The session only sees the full ones."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager

import anyio

from voxray.audio.convert import PcmReader
from voxray.audio.format import AudioFormat, Encoding
from voxray.chat import Usage
from voxray.errors import ProviderUnavailable
from voxray.protocols.stt import Flushed, SpeechToText, SttStream, Transcript, UtteranceRecognizer
from voxray.protocols.tts import SentenceSynthesizer, Spoken, TextToSpeech, Voice
from voxray.streaming import streaming

SHORTEST_UTTERANCE = 3200  # bytes: 0.1 s; vendors refuse less, and nothing is said in it
LONGEST_UTTERANCE = 32_000 * 120  # bytes: two minutes; a caller who never pauses must not fill the memory
BYTES_PER_SEC = 32_000


def speech_to_text(provider: SpeechToText | UtteranceRecognizer) -> SpeechToText:
    return _Recognizer(provider) if isinstance(provider, UtteranceRecognizer) else provider


class _Recognizer:
    """Whisper-style recognisers as a stream: everything between two flushes is one utterance."""

    def __init__(self, recognizer: UtteranceRecognizer) -> None:
        self._recognizer = recognizer

    @asynccontextmanager
    async def open(self, *, language: str | None = None) -> AsyncIterator[SttStream]:
        yield _UtteranceStream(self._recognizer, language)


class _UtteranceStream:
    def __init__(self, recognizer: UtteranceRecognizer, language: str | None) -> None:
        self._recognizer = recognizer
        self._language = language
        self._pcm = bytearray()
        self._send, self._receive = anyio.create_memory_object_stream[bytes](16)

    async def send(self, pcm: bytes) -> None:
        self._pcm += pcm
        if len(self._pcm) > LONGEST_UTTERANCE:
            del self._pcm[: len(self._pcm) - LONGEST_UTTERANCE]

    async def flush(self) -> None:
        pcm = bytes(self._pcm)
        self._pcm.clear()
        await self._send.send(pcm)

    async def __aiter__(self) -> AsyncGenerator[Transcript | Flushed | Usage, None]:
        with self._send, self._receive:
            async for pcm in self._receive:
                if len(pcm) >= SHORTEST_UTTERANCE:
                    transcript = await self._recognizer.recognize(pcm, language=self._language)
                    yield Usage(audio_secs=len(pcm) / BYTES_PER_SEC)
                    if transcript.text.strip():
                        yield transcript
                yield Flushed()


def text_to_speech(
    provider: TextToSpeech | SentenceSynthesizer,
    name: str,
    *,
    first_audio_secs: float,
    idle_secs: float,
) -> TextToSpeech:
    if isinstance(provider, SentenceSynthesizer):
        return _SentenceVoice(provider, name, first_audio_secs, idle_secs)
    return provider


class _SentenceVoice:
    """Sentence by sentence, each with its deadlines and its `Spoken` mark."""

    def __init__(self, synthesizer: SentenceSynthesizer, name: str, first_audio_secs: float, idle_secs: float) -> None:
        self.audio = AudioFormat(Encoding.PCM16, synthesizer.audio.rate_hz)  # what PcmReader makes of it
        self._source = synthesizer.audio
        self._synthesizer = synthesizer
        self._name = name
        self._first_audio_secs = first_audio_secs
        self._idle_secs = idle_secs

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Voice]:
        yield self

    @streaming
    async def speak(self, text: AsyncIterable[str]) -> AsyncGenerator[bytes | Spoken | Usage, None]:
        async for sentence in text:
            async with self._sentence(sentence) as chunks:
                async for chunk in chunks:
                    yield chunk
            yield Spoken(sentence)
            yield Usage(characters=len(sentence))

    @streaming
    async def _sentence(self, sentence: str) -> AsyncGenerator[bytes, None]:
        """Whole samples of one sentence in `audio`'s rate; no sound at all is an error."""
        reader = PcmReader(self._source)
        sound = 0
        async with self._synthesizer.synthesize(sentence) as chunks:
            iterator = aiter(chunks)
            while True:
                limit = self._idle_secs if sound else self._first_audio_secs
                try:
                    with anyio.fail_after(limit):
                        chunk = await anext(iterator, None)
                except TimeoutError:
                    raise ProviderUnavailable(self._name, f"no sound for {limit:g} s") from None
                if chunk is None:
                    break
                try:
                    pcm = reader.feed(chunk)
                except ValueError as error:
                    raise ProviderUnavailable(self._name, f"unusable audio: {error}") from error
                if reader.format.rate_hz != self.audio.rate_hz:
                    raise ProviderUnavailable(
                        self._name, f"audio at {reader.format.rate_hz} Hz, {self.audio.rate_hz} Hz announced"
                    )
                if pcm:
                    sound += len(pcm)
                    yield pcm
        if not sound:
            raise ProviderUnavailable(self._name, "the answer had no sound")
