"""Telnyx' media stream, both ways."""

import base64
import json
from array import array
from random import Random

import pytest
from voxray_telnyx.codecs import audio_of
from voxray_telnyx.l16 import ByteOrder, swapped
from voxray_telnyx.reorder import Reorder
from voxray_telnyx.serializer import TelnyxSerializer, Wanted

from voxray.audio.format import ALAW_8K, MULAW_8K, PCM_16K
from voxray.audio.tone import tone
from voxray.events import DtmfReceived, DtmfRequested, EndRequested, Mark, MarkReached, ReplyInterrupted
from voxray.testing.carriers.telnyx import TelnyxWire
from voxray.testing.phone_wire import Cleared, MarkSet, PhoneFacts, Sound, WireStream
from voxray.testing.serializer_check import check_serializer

pytestmark = pytest.mark.anyio

FACTS = PhoneFacts(call_id="v3:abc", stream_id="32de0dea")
STREAM = WireStream(url="wss://voice.example.com/telephony/ws", parameters={"token": "t"})
INTERRUPTED = ReplyInterrupted(1, "", 0.0)
FRAME = bytes(range(160))


def opened(wire: TelnyxWire, wanted: Wanted = Wanted(audio=MULAW_8K)) -> TelnyxSerializer:  # noqa: B008
    return TelnyxSerializer(json.loads(wire.opening(STREAM)[-1]), wanted)


def pair(**options: object) -> tuple[TelnyxWire, TelnyxSerializer]:
    wire = TelnyxWire(FACTS, **options)
    return wire, opened(wire)


def media(chunk: object, sound: bytes, **more: object) -> str:
    payload = base64.b64encode(sound).decode()
    return json.dumps(
        {"event": "media", "stream_id": "32de0dea", "media": {"chunk": chunk, "payload": payload, **more}}
    )


async def test_it_keeps_the_contract_of_serializers() -> None:
    wire = TelnyxWire(FACTS)
    good = [*wire.opening(STREAM), wire.media(FRAME), wire.dtmf("5"), wire.mark_reached("a"), wire.stop()]
    await check_serializer(lambda: opened(TelnyxWire(FACTS)), good=good)
    await check_serializer(lambda: opened(TelnyxWire(FACTS, codec="L16"), Wanted(audio=PCM_16K)), good=good)


def test_sound_goes_both_ways() -> None:
    wire, serializer = pair()
    assert list(serializer.decode(wire.media(FRAME))) == [FRAME]
    assert wire.understand(serializer.encode(FRAME)) == [Sound(FRAME)]


def test_the_leg_decides_how_the_caller_sounds_and_we_how_the_agent_does() -> None:
    _, serializer = pair(codec="PCMA")
    assert (serializer.audio_in, serializer.audio_out) == (ALAW_8K, MULAW_8K)


@pytest.mark.parametrize("rate", [8000, "8000"])
def test_numbers_may_be_strings(rate: object) -> None:
    start = {"call_control_id": "v3:1", "media_format": {"encoding": "pcmu", "sample_rate": rate, "channels": "1"}}
    assert TelnyxSerializer({"stream_id": "1", "start": start}, Wanted(audio=MULAW_8K)).audio_in == MULAW_8K


