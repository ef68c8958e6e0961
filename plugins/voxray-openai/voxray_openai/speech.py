"""Speech: one streamed request per sentence."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Any, cast

import anyio

from voxray.audio.format import AudioFormat
from voxray.audio.resample import Resampler
from voxray.audio.wav import WavHeader, mix_to_mono
from voxray.errors import ProviderProtocolError, ProviderUnavailable
from voxray.plugin import streaming
from voxray.protocols.context import ProviderContext
from voxray_openai.client import Timeouts, make_client, mapped

_BREAKS = (r"(?<=[.!?…。！？])\s*", r"(?<=[,;:、，；：])\s*", r"\s+")  # sentence, clause, word


class Speech:
    """A `SentenceSynthesizer`: `/audio/speech`, first sound within `timeouts.first`, pieces within `timeouts.idle`.

    Asks for raw samples, or for WAV where `wav` says that the vendor has nothing else. A WAV header is honoured either
    way: some servers send one unasked, at a rate of their own; what comes out is `audio`.
    """

    def __init__(
        self,
        context: ProviderContext,
        *,
        audio: AudioFormat,
        wav: bool,
        extra_body: Mapping[str, Any] | None = None,
        model: str,
        voice: str,
        speed: float = 1.0,
        instructions: str = "",
        max_chars: int = 4096,
        timeouts: Timeouts | None = None,
    ) -> None:
        self.audio = audio
        self._name = context.name
        self._key = context.secret()
        self._max_chars = max_chars
        self._timeouts = timeouts or Timeouts(idle=10.0)
        self._fields: dict[str, Any] = {"model": model, "voice": voice, "response_format": "wav" if wav else "pcm"}
        self._fields |= {"speed": speed} if speed != 1.0 else {}
        self._fields |= {"instructions": instructions} if instructions else {}
        self._extra = dict(extra_body or {})
        # Touched here because the SDK imports a resource on first use, which must not be in a call.
        self._speech = make_client(context).audio.speech.with_streaming_response

    @streaming
    async def synthesize(self, text: str) -> AsyncGenerator[bytes, None]:
        """See `SentenceSynthesizer.synthesize`. Text without a letter or digit is not sent and gives no audio.

        Text over `max_chars` is sent in several requests, one after the other.
        """
        for part in split_text(text, self._max_chars):
            if any(char.isalnum() for char in part):
                async with aclosing(self._request(part)) as pieces:
                    async for piece in pieces:
                        yield piece

    async def _request(self, text: str) -> AsyncGenerator[bytes, None]:
        sound = _Samples(self._name, self.audio)
        wait_secs = self._timeouts.first
        deadline = anyio.current_time() + wait_secs
        heard = False
        with mapped(self._name, self._key):
            async with AsyncExitStack() as stack:
                with anyio.fail_after(wait_secs):
                    opened = self._speech.create(input=text, **self._fields, extra_body=self._extra)
                    response = await stack.enter_async_context(opened)
                if "json" in response.headers.get("content-type", ""):
                    raise ProviderProtocolError(self._name, "answered JSON where sound is due")
                pieces = await stack.enter_async_context(
                    aclosing(cast(AsyncGenerator[bytes, None], response.iter_bytes()))
                )
                while True:
                    wait_secs = self._timeouts.idle if heard else deadline - anyio.current_time()
                    with anyio.fail_after(max(0.0, wait_secs)):
                        piece = await anext(pieces, None)
                    pcm = sound.end() if piece is None else sound.feed(piece)
                    if pcm:
                        heard = True
                        yield pcm
                    if piece is None:
                        break
        if not heard:
            raise ProviderUnavailable(self._name, "answered without a sound")


class _Samples:
    """The samples in a body that is raw pcm16 or, unannounced, a WAV; at the rate of `audio`."""

    def __init__(self, provider: str, audio: AudioFormat) -> None:
        self._provider = provider
        self._audio = audio
        self._head: bytes | None = b""  # the first bytes, until it is known what they are
        self._wav: WavHeader | None = None
        self._resampler: Resampler | None = None
        self._carry = b""

    def feed(self, piece: bytes) -> bytes:
        """Raises ProviderProtocolError for a WAV that is not 16-bit PCM."""
        if self._head is not None:
            self._head += piece
            if len(self._head) < 4 and b"RIFF".startswith(self._head):
                return b""
            piece, self._head = self._head, None
            self._wav = WavHeader() if piece[:4] == b"RIFF" else None
        if self._wav is None:
            return piece  # odd pieces are the session's to join
        try:
            return self._converted(self._wav, self._carry + self._wav.feed(piece))
        except ValueError as error:
            raise ProviderProtocolError(self._provider, str(error)) from error

    def end(self) -> bytes:
        head, self._head = self._head, None
        return (head or b"") + (self._resampler.flush() if self._resampler is not None else b"")

    def _converted(self, wav: WavHeader, samples: bytes) -> bytes:
        if wav.format is None:
            return b""
        frame_bytes = 2 * wav.format.channels
        whole = len(samples) // frame_bytes * frame_bytes
        samples, self._carry = samples[:whole], samples[whole:]
        pcm = mix_to_mono(samples, wav.format.channels)
        if wav.format.rate_hz == self._audio.rate_hz:
            return pcm
        if self._resampler is None:
            self._resampler = Resampler(wav.format.rate_hz, self._audio.rate_hz)
        return self._resampler.process(pcm)


def split_text(text: str, max_chars: int) -> Iterator[str]:
    """`text` in pieces of at most `max_chars`, cut at the last sentence end that fits, else clause, else word."""
    text = text.strip()
    while len(text) > max_chars:
        cut = _cut(text, max_chars)
        yield text[:cut].strip()
        text = text[cut:].strip()
    if text:
        yield text


def _cut(text: str, max_chars: int) -> int:
    for pattern in _BREAKS:
        ends = [
            match.start() for match in re.finditer(pattern, text[: max_chars + 1]) if 0 < match.start() <= max_chars
        ]
        if ends:
            return ends[-1]
    return max_chars
