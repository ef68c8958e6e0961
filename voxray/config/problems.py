"""Problems of a configuration: where they are, in order, and how many."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from voxray.problems import Problem, Severity, printable

__all__ = [
    "Path",
    "Problem",
    "Severity",
    "count_text",
    "format_path",
    "has_errors",
    "in_order",
    "printable",
    "quote",
]

Path = tuple[str | int, ...]
_PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
_SHOWN = 60  # characters of a value that a message repeats


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
