"""`/ws?format=protobuf`: binary messages, each one frame: audio, text, a transcription, or an RTVI message.

A client that says `client-ready` speaks RTVI and gets RTVI messages besides audio; any other gets transcriptions, the
agent's sentences as text frames, and interruptions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from voxray import events
from voxray.audio.format import PCM_16K, PCM_24K
from voxray.builtin.protobuf import Value, field, fields
from voxray.builtin.rtvi import Rtvi
from voxray.events import Inbound, Outbound
from voxray.protocols.serializer import Response

TEXT, AUDIO, TRANSCRIPTION, MESSAGE, INTERRUPTION = range(1, 6)  # fields of Frame
JS_CLIENT = "@pipecat-ai/client-js"  # logs a warning for each interruption frame

Items = Iterable[bytes | Inbound | Response]


class ProtobufFrames:
    audio_in = PCM_16K
    audio_out = PCM_24K
    answers_marks = False
    pieces = None
    announces_ready = True

    def __init__(self, context: object = None) -> None:
        self._rtvi = Rtvi()
        self._plain = False  # it has sent something before client-ready, so it waits for nothing

    # ── from the client ──

    def decode(self, message: str | bytes) -> Items:
        if isinstance(message, str):
            raise ValueError("messages must be binary")
        number, body = _frame(message)
        if number == MESSAGE:
            return [_wrapped(item) for item in self._rtvi.decode(_string(body, 1))]
        if number not in DECODERS and number != AUDIO:
            return ()
        items: tuple[bytes | Inbound, ...] = self._audio(body) if number == AUDIO else DECODERS[number](body)
        if self._plain or self._rtvi.ready:
            return items
        self._plain = True
        return (events.ClientReady(), *items)

    def _audio(self, body: bytes) -> tuple[bytes, ...]:
        channels = _value(body, 5, int) or 1
        pcm = self._rtvi.sound.heard(_value(body, 3, bytes), _value(body, 4, int), channels)
        return (pcm,) if pcm else ()

    # ── to the client ──

    def encode(self, item: bytes | Outbound) -> bytes | tuple[bytes, ...]:
        if isinstance(item, bytes):
            body = field(2, "audio") + field(3, item) + field(4, PCM_24K.rate_hz) + field(5, 1)
            return field(AUDIO, body)
        messages = tuple(field(MESSAGE, field(1, text)) for text in self._rtvi.encode(item))
        return (*self._frames(item), *messages)

    def _frames(self, event: Outbound) -> tuple[bytes, ...]:
        if isinstance(event, events.ReplyInterrupted):
            return () if self._rtvi.library == JS_CLIENT else (field(INTERRUPTION, field(2, "interruption")),)
        if self._rtvi.ready:
            return ()
        if isinstance(event, events.SentenceReady):
            return (field(TEXT, field(2, "text") + field(3, event.text)),)
        if isinstance(event, events.Transcribed) and event.final:
            at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            return (field(TRANSCRIPTION, field(2, "transcription") + field(3, event.text) + field(5, at)),)
        return ()


def _frame(message: bytes) -> tuple[int, bytes]:
    """The frame's kind and body; kind 0 if it is none of ours. As everywhere in proto3, the last one counts."""
    found = 0, b""
    for number, value in fields(message):
        if TEXT <= number <= INTERRUPTION and isinstance(value, bytes):
            found = number, value
    return found


def _wrapped(item: Any) -> Any:
    if not isinstance(item, Response):
        return item
    text = item.message
    return Response(field(MESSAGE, field(1, text)))


def _value(body: bytes, number: int, kind: type) -> Any:
    """The last value of a field; the default of its type if there is none. Of another wire type it is unknown."""
    found: Value = kind()
    for at, value in fields(body):
        if at == number and isinstance(value, kind):
            found = value
    return found


def _string(body: bytes, number: int) -> str:
    raw: bytes = _value(body, number, bytes)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise ValueError("text must be UTF-8") from None


def _say(body: bytes) -> tuple[Inbound, ...]:
    text = _string(body, 3).strip()
    return (events.SpeakRequested(text),) if text else ()


def _typed(body: bytes) -> tuple[Inbound, ...]:
    text = _string(body, 3).strip()
    return (events.TextReceived(text),) if text else ()


def _interrupt(body: bytes) -> tuple[Inbound, ...]:
    return (events.InterruptRequested(),)


DECODERS: dict[int, Callable[[bytes], tuple[Inbound, ...]]] = {
    TEXT: _say,
    TRANSCRIPTION: _typed,
    INTERRUPTION: _interrupt,
}
