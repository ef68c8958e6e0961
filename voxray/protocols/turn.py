"""Has the caller finished? Detectors answer with patience."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class UserTurn:
    """What is known when the caller pauses: final words so far, interim words, and the speech (pcm16 mono 16 kHz)."""

    text: str
    interim: str
    pcm: bytes


class TurnDetector(Protocol):
    async def patience(self, turn: UserTurn) -> float:
        """Seconds of silence, counted from the end of speech, after which to answer; 0 means now."""
