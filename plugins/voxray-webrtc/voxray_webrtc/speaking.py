"""Our sound on its way out: a frame every 20 ms, on the minute.

Silence is sent, too, three bytes at a time: after a pause in the packets Chromium begins an answer 80 ms later."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable

import anyio

from voxray.protocols.transport import AudioSource
from voxray_webrtc.opus import FRAME_BYTES, FRAME_SECS, OpusEncoder
from voxray_webrtc.rtp import RATE_HZ, Outgoing

EARLY_ENOUGH_SECS = 0.0005  # not worth a timer
LATE_SECS = 0.1  # a frame that is later begins a new run; less is caught up with
FRAME_TICKS = int(FRAME_SECS * RATE_HZ)

SILENCE = b"\xf8\xff\xfe"  # 20 ms, mono: RFC 6716's mode 31, whose coder says at once that there is nothing

Send = Callable[[bytes], Awaitable[None]]


class Speaking:
    """The one stream of a connection. `payload_type` None: the peer does not want to hear.

    A frame leaves when it is due by its own timestamp: receivers take any other rhythm for the network's, and wait.
    """

    def __init__(
        self, ssrc: int, cname: str, payload_type: int | None, *, send: Send, now: Callable[[], float]
    ) -> None:
        """`now` is the loop's clock."""
        self.payload_type = payload_type
        self._send = send
        self._clock = now
        self._outgoing = Outgoing(ssrc, random.getrandbits(15), random.getrandbits(32), cname)
        self._began = now()
        self._next = 0  # the timestamp of the next frame
        self._resumed = True

    def early_secs(self) -> float:
        """How long it is until the next frame is to be sent; less than 0 when it is late, but never by much."""
        now = self._now()
        if now > self._next + int(LATE_SECS * RATE_HZ):
            self._next, self._resumed = now, True
        return (self._next - now) / RATE_HZ

    async def frame(self, payload: bytes) -> None:
        """Send the next 20 ms."""
        timestamp, marker = self._next, self._resumed
        self._next += FRAME_TICKS
        self._resumed = False
        if self.payload_type is not None:
            await self._send(self._outgoing.packet(self.payload_type, timestamp, payload, marker=marker))

    def report(self, blocks: bytes) -> bytes:
        """What is to be told to the peer now and then."""
        return self._outgoing.report(blocks, self._now(), time.time())

    def bye(self) -> bytes:
        return self._outgoing.bye()

    def _now(self) -> int:
        return int((self._clock() - self._began) * RATE_HZ)


class Speaker:
    """Pulls a source and sends it over the stream that is there at the time. `current` gives it, None while there is no
    connection: what is to be said waits."""

    def __init__(self, current: Callable[[], Speaking | None], bit_rate: int) -> None:
        self._current = current
        self._encoder = OpusEncoder(bit_rate)
        self._changed = anyio.Event()

    def connected(self) -> None:
        """There is another connection, or none."""
        self._changed.set()

    async def play(self, source: AudioSource) -> None:
        """Send the source's sound until cancelled."""
        while True:
            stream = self._current()
            if stream is None:
                self._changed = anyio.Event()
                await self._changed.wait()
                continue
            early_secs = stream.early_secs()
            if early_secs > EARLY_ENOUGH_SECS:
                await anyio.sleep(early_secs)
                continue
            for payload in self._next(source):
                await stream.frame(payload)

    def _next(self, source: AudioSource) -> list[bytes]:
        """The payload for the next 20 ms. What ends in the middle is filled up."""
        pcm = b""
        while len(pcm) < FRAME_BYTES:
            item = source.take(FRAME_BYTES - len(pcm))
            if item is None:
                break
            if isinstance(item, bytes):
                pcm += item
        return self._encoder.encode(pcm.ljust(FRAME_BYTES, b"\0")) if pcm else [SILENCE]
