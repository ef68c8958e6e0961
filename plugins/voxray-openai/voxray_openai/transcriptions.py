"""Transcription of whole utterances by upload."""

from __future__ import annotations

import json
from typing import Any

import anyio

from voxray.audio.format import PCM_16K
from voxray.audio.wav import wav_bytes
from voxray.errors import ProviderProtocolError
from voxray.protocols.context import ProviderContext
from voxray.protocols.stt import Transcript
from voxray_openai.client import Timeouts, from_object, make_client, mapped

MIN_SECS = 0.1  # shorter uploads are refused by the vendor


class Transcriptions:
    """An `UtteranceRecognizer`: one WAV to `/audio/transcriptions` for each utterance, within `timeouts.total`."""

    def __init__(
        self,
        context: ProviderContext,
        *,
        model: str,
        language: str = "",
        prompt: str = "",
        timeouts: Timeouts | None = None,
    ) -> None:
        self._name = context.name
        self._key = context.secret()
        self._total_secs = (timeouts or Timeouts()).total
        self._language = language
        self._fields: dict[str, Any] = {"model": model} | ({"prompt": prompt} if prompt else {})
        # Touched here because the SDK imports a resource on first use, which must not be in a call.
        self._transcriptions = make_client(context).audio.transcriptions.with_raw_response

    async def recognize(self, pcm: bytes, *, language: str | None = None) -> Transcript:
        """See `UtteranceRecognizer.recognize`. Less than 0.1 s is silence, and not sent."""
        wanted = language or self._language
        if PCM_16K.secs(len(pcm)) < MIN_SECS:
            return Transcript("", final=True, language=wanted or None)
        fields = self._fields | ({"language": wanted.partition("-")[0]} if wanted else {})
        upload = ("audio.wav", wav_bytes(pcm[: len(pcm) & ~1], PCM_16K.rate_hz), "audio/wav")
        with mapped(self._name, self._key), anyio.fail_after(self._total_secs):
            response = await self._transcriptions.create(file=upload, response_format="json", **fields)
            raw = await response.http_response.aread()
        return Transcript(self._text(raw), final=True, language=wanted or None)

    def _text(self, raw: bytes) -> str:
        try:
            parsed = json.loads(raw)
        except ValueError as error:
            raise ProviderProtocolError(self._name, "transcript is not JSON") from error
        if isinstance(parsed, dict) and parsed.get("error"):
            raise from_object(self._name, parsed["error"], self._key)
        text = parsed.get("text") if isinstance(parsed, dict) else None
        if not isinstance(text, str):
            raise ProviderProtocolError(self._name, "answer without a transcript")
        return text.strip()
