"""What people choose in the console and take away from it, in Chromium, with real servers behind it."""

from __future__ import annotations

import io
import json
import re
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from anyio.from_thread import start_blocking_portal

from tests.demo.browser import microphone, opened, until
from tests.demo.test_console import LAST_OVER, choose, say
from tests.server.serving import Served, serving
from voxray.config.settings import Settings
from voxray.server.preparation import Preparation, session_options
from voxray.testing.fakes import ScriptedLlm, services

KEY = "correct horse"


@contextmanager
def server(llm: ScriptedLlm, **settings: Any) -> Iterator[Served]:
    """A real server of fakes in a thread of its own."""
    options = session_options(Settings(greeting="Hello.", system_prompt="You are the server's own."))
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            serving(parts=services(llm=llm), prepare=Preparation(options), **settings)
        ) as served,
    ):
        yield served


def address(served: Served) -> str:
    return f"http://127.0.0.1:{served.port}"


def test_the_agents_context_reaches_the_model(browser: Any) -> None:
    llm = ScriptedLlm(["Arr."])
    with server(llm) as served, opened(browser, address(served)) as page:
        page.click("#open-settings")
        page.fill("#prompt", "You are a pirate.")
        page.fill("#greeting", "Ahoy there.")
        page.click("#done")
        page.click("#type")
        page.wait_for_selector("text=Ahoy there.")
        say(page, "Who are you?")
        page.wait_for_selector("text=Arr.")
        assert llm.prompts[0].messages[0].text == "You are a pirate."
        page.click("#end")
        page.wait_for_selector("text=You ended the call.")
        page.reload()
        assert page.input_value("#prompt") == "You are a pirate."  # remembered


def test_a_server_with_a_key_asks_for_it_and_goes_on_when_it_is_right(browser: Any) -> None:
    asked: list[str] = []
    with server(ScriptedLlm(["Fine."]), server_api_key=KEY) as served, opened(browser, address(served)) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.on("websocket", lambda socket: asked.append(socket.url))
        say(page, "How are you?")
        page.wait_for_selector("#settings-note:has-text('wants its key')")
        assert page.evaluate("document.activeElement.id") == "key"
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("#settings-note:has-text('did not accept this key')")
        page.keyboard.type(KEY)
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Fine.")  # what was typed before there was a key was not lost
        assert not page.is_visible("#settings")
        assert not [url for url in asked if "horse" in url]
        assert any("/ws?token=" in url for url in asked)
        stored = page.evaluate("[JSON.stringify(localStorage), JSON.stringify(sessionStorage)]")
        assert "horse" not in str(stored)


def test_a_key_is_remembered_in_the_tab_if_asked(browser: Any) -> None:
    with server(ScriptedLlm(), server_api_key=KEY) as served, opened(browser, address(served)) as page:
        page.wait_for_selector("text=Talk to the agent")
        page.click("#open-settings")
        page.fill("#key", KEY)
        page.check("#remember")
        page.click("#done")
        page.reload()
        page.click("#type")
        page.wait_for_selector("text=Hello.")
        assert "horse" not in page.evaluate("JSON.stringify(localStorage)")
        page.click("#open-settings")
        page.uncheck("#remember")
        page.click("#done")
        page.reload()
        assert page.input_value("#key") == ""


def test_a_server_without_a_key_does_not_ask_for_one_and_offers_what_it_has(browser: Any) -> None:
    with server(ScriptedLlm()) as served, opened(browser, address(served)) as page:
        page.click("#open-settings")
        until(page, "document.getElementById('key-fields').hidden")
        assert page.is_disabled("[value=webrtc]")
        assert "no other way" in page.inner_text("#transport-hint")


def test_devices_are_chosen_and_changed_in_the_call(demo: str, browser: Any) -> None:
    watch = """() => {
      window.sinks = [];
      const set = AudioContext.prototype.setSinkId;
      AudioContext.prototype.setSinkId = function (id) { window.sinks.push(id); return set.call(this, id); };
      window.inputs = [];
      const get = navigator.mediaDevices.getUserMedia;
      navigator.mediaDevices.getUserMedia = function (wanted) {
        window.inputs.push(wanted.audio.deviceId?.exact ?? "");
        return get.call(this, wanted);
      };
    }"""
    with opened(browser, demo) as page:
        page.evaluate(watch)
        page.click("#talk")
        page.wait_for_selector("text=Welcome to the Harbor Hotel")
        page.click("#open-settings")
        until(page, "document.getElementById('output-id').options.length > 1")
        assert page.is_visible("#output-id")
        output = page.get_attribute("#output-id option:last-child", "value")
        page.select_option("#output-id", output)
        until(page, "window.sinks.length === 1")
        assert page.evaluate("window.sinks") == [output]
        ear = page.get_attribute("#microphone-id option:last-child", "value")
        page.select_option("#microphone-id", ear)
        until(page, "window.inputs.length === 2")
        assert page.evaluate("window.inputs") == ["", ear]
        until(page, "voxray.client.listening")
        assert not page.is_visible("#notice")


def test_a_browser_without_a_choice_of_loudspeakers_shows_none(demo: str, browser: Any) -> None:
    with opened(browser, demo, script="delete AudioContext.prototype.setSinkId") as page:
        page.click("#open-settings")
        until(page, "document.getElementById('output-id').hidden")
        assert page.is_visible("#microphone-id")


