from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.demo.browser import chromium, need_chromium
from tests.demo.running import running_demo
from voxray.audio.resample import resample_whole
from voxray.audio.wav import wav_bytes
from voxray.demo.check import VOICE
from voxray.testing.voices import speak

QUESTION, INTERRUPTION = "What are your opening hours?", "When is breakfast?"
# Seconds of silence: for the greeting; for the first words of an answer; for an answer.
SILENCES = (5.5, 3.2, 8.0)


@pytest.fixture(scope="session")
def demo() -> Iterator[str]:
    """The address of a demo in a process of its own."""
    with running_demo() as (address, _):
        yield address


@pytest.fixture(scope="session")
def words() -> dict[str, bytes]:
    """What a caller says, as WAV: a question, and another one to interrupt the answer with."""

    async def make() -> list[bytes]:
        clips = await speak((QUESTION, INTERRUPTION), tts="espeak", voice=VOICE)
        return [b"".join(clips[line].frames) for line in (QUESTION, INTERRUPTION)]

    question, interruption = (wav_bytes(resample_whole(pcm, 16_000, 48_000), 48_000) for pcm in anyio.run(make))
    return {"question": question, "interruption": interruption}


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A microphone's sound: a question, and another one into its answer."""

    async def make() -> bytes:
        clips = await speak((QUESTION, INTERRUPTION), tts="espeak", voice=VOICE)
        parts = [bytes(int(secs * 16_000) * 2) for secs in SILENCES]
        words = [b"".join(clips[line].frames) for line in (QUESTION, INTERRUPTION)]
        return parts[0] + words[0] + parts[1] + words[1] + parts[2]

    path = tmp_path_factory.mktemp("microphone") / "caller.wav"
    path.write_bytes(wav_bytes(resample_whole(anyio.run(make), 16_000, 48_000), 48_000))
    return path


@pytest.fixture(scope="module")
def playwright(spoken: Path, words: dict[str, bytes]) -> Iterator[Any]:
    """For one module: it keeps an event loop in this thread. `spoken` and `words` need one, too, so they come first."""
    need_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as found:
        yield found


@pytest.fixture(scope="module")
def browser(playwright: Any) -> Iterator[Any]:
    with chromium(playwright) as found:
        yield found
