"""Chromium for tests of the page: headless, with a microphone that plays a file."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)

# A microphone that is silent until `speak(name)` is called, which ends when all was said.
MICROPHONE = """if (navigator.mediaDevices) {  // not in an empty page
  const context = new AudioContext();
  const ear = context.createMediaStreamDestination();
  const clips = CLIPS;
  navigator.mediaDevices.getUserMedia = async () => ear.stream.clone();
  window.speak = async (name) => {
    const bytes = Uint8Array.from(atob(clips[name]), (letter) => letter.charCodeAt(0));
    const source = new AudioBufferSourceNode(context, { buffer: await context.decodeAudioData(bytes.buffer) });
    source.connect(ear);
    source.start();
    await new Promise((resolve) => source.addEventListener("ended", resolve));
  };
}"""


def need_chromium() -> None:
    if CHROMIUM.exists():
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{CHROMIUM} is needed: apt-get install chromium")
    pytest.skip(f"{CHROMIUM} is not installed")


@contextmanager
def chromium(playwright: Any, *, wav: Path | None = None, microphone: bool = True) -> Iterator[Any]:
    """A browser of its own, with an empty profile. `microphone` False: its user refuses it."""
    flags = [*FLAGS, "--use-fake-ui-for-media-stream" + ("" if microphone else "=deny")]
    if wav:
        flags.append(f"--use-file-for-fake-audio-capture={wav}%noloop")
    browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=flags)
    try:
        yield browser
    finally:
        browser.close()


@contextmanager
def opened(browser: Any, url: str, *, script: str = "", **options: Any) -> Iterator[Any]:
    """The page, in a context of its own; fails if a script of it does. `script` runs before those of the page."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, **options})
    faults: list[str] = []
    try:
        page = context.new_page()
        page.set_default_timeout(20_000)
        if script:
            page.add_init_script(script)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(url)
        yield page
        assert not faults
    finally:
        context.close()


def until(page: Any, condition: str, secs: float = 20) -> None:
    """Wait for an expression to be true. The browser's own way of it is `eval`, which the page's policy forbids."""
    deadline = time.monotonic() + secs
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(50)


def microphone(clips: Mapping[str, bytes]) -> str:
    """A script that puts a microphone into a page; `clips` are WAV files by name."""
    return MICROPHONE.replace(
        "CLIPS", json.dumps({name: base64.b64encode(wav).decode() for name, wav in clips.items()})
    )
