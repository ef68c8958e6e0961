"""The recogniser, with the real models, listening to the espeak voice."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
import voxray_pocketsphinx
from voxray_pocketsphinx.engine import PocketsphinxStream, PocketsphinxStt

from voxray.audio.resample import resample_whole
from voxray.chat import Usage
from voxray.errors import ProviderRefused
from voxray.plugin import TtsSpec
from voxray.protocols.stt import Flushed, Transcript
from voxray.registry import Registry, make

pytestmark = pytest.mark.anyio

DEFAULTS = {name: schema["default"] for name, schema in voxray_pocketsphinx.OPTIONS.items()}
GRAMMAR = """#JSGF V1.0;
grammar hotel;
public <said> = [please] <wish> | yes | no;
<wish> = book a room for (one | two | three) nights | cancel my booking;
"""
SILENCE = bytes(32_000)


def stt(grammar: str = GRAMMAR, **options: Any) -> PocketsphinxStt:
    return PocketsphinxStt(SimpleNamespace(name="pocketsphinx"), **{**DEFAULTS, "grammar": grammar, **options})


@pytest.fixture(scope="module")
def say() -> Any:
    spec = Registry.load(only=["espeak"]).get(TtsSpec, "espeak")
    known: dict[str, bytes] = {}

    async def synthesized(text: str) -> bytes:
        async with make(spec, SimpleNamespace(name="espeak"), {"rate_wpm": 150}) as voice:
            async with voice.synthesize(text) as pieces:
                return b"".join([piece async for piece in pieces])

    def spoken(text: str) -> bytes:
        if text not in known:
            with ThreadPoolExecutor(1) as thread:  # a loop of its own: the test's is running
                known[text] = resample_whole(thread.submit(anyio.run, synthesized, text).result(), 22_050, 16_000)
        return SILENCE[:16_000] + known[text] + SILENCE[:16_000]

    return spoken


async def hear(stream: PocketsphinxStream, pcm: bytes) -> list[Any]:
    """What comes out for `pcm`, sent in frames of 20 ms and flushed."""
    for start in range(0, len(pcm), 640):
        await stream.send(pcm[start : start + 640])
    await stream.flush()
    return [result async for result in until_flushed(stream)]


async def until_flushed(stream: PocketsphinxStream) -> AsyncIterator[Any]:
    async for result in stream:
        yield result
        if isinstance(result, Flushed):
            return


def finals(results: list[Any]) -> list[str]:
    return [result.text for result in results if isinstance(result, Transcript) and result.final]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pocketsphinx")]


async def test_speech_becomes_interim_words_a_final_and_one_flushed(say: Any):
    async with stt() as ears, ears.open(language="en-US") as stream:
        results = await hear(stream, say("please book a room for two nights"))
    assert finals(results) == ["please book a room for two nights"]
    interim = [result for result in results if isinstance(result, Transcript) and not result.final]
    assert len(interim) >= 2
    assert isinstance(results[-1], Flushed)
    assert next(result for result in results if isinstance(result, Usage)).audio_secs > 1


async def test_utterances_follow_each_other_on_one_stream(say: Any):
    async with stt() as ears, ears.open() as stream:
        for text in ("cancel my booking", "yes", "book a room for three nights", "no"):
            assert finals(await hear(stream, say(text))) == [text]


async def test_silence_and_nothing_are_flushed_without_words():
    async with stt() as ears, ears.open() as stream:
        assert await hear(stream, SILENCE * 3) == [Flushed()]
        assert await hear(stream, b"") == [Flushed()]


async def test_every_flush_is_answered_once(say: Any):
    async with stt() as ears, ears.open() as stream:
        await stream.send(say("yes"))
        for _ in range(3):
            await stream.flush()
        results = [result for _ in range(3) for result in [r async for r in until_flushed(stream)]]
    assert results.count(Flushed()) == 3
    assert finals(results) == ["yes"]


async def test_a_call_hears_the_same_whatever_was_heard_before(say: Any):
    sound = say("please cancel my booking")
    heard = []
    async with stt() as ears:
        for _ in range(2):
            async with ears.open() as stream:
                heard.append(await hear(stream, sound))
                await hear(stream, say("book a room for one nights"))
    assert heard[0] == heard[1]


async def test_many_calls_at_once_do_not_disturb_each_other(say: Any):
    sounds = {text: say(text) for text in ("yes", "no", "cancel my booking", "book a room for two nights")}
    wrong: list[Any] = []
    async with stt() as ears:

        async def call(text: str) -> None:
            async with ears.open() as stream:
                for _ in range(3):
                    heard = finals(await hear(stream, sounds[text]))
                    if heard != [text]:
                        wrong.append((text, heard))

        async with anyio.create_task_group() as tasks:
            for text in list(sounds) * 2:
                tasks.start_soon(call, text)
    assert wrong == []


async def test_with_endpointing_a_pause_ends_the_utterance(say: Any):
    sound = say("yes") + SILENCE + say("cancel my booking") + SILENCE
    found: list[str] = []
    async with stt(endpointing=True) as ears, ears.open() as stream:
        for start in range(0, len(sound), 640):
            await stream.send(sound[start : start + 640])
        async for result in stream:
            if isinstance(result, Transcript) and result.final:
                found.append(result.text)
                if len(found) == 2:
                    break
    assert found == ["yes", "cancel my booking"]


async def test_words_without_a_pronunciation_are_named():
    grammar = GRAMMAR.replace("a room", "a voxray quuxel")
    with pytest.raises(ProviderRefused, match=r'no pronunciation of "quuxel", "voxray".*pronunciations'):
        async with stt(grammar):
            pass
    assert threads() == []


async def test_a_pronunciation_can_be_given(say: Any):
    grammar = GRAMMAR.replace("a room", "a voxray")
    async with stt(grammar, pronunciations={"voxray": "V AA K S R EY"}) as ears, ears.open() as stream:
        assert finals(await hear(stream, say("book a vocks ray for two nights"))) == ["book a voxray for two nights"]


@pytest.mark.parametrize(
    ("grammar", "message"),
    [
        ("#JSGF V1.0; grammar g; <a> = yes;", "no rule is public"),
        ("#JSGF V1.0; grammar g; public <a> = yes <b>;", "without a definition: <b>"),
        ("#JSGF V1.0;\ngrammar g;\npublic <a> = (yes | no;", r'line 3: expected "\)"'),
        ("nowhere.gram", "nowhere.gram"),
    ],
)
async def test_a_grammar_that_cannot_be_used_says_why(grammar: str, message: str):
    with pytest.raises(ProviderRefused, match=message):
        async with stt(grammar):
            pass


async def test_a_grammar_may_be_a_file(tmp_path: Path, say: Any):
    file = tmp_path / "hotel.gram"
    file.write_text("\ufeff" + GRAMMAR, "utf-8")
    async with stt(str(file)) as ears, ears.open() as stream:
        assert finals(await hear(stream, say("yes"))) == ["yes"]


async def test_a_missing_model_is_refused():
    with pytest.raises(ProviderRefused, match="check hmm, lm and dict"):
        async with stt(hmm="/nowhere"):
            pass


async def test_another_language_than_english_is_refused():
    async with stt() as ears:
        with pytest.raises(ProviderRefused, match='not "de"'):
            async with ears.open(language="de"):
                pass


async def test_free_speech_is_understood_a_little(say: Any):
    async with stt("") as ears, ears.open() as stream:
        (text,) = finals(await hear(stream, say("I would like to book a room for two nights")))
    assert {"to", "a", "for", "two"} & set(text.split())


async def test_nothing_is_left_after_closing(say: Any):
    async with stt() as ears:
        async with ears.open() as stream:
            await stream.send(say("yes") * 20)
            await stream.flush()
        assert threads()
    assert threads() == []


async def test_a_stream_outliving_its_provider_fails_with_the_reason(say: Any):
    ears = stt()
    await ears.__aenter__()
    async with ears.open() as stream:
        await hear(stream, say("yes"))
        await ears.__aexit__(None, None, None)
        with pytest.raises(Exception, match="has been closed"):
            await hear(stream, say("yes"))


async def test_opening_a_call_takes_no_time(say: Any):
    async with stt() as ears:
        began = anyio.current_time()
        async with ears.open() as stream:
            assert anyio.current_time() - began < 0.005
            assert finals(await hear(stream, say("no"))) == ["no"]
