"""G.711: the telephone network's 8-bit codes for 16-bit samples, both laws, by table.

Source: ITU-T G.711; μ-law is encoded from 16 bits (bias 132, clip 32 635) as common software does.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

MULAW_SILENCE = b"\xff"
ALAW_SILENCE = b"\xd5"

MULAW_BIAS = 132
MULAW_CLIP = 32_635
ALAW_TOGGLED = 0x55  # every other bit is sent inverted


def decode_mulaw(data: bytes) -> bytes:
    """Return pcm16 for μ-law codes: two bytes for each."""
    return mulaw_decode_table().take(np.frombuffer(data, np.uint8)).tobytes()


def decode_alaw(data: bytes) -> bytes:
    """Return pcm16 for A-law codes: two bytes for each."""
    return alaw_decode_table().take(np.frombuffer(data, np.uint8)).tobytes()


def encode_mulaw(pcm: bytes) -> bytes:
    """Return one μ-law code for each pcm16 sample. Raises ValueError for an odd number of bytes."""
    return mulaw_encode_table().take(np.frombuffer(pcm, np.uint16)).tobytes()


def encode_alaw(pcm: bytes) -> bytes:
    """Return one A-law code for each pcm16 sample. Raises ValueError for an odd number of bytes."""
    return alaw_encode_table().take(np.frombuffer(pcm, np.uint16)).tobytes()


@lru_cache(maxsize=1)
def mulaw_decode_table() -> NDArray[np.int16]:
    """Samples by code."""
    code = ~np.arange(256) & 0xFF
    magnitude = (((code & 15) << 3) + MULAW_BIAS << (code >> 4 & 7)) - MULAW_BIAS
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


@lru_cache(maxsize=1)
def alaw_decode_table() -> NDArray[np.int16]:
    """Samples by code."""
    code = np.arange(256) ^ ALAW_TOGGLED
    exponent, mantissa = code >> 4 & 7, code & 15
    magnitude = np.where(exponent == 0, (mantissa << 4) + 8, (mantissa << 4) + 264 << np.maximum(exponent, 1) - 1)
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


@lru_cache(maxsize=1)
def mulaw_encode_table() -> NDArray[np.uint8]:
    """Codes by sample, the sample taken as an unsigned number."""
    samples = _samples_by_bits()
    magnitude = np.minimum(np.abs(samples), MULAW_CLIP) + MULAW_BIAS
    exponent = _bit_length(magnitude) - 8
    code: NDArray[np.int64] = exponent << 4 | magnitude >> exponent + 3 & 15 | np.where(samples < 0, 0x80, 0)
    return (~code & 0xFF).astype(np.uint8)


@lru_cache(maxsize=1)
def alaw_encode_table() -> NDArray[np.uint8]:
    """Codes by sample, the sample taken as an unsigned number."""
    samples = _samples_by_bits()
    magnitude = np.where(samples >= 0, samples, -samples - 1) >> 4
    exponent = np.maximum(_bit_length(magnitude) - 4, 0)
    mantissa = magnitude >> np.maximum(exponent - 1, 0) & 15
    code: NDArray[np.int64] = exponent << 4 | mantissa | np.where(samples >= 0, 0x80, 0)
    return (code ^ ALAW_TOGGLED).astype(np.uint8)


def _samples_by_bits() -> NDArray[np.int64]:
    return np.arange(65_536, dtype=np.uint16).astype(np.int16).astype(np.int64)


def _bit_length(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.frexp(values.astype(np.float64))[1].astype(np.int64)
