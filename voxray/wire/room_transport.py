"""A call in a room of a vendor: its SDK, behind a small interface, as a `PendingTransport`.

What all rooms have in common is here: who is there, when the agent may speak, when the call is over, several voices as
one, RTVI messages, and sound that is handed over only a little ahead of the ear.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

import anyio

from voxray.audio.format import PCM_16K, AudioFormat
from voxray.audio.mix import Mixer
from voxray.errors import ProviderError, TransportFailedError
from voxray.events import (
    CallEnded,
    ClientReady,
    DtmfReceived,
    DtmfRequested,
    Inbound,
    Outbound,
    ProviderFailed,
    ReplyInterrupted,
    TransferRequested,
)
from voxray.protocols.serializer import Response, Serializer
from voxray.protocols.transport import AudioSource

logger = logging.getLogger(__name__)

PIECE_SECS = 0.04  # of sound per call of the SDK
GRAIN_SECS = 0.01  # SDKs take whole pieces of 10 ms
READY_SECS = 2.0  # for a client that speaks RTVI to say so; whoever says nothing is spoken to
CLOSE_SECS = 0.8  # for the last messages; less than the session allows for its goodbye
TRANSFER_SECS = 45.0  # for a transfer to ring and be taken
KEYS = frozenset("0123456789*#")
MESSAGE_CHARS = 64 * 1024
BAD_MESSAGES = 100  # that cannot be understood; the rest is not read
INBOX = 1000  # sounds and messages that the call has not taken yet: 20 s of sound
OUTBOX = 2000  # messages and keys


class RoomLine(Protocol):
    """A vendor's SDK in one room. All of it is called on the event loop, and calls the transport there."""

    lead_secs: float  # how far ahead of the ear sound may be handed over
    audio_out: AudioFormat
    sends_keys: bool  # `send_key` works

    async def run(self) -> None:
        """What the line has to do while the call lasts. Ends at once or when it is cancelled."""

    async def write(self, pcm: bytes) -> None:
        """Hand over sound, in whole pieces of 10 ms; returns when there is room for more.

        Raises:
            TransportFailedError: nothing is played any more.
        """

    def clear(self) -> None:
        """Drop what was handed over and not played, as far as the SDK can."""

    async def send_text(self, text: str) -> None:
        """Send a message to everybody in the room. Raises ProviderError: it did not leave."""

    async def send_key(self, who: str, digit: str) -> None:
        """Send a key to a telephone. Raises ProviderError."""

    async def transfer(self, who: str, to: str) -> None:
        """Hand a telephone on to another number; returns when it was taken. Raises ProviderError."""


