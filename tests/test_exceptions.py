"""Everything is caught somewhere in particular, except at three places where anything may come."""

from __future__ import annotations

import ast
from pathlib import Path

from tools.source import functions, own_nodes, python_files, shown

WIDE = {"Exception", "BaseException"}


def catch_alls() -> list[tuple[Path, str, int]]:
    return [
        (path, name, node.lineno)
        for path in python_files()
        for name, function in functions(path)
        for node in own_nodes(function)
        if (isinstance(node, ast.ExceptHandler) and _is_wide(node.type) and not _raises_again(node))
        or (isinstance(node, ast.Call) and _name(node.func) == "suppress" and any(_is_wide(it) for it in node.args))
    ]


def test_anything_is_caught_in_three_places_only() -> None:
    """Loading a plugin, calling an observer's hook, answering a call."""
    found = catch_alls()
    listing = "\n".join(f"{shown(path)}:{line} {name}" for path, name, line in found)
    folders = sorted(shown(path).removesuffix(".py").split("/")[1] for path, _, _ in found)
    assert folders == ["registry", "server", "session"], listing


def _is_wide(caught: ast.expr | None) -> bool:
    if caught is None:
        return True
    if isinstance(caught, ast.Tuple):
        return any(_is_wide(it) for it in caught.elts)
    return _name(caught) in WIDE


def _raises_again(handler: ast.ExceptHandler) -> bool:
    """Also as another error: nothing is kept from the caller."""
    return isinstance(handler.body[-1], ast.Raise)


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
