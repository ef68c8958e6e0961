"""The official RTVI client for the browser, from npm, talks to the real server by WebSocket and by WebRTC."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.demo.browser import chromium, need_chromium, opened, until
from tests.demo.desk import desk_config, served
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
    "server-response": {"t"},
    "user-transcription": {"text", "user_id", "timestamp", "final"},
    "user-llm-text": {"text"},
    "bot-llm-text": {"text"},
    "bot-tts-text": {"text"},
    "bot-transcription": {"text"},
    "bot-output": {"text", "aggregated_by", "segment_id", "will_be_spoken"},
    "metrics": set(),
    "llm-function-call-started": set(),
    "llm-function-call-in-progress": {"tool_call_id"},
    "llm-function-call-stopped": {"tool_call_id", "cancelled"},
    "append-to-context-result": {"result"},
}
SPOKEN = {"spoken_status", "spoken_progress"}
WAYS = pytest.mark.parametrize("way", ["websocket", "webrtc"])


class Site(SimpleHTTPRequestHandler):
    """Pages; and a vendor that knows no model."""

    def log_message(self, format: str, *args: object) -> None:
        return

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_error(404)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that takes calls by websocket and WebRTC."""
    folder = tmp_path_factory.mktemp("desk")
    with served(folder, desk_config(folder)) as url:
        yield url


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, desk: str) -> Iterator[str]:
    """The address of a page with the client, from a web server of its own; beside it the pages of the guide."""
    need_chromium()
    folder = tmp_path_factory.mktemp("site")
    script = (HERE / "client.js").read_text(encoding="utf-8")
    (folder / "client.js").write_text(bundled(HERE, script), encoding="utf-8")
    (folder / "index.html").write_text(PAGE, encoding="utf-8")
    guide = GUIDE.read_text(encoding="utf-8")
    for name, code in re.findall(
        r"^```\w+\n(?:<!-- |// )((?:pipecat|webrtc)\.\w+).*?\n(.*?)^```", guide, re.DOTALL | re.MULTILINE
    ):
        code = code.replace("localhost:3042", urlsplit(desk).netloc)
        (folder / name).write_text(bundled(HERE, code) if name.endswith(".js") else code, encoding="utf-8")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Site, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def parameters(way: str, server: str, query: str = "format=protobuf") -> dict[str, Any]:
    """What the client's `connect` takes."""
    if way == "webrtc":
        return {"webrtcRequestParams": {"endpoint": f"{server}/api/offer"}}
    return {"wsUrl": f"ws{server.removeprefix('http')}/ws-client?{query}"}


@contextmanager
def opened_client(browser: Any, site: str) -> Iterator[Any]:
    """A page with the client. At its end every message it got is looked at, and every address it asked."""
    hosts: set[str | None] = set()
    with opened(browser, site) as page:
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        yield page
        check_messages(page.evaluate("rtvi.messages"))
        assert hosts <= {"127.0.0.1", None}  # None: blob and data


def connect(page: Any, way: str, params: dict[str, Any], *, mic: bool = False) -> Any:
    arguments = [way, params, mic]
    ready = page.evaluate("([way, params, microphone]) => rtvi.connect(way, params, { microphone })", arguments)
    assert ready["version"] == "2.1.0"
    return ready


@contextmanager
def connected(browser: Any, site: str, desk: str, way: str, *, mic: bool = False) -> Iterator[Any]:
    """A page in which the client is connected."""
    with opened_client(browser, site) as page:
        connect(page, way, parameters(way, desk), mic=mic)
        yield page


def check_messages(messages: list[dict[str, Any]]) -> None:
    """Every message is well-formed, nothing stops that was not started or starts twice, and each segment of the
    agent's words is new, goes on, and is completed at most once."""
    on: set[str] = set()
    segments: dict[int, str] = {}
    for message in messages:
        kind, data = message["type"], message.get("data")
        assert message["label"] == "rtvi-ai"
        assert isinstance(message["id"], str)
        if kind in EMPTY:
            assert not data, message
        else:
            assert set(data or {}) >= REQUIRED[kind], message
            assert None not in (data or {}).values(), message
        if "-started" in kind and kind in EMPTY:
            assert kind not in on, kind
            on.add(kind)
        elif "-stopped" in kind and kind in EMPTY:
            on.remove(kind.replace("stopped", "started"))
        elif kind == "bot-output":
            check_segment(segments, data or {})


def check_segment(segments: dict[int, str], data: dict[str, Any]) -> None:
    number = data["segment_id"]
    if not data["will_be_spoken"]:
        assert not set(data) & SPOKEN
        assert number not in segments
        segments[number] = "written"
        return
    progress = data["spoken_progress"]
    assert progress["accumulated_text"] + progress["remaining_text"] == data["text"]
    before = {"new": {None}, "in-progress": {"new", "in-progress"}, "completed": {"new", "in-progress"}}
    assert segments.get(number) in before[data["spoken_status"]]
    segments[number] = data["spoken_status"]


