"""The contract checks of the core, on every provider of the package."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from voxray.testing.checks import Named, check_llm, check_stt, check_synthesizer, check_utterance_recognizer
from voxray.testing.faults import Fault
from voxray.testing.openai_api import OpenAiApi
from voxray.testing.plugin_check import check_plugin

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def vendors(name: str = "openai") -> AsyncIterator[tuple[Named, Named, Named]]:
    """The provider before a good vendor, one that refuses the key, and one that drops the connection."""
    refusing, dropping = Fault(status=401, times=0), Fault("reset", times=0)
    async with (
        OpenAiApi(replies=["Hello to you."], transcripts=["good day"]) as good,
        OpenAiApi(faults=[refusing]) as refused,
        OpenAiApi(faults=[dropping]) as dropped,
    ):
        yield Named(name, good.base_url), Named(name, refused.base_url), Named(name, dropped.base_url)


def test_the_plugin_keeps_its_promises() -> None:
    check_plugin("voxray_openai")


async def test_chat_completions_are_a_language_model() -> None:
    async with vendors() as (good, refused, dropped):
        await check_llm(good, refused=refused, dropped=dropped)


async def test_uploads_are_an_utterance_recognizer() -> None:
    async with vendors() as (good, refused, dropped):
        await check_utterance_recognizer(good, expect="good day", refused=refused, dropped=dropped)


async def test_speech_is_a_sentence_synthesizer() -> None:
    async with vendors() as (good, refused, dropped):
        await check_synthesizer(good, refused=refused, dropped=dropped)


async def test_live_transcription_is_speech_to_text() -> None:
    async with vendors("openai_realtime") as (good, refused, dropped):
        await check_stt(good, expect="good day", refused=refused, dropped=dropped)
