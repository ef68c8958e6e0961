"""Task groups wrap what their tasks raise; this takes the one kind of error we wait for out again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def only(kind: type[Exception]) -> Iterator[None]:
    """Raise the first error of `kind` in place of a group of nothing else. Providers may use task groups too."""
    try:
        yield
    except BaseExceptionGroup as group:
        wanted, rest = group.split(kind)
        if rest is not None or wanted is None:
            raise
        error: BaseException = wanted
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
