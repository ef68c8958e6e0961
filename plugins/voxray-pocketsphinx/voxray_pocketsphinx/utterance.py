"""From a call's sound to its utterances: silence is left out, words are reported while they come."""

from __future__ import annotations

from collections import deque
from typing import Protocol

import pocketsphinx  # type: ignore[import-untyped]

from voxray.chat import Usage
from voxray.protocols.stt import Flushed, Transcript

Result = Transcript | Flushed | Usage

FRAME_BYTES = 960  # 30 ms at 16 kHz, the largest the detector takes
FRAME_MS = 30
BYTES_PER_SEC = 32_000
WINDOW_FRAMES = 10
SPEECH_FRAMES = 3  # of the window; a short "yes" has ten
LEAD_FRAMES = 17  # half a second before speech was noticed: soft beginnings
PARTIAL_BYTES = BYTES_PER_SEC // 5
MAX_UTTERANCE_BYTES = 60 * BYTES_PER_SEC  # the search remembers every frame


class Search(Protocol):
    """What an utterance needs of a decoder."""

    def start(self) -> None: ...
    def feed(self, pcm: bytes) -> None: ...
    def end(self) -> None: ...
    def words(self) -> str: ...


class Utterances:
    """One call's recogniser, synchronous. `pause_ms` 0: an utterance ends only by `flush`."""

    def __init__(self, search: Search, *, pause_ms: int = 0) -> None:
        self._search = search
        self._pause_frames = -(-pause_ms // FRAME_MS)
        self._vad = pocketsphinx.Vad(pocketsphinx.Vad.LOOSE, 16_000, FRAME_MS / 1000)
        self._rest = b""
        self._lead: deque[bytes] = deque(maxlen=LEAD_FRAMES)
        self._recent: deque[bool] = deque(maxlen=WINDOW_FRAMES)
        self._quiet_frames = 0
        self._open = False
        self._fed = 0
        self._next_partial = 0
        self._partial = ""

    def feed(self, pcm: bytes) -> list[Result]:
        """Take pcm16 mono 16 kHz of any even length; return what there is to report."""
        found: list[Result] = []
        self._rest += pcm
        whole = len(self._rest) - len(self._rest) % FRAME_BYTES
        frames, self._rest = self._rest[:whole], self._rest[whole:]
        for start in range(0, whole, FRAME_BYTES):
            self._frame(frames[start : start + FRAME_BYTES], found)
        return found

    def flush(self) -> list[Result]:
        """End the utterance; what was understood is reported, then `Flushed`."""
        found: list[Result] = []
        if self._open:
            if self._rest:
                self._search.feed(self._rest)
            self._finish(found)
        self._rest = b""
        found.append(Flushed())
        return found

    def _frame(self, frame: bytes, found: list[Result]) -> None:
        speech = self._vad.is_speech(frame)
        self._recent.append(speech)
        self._quiet_frames = 0 if speech else self._quiet_frames + 1
        if self._open:
            self._listen(frame, found)
            return
        self._lead.append(frame)
        if sum(self._recent) >= SPEECH_FRAMES:
            self._search.start()
            self._open = True
            self._listen(b"".join(self._lead), found)

    def _listen(self, pcm: bytes, found: list[Result]) -> None:
        self._search.feed(pcm)
        self._fed += len(pcm)
        if (self._pause_frames and self._quiet_frames >= self._pause_frames) or self._fed >= MAX_UTTERANCE_BYTES:
            self._finish(found)
        elif self._fed >= self._next_partial:
            self._next_partial = self._fed + PARTIAL_BYTES
            words = self._search.words()
            if words and words != self._partial:
                self._partial = words
                found.append(Transcript(words, final=False))

    def _finish(self, found: list[Result]) -> None:
        self._search.end()
        words = self._search.words()
        if words:
            found.append(Transcript(words, final=True))
        found.append(Usage(audio_secs=self._fed / BYTES_PER_SEC))
        self._open = False
        self._lead.clear()
        self._recent.clear()
        self._quiet_frames = self._fed = self._next_partial = 0
        self._partial = ""