def last(page: Any, kind: str) -> Any:
    return page.evaluate("(kind) => rtvi.seen(kind).at(-1)", kind)


@WAYS
def test_a_spoken_conversation_with_an_interruption(
    desk: str, spoken: Path, playwright: Any, site: str, way: str
) -> None:
    with chromium(playwright, wav=spoken) as browser, connected(browser, site, desk, way, mic=True) as page:
        until(page, "rtvi.seen('bot-stopped-speaking').length === 1")
        assert page.evaluate("rtvi.secs()") > 2  # the greeting
        until(page, "rtvi.seen('user-transcription').some((it) => it.data.final)")
        assert last(page, "user-transcription")["data"]["text"] == "what are your opening hours"
        until(page, "rtvi.seen('bot-started-speaking').length === 2")
        until(page, "rtvi.seen('bot-interrupted').length === 1")
        until(page, "rtvi.seen('bot-stopped-speaking').length === 2")
        stopped = last(page, "bot-stopped-speaking")["at"]
        assert stopped - last(page, "user-started-speaking")["at"] < 1
        until(page, "rtvi.seen('bot-started-speaking').length === 3")
        again = last(page, "bot-started-speaking")["at"]
        assert again - stopped > 0.6
        assert not page.evaluate("(span) => rtvi.soundedBetween(...span)", [stopped + 0.5, again])
        until(page, "rtvi.seen('bot-stopped-speaking').length === 3")
        outputs = [it["data"] for it in page.evaluate("rtvi.seen('bot-output')")]
        assert any("seven until ten" in it["text"] and it["spoken_status"] == "completed" for it in outputs)
        assert page.evaluate("rtvi.seen('metrics').some((it) => it.data.ttfb && it.data.processing)")
        if way == "websocket":
            assert page.evaluate("rtvi.lead()") < 0.4
            assert page.evaluate("rtvi.sound.every(({ bytes }) => bytes % 2 === 0)")


@WAYS
def test_text_keys_and_requests(desk: str, browser: Any, site: str, way: str) -> None:
    with connected(browser, site, desk, way) as page:
        until(page, "rtvi.seen('bot-started-speaking').length === 1")
        page.evaluate("rtvi.client().sendText('When is breakfast?')")
        until(page, "rtvi.seen('bot-output').some((it) => it.data.text.includes('seven until ten'))")
        assert page.evaluate("rtvi.seen('bot-interrupted').length") == 1  # the greeting gave way
        assert page.evaluate("rtvi.seen('bot-llm-started').length") == 1
        page.evaluate("rtvi.client().sendDTMF('12#')")
        until(page, "rtvi.seen('user-llm-text').at(-1)?.data.text === 'DTMF: 12#'")
        refused = page.evaluate("rtvi.failure(rtvi.client().sendClientRequest('set-voice', { voice: 'x' }))")
        assert refused["error"] == "this agent takes no messages"
        assert page.evaluate("rtvi.client().appendToContext({ role: 'user', content: 'I am Ann.' })")
        until(page, "rtvi.seen('append-to-context-result').length === 1")
        written = "{ audio_response: false }"
        page.evaluate(f"rtvi.client().sendText('What are your opening hours?', {written})")
        until(page, "rtvi.seen('bot-output').at(-1)?.data.will_be_spoken === false")
        turns = page.evaluate("rtvi.seen('user-llm-text').length")
        page.evaluate("rtvi.client().sendText('Remember this.', { run_immediately: false })")
        page.evaluate("rtvi.failure(rtvi.client().sendClientRequest('one round trip', {}))")
        assert page.evaluate("rtvi.seen('user-llm-text').length") == turns


@WAYS
def test_the_client_runs_a_tool_for_the_model(desk: str, browser: Any, site: str, way: str) -> None:
    with connected(browser, site, desk, way) as page:
        page.evaluate("rtvi.offerMap()")
        page.evaluate("rtvi.client().sendText('Where are you?')")
        until(page, "rtvi.seen('bot-output').some((it) => it.data.text.includes('Quay Street'))")
        assert page.evaluate("rtvi.calls") == [{"functionName": "show_map", "given": {"place": "harbor"}}]
        began, stopped = last(page, "llm-function-call-in-progress"), last(page, "llm-function-call-stopped")
        assert stopped["data"] == {
            "tool_call_id": began["data"]["tool_call_id"],
            "function_name": "show_map",
            "cancelled": False,
            "result": {"street": "Quay Street"},
        }


