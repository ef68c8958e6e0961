"""Our sound on its way out: frames of 20 ms, paced, and next to nothing while nobody speaks."""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Awaitable, Callable

import anyio

from voxray.protocols.transport import AudioSource
from voxray_webrtc.opus import FRAME_BYTES, FRAME_SECS, OpusEncoder
from voxray_webrtc.rtp import RATE_HZ, Outgoing

LEAD_SECS = 0.04  # of sound ahead of the ear: hides a garbage collection; a barge-in has to take it back
EARLY_ENOUGH_SECS = 0.0005  # not worth a timer
TRAIL_FRAMES = 6  # of silence after each utterance: whatever a jitter buffer still holds comes out
PAUSE_SECS = 0.4  # between packets of silence, as senders do that transmit discontinuously
FRAME_TICKS = int(FRAME_SECS * RATE_HZ)

Send = Callable[[bytes], Awaitable[None]]


class Speaking:
    """The one stream of a connection. `payload_type` None: the peer does not want to hear."""

    def __init__(self, ssrc: int, cname: str, payload_type: int | None, send: Send) -> None:
        self.payload_type = payload_type
        self._send = send
        self._outgoing = Outgoing(ssrc, random.getrandbits(15), random.getrandbits(32), cname)
        self._began = anyio.current_time()
        self._next = 0  # the timestamp after the last frame
        self._resumed = True

    async def frame(self, payload: bytes) -> None:
        """Send 20 ms, right after what was sent before or, after a pause, now."""
        if self.payload_type is None:
            return
        now = self._now()
        if now > self._next + 2 * FRAME_TICKS:  # a pause; less is only late
            self._next, self._resumed = now, True
        packet = self._outgoing.packet(self.payload_type, self._next, payload, marker=self._resumed)
        self._next += FRAME_TICKS
        self._resumed = False
        await self._send(packet)

    def report(self, blocks: bytes) -> bytes:
        """What is to be told to the peer now and then."""
        return self._outgoing.report(blocks, self._now(), time.time())

    def bye(self) -> bytes:
        return self._outgoing.bye()

    def _now(self) -> int:
        return int((anyio.current_time() - self._began) * RATE_HZ)


class Speaker:
    """Pulls a source and sends it over the stream that is there at the time. `current` gives it, None while there is no
    connection: what is to be said waits."""

    def __init__(self, current: Callable[[], Speaking | None], bit_rate: int) -> None:
        self._current = current
        self._encoder = OpusEncoder(bit_rate)
        self._rest = b""
        self._trail = TRAIL_FRAMES
        self._changed = anyio.Event()

    def clear(self) -> None:
        """What was taken and not yet sent is not to be sent."""
        self._rest = b""

    def connected(self) -> None:
        """There is another connection, or none."""
        self._trail = TRAIL_FRAMES
        self._changed.set()

    async def play(self, source: AudioSource) -> None:
        """Send the source's sound until cancelled."""
        while True:
            stream = self._current()
            if stream is None:
                self._changed = anyio.Event()
                await self._changed.wait()
                continue
            early_secs = source.lead_secs() + FRAME_SECS - LEAD_SECS
            if early_secs > EARLY_ENOUGH_SECS:
                await anyio.sleep(early_secs)
                continue
            item = source.take(FRAME_BYTES - len(self._rest))
            if isinstance(item, bytes):
                self._rest += item
                if len(self._rest) >= FRAME_BYTES:
                    await self._speak(stream)
            elif item is None:
                await self._starve(stream, source)

    async def _speak(self, stream: Speaking) -> None:
        pcm, self._rest = self._rest, b""
        self._trail = TRAIL_FRAMES
        for payload in self._encoder.encode(pcm):
            await stream.frame(payload)

    async def _starve(self, stream: Speaking, source: AudioSource) -> None:
        """There is nothing to say now. The end of an utterance waits for more while it lasts, then is filled up."""
        if self._rest:
            with anyio.move_on_after(FRAME_SECS):
                await source.wait()
                return
            if self._rest:
                self._rest = self._rest.ljust(FRAME_BYTES, b"\0")
                await self._speak(stream)
            return
        with anyio.move_on_after(FRAME_SECS if self._trail else PAUSE_SECS):
            await source.wait()
            return
        self._trail = max(0, self._trail - 1)
        await stream.frame(silence())


@functools.cache
def silence() -> bytes:
    """20 ms of silence, coded."""
    encoder = OpusEncoder(32_000)
    coded = [payload for _ in range(10) for payload in encoder.encode(bytes(FRAME_BYTES))]
    return coded[-1]
