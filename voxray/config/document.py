"""A configuration file as data, with the place of every key and value."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from voxray.config.problems import Path, Problem, format_path

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_FINDINGS = 100  # a file that is no configuration at all should not print a thousand lines
MAX_INTEGER = 2**53  # what every JSON reader keeps exactly


class Lines:
    """Turns an offset into a text into a line and a column."""

    def __init__(self, text: str) -> None:
        self._starts = [0]
        at = text.find("\n")
        while at >= 0:
            self._starts.append(at + 1)
            at = text.find("\n", at + 1)

    def place(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


class StopReadingError(Exception):
    """The rest of the file cannot be understood. Never leaves `read_document`."""


@dataclass(slots=True)
class Findings:
    """What a reader collects on its way through a file."""

    source: str
    problems: list[Problem] = field(default_factory=list)
    values: dict[Path, tuple[int, int]] = field(default_factory=dict)
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    suspect: set[Path] = field(default_factory=set)

    def add(self, path: Path, place: tuple[int, int], message: str, rule: str, remedy: str = "") -> None:
        """Note a problem and go on. Raises StopReadingError when there are too many."""
        if len(self.problems) >= MAX_FINDINGS:
            raise StopReadingError
        self.problems.append(
            Problem(format_path(path), message, "error", *place, rule=rule, remedy=remedy, source=self.source)
        )

    def stop(self, path: Path, place: tuple[int, int], message: str, rule: str, remedy: str = "") -> StopReadingError:
        """Note a problem after which nothing can be understood; raise the result."""
        self.add(path, place, message, rule, remedy)
        return StopReadingError()


@dataclass(frozen=True)
class Document:
    """A file that was read.

    `data` is None if it could not be understood. `values` and `keys` give line and column of each; `suspect` holds the
    paths whose value is wrong already, so nobody complains about them twice.
    """

    source: str
    data: Any
    values: Mapping[Path, tuple[int, int]]
    keys: Mapping[Path, tuple[int, int]]
    problems: tuple[Problem, ...]
    suspect: frozenset[Path]

    @cached_property
    def _by_text(self) -> Mapping[str, tuple[int, int]]:
        return {format_path(path): place for path, place in self.values.items()}

    def place(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """Line and column of the value (or the key) at `path`, else of what is nearest above it."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, (1, 1))

    def locate(self, problem: Problem, origins: Mapping[str, str]) -> Problem:
        """`problem` with its place filled in; `origins` maps paths to the variables that override the file."""
        if problem.line is not None or problem.source or not problem.path:
            return problem
        text = problem.path
        for path, name in origins.items():
            if text == path or text.startswith((f"{path}.", f"{path}[")):
                return replace(problem, source=name)
        places = self._by_text
        while text not in places and text != "$" and text:
            text = text[: max(text.rfind("."), text.rfind("["))] if len(text) > 1 else ""
        line, column = places.get(text, (1, 1))
        return replace(problem, line=line, column=column, source=self.source)


def read_document(file: str | os.PathLike[str]) -> Document:
    """Read a JSON file, or a YAML file if its name ends in .yaml or .yml.

    Never raises for what the file contains: that is in `problems`.

    Raises:
        OSError: the file cannot be read.
    """
    source = os.fspath(file)
    try:
        with open(source, "rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except ValueError as error:  # a name with a NUL in it
        raise OSError(str(error)) from error
    return parse_document(raw, source)


def parse_document(raw: bytes, source: str) -> Document:
    """The same for bytes that were read already; `source` is the file's name."""
    found = Findings(source)
    data: Any = None
    try:
        text = _decode(raw, found)
        if source.lower().endswith((".yaml", ".yml")):
            from voxray.config.yaml_reader import read_yaml  # YAML is the exception, and costs 40 ms to import

            data = read_yaml(text, found)
        else:
            from voxray.config.json_reader import JsonReader

            data = JsonReader(text, found).read()
    except StopReadingError:
        data = None
    return Document(source, data, found.values, found.keys, tuple(found.problems), frozenset(found.suspect))


def _decode(raw: bytes, found: Findings) -> str:
    if len(raw) > MAX_BYTES:
        raise found.stop((), (1, 1), f"the file is larger than {MAX_BYTES} bytes", "file-size")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in raw[:4]:
        raise found.stop(
            (), (1, 1), "the file is not UTF-8 but looks like UTF-16 or UTF-32", "encoding", "save it as UTF-8"
        )
    if raw.startswith(b"\xef\xbb\xbf"):
        raw = raw[3:]
        found.problems.append(
            Problem(
                "$", "the file begins with a byte order mark", "warning", 1, 1, "byte-order-mark",
                "save it as UTF-8 without BOM", found.source,
            )
        )  # fmt: skip
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        good = raw[: error.start].decode()
        place = Lines(good).place(len(good))
        raise found.stop(
            (), place, f"byte 0x{raw[error.start]:02x} is not UTF-8", "encoding", "save the file as UTF-8"
        ) from error