@WAYS
def test_the_client_disconnects_the_bot(desk: str, browser: Any, site: str, way: str) -> None:
    with connected(browser, site, desk, way) as page:
        page.evaluate("rtvi.client().disconnectBot()")
        until(page, "['disconnected', 'error'].includes(rtvi.states().at(-1))")


@WAYS
def test_a_session_is_started_first(desk: str, browser: Any, site: str, way: str) -> None:
    data = {"transport": way, "enableDefaultIceServers": True, "body": {"greeting": "You were expected."}}
    with opened_client(browser, site) as page:
        connect(page, way, {"endpoint": f"{desk}/start", "requestData": data})
        until(page, "rtvi.seen('bot-output').some((it) => it.data.text === 'You were expected.')")
        until(page, "rtvi.secs() > 0.5")


def test_a_call_goes_on_over_another_connection(desk: str, browser: Any, site: str) -> None:
    with connected(browser, site, desk, "webrtc") as page:
        until(page, "rtvi.seen('bot-stopped-speaking').length === 1")
        page.evaluate("rtvi.client().sendText('I want to book a room.')")
        until(page, "rtvi.seen('bot-output').some((it) => it.data.text.includes('How many nights'))")
        page.evaluate("rtvi.reconnect()")
        until(page, "rtvi.channel() === 'open'")
        page.evaluate("rtvi.client().sendText('For two nights.')")
        until(page, "rtvi.seen('bot-output').some((it) => it.data.text.includes('which day'))")
        assert page.evaluate("rtvi.seen('bot-ready').length") == 1


def test_a_refused_start_is_explained_to_the_app(desk: str, browser: Any, site: str) -> None:
    with opened_client(browser, site) as page:
        data = {"endpoint": f"{desk}/start", "requestData": {"transport": "pigeon"}}
        arguments = ["websocket", data]
        failed = page.evaluate("([way, it]) => rtvi.failure(rtvi.connect(way, it, { microphone: false }))", arguments)
        assert "pigeon" in failed["error"]


def test_a_model_that_cannot_answer_is_an_error_and_then_the_end(browser: Any, site: str, tmp_path: Path) -> None:
    config = desk_config(tmp_path)
    openai = {"openai": {"base_url": f"{site}v1", "api_key": "unused"}}
    config |= {"llm_provider": "openai", "providers": {"pocketsphinx": config["providers"]["pocketsphinx"], **openai}}
    with served(tmp_path, config) as url, opened_client(browser, site) as page:
        connect(page, "websocket", parameters("websocket", url))
        for failures in (1, 2, 3):
            page.evaluate("rtvi.client().sendText('When is breakfast?')")
            until(page, f"rtvi.errors.filter((it) => !it.fatal).length === {failures}")
        until(page, "rtvi.errors.some((it) => it.fatal)")
        until(page, "['disconnected', 'error'].includes(rtvi.states().at(-1))")
        errors = [it["error"] for it in page.evaluate("rtvi.errors") if "error" in it]
        assert errors[0].startswith("openai: ")
        assert not any("unused" in error for error in errors)


def test_an_interruption_is_not_a_frame_that_the_client_does_not_know(desk: str, browser: Any, site: str) -> None:
    with connected(browser, site, desk, "websocket") as page:
        warnings: list[str] = []
        page.on("console", lambda line: warnings.append(line.text))
        until(page, "rtvi.seen('bot-started-speaking').length === 1")
        page.evaluate("rtvi.client().sendText('goodbye')")
        until(page, "rtvi.seen('bot-interrupted').length === 1")
        until(page, "rtvi.seen('bot-output').length > 1")
        assert not [line for line in warnings if "Unknown frame" in line]


def test_the_page_of_the_guide(playwright: Any, spoken: Path, site: str) -> None:
    with chromium(playwright, wav=spoken) as browser, opened(browser, f"{site}pipecat.html") as page:
        page.click("#talk")
        page.wait_for_selector("text=agent: Welcome to the Harbor Hotel")
        page.wait_for_selector("text=you: what are your opening hours")
        page.wait_for_selector("text=agent: The desk is open")
        page.click("#end")
        page.wait_for_selector("text=error: websocket connection closed")


def test_the_page_of_the_guide_for_webrtc(playwright: Any, spoken: Path, site: str) -> None:
    with chromium(playwright, wav=spoken) as browser, opened(browser, f"{site}webrtc.html") as page:
        page.click("#talk")
        page.wait_for_selector("text=agent: Welcome to the Harbor Hotel")
        page.wait_for_selector("text=you: what are your opening hours")
        page.wait_for_selector("text=agent: The desk is open")
        page.click("#end")
        page.wait_for_selector("text=the call is over")
