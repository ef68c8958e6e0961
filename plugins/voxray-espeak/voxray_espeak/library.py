"""libespeak-ng through ctypes. One per process, one thread at a time: the library keeps its state in globals."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import espeakng_loader  # type: ignore[import-untyped]

# Values of espeak-ng's speak_lib.h.
SYNCHRONOUS = 2
POSITION_CHARACTER = 1
CHARS_UTF8 = 1
RATE, VOLUME, PITCH = 1, 2, 3

SampleCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True, slots=True)
class Settings:
    """How to speak. `voice` is a name espeak knows, `rate_wpm` 80..450, `pitch` 0..100, `volume` 0..200."""

    voice: str
    rate_wpm: int
    pitch: int
    volume: int


@dataclass(frozen=True, slots=True)
class ListedVoice:
    language: str
    name: str


class UnknownVoiceError(ValueError):
    """espeak has no voice of that name."""


class Library:
    """The engine, initialised. `rate_hz` is what it produces (22050). Must be closed before another one is made."""

    def __init__(self) -> None:
        self._lib = ctypes.CDLL(espeakng_loader.get_library_path())
        self.rate_hz = int(self._lib.espeak_Initialize(SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0))
        if self.rate_hz <= 0:
            raise OSError("espeak-ng could not be initialised; reinstall espeakng-loader")
        self._take: Callable[[bytes], bool] | None = None
        # The library keeps the pointer: the object must live as long.
        self._callback = SampleCallback(self._received)
        self._lib.espeak_SetSynthCallback(self._callback)
        self._settings: Settings | None = None

    def close(self) -> None:
        self._lib.espeak_Terminate()

    def apply(self, settings: Settings) -> None:
        """Use these settings from now on.

        Raises:
            UnknownVoiceError: there is no such voice.
        """
        if settings == self._settings:
            return
        if self._lib.espeak_SetVoiceByName(settings.voice.encode()) != 0:
            self._settings = None
            raise UnknownVoiceError(settings.voice)
        for parameter, value in ((RATE, settings.rate_wpm), (PITCH, settings.pitch), (VOLUME, settings.volume)):
            self._lib.espeak_SetParameter(parameter, value, 0)
        self._settings = settings

    def speak(self, text: str, take: Callable[[bytes], bool]) -> None:
        """Speak `text`. `take` gets pcm16 mono in pieces of about 60 ms and returns False to stop.

        Raises:
            OSError: espeak refused the text.
        """
        data = text.encode("utf-8", "replace").replace(b"\0", b" ")
        self._take = take
        try:
            status = self._lib.espeak_Synth(data, len(data) + 1, 0, POSITION_CHARACTER, 0, CHARS_UTF8, None, None)
        finally:
            self._take = None
        if status != 0:
            raise OSError(f"espeak-ng answered status {status}")

    def _received(self, samples: int | None, count: int, _events: Any) -> int:
        if not samples or count <= 0 or self._take is None:
            return 0
        return 0 if self._take(ctypes.string_at(samples, count * 2)) else 1

    def voices(self) -> list[ListedVoice]:
        """All voices, by language."""
        self._lib.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        rows = self._lib.espeak_ListVoices(None)
        found = []
        index = 0
        while rows[index]:
            row = rows[index].contents
            # `languages` is a list of (priority byte, tag, NUL); the first is the voice's own.
            found.append(ListedVoice(row.languages[1:].decode(), row.name.decode("utf-8", "replace")))
            index += 1
        return sorted(found, key=lambda voice: (voice.language, voice.name))


class _Voice(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]


def voices() -> list[ListedVoice]:
    """All voices of the installed library; not while an engine is open in this process."""
    library = Library()
    try:
        return library.voices()
    finally:
        library.close()
