"""Vonage's media socket: our serializer against the rules and against the simulator."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from voxray_vonage.carrier import VonageCarrier
from voxray_vonage.serializer import VonageSerializer

from voxray.audio.format import PCM_8K, PCM_16K, PCM_24K, AudioFormat
from voxray.events import CallEnded, DtmfReceived, DtmfRequested, Mark, MarkReached, ReplyInterrupted
from voxray.testing.carriers.vonage import VonageWire
from voxray.testing.fake_transport import speech
from voxray.testing.phone_wire import CarrierRejectsError, Cleared, MarkSet, PhoneFacts, Sound, WireStream
from voxray.testing.serializer_check import check_serializer

CONNECTED = '{"event":"websocket:connected","content-type":"audio/l16;rate=16000","session":"5f0c","caller":"+1500"}'
INTERRUPTED = ReplyInterrupted(1, "", 0.0)
FACTS = PhoneFacts(call_id="u-1", stream_id="")


def carrier() -> VonageCarrier:
    context: Any = SimpleNamespace(base_url="", secret=lambda name: "")
    return VonageCarrier(context)


def notified(name: str) -> str:
    return json.dumps({"event": "websocket:notify", "payload": {"name": name}})


@pytest.mark.anyio
async def test_the_serializer_keeps_its_contract() -> None:
    good = [CONNECTED, notified("1.1"), '{"event":"websocket:dtmf","digit":"5","duration":260}', bytes(640)]
    await check_serializer(lambda: VonageSerializer(16000), good=good)


@pytest.mark.parametrize(("rate_hz", "audio"), [(8000, PCM_8K), (16000, PCM_16K), (24000, PCM_24K)])
def test_the_rate_is_what_the_socket_says(rate_hz: int, audio: AudioFormat) -> None:
    start = carrier().recognize([CONNECTED.replace("16000", str(rate_hz))], {})
    assert start is not None
    assert start.serializer.audio_in == start.serializer.audio_out == audio


def test_headers_come_back_as_parameters() -> None:
    start = carrier().recognize([CONNECTED], {})
    assert start is not None
    assert (start.call.caller, start.call.parameters) == ("+1500", {"session": "5f0c"})


@pytest.mark.parametrize(
    "message", [b"\0\0", "", "{", "[]", '{"event":"start"}', '{"version":"2","type":"open"}', "[" * 100_000]
)
def test_other_sockets_are_not_vonages(message: str | bytes) -> None:
    assert carrier().recognize([message], {}) is None


@pytest.mark.parametrize("content_type", ["audio/l16;rate=44100", "audio/pcm", "", 5, None])
def test_a_socket_with_other_sound_is_refused(content_type: Any) -> None:
    with pytest.raises(ValueError, match="content type"):
        carrier().recognize([json.dumps({"event": "websocket:connected", "content-type": content_type})], {})


@pytest.mark.parametrize("secs", [0.02, 0.06, 0.05, 1.0])
def test_sound_goes_out_in_frames_of_20_ms(secs: float) -> None:
    serializer = VonageSerializer(16000)
    wire = VonageWire(FACTS)
    audio = speech(PCM_16K, secs)
    encoded = serializer.encode(audio)
    frames = encoded if isinstance(encoded, tuple) else (encoded,)
    sounds = [meaning for frame in frames if frame for meaning in wire.understand(frame)]
    heard = b"".join(sound.audio for sound in sounds if isinstance(sound, Sound))
    assert heard[: len(audio)] == audio
    assert heard[len(audio) :].strip(b"\0") == b""


def test_pieces_are_three_frames_written_together() -> None:
    for rate_hz in (8000, 16000, 24000):
        pieces = VonageSerializer(rate_hz).pieces
        assert pieces is not None
        frame = rate_hz * 2 // 50
        assert (pieces.usual, pieces.least, pieces.multiple) == (3 * frame, 3 * frame, frame)


def test_sound_that_comes_in_is_passed_on_in_any_length() -> None:
    serializer = VonageSerializer(16000)
    assert list(serializer.decode(bytes(640))) == [bytes(640)]
    assert list(serializer.decode(bytes(2))) == [bytes(2)]
    assert list(serializer.decode(b"")) == []
    with pytest.raises(ValueError, match="odd"):
        serializer.decode(bytes(641))


def test_a_mark_is_a_notify_that_comes_back() -> None:
    serializer, wire = VonageSerializer(16000), VonageWire(FACTS)
    message = serializer.encode(Mark("1.1"))
    assert isinstance(message, str)
    assert wire.understand(message) == [MarkSet("1.1")]
    assert list(serializer.decode(wire.mark_reached("1.1"))) == [MarkReached("1.1")]
    assert list(serializer.decode(wire.mark_reached("1.1"))) == []


def test_a_mark_that_was_passed_over_was_played_as_well() -> None:
    serializer = VonageSerializer(16000)
    for name in ("1.1", "1.2", "1.3"):
        serializer.encode(Mark(name))
    assert list(serializer.decode(notified("1.2"))) == [MarkReached("1.1"), MarkReached("1.2")]


def test_an_interruption_clears_and_forgets_what_was_pending() -> None:
    serializer, wire = VonageSerializer(16000), VonageWire(FACTS)
    serializer.encode(Mark("1.1"))
    message = serializer.encode(INTERRUPTED)
    assert isinstance(message, str)
    assert wire.understand(message) == [Cleared()]
    for echo in (*wire.cleared(["1.1"]), wire.mark_reached("1.1")):
        assert list(serializer.decode(echo)) == []


@pytest.mark.parametrize(
    ("data", "digits"),
    [
        ({"digit": "5", "duration": 260}, ["5"]),
        ({"digit": 5}, ["5"]),
        ({"digit": "#"}, ["#"]),
        ({"dtmf": {"digit": "*"}}, ["*"]),
        ({"digit": "55"}, []),
        ({"digit": -1}, []),
        ({"digit": True}, []),
        ({"digit": ""}, []),
        ({}, []),
    ],
)
def test_a_key_is_a_key_however_it_is_written(data: dict[str, Any], digits: list[str]) -> None:
    items = VonageSerializer(16000).decode(json.dumps({"event": "websocket:dtmf", **data}))
    assert list(items) == [DtmfReceived(digit) for digit in digits]


@pytest.mark.parametrize(
    "message", ['{"event":"websocket:new","x":1}', "{}", '{"event":7}', '{"event":"websocket:notify"}']
)
def test_what_is_unknown_is_ignored(message: str) -> None:
    assert list(VonageSerializer(16000).decode(message)) == []


@pytest.mark.parametrize("message", ["", "{", "[]", "7", "[" * 100_000])
def test_what_is_not_an_object_is_an_error(message: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        VonageSerializer(16000).decode(message)


def test_other_events_have_no_message() -> None:
    serializer = VonageSerializer(16000)
    assert serializer.encode(CallEnded("agent_ended")) is None
    assert serializer.encode(DtmfRequested("1")) is None  # by REST


@pytest.mark.parametrize(
    "message",
    [bytes(639), bytes(1280), b"", "{", "[]", '{"action":"mark"}', '{"action":"clear","now":1}', '{"action":"notify"}'],
)
def test_the_simulator_rejects_what_vonage_would(message: str | bytes) -> None:
    wire = VonageWire(FACTS)
    wire.opening(WireStream(url="wss://x"))
    with pytest.raises(CarrierRejectsError):
        wire.understand(message)
