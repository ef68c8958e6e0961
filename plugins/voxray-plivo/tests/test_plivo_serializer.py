"""Plivo's audio stream, message by message."""

import base64
import json

import pytest
from voxray_plivo.serializer import PlivoSerializer

from voxray.audio.format import PCM_16K
from voxray.events import DtmfReceived, DtmfRequested, EndRequested, Mark, MarkReached, ReplyInterrupted
from voxray.testing.serializer_check import check_serializer

INTERRUPTED = ReplyInterrupted(1, "", 0.0)


def mulaw() -> PlivoSerializer:
    return PlivoSerializer("s1", "c1")


def linear() -> PlivoSerializer:
    return PlivoSerializer("s1", "c1", PCM_16K)


def message(event: str, stream: object = "s1", **fields: object) -> str:
    return json.dumps({"sequenceNumber": 3, "event": event, "streamId": stream, "extra_headers": "{}", **fields})


def media(payload: object = "//////8=", **fields: object) -> str:
    return message(
        "media", media={"track": "inbound", "chunk": 1, "timestamp": "1767225600020", "payload": payload} | fields
    )


def restart(stream: str = "s2", call: str = "c1", **media_format: object) -> str:
    return message("start", stream, start={"streamId": stream, "callId": call, "mediaFormat": media_format})


@pytest.mark.anyio
@pytest.mark.parametrize("make", [mulaw, linear])
async def test_the_serializer_keeps_its_contract(make) -> None:
    good = [
        media("AAAA" * 4),
        message("playedStream", name="utt-7"),
        message("clearedAudio"),
        message("dtmf", dtmf={"track": "inbound", "digit": "5", "timestamp": "1"}),
        restart(call="c9"),
        message("stop"),
    ]
    await check_serializer(make, good=good)


def test_sound_comes_as_it_is() -> None:
    assert list(mulaw().decode(media())) == [b"\xff" * 5]
    assert list(linear().decode(media("AAAA/w=="))) == [b"\0\0\0\xff"]


def test_half_a_sample_is_an_error() -> None:
    with pytest.raises(ValueError, match="half a sample"):
        linear().decode(media())


@pytest.mark.parametrize("bad", [media("*"), media("////A"), media(5), media(None), b"\xff", "{", "[]"])
def test_what_cannot_be_understood_is_an_error(bad: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        list(mulaw().decode(bad))


def test_keys_come_as_strings_or_numbers_and_a_stop_ends_the_call() -> None:
    decode = mulaw().decode
    assert list(decode(message("dtmf", dtmf={"digit": 5}))) == [DtmfReceived("5")]
    assert list(decode(message("dtmf", dtmf={"digit": "*"}))) == [DtmfReceived("*")]
    assert list(decode(message("dtmf", dtmf={"digit": "w"}))) == []
    assert list(decode(message("stop"))) == [EndRequested("caller hung up")]


def test_ids_may_be_numbers() -> None:
    assert list(PlivoSerializer("7", "8").decode(message("media", 7, media={"payload": "AAAA"}))) == [bytes(3)]


@pytest.mark.parametrize(
    "odd",
    [
        message("media", "s9", media={"payload": "AAAA"}),
        message("stop", "s9"),
        message("playedStream", "s9", name="m"),
        message("clearedAudio"),
        message("news"),
        media(track="outbound"),
        restart(call="c9"),
        "{}",
    ],
)
def test_foreign_streams_and_unknown_events_are_ignored(odd: str) -> None:
    ours = mulaw()
    ours.encode(Mark("m"))
    assert list(ours.decode(odd)) == []
    assert list(ours.decode(media())) == [b"\xff" * 5]


def test_a_stream_restarted_with_a_new_id_goes_on() -> None:
    ours = mulaw()
    ours.encode(Mark("m"))
    assert list(ours.decode(restart())) == []
    assert list(ours.decode(media())) == []
    assert list(ours.decode(message("media", "s2", media={"payload": "AAAA"}))) == [bytes(3)]
    assert list(ours.decode(message("playedStream", "s2", name="m"))) == []
    assert json.loads(ours.encode(Mark("n")) or "")["streamId"] == "s2"
    with pytest.raises(ValueError, match="format changed"):
        ours.decode(restart("s3", encoding="audio/x-l16", sampleRate=8000))


def test_we_send_exactly_the_documented_fields() -> None:
    ours = linear()
    assert json.loads(ours.encode(b"\1\0" * 320) or "") == {
        "event": "playAudio",
        "media": {
            "contentType": "audio/x-l16",
            "sampleRate": 16000,
            "payload": base64.b64encode(b"\1\0" * 320).decode(),
        },
    }
    assert json.loads(mulaw().encode(b"\xff") or "")["media"]["contentType"] == "audio/x-mulaw"
    assert json.loads(ours.encode(Mark("a")) or "") == {"event": "checkpoint", "streamId": "s1", "name": "a"}
    assert json.loads(ours.encode(INTERRUPTED) or "") == {"event": "clearAudio", "streamId": "s1"}
    assert json.loads(ours.encode(DtmfRequested("#")) or "") == {"event": "sendDTMF", "dtmf": "#"}
    assert ours.encode(DtmfRequested("12")) is None
    assert ours.encode(b"") is None


def test_a_checkpoint_is_reached_once_and_proves_those_before_it() -> None:
    ours = mulaw()
    for name in ("a", "b"):
        ours.encode(Mark(name))
    assert list(ours.decode(message("playedStream", name="b"))) == [MarkReached("a"), MarkReached("b")]
    assert list(ours.decode(message("playedStream", name="b"))) == []


def test_checkpoints_that_were_pending_at_a_clear_prove_nothing() -> None:
    ours = mulaw()
    ours.encode(Mark("a"))
    ours.encode(INTERRUPTED)
    assert list(ours.decode(message("playedStream", name="a"))) == []