class RoomTransport:
    """A `PendingTransport`. The line tells what happens by `joined`, `by_phone`, `left`, `heard`, `said`, `pressed`,
    `failed` and `closed`.

    `wait_secs`: how long `established` waits for somebody. `leave_grace_secs`: how long
    the agent stays when the last one left; they may only have lost their connection. `put_through`: what is to be done
    before anybody can come, for a telephone call that is held elsewhere.
    """

    audio_in = PCM_16K
    answers_marks = False

    def __init__(
        self,
        serializer: Serializer,
        line: RoomLine,
        *,
        wait_secs: float,
        leave_grace_secs: float,
        put_through: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.audio_out = line.audio_out
        self._line = line
        self._now = asyncio.get_running_loop().time  # anyio's own works in tasks only, and SDKs call from elsewhere
        self._serializer = serializer
        self._wait_secs = wait_secs
        self._leave_grace_secs = leave_grace_secs
        self._put_through = put_through
        self._guests: set[str] = set()  # who is there
        self._phones: set[str] = set()  # who of them, and of those about to come, speaks by telephone
        self._came = False
        self._ready_at: float | None = None  # when the agent speaks to somebody who is not known to be ready
        self._alone_at: float | None = None
        self._end: Exception | None = None
        self._inbox: deque[bytes | Inbound] = deque()
        self._news = anyio.Event()  # anything that `receive` or `established` wait for
        self._outbox: deque[str | DtmfRequested] = deque()
        self._to_send = anyio.Event()
        self._overflown = False
        self._clears = 0  # interruptions so far: sound taken before one must not be handed over after it
        self._mixer = Mixer(self.audio_in.rate_hz)
        self._bad_messages = 0
        self._unsent = 0
        self._end_told = False
        self._transfer_to = ""

    # ── what the line tells ──

    def joined(self, who: str, *, phone: bool = False) -> None:
        """Somebody is in the room; may be said again. A telephone can be spoken to at once."""
        if not self._came:
            self._ready_at = self._now() + (0.0 if self._phones else READY_SECS)
        self._guests.add(who)
        self._came = True
        self._alone_at = None
        if phone:
            self.by_phone(who)
        self._news.set()

    def by_phone(self, who: str) -> None:
        """`who`, in the room or about to come, speaks by telephone."""
        self._phones.add(who)
        if self._ready_at is not None:
            self._ready_at = self._now()
        self._news.set()

    def left(self, who: str) -> None:
        """Somebody left the room."""
        self._mixer.forget(who)
        self._phones.discard(who)
        if who in self._guests:
            self._guests.remove(who)
            if not self._guests:
                self._alone_at = self._now() + self._leave_grace_secs
        self._news.set()

    def heard(self, who: str, pcm: bytes) -> None:
        """`who` said this, in `audio_in`. Sound that nobody takes is dropped."""
        if len(pcm) & 1:
            return
        mixed = self._mixer.add(who, pcm, self._now())
        if mixed:
            self._take_in(mixed)

    def said(self, text: str) -> None:
        """A message came from somebody."""
        if self._bad_messages >= BAD_MESSAGES:
            return
        try:
            if len(text) > MESSAGE_CHARS:
                raise ValueError(f"a message may have {MESSAGE_CHARS} characters")
            for item in self._serializer.decode(text):
                if isinstance(item, Response):
                    self._post(str(item.message))
                else:
                    if isinstance(item, ClientReady):
                        self._ready_at = None
                    self._take_in(item)
        except ValueError as error:
            self._bad_messages += 1
            self.send(ProviderFailed(stage="client", provider="", error=str(error), retryable=False))

    def pressed(self, digit: str) -> None:
        """A key of a telephone; others are ignored."""
        if digit in KEYS:
            self._take_in(DtmfReceived(digit))

    def failed(self, error: str) -> None:
        """The connection to the room broke, or the agent was thrown out."""
        self._over(TransportFailedError(error))

    def closed(self) -> None:
        """The room was closed by those it belongs to."""
        self._over(anyio.EndOfStream())

    def _over(self, end: Exception) -> None:
        self._end = self._end or end
        self._news.set()

    def _take_in(self, item: bytes | Inbound) -> None:
        if len(self._inbox) < INBOX:
            self._inbox.append(item)
            self._news.set()

    # ── Transport ──

    @property
    def phone(self) -> str:
        """The telephone in the room, "" if there is none."""
        if not self._guests:
            return ""
        return next(iter(self._phones & self._guests or self._phones), "")

    @property
    def transfers(self) -> bool:
        return bool(self.phone)

    @property
    def sends_dtmf(self) -> bool:
        return self._line.sends_keys and bool(self.phone)

    async def established(self) -> bool:
        with anyio.move_on_after(self._wait_secs):
            try:
                if self._put_through is not None:
                    await self._put_through()
                while not self._came and self._end is None:
                    await self._told()
            except ProviderError as error:
                logger.error("a held call cannot be put through", extra={"error": str(error)})
                return False
        return self._came and self._end is None

    async def receive(self) -> bytes | Inbound:
        while not self._inbox:
            if self._end is not None:
                raise self._end
            now = self._now()
            if self._alone_at is not None and now >= self._alone_at:
                raise anyio.EndOfStream
            if self._ready_at is not None and now >= self._ready_at:
                self._ready_at = None
                return ClientReady()
            due = [at for at in (self._alone_at, self._ready_at) if at is not None]
            with anyio.move_on_at(min(due, default=float("inf"))):
                await self._told()
        return self._inbox.popleft()

    async def _told(self) -> None:
        self._news = anyio.Event()
        await self._news.wait()

    def send(self, event: Outbound) -> None:
        if isinstance(event, TransferRequested):
            self._transfer_to = event.to
            return
        if isinstance(event, DtmfRequested):
            self._post(event)
            return
        self._end_told = self._end_told or isinstance(event, CallEnded)
        if isinstance(event, ReplyInterrupted):
            self._clears += 1
            self._line.clear()
        encoded = self._serializer.encode(event)
        for text in encoded if isinstance(encoded, tuple) else (encoded,):
            if isinstance(text, str):
                self._post(text)

    def _post(self, item: str | DtmfRequested) -> None:
        self._overflown = self._overflown or len(self._outbox) >= OUTBOX
        if not self._overflown:
            self._outbox.append(item)
        self._to_send.set()

    async def play(self, source: AudioSource) -> None:
        failures: list[TransportFailedError] = []
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._line.run)
                tasks.start_soon(self._send_all)
                await self._speak(source)
        except* TransportFailedError as group:
            failures += [failure for failure in group.exceptions if isinstance(failure, TransportFailedError)]
        if failures:
            raise failures[0]

    async def close(self, cause: str, detail: str) -> None:
        if not self._end_told:
            self.send(CallEnded(cause, detail))  # a call that was refused has had none
        if self._end is None:
            with anyio.move_on_after(CLOSE_SECS), suppress(TransportFailedError):
                await self._flush()

    async def finish(self) -> None:
        """Hand the caller on if the call ended with that: to be called before the agent leaves the room."""
        who, to = self.phone, self._transfer_to
        if not who or not to or self._end is not None:
            return
        try:
            with anyio.fail_after(TRANSFER_SECS):
                await self._line.transfer(who, to)
                while who in self._guests and self._end is None:
                    await self._told()
        except ProviderError as error:
            logger.error("a caller was not handed on", extra={"error": str(error)})
        except TimeoutError:
            logger.error("a caller was not handed on", extra={"error": f"nothing within {TRANSFER_SECS:g} s"})

    # ── to the room ──

    async def _send_all(self) -> None:
        while True:
            await self._flush()
            self._to_send = anyio.Event()
            if not self._outbox and not self._overflown:
                await self._to_send.wait()

    async def _flush(self) -> None:
        while self._outbox or self._overflown:
            if self._overflown:
                raise TransportFailedError("the room does not take what we send")
            item = self._outbox.popleft()
            try:
                if isinstance(item, str):
                    await self._line.send_text(item)
                elif self.phone:
                    await self._line.send_key(self.phone, item.digit)
            except ProviderError as error:
                self._unsent += 1
                if self._unsent == 1:  # one line per call tells it
                    logger.warning("a message did not reach the room", extra={"error": str(error)})

    async def _speak(self, source: AudioSource) -> None:
        piece, grain = self.audio_out.size(PIECE_SECS), self.audio_out.size(GRAIN_SECS)
        rest = b""  # less than an SDK takes; it waits for what follows as long as nobody hears that it is late
        clears = self._clears
        while True:
            early_secs = source.lead_secs() + PIECE_SECS - self._line.lead_secs
            if early_secs > 0:
                await anyio.sleep(early_secs)
            if clears != self._clears:
                rest, clears = b"", self._clears
            item = source.take(piece - len(rest))
            if isinstance(item, bytes):
                sound = rest + item
                whole = len(sound) - len(sound) % grain
                rest = sound[whole:]
                if whole:
                    await self._line.write(sound[:whole])
            elif item is None:
                patience_secs = max(0.0, source.lead_secs() - PIECE_SECS) if rest else None
                with anyio.move_on_after(patience_secs) as patience:
                    await source.wait()
                if patience.cancelled_caught and clears == self._clears:
                    sound, rest = rest + bytes(grain - len(rest)), b""
                    await self._line.write(sound)
