"""Protobuf frames, byte by byte."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import anyio
import pytest

from voxray import events
from voxray.builtin.protobuf import field, fields
from voxray.builtin.protobuf_frames import AUDIO, INTERRUPTION, JS_CLIENT, MESSAGE, TEXT, TRANSCRIPTION, ProtobufFrames
from voxray.protocols.serializer import Response
from voxray.testing import check_serializer

SAMPLES = b"\x01\x00\xff\xff"  # 1 and -1
EMPTY_MESSAGE = bytes.fromhex("22 04 0a 02 7b 7d")
TWO_SAMPLES = bytes.fromhex("12 13 12 05 61 75 64 69 6f 1a 04 01 00 ff ff 20 c0 bb 01 28 01")
HEARD = field(AUDIO, field(1, 7) + field(2, "audio") + field(3, SAMPLES) + field(4, 16_000) + field(5, 1) + field(6, 9))
TYPED = field(TRANSCRIPTION, field(3, "hi") + field(4, "me"))


def rtvi(kind: str, data: Any = None) -> bytes:
    text = json.dumps({"id": "a1", "label": "rtvi-ai", "type": kind, "data": data})
    return field(MESSAGE, field(1, text))


def ready(library: str = JS_CLIENT) -> ProtobufFrames:
    frames = ProtobufFrames()
    list(frames.decode(rtvi("client-ready", {"version": "2.1.0", "about": {"library": library}})))
    return frames


def inside(message: bytes) -> Any:
    [(number, body)] = fields(message)
    assert number == MESSAGE
    assert isinstance(body, bytes)
    [(_, text)] = fields(body)
    assert isinstance(text, bytes)
    return json.loads(text)


def test_the_documented_bytes() -> None:
    assert field(MESSAGE, field(1, "{}")) == EMPTY_MESSAGE
    assert list(ProtobufFrames().decode(EMPTY_MESSAGE)) == []
    assert ProtobufFrames().encode(SAMPLES) == TWO_SAMPLES


def test_frames_of_plain_clients_become_audio_and_events() -> None:
    frames = ProtobufFrames()
    assert list(frames.decode(HEARD)) == [events.ClientReady(), SAMPLES]
    assert list(frames.decode(TYPED)) == [events.TextReceived("hi")]
    assert list(frames.decode(field(TEXT, field(3, "Say this.")))) == [events.SpeakRequested("Say this.")]
    assert list(frames.decode(bytes([INTERRUPTION << 3 | 2, 0]))) == [events.InterruptRequested()]


@pytest.mark.parametrize(("rate_hz", "channels"), [(8_000, 1), (24_000, 1), (44_100, 2), (48_000, 1)])
def test_sound_of_any_usual_rate_is_heard_in_time(rate_hz: int, channels: int) -> None:
    frames = ready()
    piece = SAMPLES[:2] * (rate_hz // 50 * channels)
    message = field(AUDIO, field(3, piece) + field(4, rate_hz) + field(5, channels))
    heard = b"".join(item for _ in range(50) for item in frames.decode(message) if isinstance(item, bytes))
    assert len(heard) == pytest.approx(32_000, abs=200)
    assert set(heard[2000:-2000:2]) == {1}  # a level stays the level that it was


def test_plain_clients_get_text_transcriptions_and_interruptions() -> None:
    frames = ProtobufFrames()
    assert frames.encode(events.SentenceReady(1, 0, "Hello.")) == (field(TEXT, field(2, "text") + field(3, "Hello.")),)
    [(number, _)] = fields(frames.encode(events.Transcribed("hi", final=True))[0])  # type: ignore[arg-type]
    assert number == TRANSCRIPTION
    assert frames.encode(events.Transcribed("hi", final=False)) == ()
    assert len(frames.encode(events.ReplyInterrupted(1, "", 0))) == 1


def test_rtvi_travels_inside_messages() -> None:
    frames = ProtobufFrames()
    [answer, announced] = frames.decode(rtvi("client-ready", {"version": "2.1.0"}))
    assert isinstance(answer, Response)
    assert isinstance(answer.message, bytes)
    assert (inside(answer.message)["type"], inside(answer.message)["id"]) == ("bot-ready", "a1")
    assert announced == events.ClientReady()
    [message] = frames.encode(events.SpeechStarted())
    assert isinstance(message, bytes)
    assert inside(message)["type"] == "user-started-speaking"
    assert list(frames.decode(HEARD)) == [SAMPLES]


@pytest.mark.parametrize(("library", "count"), [(JS_CLIENT, 1), ("other", 2)])
def test_the_js_client_gets_no_interruption_frame(library: str, count: int) -> None:
    frames = ready(library)
    frames.encode(events.ReplyStarted(1, 0, "turn"))
    assert len(frames.encode(events.ReplyInterrupted(1, "", 0))) == count


def test_unknown_fields_are_skipped_and_the_last_value_counts() -> None:
    unknown = field(100, 5) + field(101, "x") + bytes([102 << 3 & 0x7F | 1 | 0x80, 6]) + bytes(8) + b"\x3d" + bytes(4)
    body = unknown + field(3, "no") + field(3, "hi") + bytes([4 << 3, 1])  # user_id as a number is no user_id
    frame = unknown + field(TEXT, field(3, "other")) + field(TRANSCRIPTION, body) + unknown
    assert list(ProtobufFrames().decode(frame))[1:] == [events.TextReceived("hi")]
    assert list(ProtobufFrames().decode(b"")) == []


@pytest.mark.parametrize(
    "message",
    [
        HEARD[:-1],
        b"\x22\xff\xff\xff\xff\x0f",
        b"\x22" + b"\xff" * 11,
        b"\x22" + b"\xff" * 9 + b"\x7f",
        b"\x00\x01",
        b"\x13",
        b"\x0b\x0c",
        b"\x09\x01",
        field(TEXT, field(3, b"\xff\xfe")),
        field(AUDIO, field(3, SAMPLES) + field(4, 24_001) + field(5, 1)),
        field(AUDIO, field(3, SAMPLES)),
        field(AUDIO, field(3, SAMPLES + b"\1\0") + field(4, 16_000) + field(5, 2)),
        field(AUDIO, field(3, SAMPLES) + field(4, 16_000) + field(5, 3)),
        "text",
    ],
)
def test_what_cannot_be_read_is_refused(message: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        list(ProtobufFrames().decode(message))


@pytest.mark.parametrize("number", [1, 127, 128, 300, 2**32, 2**64 - 1])
def test_numbers_come_back(number: int) -> None:
    assert list(fields(field(1, number))) == [(1, number)]


def test_any_bytes_are_survived() -> None:
    good = [HEARD, TYPED, TWO_SAMPLES[:0], EMPTY_MESSAGE, rtvi("client-ready"), rtvi("dtmf", {"buttons": ["1"]})]
    anyio.run(partial(check_serializer, "protobuf", good=good))
    anyio.run(partial(check_serializer, ready, good=good, seed=1))
