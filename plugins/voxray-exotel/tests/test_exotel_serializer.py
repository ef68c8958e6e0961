"""Exotel's media stream, both ways."""

import base64
import json

import pytest
from voxray_exotel.serializer import ExotelSerializer

from voxray.audio.format import MULAW_8K, PCM_8K, PCM_16K, AudioFormat
from voxray.audio.tone import tone
from voxray.events import DtmfReceived, DtmfRequested, EndRequested, Mark, MarkReached, ReplyInterrupted
from voxray.testing.carriers.exotel import ExotelWire
from voxray.testing.phone_wire import CarrierRejectsError, Cleared, MarkSet, PhoneFacts, Sound, WireStream
from voxray.testing.serializer_check import check_serializer

pytestmark = pytest.mark.anyio

FACTS = PhoneFacts(call_id="9a7b0001", stream_id="1d3f0001")
STREAM = WireStream(url="wss://voice.example.com/telephony/ws", parameters={"token": "t"})
INTERRUPTED = ReplyInterrupted(1, "", 0.0)
SOUND = tone((300,), 0.1, 8000)
PIECE = tone((300,), 0.2, 8000)


def opened(wire: ExotelWire, asked_hz: int = 8000) -> ExotelSerializer:
    return ExotelSerializer(json.loads(wire.opening(STREAM)[-1]), asked_hz)


def pair(**options: object) -> tuple[ExotelWire, ExotelSerializer]:
    wire = ExotelWire(FACTS, **options)
    return wire, opened(wire)


def started(**start: object) -> ExotelSerializer:
    return ExotelSerializer({"event": "start", "start": {"stream_sid": "1", "call_sid": "2", **start}}, 16_000)


@pytest.mark.parametrize("spelling", ["snake", "camel"])
async def test_it_keeps_the_contract_of_serializers(spelling: str) -> None:
    wire = ExotelWire(FACTS, spelling=spelling)
    good = [*wire.opening(STREAM), wire.media(SOUND), wire.dtmf("5"), wire.mark_reached("a"), *wire.cleared([])]
    await check_serializer(lambda: opened(ExotelWire(FACTS)), good=[*good, wire.stop()])


@pytest.mark.parametrize("spelling", ["snake", "camel"])
def test_sound_goes_both_ways(spelling: str) -> None:
    wire, serializer = pair(spelling=spelling)
    assert list(serializer.decode(wire.media(SOUND))) == [SOUND]
    assert wire.understand(serializer.encode(PIECE)) == [Sound(PIECE)]


PCM_24K = AudioFormat(PCM_8K.encoding, 24_000)


@pytest.mark.parametrize(
    ("media_format", "audio"),
    [
        ({"encoding": "raw", "sample_rate": "8000", "bit_rate": "128"}, PCM_8K),
        ({"encoding": "base64", "sample_rate": 16_000}, PCM_16K),
        ({"encoding": "audio/x-raw", "sample_rate": "24000"}, PCM_24K),
        ({"encoding": "slin"}, PCM_16K),  # what we asked for
        ({"encoding": "audio/x-l16", "sampleRate": 8000}, PCM_8K),
        ({"encoding": "audio/L16;rate=8000"}, PCM_8K),
        ({"encoding": "something new"}, PCM_16K),
        ({"encoding": "audio/x-mulaw;rate=8000"}, MULAW_8K),
        ({"encoding": "PCMU", "sample_rate": 8000}, MULAW_8K),
        ("audio/x-mulaw;rate=8000", MULAW_8K),
        ({}, PCM_16K),
        (None, PCM_16K),
    ],
)
def test_the_start_message_says_what_the_sound_is(media_format: object, audio: AudioFormat) -> None:
    serializer = started(media_format=media_format)
    assert (serializer.audio_in, serializer.audio_out) == (audio, audio)


@pytest.mark.parametrize("rate", [11_025, "44100"])
def test_a_rate_that_exotel_does_not_have_is_an_error(rate: object) -> None:
    with pytest.raises(ValueError, match="sample rate"):
        started(media_format={"encoding": "raw", "sample_rate": rate})


def test_pieces_are_as_large_as_exotel_wants_them() -> None:
    _, serializer = pair()
    assert (serializer.pieces.least, serializer.pieces.multiple) == (3200, 320)
    assert serializer.pieces.usual >= 3200


def test_a_long_piece_is_several_messages() -> None:
    wire, serializer = pair()
    sound = bytes(320 * 1000)
    messages = serializer.encode(sound)
    assert b"".join(it.audio for message in messages for it in wire.understand(message)) == sound


