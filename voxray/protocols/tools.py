"""What an agent can do besides talking."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from voxray.chat import ToolSchema
from voxray.protocols.call import SessionHandle


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One function the model may call.

    `run` receives the parsed arguments and the call it belongs to, and returns text or a JSON value. It may raise
    anything: the model is told, the call goes on. `effect` True: it changes something, so it is not started for a reply
    that was cut off. `interruptible` True: it is cancelled when the caller interrupts; otherwise it finishes (within
    `timeout_secs`) and its result joins the conversation.
    """

    schema: ToolSchema
    run: Callable[[Mapping[str, Any], SessionHandle], Awaitable[Any]]
    effect: bool = True
    interruptible: bool = False
    timeout_secs: float = 30.0


class ToolSource(Protocol):
    def open(self) -> AbstractAsyncContextManager[Sequence[Tool]]:
        """Tools for one call. Raises ProviderError: the call goes on without them."""
