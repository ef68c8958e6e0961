"""The espeak voice, spoken by the real library."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
import voxray_espeak
from voxray_espeak.engine import PART_CHARS, EspeakTts, parts

from voxray.errors import ProviderRefused

pytestmark = pytest.mark.anyio

DEFAULTS = {name: schema["default"] for name, schema in voxray_espeak.OPTIONS.items()}


def voice(**options: Any) -> EspeakTts:
    return EspeakTts(SimpleNamespace(name="espeak"), **{**DEFAULTS, **options})


async def spoken(tts: EspeakTts, text: str) -> bytes:
    async with tts.synthesize(text) as pieces:
        return b"".join([piece async for piece in pieces])


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("espeak")]


async def test_a_sentence_becomes_pcm_at_22050_hz():
    async with voice() as tts:
        sound = await spoken(tts, "Welcome to the hotel.")
    assert len(sound) % 2 == 0
    assert 0.8 < tts.audio.secs(len(sound)) < 3


async def test_the_first_piece_comes_before_the_sentence_is_finished():
    async with voice() as tts, tts.synthesize("one two three four five six seven eight nine ten") as pieces:
        sizes = [len(piece) async for piece in pieces]
    assert tts.audio.secs(sizes[0]) < 0.1
    assert len(sizes) > 5


@pytest.mark.parametrize("text", ["", "   ", "...!", "*", "\n"])
async def test_nothing_to_pronounce_yields_nothing(text: str):
    async with voice() as tts:
        assert await spoken(tts, text) == b""


async def test_two_voices_do_not_disturb_each_other():
    lengths: dict[str, list[int]] = {"slow": [], "fast": []}
    async with voice(rate_wpm=100) as slow, voice(rate_wpm=300, voice="en-us+f3") as fast:
        async with anyio.create_task_group() as tasks:

            async def repeat(name: str, tts: EspeakTts) -> None:
                for _ in range(5):
                    lengths[name].append(len(await spoken(tts, "How can I help you today?")))

            tasks.start_soon(repeat, "slow", slow)
            tasks.start_soon(repeat, "fast", fast)
    # The voice flutters, so equal texts differ by a few samples.
    assert all(max(rows) - min(rows) < 0.02 * max(rows) for rows in lengths.values())
    assert min(lengths["slow"]) > 1.8 * max(lengths["fast"])


async def test_leaving_early_stops_the_engine():
    async with voice() as tts:
        async with tts.synthesize("word " * 20_000) as pieces:
            async for _ in pieces:
                break
        with anyio.fail_after(2):  # the rest alone would take this long
            assert await spoken(tts, "Good day.")


async def test_an_unknown_voice_is_refused_with_the_way_to_find_one():
    with pytest.raises(ProviderRefused, match=r'no voice "klingonese".*voxray espeak voices'):
        async with voice(voice="klingonese"):
            pass
    assert threads() == []


async def test_an_empty_voice_means_the_voice_of_the_language():
    async with voice(language="de") as german, voice() as english:
        assert await spoken(german, "ein Zimmer") != await spoken(english, "ein Zimmer")


async def test_no_thread_is_left_after_the_last_voice_is_closed():
    async with voice() as first:
        async with voice():
            pass
        assert await spoken(first, "Still here.")
        assert len(threads()) == 1
    assert threads() == []
    async with voice() as again:
        assert await spoken(again, "And back.")


async def test_a_voice_that_was_not_entered_says_so():
    with pytest.raises(RuntimeError, match="enter the provider first"):
        await spoken(voice(), "Hello.")


async def test_characters_no_voice_knows_do_no_harm():
    async with voice() as tts:
        assert await spoken(tts, "one \0 two \ud800 <b>three</b> [[x]] \U0001d518 \uffff")


def test_long_text_is_cut_at_spaces():
    cut = list(parts("twelve chars " * 100))
    assert all(len(part) <= PART_CHARS for part in cut)
    assert " ".join(cut).split() == ("twelve chars " * 100).split()
    assert "".join(parts("x" * 1200)) == "x" * 1200


def test_the_command_lists_voices():
    import click
    from click.testing import CliRunner

    cli = click.Group()
    voxray_espeak.voxray_register_commands(cli)
    result = CliRunner().invoke(cli, ["espeak", "voices", "--language", "en-us"])
    assert result.exit_code == 0
    assert "English (America)" in result.output
