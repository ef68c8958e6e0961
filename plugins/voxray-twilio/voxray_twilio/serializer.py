"""Twilio's media stream: JSON text both ways, μ-law 8 kHz in base64.

Source: https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

import json
from binascii import b2a_base64
from collections import deque
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from voxray.audio.format import MULAW_8K
from voxray.audio.g711 import encode_mulaw
from voxray.audio.tone import dtmf, silence
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
KEY_SECS, GAP_SECS = 0.12, 0.08  # exchanges ask for 40 to 65 ms of each; menus of companies are slower
MULAW_NAMES = ("audio/x-mulaw", "audio/mulaw", "audio/pcmu")


class TwilioSerializer:
    """One media stream of one call. Messages of other streams, and what is unknown, are ignored."""

    audio_in = MULAW_8K
    audio_out = MULAW_8K
    answers_marks = True
    pieces: Pieces | None = Pieces(usual=480, multiple=160)

    def __init__(self, stream_id: str, call_id: str) -> None:
        self._call_id = call_id
        self._pending: deque[str] = deque()  # marks on their way to the caller's ear
        self._use(stream_id)

    def _use(self, stream_id: str) -> None:
        self._stream_id = stream_id
        self._pending.clear()
        quoted = json.dumps(stream_id)
        self._media = '{"event":"media","streamSid":' + quoted + ',"media":{"payload":"'
        self._clear = '{"event":"clear","streamSid":' + quoted + "}"

    # ── from Twilio ──

    def decode(self, message: str | bytes) -> Iterable[bytes | Inbound]:
        data = parsed(message)
        event = data.get("event")
        if event == "start":
            self._restart(data)
            return ()
        if text_of(data.get("streamSid")) != self._stream_id:
            return ()
        match event:
            case "media":
                return self._sound(part(data, "media"))
            case "mark":
                return self._reached(text_of(part(data, "mark").get("name")))
            case "dtmf":
                digit = text_of(part(data, "dtmf").get("digit"))
                return (DtmfReceived(digit),) if digit in KEYS else ()
            case "stop":
                return (EndRequested("caller hung up"),)
            case _:
                return ()

    def _restart(self, data: dict[str, Any]) -> None:
        """The call goes on in a new stream; what was queued in the old one is lost."""
        start = part(data, "start")
        stream_id = text_of(start.get("streamSid"))
        if stream_id and text_of(start.get("callSid")) == self._call_id:
            check_format(start)
            self._use(stream_id)

    def _sound(self, media: dict[str, Any]) -> Iterable[bytes]:
        sound = sound_of(media)
        return (sound,) if sound else ()

    def _reached(self, name: str) -> Iterable[MarkReached]:
        """A mark proves those before it, whose echoes may be lost. One that is not pending was cleared, or came
        twice."""
        if name not in self._pending:
            return ()
        reached = []
        while not reached or reached[-1].name != name:
            reached.append(MarkReached(self._pending.popleft()))
        return reached

    # ── to Twilio ──

    def encode(self, item: bytes | Outbound) -> str | None:
        if isinstance(item, bytes):
            return f'{self._media}{b2a_base64(item, newline=False).decode()}"}}}}' if item else None
        match item:
            case Mark(name):
                self._pending.append(name)
                return json.dumps({"event": "mark", "streamSid": self._stream_id, "mark": {"name": name}})
            case ReplyInterrupted():
                self._pending.clear()  # Twilio echoes them now, though nobody has heard what they stood for
                return self._clear
            case DtmfRequested(digit) if digit in KEYS:
                return self.encode(key_sound(digit))
            case _:
                return None


@lru_cache(maxsize=16)
def key_sound(key: str) -> bytes:
    """A key's tone and the gap after it, as Twilio takes it: its streams know keys from the caller only."""
    return encode_mulaw(dtmf(key, KEY_SECS, 8000) + silence(GAP_SECS, 8000))


def check_format(start: dict[str, Any]) -> None:
    """Raises ValueError if the stream carries anything but mono μ-law at 8 kHz."""
    stated = part(start, "mediaFormat")
    encoding = text_of(stated.get("encoding")).lower() or MULAW_NAMES[0]
    rate, channels = text_of(stated.get("sampleRate")) or "8000", text_of(stated.get("channels")) or "1"
    if encoding not in MULAW_NAMES or rate != "8000" or channels != "1":
        raise ValueError(f'audio format "{encoding[:40]}" at {rate[:9]} Hz is unknown; mu-law at 8000 Hz was expected')
