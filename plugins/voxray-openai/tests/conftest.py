"""A provider of this package against the simulator."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from voxray_openai.chat import ChatCompletions
from voxray_openai.live_transcription import StreamingTranscriptions
from voxray_openai.speech import Speech
from voxray_openai.transcriptions import Transcriptions

from voxray.plugin import PCM_24K, Quirks
from voxray.testing.openai_api import OpenAiApi
from voxray.wire.context import Context

KEY = "sk-test-0123456789abcdef"


class Made:
    """Makes providers that speak to one simulator."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    def context(self, api: OpenAiApi) -> Context:
        return Context("openai", http=self._client, secrets=lambda key: KEY, base_url=api.base_url)

    def chat(self, api: OpenAiApi, *, quirks: Quirks | None = None, **options: Any) -> ChatCompletions:
        return ChatCompletions(self.context(api), quirks=quirks or Quirks(), **{"model": "m", **options})

    def speech(self, api: OpenAiApi, **options: Any) -> Speech:
        given = {"audio": PCM_24K, "wav": False, "model": "m", "voice": "v", **options}
        return Speech(self.context(api), **given)

    def ears(self, api: OpenAiApi, **options: Any) -> Transcriptions:
        return Transcriptions(self.context(api), **{"model": "m", **options})

    def live(self, api: OpenAiApi, **options: Any) -> StreamingTranscriptions:
        return StreamingTranscriptions(self.context(api), **{"model": "m", **options})


@pytest.fixture
async def made(anyio_backend: str) -> AsyncIterator[Made]:
    async with httpx.AsyncClient() as client:
        yield Made(client)
