"""Vonage's media socket: binary PCM in frames of 20 ms, JSON text for everything else."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from voxray.audio.format import AudioFormat, Encoding
from voxray.events import DtmfReceived, Inbound, Mark, MarkReached, Outbound, ReplyInterrupted
from voxray.protocols.serializer import Pieces, Response

FRAME_SECS = 0.02
USUAL_FRAMES = 3  # written together: a message each, one wake-up for all
KEYS = frozenset("0123456789*#")
MAX_MARKS = 1000  # that were set and never came back


class VonageSerializer:
    """One media socket at `rate_hz`. Sound in both directions is 16-bit little-endian mono at that rate."""

    answers_marks = True

    def __init__(self, rate_hz: int) -> None:
        self.audio_in = self.audio_out = AudioFormat(Encoding.PCM16, rate_hz)
        self._frame = self.audio_out.size(FRAME_SECS)
        usual = USUAL_FRAMES * self._frame
        self.pieces: Pieces | None = Pieces(usual, least=usual, multiple=self._frame)
        self._marks: dict[str, None] = {}  # set and not yet played, in order

    def decode(self, message: str | bytes) -> Iterable[bytes | Inbound | Response]:
        """See `Serializer.decode`."""
        if isinstance(message, bytes):
            if len(message) % 2:
                raise ValueError("audio of an odd number of bytes")
            return [message] if message else []
        data = parse(message)
        match data.get("event"):
            case "websocket:dtmf":
                digit = _digit(data)
                return [DtmfReceived(digit)] if digit else []
            case "websocket:notify":
                payload = data.get("payload")
                return self._played(payload.get("name") if isinstance(payload, dict) else None)
        return []

    def encode(self, item: bytes | Outbound) -> str | bytes | tuple[str | bytes, ...] | None:
        """See `Serializer.encode`."""
        match item:
            case bytes():
                return self._frames(item)
            case Mark(name):
                if len(self._marks) >= MAX_MARKS:
                    self._marks.clear()
                self._marks[name] = None
                return json.dumps({"action": "notify", "payload": {"name": name}})
            case ReplyInterrupted():
                self._marks.clear()
                return json.dumps({"action": "clear"})
        return None

    def _frames(self, audio: bytes) -> bytes | tuple[bytes, ...]:
        audio += b"\0" * (-len(audio) % self._frame)
        if len(audio) == self._frame:
            return audio
        return tuple(audio[at : at + self._frame] for at in range(0, len(audio), self._frame))

    def _played(self, name: object) -> list[Inbound]:
        """What was played up to the mark `name`: marks come back in order, so all before it."""
        if not isinstance(name, str) or name not in self._marks:
            return []  # doubled, foreign, or of sound that was cleared
        reached: list[Inbound] = []
        for mark in list(self._marks):
            del self._marks[mark]
            reached.append(MarkReached(mark))
            if mark == name:
                break
        return reached


def parse(message: str) -> dict[str, Any]:
    """The JSON object in a text message. Raises ValueError."""
    try:
        data = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise ValueError("a text message is not JSON") from error
    if not isinstance(data, dict):
        raise ValueError("a text message is not a JSON object")
    return data


def _digit(data: dict[str, Any]) -> str:
    """The key that was pressed; older platforms wrap it in "dtmf"."""
    value = data.get("digit")
    if value is None and isinstance(data.get("dtmf"), dict):
        value = data["dtmf"].get("digit")
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if 0 <= value <= 9 else ""
    return value if isinstance(value, str) and value in KEYS else ""
