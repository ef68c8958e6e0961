"""How loud a piece of pcm16 is."""

from __future__ import annotations

from math import log10, sqrt

import numpy as np

FULL_SCALE = 32_768.0
QUIETEST_DBFS = -60.0  # loudness 0


def rms(pcm: bytes) -> float:
    """Return the root mean square, 0 (silence or nothing) to 1 (full scale). Raises ValueError for an odd length."""
    if not pcm:
        return 0.0
    samples = np.frombuffer(pcm, np.int16).astype(np.float32)
    return min(1.0, sqrt(float(samples.dot(samples)) / samples.size) / FULL_SCALE)


def dbfs(rms: float) -> float:
    """Return a level of 0..1 in dB below full scale; silence is -inf."""
    return 20.0 * log10(rms) if rms > 0.0 else float("-inf")


def loudness(rms: float) -> float:
    """Return a level of 0..1 on a scale that is linear in dB: 0 is -60 dBFS and below, 1 is full scale."""
    if rms <= 0.0:
        return 0.0
    return min(1.0, max(0.0, 1.0 - 20.0 * log10(rms) / QUIETEST_DBFS))


def block_levels(pcm: bytes, block_samples: int) -> list[float]:
    """RMS (0..1) of each whole block of pcm16 mono."""
    samples = np.frombuffer(pcm, np.int16)
    blocks = samples[: len(samples) // block_samples * block_samples].reshape(-1, block_samples).astype(np.float32)
    levels: list[float] = (np.sqrt(np.mean(blocks * blocks, axis=1)) / 32768.0).tolist()
    return levels
