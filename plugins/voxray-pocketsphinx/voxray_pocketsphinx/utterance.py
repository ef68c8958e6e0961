"""From a call's sound to its utterances: silence is left out, words are reported while they come."""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import Protocol

import numpy as np
import pocketsphinx  # type: ignore[import-untyped]
from numpy.typing import NDArray

from voxray.chat import Usage
from voxray.protocols.stt import Flushed, Transcript

Result = Transcript | Flushed | Usage

FRAME_BYTES = 960  # 30 ms at 16 kHz, the largest the detector takes
FRAME_MS = 30
BYTES_PER_SEC = 32_000
WINDOW_FRAMES = 10
SPEECH_FRAMES = 3  # of the window; a short "yes" has ten
LEAD_FRAMES = 7  # from 0.2 s before speech was noticed: soft beginnings, but little silence, which spoils the levels
TAIL_FRAMES = 4  # kept after the last speech
FIRST_PARTIAL_BYTES = BYTES_PER_SEC // 2
PARTIAL_GROWTH = 0.5  # of the utterance until words are looked for again: decoding anew stays a few times its length
PARTIAL_BYTES = BYTES_PER_SEC // 5  # between looks at words that are decoded as they come
MAX_UTTERANCE_BYTES = 60 * BYTES_PER_SEC  # the search remembers every frame
NOISE = 40  # amplitude of the noise added: the models know no digital silence, it shifts all their levels


class Search(Protocol):
    """What an utterance needs of a decoder."""

    def start(self) -> None: ...
    def feed(self, pcm: bytes) -> None: ...
    def end(self) -> None: ...
    def words(self) -> str: ...
    def decode(self, pcm: bytes, *, finished: bool) -> str: ...


class Utterances:
    """One call's recogniser, synchronous.

    `pause_ms` 0: an utterance ends only by `flush`. `whole`: it is decoded as a whole, again and again while it grows;
    that is more exact and, with a grammar, cheap.
    """

    def __init__(self, search: Search, *, pause_ms: int = 0, whole: bool = True) -> None:
        self._search = search
        self._pause_frames = -(-pause_ms // FRAME_MS)
        self._whole = whole
        self._vad = pocketsphinx.Vad(pocketsphinx.Vad.LOOSE, 16_000, FRAME_MS / 1000)
        self._rest = b""
        self._lead: deque[bytes] = deque(maxlen=LEAD_FRAMES + SPEECH_FRAMES)
        self._recent: deque[bool] = deque(maxlen=WINDOW_FRAMES)
        self._open = False
        self._reset()

    def _reset(self) -> None:
        self._sound = bytearray()  # of the open utterance
        self._fed = 0  # bytes of it that a search that decodes as they come has got
        self._quiet_frames = 0
        self._next_partial = FIRST_PARTIAL_BYTES
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
            self._sound += self._rest
            self._finish(found)
        self._rest = b""
        found.append(Flushed())
        return found

    def _frame(self, frame: bytes, found: list[Result]) -> None:
        speech = self._vad.is_speech(frame)
        self._recent.append(speech)
        self._quiet_frames = 0 if speech else self._quiet_frames + 1
        if self._open:
            self._sound += frame
            self._listen(found)
            return
        self._lead.append(frame)
        if sum(self._recent) >= SPEECH_FRAMES:
            self._open = True
            self._sound += b"".join(self._lead)
            if not self._whole:
                self._search.start()

    def _listen(self, found: list[Result]) -> None:
        size = len(self._sound)
        if (self._pause_frames and self._quiet_frames >= self._pause_frames) or size >= MAX_UTTERANCE_BYTES:
            self._finish(found)
        elif size >= self._next_partial and self._quiet_frames < TAIL_FRAMES:
            self._next_partial = size + (int(size * PARTIAL_GROWTH) if self._whole else PARTIAL_BYTES)
            words = self._decoded(finished=False)
            if words and words != self._partial:
                self._partial = words
                found.append(Transcript(words, final=False))

    def _decoded(self, *, finished: bool) -> str:
        if self._whole:
            return self._search.decode(with_noise(bytes(self._sound), 0), finished=finished)
        self._search.feed(with_noise(bytes(self._sound[self._fed :]), self._fed))
        self._fed = len(self._sound)
        if finished:
            self._search.end()
        return self._search.words()

    def _finish(self, found: list[Result]) -> None:
        if self._whole:
            silence = max(0, self._quiet_frames - TAIL_FRAMES) * FRAME_BYTES
            del self._sound[len(self._sound) - silence :]
        words = self._decoded(finished=True)
        if words:
            found.append(Transcript(words, final=True))
        found.append(Usage(audio_secs=len(self._sound) / BYTES_PER_SEC))
        self._open = False
        self._lead.clear()
        self._recent.clear()
        self._reset()


@cache
def _noise() -> NDArray[np.int32]:
    return np.random.default_rng(1).normal(0, NOISE, 2 * BYTES_PER_SEC).astype(np.int32)


def with_noise(pcm: bytes, place: int) -> bytes:
    """Add faint noise, always the same at the same place (in bytes)."""
    samples = np.frombuffer(pcm, np.int16)
    noise = np.take(_noise(), range(place // 2, place // 2 + len(samples)), mode="wrap")
    return bytes(np.clip(samples + noise, -32768, 32767).astype(np.int16).tobytes())
