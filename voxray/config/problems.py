"""What is wrong with a configuration, printable as one line each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Path = tuple[str | int, ...]
Severity = Literal["error", "warning"]
_PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
_SHOWN = 60  # characters of a value that a message repeats


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding.

    `path` is a JSON path such as `$.tts_voice`, or "" if the finding is about no place in the file. `line` and `column`
    count from 1, columns in characters; None where there is no file. `rule` names the rule, `remedy` what to do, and
    `source` the file or the environment variable that the value comes from.
    """

    path: str
    message: str
    severity: Severity = "error"
    line: int | None = None
    column: int | None = None
    rule: str = ""
    remedy: str = ""
    source: str = ""

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}:{self.column}" if self.line is not None else self.source
        what = ": ".join(part for part in (self.path, self.message) if part)
        text = "; ".join(part for part in (what, self.remedy) if part)
        if self.severity == "warning":
            text = f"warning: {text}"
        return printable(f"{place}  {text}" if place else text)

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def format_path(path: Sequence[str | int]) -> str:
    """`("plugins", 0)` as `$.plugins[0]`; keys that are not plain words are quoted."""
    text = "$"
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}"
        else:
            text += f"[{quote(part)}]"
    return text


def quote(value: object) -> str:
    """`value` as JSON in one printable line, cut after some 60 characters."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = printable(text[: _SHOWN * 2])
    if len(text) > _SHOWN:
        return text[: _SHOWN - 1] + "…" + ('"' if text.startswith('"') else "")
    return text


def printable(text: str) -> str:
    """`text` with everything escaped that a terminal would not show, or would obey."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def has_errors(problems: Iterable[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Without repetitions, by place; findings without a place come last."""
    unique = dict.fromkeys(problems)
    return sorted(unique, key=lambda found: (found.line is None, found.line or 0, found.column or 0))


def count_text(problems: Sequence[Problem]) -> str:
    """`2 problems, 1 warning`."""
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    parts = [f"{errors} problem{'s' * (errors != 1)}"] if errors else []
    if warnings:
        parts.append(f"{warnings} warning{'s' * (warnings != 1)}")
    return ", ".join(parts)
