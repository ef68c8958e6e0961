"""Task groups wrap what their tasks raise; this takes the one error we wait for out again."""

from __future__ import annotations

from typing import TypeVar

E = TypeVar("E", bound=Exception)


def sole(group: BaseExceptionGroup[BaseException], kind: type[E]) -> E:
    """The first error of `kind` in `group`, if there is nothing else in it; otherwise `group` is raised."""
    wanted, rest = group.split(kind)
    if rest is not None or wanted is None:
        raise group
    error: BaseException = wanted
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, kind)
    return error