def test_the_simulator_refuses_what_exotel_would_distort() -> None:
    wire, serializer = pair()
    with pytest.raises(CarrierRejectsError, match="multiple of 320"):
        wire.understand(serializer.encode(PIECE[:-2]))
    wire.understand(serializer.encode(PIECE[:320]))
    with pytest.raises(CarrierRejectsError, match="within an utterance"):
        wire.understand(serializer.encode(PIECE))


def test_the_end_of_an_utterance_may_be_short() -> None:
    wire, serializer = pair()
    for item in (PIECE, PIECE[:320], Mark("a"), PIECE, PIECE[:640], INTERRUPTED, PIECE):
        wire.understand(serializer.encode(item))


def test_marks_and_clears_are_what_exotel_takes() -> None:
    wire, serializer = pair(spelling="camel")
    assert wire.understand(serializer.encode(Mark("a"))) == [MarkSet("a")]
    assert wire.understand(serializer.encode(INTERRUPTED)) == [Cleared()]
    assert serializer.encode(DtmfRequested("1")) is None


def test_marks_come_back_once_and_not_after_a_clear() -> None:
    wire, serializer = pair()
    for item in (Mark("a"), Mark("b"), INTERRUPTED, Mark("c"), Mark("d"), Mark("e")):
        serializer.encode(item)
    came = [wire.mark_reached(name) for name in ("a", "b", "d", "d", "c", "x", "e")]
    assert [item for it in came for item in serializer.decode(it)] == [MarkReached("d"), MarkReached("e")]


def test_keys_and_the_end_are_understood() -> None:
    wire, serializer = pair()
    assert list(serializer.decode(wire.dtmf("*"))) == [DtmfReceived("*")]
    assert list(serializer.decode('{"event":"dtmf","dtmf":{"digit":7}}')) == [DtmfReceived("7")]
    assert list(serializer.decode(wire.stop())) == [EndRequested("the caller hung up")]


@pytest.mark.parametrize(
    "message",
    [
        '{"event":"connected"}',
        '{"event":"something new","stream_sid":"1d3f0001"}',
        '{"event":"clear","stream_sid":"1d3f0001"}',
        '{"event":"media","stream_sid":"another","media":{"payload":"AAAA"}}',
        '{"event":"media","streamSid":"another","media":{"payload":"AAAA"}}',
        '{"event":"media","stream_sid":"1d3f0001","media":{"payload":""}}',
        '{"event":"dtmf","dtmf":{"digit":"x"}}',
        '{"event":"start","start":1}',
    ],
)
def test_what_means_nothing_is_ignored(message: str) -> None:
    assert list(pair()[1].decode(message)) == []


@pytest.mark.parametrize(
    "message",
    [
        b"\x00\x01",
        "",
        "1",
        "[" * 100_000,
        '{"event":"media","media":{}}',
        '{"event":"media","media":{"payload":"A"}}',
        '{"event":"media","media":{"payload":"AAAA"}}',  # three bytes
    ],
)
def test_what_cannot_be_understood_is_an_error(message: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        pair()[1].decode(message)


def test_a_stream_that_starts_anew_goes_on() -> None:
    wire, serializer = pair()
    again = ExotelWire(PhoneFacts(call_id="9a7b0001", stream_id="second"))
    assert list(serializer.decode(again.opening(STREAM)[-1])) == []
    assert list(serializer.decode(wire.media(SOUND))) == []
    assert list(serializer.decode(again.media(SOUND))) == [SOUND]
    assert again.understand(serializer.encode(Mark("a"))) == [MarkSet("a")]


def test_another_calls_stream_is_not_let_in() -> None:
    wire, serializer = pair()
    foreign = ExotelWire(PhoneFacts(call_id="other", stream_id="second"))
    serializer.decode(foreign.opening(STREAM)[-1])
    assert list(serializer.decode(foreign.media(SOUND))) == []
    assert list(serializer.decode(wire.media(SOUND))) == [SOUND]


def test_a_stream_does_not_change_its_format() -> None:
    _, serializer = pair()
    again = ExotelWire(PhoneFacts(call_id="9a7b0001", stream_id="second"), mulaw=True)
    with pytest.raises(ValueError, match="another format"):
        serializer.decode(again.opening(STREAM)[-1])


def test_sound_from_before_the_start_is_not_lost() -> None:
    wire, serializer = pair()
    serializer.keep(wire.media(SOUND))
    payload = base64.b64encode(PIECE).decode()
    message = json.dumps({"event": "media", "streamSid": "1d3f0001", "media": {"payload": payload}})
    assert list(serializer.decode(message)) == [SOUND, PIECE]
