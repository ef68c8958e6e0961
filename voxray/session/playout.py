"""Audio on its way to the ear: one writer with a lease, one reader that pulls, one model of what was heard.

The buffer belongs to the lease of the reply that speaks. Clearing it revokes the lease, and a revoked lease never
returns: its writer waits there to be cancelled.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from voxray.audio.format import AudioFormat
from voxray.events import Mark, Proof, ReplyAudible, SessionEvent, SpeechHeard, SpeechSent
from voxray.session.ledger import Ledger
from voxray.session.log import Clock

BUFFERED_SECS = 4.0  # how far a voice may run ahead; what it says beyond an interruption is paid for nothing
MARK_GRACE_SECS = 1.0  # a client that answers marks has this long before we believe the clock instead


@dataclass(frozen=True, slots=True)
class _Boundary:
    """`text` ends here; `end_secs` is the position in the reply's sound."""

    name: str
    text: str
    end_secs: float
    word: bool


class Lease:
    """The right to speak, for one reply. Its cancel scope exists before the reply's task runs."""

    def __init__(self, playout: Playout, reply: int) -> None:
        self.reply = reply
        self.scope = anyio.CancelScope()
        self.ledger = Ledger()
        self.revoked = False
        self.audible = False
        self.unfinished = False  # the model has more to say
        self.working = False  # it waits for tools, which have deadlines of their own
        self._playout = playout
        self._marks = 0

    async def write(self, audio: bytes) -> None:
        """Append audio in the transport's format; waits while four seconds are buffered."""
        await self._playout.room()
        await self.check()
        self.ledger.written(self._playout.format.secs(len(audio)))
        self._playout.append(audio)

    async def spoken(self, text: str, *, word: bool) -> float:
        """`text` ends at what was written so far; returns that second of the reply's sound."""
        await self.check()
        end_secs = self.ledger.synthesized(text)
        self._marks += 1
        self._playout.append(_Boundary(f"{self.reply}.{self._marks}", text, end_secs, word))
        return end_secs

    async def finished(self) -> None:
        """Wait until everything written was heard."""
        self.ledger.complete()
        await self.drained()

    async def drained(self) -> None:
        """The same, for a reply whose text did not all become sound."""
        await self._playout.drained()
        await self.check()

    async def check(self) -> None:
        """Return if the lease is still held; a task whose lease was revoked waits here to be cancelled."""
        if self.revoked:
            await anyio.sleep_forever()


