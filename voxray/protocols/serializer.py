"""How a socket's messages become audio and events, and back. Pure: no sockets, no credentials, and no DSP
but for clients whose audio may have another rate with each message."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from voxray.audio.format import AudioFormat
from voxray.events import Inbound, Outbound


@dataclass(frozen=True, slots=True)
class Response:
    """What a message demands to be answered by the protocol itself, at once: the answer to a ping, say."""

    message: str | bytes


@dataclass(frozen=True, slots=True)
class Pieces:
    """What size of audio messages a carrier wants, in bytes of `audio_out`: never less than `least` but at the end of
    an utterance, always a multiple of `multiple`, which the end is padded to with silence."""

    usual: int
    least: int = 0
    multiple: int = 1


class Serializer(Protocol):
    """One instance per connection."""

    audio_in: AudioFormat
    audio_out: AudioFormat
    answers_marks: bool  # the protocol's clients answer every Mark

    pieces: Pieces | None  # None: 60 ms at a time, as it comes

    def decode(self, message: str | bytes) -> Iterable[bytes | Inbound | Response]:
        """What a message means, in order; nothing for what is unknown. EndRequested says that the call is over.

        Raises:
            ValueError: the message cannot be understood; the text is safe to send back.
        """

    def encode(self, item: bytes | Outbound) -> str | bytes | tuple[str | bytes, ...] | None:
        """The message for audio (in `audio_out`) or an event, a tuple where it takes several, None where the protocol
        has none."""


@runtime_checkable
class AnnouncesReady(Protocol):
    """What a serializer has besides if `decode` gives `ClientReady` when its client can take a greeting."""

    announces_ready: bool
