"""What plugins may know of a call, and do to it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from voxray.chat import Message
from voxray.events import ServerMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class CallInfo:
    """Facts about a call, known when it is answered. `body` is what came with it: the `/start` body, the webhook's
    parameters, the carrier's custom parameters. `started_at` is UNIX time in seconds. `waits_for_client`: the greeting
    waits for the client's `ClientReady`, though not for ever."""

    session_id: str
    transport: str
    started_at: float
    request_id: str = ""
    remote: str = ""
    carrier: str = ""
    caller: str = ""
    callee: str = ""
    direction: str = "inbound"
    waits_for_client: bool = False
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSetup:
    """How one call differs from the configuration; empty fields change nothing."""

    system_prompt: str = ""
    messages: tuple[Message, ...] = ()
    greeting: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The record of a call that is over."""

    cause: str
    detail: str = ""
    duration_secs: float
    turns: int
    replies: int
    interruptions: int
    failures: int
    latencies_secs: tuple[float, ...] = ()  # per answered turn: end of speech to first sound sent


class SessionHandle(Protocol):
    """A running call, as plugins and tools see it. Synchronous: everything takes effect on the call's own tasks."""

    @property
    def info(self) -> CallInfo: ...

    def say(self, text: str) -> None:
        """Speak `text` after what is being said now."""

    def interrupt(self) -> None:
        """Stop what is being said."""

    def hang_up(self, cause: str = "agent_ended", detail: str = "") -> None:
        """End the call once everything said so far has been heard."""

    def transfer(self, to: str) -> None:
        """Hand the caller on to another number once everything said so far has been heard; the call then ends here.

        Raises:
            SessionError: this connection cannot transfer.
        """

    def send_dtmf(self, digits: str) -> None:
        """Send keys (0-9, *, #) to the other side. Raises SessionError: this connection cannot, or other keys."""

    def send(self, message: ServerMessage) -> None:
        """Send a message to the client, if its protocol has room for one."""

    def start_soon(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run slow work in the call's task group; it is cancelled when the call ends."""
