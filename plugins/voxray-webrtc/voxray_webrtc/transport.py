"""One call over WebRTC: a `PendingTransport` that outlives the connections it is held over."""

from __future__ import annotations

import logging
from typing import Protocol

import anyio

from voxray.audio.format import PCM_16K, PCM_24K
from voxray.errors import ClientIdleError, TransportFailedError
from voxray.events import Inbound, Outbound
from voxray.protocols.context import ListenerContext
from voxray.protocols.transport import AudioSource
from voxray_webrtc.connection import Channel, Connection
from voxray_webrtc.limits import Limits
from voxray_webrtc.messages import READY, Messages
from voxray_webrtc.opus import OpusDecoder
from voxray_webrtc.rtp import RATE_HZ, Gaps, Packet, Received, Reordering, parse, sender_reports
from voxray_webrtc.sdp import PeerDescription
from voxray_webrtc.speaking import Speaker, Speaking

logger = logging.getLogger(__name__)

GOODBYE_SECS = 0.3  # for the last messages
MAX_PACKETS = 1000  # of sound between two checks; senders come to 100 a second at most
HEARD_BYTES = 2 * PCM_16K.bytes_per_sec  # that may wait for the call
TICKS = RATE_HZ // PCM_16K.rate_hz  # of a packet's clock in a sample


class Owner(Protocol):
    """What a transport needs of those who made it."""

    def retire(self, connection: Connection, goodbye: bytes) -> None:
        """Close a connection in the background."""

    def forget(self, transport: WebRtcTransport) -> None:
        """Its call is over."""


