"""L16 in either byte order. RFC 3551 says big-endian, some networks send the other, so it is measured."""

from __future__ import annotations

import itertools
import sys
from array import array

DECIDE_SECS = 0.5  # of sound that is not silence
CLEAR = 2.0  # how many times rougher the wrong order must look
GIVE_UP_SECS = 10.0  # noise looks the same in both orders


class ByteOrder:
    """Finds out and undoes the byte order of a stream of 16-bit samples.

    Read in the wrong order, neighbouring samples of speech leap about: the order with the smaller leaps is right. Until
    it is decided the likelier one is used, big-endian at first.
    """

    def __init__(self, order: str, rate_hz: int) -> None:
        self._undecided = order == "auto"
        self._order = "big" if self._undecided else order
        self._enough = int(DECIDE_SECS * rate_hz)
        self._most = int(GIVE_UP_SECS * rate_hz)
        self._samples = 0
        self._leaps = {"big": 0, "little": 0}

    def decode(self, data: bytes) -> bytes:
        """pcm16 little-endian of `data`, of an even length."""
        if self._undecided:
            self._measure(data)
        return data if self._order == "little" else swapped(data)

    def encode(self, pcm: bytes) -> bytes:
        """`pcm` in the order that the other side is taken to use."""
        return pcm if self._order == "little" else swapped(pcm)

    def _measure(self, data: bytes) -> None:
        little, big = leaps(data), leaps(swapped(data))
        if not little and not big:
            return  # silence is the same in both
        self._leaps["little"] += little
        self._leaps["big"] += big
        self._samples += len(data) // 2
        smaller = min(self._leaps, key=lambda order: self._leaps[order])
        self._order = smaller
        if self._samples >= self._enough:
            alike = max(self._leaps.values()) < CLEAR * self._leaps[smaller]
            self._undecided = alike and self._samples < self._most


def leaps(pcm: bytes) -> int:
    """The sum of the differences between neighbouring samples."""
    samples = _samples(pcm)
    return sum(abs(after - before) for before, after in itertools.pairwise(samples))


def swapped(data: bytes) -> bytes:
    samples = array("h", data)
    samples.byteswap()
    return samples.tobytes()


def _samples(pcm: bytes) -> array[int]:
    samples = array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples
