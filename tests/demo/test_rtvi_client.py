"""The official RTVI client for the browser, from npm, talks to the real server by WebSocket."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.demo.browser import chromium, need_chromium, opened, until
from tests.demo.npm import bundled

HERE = Path(__file__).parent / "rtvi"
GUIDE = Path("docs/how-to/use-pipecat-clients.md")
PAGE = '<!doctype html><meta charset="utf-8"><title>RTVI</title><script src="client.js"></script>'
EMPTY = (
    *(f"{who}-{did}-speaking" for who in ("user", "bot") for did in ("started", "stopped")),
    *(f"bot-{what}-{did}" for what in ("llm", "tts") for did in ("started", "stopped")),
    "bot-interrupted",
)
REQUIRED = {
    "bot-ready": {"version", "about"},
    "error": {"error", "fatal"},
    "error-response": {"error"},
    "user-transcription": {"text", "user_id", "timestamp", "final"},
    "user-llm-text": {"text"},
    "bot-llm-text": {"text"},
    "bot-tts-text": {"text"},
    "bot-transcription": {"text"},
    "bot-output": {"text", "aggregated_by", "segment_id", "will_be_spoken"},
    "metrics": {"ttfb"},
    "llm-function-call-started": set(),
    "llm-function-call-in-progress": {"tool_call_id"},
    "llm-function-call-stopped": {"tool_call_id", "cancelled"},
    "append-to-context-result": {"result"},
}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, demo: str) -> Iterator[str]:
    """The address of a page with the client, from a web server of its own; beside it the page of the guide."""
    need_chromium()
    folder = tmp_path_factory.mktemp("site")
    script = (HERE / "client.js").read_text(encoding="utf-8")
    (folder / "client.js").write_text(bundled(HERE, script), encoding="utf-8")
    (folder / "index.html").write_text(PAGE, encoding="utf-8")
    guide = GUIDE.read_text(encoding="utf-8")
    for name, code in re.findall(
        r"^```\w+\n(?:<!-- |// )(pipecat\.\w+).*?\n(.*?)^```", guide, re.DOTALL | re.MULTILINE
    ):
        code = code.replace("ws://localhost:3042", f"ws{demo.removeprefix('http')}")
        (folder / name).write_text(bundled(HERE, code) if name.endswith(".js") else code, encoding="utf-8")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@contextmanager
def connected(browser: Any, site: str, demo: str, query: str = "format=protobuf", mic: bool = False) -> Iterator[Any]:
    """A page in which the client is connected."""
    requests: list[str] = []
    with opened(browser, site) as page:
        page.on("request", lambda request: requests.append(request.url))
        url = f"ws{demo.removeprefix('http')}/ws-client?{query}"
        ready = page.evaluate("([url, microphone]) => rtvi.connect(url, { microphone })", [url, mic])
        assert ready["version"] == "2.1.0"
        yield page
        check_messages(page.evaluate("rtvi.messages"))
        assert not [url for url in requests if not url.startswith((site, "blob:", "data:"))]


def check_messages(messages: list[dict[str, Any]]) -> None:
    """Every message is well-formed, and nothing stops that was not started or starts twice."""
    on: set[str] = set()
    for message in messages:
        kind, data = message["type"], message.get("data")
        assert message["label"] == "rtvi-ai"
        if kind in EMPTY:
            assert not data, message
        else:
            assert set(data or {}) >= REQUIRED[kind], message
        if "-started" in kind and kind in EMPTY:
            assert kind not in on, kind
            on.add(kind)
        elif "-stopped" in kind and kind in EMPTY:
            on.remove(kind.replace("stopped", "started"))


def last(page: Any, kind: str) -> Any:
    return page.evaluate("(kind) => rtvi.seen(kind).at(-1)", kind)


def test_a_spoken_conversation_with_an_interruption(demo: str, spoken: Path, playwright: Any, site: str) -> None:
    with chromium(playwright, wav=spoken) as browser, connected(browser, site, demo, mic=True) as page:
        until(page, "rtvi.seen('bot-stopped-speaking').length === 1")
        assert page.evaluate("rtvi.secs()") > 2  # the greeting
        until(page, "rtvi.seen('user-transcription').some((it) => it.data.final)")
        assert last(page, "user-transcription")["data"]["text"] == "what are your opening hours"
        until(page, "rtvi.seen('bot-started-speaking').length === 2")
        until(page, "rtvi.seen('bot-interrupted').length === 1")
        until(page, "rtvi.seen('bot-stopped-speaking').length === 2")
        took = last(page, "bot-stopped-speaking")["at"] - last(page, "user-started-speaking")["at"]
        assert took < 1
        until(page, "rtvi.seen('bot-stopped-speaking').length === 3")
        outputs = [it["data"] for it in page.evaluate("rtvi.seen('bot-output')")]
        assert any("seven until ten" in it["text"] and it["spoken_status"] == "completed" for it in outputs)
        assert page.evaluate("rtvi.lead()") < 0.4
        assert page.evaluate("rtvi.sound.every(({ bytes }) => bytes % 2 === 0)")


def test_text_keys_and_requests(demo: str, browser: Any, site: str) -> None:
    with connected(browser, site, demo, "rtvi=1&format=protobuf") as page:
        until(page, "rtvi.seen('bot-started-speaking').length === 1")
        page.evaluate("rtvi.client().sendText('When is breakfast?')")
        until(page, "rtvi.seen('bot-output').some((it) => it.data.text.includes('seven until ten'))")
        assert page.evaluate("rtvi.seen('bot-interrupted').length") == 1  # the greeting gave way
        assert page.evaluate("rtvi.seen('bot-llm-started').length") == 1
        page.evaluate("rtvi.client().sendDTMF('12#')")
        until(page, "rtvi.seen('user-llm-text').at(-1)?.data.text === 'DTMF: 12#'")
        refused = page.evaluate("rtvi.failure(rtvi.client().sendClientRequest('set-voice', { voice: 'x' }))")
        assert refused["error"]
        assert page.evaluate("rtvi.client().appendToContext({ role: 'user', content: 'I am Ann.' })")
        written = "{ audio_response: false }"
        page.evaluate(f"rtvi.client().sendText('What are your opening hours?', {written})")
        until(page, "rtvi.seen('bot-output').at(-1)?.data.will_be_spoken === false")


def test_the_client_disconnects_the_bot(demo: str, browser: Any, site: str) -> None:
    with connected(browser, site, demo) as page:
        page.evaluate("rtvi.client().disconnectBot()")
        until(page, "['disconnected', 'error'].includes(rtvi.states().at(-1))")


def test_an_interruption_is_not_a_frame_that_the_client_does_not_know(demo: str, browser: Any, site: str) -> None:
    with connected(browser, site, demo) as page:
        warnings: list[str] = []
        page.on("console", lambda line: warnings.append(line.text))
        until(page, "rtvi.seen('bot-started-speaking').length === 1")
        page.evaluate("rtvi.client().sendText('goodbye')")
        until(page, "rtvi.seen('bot-interrupted').length === 1")
        until(page, "rtvi.seen('bot-output').length > 1")
        assert not [line for line in warnings if "Unknown frame" in line]


def test_the_page_of_the_guide(demo: str, playwright: Any, spoken: Path, site: str) -> None:
    with chromium(playwright, wav=spoken) as browser, opened(browser, f"{site}pipecat.html") as page:
        page.click("#talk")
        page.wait_for_selector("text=agent: Welcome to the Harbor Hotel")
        page.wait_for_selector("text=you: what are your opening hours")
        page.wait_for_selector("text=agent: The desk is open")
        page.click("#end")
        page.wait_for_selector("text=error: websocket connection closed")
