"""What makes cancellation safe, read from the sources."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tools.source import ROOT, functions, python_files, shown, tree

SCOPES = {"create_task_group", "TaskGroup", "CancelScope", "fail_after", "move_on_after", "timeout", "timeout_at"}
LOOSE_TASKS = {"create_task", "ensure_future", "run_coroutine_threadsafe"}
CLOCKS = {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time"}
FILES = python_files()


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_no_generator_yields_inside_a_scope(path: Path) -> None:
    """A generator left between two items would leave its scope open in somebody else's task.

    A function made for `async with` is left before anything else goes on, so it may.
    """
    wrong = [
        f"{shown(path)}:{line} {name} yields inside {scope}"
        for name, function in functions(path)
        if isinstance(function, ast.AsyncFunctionDef) and not _is_context_manager(function)
        for line, scope in _yields_in_scopes(function)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_every_task_belongs_to_a_group(path: Path) -> None:
    wrong = [
        f"{shown(path)}:{node.lineno} {ast.unparse(node.func)}"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and _name(node.func) in LOOSE_TASKS and not _of_a_task_group(node.func)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", [it for it in FILES if it.is_relative_to(ROOT / "voxray" / "session")], ids=shown)
def test_a_session_reads_no_clock_but_its_own(path: Path) -> None:
    wrong = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "time" and node.attr in CLOCKS:
                wrong.append(f"{shown(path)}:{node.lineno} time.{node.attr}")
            if node.value.id in ("datetime", "date") and node.attr in ("now", "utcnow", "today"):
                wrong.append(f"{shown(path)}:{node.lineno} {node.value.id}.{node.attr}")
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            wrong.append(f"{shown(path)}:{node.lineno} from time import …")
    assert not wrong, "\n".join(wrong)


def _yields_in_scopes(node: ast.AST, scope: str = "") -> list[tuple[int, str]]:
    found = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        inner = scope
        if isinstance(child, ast.With | ast.AsyncWith):
            names = [_name(it.context_expr) for it in child.items]
            inner = next((name for name in names if name in SCOPES), scope)
        if isinstance(child, ast.Yield) and scope:
            found.append((child.lineno, scope))
        found += _yields_in_scopes(child, inner)
    return found


def _is_context_manager(function: ast.AsyncFunctionDef) -> bool:
    return any(_name(it) == "asynccontextmanager" for it in function.decorator_list)


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Call):
        return _name(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _of_a_task_group(node: ast.expr) -> bool:
    owner = _name(node.value) if isinstance(node, ast.Attribute) else ""
    return owner.strip("_") in ("tasks", "group", "task_group")


def test_the_search_finds_what_it_looks_for() -> None:
    bad = ast.parse("async def stream():\n    async with anyio.create_task_group():\n        yield 1\n")
    assert _yields_in_scopes(bad.body[0]) == [(3, "create_task_group")]
    good = ast.parse("async def stream():\n    with move_on_after(1):\n        x = await y()\n    yield x\n")
    assert not _yields_in_scopes(good.body[0])
