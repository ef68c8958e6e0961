"""Where the program survives a fault of its own or of foreign code."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Fault:
    """What happened inside a boundary."""

    error: Exception | None = None


@contextmanager
def boundary(doing: str) -> Iterator[Fault]:
    """Log an error once, with its stack, keep it in the fault's `error` and go on. Cancellation passes.

    Used where a fault may not spread: around a request, a call, a plugin's hook or work, an observer, a tool.
    """
    fault = Fault()
    try:
        yield fault
    except Exception as error:
        fault.error = error
        logger.exception("%s failed", doing)
