"""Plivo's audio stream: JSON text both ways, audio in base64, of the kind that `start` names.

Source: https://www.plivo.com/docs/voice/xml/audio-stream
"""

from __future__ import annotations

import json
from binascii import b2a_base64
from collections import deque
from collections.abc import Iterable
from typing import Any

from voxray.audio.format import MULAW_8K, PCM_8K, PCM_16K, AudioFormat, Encoding
from voxray.events import (
    DtmfReceived,
    DtmfRequested,
    EndRequested,
    Inbound,
    Mark,
    MarkReached,
    Outbound,
    ReplyInterrupted,
)
from voxray.protocols.serializer import Pieces
from voxray.wire.fields import parsed, part, sound_of, text_of

KEYS = frozenset("0123456789*#")
FORMATS = {
    ("audio/x-mulaw", "8000"): MULAW_8K,
    ("audio/x-l16", "8000"): PCM_8K,
    ("audio/x-l16", "16000"): PCM_16K,
}
CONTENT_TYPES = {Encoding.MULAW: "audio/x-mulaw", Encoding.PCM16: "audio/x-l16"}
FRAME_SECS = 0.02
PIECE_SECS = 0.06


class PlivoSerializer:
    """One audio stream of one call. Messages of other streams, and what is unknown, are ignored."""

    answers_marks = True

    def __init__(self, stream_id: str, call_id: str, audio: AudioFormat = MULAW_8K) -> None:
        self.audio_in = self.audio_out = audio
        self.pieces: Pieces | None = Pieces(usual=audio.size(PIECE_SECS), multiple=audio.size(FRAME_SECS))
        self._stream_id = stream_id
        self._call_id = call_id
        self._pending: deque[str] = deque()  # checkpoints on their way to the caller's ear
        self._media = (
            '{"event":"playAudio","media":{"contentType":"'
            f'{CONTENT_TYPES[audio.encoding]}","sampleRate":{audio.rate_hz},"payload":"'
        )

    # ── from Plivo ──

    def decode(self, message: str | bytes) -> Iterable[bytes | Inbound]:
        data = parsed(message)
        event = data.get("event")
        if event == "start":
            self._restart(data)
            return ()
        if text_of(data.get("streamId")) != self._stream_id:
            return ()
        match event:
            case "media":
                return self._sound(part(data, "media"))
            case "playedStream":
                return self._reached(text_of(data.get("name")))
            case "dtmf":
                digit = text_of(part(data, "dtmf").get("digit"))
                return (DtmfReceived(digit),) if digit in KEYS else ()
            case "stop":
                return (EndRequested("caller hung up"),)
            case _:
                return ()

    def _restart(self, data: dict[str, Any]) -> None:
        """Plivo opens a stream anew when it broke; what was queued in the old one is lost."""
        start = part(data, "start")
        stream_id = text_of(start.get("streamId"))
        if stream_id and text_of(start.get("callId")) == self._call_id:
            if format_of(start, self.audio_in) != self.audio_in:
                raise ValueError("the audio format changed within the call")
            self._stream_id = stream_id
            self._pending.clear()

    def _sound(self, media: dict[str, Any]) -> Iterable[bytes]:
        sound = sound_of(media)
        if len(sound) % self.audio_in.sample_bytes:
            raise ValueError("half a sample")
        return (sound,) if sound else ()

    def _reached(self, name: str) -> Iterable[MarkReached]:
        """A checkpoint proves those before it, whose echoes may be lost. One that is not pending was cleared or came
        twice."""
        if name not in self._pending:
            return ()
        reached = []
        while not reached or reached[-1].name != name:
            reached.append(MarkReached(self._pending.popleft()))
        return reached

    # ── to Plivo ──

    def encode(self, item: bytes | Outbound) -> str | None:
        if isinstance(item, bytes):
            return f'{self._media}{b2a_base64(item, newline=False).decode()}"}}}}' if item else None
        match item:
            case Mark(name):
                self._pending.append(name)
                return json.dumps({"event": "checkpoint", "streamId": self._stream_id, "name": name})
            case ReplyInterrupted():
                self._pending.clear()
                return json.dumps({"event": "clearAudio", "streamId": self._stream_id})
            case DtmfRequested(digit) if digit in KEYS:
                return json.dumps({"event": "sendDTMF", "dtmf": digit})
            case _:
                return None


def format_of(start: dict[str, Any], default: AudioFormat) -> AudioFormat:
    """The stream's audio by its `start`. Raises ValueError for one that Plivo does not document."""
    stated = part(start, "mediaFormat")
    encoding, _, parameter = text_of(stated.get("encoding")).lower().partition(";")
    if not encoding:
        return default
    rate = text_of(stated.get("sampleRate")) or parameter.strip().removeprefix("rate=") or "8000"
    found = FORMATS.get((encoding.strip(), rate))
    if found is None:
        raise ValueError(f'audio format "{encoding[:40]}" at {rate[:9]} Hz is unknown')
    return found
