"""Ears: speech to text. Heard audio is pcm16 mono 16 kHz."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from voxray.chat import Usage


@dataclass(frozen=True, slots=True)
class Transcript:
    """Words of the caller. Not final: may still change; the next one replaces it. Final: commits a segment."""

    text: str
    final: bool
    confidence: float | None = None  # 0..1
    language: str | None = None  # BCP 47


@dataclass(frozen=True, slots=True)
class Flushed:
    """Everything sent before the last `flush()` has now been reported."""


class SttStream(Protocol):
    async def send(self, pcm: bytes) -> None:
        """Take pcm16 mono 16 kHz of any even length.

        Raises:
            ProviderError: the connection is gone or the vendor refused; the session reopens if `retryable`.
        """

    async def flush(self) -> None:
        """The caller paused: report what is known, then `Flushed`. Every flush is answered by exactly one `Flushed`."""

    def __aiter__(self) -> AsyncIterator[Transcript | Flushed | Usage]:
        """Results until the stream is closed. Raises ProviderError."""


class SpeechToText(Protocol):
    def open(self, *, language: str | None = None) -> AbstractAsyncContextManager[SttStream]:
        """One stream for one call. Raises ProviderError on entering."""


@runtime_checkable
class UtteranceRecognizer(Protocol):
    """The small protocol: one request per utterance. The session sends what was said between two pauses."""

    async def recognize(self, pcm: bytes, *, language: str | None = None) -> Transcript:
        """Return the final words of `pcm` (pcm16 mono 16 kHz); empty text for silence. Raises ProviderError."""
