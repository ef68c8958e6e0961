"""The messages of a call: what goes over its data channel, both ways."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable

import anyio

from voxray.errors import TransportFailedError
from voxray.events import CallEnded, CallStarted, ClientReady, Inbound, Outbound, ProviderFailed
from voxray.protocols.context import ListenerContext
from voxray.protocols.serializer import Response, Serializer
from voxray_webrtc.connection import Channel

logger = logging.getLogger(__name__)

BAD_MESSAGES = 100  # that cannot be understood, then the client is not ours
WAITING_MESSAGES = 50  # kept until the call is answered
PENDING_MESSAGES = 1024  # that the call has not yet taken
BUFFERED_BYTES = 2 * 1024 * 1024  # that the peer has not yet taken
LARGEST_BYTES = 64 * 1024 - 1  # of ours: more is not understood everywhere
PING = "ping"
JSON = "json"
PEER_LEFT = '{"type":"signalling","message":{"type":"peerLeft"}}'


class Messages:
    """Reads what comes and writes what goes, by the protocol of the channel that is open.

    `on_arrival` is called when something came; `take` gives it. `pinged_at` is when the client's last sign of life
    came, None if it gives none.
    """

    def __init__(self, context: ListenerContext, on_arrival: Callable[[], None]) -> None:
        self._context = context
        self._on_arrival = on_arrival
        self._channel: Channel | None = None
        self._serializer: Serializer | None = None
        self._simple = False
        self._inbox: deque[str] = deque()
        self._started: CallStarted | None = None
        self._answered = False
        self._end_told = False
        self._bad = 0
        self._overrun = ""
        self.pinged_at: float | None = None
        self.opened = anyio.Event()

    @property
    def channel(self) -> Channel | None:
        return self._channel

    def adopt(self, channel: Channel) -> bool:
        """Talk over this channel from now on, unless there is one already. True: its client is ready at once."""
        if self._channel is not None and self._channel.open:
            return False
        simple = channel.protocol == JSON
        self._channel = channel
        if self._serializer is None or simple != self._simple:
            # Over another connection the conversation goes on: RTVI clients do not say again that they are ready.
            self._simple = simple
            self._serializer = self._context.serializer({} if simple else {"rtvi": "1"})
        self._inbox.clear()
        self.pinged_at = None
        self.opened.set()
        if simple and self._started is not None:
            self.send(self._started)
        return simple

    def drop(self) -> None:
        """The connection is gone, and the channel with it. What it brought is still taken: a farewell, say."""
        self._channel = None
        self.pinged_at = None

    # ── in ──

    def received(self, channel: Channel, message: str | bytes) -> None:
        """Take a message as it came."""
        if channel is not self._channel:
            return
        if isinstance(message, bytes):
            self._misunderstood("binary messages are not understood here")
        elif message.startswith(PING):
            self.pinged_at = anyio.current_time()
        elif not _is_signalling(message):
            most = PENDING_MESSAGES if self._answered else WAITING_MESSAGES
            if len(self._inbox) < most:
                self._inbox.append(message)
                self._on_arrival()
            elif self._answered:
                self._overrun = "the client sends messages faster than they can be taken"
                self._on_arrival()

    def answered(self) -> None:
        """The call is there to take what comes."""
        self._answered = True

    def take(self) -> list[bytes | Inbound]:
        """What the oldest message means, nothing if there is none. Raises TransportFailedError."""
        if self._overrun:
            raise TransportFailedError(self._overrun)
        if not self._inbox or self._serializer is None:
            return []
        found: list[bytes | Inbound] = []
        try:
            for item in self._serializer.decode(self._inbox.popleft()):
                if isinstance(item, Response):
                    self._write(item.message)
                else:
                    found.append(item)
        except ValueError as error:
            self._misunderstood(str(error))
        return found

    @property
    def waiting(self) -> bool:
        return bool(self._inbox or self._overrun)

    def _misunderstood(self, error: str) -> None:
        self._bad += 1
        if self._bad > BAD_MESSAGES:
            self._overrun = f"more than {BAD_MESSAGES} messages could not be understood"
            self._on_arrival()
            return
        self.send(ProviderFailed(stage="client", provider="", error=error, retryable=False))

    # ── out ──

    def send(self, event: Outbound) -> None:
        """Write an event's messages; nothing without a channel."""
        if isinstance(event, CallStarted):
            self._started = event
        self._end_told = self._end_told or isinstance(event, CallEnded)
        if self._serializer is None or self._channel is None:
            return
        encoded = self._serializer.encode(event)
        if encoded is None:
            return
        for message in encoded if isinstance(encoded, tuple) else (encoded,):
            self._write(message)

    def say_goodbye(self, cause: str, detail: str) -> None:
        if cause and not self._end_told:
            self.send(CallEnded(cause, detail))  # a call that was refused has had none
        if self._channel is not None:
            self._channel.send(PEER_LEFT)

    @property
    def unread(self) -> int:
        """Bytes that the client has not yet taken."""
        return self._channel.buffered if self._channel is not None and self._channel.open else 0

    def _write(self, message: str | bytes) -> None:
        if self._channel is None:
            return
        if isinstance(message, bytes) or len(message.encode()) > LARGEST_BYTES:
            logger.warning("a message is too large for a data channel", extra={"size_bytes": len(message)})
            return
        self._channel.send(message)
        if self._channel.buffered > BUFFERED_BYTES:
            self._overrun = "the client does not read what we send"
            self._on_arrival()


def _is_signalling(message: str) -> bool:
    """Whether it is about the connection itself: what tracks the client has muted, say. That needs no answer."""
    if '"signalling"' not in message[:64]:
        return False
    try:
        found = json.loads(message)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("type") == "signalling"


READY = ClientReady()
