"""Reading YAML with places: every complaint names file, line and path, and all are collected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import yaml

MAX_BYTES = 1_000_000
MAX_DEPTH = 30
MAX_VALUES = 100_000


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a flow's file."""

    file: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.path + ': ' if self.path else ''}{self.message}"


@dataclass(slots=True)
class Problems:
    """Collects what is wrong in one file."""

    file: str
    found: list[Problem] = field(default_factory=list)

    def add(self, line: int, path: str, message: str) -> None:
        self.found.append(Problem(self.file, line, path, message))


@dataclass(frozen=True, slots=True)
class Item:
    """A value of the file with its place. `value` is a str, int, float, bool, None, list of items or dict of items."""

    value: Any
    line: int
    path: str
    problems: Problems
    raw: str = ""  # a scalar as written: an unquoted yes is a word here, not a truth value

    def bad(self, message: str) -> None:
        self.problems.add(self.line, self.path, message)

    def text(self) -> str:
        """The value as text; a list or mapping is a problem."""
        if isinstance(self.value, str) and self.value.strip():
            return " ".join(self.value.split())
        if isinstance(self.value, bool | int | float):
            return self.raw
        self.bad("expected text")
        return ""

    def number(self, low: int, high: int) -> int:
        if isinstance(self.value, int) and not isinstance(self.value, bool) and low <= self.value <= high:
            return self.value
        self.bad(f"expected a whole number from {low} to {high}")
        return low

    def items(self) -> list[Item]:
        """The entries of a list; a single value counts as a list of one."""
        if isinstance(self.value, list):
            return self.value
        if self.value is None or isinstance(self.value, dict):
            self.bad("expected a list")
            return []
        return [self]

    def texts(self) -> list[str]:
        return [text for item in self.items() if (text := item.text())]

    def entries(self) -> dict[str, Item]:
        """The entries of a mapping."""
        if isinstance(self.value, dict):
            return self.value
        self.bad("expected a mapping")
        return {}

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        return self.value

    def fields(self, known: Iterable[str]) -> dict[str, Item]:
        """The entries of a mapping whose keys must be among `known`."""
        names = list(known)
        entries = self.entries()
        for key, item in entries.items():
            if key not in names:
                cut = item.value is None  # {say: Sorry, no} ends the text at the comma
                item.bad(
                    f'"{key}" is no key; a text with a comma needs quotes here'
                    if cut
                    else f'unknown key "{key}"{suggestion(key, names)}'
                )
        return {key: item for key, item in entries.items() if key in names and item.value is not None}


def suggestion(name: str, names: Iterable[str]) -> str:
    """ "; did you mean …?" or, if nothing is near, "; there are: …"."""
    known = list(names)
    close = get_close_matches(name, known, n=1)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; possible: {', '.join(known[:12])}" if known else ""


def read(text: str, problems: Problems) -> Item | None:
    """Parse YAML text; None, with problems noted, if it cannot be read at all."""
    if len(text) > MAX_BYTES:
        problems.add(1, "", f"larger than {MAX_BYTES} characters")
        return None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problems.add(line, "", f"not valid YAML: {error.problem}")
        return None
    except (yaml.YAMLError, RecursionError) as error:
        problems.add(1, "", f"not valid YAML: {type(error).__name__}")
        return None
    if node is None:
        problems.add(1, "", "the file is empty")
        return None
    return _Builder(problems).item(node, "", 0)


class _Builder:
    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._left = MAX_VALUES  # aliases count as often as they are used
        self._scalars = yaml.SafeLoader("")

    def item(self, node: yaml.Node, path: str, depth: int) -> Item:
        line = node.start_mark.line + 1
        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0:
            if self._left >= -1:
                self._problems.add(line, path, "too deep or too large")
            return Item(None, line, path, self._problems)
        if isinstance(node, yaml.MappingNode):
            return Item(self._entries(node, path, depth), line, path, self._problems)
        if isinstance(node, yaml.SequenceNode):
            rows = [self.item(child, f"{path}[{n}]", depth + 1) for n, child in enumerate(node.value)]
            return Item(rows, line, path, self._problems)
        return self._scalar(node, line, path)

    def _entries(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Item]:
        entries: dict[str, Item] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            line = key_node.start_mark.line + 1
            inner = f"{path}.{key}" if path else key
            if key in entries:
                self._problems.add(line, inner, "given twice")
            item = self.item(value_node, inner, depth + 1)
            entries[key] = Item(item.value, line, inner, self._problems, item.raw)
        return entries

    def _scalar(self, node: yaml.Node, line: int, path: str) -> Item:
        raw = str(node.value)
        try:
            value = self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError):
            self._problems.add(line, path, "not a usable value")
            return Item(None, line, path, self._problems, raw)
        return Item(
            value if isinstance(value, str | int | float | bool | None) else raw, line, path, self._problems, raw
        )
