"""When another try is worth the caller's time."""

from __future__ import annotations

from voxray.errors import ProviderError

TRIES = 3
LONGEST_WAIT_SECS = 3.0  # a vendor that asks for more is as good as gone for this reply


def retry_delay(error: ProviderError, attempt: int) -> float | None:
    """Seconds to wait after the `attempt`-th failure (from 1); None: give up."""
    if not error.retryable or attempt >= TRIES:
        return None
    if error.retry_after_secs is not None:
        return error.retry_after_secs if error.retry_after_secs <= LONGEST_WAIT_SECS else None
    return float(0.1 * 4 ** (attempt - 1))