@pytest.mark.parametrize(
    "media_format", [{"encoding": "PCMU", "sample_rate": 11025}, {"encoding": "PCMU", "channels": 2}, {"encoding": "X"}]
)
def test_a_format_that_telnyx_does_not_have_is_an_error(media_format: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        TelnyxSerializer({"stream_id": "1", "start": {"media_format": media_format}}, Wanted(audio=MULAW_8K))


def test_pieces_are_what_telnyx_takes() -> None:
    _, serializer = pair()
    assert (serializer.pieces.usual, serializer.pieces.least, serializer.pieces.multiple) == (480, 160, 160)


def test_more_than_thirty_seconds_are_several_messages() -> None:
    wire, serializer = pair()
    sound = bytes(8000 * 61)
    messages = serializer.encode(sound)
    assert b"".join(it.audio for message in messages for it in wire.understand(message)) == sound


def test_marks_and_clears_are_what_telnyx_takes() -> None:
    wire, serializer = pair()
    assert wire.understand(serializer.encode(Mark("a"))) == [MarkSet("a")]
    assert wire.understand(serializer.encode(INTERRUPTED)) == [Cleared()]
    assert serializer.encode(DtmfRequested("1")) is None


def test_a_mark_that_comes_back_was_heard() -> None:
    wire, serializer = pair()
    serializer.encode(Mark("a"))
    assert list(serializer.decode(wire.mark_reached("a"))) == [MarkReached("a")]


def test_marks_returned_by_a_clear_were_not_heard() -> None:
    wire, serializer = pair()
    for name in ("a", "b"):
        serializer.encode(Mark(name))
    serializer.encode(INTERRUPTED)
    serializer.encode(Mark("c"))
    came = [*wire.cleared(["a", "b"]), wire.mark_reached("c")]
    assert [item for message in came for item in serializer.decode(message)] == [MarkReached("c")]


def test_lost_and_doubled_marks_do_no_harm() -> None:
    wire, serializer = pair()
    for name in ("a", "b", "c"):
        serializer.encode(Mark(name))
    came = [wire.mark_reached(name) for name in ("b", "b", "a", "unknown", "c")]
    assert [item for message in came for item in serializer.decode(message)] == [MarkReached("b"), MarkReached("c")]


def test_keys_and_the_end_are_understood() -> None:
    wire, serializer = pair()
    assert list(serializer.decode(wire.dtmf("#"))) == [DtmfReceived("#")]
    assert list(serializer.decode(wire.dtmf("A"))) == []
    assert [type(item) for item in serializer.decode(wire.stop())] == [EndRequested]


@pytest.mark.parametrize(
    "message",
    [
        '{"event":"connected","version":"1.0.0"}',
        '{"event":"something.new","stream_id":"32de0dea"}',
        '{"stream_id":"32de0dea"}',
        '{"event":"media","stream_id":"another","media":{"payload":"AAAA"}}',
        '{"event":"stop","stream_id":"another"}',
        '{"event":"media","stream_id":"32de0dea","media":{"track":"outbound","payload":"AAAA"}}',
        '{"event":"media","stream_id":"32de0dea","media":{"payload":""}}',
        '{"event":"mark","mark":1}',
        '{"event":"error","stream_id":"32de0dea","payload":{"code":100004,"title":"invalid_media"}}',
        '{"event":"error","error":{"title":"x","code":"1"}}',
    ],
)
def test_what_means_nothing_is_ignored(message: str) -> None:
    assert list(pair()[1].decode(message)) == []


@pytest.mark.parametrize(
    "message",
    [
        b"\x00\x01",
        "",
        "[]",
        "[" * 100_000,
        '{"event":"media","media":{}}',
        '{"event":"media","media":{"payload":5}}',
        '{"event":"media","media":{"payload":"A"}}',
        '{"event":"media","media":{"payload":"AA-_"}}',
        '{"event":"media","media":{"payload":"\u00e4\u00e4\u00e4\u00e4"}}',
    ],
)
def test_what_cannot_be_understood_is_an_error(message: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        pair()[1].decode(message)


def test_half_a_sample_is_an_error() -> None:
    _, serializer = pair(codec="L16")
    with pytest.raises(ValueError, match="half a sample"):
        serializer.decode(media(1, b"\x00\x01\x02"))


def test_a_stream_that_starts_anew_goes_on() -> None:
    wire, serializer = pair()
    serializer.encode(Mark("a"))
    assert list(serializer.decode(wire.media(FRAME))) == [FRAME]
    again = TelnyxWire(PhoneFacts(call_id="v3:abc", stream_id="second"))
    assert list(serializer.decode(again.opening(STREAM)[-1])) == []
    assert list(serializer.decode(wire.media(FRAME))) == []
    assert list(serializer.decode(again.media(FRAME))) == [FRAME]


def test_another_calls_stream_is_not_let_in() -> None:
    wire, serializer = pair()
    foreign = TelnyxWire(PhoneFacts(call_id="v3:other", stream_id="second"))
    serializer.decode(foreign.opening(STREAM)[-1])
    assert list(serializer.decode(foreign.media(FRAME))) == []
    assert list(serializer.decode(wire.media(FRAME))) == [FRAME]


def test_a_stream_does_not_change_its_codec() -> None:
    _, serializer = pair()
    again = TelnyxWire(PhoneFacts(call_id="v3:abc", stream_id="second"), codec="PCMA")
    with pytest.raises(ValueError, match="another codec"):
        serializer.decode(again.opening(STREAM)[-1])


def test_sound_from_before_the_start_is_not_lost() -> None:
    wire, serializer = pair()
    serializer.keep(wire.media(FRAME))
    assert list(serializer.decode(wire.media(FRAME[::-1]))) == [FRAME, FRAME[::-1]]


# ── order ──


def fed(numbers: list[int | None]) -> list[bytes]:
    order = Reorder()
    return [piece for it in numbers for piece in order.feed(it, str(it).encode())] + order.flush()


@pytest.mark.parametrize(
    ("came", "played"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([2, 1, 3], [1, 2, 3]),
        ([1, 3, 2, 4], [1, 2, 3, 4]),
        ([1, 4, 3, 2, 5], [1, 2, 3, 4, 5]),
        ([1, 2, 2, 3, 1], [1, 2, 3]),  # repetitions
        ([1, 3, 4, 5, 6], [1, 3, 4, 5, 6]),  # 2 was lost
        ([1, 3, 4, 5, 2, 6], [1, 3, 4, 5, 2, 6]),  # 2 came too late to wait for, but is not dropped
        ([500, 501, 503, 502], [500, 501, 502, 503]),
        ([500, 501, 1, 2, 3], [500, 501, 1, 2, 3]),  # counting anew
        ([1, None, 2], [1, None, 2]),
        ([1, 3], [1, 3]),
    ],
)
def test_messages_are_played_in_order(came: list[int | None], played: list[int | None]) -> None:
    assert fed(came) == [str(it).encode() for it in played]


def test_a_shuffle_within_the_window_is_undone() -> None:
    random = Random(1)
    numbers = list(range(1, 1001))
    for at in range(0, 1000, 2):
        if random.random() < 0.5:
            numbers[at : at + 2] = reversed(numbers[at : at + 2])
    assert fed(numbers) == [str(it).encode() for it in range(1, 1001)]


def test_nothing_is_dropped_or_doubled_whatever_the_order() -> None:
    random = Random(2)
    for _ in range(50):
        numbers = sorted(range(1, 200), key=lambda it: it + random.uniform(0, 8))
        assert sorted(fed(numbers), key=int) == [str(it).encode() for it in range(1, 200)]


def test_the_serializer_puts_media_in_order_and_flushes_it_at_the_end() -> None:
    wire, serializer = pair()
    first, second, third, stop = wire.media(b"a"), wire.media(b"b"), wire.media(b"c"), wire.stop()
    assert list(serializer.decode(second)) == []
    assert list(serializer.decode(first)) == [b"a", b"b"]
    fourth = wire.media(b"d")
    assert list(serializer.decode(fourth)) == []
    assert list(serializer.decode(stop))[:-1] == [b"d"]
    assert list(serializer.decode(third)) == [b"c"]


# ── L16 ──

SPEECH = tone((300, 700), 0.6, 16_000)
PIECES = [SPEECH[at : at + 640] for at in range(0, len(SPEECH), 640)]


@pytest.mark.parametrize("order", ["big", "little"])
def test_the_byte_order_is_found_by_ear(order: str) -> None:
    found = ByteOrder("auto", 16_000)
    sent = [piece if order == "little" else swapped(piece) for piece in [bytes(640) * 5, *PIECES]]
    heard = b"".join(found.decode(piece) for piece in sent)
    assert heard == bytes(3200) + SPEECH
    assert found.encode(SPEECH) == (SPEECH if order == "little" else swapped(SPEECH))


@pytest.mark.parametrize("order", ["big", "little"])
def test_the_byte_order_can_be_said(order: str) -> None:
    said = ByteOrder(order, 16_000)
    assert said.decode(b"\x01\x00") == (b"\x00\x01" if order == "big" else b"\x01\x00")


def test_a_decision_stands() -> None:
    found = ByteOrder("auto", 16_000)
    for piece in PIECES:
        found.decode(piece)
    noise = array("h", (Random(3).randrange(-30000, 30000) for _ in range(320))).tobytes()
    assert found.decode(noise) == noise


def test_noise_is_not_measured_for_ever() -> None:
    found = ByteOrder("auto", 16_000)
    for _ in range(11):
        found.decode(Random(4).randbytes(32_000))
    assert not found._undecided


@pytest.mark.parametrize("order", ["big", "little"])
def test_l16_goes_both_ways_in_either_order(order: str) -> None:
    wire = TelnyxWire(FACTS, codec="L16", rate_hz=16_000, byte_order=order)
    wire.asked = PCM_16K
    serializer = opened(wire, Wanted(audio=audio_of("L16", 16_000)))
    heard = [item for piece in PIECES for item in serializer.decode(wire.media(piece))]
    assert b"".join(heard) == SPEECH
    assert wire.understand(serializer.encode(SPEECH[:640])) == [Sound(SPEECH[:640])]
