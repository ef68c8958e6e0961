"""What every contract check does to a provider: builds it, cancels it at every await, cuts it off, refuses it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
import httpx

from voxray.errors import ProviderError, ProviderProtocolError, ProviderRefused, ProviderUnavailable
from voxray.registry import Registry, make
from voxray.specs import Spec
from voxray.wire.context import Context

EXACT_STEPS = 30  # cancelled after 0, 1, 2, … steps of the event loop, then after more and more time
FIRST_PAUSE_SECS = 0.0005
GROWTH = 1.6
CANCEL_SECS = 2.0  # what a provider may take to let go
LIMIT_SECS = 30.0  # for anything a check does once


@dataclass(frozen=True, slots=True)
class Named:
    """An installed provider by its name in the configuration, set up as the server would."""

    name: str
    base_url: str = ""
    api_key: str = "test-key"
    options: Mapping[str, Any] = field(default_factory=dict)


Subject = Any
"""What is checked: a provider, a function that makes one, its registered name, or a `Named`."""


@asynccontextmanager
async def provided(subject: Subject, kind: type[Spec]) -> AsyncIterator[Any]:
    """The provider that `subject` means, entered if it is a context manager."""
    async with AsyncExitStack() as stack:
        if isinstance(subject, str):
            subject = Named(subject)
        if isinstance(subject, Named):
            spec = Registry.load().get(kind, subject.name)
            http = await stack.enter_async_context(httpx.AsyncClient())
            named = subject
            context = Context(
                named.name, http=http, base_url=named.base_url or spec.base_url, secrets=lambda key: named.api_key
            )
            subject = make(spec, context, dict(named.options))
        elif callable(subject) and not hasattr(subject, "__aenter__"):
            subject = subject()
        if hasattr(subject, "__aenter__"):
            subject = await stack.enter_async_context(subject)
        yield subject


async def cancelled_everywhere(work: Callable[[], Awaitable[object]], what: str) -> int:
    """Run `work` again and again, cancelled a little later each time, until it ends by itself. Returns the rounds.

    Raises:
        AssertionError: a cancelled run did not end within 2 s. Any error of `work` passes through.
    """
    rounds = 0
    while not await _cancelled(work, rounds, what):
        rounds += 1
    return rounds


async def _cancelled(work: Callable[[], Awaitable[object]], rounds: int, what: str) -> bool:
    """Whether `work` ended before it was cancelled."""
    ended, cancelled_at = False, 0.0

    async def cancel() -> None:
        nonlocal cancelled_at
        for _ in range(min(rounds, EXACT_STEPS)):
            await anyio.lowlevel.checkpoint()
        if rounds > EXACT_STEPS:
            await anyio.sleep(FIRST_PAUSE_SECS * GROWTH ** (rounds - EXACT_STEPS))
        cancelled_at = anyio.current_time()
        scope.cancel()

    with anyio.fail_after(LIMIT_SECS + CANCEL_SECS):
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                tasks.start_soon(cancel)
                await work()
                ended = True
            tasks.cancel_scope.cancel()
    took = anyio.current_time() - cancelled_at
    assert ended or took < CANCEL_SECS, f"{what} took {took:.1f} s to let go when cancelled in round {rounds}"
    return ended


async def in_time(work: Callable[[], Awaitable[Any]], what: str, secs: float = LIMIT_SECS) -> Any:
    """The result of `work`. AssertionError if it takes longer than `secs`."""
    with anyio.move_on_after(secs):
        return await work()
    raise AssertionError(f"{what} took more than {secs:g} s")


async def refuses(subject: Subject, kind: type[Spec], work: Callable[[Any], Awaitable[object]]) -> None:
    """Check that `work` on this provider, whose vendor answers 401, raises ProviderRefused."""
    await _fails(subject, kind, work, (ProviderRefused,), "a refused key")


async def notices_loss(subject: Subject, kind: type[Spec], work: Callable[[Any], Awaitable[object]]) -> None:
    """Check that `work` on this provider, whose vendor drops the connection, raises an error of its own."""
    await _fails(subject, kind, work, (ProviderUnavailable, ProviderProtocolError), "a dropped connection")


async def _fails(
    subject: Subject,
    kind: type[Spec],
    work: Callable[[Any], Awaitable[object]],
    expected: tuple[type[ProviderError], ...],
    what: str,
) -> None:
    names = " or ".join(error.__name__ for error in expected)
    raised: ProviderError | None = None
    try:
        async with provided(subject, kind) as provider:
            await in_time(lambda: work(provider), what)
    except ProviderError as error:
        raised = error
    assert raised is not None, f"{what} must raise {names}, and nothing was raised"
    assert isinstance(raised, expected), f"{what} must raise {names}, not {type(raised).__name__}: {raised}"
