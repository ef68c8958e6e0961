"""The voice: text to speech. `audio` of a provider says what its streams yield; the session converts."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from voxray.audio.format import AudioFormat
from voxray.chat import Usage


@dataclass(frozen=True, slots=True)
class Spoken:
    """`text` ends here in the audio. `word` True: one word by the vendor's own word times."""

    text: str
    word: bool = False


class Voice(Protocol):
    """One caller's voice for one call."""

    def speak(self, text: AsyncIterable[str]) -> AbstractAsyncContextManager[AsyncIterator[bytes | Spoken | Usage]]:
        """Speak sentences as they come. Leaving the block cancels the rest, at the vendor too. Raises ProviderError."""


class TextToSpeech(Protocol):
    audio: AudioFormat

    def open(self) -> AbstractAsyncContextManager[Voice]:
        """A voice for one call, its connection warm. Raises ProviderError on entering."""


@runtime_checkable
class SentenceSynthesizer(Protocol):
    """The small protocol: one request per sentence."""

    audio: AudioFormat

    def synthesize(self, text: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Yield audio in pieces of any length (odd ones too: the session reframes). Raises ProviderError."""
