"""What each step costs on a 20 ms frame: `python bench/audio.py`. Compare rows and runs; do not quote them."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np
import soxr

from voxray.audio import g711, level
from voxray.audio.convert import Converter
from voxray.audio.format import MULAW_8K, PCM_16K, PCM_24K
from voxray.audio.resample import Resampler
from voxray.builtin.energy_vad import EnergyVad

FRAME_SECS = 0.02
REPEATS = 5
CALLS = 1000
RATES = [
    (8_000, 16_000),
    (24_000, 16_000),
    (48_000, 16_000),
    (16_000, 8_000),
    (24_000, 8_000),
    (16_000, 24_000),
    (22_050, 24_000),
    (22_050, 16_000),
    (22_050, 8_000),
]


def micros(step: Callable[[bytes], object], frame: bytes) -> float:
    """Return the shortest mean time of `step` over several runs, in µs."""
    best = float("inf")
    for _ in range(REPEATS):
        start = perf_counter()
        for _ in range(CALLS):
            step(frame)
        best = min(best, perf_counter() - start)
    return best / CALLS * 1e6


def frame(rate_hz: int) -> bytes:
    count = int(rate_hz * FRAME_SECS)
    return np.random.default_rng(0).normal(0, 3000, count).astype(np.int16).tobytes()


def soxr_quick(in_rate_hz: int, out_rate_hz: int) -> Callable[[bytes], bytes]:
    stream = soxr.ResampleStream(in_rate_hz, out_rate_hz, 1, dtype="int16", quality="QQ")
    return lambda pcm: bytes(stream.resample_chunk(np.frombuffer(pcm, np.int16)).tobytes())


def main() -> None:
    baseline = micros(lambda pcm: np.frombuffer(pcm, np.int16).copy().tobytes(), frame(16_000))

    def row(name: str, spent: float, note: str = "") -> None:
        print(f"{name:34} {spent:7.2f} {spent / baseline:7.1f}  {note}")

    print(f"{'20 ms frame':34} {'µs':>7} {'ratio':>7}")
    row("copy 16 kHz (the baseline)", baseline)
    codes = g711.encode_mulaw(frame(8_000))
    row("μ-law decode", micros(g711.decode_mulaw, codes))
    row("μ-law encode", micros(g711.encode_mulaw, frame(8_000)))
    row("A-law decode", micros(g711.decode_alaw, codes))
    row("A-law encode", micros(g711.encode_alaw, frame(8_000)))
    for in_rate_hz, out_rate_hz in RATES:
        resampler = Resampler(in_rate_hz, out_rate_hz)
        quick = micros(soxr_quick(in_rate_hz, out_rate_hz), frame(in_rate_hz))
        note = f"delay {resampler.delay_secs * 1000:.2f} ms; soxr QQ {quick:.1f} µs"
        row(f"resample {in_rate_hz} to {out_rate_hz} Hz", micros(resampler.process, frame(in_rate_hz)), note)
    row("convert telephone to 16 kHz", micros(Converter(MULAW_8K, PCM_16K).process, codes))
    row("convert 24 kHz to telephone", micros(Converter(PCM_24K, MULAW_8K).process, frame(24_000)))
    row("convert 16 to 16 kHz", micros(Converter(PCM_16K, PCM_16K).process, frame(16_000)))
    row("level", micros(level.rms, frame(16_000)))
    for rate_hz in (8_000, 16_000):
        with EnergyVad(None, threshold=0.02).open(rate_hz, lambda *_: None) as stream:  # type: ignore[arg-type]
            row(f"energy detector {rate_hz} Hz", micros(stream.feed, frame(rate_hz)))


if __name__ == "__main__":
    main()
