"""Calls that outlive the request they began with: those of WebRTC peers and of rooms."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import anyio
from anyio.abc import TaskGroup

from voxray import log_context
from voxray.boundary import boundary
from voxray.errors import ProviderError, StoreError
from voxray.protocols.call import CallInfo
from voxray.protocols.rooms import Room, Rooms
from voxray.protocols.transport import PendingTransport
from voxray.server.calls import Calls
from voxray.server.envelope import ErrorCode, Refusal, Scope, request_id
from voxray.server.sessions import Sessions

logger = logging.getLogger(__name__)

AFTERWARDS_SECS = 10.0  # for what is to be told to stores and vendors when a call is over


class Arrivals:
    """Waits in the server's own tasks for the other side to come, and holds its call."""

    def __init__(self, calls: Calls, tasks: TaskGroup, sessions: Sessions) -> None:
        self._calls = calls
        self._tasks = tasks
        self._sessions = sessions

    def admit(self) -> None:
        """Raises Refusal: no call can be taken now."""
        reason = self._calls.refusal()
        if reason:
            message = f"No call can be taken now: {reason}"
            raise Refusal(ErrorCode.SERVICE_UNAVAILABLE, message, headers={"Retry-After": "5"})

    def by_peer(self, transport: PendingTransport, info: CallInfo, over: Callable[[], None]) -> None:
        """Hold the call of a WebRTC connection; `over` is called at the end."""

        async def hold() -> None:
            try:
                await self._hold(transport, info)
            finally:
                over()
                await self._afterwards(info)

        self._begin(hold, info)

    def in_room(self, rooms: Rooms, room: Room, info: CallInfo) -> None:
        """Let the agent join `room`, and hold the call of whom it meets there."""

        async def hold() -> None:
            try:
                async with rooms.join(room) as transport:
                    await self._hold(transport, info)
            except ProviderError as error:
                logger.error("the agent cannot join its room", extra={"room": room.name, "error": str(error)})
            finally:
                await self._afterwards(info, lambda: rooms.delete(room))

        self._begin(hold, info)

    def _begin(self, hold: Callable[[], Awaitable[None]], info: CallInfo) -> None:
        async def guarded() -> None:
            log_context.session_id.set(info.session_id)
            with boundary("a call on its way"):
                await hold()

        self._tasks.start_soon(guarded)

    async def _hold(self, transport: PendingTransport, info: CallInfo) -> None:
        if await transport.established():
            await self._calls.answer(transport, replace(info, started_at=time.time()))
        else:
            logger.info("nobody came", extra={"transport": info.transport, "remote": info.remote})

    async def _afterwards(self, info: CallInfo, more: Callable[[], Awaitable[None]] | None = None) -> None:
        """The session is forgotten, however the call ended; failing at that costs nobody anything but room."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(AFTERWARDS_SECS):
            try:
                if more is not None:
                    await more()
            except ProviderError as error:
                logger.warning("a room could not be deleted", extra={"error": str(error)})
            try:
                await self._sessions.forget(info.session_id)
            except StoreError as error:
                logger.warning("a session could not be forgotten", extra={"error": str(error)})


def facts_of(
    scope: Scope,
    session_id: str,
    transport: str,
    body: Mapping[str, Any],
    *,
    carrier: str = "",
    caller: str = "",
    callee: str = "",
) -> CallInfo:
    """What is known of a call by the request that began it; the last three are of phone calls."""
    client = scope.get("client")
    return CallInfo(
        session_id=session_id,
        transport=transport,
        started_at=time.time(),
        request_id=request_id(scope),
        remote=client[0] if client else "",
        waits_for_client=True,
        body=body,
        carrier=carrier,
        caller=caller,
        callee=callee,
    )
