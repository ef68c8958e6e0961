"""Exotel's media stream: JSON text, base64 sound in large pieces, marks.

Accepts the older snake_case and the newer camelCase names; sends the former.
Source: Exotel's guides to the Stream and Voicebot applets, which state the sizes of pieces.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from voxray.audio.format import AudioFormat, Encoding
from voxray.events import DtmfReceived, EndRequested, Inbound, Mark, MarkReached, Outbound, ReplyInterrupted
from voxray.protocols.serializer import Pieces, Response
from voxray.wire.marks import Marks
from voxray_exotel.fields import number, parsed, part, text

LEAST_BYTES = 3200  # smaller pieces within an utterance are distorted
MULTIPLE_BYTES = 320  # other sizes leave gaps
MOST_BYTES = 100_000 // MULTIPLE_BYTES * MULTIPLE_BYTES  # larger ones time out
RATES = (8000, 16000, 24000)
DIGITS = frozenset("0123456789*#")
MULAW = re.compile(r"mu-?law|u-?law|pcmu|\u00b5-?law|\u03bc-?law", re.IGNORECASE)
RATE = re.compile(r"rate\s*=\s*(\d{1,6})", re.IGNORECASE)
REASONS = {"callended": "the caller hung up", "stopped": "the stream was stopped"}


def announced_audio(start: Mapping[str, Any], asked_hz: int) -> AudioFormat:
    """What a start message announces: μ-law where it is named, else linear PCM; `asked_hz` where no rate is given.

    Raises:
        ValueError: a rate that Exotel does not have.
    """
    media = part(start, "media_format", "mediaFormat", "MediaFormat")
    named = text(media, "encoding") or text(start, "media_format", "mediaFormat", "MediaFormat")
    mulaw = MULAW.search(named) is not None
    said = RATE.search(named)
    rate = number(media, "sample_rate", "sampleRate") or (int(said[1]) if said else 0) or (8000 if mulaw else asked_hz)
    if rate not in RATES:
        raise ValueError(f"a sample rate of {rate} Hz is not among those of Exotel")
    return AudioFormat(Encoding.MULAW if mulaw else Encoding.PCM16, rate)


def start_ids(data: Mapping[str, Any]) -> tuple[str, str]:
    """The stream's and the call's id in a start message; "" for what is missing."""
    start = part(data, "start")
    stream = text(start, "stream_sid", "streamSid") or text(data, "stream_sid", "streamSid")
    return stream, text(start, "call_sid", "callSid")


class ExotelSerializer:
    """One call's media socket, from its start message on.

    Raises:
        ValueError: the start message announces a rate that does not exist.
    """

    answers_marks = True

    def __init__(self, start: Mapping[str, Any], asked_hz: int) -> None:
        self._asked_hz = asked_hz
        self.audio_in = self.audio_out = announced_audio(part(start, "start"), asked_hz)
        self.pieces: Pieces | None = Pieces(usual=LEAST_BYTES, least=LEAST_BYTES, multiple=MULTIPLE_BYTES)
        self.stream_id, self._call = start_ids(start)
        self._marks = Marks()
        self._early: list[bytes | Inbound] = []

    # ── from Exotel ──

    def keep(self, message: str | bytes) -> None:
        """Decode a message that came before there was a call; its meaning comes with the next `decode`."""
        self._early += self._decoded(message)

    def decode(self, message: str | bytes) -> Iterable[bytes | Inbound | Response]:
        items = self._decoded(message)
        if self._early:
            items, self._early = [*self._early, *items], []
        return items

    def _decoded(self, message: str | bytes) -> list[bytes | Inbound]:
        data = parsed(message)
        event = text(data, "event")
        if event == "start":
            self._restarted(data)
            return []
        if text(data, "stream_sid", "streamSid") not in ("", self.stream_id):
            return []  # of a stream that is over, or not ours
        match event:
            case "media":
                return self._media(part(data, "media"))
            case "mark":
                name = text(part(data, "mark"), "name")
                return [MarkReached(name)] if self._marks.reached(name) else []
            case "dtmf":
                digit = text(part(data, "dtmf"), "digit")
                return [DtmfReceived(digit)] if digit in DIGITS else []
            case "stop":
                return [EndRequested(REASONS.get(text(part(data, "stop"), "reason"), "the call ended"))]
        return []

    def _restarted(self, data: Mapping[str, Any]) -> None:
        """The stream goes on under another id. A start of another call is none of our business."""
        stream_id, call = start_ids(data)
        if not stream_id or call != self._call or stream_id == self.stream_id:
            return
        if announced_audio(part(data, "start"), self._asked_hz) != self.audio_in:
            raise ValueError("the stream was restarted in another format")
        self.stream_id = stream_id
        self._marks = Marks()

    def _media(self, media: Mapping[str, Any]) -> list[bytes | Inbound]:
        payload = media.get("payload")
        if not isinstance(payload, str):
            raise ValueError("media without a payload")
        try:
            sound = base64.b64decode(payload, validate=True)
        except ValueError as error:
            raise ValueError("a payload that is not base64") from error
        if len(sound) % self.audio_in.sample_bytes:
            raise ValueError("a payload with half a sample")
        return [sound] if sound else []

    # ── to Exotel ──

    def encode(self, item: bytes | Outbound) -> str | bytes | tuple[str | bytes, ...] | None:
        if isinstance(item, bytes):
            return self._encoded(item)
        if isinstance(item, Mark):
            self._marks.set(item.name)
            return json.dumps({"event": "mark", "stream_sid": self.stream_id, "mark": {"name": item.name}})
        if isinstance(item, ReplyInterrupted):
            self._marks.clear()
            return json.dumps({"event": "clear", "stream_sid": self.stream_id})
        return None

    def _encoded(self, sound: bytes) -> str | tuple[str | bytes, ...]:
        if len(sound) <= MOST_BYTES:
            return self._media_message(sound)
        return tuple(self._media_message(sound[at : at + MOST_BYTES]) for at in range(0, len(sound), MOST_BYTES))

    def _media_message(self, sound: bytes) -> str:
        payload = base64.b64encode(sound).decode()
        return json.dumps({"event": "media", "stream_sid": self.stream_id, "media": {"payload": payload}})
