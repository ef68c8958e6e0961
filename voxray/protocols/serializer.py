"""How a socket's messages become audio and events, and back. Pure: no sockets, no DSP, no credentials."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from voxray.audio.format import AudioFormat
from voxray.events import Inbound, Outbound


class Serializer(Protocol):
    """One instance per connection."""

    audio_in: AudioFormat
    audio_out: AudioFormat
    answers_marks: bool  # the protocol's clients answer every Mark

    def decode(self, message: str | bytes) -> Iterable[bytes | Inbound]:
        """What a message means, in order; nothing for what is unknown.

        Raises:
            ValueError: the message cannot be understood; the text is safe to send back.
        """

    def encode(self, item: bytes | Outbound) -> str | bytes | tuple[str | bytes, ...] | None:
        """The message for audio (in `audio_out`) or an event, a tuple where it takes several, None where the protocol
        has none."""
