"""LiveKit as `Rooms`: a room per call, with the agent in it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from voxray.protocols.carrier import Webhook
from voxray.protocols.context import ListenerContext
from voxray.protocols.rooms import DialIn, Room
from voxray.wire.room_transport import RoomTransport
from voxray_livekit import sdk
from voxray_livekit.line import LiveKitLine
from voxray_livekit.rest import LiveKitRest
from voxray_livekit.tokens import Tokens


class LiveKitRooms:
    """`rtc` is the SDK's module; it is loaded if none is given."""

    name = "livekit"
    dial_in_path = ""

    def __init__(
        self,
        context: ListenerContext,
        *,
        agent_name: str,
        room_secs: int,
        wait_secs: float,
        leave_grace_secs: float,
        rtc: Any = None,
    ) -> None:
        self._context = context
        self._rtc = rtc or sdk.load("livekit.rtc")
        self._tokens = Tokens(sdk.load("livekit.api"), context.secret(), context.secret("api_secret"))
        self._rest = LiveKitRest(context, self._tokens)
        self._agent_name = agent_name
        self._room_secs = room_secs
        self._wait_secs = wait_secs
        self._leave_grace_secs = leave_grace_secs

    async def create(self, session_id: str, dial_in: DialIn | None = None) -> Room:
        name = f"voxray-{secrets.token_hex(8)}"  # who makes a room of a known name is let into it
        await self._rest.create_room(name)
        # A second participant of the same identity throws the first one out.
        agent = self._tokens.agent(name, f"agent-{secrets.token_hex(4)}", self._agent_name, self._room_secs)
        client = self._tokens.client(name, f"caller-{secrets.token_hex(4)}", self._room_secs)
        url = self._rest.socket_url
        return Room(name=name, url=url, agent_token=agent, invitation={"url": url, "token": client}, dial_in=dial_in)

    @asynccontextmanager
    async def join(self, room: Room) -> AsyncIterator[RoomTransport]:
        line = LiveKitLine(self._rtc, self._rest, room.name, self._context.name)
        transport = RoomTransport(
            self._context.serializer({"rtvi": "1"}),
            line,
            wait_secs=self._wait_secs,
            leave_grace_secs=self._leave_grace_secs,
        )
        try:
            await line.join(transport, room.url, room.agent_token)
            yield transport
            await transport.finish()
        finally:
            with anyio.CancelScope(shield=True):
                await line.leave()

    async def delete(self, room: Room) -> None:
        await self._rest.delete_room(room.name)

    def refusal(self, webhook: Webhook) -> str:
        return ""

    def dial_in(self, webhook: Webhook) -> DialIn | None:
        return None
