"""WAV files: a tolerant reader, a writer for recordings, and a header for uploads. PCM 16 bit only."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

HEADER_BYTES = 44
PCM_TAG = 0x0001
EXTENSIBLE_TAG = 0xFFFE  # the true tag is in the sub-format
TAG_NAMES = {0x0003: "floating point", 0x0006: "A-law", 0x0007: "μ-law", 0x0055: "MP3"}
MAX_CHANNELS = 8
MAX_FORMAT_BYTES = 1024  # of a "fmt " chunk; 40 at most in practice
MAX_PREAMBLE_BYTES = 1024 * 1024  # of chunks before the audio
MAX_FILE_BYTES = 256 * 1024 * 1024
UNKNOWN_SIZES = (0, 0xFFFFFFFF)  # what writers put that cannot seek back


@dataclass(frozen=True, slots=True)
class WavFormat:
    """What a header announces."""

    rate_hz: int
    channels: int


class WavHeader:
    """Finds the audio in a RIFF/WAVE stream that arrives in pieces of any size, walking chunk by chunk.

    `format` is None until the format chunk has been read.
    """

    def __init__(self) -> None:
        self.format: WavFormat | None = None
        self._head = b""  # an incomplete piece of header
        self._skip = 0  # bytes of an uninteresting chunk still to come
        self._seen = 0
        self._started = False
        self._in_audio = False
        self._audio_left: int | None = None  # None: until the stream ends

    def feed(self, data: bytes) -> bytes:
        """Return the audio in the next piece of the stream, header and other chunks taken out.

        Raises:
            ValueError: not a WAV of 16-bit PCM.
        """
        if not self._in_audio:
            self._seen += len(data)
            data = self._walk(self._head + data)
        if not self._in_audio or self._audio_left is None:
            return data
        data = data[: self._audio_left]
        self._audio_left -= len(data)
        return data

    def _walk(self, data: bytes) -> bytes:
        """Consume header bytes; return those after it, or keep an incomplete rest and return nothing."""
        if not self._started:
            if len(data) < 12:
                self._head = data
                return b""
            if data[:4] not in (b"RIFF", b"RF64") or data[8:12] != b"WAVE":
                raise ValueError("not a WAV file: it does not start with RIFF and WAVE")
            self._started, data = True, data[12:]
        while True:
            skipped = min(self._skip, len(data))
            data, self._skip = data[skipped:], self._skip - skipped
            name, size = data[:4], int.from_bytes(data[4:8], "little")
            if len(data) >= 8 and name == b"data":
                return self._begin_audio(data[8:], size)
            if self._seen - len(data) > MAX_PREAMBLE_BYTES:
                raise ValueError(f"WAV header without audio in the first {MAX_PREAMBLE_BYTES} bytes")
            if self._skip or len(data) < 8 or (name == b"fmt " and len(data) < 8 + min(size, MAX_FORMAT_BYTES)):
                self._head = data
                return b""
            if name == b"fmt ":
                self.format = _parse_format(data[8 : 8 + min(size, MAX_FORMAT_BYTES)])
            data, self._skip = data[8:], size + (size & 1)

    def _begin_audio(self, data: bytes, size: int) -> bytes:
        if self.format is None:
            raise ValueError("WAV audio without a format chunk before it")
        self._in_audio, self._head = True, b""
        self._audio_left = None if size in UNKNOWN_SIZES else size
        return data


def _parse_format(chunk: bytes) -> WavFormat:
    if len(chunk) < 16:
        raise ValueError(f"WAV format chunk of {len(chunk)} bytes; it needs 16")
    tag, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == EXTENSIBLE_TAG and len(chunk) >= 26:
        tag = int.from_bytes(chunk[24:26], "little")
    if tag != PCM_TAG or bits != 16:
        coding = "PCM" if tag == PCM_TAG else TAG_NAMES.get(tag, f"format {tag}")
        raise ValueError(f"WAV of {bits} bit {coding}: only 16 bit PCM can be read")
    if not 1 <= channels <= MAX_CHANNELS:
        raise ValueError(f"WAV of {channels} channels: only 1 to {MAX_CHANNELS} can be read")
    if not rate_hz:
        raise ValueError("WAV with a sample rate of 0 Hz")
    return WavFormat(rate_hz, channels)


def mix_to_mono(pcm: bytes, channels: int) -> bytes:
    """Return the mean of interleaved pcm16 channels. `pcm` must hold whole frames."""
    if channels == 1:
        return pcm
    frames = np.frombuffer(pcm, np.int16).reshape(-1, channels)
    mixed = frames.sum(axis=1, dtype=np.int32) // channels
    return np.asarray(mixed, np.int16).tobytes()


def parse_wav(data: bytes) -> tuple[bytes, int]:
    """Return a WAV's audio as pcm16 mono, and its rate in Hz. Chunk sizes need not be right.

    Raises:
        ValueError: not a WAV of 16-bit PCM.
    """
    header = WavHeader()
    audio = header.feed(data)
    if header.format is None:
        raise ValueError("not a WAV file: it ends before the audio")
    frame_bytes = 2 * header.format.channels
    return mix_to_mono(audio[: len(audio) // frame_bytes * frame_bytes], header.format.channels), header.format.rate_hz


def read_wav(path: Path) -> tuple[bytes, int]:
    """Return a file's audio as pcm16 mono, and its rate in Hz. Blocks.

    Raises:
        ValueError: not a WAV of 16-bit PCM, or larger than `MAX_FILE_BYTES`.
        OSError: cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f'"{path}" is larger than {MAX_FILE_BYTES} bytes')
    return parse_wav(data)


def wav_header(rate_hz: int, audio_bytes: int, *, channels: int = 1) -> bytes:
    """Return the 44 bytes before 16-bit PCM audio."""
    audio_bytes = min(audio_bytes, 0xFFFFFFFF - HEADER_BYTES)
    frame_bytes = 2 * channels
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", audio_bytes + HEADER_BYTES - 8, b"WAVE", b"fmt ", 16),
        *(PCM_TAG, channels, rate_hz, rate_hz * frame_bytes, frame_bytes, 16),
        *(b"data", audio_bytes),
    )


def wav_bytes(pcm: bytes, rate_hz: int) -> bytes:
    """Return pcm16 mono as a whole WAV file, for vendors that take uploads."""
    return wav_header(rate_hz, len(pcm)) + pcm


class WavWriter:
    """Writes pcm16 to a WAV file piece by piece; its sizes are zero until it is closed. Blocks: use it in a thread.

    Raises:
        OSError: cannot be written.
    """

    def __init__(self, path: Path, rate_hz: int, *, channels: int = 1) -> None:
        self.rate_hz = rate_hz
        self.channels = channels
        self.audio_bytes = 0
        self._file = path.open("wb")
        self._file.write(struct.pack("<4sI", b"RIFF", 0) + wav_header(rate_hz, 0, channels=channels)[8:])

    def write(self, pcm: bytes) -> None:
        self._file.write(pcm)
        self.audio_bytes += len(pcm)

    def close(self) -> None:
        """Write the true sizes and close the file. Further calls do nothing."""
        if self._file.closed:
            return
        with self._file:
            self._file.seek(0)
            self._file.write(wav_header(self.rate_hz, self.audio_bytes, channels=self.channels))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
