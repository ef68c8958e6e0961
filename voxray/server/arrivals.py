"""Calls that outlive the request they began with: those of WebRTC peers and of rooms."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import anyio
from anyio.abc import TaskGroup

from voxray import log_context
from voxray.boundary import boundary
from voxray.errors import ProviderError, StoreError
from voxray.protocols.call import CallInfo
from voxray.protocols.rooms import DialIn, Room, Rooms
from voxray.protocols.transport import PendingTransport
from voxray.server.calls import Calls
from voxray.server.envelope import ErrorCode, Refusal, Scope, request_id
from voxray.server.guard import no_call
from voxray.server.sessions import Sessions

logger = logging.getLogger(__name__)

MAX_WAITING = 100  # agents in rooms to which nobody came yet: each is a connection of the vendor's SDK
AFTERWARDS_SECS = 10.0  # for what is to be told to stores and vendors when a call is over


class Arrivals:
    """Waits in the server's own tasks for the other side to come, and holds its call."""

    def __init__(self, calls: Calls, tasks: TaskGroup, sessions: Sessions) -> None:
        self._calls = calls
        self._tasks = tasks
        self._sessions = sessions
        self._waiting: set[object] = set()

    def admit(self) -> None:
        """Raises Refusal: no call can be taken now."""
        reason = self._calls.refusal()
        if reason:
            raise no_call(reason)

    def by_peer(self, transport: PendingTransport, info: CallInfo, over: Callable[[], None]) -> None:
        """Hold the call of a WebRTC connection; `over` is called at the end."""

        async def hold() -> None:
            with ExitStack() as end:
                end.callback(over)
                try:
                    await self._hold(transport, info)
                finally:
                    await self._afterwards(info.session_id)

        self._begin(hold, info)

    async def in_room(
        self, scope: Scope, rooms: Rooms, body: Mapping[str, Any], dial_in: DialIn | None = None
    ) -> dict[str, Any]:
        """Make a room, let the agent wait there, and hold the call of whom it meets. What a client needs to come, and
        the session's id. Raises Refusal."""
        self.admit()
        if len(self._waiting) >= MAX_WAITING:
            raise no_call("too many rooms are empty")
        with ExitStack() as waits:
            place = object()
            self._waiting.add(place)
            waits.callback(self._waiting.discard, place)
            session_id, room = await self._room(rooms, body, dial_in)
            came = waits.pop_all().close
        info = facts_of(scope, session_id, rooms.name, body)
        if dial_in is not None:
            info = replace(info, carrier=rooms.name, caller=dial_in.caller, callee=dial_in.callee)

        async def hold() -> None:
            try:
                async with rooms.join(room) as transport:
                    await self._hold(transport, info, came)
            except ProviderError as error:
                logger.error("the agent cannot join its room", extra={"room": room.name, "error": str(error)})
            finally:
                came()
                await self._afterwards(session_id, lambda: rooms.delete(room))

        self._begin(hold, info)
        return {"sessionId": session_id, **room.invitation}

    async def _room(self, rooms: Rooms, body: Mapping[str, Any], dial_in: DialIn | None) -> tuple[str, Room]:
        session_id = ""
        try:
            session_id = (await self._sessions.create(body)).session_id
            return session_id, await rooms.create(session_id, dial_in)
        except (ProviderError, StoreError) as error:
            logger.error("a room could not be made", extra={"error": str(error)})
            if session_id:
                await self._afterwards(session_id)
            raise Refusal(ErrorCode.INTERNAL_ERROR, "The room could not be made") from error

    def _begin(self, hold: Callable[[], Awaitable[None]], info: CallInfo) -> None:
        async def guarded() -> None:
            log_context.session_id.set(info.session_id)
            with boundary("a call on its way"):
                await hold()

        self._tasks.start_soon(guarded)

    async def _hold(self, transport: PendingTransport, info: CallInfo, came: Callable[[], None] = lambda: None) -> None:
        if await transport.established():
            came()
            await self._calls.answer(transport, replace(info, started_at=time.time()))
        else:
            logger.info("nobody came", extra={"transport": info.transport, "remote": info.remote})

    async def _afterwards(self, session_id: str, more: Callable[[], Awaitable[None]] | None = None) -> None:
        """The session is forgotten, however the call ended; failing at that costs nobody anything but room."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(AFTERWARDS_SECS):
            try:
                if more is not None:
                    await more()
            except ProviderError as error:
                logger.warning("a room could not be deleted", extra={"error": str(error)})
            try:
                await self._sessions.forget(session_id)
            except StoreError as error:
                logger.warning("a session could not be forgotten", extra={"error": str(error)})


def facts_of(scope: Scope, session_id: str, transport: str, body: Mapping[str, Any]) -> CallInfo:
    """What is known of a call by the request that began it."""
    client = scope.get("client")
    return CallInfo(
        session_id=session_id,
        transport=transport,
        started_at=time.time(),
        request_id=request_id(scope),
        remote=client[0] if client else "",
        waits_for_client=True,
        body=body,
    )
