"""Telnyx's media stream: JSON text, base64 sound, marks.

Source: Telnyx' AsyncAPI description of media streaming; the byte order of L16 is disputed, see `l16`.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from voxray.audio.format import AudioFormat, Encoding
from voxray.events import DtmfReceived, EndRequested, Inbound, Mark, MarkReached, Outbound, ReplyInterrupted
from voxray.protocols.serializer import Pieces, Response
from voxray.wire.marks import Marks
from voxray_telnyx.codecs import announced_audio
from voxray_telnyx.fields import number, parsed, part, text
from voxray_telnyx.l16 import ByteOrder
from voxray_telnyx.reorder import Reorder

logger = logging.getLogger(__name__)

LEAST_SECS = 0.02  # of sound in one message, to Telnyx
USUAL_SECS = 0.06
MOST_SECS = 30
DIGITS = frozenset("0123456789*#")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What we asked Telnyx to take from us, and how to read L16."""

    audio: AudioFormat
    byte_order: str = "auto"


class TelnyxSerializer:
    """One call's media socket, from its start message on.

    Raises:
        ValueError: the start message announces a format that cannot be decoded.
    """

    answers_marks = True

    def __init__(self, start: Mapping[str, Any], wanted: Wanted) -> None:
        self.audio_in = announced_audio(part(part(start, "start"), "media_format"))
        self.audio_out = wanted.audio
        self.pieces: Pieces | None = Pieces(
            usual=self.audio_out.size(USUAL_SECS),
            least=self.audio_out.size(LEAST_SECS),
            multiple=self.audio_out.size(LEAST_SECS),
        )
        self.stream_id = text(start, "stream_id")
        self._call = text(part(start, "start"), "call_control_id")
        pcm_rate = next((it.rate_hz for it in (self.audio_in, self.audio_out) if it.encoding is Encoding.PCM16), 0)
        self._order = ByteOrder(wanted.byte_order, pcm_rate) if pcm_rate else None
        self._reorder = Reorder()
        self._marks = Marks()
        self._early: list[bytes | Inbound] = []
        self._complained: set[str] = set()

    # ── from Telnyx ──

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
        if text(data, "stream_id") not in ("", self.stream_id):
            return []  # of a stream that is over, or not ours
        match event:
            case "media":
                return self._media(data)
            case "mark":
                name = text(part(data, "mark"), "name")
                return [MarkReached(name)] if self._marks.reached(name) else []
            case "dtmf":
                digit = text(part(data, "dtmf"), "digit")
                return [DtmfReceived(digit)] if digit in DIGITS else []
            case "stop":
                return [*self._sound(self._reorder.flush()), EndRequested("the caller hung up")]
            case "error":
                self._complain(data)
        return []

    def _restarted(self, data: Mapping[str, Any]) -> None:
        """The stream goes on under another id. A start of another call is none of our business."""
        stream_id = text(data, "stream_id")
        if not stream_id or text(part(data, "start"), "call_control_id") != self._call or stream_id == self.stream_id:
            return
        if announced_audio(part(part(data, "start"), "media_format")) != self.audio_in:
            raise ValueError("the stream was restarted with another codec")
        self.stream_id = stream_id
        self._reorder = Reorder()
        self._marks = Marks()

    def _media(self, data: Mapping[str, Any]) -> list[bytes | Inbound]:
        media = part(data, "media")
        if text(media, "track") not in ("", "inbound", "inbound_track"):
            return []  # our own voice
        payload = media.get("payload")
        if not isinstance(payload, str):
            raise ValueError("media without a payload")
        try:
            sound = base64.b64decode(payload, validate=True)
        except ValueError as error:
            raise ValueError("a payload that is not base64") from error
        if len(sound) % self.audio_in.sample_bytes:
            raise ValueError("a payload with half a sample")
        return self._sound(self._reorder.feed(number(media, "chunk"), sound)) if sound else []

    def _sound(self, pieces: Iterable[bytes]) -> list[bytes | Inbound]:
        if self._order is not None and self.audio_in.encoding is Encoding.PCM16:
            return [self._order.decode(piece) for piece in pieces]
        return list(pieces)

    def _complain(self, data: Mapping[str, Any]) -> None:
        """Once for each kind of error: all of them are faults of ours, and none of them ends the call."""
        error = part(data, "payload") or part(data, "error")
        code = text(error, "code")[:20]
        if code not in self._complained and len(self._complained) < 10:
            self._complained.add(code)
            logger.warning("telnyx did not accept a message", extra={"code": code, "title": text(error, "title")[:80]})

    # ── to Telnyx ──

    def encode(self, item: bytes | Outbound) -> str | bytes | tuple[str | bytes, ...] | None:
        if isinstance(item, bytes):
            return self._encoded(item)
        if isinstance(item, Mark):
            self._marks.set(item.name)
            return json.dumps({"event": "mark", "mark": {"name": item.name}})
        if isinstance(item, ReplyInterrupted):
            self._marks.clear()
            return json.dumps({"event": "clear"})
        return None

    def _encoded(self, sound: bytes) -> str | tuple[str | bytes, ...]:
        if self._order is not None and self.audio_out.encoding is Encoding.PCM16:
            sound = self._order.encode(sound)
        most = self.audio_out.bytes_per_sec * MOST_SECS
        if len(sound) <= most:
            return _media_message(sound)
        return tuple(_media_message(sound[at : at + most]) for at in range(0, len(sound), most))


def _media_message(sound: bytes) -> str:
    return '{"event": "media", "media": {"payload": "' + base64.b64encode(sound).decode() + '"}}'
