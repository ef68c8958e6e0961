"""A connected party, and ways for one to arrive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from voxray.audio.format import AudioFormat
from voxray.events import Inbound, Mark, Outbound
from voxray.protocols.call import CallInfo


class AudioSource(Protocol):
    """What the agent says, pulled by the transport."""

    def take(self, size: int) -> bytes | Mark | None:
        """The next audio, up to `size` bytes of the transport's `audio_out`; a `Mark` where a piece ends; None when
        there is nothing to send now. What was taken counts as sent."""

    def lead_secs(self) -> float:
        """How far what was taken is ahead of the listener's ear, by the clock; 0 when they hear silence."""

    async def wait(self) -> None:
        """Return when `take()` would give something."""


class Transport(Protocol):
    """One connected party. `receive` is called by one task, `play` by another; `send` by anybody on the loop."""

    audio_in: AudioFormat  # what receive() returns
    audio_out: AudioFormat  # what play() takes
    transfers: bool  # TransferRequested works
    sends_dtmf: bool  # DtmfRequested works
    answers_marks: bool  # every Mark comes back as MarkReached when the other side has played up to it

    async def receive(self) -> bytes | Inbound:
        """The next audio or message. Bytes may be of any length.

        Raises:
            anyio.EndOfStream: they left.
            TransportFailedError: the connection broke.
        """

    def send(self, event: Outbound) -> None:
        """Queue an event for the other side, after the audio already handed over. Never blocks, never raises: if the
        other side does not read, `play` fails. Events the protocol has no message for are ignored."""

    async def play(self, source: AudioSource) -> None:
        """Send queued events and the source's audio, in order and paced, until cancelled.

        Raises:
            TransportFailedError: the connection broke, or the other side does not read.
        """

    async def close(self, cause: str, detail: str) -> None:
        """Say goodbye as the protocol does and close. Bounded in time; never raises."""


class PendingTransport(Transport, Protocol):
    """A transport whose other side is still on its way."""

    async def established(self) -> bool:
        """Wait until the other side can hear us. False: it never came, and everything of it is closed. Bounded in
        time; when cancelled, everything is closed too."""


Answer = Callable[[Transport, CallInfo], Awaitable[None]]
"""Runs the call of a connected transport; returns when it is over. Given to listeners by the server."""


class Listener(Protocol):
    """A way in, made once at server start."""

    def routes(self, answer: Answer) -> Sequence[Any]:
        """Starlette routes to serve. The server has checked key, origin and admission before they are called.

        The API's document tells HTTP routes by the docstrings of their functions: a summary, a description, and below a
        line `---` parts of an OpenAPI 2.0 operation as JSON.
        """
