"""The page of docs/how-to/use-webrtc.md, in Chromium, against the real server."""

from __future__ import annotations

import io
import re
import wave
from typing import Any

import anyio.to_thread
import pytest

from tests.demo.browser import chromium, microphone, need_chromium, opened, until
from tests.server.test_webrtc_calls import quick, webrtc
from tests.test_how_to import blocks
from tests.webrtc_client import tone
from voxray.builtin.energy_vad import EnergyVad
from voxray.session.services import SessionOptions
from voxray.testing.fake_ears import ScriptedStt

pytestmark = pytest.mark.anyio

# How loud the agent is at the ear, looked at every 20 ms.
EAR = """window.loudest = 0;
addEventListener("load", () => {
  const agent = document.getElementById("agent");
  agent?.addEventListener("playing", () => {
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    context.createMediaStreamSource(agent.srcObject).connect(analyser);
    const samples = new Float32Array(1024);
    setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      window.level = Math.max(...samples.map(Math.abs));
      window.loudest = Math.max(window.loudest, window.level);
    }, 20);
  });
});"""


def wav(pcm: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(48_000)
        written.writeframes(pcm)
    return file.getvalue()


async def test_the_page_of_the_guide_holds_a_call() -> None:
    need_chromium()
    parts = quick(
        "A long answer to a short question. " * 4, vad=EnergyVad(None, threshold=0.02), stt=ScriptedStt(["hi"])
    )
    options = SessionOptions(greeting="Hello there, how are you today?", turn_stop_secs=0.3)
    async with webrtc(parts=parts, options=options, cors_allowed_origins=["*"], peers={"addresses": ()}) as server:
        await anyio.to_thread.run_sync(talk, server.port)
        await server.emptied()
        assert await server.metric('sessions_total{cause="client_asked"') == 1


def talk(port: int) -> None:
    from playwright.sync_api import sync_playwright

    address = f"http://localhost:{port}"
    script = microphone({"hi": wav(tone(300, 0.8))}) + EAR
    html = blocks("use-webrtc.md")["webrtc.html"]
    with sync_playwright() as playwright, chromium(playwright) as browser:
        with opened(browser, "about:blank", script=script) as page:
            page.route(re.compile("/webrtc.html"), lambda route: route.fulfill(body=html, content_type="text/html"))
            page.goto(f"{address}/webrtc.html?server={address}")
            page.click("#talk")
            shows(page, "agent: Hello there")
            until(page, "window.loudest > 0.1")
            page.evaluate("speak('hi')")
            shows(page, "you: hi")
            shows(page, "agent: A long answer")
            page.click("#end")


def shows(page: Any, text: str) -> None:
    until(page, f"document.getElementById('log').textContent.includes({text!r})")
