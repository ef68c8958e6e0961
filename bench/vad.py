"""What Silero costs: `python bench/vad.py [seconds per row]`. Compare rows and runs; do not quote them.

First a window by batch size, then whole calls of 20 ms frames in real time: the CPU they take beyond the same calls
without a detector, for each frame, and how long a window waits for its answer.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from contextlib import ExitStack
from time import perf_counter, process_time
from types import SimpleNamespace

import numpy as np
from voxray_silero.detector import SileroVad
from voxray_silero.model import MAX_BATCH, WINDOW_SAMPLES, Memory, bundled_model, load_session

FRAME_SECS = 0.02
BATCHES = (1, 2, 4, 8, 16, MAX_BATCH)
CALLS = (1, 10, 50, 100)
CONTEXT = SimpleNamespace(name="silero")


def per_window(rate_hz: int, batch: int) -> float:
    """Return the µs for a window when `batch` of them run together."""
    memory = Memory(load_session(bundled_model()), rate_hz)
    slots = [memory.take_slot() for _ in range(batch)]
    rng = np.random.default_rng(0)
    windows = [rng.normal(0, 3000, WINDOW_SAMPLES[rate_hz]).astype(np.float32) for _ in slots]
    best = float("inf")
    for _ in range(30):
        start = perf_counter()
        for _ in range(5):
            memory.run(slots, windows)
        best = min(best, perf_counter() - start)
    return best / 5 / batch * 1e6


async def calls(rate_hz: int, count: int, secs: float, *, detect: bool) -> tuple[float, list[float]]:
    """Return the share of a core that `count` calls took, and each window's wait in seconds."""
    vad = SileroVad(CONTEXT)
    size = 2 * int(rate_hz * FRAME_SECS)
    audio = np.random.default_rng(0).normal(0, 3000, rate_hz).astype(np.int16).tobytes()
    waits: list[float] = []
    fed: list[deque[float]] = [deque() for _ in range(count)]
    with ExitStack() as stack:
        streams = []
        for times in fed:

            def report(probability: float, rms: float, times: deque[float] = times) -> None:
                waits.append(perf_counter() - times.popleft())

            streams.append(stack.enter_context(vad.open(rate_hz, report)))
        start, cpu = perf_counter(), process_time()
        frames = [0] * count
        while perf_counter() - start < secs:
            for number, stream in enumerate(streams):
                due = start + FRAME_SECS * (frames[number] + number / count)
                if perf_counter() >= due:
                    before = frames[number] * size // 2 // WINDOW_SAMPLES[rate_hz]
                    frames[number] += 1
                    after = frames[number] * size // 2 // WINDOW_SAMPLES[rate_hz]
                    fed[number].extend([perf_counter()] * (after - before))
                    at = frames[number] * size % (len(audio) - size)
                    if detect:
                        stream.feed(audio[at : at + size])
            await asyncio.sleep(0.001)
        return (process_time() - cpu) / (perf_counter() - start), waits


def main() -> None:
    secs = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    for rate_hz in SileroVad.rates_hz:
        alone = per_window(rate_hz, 1)
        print(f"{rate_hz} Hz, windows together   µs each   ratio")
        for batch in BATCHES:
            spent = per_window(rate_hz, batch)
            print(f"{batch:24} {spent:9.1f} {spent / alone:7.2f}")
        print(f"{rate_hz} Hz, calls    % of a core   µs per frame   wait: mean ms   99 % ms")
        for count in CALLS:
            idle, _ = asyncio.run(calls(rate_hz, count, secs, detect=False))
            busy, waits = asyncio.run(calls(rate_hz, count, secs, detect=True))
            waits.sort()
            share = max(0.0, busy - idle)
            each = share / (count / FRAME_SECS) * 1e6
            mean, most = sum(waits) / len(waits) * 1e3, waits[int(len(waits) * 0.99)] * 1e3
            print(f"{count:14} {share * 100:14.1f} {each:14.1f} {mean:15.1f} {most:9.1f}")


if __name__ == "__main__":
    main()
