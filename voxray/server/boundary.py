"""Where the server survives a fault of ours or of a plugin's."""

from __future__ import annotations

import logging
from types import TracebackType

logger = logging.getLogger(__name__)


class Boundary:
    """`with Boundary("answering a call"): …` logs an error once, with its stack, keeps it in `error` and goes on.

    Cancellation passes. The three uses are the three places where a fault may not spread: a request, a call, a hook.
    """

    def __init__(self, doing: str) -> None:
        self.error: Exception | None = None
        self._doing = doing

    def __enter__(self) -> Boundary:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self.error = error
        logger.error("%s failed", self._doing, exc_info=error)
        return True
