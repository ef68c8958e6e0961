"""Silero as Voxray's voice activity detector: the windows of all calls run through the network together.

Why on the event loop and not in a thread, at 100 calls of 16 kHz: a worker thread takes the loop's share from 13 % of a
core to 3 % and an answer's delay from 8.6 to 5.1 ms, but costs 19 % in all, so a process that has one core holds fewer
calls; and its answers would come at times that a virtual clock knows nothing of. A run holds the loop for about 1 ms.
Numbers: this package's README.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from math import sqrt
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from voxray.errors import ProviderRefused
from voxray.protocols.context import ProviderContext
from voxray.protocols.vad import Report, VadStream
from voxray_silero.model import LOAD_ERRORS, MAX_BATCH, WINDOW_SAMPLES, Memory, bundled_model, load_session

TICK_SECS = 0.010  # how long windows of many calls wait for each other
CALLS_FOR_FULL_TICK = 8  # with fewer they wait less: there is nobody to wait for
RUNS_PER_TICK = 4  # then others have the event loop first
UNHEARD_RMS = 0.0005  # -66 dBFS: no speech is so soft, so the network is not asked
UNSURE = 0.1  # below this probability a stream is quiet
FORGET_SECS = 5.0  # of quiet, after which the network's memory is blanked


class SileroVad:
    """A VoiceActivityDetector for 16 and 8 kHz, in windows of 32 ms.

    Raises:
        ProviderRefused: the model cannot be loaded.
    """

    rates_hz = (16_000, 8_000)

    def __init__(self, context: ProviderContext, *, model_path: str = "") -> None:
        try:
            self._session = load_session(Path(model_path) if model_path else bundled_model())
            for rate_hz in self.rates_hz:  # a first run is slow, and shows whether this is the right kind of model
                memory = Memory(self._session, rate_hz)
                memory.run([memory.take_slot()], [np.zeros(WINDOW_SAMPLES[rate_hz], np.float32)])
        except LOAD_ERRORS as error:
            raise ProviderRefused(context.name, f"cannot load the model: {error}") from error
        # Per event loop, since timers belong to one. A batcher must not hold its loop, or neither would ever be freed.
        self._batchers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, Batcher]] = WeakKeyDictionary()

    def window_samples(self, rate_hz: int) -> int:
        return WINDOW_SAMPLES[rate_hz]

    def open(self, rate_hz: int, report: Report) -> AbstractContextManager[VadStream]:
        return self._stream(rate_hz, report)

    @contextmanager
    def _stream(self, rate_hz: int, report: Report) -> Iterator[VadStream]:
        batchers = self._batchers.setdefault(asyncio.get_running_loop(), {})
        if rate_hz not in batchers:
            batchers[rate_hz] = Batcher(Memory(self._session, rate_hz))
        stream = SileroVadStream(batchers[rate_hz], rate_hz, report)
        try:
            yield stream
        finally:
            stream.close()


class Batcher:
    """Runs the streams of one rate and one event loop. Idle, it has no timer."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.streams = 0  # open ones
        self._ready: deque[SileroVadStream] = deque()  # each at most once
        self._timer: asyncio.TimerHandle | None = None

    def add(self, stream: SileroVadStream) -> None:
        """Let a stream take part that has windows and was not waiting yet."""
        self._ready.append(stream)
        if self._timer is None:
            wait = TICK_SECS * min(1.0, (self.streams - 1) / (CALLS_FOR_FULL_TICK - 1))
            self._timer = asyncio.get_running_loop().call_later(wait, self._tick)

    def _tick(self) -> None:
        self._timer = None
        try:
            for _ in range(RUNS_PER_TICK):
                if self._ready:
                    self._run()
        finally:
            if self._ready and self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(0, self._tick)

    def _run(self) -> None:
        """Run one window of each of the first streams; those with more windows queue up again."""
        count = min(MAX_BATCH, len(self._ready))
        streams = [stream for _ in range(count) if (stream := self._ready.popleft()).windows]
        if not streams:
            return
        windows = [stream.windows.popleft() for stream in streams]
        probabilities = self.memory.run([stream.slot for stream in streams], [samples for samples, _ in windows])
        self._ready.extend(stream for stream in streams if stream.windows)
        results = zip(streams, probabilities, (rms for _, rms in windows), strict=True)
        self._deliver(deque(results))

    def _deliver(self, results: deque[tuple[SileroVadStream, float, float]]) -> None:
        try:
            while results:
                stream, probability, rms = results.popleft()
                stream.deliver(probability, rms)
        finally:
            if results:  # one call's listener failed; that is not the other calls' fault
                asyncio.get_running_loop().call_soon(self._deliver, results)


class SileroVadStream:
    """One call's audio on its way to the network."""

    def __init__(self, batcher: Batcher, rate_hz: int, report: Report) -> None:
        self.windows: deque[tuple[NDArray[np.float32], float]] = deque()  # samples and RMS
        self.slot = batcher.memory.take_slot()
        self._batcher = batcher
        self._window = WINDOW_SAMPLES[rate_hz]
        self._report: Report | None = report
        self._rest = b""
        self._quiet_secs = 0.0
        self._window_secs = self._window / rate_hz
        batcher.streams += 1

    def feed(self, pcm: bytes) -> None:
        if self._rest:
            pcm = self._rest + pcm
        size = 2 * self._window
        used = len(pcm) - len(pcm) % size
        for at in range(0, used, size):
            samples = np.frombuffer(pcm, np.int16, self._window, at).astype(np.float32)
            self._take(samples, sqrt(float(samples.dot(samples)) / self._window) / 32_768)
        self._rest = pcm[used:]

    def _take(self, samples: NDArray[np.float32], rms: float) -> None:
        if self._report is None:
            return
        if rms < UNHEARD_RMS and self._quiet_secs > 0.0 and not self.windows:
            self._report(0.0, rms)  # and the network does not grow old
            return
        self.windows.append((samples, rms))
        if len(self.windows) == 1:
            self._batcher.add(self)

    def deliver(self, probability: float, rms: float) -> None:
        """Report a window, unless the stream was closed meanwhile."""
        if self._report is None:
            return
        self._quiet_secs = self._quiet_secs + self._window_secs if probability < UNSURE else 0.0
        if self._quiet_secs >= FORGET_SECS:
            self._batcher.memory.forget(self.slot)
            self._quiet_secs = self._window_secs
        self._report(probability, rms)

    def close(self) -> None:
        """Report nothing more; give back the memory."""
        if self._report is None:
            return
        self._report = None
        self.windows.clear()
        self._batcher.streams -= 1
        self._batcher.memory.give_slot(self.slot)
