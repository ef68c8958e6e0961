"""The one writer of a socket: queued events first, then audio, a fifth of a second ahead of the ear."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable

import anyio

from voxray.audio.format import Encoding
from voxray.errors import TransportFailedError
from voxray.events import Mark, Outbound, ReplyInterrupted
from voxray.protocols.serializer import Pieces, Serializer
from voxray.protocols.transport import AudioSource

LEAD_SECS = 0.2  # of audio sent ahead: hides a garbage collection, and is all a barge-in has to take back
PIECE_SECS = 0.06  # per message: each costs the same, whatever its length
FRAME_SECS = 0.02  # what `ws_write_coalesce_max_frames` counts
EARLY_ENOUGH_SECS = 0.0005  # not worth a timer, and less than clocks resolve
SEND_SECS = 5.0  # a message that takes longer will never arrive
LEAST_SECS = 0.25  # how long a carrier's smallest piece may wait for more sound before it is padded
SILENCE = {Encoding.PCM16: b"\0", Encoding.MULAW: b"\xff", Encoding.ALAW: b"\xd5"}
OUTBOX_MESSAGES = 2048
OUTBOX_BYTES = 2 * 1024 * 1024


class PacedWriter:
    """Writes one connection's messages through `write`, which sends one message and may block.

    `coalesce_ms`: how long a piece shorter than usual waits for more sound; 0 sends it at once, unless the serializer's
    `pieces` want more. `lead_secs`: how far audio is sent ahead of the ear, at least two pieces.
    """

    def __init__(
        self,
        write: Callable[[str | bytes], Awaitable[None]],
        serializer: Serializer,
        *,
        coalesce_ms: float = 0.0,
        coalesce_max_frames: int = 10,
        lead_secs: float = LEAD_SECS,
        send_secs: float = SEND_SECS,
    ) -> None:
        self._write = write
        self._serializer = serializer
        self._send_secs = send_secs
        audio = serializer.audio_out
        usual_secs = min(PIECE_SECS, coalesce_max_frames * FRAME_SECS) if coalesce_ms else PIECE_SECS
        self._pieces = serializer.pieces or Pieces(audio.size(usual_secs))
        self._patience_secs = max(coalesce_ms / 1000, LEAST_SECS if self._pieces.least else 0.0)
        self._piece_secs = audio.secs(self._pieces.usual)
        self._lead_secs = max(lead_secs, 2 * self._piece_secs)
        self._outbox: deque[str | bytes] = deque()
        self._outbox_bytes = 0
        self._clears = 0  # interruptions so far: sound taken before one must not be sent after it
        self._wake = anyio.Event()
        self._starving = anyio.Event()
        self._sending = anyio.CancelScope()
        self._overflown = False

    def send(self, event: Outbound) -> None:
        """Queue an event's message. When too much is queued, everything is dropped and `play` fails."""
        encoded = None if self._overflown else self._serializer.encode(event)
        if encoded is None:
            return
        if isinstance(event, ReplyInterrupted):
            self._clears += 1
        self._queue(encoded if isinstance(encoded, tuple) else (encoded,))

    def respond(self, message: str | bytes) -> None:
        """Queue a message of the protocol itself; the same limit holds."""
        if not self._overflown:
            self._queue((message,))

    def _queue(self, messages: Iterable[str | bytes]) -> None:
        for message in messages:
            self._outbox.append(message)
            self._outbox_bytes += len(message)
        self._wake.set()
        if len(self._outbox) > OUTBOX_MESSAGES or self._outbox_bytes > OUTBOX_BYTES:
            self._overflown = True
            self._outbox.clear()
            self._sending.cancel()

    async def play(self, source: AudioSource) -> None:
        """Write events and the source's audio until cancelled. Raises TransportFailedError."""
        failures: list[TransportFailedError] = []
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch, source)
                await self._run(source)
        except* TransportFailedError as group:
            failures += [failure for failure in group.exceptions if isinstance(failure, TransportFailedError)]
        if failures:
            raise failures[0]

    async def flush(self) -> None:
        """Write what is queued."""
        while self._outbox or self._overflown:
            if self._overflown:
                raise TransportFailedError("the client does not read what we send")
            message = self._outbox.popleft()
            self._outbox_bytes -= len(message)
            await self._put(message)

    async def _run(self, source: AudioSource) -> None:
        while True:
            await self.flush()
            early_secs = source.lead_secs() + self._piece_secs - self._lead_secs
            if early_secs > EARLY_ENOUGH_SECS:
                with anyio.move_on_after(early_secs):
                    await self._woken()
                continue
            clears = self._clears
            item = source.take(self._pieces.usual)
            if item is None:
                self._starving.set()
                await self._woken()
                continue
            await self._send_taken(source, item, clears)

    async def _send_taken(self, source: AudioSource, item: bytes | Mark, clears: int) -> None:
        mark: Mark | None = None
        if isinstance(item, bytes) and len(item) < self._pieces.usual and self._patience_secs:
            item, mark = await self._completed(source, item, clears)
        await self.flush()  # what taking it caused, such as the news that the reply is audible
        for part in (item, mark):
            if part is not None and clears == self._clears:
                await self._put_encoded(self._serializer.encode(part))

    async def _completed(self, source: AudioSource, item: bytes, clears: int) -> tuple[bytes, Mark | None]:
        """`item` with the sound that follows within the patience, up to the end of the utterance; padded to whole
        multiples."""
        pieces = self._pieces
        deadline = anyio.current_time() + self._patience_secs
        mark: Mark | None = None
        while len(item) < pieces.usual and mark is None and clears == self._clears:
            more = source.take(pieces.usual - len(item))
            if isinstance(more, Mark):
                mark = more
            elif more is not None:
                item += more
            elif anyio.current_time() >= deadline or 0 < pieces.least <= len(item):
                break
            else:
                self._starving.set()
                with anyio.move_on_at(deadline):
                    await self._woken()
        missing = -len(item) % pieces.multiple
        return item + SILENCE[self._serializer.audio_out.encoding] * missing, mark

    async def _put_encoded(self, encoded: str | bytes | tuple[str | bytes, ...] | None) -> None:
        if isinstance(encoded, tuple):
            for message in encoded:
                await self._put(message)
        elif encoded is not None:
            await self._put(encoded)

    async def _put(self, message: str | bytes) -> None:
        with anyio.move_on_after(self._send_secs) as self._sending:
            await self._write(message)
        if self._sending.cancelled_caught and not self._overflown:
            self._overflown = True
            raise TransportFailedError(f"the client took nothing for {self._send_secs:g} s")

    async def _watch(self, source: AudioSource) -> None:
        """Wake the writer when a source that had nothing has something again."""
        while True:
            await self._starving.wait()
            self._starving = anyio.Event()
            await source.wait()
            self._wake.set()

    async def _woken(self) -> None:
        if not self._outbox and not self._overflown:
            self._wake = anyio.Event()
            await self._wake.wait()
