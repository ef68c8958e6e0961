"""Packets of sound (RFC 3550) and the reports about them. Pure: bytes in, bytes out."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

HEADER = struct.Struct("!BBHII")
RATE_HZ = 48_000  # of Opus's timestamps, whatever the sound's own rate
HELD_PACKETS = 3  # packets that may wait for one that is late: 60 ms
SMALL_TICKS = RATE_HZ // 100  # a smaller gap is how the sender reads its clock
GAP_TICKS = RATE_HZ  # a longer one is a pause, of which the session takes notice by itself
RESTART_PACKETS = 500  # a jump of so many is another stream
NTP_EPOCH_SECS = 2_208_988_800
SENDER_REPORT, RECEIVER_REPORT, DESCRIPTION, BYE = 200, 201, 202, 203


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet of sound as it came."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def parse(data: bytes) -> Packet | None:
    """The packet in decrypted bytes, None if they are none."""
    if len(data) < 12 or data[0] >> 6 != 2:
        return None
    first, second, sequence, timestamp, ssrc = HEADER.unpack_from(data)
    start = 12 + 4 * (first & 0x0F)
    if first & 0x10:  # header extension
        if len(data) < start + 4:
            return None
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4])
    end = len(data) - (data[-1] if first & 0x20 else 0)  # padding
    if start > end:
        return None
    return Packet(second & 0x7F, sequence, timestamp, ssrc, data[start:end])


class Reordering:
    """Puts packets in order: gives each to `on_packet` as soon as it is its turn. In order they pass at once; one that
    is missing is waited for while `HELD_PACKETS` others come."""

    def __init__(self, on_packet: Callable[[Packet], None]) -> None:
        self._on_packet = on_packet
        self._next: int | None = None
        self._held: dict[int, Packet] = {}

    def add(self, packet: Packet) -> None:
        if self._next is None:
            self._next = packet.sequence
        ahead = (packet.sequence - self._next) & 0xFFFF
        if ahead > 0xFFFF - RESTART_PACKETS:
            return  # too late, or doubled
        if ahead > RESTART_PACKETS:
            self._held.clear()
            self._next = packet.sequence
        self._held[packet.sequence] = packet
        if len(self._held) > HELD_PACKETS:
            start = self._next
            self._next = min(self._held, key=lambda sequence: (sequence - start) & 0xFFFF)
        while self._next in self._held:
            self._on_packet(self._held.pop(self._next))
            self._next = (self._next + 1) & 0xFFFF


class Gaps:
    """Finds where there is silence between the packets of a stream: instead of those that were lost, and of those that
    their sender left out while nobody spoke (DTX, RFC 7587), which turns would not end without."""

    def __init__(self, now: float) -> None:
        self._next: int | None = None  # the timestamp
        self._filled_at = now

    def before(self, timestamp: int, now: float) -> int:
        """How many ticks of silence belong before a packet. In the long run never more than what the clock shows."""
        gap = 0 if self._next is None else (timestamp - self._next) & 0xFFFFFFFF
        if not SMALL_TICKS <= gap <= GAP_TICKS:
            return 0
        gap = min(gap, int((now - self._filled_at) * RATE_HZ))
        self._filled_at = now
        return gap

    def sound(self, timestamp: int, ticks: int) -> None:
        """A packet had so much sound."""
        self._next = timestamp + ticks


class Received:
    """What is to be reported of one stream we receive."""

    def __init__(self, ssrc: int) -> None:
        self.ssrc = ssrc
        self._base: int | None = None
        self._highest = 0
        self._cycles = 0
        self._count = 0
        self._expected_before = 0
        self._count_before = 0
        self._transit: int | None = None
        self._jitter = 0.0
        self._report: tuple[int, float] | None = None  # middle of the last sender report's time, and when it came

    def packet(self, packet: Packet, now: float) -> None:
        if self._base is None:
            self._base = self._highest = packet.sequence
        elif (packet.sequence - self._highest) & 0xFFFF < 0x8000:
            if packet.sequence < self._highest:
                self._cycles += 1 << 16
            self._highest = packet.sequence
        self._count += 1
        transit = (int(now * RATE_HZ) - packet.timestamp) & 0xFFFFFFFF
        if self._transit is not None:
            difference = (transit - self._transit) & 0xFFFFFFFF
            self._jitter += (min(difference, (1 << 32) - difference) - self._jitter) / 16
        self._transit = transit

    def sender_report(self, ntp_middle: int, now: float) -> None:
        self._report = (ntp_middle, now)

    def block(self, now: float) -> bytes:
        """The report's 24 bytes."""
        highest = self._cycles + self._highest
        expected = 0 if self._base is None else highest - self._base + 1
        lost = max(-(1 << 23), min((1 << 23) - 1, expected - self._count))
        new, arrived = expected - self._expected_before, self._count - self._count_before
        self._expected_before, self._count_before = expected, self._count
        fraction = max(0, min(255, (new - arrived) * 256 // new)) if new > 0 else 0
        middle, delay = 0, 0
        if self._report is not None:
            middle, delay = self._report[0], min(0xFFFFFFFF, int((now - self._report[1]) * 65_536))
        jitter = min(0xFFFFFFFF, int(self._jitter))
        return struct.pack(
            "!IIIIII",
            self.ssrc,
            fraction << 24 | lost & 0xFFFFFF,
            highest & 0xFFFFFFFF,
            jitter,
            middle,
            delay,
        )


class Outgoing:
    """Our stream: numbers its packets, and knows what a sender report says."""

    def __init__(self, ssrc: int, sequence: int, offset: int, cname: str) -> None:
        """`sequence` starts below 32768, so that the first wrap does not disturb SRTP; `offset` is where the
        timestamps begin."""
        self.ssrc = ssrc
        self.cname = cname
        self._sequence = sequence
        self._offset = offset
        self._packets = 0
        self._bytes = 0

    def packet(self, payload_type: int, timestamp: int, payload: bytes, *, marker: bool) -> bytes:
        """`timestamp` counts from 0 at 48 kHz."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._packets += 1
        self._bytes += len(payload)
        second = payload_type | 0x80 if marker else payload_type
        return HEADER.pack(0x80, second, self._sequence, (timestamp + self._offset) & 0xFFFFFFFF, self.ssrc) + payload

    def report(self, blocks: bytes, timestamp: int, unix_time: float) -> bytes:
        """A compound RTCP packet: our sender report (a receiver report before the first packet), and who we are.
        `blocks` are those of `Received.block`; `timestamp` belongs to `unix_time`."""
        count = len(blocks) // 24
        if self._packets:
            secs = unix_time + NTP_EPOCH_SECS
            body = struct.pack(
                "!IIIIII",
                self.ssrc,
                int(secs) & 0xFFFFFFFF,
                int(secs % 1 * (1 << 32)) & 0xFFFFFFFF,
                (timestamp + self._offset) & 0xFFFFFFFF,
                self._packets & 0xFFFFFFFF,
                self._bytes & 0xFFFFFFFF,
            )
            report = _rtcp(SENDER_REPORT, count, body + blocks)
        else:
            report = _rtcp(RECEIVER_REPORT, count, struct.pack("!I", self.ssrc) + blocks)
        name = self.cname.encode()
        chunk = struct.pack("!IBB", self.ssrc, 1, len(name)) + name
        chunk += bytes(4 - len(chunk) % 4)
        return report + _rtcp(DESCRIPTION, 1, chunk)

    def bye(self) -> bytes:
        return _rtcp(RECEIVER_REPORT, 0, struct.pack("!I", self.ssrc)) + _rtcp(BYE, 1, struct.pack("!I", self.ssrc))


def sender_reports(data: bytes) -> list[tuple[int, int]]:
    """The sender reports in a compound RTCP packet: (ssrc, the middle 32 bits of its NTP time)."""
    found = []
    while len(data) >= 4:
        size = 4 * (1 + int.from_bytes(data[2:4]))
        if data[1] == SENDER_REPORT and len(data) >= 28 and size >= 28:
            found.append((int.from_bytes(data[4:8]), int.from_bytes(data[10:14])))
        data = data[size:]
    return found


def _rtcp(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body
