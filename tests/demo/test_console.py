"""The console in Chromium, with the real server of the demo behind it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.demo.browser import chromium, microphone, opened, until

PAGES = (Path("voxray/console"), Path("clients/js/src"))
SOCKET = re.compile(r"/ws\?token=")
NAMES = {"websocket": "WebSocket", "webrtc": "WebRTC"}
WAYS = pytest.mark.parametrize("way", list(NAMES))
PICTURES = Path("docs/pictures")
WATCH_INTERIM = """() => {
  window.interim = [];
  new MutationObserver(() => {
    for (const found of document.querySelectorAll(".interim")) window.interim.push(found.textContent);
  }).observe(document.getElementById("conversation"), { childList: true, subtree: true });
}"""
LAST_OVER = """(count) => {
  const answers = voxray.conversation.items.filter(({ who }) => who === "agent");
  return answers.length >= count && answers.at(-1).over;
}"""


# Texts on the screen that stand out too little from what is behind them (WCAG, level AA).
PALE = """() => {
  const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const shade = (color, under = [0, 0, 0]) => {
    pen.fillStyle = `rgb(${under})`;
    pen.fillRect(0, 0, 1, 1);
    pen.fillStyle = color;
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const ground = (element) => {
    const { backgroundColor } = getComputedStyle(element);
    return shade(backgroundColor, element.parentElement ? ground(element.parentElement) : [255, 255, 255]);
  };
  const light = (color) => {
    const [r, g, b] = color.map((part) => (part <= 10 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const pale = [];
  const shown = document.querySelector("dialog[open]") ?? document.body;
  const walker = document.createTreeWalker(shown, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const element = text.parentElement;
    if (!text.data.trim() || element.closest("script, noscript, option, :disabled, .unseen")) continue;
    if (!element.checkVisibility() || element.previousElementSibling?.matches(":disabled")) continue;
    const behind = ground(element);
    const [one, two] = [light(shade(getComputedStyle(element).color, behind)), light(behind)].sort();
    const contrast = (two + 0.05) / (one + 0.05);
    if (contrast < 4.5) pale.push(`${text.data.trim()}: ${contrast.toFixed(2)}`);
  }
  return pale;
}"""


def say(page: Any, text: str) -> None:
    page.fill("#text", text)
    page.keyboard.press("Enter")


def choose(page: Any, way: str) -> None:
    page.click("#open-settings")
    page.check(f"[name=transport][value={way}]")
    page.click("#done")


@WAYS
def test_a_spoken_conversation_with_an_interruption(demo: str, words: Any, browser: Any, way: str) -> None:
    asked: list[str] = []
    with opened(browser, "about:blank", script=microphone(words), device_scale_factor=2) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.on("websocket", lambda socket: asked.append(socket.url))
        page.goto(demo)
        page.evaluate(WATCH_INTERIM)
        choose(page, way)
        page.click("#talk")
        until(page, f"({LAST_OVER})(1)")  # the greeting
        greeted = page.evaluate("voxray.client.playedSecs")
        assert greeted > 2
        page.evaluate("void speak('question')")
        page.wait_for_selector("#orb[data-state=hearing]")
        until(page, "Number(document.getElementById('orb').style.getPropertyValue('--level')) > 0.2")
        page.wait_for_selector("text=The desk is open")
        until(page, f"voxray.client.playedSecs > {greeted} + 1.5")
        page.evaluate("void speak('interruption')")
        page.wait_for_selector(".agent .cut")
        page.wait_for_selector(".user:has-text('when')")  # the answer may be there, too
        if way == "webrtc":
            _picture(page, "console-interrupted")
        page.wait_for_selector("text=seven until ten")
        until(page, f"({LAST_OVER})(3)")
        said = [item["text"] for item in page.evaluate("voxray.conversation.items") if item["who"] == "user"]
        assert said == ["what are your opening hours", "when is breakfast"]
        answer, cut = page.text_content(".agent:has(.cut) .words"), page.text_content(".agent .cut")
        assert answer.startswith("Agent: The desk is open")
        assert cut.strip()
        assert len(cut) < len(answer) - len("Agent: The desk")
        assert any(words.strip() for words in page.evaluate("window.interim"))
        assert page.evaluate("voxray.client.playedSecs") > 6
        assert page.locator("#turns li").count() == 2
        widths = page.eval_on_selector_all("#turns li:last-child .bar span", "all => all.map(it => it.offsetWidth)")
        assert sum(widths) > 50
        pause = page.inner_text("#legend [data-stage=pause] dd")
        assert re.fullmatch(r"\d\.\d\d s", pause)
        assert page.inner_text("#link").startswith(NAMES[way])
        page.click("#end")
        page.wait_for_selector("text=You ended the call.")
        assert page.is_visible("#talk")
    here = demo.rpartition(":")[2]
    assert {urlsplit(url).netloc for url in asked} == {f"127.0.0.1:{here}"}
    assert not [url for url in asked if "api_key" in url]


def test_a_typed_turn_is_answered_and_can_be_cut_short(demo: str, browser: Any) -> None:
    with opened(browser, demo) as page:
        say(page, "What are your opening hours?")
        page.wait_for_selector("text=until eleven at night")
        until(page, "voxray.client.playedSecs > 0.6")
        page.wait_for_selector(".agent .bar")
        page.keyboard.press("Escape")
        page.wait_for_selector(".agent .cut")
        played = page.evaluate("voxray.client.playedSecs")
        say(page, "I want to book a room for two nights")
        page.wait_for_selector("text=On which day do you arrive?")
        assert played < 3
        until(page, f"voxray.client.playedSecs > {played} + 0.5")


def test_the_agent_hangs_up_and_the_page_says_so(demo: str, browser: Any) -> None:
    with opened(browser, demo) as page:
        say(page, "goodbye")
        page.wait_for_selector("text=The agent said goodbye and hung up.")
        assert page.inner_text("#state") == "Call ended"
        assert not page.is_visible("#notice")


def test_a_refused_microphone_is_explained_and_typing_still_works(demo: str, playwright: Any) -> None:
    with chromium(playwright, microphone=False) as browser, opened(browser, demo) as page:
        page.click("#talk")
        page.wait_for_selector("#notice[data-kind=error]")
        assert "does not let this page use the microphone" in page.inner_text("#notice")
        assert page.evaluate("document.activeElement.id") == "text"
        page.keyboard.type("When is breakfast?")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=seven until ten")


def test_a_full_server_is_explained(demo: str, browser: Any) -> None:
    with opened(browser, demo) as page:
        page.route_web_socket(SOCKET, lambda socket: socket.close(code=1013, reason="try again later"))
        page.click("#type")
        page.wait_for_selector("#notice[data-kind=error]")
        assert "full" in page.inner_text("#notice")
        assert page.inner_text("#state") == "Ready"


def test_a_lost_connection_is_made_again(demo: str, browser: Any) -> None:
    calls: list[Any] = []

    def route(socket: Any) -> None:
        calls.append(socket)
        if len(calls) == 1:
            socket.send('{"type":"StartFrame","data":{"audio_out_sample_rate":24000}}')
            socket.close(code=1012, reason="")
        else:
            socket.connect_to_server()

    with opened(browser, demo) as page:
        page.route_web_socket(SOCKET, route)
        page.click("#type")
        page.wait_for_selector("#orb[data-state=retrying]")
        assert "Calling again" in page.inner_text("#hint")
        page.wait_for_selector("text=Welcome to the Harbor Hotel")
        assert len(calls) == 2


def test_a_fault_of_the_server_is_shown_in_words(demo: str, browser: Any) -> None:
    def route(socket: Any) -> None:
        socket.send('{"type":"StartFrame","data":{"audio_out_sample_rate":24000}}')
        socket.send('{"type":"ErrorFrame","data":{"error":"no answer in time","fatal":false,"processor":"llm"}}')

    with opened(browser, demo) as page:
        page.route_web_socket(SOCKET, route)
        page.click("#type")
        page.wait_for_selector("text=The language model failed: no answer in time")


def test_the_keyboard_reaches_everything_in_the_order_of_the_page(demo: str, browser: Any) -> None:
    with opened(browser, demo) as page:
        page.wait_for_selector("#sayings button")
        reached = []
        for _ in range(14):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("(document.activeElement.id || document.activeElement.textContent).trim()"))
        assert reached[:4] == ["Save", "open-settings", "talk", "type"]
        assert "Goodbye." in reached
        assert reached[10:14] == ["text", "open-keypad", "Send", "Event log"]
        page.keyboard.press("Enter")
        assert page.evaluate("document.getElementById('log').open")


NAMELESS = """() => [...document.querySelectorAll("button, input, select, textarea, summary, canvas, [tabindex='0']")]
  .filter((control) => !control.closest("[aria-hidden=true]"))
  .filter((control) => {
    const labels = [...(control.labels ?? [])].map((label) => label.textContent).join("");
    return !(control.ariaLabel ?? labels + control.textContent).trim();
  })
  .map((control) => control.outerHTML)"""


def test_every_control_has_a_name(demo: str, browser: Any) -> None:
    with opened(browser, demo) as page:
        page.wait_for_selector("#sayings button")
        assert page.evaluate(NAMELESS) == []


def test_settings_keep_the_keyboard_inside_and_give_the_focus_back(demo: str, browser: Any) -> None:
    with opened(browser, demo) as page:
        page.focus("#open-settings")
        page.keyboard.press("Enter")
        page.wait_for_selector("#settings[open]")
        for _ in range(20):
            page.keyboard.press("Tab")
            assert page.evaluate(
                "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
            )
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement.id") == "open-settings"


def test_nothing_moves_for_who_prefers_that(demo: str, browser: Any) -> None:
    with opened(browser, demo, reduced_motion="reduce") as page:
        page.route("**/start", lambda route: None)  # never answered
        page.click("#type")
        page.wait_for_selector("#orb[data-state=connecting]")
        assert page.evaluate("document.getAnimations().length") == 0
    with opened(browser, demo) as page:
        page.route("**/start", lambda route: None)
        page.click("#type")
        page.wait_for_selector("#orb[data-state=connecting]")
        assert page.evaluate("document.getAnimations().length") > 0


def test_the_first_picture_needs_three_files_and_no_script(demo: str, browser: Any) -> None:
    with opened(browser, "about:blank", java_script_enabled=False) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(urlsplit(request.url).path))
        page.goto(demo)
        assert page.is_visible("#talk")
        assert page.inner_text("#state") == "Ready"
        assert set(asked) <= {"/", "/console/style.css", "/console/icon.svg", "/console/app.js"}


TONE = """async ([from, to, hz, size]) => {
  const { Resampler } = await import("/client/resampler.js");
  const sound = Float32Array.from({ length: from }, (_, at) => Math.sin((2 * Math.PI * hz * at) / from));
  const pieces = new Resampler(from, to), out = [];
  for (let at = 0; at < sound.length; at += size) out.push(...pieces.push(sound.subarray(at, at + size)));
  const whole = new Resampler(from, to).push(sound);
  const middle = out.slice(to / 4, (to * 3) / 4);
  const rms = Math.sqrt(middle.reduce((sum, value) => sum + value * value, 0) / middle.length);
  return { rms, length: out.length, same: whole.every((value, at) => value === out[at]) };
}"""


@pytest.mark.parametrize(("from_hz", "to_hz"), [(48_000, 16_000), (44_100, 16_000), (24_000, 48_000), (24_000, 44_100)])
def test_a_changed_rate_keeps_what_fits_and_nothing_else(demo: str, browser: Any, from_hz: int, to_hz: int) -> None:
    with opened(browser, demo) as page:
        kept = page.evaluate(TONE, [from_hz, to_hz, 1000, 128])
        assert kept["rms"] == pytest.approx(0.7071, rel=0.01)
        assert kept["same"]
        assert abs(kept["length"] - to_hz) < 40
        if to_hz < from_hz:
            assert page.evaluate(TONE, [from_hz, to_hz, to_hz * 0.6, 128])["rms"] < 0.001


def test_the_part_that_was_heard_is_found_in_the_text(demo: str, browser: Any) -> None:
    split = "async ([text, heard]) => (await import('/client/conversation.js')).splitHeard(text, heard)"
    with opened(browser, demo) as page:
        assert page.evaluate(split, ["One two. Three four.", "One  two.Three"]) == ["One two. Three", " four."]
        assert page.evaluate(split, ["One two.", ""]) == ["", "One two."]
        assert page.evaluate(split, ["One two.", "Something else"]) == ["Something else", "One two."]


def test_the_page_is_small_and_asks_nobody_else() -> None:
    files = [path for folder in PAGES for path in folder.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 150_000
    for path in files:
        addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"')]*", path.read_text(encoding="utf-8")))
        assert addresses <= {"http://www.w3.org/2000/svg", "http://localhost:3042/"}, path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("console-light", {"color_scheme": "light"}),
        ("console-dark", {"color_scheme": "dark"}),
        ("console-phone", {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"}),
    ],
)
def test_the_page_fits_its_window(demo: str, words: Any, browser: Any, name: str, options: dict[str, Any]) -> None:
    with opened(browser, demo, script=microphone(words), device_scale_factor=2, **options) as page:
        choose(page, "webrtc")
        page.click("#talk")
        until(page, f"({LAST_OVER})(1)")
        page.evaluate("void speak('question')")
        page.wait_for_selector("text=The desk is open")
        played = page.evaluate("voxray.client.playedSecs")
        until(page, f"voxray.client.playedSecs > {played} + 1.2")
        page.evaluate("void speak('interruption')")
        page.wait_for_selector(".agent .cut")
        page.wait_for_selector("text=seven until ten")
        until(page, f"({LAST_OVER})(3)")
        say(page, "I want to book a room for two nights on Monday")
        page.wait_for_selector("text=For how many guests?")
        until(page, f"({LAST_OVER})(4)")
        say(page, "Two guests")
        page.wait_for_selector("text=Is that right?")
        until(page, "document.querySelectorAll('.agent .bar').length === 4")
        played = page.evaluate("voxray.client.playedSecs")
        until(page, f"voxray.client.playedSecs > {played} + 0.6")
        until(page, "Number(document.getElementById('orb').style.getPropertyValue('--level')) > 0.5")
        _picture(page, name)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(PALE) == []
        page.click("#open-settings")
        page.fill("#prompt", "You are the night porter. Answer in one sentence.")
        if name == "console-light":
            _picture(page, "console-settings")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(PALE) == []


def _picture(page: Any, name: str) -> None:
    if os.environ.get("VOXRAY_PICTURES"):
        if name.endswith(("settings", "interrupted")):
            page.wait_for_timeout(350)  # until what has just arrived is fully there
        page.screenshot(path=PICTURES / f"{name}.png")
