"""PocketSphinx's C interface through ctypes.

The wheel's Python classes hold the interpreter's lock while they load a model (0.25 s) and while they decode; through
ctypes both run beside the event loop. The functions are those of pocketsphinx.h, version 5.
"""

from __future__ import annotations

import ctypes
import threading
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pocketsphinx  # type: ignore[import-untyped]

GRAPH_WEIGHT = 1.0  # against the sound; the default, 6.5, was made for language models

_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "ps_config_init": (ctypes.c_void_p, (ctypes.c_void_p,)),
    "ps_config_set_str": (ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p)),
    "ps_config_free": (ctypes.c_int, (ctypes.c_void_p,)),
    "ps_init": (ctypes.c_void_p, (ctypes.c_void_p,)),
    "ps_free": (ctypes.c_int, (ctypes.c_void_p,)),
    "ps_config_set_float": (ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_double)),
    "ps_start_utt": (ctypes.c_int, (ctypes.c_void_p,)),
    "ps_process_raw": (
        ctypes.c_int,
        (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int),
    ),
    "ps_end_utt": (ctypes.c_int, (ctypes.c_void_p,)),
    "ps_get_hyp": (ctypes.c_char_p, (ctypes.c_void_p, ctypes.c_void_p)),
    "err_set_loglevel_str": (ctypes.c_char_p, (ctypes.c_char_p,)),
}


class DecoderError(Exception):
    """PocketSphinx refused its models, its grammar or a step."""


@dataclass(frozen=True, slots=True)
class Models:
    """Files a decoder is made of: `graph` is what may be said, as an FSG; "" means the language model `lm`."""

    hmm: str
    dictionary: str
    lm: str = ""
    graph: str = ""


@cache
def _library() -> ctypes.CDLL:
    found = find_spec("pocketsphinx._pocketsphinx")
    if found is None or found.origin is None:
        raise DecoderError("the pocketsphinx package is incomplete; reinstall it")
    library = ctypes.CDLL(found.origin)
    try:
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except AttributeError as error:
        raise DecoderError(f"this build of pocketsphinx does not export its C interface: {error}") from error
    library.err_set_loglevel_str(b"FATAL")
    return library


_MAKING = threading.Lock()  # the model loader is not known to be reentrant


class Decoder:
    """One recogniser. Any thread may use it, one at a time."""

    def __init__(self, models: Models) -> None:
        """Load the models: 7 ms with a grammar's own dictionary, 0.25 s with the language model.

        Raises:
            DecoderError: a file cannot be used, or the grammar is not accepted.
        """
        self._handle: int | None = None
        self._library = library = _library()
        # It would write to stderr, what people said included.
        settings = {"hmm": models.hmm, "dict": models.dictionary, "loglevel": "FATAL"}
        settings |= {"fsg": models.graph, "cmn": "batch"} if models.graph else {"lm": models.lm}
        with _MAKING:
            config = library.ps_config_init(None)
            for key, value in settings.items():
                library.ps_config_set_str(config, key.encode(), value.encode())
            if models.graph:
                library.ps_config_set_float(config, b"lw", GRAPH_WEIGHT)
            self._handle = library.ps_init(config)
            library.ps_config_free(config)  # the decoder holds its own reference
        if not self._handle:
            raise DecoderError("the models cannot be loaded: check hmm, lm and dict")

    def decode(self, pcm: bytes, *, finished: bool) -> str:
        """What a whole utterance says, or, if not `finished`, begins to say.

        Levels are evened out over all of it, which `feed` can only guess.
        """
        self.start()
        taken = self._library.ps_process_raw(self._handle, pcm, len(pcm) // 2, 0, 1)
        begun = self.words()  # after the end only whole sentences count
        self.end()
        self._must(min(0, taken), "take sound")
        return self.words() if finished else begun

    def start(self) -> None:
        self._must(self._library.ps_start_utt(self._handle), "start an utterance")

    def feed(self, pcm: bytes) -> None:
        """Take pcm16 mono at 16 kHz of any even length."""
        self._must(min(0, self._library.ps_process_raw(self._handle, pcm, len(pcm) // 2, 0, 0)), "take sound")

    def end(self) -> None:
        self._must(self._library.ps_end_utt(self._handle), "end an utterance")

    def words(self) -> str:
        """What has been understood of the utterance so far."""
        found = self._library.ps_get_hyp(self._handle, None)
        return found.decode("utf-8", "replace") if found else ""

    def close(self) -> None:
        """Free the memory; the decoder cannot be used any more."""
        if self._handle:
            self._library.ps_free(self._handle)
            self._handle = None

    def __del__(self) -> None:
        self.close()

    def _must(self, status: int, what: str) -> None:
        if status != 0:
            raise DecoderError(f"pocketsphinx could not {what}")


def included(part: str) -> Path:
    """A file or folder of the US English model in the wheel: "en-us", "en-us.lm.bin", "cmudict-en-us.dict"."""
    return Path(pocketsphinx.get_model_path()) / "en-us" / part
