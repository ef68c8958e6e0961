"""Groq's three specs against the OpenAI simulator."""

import anyio
import httpx
import pytest
import voxray_groq

from voxray.audio.tone import tone
from voxray.chat import Prompt, TextDelta, User
from voxray.registry import make
from voxray.testing.openai_api import OpenAiApi
from voxray.testing.plugin_check import check_plugin
from voxray.wire.context import Context

pytestmark = pytest.mark.anyio

STT, LLM, TTS = voxray_groq.voxray_register_providers()


async def test_groq_hears_thinks_and_speaks_with_its_defaults() -> None:
    async with OpenAiApi(replies=["Hello."], transcripts=["hi"], key="gsk_1") as api, httpx.AsyncClient() as http:
        context = Context("groq", http=http, secrets=lambda key: "gsk_1", base_url=api.base_url)
        with anyio.fail_after(5):
            heard = await make(STT, context, {}).recognize(tone((300,), 0.2, 16_000))
            async with make(LLM, context, {}).generate(Prompt([User(heard.text)])) as items:
                said = "".join([item.text async for item in items if isinstance(item, TextDelta)])
            async with make(TTS, context, {}).synthesize(said) as pieces:
                sound = b"".join([piece async for piece in pieces])
        chat, speech = api.requests[1].json(), api.requests[2].json()
    assert (heard.text, said, len(sound)) == ("hi", "Hello.", 6 * 2880)
    assert (chat["model"], chat["reasoning_effort"]) == ("openai/gpt-oss-20b", "low")
    assert speech["response_format"] == "wav"
    assert (speech["voice"], speech["sample_rate"]) == ("autumn", 24_000)


def test_the_specs_name_groqs_address_and_key() -> None:
    for spec in (STT, LLM, TTS):
        assert spec.base_url == "https://api.groq.com/openai/v1"
        assert [secret.env for secret in spec.secrets] == ["GROQ_API_KEY"]


def test_the_plugin_keeps_its_promises() -> None:
    check_plugin("voxray_groq")
