"""The calls of this process: whether another one can be taken, holding it, and letting go of all of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import anyio

from voxray import log_context
from voxray.boundary import boundary
from voxray.events import Cause
from voxray.protocols.call import CallInfo, Outcome
from voxray.protocols.transport import Transport
from voxray.server.call_metrics import CallMetrics, model_label
from voxray.server.metrics import Metrics
from voxray.session.services import Services, SessionOptions
from voxray.session.session import Session

logger = logging.getLogger(__name__)

FULL = "full"  # the cause that transports translate to "try again later"
OVERLOAD_LAG_SECS = 0.1  # the loop this late for a second: audio of the calls we have is suffering already
LAG_PROBE_SECS = 0.1
LAG_PROBES = 10
FAREWELL_SECS = 10.0  # after the drain, for what is being said


@dataclass(frozen=True, slots=True)
class Hooks:
    """The plugins' functions for the two moments of a call, each called on its own."""

    started: Sequence[Callable[[CallInfo], None]] = ()
    ended: Sequence[Callable[[CallInfo, Outcome], None]] = ()


class Calls:
    """`max_sessions` 0 means no limit. `services` None: this configuration takes no calls."""

    def __init__(
        self,
        services: Services | None,
        prepare: Callable[[CallInfo], SessionOptions],
        metrics: Metrics,
        *,
        hooks: Hooks | None = None,
        max_sessions: int = 0,
    ) -> None:
        self._services = services
        self._prepare = prepare
        self._metrics = metrics
        self._hooks = hooks or Hooks()
        self._max_sessions = max_sessions
        self._live: dict[str, Session] = {}
        self._emptied = anyio.Event()
        self._lags: list[float] = []
        self.draining = False

    def __len__(self) -> int:
        return len(self._live)

    def refusal(self) -> str:
        """Why no call can be taken now, counted; "" if one can."""
        reason = self._reason()
        if reason:
            self._metrics.count("sessions_rejected_total", reason.replace(" ", "_"))
        return reason

    async def answer(self, transport: Transport, info: CallInfo) -> None:
        """Hold the call. Faults end here: they are logged once, and no other call notices."""
        refusal = self.refusal()
        if refusal or self._services is None:
            await transport.close(Cause.DRAINED if refusal == "draining" else FULL, refusal)
            return
        log_context.session_id.set(info.session_id)
        if info.request_id:
            log_context.request_id.set(info.request_id)
        metrics = self._call_metrics(self._services)
        session = Session(transport, info, self._services, self._prepare(info), (metrics,))
        self._began(session)
        try:
            with boundary("answering a call") as fault:
                await session.run()
            if fault.error is not None:
                await transport.close(Cause.ERROR, "")
        finally:
            self._over(session, session.outcome)

    async def watch_lag(self) -> None:
        """Measure for ever how late the event loop is."""
        while True:
            due = anyio.current_time() + LAG_PROBE_SECS
            await anyio.sleep_until(due)
            self.note_lag(max(0.0, anyio.current_time() - due))
            waiting = sum(session.waiting_frames for session in self._live.values())
            self._metrics.set("pipeline_input_queue_depth", waiting)

    def note_lag(self, secs: float) -> None:
        """A timer ran this much too late."""
        self._lags = [*self._lags[1 - LAG_PROBES :], secs]
        self._metrics.set("event_loop_lag_seconds", secs)

    async def drain(self, secs: float) -> None:
        """Take no more calls; give those we have `secs` to end by themselves, then hang up."""
        self.draining = True
        if await self._empty_within(secs):
            return
        for session in list(self._live.values()):
            session.hang_up(Cause.DRAINED, "the server is stopping")
        if not await self._empty_within(FAREWELL_SECS):
            self.end_all()
            await self._empty_within(FAREWELL_SECS)

    def end_all(self) -> None:
        """End every call at once; each still leaves its record."""
        self.draining = True
        for session in list(self._live.values()):
            session.end(Cause.DRAINED, "the server was stopped at once")

    async def emptied(self) -> None:
        """Wait until there are no calls."""
        while self._live:
            await self._emptied.wait()

    # ── one call ──

    def _began(self, session: Session) -> None:
        self._live[session.info.session_id] = session
        self._emptied = anyio.Event()
        self._metrics.change("active_sessions", 1)
        info = session.info
        logger.info("call started", extra={**_facts(info), "remote": info.remote})
        for hook in self._hooks.started:
            with boundary("a plugin's voxray_session_started"):
                hook(info)

    def _over(self, session: Session, outcome: Outcome) -> None:
        info = session.info
        self._live.pop(info.session_id, None)
        if not self._live:
            self._emptied.set()
        self._metrics.change("active_sessions", -1)
        self._metrics.count("sessions_total", info.transport, outcome.cause)
        self._metrics.observe("session_duration_seconds", outcome.duration_secs, info.transport)
        logger.info("call ended", extra={**_facts(info), **_record(outcome)})
        for hook in self._hooks.ended:
            with boundary("a plugin's voxray_session_ended"):
                hook(info, outcome)

    def _call_metrics(self, services: Services) -> CallMetrics:
        return CallMetrics(
            self._metrics,
            stt_model=model_label(services.stt_name, services.stt_model),
            llm_model=model_label(services.llm_name, services.llm_model),
            tts_model=model_label(services.tts_name, services.tts_model),
        )

    # ── all calls ──

    def _reason(self) -> str:
        if self._services is None:
            return "no voice is configured"
        if self.draining:
            return "draining"
        if self._max_sessions and len(self._live) >= self._max_sessions:
            return "max_sessions"
        if len(self._lags) == LAG_PROBES and min(self._lags) > OVERLOAD_LAG_SECS:
            return "overload"
        return ""

    async def _empty_within(self, secs: float) -> bool:
        with anyio.move_on_after(secs):
            await self.emptied()
        return not self._live


def _facts(info: CallInfo) -> dict[str, Any]:
    """What is known of a call from outside, as fields of a log line; of phone calls who called whom."""
    if not info.carrier:
        return {"transport": info.transport}
    return {
        "transport": info.transport,
        "carrier": info.carrier,
        "carrier_call_id": info.body.get("phone", {}).get("call_id", ""),
        "direction": info.direction,
        "caller": info.caller,
        "callee": info.callee,
    }


def _record(outcome: Outcome) -> dict[str, Any]:
    """The call's record as fields of its log line."""
    return {
        "cause": outcome.cause,
        "detail": outcome.detail,
        "duration_ms": round(outcome.duration_secs * 1000),
        "turns": outcome.turns,
        "replies": outcome.replies,
        "interruptions": outcome.interruptions,
        "failures": outcome.failures,
        "latencies_ms": [round(secs * 1000, 1) for secs in outcome.latencies_secs],
    }