class Playout:
    """An `AudioSource`: what the current lease has written and the listener has not yet been sent."""

    def __init__(
        self, format: AudioFormat, clock: Clock, tell: Callable[[SessionEvent], object], *, answers_marks: bool
    ) -> None:
        self.format = format
        self._clock = clock
        self._tell = tell
        self._items: deque[bytes | _Boundary] = deque()
        self._buffered = 0
        self._cap = format.size(BUFFERED_SECS)
        self._piece = format.size(1.0)
        self._ready = anyio.Event()
        self._room = anyio.Event()
        self._lease: Lease | None = None
        self._sent_secs = 0.0  # of the current lease's sound
        self._proved_secs = 0.0  # of it that were heard to the end of a piece, by mark or clock
        self._ear_at = 0.0  # when the listener will have heard what was sent
        self._lag_secs = 0.0  # how much later than that they really do, by their marks
        self._marks_answered = answers_marks
        self._unheard: deque[tuple[float, _Boundary]] = deque()  # (due, boundary), sent

    # ── the writer's side ──

    def lease(self, reply: int) -> Lease:
        """Hand the buffer to a new reply. The former one must be finished or cleared."""
        self._lease = Lease(self, reply)
        self._sent_secs = self._proved_secs = 0.0
        return self._lease

    def release(self) -> None:
        """The reply that held the lease is over."""
        self._lease = None

    def append(self, item: bytes | _Boundary) -> None:
        if isinstance(item, bytes):
            self._buffered += len(item)
            if len(item) > self._piece:
                # Whole answers may come in one piece; cutting pieces from a long one would copy it each time.
                self._items.extend(item[start : start + self._piece] for start in range(0, len(item), self._piece))
            elif item:
                self._items.append(item)
        else:
            self._items.append(item)
        if self._items:
            self._ready.set()

    async def room(self) -> None:
        while self._buffered > self._cap:
            self._room = anyio.Event()
            await self._room.wait()

    async def drained(self) -> None:
        """Wait until nothing is buffered and all that was sent has been heard."""
        while self._items or self._unheard or self.lead_secs() > 1e-6:
            if self._items:
                at = self._clock.now() + max(self.lead_secs(), 0.02)
            else:
                at = self._unheard[0][0] + self._grace_secs if self._unheard else self._ear_at
            self._room = anyio.Event()
            with anyio.move_on_at(self._clock.loop_time(at)):
                await self._room.wait()
            self._settle()

    def clear(self) -> float:
        """Drop what was not heard and revoke the lease; returns the seconds of the reply's sound that were heard."""
        self._settle()
        heard_secs = self.heard_secs()
        lease, self._lease = self._lease, None
        self._items.clear()
        self._unheard.clear()
        self._buffered = 0
        self._ear_at = self._clock.now()
        if lease is not None:
            lease.revoked = True
            lease.scope.cancel()
        self._room.set()
        return heard_secs

    # ── the listener's side ──

    def take(self, size: int) -> bytes | Mark | None:
        """See `AudioSource.take`."""
        self._settle()
        if not self._items:
            return None
        item = self._items.popleft()
        if isinstance(item, _Boundary):
            self._sent(item)
            return Mark(item.name)
        if len(item) > size:
            self._items.appendleft(item[size:])
            item = item[:size]
        else:
            while len(item) < size and self._items and isinstance(self._items[0], bytes):
                more = self._items.popleft()
                assert isinstance(more, bytes)
                need = size - len(item)
                if len(more) > need:
                    self._items.appendleft(more[need:])
                item += more[:need]
        self._buffered -= len(item)
        secs = self.format.secs(len(item))
        self._sent_secs += secs
        self._ear_at = max(self._ear_at, self._clock.now()) + secs
        self._room.set()
        if self._lease is not None and not self._lease.audible:
            self._lease.audible = True
            self._tell(ReplyAudible(self._lease.reply))
        return item

    @property
    def ear_at(self) -> float:
        """When everything sent will have been, or was, heard; seconds of the call."""
        return self._ear_at

    @property
    def buffered(self) -> bool:
        return self._buffered > 0

    def lead_secs(self) -> float:
        return max(0.0, self._ear_at - self._clock.now())

    async def wait(self) -> None:
        while not self._items:
            self._ready = anyio.Event()
            await self._ready.wait()

    def heard_secs(self) -> float:
        """Seconds of the current reply's sound that reached the ear, by marks and clock."""
        return max(self._proved_secs, self._sent_secs - self.lead_secs() - self._lag_secs)

    def mark_reached(self, name: str) -> None:
        """The listener played up to this mark, and so up to all before it."""
        if not any(boundary.name == name for _, boundary in self._unheard):
            return  # doubled, late or foreign
        self._marks_answered = True
        while self._unheard:
            due, boundary = self._unheard.popleft()
            self._heard(boundary, Proof.MARK)
            if boundary.name == name:
                self._lag_secs = max(0.0, self._clock.now() - due)
                break
        self._room.set()

    @property
    def _grace_secs(self) -> float:
        return MARK_GRACE_SECS if self._marks_answered else 0.0

    def _sent(self, boundary: _Boundary) -> None:
        if self._lease is not None:
            self._tell(SpeechSent(self._lease.reply, boundary.text))
            self._unheard.append((max(self._ear_at, self._clock.now()), boundary))

    def _settle(self) -> None:
        """Believe the clock for everything that must have been heard by now."""
        believed = self._clock.now() - self._grace_secs + 1e-9
        while self._unheard and self._unheard[0][0] <= believed:
            _, boundary = self._unheard.popleft()
            self._heard(boundary, Proof.WORD_TIME if boundary.word else Proof.ESTIMATE)

    def _heard(self, boundary: _Boundary, proof: Proof) -> None:
        if self._lease is not None:
            self._proved_secs = boundary.end_secs
            self._lease.ledger.reported(boundary.text)
            self._tell(SpeechHeard(self._lease.reply, boundary.text, proof))
