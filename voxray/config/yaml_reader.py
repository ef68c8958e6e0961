"""YAML configurations: plain types only, with places and the same limits as JSON.

Scalars follow the JSON schema of YAML 1.2: `yes`, `no`, `on`, dates and 22:30 are strings.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from voxray.config.document import MAX_DEPTH, MAX_INTEGER, Findings, Lines
from voxray.config.problems import Path, quote

_MAX_NODES = 20_000  # counted with aliases expanded: the same list named a thousand times is a thousand lists
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_NOT_A_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_STRING_TAGS = (None, "!", "tag:yaml.org,2002:str")


@dataclass(slots=True)
class _Open:
    """A mapping or sequence that has not ended yet."""

    container: dict[str, Any] | list[Any]
    path: Path
    anchor: str | None
    nodes_before: int
    key: str | None = None


def read_yaml(text: str, found: Findings) -> Any:
    """The one document in `text`. Raises StopReadingError after noting why."""
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    reader = _YamlReader(found)
    try:
        for event in yaml.parse(text, Loader=loader):
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        raise found.stop((), place, f"not YAML: {quote(error.problem or str(error))[1:-1]}", "syntax") from error
    except yaml.reader.ReaderError as error:
        place = Lines(text).place(min(error.position, len(text)))
        raise found.stop((), place, f"not YAML: {quote(str(error.reason))[1:-1]}", "syntax") from error
    except yaml.YAMLError as error:
        raise found.stop((), (1, 1), f"not YAML: {quote(str(error))[1:-1]}", "syntax") from error
    return reader.result


class _YamlReader:
    """Builds data from parser events, without recursion."""

    def __init__(self, found: Findings) -> None:
        self.result: Any = None
        self._found = found
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._nodes = 0
        self._documents = 0

    def take(self, event: Any) -> None:
        """Take the next event of `yaml.parse`."""
        kind = type(event).__name__
        place = (event.start_mark.line + 1, event.start_mark.column + 1)
        if kind == "DocumentStartEvent":
            self._documents += 1
            if self._documents > 1:
                raise self._found.stop((), place, "more than one YAML document in the file", "syntax")
        elif kind == "ScalarEvent":
            self._scalar(event, place)
        elif kind == "AliasEvent":
            self._alias(event, place)
        elif kind in ("MappingStartEvent", "SequenceStartEvent"):
            self._begin(event, place)
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            done = self._stack.pop()
            if done.anchor:
                self._anchors[done.anchor] = (done.container, self._nodes - done.nodes_before)

    def _begin(self, event: Any, place: tuple[int, int]) -> None:
        path = self._next_path(place)
        if len(self._stack) >= MAX_DEPTH:
            raise self._found.stop(path[:4], place, f"nested more than {MAX_DEPTH} levels deep", "nesting")
        if event.tag is not None and not event.implicit:
            self._tagged(path, place, event.tag)
        container: dict[str, Any] | list[Any] = {} if type(event).__name__ == "MappingStartEvent" else []
        opened = _Open(container, path, event.anchor, self._nodes)
        self._put(container, place, 1)
        self._stack.append(opened)

    def _scalar(self, event: Any, place: tuple[int, int]) -> None:
        top = self._stack[-1] if self._stack else None
        if top is not None and isinstance(top.container, dict) and top.key is None:
            self._key(top, event.value, place)
            return
        path = self._next_path(place)
        if event.tag not in _STRING_TAGS:
            self._tagged(path, place, event.tag)
        plain = not event.style and event.tag is None  # the C parser says "", the Python one None
        value = self._plain(event.value, path, place) if plain else event.value
        if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
            self._found.add(path, place, "half of a surrogate pair in a string", "unicode")
            self._found.suspect.add(path)
            value = ""
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        self._put(value, place, 1)

    def _key(self, top: _Open, key: str, place: tuple[int, int]) -> None:
        path = (*top.path, key)
        if key == "<<":
            raise self._found.stop(top.path, place, "merge keys are not supported", "yaml", "write the keys out")
        if key in top.container:
            line = self._found.keys[path][0]
            self._found.add(
                top.path, place, f"duplicate key {quote(key)}", "duplicate-key", f"it is first in line {line}"
            )
        else:
            self._found.keys[path] = place
        top.key = key

    def _plain(self, text: str, path: Path, place: tuple[int, int]) -> Any:
        if text in _WORDS:
            return _WORDS[text]
        if _NOT_A_NUMBER.fullmatch(text):
            self._found.add(path, place, f"{text} is not allowed as a number", "number")
        elif _FLOAT.fullmatch(text):
            short = len(text) <= 400
            if short and _INTEGER.fullmatch(text) and abs(int(text)) <= MAX_INTEGER:
                return int(text)
            if short and not _INTEGER.fullmatch(text) and math.isfinite(float(text)):
                return float(text)
            self._found.add(path, place, f"{quote(text)[1:-1]} is out of range", "number")
        else:
            return text
        self._found.suspect.add(path)
        return None

    def _alias(self, event: Any, place: tuple[int, int]) -> None:
        path = self._next_path(place)
        if event.anchor not in self._anchors:
            raise self._found.stop(path, place, f'"*{event.anchor}" names nothing that is complete here', "yaml")
        value, size = self._anchors[event.anchor]
        self._put(value, place, size)

    def _tagged(self, path: Path, place: tuple[int, int], tag: str) -> None:
        self._found.add(path, place, f"the tag {quote(tag)[1:-1]} is not supported", "yaml", "use plain values")
        self._found.suspect.add(path)

    def _next_path(self, place: tuple[int, int]) -> Path:
        """The path of the value that comes now."""
        if not self._stack:
            return ()
        top = self._stack[-1]
        if isinstance(top.container, list):
            return (*top.path, len(top.container))
        if top.key is None:
            raise self._found.stop(top.path, place, "a key must be a plain word", "yaml")
        return (*top.path, top.key)

    def _put(self, value: Any, place: tuple[int, int], size: int) -> None:
        self._found.values[self._next_path(place)] = place
        self._nodes += size
        if self._nodes > _MAX_NODES:
            raise self._found.stop((), place, f"more than {_MAX_NODES} values, aliases counted", "file-size")
        if not self._stack:
            self.result = value
            return
        top = self._stack[-1]
        if isinstance(top.container, list):
            top.container.append(value)
        elif top.key is not None:
            top.container[top.key] = value
            top.key = None
