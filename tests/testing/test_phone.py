"""The caller on the phone, against a bare socket; and what the simulated carriers would not take."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from websockets.asyncio.server import ServerConnection, serve

from voxray.audio.format import MULAW_8K, PCM_16K, AudioFormat, Encoding
from voxray.audio.g711 import decode_mulaw
from voxray.testing.call_account import Clip
from voxray.testing.caller import NoReplyError, NotConnectedError
from voxray.testing.carriers import WIRES, make_wire
from voxray.testing.carriers.plivo import PlivoWire
from voxray.testing.carriers.twilio import TwilioWire
from voxray.testing.fakes import speech
from voxray.testing.phone import PhoneCaller, PhoneFaults, encoded, webhook_address
from voxray.testing.phone_wire import (
    CallRefusedError,
    CarrierRejectsError,
    Cleared,
    Keys,
    MarkSet,
    PhoneFacts,
    Sound,
    WireRequest,
    WireStream,
)
from voxray.testing.virtual import run_virtual

FACTS = PhoneFacts(call_id="CA1", stream_id="MZ1", account_id="AC1")
CLIP = Clip.of(speech(PCM_16K, 0.5))
PIECE = bytes(480)  # 60 ms of the loudest there is
Agent = Callable[[ServerConnection, list[dict[str, Any]]], Awaitable[None]]


def media(audio: bytes = PIECE) -> str:
    import base64

    return json.dumps({"event": "media", "streamSid": "MZ1", "media": {"payload": base64.b64encode(audio).decode()}})


def mark(name: str) -> str:
    return json.dumps({"event": "mark", "streamSid": "MZ1", "mark": {"name": name}})


CLEAR = json.dumps({"event": "clear", "streamSid": "MZ1"})


def call(agent: Agent, held: Callable[[PhoneCaller, list[dict[str, Any]]], Awaitable[None]], **options: Any) -> None:
    """Have `agent` answer at the socket; it is given the messages as they come, and after `agent` they still do."""

    async def run() -> None:
        got: list[dict[str, Any]] = []

        async def answer(socket: ServerConnection) -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(agent, socket, got)
                async for message in socket:
                    got.append(json.loads(message))  # noqa: PERF401 - as they come, not at the end
                tasks.cancel_scope.cancel()

        async with serve(answer, "127.0.0.1", 0, compression=None) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            stream = WireStream(url=f"ws{url[4:]}/telephony/ws", parameters={"token": "t"})
            async with PhoneCaller(url, TwilioWire(FACTS), stream=stream, **options) as caller:
                await held(caller, got)

    run_virtual(run)


async def nothing(socket: ServerConnection, got: list[dict[str, Any]]) -> None:
    return


def speaking(*messages: str, after_secs: float = 0.1) -> Agent:
    async def agent(socket: ServerConnection, got: list[dict[str, Any]]) -> None:
        await anyio.sleep(after_secs)
        for message in messages:
            await socket.send(message)

    return agent


def of(got: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [message for message in got if message["event"] == event]


# ── the caller ──


def test_the_stream_begins_and_frames_come_in_real_time() -> None:
    async def held(caller: PhoneCaller, got: list[dict[str, Any]]) -> None:
        await caller.silence(0.5)
        assert [message["event"] for message in got[:3]] == ["connected", "start", "media"]
        assert got[1]["start"]["customParameters"] == {"token": "t"}
        assert len(of(got, "media")) == pytest.approx(26, abs=2)

    call(nothing, held)


def test_an_answer_is_a_burst_of_sound() -> None:
    async def held(caller: PhoneCaller, got: list[dict[str, Any]]) -> None:
        reply = await caller.listen()
        assert reply.first_audio_at == pytest.approx(0.1, abs=0.03)
        assert reply.ended_at == pytest.approx(0.1 + 10 * 0.06, abs=0.03)
        assert caller.now() == pytest.approx(0.7 + 0.6, abs=0.05)
        assert not reply.interrupted
        with pytest.raises(NoReplyError):
            await caller.listen(0.5)

    call(speaking(*[media()] * 10), held)


def test_latency_counts_from_the_last_word() -> None:
    async def held(caller: PhoneCaller, got: list[dict[str, Any]]) -> None:
        await caller.say(CLIP)
        reply = await caller.listen()
        assert caller.said_from == pytest.approx(0.0, abs=0.03)
        assert caller.said_until == pytest.approx(0.48, abs=0.03)
        assert reply.latency_secs == pytest.approx(0.22, abs=0.05)
        assert caller.late_secs < 0.01

    call(speaking(media(), after_secs=0.7), held)


def test_marks_come_back_when_they_are_played() -> None:
    async def held(caller: PhoneCaller, got: list[dict[str, Any]]) -> None:
        await caller.silence(0.3)
        assert [message["mark"]["name"] for message in of(got, "mark")] == ["before"]
        await caller.silence(0.5)
        assert [message["mark"]["name"] for message in of(got, "mark")] == ["before", "end"]

    call(speaking(mark("before"), *[media()] * 10, mark("end")), held)


@pytest.mark.parametrize(
    ("faults", "echoes"), [(PhoneFaults(missing_marks=True), 0), (PhoneFaults(doubled_marks=True), 2)]
)
def test_marks_may_be_lost_or_doubled(faults: PhoneFaults, echoes: int) -> None:
    async def held(caller: PhoneCaller, got: list[dict[str, Any]]) -> None:
        await caller.silence(0.5)
        assert len(of(got, "mark")) == echoes

    call(speaking(media(), mark("end")), held, faults=faults)


def test_a_clear_drops_what_is_not_played_and_twilio_returns_the_marks_at_once() -> None:
    async def agent(socket: ServerConnection, got: list[dict[str, Any]]) -> None:
        for message in (*[media()] * 20, mark("end")):
            await socket.send(message)
        await anyio.sleep(0.3)
        await socket.send(CLEAR)

    async def held(caller: PhoneCaller, got: list[dict[str, Any]]) -> None:
        reply = await caller.listen()
        assert reply.interrupted
        assert reply.ended_at == pytest.approx(0.3, abs=0.05)
        assert caller.cleared_at == [pytest.approx(0.3, abs=0.05)]
        await caller.silence(0.05)
        assert len(of(got, "mark")) == 1
        heard = caller.heard_pcm()
        assert len(heard) / 2 / 8000 == pytest.approx(0.3, abs=0.05)
        assert heard[:2] == decode_mulaw(b"\0")

    call(agent, held, record=True)


def test_keys_are_pressed_and_the_receiver_is_put_down() -> None:
    async def held(caller: PhoneCaller, got: list[dict[str, Any]]) -> None:
        await caller.press("1#")
        await caller.hang_up()
        assert caller.ended is not None
        assert caller.ended.reason == "caller hung up"
        assert [message["dtmf"]["digit"] for message in of(got, "dtmf")] == ["1", "#"]
        assert got[-1]["event"] == "stop"

    call(nothing, held)


def test_the_agents_reason_for_ending_is_read() -> None:
    async def agent(socket: ServerConnection, got: list[dict[str, Any]]) -> None:
        await socket.close(1000, "agent_ended: done")

    async def held(caller: PhoneCaller, got: list[dict[str, Any]]) -> None:
        ended = await caller.goodbye()
        assert ended is not None
        assert (ended.reason, ended.detail, ended.code) == ("agent_ended", "done", 1000)

    call(agent, held)


def test_what_the_carrier_would_not_take_is_listed_and_has_no_effect() -> None:
    async def held(caller: PhoneCaller, got: list[dict[str, Any]]) -> None:
        await caller.silence(0.3)
        assert len(caller.rejected) == 2
        assert caller.replies == {}

    call(speaking('{"event":"clear"}', media().replace("}}", '},"track":"x"}')), held)


def test_a_stream_restarts_with_a_new_id() -> None:
    async def held(caller: PhoneCaller, got: list[dict[str, Any]]) -> None:
        await caller.silence(0.5)
        assert [message["start"]["streamSid"] for message in of(got, "start")] == ["MZ1", "MZ1-again"]
        assert got[-1]["streamSid"] == "MZ1-again"

    call(nothing, held, faults=PhoneFaults(restart_stream_at=0.2))


def test_frames_change_places() -> None:
    async def held(caller: PhoneCaller, got: list[dict[str, Any]]) -> None:
        await caller.silence(0.3)
        chunks = [int(message["media"]["chunk"]) for message in of(got, "media")]
        assert chunks[:8] == [1, 2, 3, 4, 6, 5, 7, 8]

    call(nothing, held, faults=PhoneFaults(reorder=True))


def test_the_carrier_falls_silent_and_deaf() -> None:
    async def held(caller: PhoneCaller, got: list[dict[str, Any]]) -> None:
        await caller.silence(0.5)
        assert len(of(got, "media")) == pytest.approx(10, abs=2)
        assert caller.replies == {}

    call(speaking(*[media()] * 3, after_secs=0.3), held, faults=PhoneFaults(silence_at=0.2, half_open_at=0.2))


def test_a_clip_is_encoded_into_whole_frames() -> None:
    frames = encoded(CLIP, MULAW_8K, 0.02)
    assert {len(frame) for frame in frames} == {160}
    assert len(frames) == pytest.approx(CLIP.secs / 0.02, abs=1)
    assert {len(frame) for frame in encoded(CLIP, AudioFormat(Encoding.PCM16, 8000), 0.1)} == {1600}
    assert encoded(CLIP, MULAW_8K, 0.02) is frames


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("localhost:8080", "http://localhost:8080/telephony/twilio"),
        ("https://x.example/", "https://x.example/telephony/twilio"),
        ("http://x.example/hook?a=1", "http://x.example/hook?a=1"),
        ("http://x.example/?lang=en", "http://x.example/?lang=en"),
    ],
)
def test_the_webhook_is_found(target: str, address: str) -> None:
    assert webhook_address(target, "twilio") == address


def test_nobody_at_home_is_no_connection() -> None:
    async def run() -> None:
        with pytest.raises(NotConnectedError, match=r"127\.0\.0\.1:9/"):
            async with PhoneCaller("http://127.0.0.1:9", TwilioWire(FACTS)):
                pass

    run_virtual(run)


def test_an_unknown_carrier_is_named() -> None:
    with pytest.raises(ValueError, match="twilio, telnyx"):
        make_wire("acme", FACTS)
    assert set(WIRES) == {"twilio", "telnyx", "plivo", "exotel", "vonage", "genesys"}


# ── what Twilio would not take ──

XML = "text/xml"


def twiml(stream: str) -> bytes:
    return f"<Response><Connect>{stream}</Connect></Response>".encode()


@pytest.mark.parametrize(
    ("status", "media_type", "body", "reason"),
    [
        (500, XML, b"", "500"),
        (200, "text/html", b"<Response/>", "no XML"),
        (200, XML, b"<Response>", "not XML"),
        (200, XML, b"<response/>", "not <Response>"),
        (200, XML, b"<Response><Start><Stream url='wss://x/'/></Start></Response>", "answered with <Connect>"),
        (200, XML, twiml("<Stream url='wss://x/'/><Stream url='wss://x/'/>"), "exactly one"),
        (200, XML, twiml("<Stream url='wss://x/' codec='PCMU'/>"), "no attribute codec"),
        (200, XML, twiml("<Stream url='https://x/'/>"), "wss://"),
        (200, XML, twiml("<Stream url='ws://x.example/'/>"), "wss://"),
        (200, XML, twiml("<Stream url='wss://x/?token=1'/>"), "31920"),
        (200, XML, twiml("<Stream url='wss://x/' track='both_tracks'/>"), "inbound_track"),
        (200, XML, twiml(f"<Stream url='wss://x/'><Parameter name='n' value='{'x' * 499}'/></Stream>"), "500"),
        (200, XML, twiml("<Stream url='wss://x/'><Parameter name='n'/></Stream>"), "name value"),
        (200, XML, b"<Response>" + b" " * 65536 + b"</Response>", "64 KB"),
    ],
)
def test_twilio_refuses_wrong_answers(status: int, media_type: str, body: bytes, reason: str) -> None:
    with pytest.raises(CarrierRejectsError, match=reason):
        TwilioWire(FACTS).stream(status, media_type, body)


def test_twilio_knows_busy_from_wrong() -> None:
    with pytest.raises(CallRefusedError, match="busy"):
        TwilioWire(FACTS).stream(200, XML, b"<Response><Reject reason='busy'/></Response>")


@pytest.mark.parametrize(
    "message",
    [
        b"\xff" * 160,
        "{",
        "[]",
        '{"event":"stop","streamSid":"MZ1"}',
        '{"event":"clear","streamSid":"MZ2"}',
        '{"event":"clear","streamSid":"MZ1","more":1}',
        '{"event":"media","streamSid":"MZ1","media":{"payload":"AAAA","track":"outbound"}}',
        '{"event":"media","streamSid":"MZ1","media":{"payload":"A"}}',
        '{"event":"media","streamSid":"MZ1","media":{"payload":""}}',
        '{"event":"media","streamSid":"MZ1","media":{"payload":"UklGRgAA"}}',
        '{"event":"mark","streamSid":"MZ1","mark":{"name":5}}',
    ],
)
def test_twilio_drops_messages_it_does_not_document(message: str | bytes) -> None:
    with pytest.raises(CarrierRejectsError):
        TwilioWire(FACTS).understand(message)


def test_twilio_understands_what_it_documents() -> None:
    understand = TwilioWire(FACTS).understand
    assert [*understand(media()), *understand(mark("a")), *understand(CLEAR)] == [Sound(PIECE), MarkSet("a"), Cleared()]


AUTHORIZED = {"authorization": "Basic QUMxOnRva2Vu"}  # AC1:token
CALLS = "/2010-04-01/Accounts/AC1/Calls"


@pytest.mark.parametrize(
    ("url", "headers", "body"),
    [
        (f"{CALLS}.json", {}, b"To=1&From=2&Url=https://x/"),
        (f"{CALLS}.json", AUTHORIZED, b"To=1&From=2"),
        (f"{CALLS}.json", AUTHORIZED, b"To=1&From=2&Url=https://x/&Colour=red"),
        (f"{CALLS}.json", AUTHORIZED, b"To=1&From=2&Url=https://x/&Timeout=601"),
        (f"{CALLS}/CA1.json", AUTHORIZED, b"Twiml=<Response/>"),
        ("/2010-04-01/Accounts/AC2/Calls.json", AUTHORIZED, b""),
    ],
)
def test_twilios_api_is_strict(url: str, headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(CarrierRejectsError):
        TwilioWire(FACTS).rest(WireRequest(method="POST", url=url, headers=headers, body=body))


def test_a_call_that_is_gone_is_not_found() -> None:
    request = WireRequest(method="POST", url=f"{CALLS}/CA9.json", headers=AUTHORIZED, body=b"Status=completed")
    assert TwilioWire(FACTS).rest(request).status == 404


# ── what Plivo would not take ──


def plivo_xml(attributes: str, url: str = "wss://x/") -> bytes:
    return f"<Response><Stream {attributes}>{url}</Stream></Response>".encode()


BOTH_WAYS = 'bidirectional="true" keepCallAlive="true"'


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<Response><Connect><Stream url='wss://x/'/></Connect></Response>", "answered with <Stream>"),
        (plivo_xml('bidirectional="true"'), "keepCallAlive"),
        (plivo_xml(f'{BOTH_WAYS} audioTrack="both"'), "audioTrack"),
        (plivo_xml(f'{BOTH_WAYS} contentType="audio/x-mulaw"'), "contentType"),
        (plivo_xml(f'{BOTH_WAYS} url="wss://x/"'), "no attribute url"),
        (plivo_xml(BOTH_WAYS, "https://x/"), "wss://"),
        (plivo_xml(f'{BOTH_WAYS} extraHeaders="a=b-c"'), "letters and digits"),
        (plivo_xml(f'{BOTH_WAYS} extraHeaders="a={"x" * 511}"'), "512"),
    ],
)
def test_plivo_refuses_wrong_answers(body: bytes, reason: str) -> None:
    with pytest.raises(CarrierRejectsError, match=reason):
        PlivoWire(FACTS).stream(200, "application/xml", body)


@pytest.mark.parametrize("kind", ["audio/x-l16;rate=16000", "audio/x-mulaw;rate=8000"])
def test_plivos_stream_is_what_the_answer_asked_for(kind: str) -> None:
    wire = PlivoWire(FACTS)
    stream = wire.stream(200, XML, plivo_xml(f'{BOTH_WAYS} contentType="{kind}" extraHeaders="a=1"'))
    start = json.loads(wire.opening(stream)[0])
    said = start["start"]["mediaFormat"]
    assert f"{said['encoding']};rate={said['sampleRate']}" == kind
    assert start["extra_headers"] == "{X-PH-a: 1}"


@pytest.mark.parametrize(
    "message",
    [
        b"\0",
        '{"event":"media"}',
        '{"event":"clearAudio"}',
        '{"event":"clearAudio","streamId":"s9"}',
        '{"event":"sendDTMF","dtmf":"A"}',
        '{"event":"playAudio","media":{"contentType":"audio/x-l16;rate=8000","sampleRate":8000,"payload":"AAAA"}}',
        '{"event":"playAudio","media":{"contentType":"audio/x-l16","sampleRate":"8000","payload":"AAAA"}}',
        '{"event":"playAudio","media":{"contentType":"audio/x-l16","sampleRate":8000,"payload":"AAAA"}}',
        '{"event":"playAudio","media":{"contentType":"audio/x-l16","sampleRate":8000,"payload":"AAA="},"more":1}',
    ],
)
def test_plivo_drops_messages_it_does_not_document(message: str | bytes) -> None:
    with pytest.raises(CarrierRejectsError):
        PlivoWire(FACTS).understand(message)


def test_plivo_understands_what_it_documents() -> None:
    understand = PlivoWire(FACTS).understand
    sound = '{"event":"playAudio","media":{"contentType":"audio/x-l16","sampleRate":8000,"payload":"AAA="}}'
    assert list(understand(sound)) == [Sound(b"\0\0")]
    assert list(understand('{"event":"checkpoint","streamId":"MZ1","name":"a"}')) == [MarkSet("a")]
    assert list(understand('{"event":"clearAudio","streamId":"MZ1"}')) == [Cleared()]
    assert list(understand('{"event":"sendDTMF","dtmf":"1w2"}')) == [Keys("1w2")]
    assert "clearedAudio" in str(PlivoWire(FACTS).cleared(["a"])[0])


# ── signatures, by the vectors of the specification ──


def test_the_simulators_sign_as_the_carriers_do() -> None:
    twilio = TwilioWire(FACTS, secret="12345678901234567890123456789012")
    handshake = twilio.handshake(WireStream(url="wss://voice.example.com/telephony/ws"), at=0)
    assert handshake["X-Twilio-Signature"] == "gwpmy61lCTN1lHHlCu0pMEeDRJo="
    plivo = PlivoWire(FACTS, secret="plivosecrettoken")
    form = {
        "CallUUID": "5b1b7a3e-0000-4000-8000-000000000001",
        "From": "15005550006",
        "To": "15005550001",
        "CallStatus": "ringing",
        "Direction": "inbound",
    }
    request = plivo.callback("https://voice.example.com/?b=2&a=1", form)
    assert request.headers["X-Plivo-Signature-V3"] == "j6/w4BAS+YxBLJN8XXQEXRYZmpbtMEqAczGP7/uFx6U="
    request = plivo.callback("https://voice.example.com/", {})
    assert request.headers["X-Plivo-Signature-V3"] == "Y7Q/WQDpgUv3gb9RetVMb8J8EH4+uGnx2ShYISw8Sio="
