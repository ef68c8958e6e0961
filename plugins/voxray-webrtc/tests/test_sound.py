"""Packets, reports and Opus, without a network."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest
from aiortc.rtp import RtcpByePacket, RtcpPacket, RtcpRrPacket, RtcpSdesPacket, RtcpSrPacket, RtpPacket
from voxray_webrtc.opus import FRAME_BYTES, OpusDecoder, OpusEncoder
from voxray_webrtc.rtp import HELD_PACKETS, Gaps, Outgoing, Packet, Received, Reordering, parse, sender_reports
from voxray_webrtc.speaking import SILENCE

from voxray.audio.tone import tone


def order(*sequences: int) -> list[int]:
    """What comes out when packets of these numbers come in."""
    found: list[int] = []
    reordering = Reordering(lambda packet: found.append(packet.sequence))
    for sequence in sequences:
        reordering.add(Packet(111, sequence & 0xFFFF, 0, 7, b""))
    return found


def gaps(*packets: tuple[int, float]) -> list[int]:
    """The silence, in ms, before each frame of 20 ms with this timestamp in ms, which comes at this second."""
    found = []
    of = Gaps(0.0)
    for milliseconds, now in packets:
        timestamp = (milliseconds * 48) & 0xFFFFFFFF
        found.append(of.before(timestamp, now) // 48)
        of.sound(timestamp, 960)
    return found


def test_packets_in_order_pass_at_once() -> None:
    assert order(5) == [5]
    assert order(65_534, 65_535, 65_536, 65_537) == [65_534, 65_535, 0, 1]


def test_packets_that_overtake_are_put_in_order() -> None:
    assert order(1, 3, 2, 4) == [1, 2, 3, 4]
    assert order(65_535, 1, 0, 2) == [65_535, 0, 1, 2]


def test_a_lost_packet_is_given_up_when_others_have_waited() -> None:
    assert order(1, *range(3, 3 + HELD_PACKETS)) == [1]
    assert order(1, *range(3, 4 + HELD_PACKETS)) == [1, *range(3, 4 + HELD_PACKETS)]


def test_doubled_and_late_packets_are_dropped() -> None:
    assert order(1, 2, 2, 1, 3) == [1, 2, 3]


def test_a_long_gap_is_a_pause_and_a_jump_another_stream() -> None:
    assert order(1, *range(40, 45)) == [1, *range(40, 45)]
    assert order(1, 30_000, 30_001) == [1, 30_000, 30_001]


def test_silence_stands_for_what_was_lost_or_left_out() -> None:
    assert gaps((0, 0.1), (20, 0.12), (60, 0.2), (80, 0.21)) == [0, 0, 20, 0]
    assert gaps((0, 0.1), (400, 0.5), (800, 0.9), (1200, 1.3)) == [0, 380, 380, 380]
    wrap = (1 << 32) // 48
    assert gaps((wrap - 20, 0.1), (wrap + 20, 0.2)) == [0, 20]


def test_a_pause_another_clock_and_an_uneven_one_are_no_gaps() -> None:
    assert gaps((0, 0.1), (5000, 5.1), (5020, 5.12)) == [0, 0, 0]
    assert gaps((9000, 0.1), (100, 0.12), (120, 0.14)) == [0, 0, 0]
    assert gaps((0, 0.1), (23, 0.12), (40, 0.14), (64, 0.16)) == [0, 0, 0, 0]


def test_no_more_silence_comes_than_time_goes_by() -> None:
    assert sum(gaps(*((number * 1000, number * 0.01) for number in range(100)))) <= 1000


def test_packets_are_those_of_aiortc() -> None:
    ours = Outgoing(7, 100, 1000, "us").packet(111, 960, b"sound", marker=True)
    theirs = RtpPacket.parse(ours)
    assert (theirs.ssrc, theirs.sequence_number, theirs.timestamp, theirs.payload_type) == (7, 101, 1960, 111)
    assert (theirs.marker, theirs.payload) == (1, b"sound")
    back = parse(ours)
    assert back is not None
    assert (back.sequence, back.payload) == (101, b"sound")


def test_extensions_contributors_and_padding_are_no_sound() -> None:
    header = struct.pack("!BBHII", 0x80 | 0x20 | 0x10 | 2, 111, 1, 2, 3)
    data = header + bytes(8) + b"\xbe\xde\0\1abcd" + b"sound" + b"\0\0\3"
    found = parse(data)
    assert found is not None
    assert found.payload == b"sound"


def test_nonsense_is_no_packet() -> None:
    randomly = random.Random(5)
    for size in [*range(40), 1500] * 30:
        parse(randomly.randbytes(size))
        sender_reports(randomly.randbytes(size))
    assert parse(b"") is None
    assert parse(b"\x80" * 11) is None
    assert parse(struct.pack("!BBHII", 0xB0, 111, 1, 2, 3)) is None


def test_reports_are_those_of_aiortc() -> None:
    received = Received(9)
    for number in [*range(65_500, 65_536), *range(4), *range(6, 10)]:
        packet = parse(struct.pack("!BBHII", 0x80, 111, number, number * 960, 9) + b"x")
        assert packet is not None
        received.packet(packet, number * 0.02)
    received.sender_report(0x12345678, 100.0)
    outgoing = Outgoing(7, 100, 1000, "us")
    first = RtcpPacket.parse(outgoing.report(received.block(100.5), 0, 1.5))
    assert isinstance(first[0], RtcpRrPacket)
    [block] = first[0].reports
    assert (block.ssrc, block.packets_lost, block.highest_sequence) == (9, 2, 65_536 + 9)
    assert (block.lsr, block.dlsr, block.fraction_lost) == (0x12345678, 32_768, 2 * 256 // 46)
    assert isinstance(first[1], RtcpSdesPacket)
    assert first[1].chunks[0].items == [(1, b"us")]
    outgoing.packet(111, 0, b"sound", marker=False)
    second = RtcpPacket.parse(outgoing.report(b"", 960, 1.5))
    assert isinstance(second[0], RtcpSrPacket)
    assert (second[0].sender_info.packet_count, second[0].sender_info.octet_count) == (1, 5)
    assert second[0].sender_info.rtp_timestamp == 1960
    assert second[0].sender_info.ntp_timestamp == (2_208_988_801 << 32) + (1 << 31)
    assert isinstance(RtcpPacket.parse(outgoing.bye())[1], RtcpByePacket)


def test_sender_reports_are_found() -> None:
    outgoing = Outgoing(7, 100, 1000, "us")
    outgoing.packet(111, 0, b"sound", marker=False)
    [(ssrc, middle)] = sender_reports(outgoing.report(b"", 0, 1.5))
    assert (ssrc, middle) == (7, (2_208_988_801 & 0xFFFF) << 16 | 0x8000)


def through(payloads: list[bytes]) -> np.ndarray:
    decoder = OpusDecoder()
    return np.frombuffer(b"".join(decoder.decode(payload) for payload in payloads), "<i2").astype(float)


def test_every_frame_is_one_payload_at_once() -> None:
    encoder = OpusEncoder(32_000)
    pcm = tone([500], 1.0, 24_000, level=0.3)
    coded = [encoder.encode(pcm[at : at + FRAME_BYTES]) for at in range(0, len(pcm), FRAME_BYTES)]
    assert [len(payloads) for payloads in coded] == [1] * 50
    assert sum(len(payload) for [payload] in coded) * 8 < 60_000
    sound = through([payload for [payload] in coded])
    assert len(sound) == 16_000 - 16  # the resampler holds a millisecond back
    assert np.sqrt(2 * np.mean(sound[4000:] ** 2)) / 32_767 == pytest.approx(0.3, rel=0.03)


def test_silence_is_silence_at_once() -> None:
    encoder = OpusEncoder(32_000)
    loud = encoder.encode(tone([500], 0.02, 24_000))
    sound = through([*loud, SILENCE, SILENCE])
    assert not sound[-320:].any()


def test_what_is_no_opus_is_nothing() -> None:
    randomly = random.Random(1)
    decoder = OpusDecoder()
    assert decoder.decode(b"") == b""
    assert decoder.decode(bytes(2000)) == b""
    for _ in range(500):
        decoder.decode(randomly.randbytes(randomly.randrange(1, 200)))
    assert len(decoder.decode(SILENCE)) == 640