class WebRtcTransport:
    audio_in = PCM_16K
    audio_out = PCM_24K
    transfers = False
    sends_dtmf = True
    answers_marks = False

    def __init__(
        self, owner: Owner, context: ListenerContext, connection: Connection, *, bit_rate: int, limits: Limits
    ) -> None:
        self._owner = owner
        self._idle_secs = context.idle_secs
        self._limits = limits
        self._messages = Messages(context, self._arrive)
        self._speaker = Speaker(lambda: self._live, bit_rate)
        self._heard: list[bytes] = []
        self._heard_bytes = 0
        self._packets = 0  # of sound, since the last check
        self._items: list[bytes | Inbound] = []
        self._arrived = anyio.Event()
        self._replaced = anyio.Event()  # the connection, by one that is to be brought up
        self._answered = False
        self._closed = False
        self._playing: anyio.CancelScope | None = None
        self._ended: Exception | None = None
        self._last = anyio.current_time()  # of what came from the client
        self._made_at = self._last
        self._lost_at: float | None = None
        self._lost_for = 0.0
        self._parting: Exception = anyio.EndOfStream()
        self._ready = False
        self._live: Speaking | None = None
        self._begin(connection)

    # ── connections ──

    @property
    def connection(self) -> Connection:
        return self._connection

    @property
    def settled(self) -> bool:
        """Nothing of it is still to come up."""
        return self._closed or self._connection.connected or self._connection.closed

    def _begin(self, connection: Connection) -> None:
        connection.listening = self
        self._connection = connection
        self._decoder = OpusDecoder()
        self._received: Received | None = None
        offer = connection.offer
        self._speaking = Speaking(
            connection.ssrc,
            connection.cname,
            offer.payload_type if offer.hears else None,
            send=connection.send,
            now=connection.now,
        )

    def replace(self, connection: Connection) -> None:
        """Go on over another connection; the old one is closed without a word."""
        self._owner.retire(self._connection, b"")
        self._messages.drop()
        self._begin(connection)
        self._lost(self._limits.connect_secs + self._limits.grace_secs)
        self._replaced.set()
        self._messages.opened.set()  # whoever waits for the old one's channel waits in vain

    async def renegotiate(self, offer: PeerDescription) -> str:
        """Our answer to a new offer on the same connection. Raises ValueError: it is not about the same."""
        answer = await self._connection.renegotiate(offer)
        self._speaking.payload_type = offer.payload_type if offer.hears else None
        return answer

    async def _bring_up(self) -> bool:
        """Connect, also over what replaces the connection meanwhile."""
        while True:
            self._replaced = anyio.Event()
            connection = self._connection
            up = await connection.connect(self._limits.connect_secs)
            if connection is self._connection:
                break
        if up:
            self._found()
        else:
            self._owner.retire(connection, b"")
        return up

    async def _keep_up(self) -> None:
        while True:
            await self._replaced.wait()
            if not await self._bring_up():
                self._lost(self._limits.grace_secs)

    def _found(self) -> None:
        self._lost_at = None
        self._live = self._speaking
        self._speaker.connected()

    def _lost(self, patience_secs: float, parting: Exception | None = None) -> None:
        """There is no connection now. If there is none for so long, the call ends: with `parting`, or as broken."""
        self._live = None
        self._lost_at, self._lost_for = anyio.current_time(), patience_secs
        self._parting = parting or TransportFailedError("the connection to the client was lost")
        self._speaker.connected()

    # ── Listening ──

    def on_sound(self, connection: Connection, data: bytes) -> None:
        packet = parse(data)
        offer = connection.offer
        if packet is None or connection is not self._connection or packet.payload_type != offer.payload_type:
            return
        now = connection.now()
        if self._received is None or self._received.ssrc != packet.ssrc:
            self._received = Received(packet.ssrc)
            self._reordering = Reordering(self._hear)
            self._gaps = Gaps(now)
        self._received.packet(packet, now)
        self._last = now
        self._packets += 1
        if self._answered:
            self._reordering.add(packet)

    def _hear(self, packet: Packet) -> None:
        gap = self._gaps.before(packet.timestamp, self._connection.now())
        pcm = self._decoder.decode(packet.payload)
        self._gaps.sound(packet.timestamp, len(pcm) // 2 * TICKS)
        pcm = bytes(gap // TICKS * 2) + pcm
        if pcm and self._heard_bytes < HEARD_BYTES:
            self._heard.append(pcm)
            self._heard_bytes += len(pcm)
            self._arrived.set()

    def on_report(self, connection: Connection, data: bytes) -> None:
        for ssrc, middle in sender_reports(data):
            if self._received is not None and self._received.ssrc == ssrc:
                self._received.sender_report(middle, anyio.current_time())

    def on_channel(self, connection: Connection, channel: Channel) -> None:
        if connection is self._connection and self._messages.adopt(channel):
            self._be_ready()

    def on_message(self, connection: Connection, channel: Channel, message: str | bytes) -> None:
        if connection is self._connection:
            self._last = anyio.current_time()
            self._messages.received(channel, message)

    def on_closed(self, connection: Connection, *, goodbye: bool) -> None:
        if connection is not self._connection or self._closed:
            return
        self._messages.drop()
        if goodbye:
            self._lost(min(self._limits.left_secs, self._limits.grace_secs), anyio.EndOfStream())
        elif self._live is not None:
            self._lost(self._limits.grace_secs)

    # ── PendingTransport ──

    async def established(self) -> bool:
        done = False
        try:
            done = await self._bring_up() and await self._settle()
        finally:
            if not done:
                await self.close("", "")
        return done

    async def _settle(self) -> bool:
        """Wait for the data channel that the client announced."""
        if self._connection.offer.sctp_port is not None:
            with anyio.move_on_after(self._limits.channel_secs):
                await self._messages.opened.wait()
        if self._messages.channel is None and not self._replaced.is_set():
            self._be_ready()
        return self._ended is None and not self._closed

    def _be_ready(self) -> None:
        if not self._ready:
            self._ready = True
            self._items.append(READY)
            self._arrive()

    # ── Transport ──

    async def receive(self) -> bytes | Inbound:
        if not self._answered:
            self._answered = True
            self._messages.answered()
        while True:
            if self._items:
                return self._items.pop(0)
            if self._messages.waiting:
                self._items += self._messages.take()
                continue
            if self._heard:
                pcm = self._heard[0] if len(self._heard) == 1 else b"".join(self._heard)
                self._heard.clear()
                self._heard_bytes = 0
                return pcm
            if self._ended is not None:
                raise self._ended
            self._arrived = anyio.Event()
            await self._arrived.wait()

    def send(self, event: Outbound) -> None:
        if not self._closed:
            self._messages.send(event)

    async def play(self, source: AudioSource) -> None:
        async with anyio.create_task_group() as tasks:
            self._playing = tasks.cancel_scope
            tasks.start_soon(self._keep_up)
            tasks.start_soon(self._speaker.play, source)
            if self._ended is not None:
                tasks.cancel_scope.cancel()
        if isinstance(self._ended, TransportFailedError):
            raise self._ended
        await anyio.sleep_forever()  # they left; receive() says so

    async def close(self, cause: str, detail: str) -> None:
        if self._closed:
            return
        self._closed = True
        goodbye = self._speaking.bye()
        try:
            self._messages.say_goodbye(cause, detail)
            with anyio.move_on_after(GOODBYE_SECS, shield=True):
                while self._messages.unread and self._connection.connected:  # noqa: ASYNC110  nobody tells
                    await anyio.sleep(0.01)
        finally:
            self._owner.retire(self._connection, goodbye)
            self._owner.forget(self)
            self._end(anyio.EndOfStream())

    # ── the clock, once a second ──

    def check(self) -> None:
        """See whether the other side is still there."""
        now = anyio.current_time()
        self._look(now)
        self._packets, packets = 0, self._packets
        if self._lost_at is not None and now > self._lost_at + self._lost_for:
            self._end(self._parting)
        elif self._connection.overfed or packets > MAX_PACKETS:
            self._end(TransportFailedError("the client sends more than was agreed"))
        elif self._answered and now > self._last + self._idle_secs:
            self._end(ClientIdleError(f"nothing came from the client for {self._idle_secs:g} s"))
        elif not self._answered and now > self._made_at + self._limits.connect_secs + self._limits.answer_secs:
            self._end(TransportFailedError("the call was not answered"))

    def _look(self, now: float) -> None:
        """Notice a peer that vanished without a word, and one that is back."""
        if not self._connection.connected:
            return
        pinged_at = self._messages.pinged_at
        silent = self._connection.heard_secs_ago() > self._limits.silent_secs or (
            pinged_at is not None and now > pinged_at + self._limits.ping_secs
        )
        if silent and self._live is not None:
            self._lost(self._limits.grace_secs)
        elif not silent and self._live is None:
            self._found()

    @property
    def abandoned(self) -> bool:
        """It was never answered, and nobody will."""
        return self._ended is not None and not self._answered

    async def report(self) -> None:
        """Tell the peer about the sound, ours and theirs."""
        if self._live is not None:
            blocks = b"" if self._received is None else self._received.block(anyio.current_time())
            await self._connection.send(self._live.report(blocks))

    def _end(self, reason: Exception) -> None:
        if self._ended is None:
            self._ended = reason
            self._messages.opened.set()
            self._arrive()
            if self._playing is not None:
                self._playing.cancel()

    def _arrive(self) -> None:
        self._arrived.set()
