"""Async generators as context managers: closed where the block ends, not when the collector feels like it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def streaming(
    generator: Callable[P, AsyncGenerator[T, None]],
) -> Callable[P, AbstractAsyncContextManager[AsyncIterator[T]]]:
    """Turn an async generator function into one whose result is entered with `async with` and iterated inside.

    The generator must not yield inside a task group or cancel scope.
    """

    @wraps(generator)
    def opened(*args: P.args, **kwargs: P.kwargs) -> AbstractAsyncContextManager[AsyncIterator[T]]:
        return aclosing(generator(*args, **kwargs))

    return opened
