"""A module is one idea and a function fits on a screen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.source import ROOT, functions, hidden, is_test, python_files, shown

MODULE_LINES = 400
FUNCTION_LINES = 60

EXTRA = [path for folder in ("tools", "bench") for path in sorted((ROOT / folder).rglob("*.py"))]
FILES = [path for path in [*python_files(), *EXTRA] if not hidden(path) and not is_test(path)]


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_a_module_and_its_functions_are_small(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MODULE_LINES, f"{shown(path)} has {lines} lines"
    long = [
        f"{shown(path)}:{node.lineno} {name} has {size} lines"
        for name, node in functions(path)
        if (size := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]
    assert not long, "\n".join(long)
