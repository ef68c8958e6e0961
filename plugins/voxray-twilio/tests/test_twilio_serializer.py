"""Twilio's media stream, message by message."""

import base64
import cmath
import json

import pytest
from voxray_twilio.serializer import TwilioSerializer

from voxray.audio.g711 import decode_mulaw
from voxray.events import DtmfReceived, DtmfRequested, EndRequested, Mark, MarkReached, ReplyInterrupted
from voxray.testing.serializer_check import check_serializer

TONES = (697, 770, 852, 941, 1209, 1336, 1477)
INTERRUPTED = ReplyInterrupted(1, "", 0.0)


def serializer() -> TwilioSerializer:
    return TwilioSerializer("MZ1", "CA1")


def message(event: str, stream: str = "MZ1", **fields: object) -> str:
    return json.dumps({"event": event, "sequenceNumber": "3", "streamSid": stream, **fields})


def media(payload: object = "//////8=", **fields: object) -> str:
    return message("media", media={"track": "inbound", "chunk": "1", "timestamp": "20", "payload": payload, **fields})


def mark(name: object) -> str:
    return message("mark", mark={"name": name})


def restart(stream: str = "MZ2", call: str = "CA1") -> str:
    return message("start", stream, start={"streamSid": stream, "callSid": call, "mediaFormat": {}})


@pytest.mark.anyio
async def test_the_serializer_keeps_its_contract() -> None:
    good = [
        media(),
        mark("utt-7"),
        restart(call="CA9"),
        message("dtmf", dtmf={"track": "inbound_track", "digit": "5"}),
        message("stop", stop={"accountSid": "AC1", "callSid": "CA1"}),
        '{"event":"connected","protocol":"Call","version":"1.0.0"}',
    ]
    await check_serializer(serializer, good=good)


def test_sound_comes_as_it_is() -> None:
    assert list(serializer().decode(media())) == [b"\xff" * 5]
    assert list(serializer().decode(media(""))) == []


def test_keys_come_as_strings_or_numbers() -> None:
    decode = serializer().decode
    assert list(decode(message("dtmf", dtmf={"digit": "#"}))) == [DtmfReceived("#")]
    assert list(decode(message("dtmf", dtmf={"digit": 5}))) == [DtmfReceived("5")]
    assert list(decode(message("dtmf", dtmf={"digit": "A"}))) == []


def test_a_stop_ends_the_call() -> None:
    assert list(serializer().decode(message("stop"))) == [EndRequested("caller hung up")]


@pytest.mark.parametrize(
    "bad", [media("*"), media("////A"), media("AA=\nA"), media(5), media("ä"), b"\xff" * 160, "{", "5"]
)
def test_what_cannot_be_understood_is_an_error(bad: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        list(serializer().decode(bad))


@pytest.mark.parametrize(
    "odd",
    [
        message("media", "MZ9", media={"payload": "AAAA"}),
        message("stop", "MZ9"),
        message("mark", "MZ9", mark={"name": "m"}),
        message("news", what=1),
        media(track="outbound"),
        restart(call="CA9"),
        restart(stream=""),
        "{}",
    ],
)
def test_foreign_streams_and_unknown_events_are_ignored(odd: str) -> None:
    ours = serializer()
    ours.encode(Mark("m"))
    assert list(ours.decode(odd)) == []
    assert list(ours.decode(media())) == [b"\xff" * 5]


def test_a_stream_restarted_with_a_new_id_goes_on() -> None:
    ours = serializer()
    ours.encode(Mark("m"))
    assert list(ours.decode(restart("MZ2"))) == []
    assert list(ours.decode(media())) == []
    assert list(ours.decode(message("media", "MZ2", media={"payload": "AAAA"}))) == [bytes(3)]
    assert json.loads(ours.encode(b"\0") or "")["streamSid"] == "MZ2"
    assert list(ours.decode(message("mark", "MZ2", mark={"name": "m"}))) == []


def test_we_send_exactly_the_documented_fields() -> None:
    ours = serializer()
    sound = json.loads(ours.encode(b"\xff" * 480) or "")
    assert sound.pop("media") == {"payload": base64.b64encode(b"\xff" * 480).decode()}
    assert sound == {"event": "media", "streamSid": "MZ1"}
    assert json.loads(ours.encode(Mark("a")) or "") == {"event": "mark", "streamSid": "MZ1", "mark": {"name": "a"}}
    assert json.loads(ours.encode(INTERRUPTED) or "") == {"event": "clear", "streamSid": "MZ1"}
    assert ours.encode(b"") is None


def test_a_mark_is_reached_once_and_proves_those_before_it() -> None:
    ours = serializer()
    for name in ("a", "b", "c"):
        ours.encode(Mark(name))
    assert list(ours.decode(mark("b"))) == [MarkReached("a"), MarkReached("b")]
    assert list(ours.decode(mark("b"))) == []
    assert list(ours.decode(mark("c"))) == [MarkReached("c")]


def test_marks_that_come_back_after_a_clear_prove_nothing() -> None:
    ours = serializer()
    ours.encode(Mark("a"))
    ours.encode(INTERRUPTED)
    ours.encode(Mark("b"))
    assert list(ours.decode(mark("a"))) == []
    assert list(ours.decode(mark("b"))) == [MarkReached("b")]


def test_pieces_are_whole_frames_of_20_ms() -> None:
    pieces = serializer().pieces
    assert pieces is not None
    assert (pieces.usual, pieces.multiple) == (480, 160)


def test_a_key_is_sent_as_its_tone() -> None:
    sent = json.loads(serializer().encode(DtmfRequested("5")) or "")
    sound = base64.b64decode(sent["media"]["payload"])
    assert len(sound) == 1600
    assert set(sound[-640:]) == {0xFF}
    pcm = memoryview(decode_mulaw(sound)).cast("h")
    power = {hz: abs(sum(x * cmath.exp(2j * cmath.pi * hz * n / 8000) for n, x in enumerate(pcm))) for hz in TONES}
    assert sorted(sorted(power, key=power.__getitem__)[-2:]) == [770, 1336]
    assert serializer().encode(DtmfRequested("x")) is None
