"""Changing the sample rate: a filter for live streams that adds next to no delay, and soxr for whole recordings.

Why not soxr for live audio too: its streams hold back 40 ms and more at any setting that filters at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, gcd

import numpy as np
from numpy.typing import NDArray

STOP_BAND_DB = 70.0  # a Kaiser window's attenuation; its pass band ripple is then 0.003 dB
HALF_WIDTH = 16  # of the filter, in samples of the lower rate: sets the delay, and with STOP_BAND_DB the slope
CUTOFF_UP = 0.5  # -6 dB point as a fraction of the lower rate; images of speech start beyond it
CUTOFF_DOWN = 0.49  # a little less where what lies above would fold back into the band
GROUP = 16  # outputs made by one small matrix: fewer waste calls, more waste multiplications
COEFFICIENT_STEP = 2.0**-24  # see `FilterBank`
PIECE_BYTES = 4096  # longer input is cut up: beyond this BLAS would wake its threads
MAX_PHASES = 2048  # all usual rates need 640 or fewer


@dataclass(frozen=True, slots=True)
class FilterBank:
    """A band-limiting interpolator for one pair of rates, as matrices from a window of inputs to a group of outputs.

    After `period_out` outputs, `period_in` inputs on, everything repeats. Each of the `groups` of a period makes
    `period_out / groups` outputs from `span` inputs. Coefficients are multiples of 2⁻²⁴, so with 16-bit samples every
    product and sum is exact in a float64 and results do not depend on how the stream was cut into chunks.
    """

    period_in: int
    period_out: int
    groups: int
    reach: int  # inputs needed before and after the place of an output
    span: int
    matrices: NDArray[np.float64]  # [groups * 2, span, outputs of a group]; twice over, so that runs may wrap around
    windows: NDArray[np.intp]  # [groups * 2, span]: where each group's inputs are, from `reach` before the period


@lru_cache(maxsize=64)
def filter_bank(in_rate_hz: int, out_rate_hz: int) -> FilterBank:
    """Design the filter: a sinc under a Kaiser window. Raises ValueError for rates without a usable ratio."""
    if in_rate_hz <= 0 or out_rate_hz <= 0:
        raise ValueError(f"sample rates must be positive, not {in_rate_hz} and {out_rate_hz}")
    common = gcd(in_rate_hz, out_rate_hz)
    period_in, period_out = in_rate_hz // common, out_rate_hz // common
    if max(period_in, period_out) > MAX_PHASES or max(period_in, period_out) > 64 * min(period_in, period_out):
        raise ValueError(f"cannot convert {in_rate_hz} Hz to {out_rate_hz} Hz: use a usual sample rate")
    if period_out < GROUP:
        repeats = ceil(GROUP / period_out)
        period_in, period_out = period_in * repeats, period_out * repeats
    # Many small groups for long periods; a prime number of outputs cannot be divided and stays one group.
    size = next((n for n in range(GROUP, 3 * GROUP) if period_out % n == 0), period_out)
    groups = period_out // size

    stretch = max(1.0, in_rate_hz / out_rate_hz)  # inputs per sample of the lower rate
    half_width = HALF_WIDTH * stretch
    reach = ceil(half_width)
    starts = (np.arange(groups) * size * period_in) // period_out  # window of a group, from `reach` before the period
    span = (size * period_in) // period_out + 1 + 2 * reach + 1

    places = (np.arange(period_out) * period_in / period_out).reshape(groups, 1, size)
    inputs = (starts[:, None] + np.arange(span) - reach).reshape(groups, span, 1)
    away = inputs - places
    cutoff = CUTOFF_UP if out_rate_hz >= in_rate_hz else CUTOFF_DOWN
    beta = 0.1102 * (STOP_BAND_DB - 8.7)
    under = np.sqrt(np.clip(1 - (away / half_width) ** 2, 0, None))
    matrices = np.where(np.abs(away) < half_width, np.sinc(2 * cutoff / stretch * away) * np.i0(beta * under), 0.0)
    matrices /= matrices.sum(axis=1, keepdims=True)
    matrices = np.round(matrices / COEFFICIENT_STEP) * COEFFICIENT_STEP
    windows = starts[:, None] + np.arange(span)
    return FilterBank(
        period_in,
        period_out,
        groups,
        reach,
        span,
        np.concatenate([matrices, matrices]),
        np.concatenate([windows, windows + period_in]),
    )


class Resampler:
    """Converts one live stream of pcm16 mono, chunk by chunk; their sizes do not change a single bit of the result.

    An output leaves as soon as `delay_secs` of input beyond its place are known. In all, N inputs give
    ceil(N * out / in) outputs, the last of them by `flush()`. Louder than full scale is clipped.

    Raises:
        ValueError: the rates have no usable ratio (44 101 Hz, say).
    """

    def __init__(self, in_rate_hz: int, out_rate_hz: int) -> None:
        self._bank = filter_bank(in_rate_hz, out_rate_hz) if in_rate_hz != out_rate_hz else None
        self.delay_secs = self._bank.reach / in_rate_hz if self._bank else 0.0
        self._run = _run_one_group if self._bank and self._bank.groups == 1 else _run_groups
        self.reset()

    def reset(self) -> None:
        """Forget the stream, as if newly made."""
        bank = self._bank
        self._done = 0  # outputs of the current period that were already given
        self._past = bytes(2 * bank.reach) if bank else b""  # inputs from `reach` before the current period
        self._padding = bytes(2 * (bank.span + bank.period_in)) if bank else b""

    def process(self, pcm: bytes) -> bytes:
        """Return what can be made of the stream up to here. Raises ValueError for an odd number of bytes."""
        bank = self._bank
        if len(pcm) & 1:
            raise ValueError(f"pcm16 needs an even number of bytes, not {len(pcm)}")
        if bank is None:
            return pcm
        if len(pcm) > PIECE_BYTES:
            return b"".join(self.process(pcm[at : at + PIECE_BYTES]) for at in range(0, len(pcm), PIECE_BYTES))
        past = self._past + pcm
        known = len(past) // 2 - 2 * bank.reach  # inputs from the start of the period that have all they need
        ready = -(-known * bank.period_out // bank.period_in)
        if ready <= self._done:
            self._past = past
            return b""
        made = self._run(bank, past + self._padding, self._done, ready)
        periods, self._done = divmod(ready, bank.period_out)
        self._past = past[2 * periods * bank.period_in :]
        return made

    def flush(self) -> bytes:
        """Return the end of the stream, then start afresh."""
        if self._bank is None:
            return b""
        rest = self.process(bytes(2 * self._bank.reach))
        self.reset()
        return rest


def _run_one_group(bank: FilterBank, data: bytes, done: int, ready: int) -> bytes:
    periods = -(-ready // bank.period_out)
    windows = np.ndarray((periods, bank.span), np.int16, data, 0, (2 * bank.period_in, 2)).astype(np.float64)
    return _to_pcm(np.dot(windows, bank.matrices[0]).reshape(-1)[done:ready])


def _run_groups(bank: FilterBank, data: bytes, done: int, ready: int) -> bytes:
    samples = np.frombuffer(data, np.int16).astype(np.float64)
    size = bank.period_out // bank.groups
    group, last = done // size, -(-ready // size)
    offset = group * size
    made = []
    while group < last:
        until = min(last, 2 * bank.groups)
        windows = samples.take(bank.windows[group:until])
        made.append(np.matmul(windows[:, None, :], bank.matrices[group:until]).reshape(-1))
        group, last = until - bank.groups, last - bank.groups
        samples = samples[bank.period_in :]
    whole = made[0] if len(made) == 1 else np.concatenate(made)
    return _to_pcm(whole[done - offset : ready - offset])


def _to_pcm(samples: NDArray[np.float64]) -> bytes:
    np.rint(samples, out=samples)
    np.minimum(samples, 32767.0, out=samples)
    np.maximum(samples, -32768.0, out=samples)
    return samples.astype(np.int16).tobytes()


def resample_whole(pcm: bytes, in_rate_hz: int, out_rate_hz: int) -> bytes:
    """Convert a whole recording or utterance of pcm16 mono at soxr's high quality; takes about 1 ms for 10 s."""
    if in_rate_hz == out_rate_hz or not pcm:
        return pcm
    import soxr

    samples = np.frombuffer(pcm, np.int16)
    return bytes(soxr.resample(samples, in_rate_hz, out_rate_hz, quality="HQ").astype(np.int16, copy=False).tobytes())
