"""PocketSphinx's C interface through ctypes.

The wheel's Python classes hold the interpreter's lock while they load a model (0.25 s) and while they decode; through
ctypes both run beside the event loop. The functions are those of pocketsphinx.h, version 5.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pocketsphinx  # type: ignore[import-untyped]

RATE_HZ = 16_000
SEARCH = b"grammar"

_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "ps_config_init": (ctypes.c_void_p, (ctypes.c_void_p,)),
    "ps_config_set_str": (ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p)),
    "ps_config_free": (ctypes.c_int, (ctypes.c_void_p,)),
    "ps_init": (ctypes.c_void_p, (ctypes.c_void_p,)),
    "ps_free": (ctypes.c_int, (ctypes.c_void_p,)),
    "ps_add_jsgf_string": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p)),
    "ps_activate_search": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_char_p)),
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
    """Files a decoder is made of. With `grammar` (JSGF text), `lm` is not used."""

    hmm: str
    dictionary: str
    lm: str = ""
    grammar: str = field(default="", repr=False)


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
    library.err_set_loglevel_str(b"FATAL")  # it would write to stderr, what people said included
    return library


_MAKING = threading.Lock()  # the grammar parser and the model loader are not known to be reentrant


class Decoder:
    """One recogniser. Any thread may use it, one at a time."""

    def __init__(self, models: Models) -> None:
        """Load the models: 7 ms with a grammar's own dictionary, 0.25 s with the language model.

        Raises:
            DecoderError: a file cannot be used, or the grammar is not accepted.
        """
        self._handle: int | None = None
        self._library = library = _library()
        settings: Mapping[str, str] = {"hmm": models.hmm, "dict": models.dictionary} | (
            # The second pass over a grammar's lattice takes a minute when the utterance began with a long silence, and
            # it loses last words that the first pass has understood.
            {"bestpath": "no"} if models.grammar else {"lm": models.lm}
        )
        with _MAKING:
            config = library.ps_config_init(None)
            for key, value in settings.items():
                library.ps_config_set_str(config, key.encode(), value.encode())
            self._handle = library.ps_init(config)
            library.ps_config_free(config)  # the decoder holds its own reference
            if not self._handle:
                raise DecoderError("the models cannot be loaded: check hmm, lm and dict")
            if models.grammar and (
                library.ps_add_jsgf_string(self._handle, SEARCH, models.grammar.encode()) != 0
                or library.ps_activate_search(self._handle, SEARCH) != 0
            ):
                self.close()
                raise DecoderError("the grammar is not valid JSGF with a public rule")

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
