"""Everything is caught somewhere in particular. Where anything may come is listed here, with the reason."""

from __future__ import annotations

import ast
from collections.abc import Callable

from tools.source import functions, own_nodes, python_files, shown

CATCH_ALLS = {
    "voxray/boundary.py boundary": "the one place; used as listed below",
    "voxray/registry.py Registry._add": "loading a plugin, which may fail in any way; the others must not notice",
}
BOUNDARIES = {
    "voxray/server/arrivals.py Arrivals._begin.guarded": "a call on its way: the server and the others go on",
    "voxray/server/calls.py Calls.answer": "a call: the others go on",
    "voxray/server/calls.py Calls._began": "a plugin's hook: the call and the other plugins go on",
    "voxray/server/calls.py Calls._over": "a plugin's hook: the call has ended all the same",
    "voxray/server/middleware.py Recovery.__call__": "a request: the client gets a 500, the server goes on",
    "voxray/server/preparation.py Preparation.__call__": "a plugin's hook: the call is held as configured",
    "voxray/session/log.py EventLog._show": "an observer: it only looks, so it must not cost the caller anything",
    "voxray/session/session.py Session.start_soon.guarded": "a plugin's work in the background of a call",
    "voxray/session/taps.py Taps.close": "a plugin's clean-up: the others have theirs, and the call its goodbye",
    "voxray/session/tools.py ToolBox._local": "a foreign tool: its failure is an answer to the model",
}

WIDE = {"Exception", "BaseException"}


def places(fits: Callable[[ast.AST], bool]) -> set[str]:
    """The functions that contain such a node."""
    return {
        f"{shown(path)} {name}"
        for path in python_files()
        for name, function in functions(path)
        if any(map(fits, own_nodes(function)))
    }


def catches_anything(node: ast.AST) -> bool:
    if isinstance(node, ast.ExceptHandler):
        return _is_wide(node.type) and not _raises_again(node)
    return isinstance(node, ast.Call) and _name(node.func) == "suppress" and any(map(_is_wide, node.args))


def enters_a_boundary(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _name(node.func) == "boundary"


def test_anything_is_caught_in_two_places_only() -> None:
    assert places(catches_anything) == set(CATCH_ALLS)


def test_each_boundary_has_its_reason() -> None:
    assert places(enters_a_boundary) == set(BOUNDARIES)


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
