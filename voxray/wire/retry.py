"""When another try is worth the silence it costs."""

from __future__ import annotations

import random
from collections.abc import Callable

from voxray.errors import ProviderError

MAX_RETRIES = 2
MIN_SECS = 0.25
MAX_SECS = 2.0
MAX_RETRY_AFTER_SECS = 3.0  # a caller does not wait longer than this on a vendor's word


def delays(
    error: ProviderError, attempt: int, *, jitter: Callable[[], float] = random.random, retries: int = MAX_RETRIES
) -> float | None:
    """Seconds to wait before try number `attempt` + 1, or None to give up.

    `attempt` counts the tries that failed, from 1. Only retryable errors are tried again, at most `retries` times,
    after 0.25 to 2 s that grow with the attempt and are spread by `jitter` (0..1); a vendor's `retry_after_secs` is
    honoured if it is at most 3 s, else there is no retry. The caller must only ask before the first byte of payload
    has been handed on: after that a replay repeats speech.
    """
    if not error.retryable or attempt > retries:
        return None
    if error.retry_after_secs is not None:
        return error.retry_after_secs if error.retry_after_secs <= MAX_RETRY_AFTER_SECS else None
    ceiling = min(MAX_SECS, MIN_SECS * 2.0**attempt)
    return MIN_SECS + (ceiling - MIN_SECS) * jitter()


def reconnect_secs(attempt: int, *, jitter: Callable[[], float] = random.random) -> float:
    """Seconds before reconnection `attempt` (from 0) of a socket: min(0.5 · 2ⁿ, 8 s), give or take a quarter."""
    return min(0.5 * 2.0 ** min(attempt, 8), 8.0) * (0.75 + 0.5 * jitter())
