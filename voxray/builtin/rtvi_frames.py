"""`/ws?rtvi=1`: RTVI messages as text, audio as binary PCM16 mono, 16 kHz heard and 24 kHz spoken."""

from __future__ import annotations

from collections.abc import Iterable

from voxray.audio.format import PCM_16K, PCM_24K
from voxray.builtin.rtvi import Rtvi
from voxray.events import Inbound, Outbound
from voxray.protocols.serializer import Response


class RtviFrames:
    audio_in = PCM_16K
    audio_out = PCM_24K
    answers_marks = False
    pieces = None
    announces_ready = True

    def __init__(self, context: object = None) -> None:
        self._rtvi = Rtvi()

    def decode(self, message: str | bytes) -> Iterable[bytes | Inbound | Response]:
        if isinstance(message, bytes):
            return (message,) if message else ()
        return self._rtvi.decode(message)

    def encode(self, item: bytes | Outbound) -> bytes | tuple[str, ...]:
        return item if isinstance(item, bytes) else tuple(self._rtvi.encode(item))
