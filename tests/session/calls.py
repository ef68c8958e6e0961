"""Scripted calls on a virtual clock: the fixture of the session tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from voxray.chat import Message
from voxray.events import Entry, SessionEvent
from voxray.protocols.call import CallInfo, Outcome
from voxray.session.services import SessionOptions
from voxray.session.session import Session
from voxray.testing.fakes import FakeTransport, services
from voxray.testing.virtual import run_virtual

E = TypeVar("E", bound=SessionEvent)

BRISK: dict[str, Any] = {"turn_stop_secs": 0.5, "fallback_phrase": "Sorry.", "waiting_phrase": "One moment."}


@dataclass(frozen=True)
class Call:
    """A call that is over: what happened, what was remembered, what its caller heard."""

    entries: tuple[Entry, ...]
    outcome: Outcome
    messages: tuple[Message, ...]
    caller: FakeTransport

    def all(self, kind: type[E]) -> list[E]:
        return [entry.event for entry in self.entries if isinstance(entry.event, kind)]

    def times(self, kind: type[SessionEvent]) -> list[float]:
        return [entry.at for entry in self.entries if isinstance(entry.event, kind)]

    def at(self, kind: type[SessionEvent], number: int = 0) -> float:
        return self.times(kind)[number]

    def text(self) -> str:
        """The whole log as text, for comparisons byte by byte."""
        return "\n".join(f"{entry.seq} {entry.at:.6f} {entry.event!r}" for entry in self.entries)


def hold(
    caller: FakeTransport,
    options: dict[str, Any] | None = None,
    during: Any = None,
    waits_for_client: bool = False,
    **parts: Any,
) -> Call:
    """Run one call in virtual time. `parts` replace the fakes of `services`; `during(session)` may set things up."""

    async def main() -> Call:
        info = CallInfo(session_id="s-1", transport="fake", started_at=0.0, waits_for_client=waits_for_client)
        session = Session(caller, info, services(**parts), SessionOptions(**{**BRISK, **(options or {})}))
        if during is not None:
            during(session)
        outcome = await session.run()
        return Call(tuple(session.log), outcome, tuple(session.conversation.messages), caller)

    return run_virtual(main)
