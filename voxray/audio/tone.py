"""Sounds we make ourselves: tones, telephone keys, and the earcon for when the voice is broken."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

FADE_SECS = 0.005  # at both ends: a tone that starts at once clicks

DTMF_HZ: dict[str, tuple[int, int]] = {  # source: ITU-T Q.23
    key: (low, high)
    for low, keys in ((697, "123A"), (770, "456B"), (852, "789C"), (941, "*0#D"))
    for key, high in zip(keys, (1209, 1336, 1477, 1633), strict=True)
}


def tone(freqs_hz: Sequence[float], secs: float, rate_hz: int, *, level: float = 0.5) -> bytes:
    """Return pcm16 of sines sounding together; their sum never exceeds `level` (1 is full scale)."""
    count = int(secs * rate_hz)
    at = np.arange(count) / rate_hz
    wave = sum((np.sin(2 * np.pi * freq * at) for freq in freqs_hz), np.zeros(count)) / max(1, len(freqs_hz))
    edge = np.minimum(at, at[::-1]) / FADE_SECS
    faded = wave * (0.5 - 0.5 * np.cos(np.pi * np.minimum(edge, 1.0)))
    return np.rint(faded * level * 32_767).astype(np.int16).tobytes()


def silence(secs: float, rate_hz: int) -> bytes:
    """Return that much digital silence in pcm16."""
    return bytes(2 * int(secs * rate_hz))


def dtmf(key: str, secs: float, rate_hz: int, *, level: float = 0.5) -> bytes:
    """Return the tone of one telephone key: 0-9, *, #, A-D. Raises ValueError for another."""
    pair = DTMF_HZ.get(key.upper())
    if pair is None:
        raise ValueError(f'"{key}" is not a telephone key')
    return tone(pair, secs, rate_hz, level=level)


@lru_cache(maxsize=16)
def earcon(rate_hz: int) -> bytes:
    """Return half a second that says "trouble" without words: two low beeps, the second lower."""
    first, second = tone((330,), 0.2, rate_hz, level=0.3), tone((262,), 0.2, rate_hz, level=0.3)
    return first + silence(0.1, rate_hz) + second
