"""This repository's Python files, read and never imported: which there are, and what each imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module. `deferred`: inside a function, so not run when the module is imported."""

    name: str
    line: int
    deferred: bool


def plugin_folders() -> list[Path]:
    return sorted(folder for folder in (ROOT / "plugins").iterdir() if (folder / "pyproject.toml").is_file())


def python_files(*, tests: bool = False) -> list[Path]:
    """The core's and the plugins' modules, without their tests unless `tests`."""
    files = [*(ROOT / "voxray").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]
    if tests:
        files += (ROOT / "tests").rglob("*.py")
    # Templates of `voxray new` are no Python yet: names are still to be filled in.
    files = [path for path in files if "templates" not in path.parts and not hidden(path)]
    return sorted(path for path in files if tests or not is_test(path))


def hidden(path: Path) -> bool:
    """Whether it belongs to a tool: `.venv`, `.tox`, caches, build output."""
    parts = path.relative_to(ROOT).parts
    return any(part.startswith(".") or part in ("build", "dist", "node_modules", "__pycache__") for part in parts)


def is_test(path: Path) -> bool:
    return "tests" in path.relative_to(ROOT).parts or path.name == "conftest.py"


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_name(path: Path) -> str:
    """Dotted name of a module of the core or of a plugin."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[0] == "plugins":
        parts = parts[2:]
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path) -> Iterator[Import]:
    """Everything the module may import when it runs; what only the type checker sees is left out."""
    yield from _imports(tree(path).body, deferred=False)


def _imports(body: list[ast.stmt], *, deferred: bool) -> Iterator[Import]:
    for node in body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, deferred)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            for name in sorted({_submodule(base, alias.name) for alias in node.names}):
                yield Import(name, node.lineno, deferred)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _imports(node.orelse, deferred=deferred)
        else:
            inside = deferred or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _imports([it for it in ast.iter_child_nodes(node) if isinstance(it, ast.stmt)], deferred=inside)
            for handler in getattr(node, "handlers", []) + getattr(node, "cases", []):
                yield from _imports(handler.body, deferred=inside)


def _submodule(base: str, name: str) -> str:
    """`from voxray import chat` imports voxray.chat; `from voxray.chat import User` imports voxray.chat."""
    path = ROOT.joinpath(*base.split("."), name)
    return f"{base}.{name}" if path.with_suffix(".py").is_file() or (path / "__init__.py").is_file() else base


def functions(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """All functions with their dotted names, inner ones too."""

    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield prefix + child.name, child
                yield from walk(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.ClassDef):
                yield from walk(child, f"{prefix}{child.name}.")
            else:
                yield from walk(child, prefix)

    yield from walk(tree(path), "")


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function's body without those of functions and classes inside it."""
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            yield child
            yield from own_nodes(child)
