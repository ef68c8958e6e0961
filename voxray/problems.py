"""What is wrong with a configuration, printable as one line each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "warning"]


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


def printable(text: str) -> str:
    """`text` with everything escaped that a terminal would not show, or would obey."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
