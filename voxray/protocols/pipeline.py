"""Pipeline plugins: taps on a call's audio, words and events."""

from __future__ import annotations

from typing import Protocol

from voxray.events import SessionEvent
from voxray.protocols.call import SessionHandle
from voxray.protocols.stt import Transcript


class Tap:
    """One call's view of a pipeline plugin. Override what you need; what you leave alone costs nothing.

    Everything runs on the event loop and must be quick; slow work goes to `SessionHandle.start_soon`. Each filter
    returns what it was given, changed or not; None drops it.
    """

    def audio_in(self, pcm: bytes) -> bytes | None:
        """Heard audio, pcm16 mono 16 kHz, before detector and recogniser."""
        return pcm

    def transcript(self, transcript: Transcript) -> Transcript | None:
        return transcript

    def user_turn(self, text: str) -> str | None:
        """A complete turn; None: do not answer."""
        return text

    def reply_text(self, sentence: str) -> str | None:
        """A sentence before synthesis; None: do not say it."""
        return sentence

    def audio_out(self, pcm: bytes) -> bytes | None:
        """Spoken audio, pcm16 mono at the voice's rate."""
        return pcm

    def may_interrupt(self) -> bool:
        """May the caller interrupt now? All taps must agree."""
        return True

    def event(self, event: SessionEvent) -> None:
        """Look at what happened."""

    def close(self) -> None:
        """The call is over."""


class PipelinePlugin(Protocol):
    def open(self, session: SessionHandle) -> Tap:
        """A tap for one call."""
