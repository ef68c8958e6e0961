"""Ollama's spec against the OpenAI simulator."""

import anyio
import httpx
import pytest
import voxray_ollama

from voxray.chat import Prompt, TextDelta, User
from voxray.registry import make
from voxray.testing.openai_api import OpenAiApi
from voxray.testing.plugin_check import check_plugin
from voxray.testing.replies import Reply
from voxray.wire.context import Context

pytestmark = pytest.mark.anyio

(LLM,) = voxray_ollama.voxray_register_providers()


async def test_ollama_answers_without_a_key() -> None:
    async with OpenAiApi(replies=[Reply("Hi.", reasoning="hm")]) as api, httpx.AsyncClient() as http:
        context = Context("ollama", http=http, secrets=lambda key: "", base_url=api.base_url)
        with anyio.fail_after(5):
            async with make(LLM, context, {}).generate(Prompt([User("Hello")])) as items:
                said = "".join([item.text async for item in items if isinstance(item, TextDelta)])
        request = api.requests[0]
    assert said == "Hi."
    assert request.headers["authorization"] == "Bearer ollama"
    assert request.json()["model"] == "llama3.2"


def test_a_cold_model_has_time_to_load() -> None:
    assert LLM.options["first_token_secs"]["default"] == 60
    assert not LLM.secrets[0].required


def test_the_plugin_keeps_its_promises() -> None:
    check_plugin("voxray_ollama")
