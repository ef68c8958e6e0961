"""What the bytes of a stream mean. Agreed once per stream; after that, audio is plain bytes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Encoding(Enum):
    PCM16 = "pcm16"  # signed 16-bit little-endian
    MULAW = "mulaw"  # G.711 mu-law
    ALAW = "alaw"  # G.711 A-law


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Mono audio of one encoding and rate."""

    encoding: Encoding
    rate_hz: int

    @property
    def sample_bytes(self) -> int:
        return 2 if self.encoding is Encoding.PCM16 else 1

    @property
    def bytes_per_sec(self) -> int:
        return self.rate_hz * self.sample_bytes

    def secs(self, size_bytes: int) -> float:
        return size_bytes / self.bytes_per_sec

    def size(self, secs: float) -> int:
        """Bytes of `secs` seconds, rounded down to whole samples."""
        return int(secs * self.rate_hz) * self.sample_bytes


PCM_8K = AudioFormat(Encoding.PCM16, 8_000)
PCM_16K = AudioFormat(Encoding.PCM16, 16_000)
PCM_22K = AudioFormat(Encoding.PCM16, 22_050)
PCM_24K = AudioFormat(Encoding.PCM16, 24_000)
PCM_48K = AudioFormat(Encoding.PCM16, 48_000)
MULAW_8K = AudioFormat(Encoding.MULAW, 8_000)
ALAW_8K = AudioFormat(Encoding.ALAW, 8_000)