def test_keys_are_pressed_by_mouse_and_keyboard(browser: Any) -> None:
    llm = ScriptedLlm(["Thank you."])
    with server(llm) as served, opened(browser, address(served)) as page:
        page.click("#type")
        page.wait_for_selector("text=Hello.")
        page.click("#open-keypad")
        assert page.get_attribute("#open-keypad", "aria-expanded") == "true"
        page.click("#keypad button:text-is('4')")
        page.keyboard.type("2")
        page.click("#keypad [aria-label=hash]")
        assert page.inner_text("#pressed") == "42#"
        page.wait_for_selector("text=Thank you.")
        assert llm.prompts[0].messages[-1].text == "DTMF: 42#"
        page.keyboard.press("Escape")
        assert not page.is_visible("#keypad")
        assert page.evaluate("document.activeElement.id") == "open-keypad"


def sound_of(wav: bytes) -> tuple[int, np.ndarray, np.ndarray]:
    with wave.open(io.BytesIO(wav)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (2, 2)
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2) / 32768
        return file.getframerate(), sound[:, 0], sound[:, 1]


def loudness(sound: np.ndarray) -> float:
    return float(np.sqrt(np.mean(sound**2)))


@pytest.mark.parametrize("way", ["websocket", "webrtc"])
def test_transcript_and_recording_are_saved(demo: str, words: Any, browser: Any, way: str) -> None:
    with opened(browser, demo, script=microphone(words)) as page:
        choose(page, way)
        page.click("#talk")
        until(page, f"({LAST_OVER})(1)")
        page.evaluate("speak('question')")
        page.wait_for_selector("text=until eleven at night")
        until(page, f"({LAST_OVER})(2)")
        page.click("#mute")
        page.evaluate("speak('question')")  # not heard by anybody
        played = page.evaluate("voxray.client.playedSecs")
        say(page, "When is breakfast?")
        page.wait_for_selector("text=seven until ten")
        until(page, f"voxray.client.playedSecs > {played} + 1.2")
        page.keyboard.press("Escape")
        page.wait_for_selector(".agent .cut")
        page.click("#end")
        page.wait_for_selector("text=You ended the call.")
        secs = page.evaluate("voxray.recording.secs")

        text = saved(page, "save-text", r"voxray-transcript-.*\.txt").decode()
        lines = [line[10:] for line in text.splitlines()[2:]]
        assert lines[:2] == [
            "Agent  Welcome to the Harbor Hotel. How can I help you?",
            "You    what are your opening hours",
        ]
        assert "You    When is breakfast? (typed)" in lines
        assert re.search(r"Agent  \w.* \[cut off after \d\.\d\d s; not heard: .*\w", text)
        items = json.loads(saved(page, "save-json", r"voxray-transcript-.*\.json"))["items"]
        assert [item["who"] for item in items[:3]] == ["agent", "user", "agent"]
        assert items[2]["total_secs"] == pytest.approx(sum(items[2]["stages"].values()))
        assert [item["cut"] for item in items if item["who"] == "agent"] == [False, False, True]

        rate, caller, agent = sound_of(saved(page, "save-wav", r"voxray-recording-.*\.wav"))
        assert rate == 16_000
        assert len(caller) / rate == pytest.approx(secs, abs=0.01)
        assert loudness(caller) > 0.005
        assert loudness(agent) > 0.005
        greeting = slice(rate // 2, 2 * rate)  # the agent speaks, the caller listens
        assert loudness(agent[greeting]) > 5 * loudness(caller[greeting])
        muted = np.flatnonzero(np.abs(caller) > 0.01).max() / rate
        assert muted < np.flatnonzero(np.abs(agent) > 0.01).max() / rate - 1


def saved(page: Any, button: str, name: str) -> bytes:
    page.click("#save summary")
    with page.expect_download() as found:
        page.click(f"#{button}")
    assert re.fullmatch(name, found.value.suggested_filename)
    with open(found.value.path(), "rb") as file:
        return file.read()


def test_nothing_can_be_saved_before_something_was_said(demo: str, browser: Any) -> None:
    with opened(browser, demo) as page:
        page.click("#save summary")
        for button in ("save-text", "save-json", "save-wav"):
            assert page.is_disabled(f"#{button}")


def test_a_recording_ends_when_it_is_full(demo: str, browser: Any) -> None:
    fill = """async () => {
      const { Recording } = await import("/client/index.js");
      const recording = new Recording({ maxSecs: 21 });
      for (let at = 0; at < 230; at++) recording.add(new Int16Array(3200).fill(at).buffer);
      const sound = new Int16Array(await recording.wav().slice(44).arrayBuffer());
      return { secs: recording.secs, full: recording.full, samples: sound.length, last: sound.at(-1) };
    }"""
    with opened(browser, demo) as page:
        assert page.evaluate(fill) == {"secs": 21, "full": True, "samples": 21 * 32_000, "last": 209}


def test_light_and_dark_are_a_choice_that_is_remembered(demo: str, browser: Any) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with opened(browser, demo, color_scheme="light") as page:
        light = page.evaluate(ground)
        page.click("#open-settings")
        page.check("[name=theme][value=dark]")
        dark = page.evaluate(ground)
        assert dark != light
        page.keyboard.press("Escape")
        page.reload()
        assert page.evaluate(ground) == dark
