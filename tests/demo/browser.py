"""Chromium for tests of the page: headless, with a microphone that plays a file."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
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
def opened(browser: Any, url: str, **options: Any) -> Iterator[Any]:
    """The page, in a context of its own; fails if a script of it does."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, **options})
    faults: list[str] = []
    try:
        page = context.new_page()
        page.set_default_timeout(20_000)
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
