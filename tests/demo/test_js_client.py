"""The JavaScript client alone, in pages of another origin than the server's."""

from __future__ import annotations

import itertools
import re
import signal
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.demo.browser import microphone, need_chromium, opened, until
from tests.demo.running import running_demo
from tests.demo.test_console import SOCKET, WAYS

GUIDES = {"call.html": Path("docs/how-to/talk-from-a-web-page.md"), "talk.js": Path("clients/js/README.md")}
PAGE = '<!doctype html><meta charset="utf-8"><title>Client</title><link rel="icon" href="data:,"><button>Go</button>'
# Makes `client`, and `seen`: what it told, with the time.
LOAD = """async ([server, options]) => {
  const { Client } = await import(`${server}/client/index.js`);
  window.client = new Client(`${server}/`);
  window.seen = [];
  for (const type of ["state", "frame", "sent", "level", "timing", "network", "notice", "connection", "ended"]) {
    client.on(type, (detail) => seen.push({ type, detail, at: performance.now() / 1000 }));
  }
  window.told = (type) => seen.filter((each) => each.type === type).map(({ detail }) => detail);
  window.frames = (type) => seen.filter((each) => each.type === "frame" && each.detail.type === type);
  window.go = () => client.start(options);
}"""
PEERS = """{
  window.channels = [];
  const create = RTCPeerConnection.prototype.createDataChannel;
  RTCPeerConnection.prototype.createDataChannel = function (...given) {
    const channel = create.apply(this, given);
    channels.push(channel);
    return channel;
  };
}"""
NO_MICROPHONE = """() => {
  navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("", "NotFoundError"); };
}"""
NOTE_REPLACED = """{
  window.replaced = []; // whether each track that took another's place was to be heard
  const replace = RTCRtpSender.prototype.replaceTrack;
  RTCRtpSender.prototype.replaceTrack = function (track) {
    replaced.push(track.enabled);
    return replace.call(this, track);
  };
}"""
STOP_AS_SOUND_CLOSES = """() => {
  const close = AudioContext.prototype.close;
  AudioContext.prototype.close = function () {
    client.stop();
    return close.call(this);
  };
}"""
START = '{"type":"StartFrame","data":{"audio_out_sample_rate":24000}}'
# Seconds from the message that cuts an answer off until it cannot be heard any more, and whether it was heard again.
CUT = """() => {
  const cut = frames("InterruptionFrame").at(-1).at;
  const next = frames("BotStartedSpeakingFrame").find(({ at }) => at > cut)?.at ?? Infinity;
  const levels = seen.filter(({ type, detail, at }) => type === "level" && detail.agent !== undefined && at < next);
  const before = levels.filter(({ at }) => at > cut - 0.2 && at <= cut).map(({ detail }) => detail.agent);
  const after = levels.filter(({ at }) => at > cut);
  const silent = after.find(({ detail }) => detail.agent < 0.0005).at;
  const later = after.filter(({ at }) => at > silent).map(({ detail }) => detail.agent);
  return { loud: Math.max(...before), secs: silent - cut, again: Math.max(0, ...later), reports: later.length };
}"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, demo: str) -> Iterator[str]:
    """The address of an empty page, from a web server of its own; beside it what the guides show."""
    need_chromium()
    folder = tmp_path_factory.mktemp("site")
    (folder / "index.html").write_text(PAGE, encoding="utf-8")
    for name, guide in GUIDES.items():
        block = re.search(rf"^```\w+\n(?:<!-- |// ){name}.*?\n(.*?)^```", guide.read_text(), re.DOTALL | re.MULTILINE)
        assert block
        (folder / name).write_text(block[1].replace("http://localhost:3042", demo), encoding="utf-8")
    (folder / "talk.html").write_text(f'{PAGE}<script type="module" src="talk.js"></script>', encoding="utf-8")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def load(page: Any, server: str, **options: Any) -> None:
    page.evaluate(LOAD, [server, options])


def ended(page: Any) -> Any:
    until(page, "told('ended').length > 0")
    return page.evaluate("told('ended').at(-1)")


@WAYS
def test_a_spoken_turn_and_a_cut_that_is_heard_at_once(
    demo: str, words: Any, browser: Any, site: str, way: str
) -> None:
    with opened(browser, site, script=microphone(words)) as page:
        load(page, demo, transport=way, microphone=True)
        page.evaluate("go()")
        until(page, "frames('BotStoppedSpeakingFrame').length === 1")
        page.evaluate("speak('question')")
        until(page, "told('timing').length === 1")
        timing = page.evaluate("told('timing')[0]")
        assert timing["totalSecs"] == pytest.approx(sum(stage["secs"] for stage in timing["stages"]))
        assert page.evaluate("frames('UserTurnFrame')[0].detail.data.text") == "what are your opening hours"
        played = page.evaluate("client.playedSecs")
        until(page, f"client.playedSecs > {played} + 1")
        page.evaluate("client.interrupt()")
        until(page, "frames('InterruptionFrame').length === 1")
        at = page.evaluate("frames('InterruptionFrame')[0].at")
        until(page, f"seen.some(({{ type, detail, at }}) => type === 'level' && 'agent' in detail && at > {at} + 0.5)")
        cut = page.evaluate(CUT)
        assert cut["loud"] > 0.01
        assert cut["secs"] < 0.15
        assert cut["again"] < 0.0005
        assert cut["reports"] > 5
        page.evaluate("client.sendText('When is breakfast?')")
        until(page, f"client.playedSecs > {played} + 2")  # the next answer is heard
        states = page.evaluate("told('state')")
        assert states[:3] == ["connecting", "listening", "speaking"]
        assert {"hearing", "thinking"} <= set(states)
        page.evaluate("client.stop()")
        assert ended(page)["cause"] == "client_asked"
        assert page.evaluate("client.state") == "ended"


@WAYS
def test_keys_messages_and_the_end_by_the_agent(demo: str, browser: Any, site: str, way: str) -> None:
    with opened(browser, site) as page:
        load(page, demo, transport=way, body={"greeting": "Good day to you."})
        page.evaluate("go()")
        until(page, "frames('AggregatedTextFrame').length === 1")
        assert page.evaluate("frames('AggregatedTextFrame')[0].detail.data.text") == "Good day to you."
        for digit in "12#":
            page.evaluate("(digit) => client.sendKey(digit)", digit)
        until(page, "frames('UserTurnFrame').length === 1")
        assert page.evaluate("frames('UserTurnFrame')[0].detail.data.text") == "DTMF: 12#"
        page.evaluate("client.send('TTSSpeakFrame', { text: 'One moment.' })")
        until(page, "frames('AggregatedTextFrame').some((it) => it.detail.data.text === 'One moment.')")
        page.evaluate("client.send('Nonsense', {})")
        until(page, "told('notice').length > 0")
        assert "did not understand a message of this page" in page.evaluate("told('notice')[0].text")
        page.evaluate("client.sendText('goodbye')")
        assert ended(page)["cause"] == "agent_ended"
        assert not page.evaluate("told('ended').some((it) => it.willRetryInSecs)")


def test_a_broken_socket_is_called_again_more_and_more_slowly(demo: str, browser: Any, site: str) -> None:
    calls: list[Any] = []

    def broken(socket: Any) -> None:
        calls.append(socket)
        socket.send(START)
        socket.close(code=1012, reason="")

    with opened(browser, site) as page:
        page.route_web_socket(SOCKET, broken)
        load(page, demo)
        page.evaluate("go()")
        until(page, "client.state === 'ended'", secs=30)
        assert page.evaluate("told('ended').map((it) => it.willRetryInSecs ?? 0)") == [1, 2, 4, 0]
        tried = page.evaluate("seen.filter((it) => it.detail === 'connecting').map(({ at }) => at)")
        gaps = [later - earlier for earlier, later in itertools.pairwise(tried)]
        assert [round(gap) for gap in gaps] == [1, 2, 4]
        assert len(calls) == 4


def test_a_call_by_webrtc_goes_on_over_a_new_connection(demo: str, browser: Any, site: str) -> None:
    with opened(browser, site, script=PEERS) as page:
        offers: list[Any] = []
        page.on("request", lambda it: offers.append(it.post_data_json) if it.url.endswith("/offer") else None)
        load(page, demo, transport="webrtc")
        page.evaluate("go()")
        until(page, "frames('BotStoppedSpeakingFrame').length === 1")
        page.evaluate("channels.at(-1).close()")
        page.evaluate("client.sendText('When is breakfast?')")  # waits for the new connection
        until(page, "told('connection').at(-1) === 'restored'")
        assert page.evaluate("told('connection')") == ["disturbed", "restored"]
        first, second = (offer for offer in offers if "sdp" in offer)
        assert (first["pc_id"], first["restart_pc"]) == (None, False)
        assert second["pc_id"]
        assert second["restart_pc"] is True
        until(page, "frames('AggregatedTextFrame').some((it) => it.detail.data.text.includes('seven until ten'))")
        played = page.evaluate("client.playedSecs")
        until(page, f"client.playedSecs > {played} + 1")
        assert page.evaluate("frames('StartFrame').length") == 1
        assert page.evaluate("told('ended').length") == 0


def test_a_call_by_webrtc_survives_that_the_other_side_is_away(browser: Any, site: str) -> None:
    with running_demo() as (demo, process), opened(browser, site) as page:
        load(page, demo, transport="webrtc")
        page.evaluate("go()")
        until(page, "frames('BotStoppedSpeakingFrame').length === 1")
        process.send_signal(signal.SIGSTOP)
        until(page, "told('connection').at(-1) === 'disturbed'", secs=40)
        process.send_signal(signal.SIGCONT)
        until(page, "told('connection').at(-1) === 'restored'")
        page.evaluate("client.sendText('When is breakfast?')")
        until(page, "frames('AggregatedTextFrame').some((it) => it.detail.data.text.includes('seven until ten'))")
        played = page.evaluate("client.playedSecs")
        until(page, f"client.playedSecs > {played} + 1")
        assert page.evaluate("told('ended').length") == 0


def test_a_webrtc_offer_that_is_refused_is_not_repeated(demo: str, browser: Any, site: str) -> None:
    def refuse(route: Any) -> None:
        if route.request.method == "OPTIONS":
            route.continue_()
            return
        offers.append(route.request)
        body = '{"error": {"code": "bad_request", "message": "No such codec"}}'
        headers = {"access-control-allow-origin": "*", "content-type": "application/json"}
        route.fulfill(status=400, body=body, headers=headers)

    offers: list[Any] = []
    with opened(browser, site) as page:
        page.route("**/api/offer", refuse)
        load(page, demo, transport="webrtc")
        assert page.evaluate("go().catch((it) => [it.message, it.status])") == ["No such codec", 400]
        assert len(offers) == 1
        assert page.evaluate("client.state") == "idle"


def test_an_offer_that_failed_is_made_again(demo: str, browser: Any, site: str) -> None:
    tried: list[Any] = []

    def fail_once(route: Any) -> None:
        if route.request.method == "POST":
            tried.append(route.request.post_data_json)
        if len(tried) == 1 and route.request.method == "POST":
            route.fulfill(status=503, body="", headers={"access-control-allow-origin": "*"})
        else:
            route.continue_()

    with opened(browser, site) as page:
        page.route("**/api/offer", fail_once)
        load(page, demo, transport="webrtc")
        page.evaluate("go()")
        until(page, "frames('StartFrame').length === 1")
        assert [offer["restart_pc"] for offer in tried] == [False, True]


def test_faults_have_names_and_words(demo: str, browser: Any, site: str) -> None:
    failure = "go().catch(({ name, message, status, retryable }) => [name, message, status, retryable ?? false])"
    with opened(browser, site) as page:
        load(page, demo)
        page.route("**/start", lambda route: route.abort())
        assert page.evaluate(failure) == ["CallError", "The server does not answer. Is it still running?", 0, True]
        page.unroute("**/start")
        load(page, demo, transport="webrtc", microphone=True)
        page.evaluate(NO_MICROPHONE)
        name, message, *_ = page.evaluate(failure)
        assert name == "MicrophoneError"
        assert "No microphone was found" in message
        load(page, demo, transport="websocket", body=[])
        name, message, status, _ = page.evaluate(failure)
        assert (name, status) == ("CallError", 422)
        assert "body" in message


def test_a_call_can_be_given_up_while_it_is_made(demo: str, browser: Any, site: str) -> None:
    with opened(browser, site) as page:
        page.route("**/start", lambda route: None)  # never answered
        load(page, demo)
        page.evaluate("void go()")
        until(page, "client.state === 'connecting'")
        page.evaluate("client.stop()")
        assert ended(page)["cause"] == "client_asked"


def test_a_call_can_be_given_up_before_the_server_begins_it(demo: str, browser: Any, site: str) -> None:
    with opened(browser, site) as page:
        page.route_web_socket(SOCKET, lambda socket: None)  # takes the call, and says nothing
        load(page, demo)
        page.evaluate("go()")
        assert page.evaluate("client.state") == "connecting"
        page.evaluate("client.stop()")
        assert ended(page)["cause"] == "client_asked"


def test_a_call_can_be_ended_while_it_breaks(demo: str, browser: Any, site: str) -> None:
    sockets: list[Any] = []

    def begin(socket: Any) -> None:
        sockets.append(socket)
        socket.send(START)

    with opened(browser, site) as page:
        page.route_web_socket(SOCKET, begin)
        load(page, demo)
        page.evaluate("go()")
        until(page, "client.inCall")
        page.evaluate(STOP_AS_SOUND_CLOSES)
        sockets[0].close(code=1012, reason="")
        assert ended(page)["cause"] == "client_asked"
        assert page.evaluate("client.state") == "ended"


def test_another_microphone_is_muted_before_it_is_sent(demo: str, words: Any, browser: Any, site: str) -> None:
    with opened(browser, site, script=microphone(words) + NOTE_REPLACED) as page:
        load(page, demo, transport="webrtc", microphone=True)
        page.evaluate("go()")
        until(page, "client.inCall")
        page.evaluate("client.setMuted(true)")
        page.evaluate("client.setMicrophone('')")
        assert page.evaluate("replaced") == [False]


def test_the_page_of_the_guide(demo: str, words: Any, browser: Any, site: str) -> None:
    with opened(browser, f"{site}call.html", script=microphone(words)) as page:
        page.click("#talk")
        page.wait_for_selector("text=agent: Hello! What can I do for you?")
        page.wait_for_selector("#state:text-is('listening')")
        page.evaluate("speak('question')")
        page.wait_for_selector("text=user: what are your opening hours")
        page.wait_for_selector("text=agent: The desk is open")
        page.wait_for_selector("#state:text-is('speaking')")
        page.evaluate("speak('interruption')")
        page.wait_for_selector("del:not(:empty)")
        page.click("#end")
        page.wait_for_selector("text=note: You ended the call.")
        assert page.is_enabled("#talk")


def test_the_script_of_the_readme(demo: str, words: Any, browser: Any, site: str) -> None:
    lines: list[str] = []
    with opened(browser, "about:blank", script=microphone(words)) as page:
        page.on("console", lambda line: lines.append(line.text))
        page.goto(f"{site}talk.html")
        with page.expect_console_message(lambda line: line.text.startswith("agent: Welcome to the Harbor Hotel")):
            page.click("button")
        with page.expect_console_message(lambda line: line.text == "you: what are your opening hours"):
            page.evaluate("speak('question')")
        assert "listening" in lines
