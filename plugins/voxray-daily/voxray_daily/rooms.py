"""Daily as `Rooms`: a room per call, with the agent in it."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import anyio

from voxray.errors import ProviderError, ProviderRefused, ProviderUnavailable
from voxray.protocols.carrier import Webhook
from voxray.protocols.context import ListenerContext
from voxray.protocols.rooms import DialIn, Room
from voxray.wire.room_transport import RoomTransport
from voxray_daily import sdk, webhook as webhooks
from voxray_daily.line import DailyLine
from voxray_daily.rest import DailyRest

LEAVE_SECS = 8.0  # for leaving a room, whatever else is going on
READY_SECS = 60.0  # for a room to take phone calls: nobody listens to music for longer
PUT_THROUGH_SECS = 10.0  # Daily gives up a call that is not sent on so soon after its room is ready
MOST_PEOPLE = 10


class DailyRooms:
    """`daily` is the SDK's module; it is loaded if none is given."""

    name = "daily"
    dial_in_path = "/daily-dialin-webhook"

    def __init__(
        self,
        context: ListenerContext,
        *,
        agent_name: str,
        geo: str,
        privacy: str,
        room_secs: int,
        wait_secs: float,
        leave_grace_secs: float,
        daily: Any = None,
    ) -> None:
        self._context = context
        self._rest = DailyRest(context)
        self._daily = daily or sdk.load()
        self._engine = sdk.engine(self._daily)
        self._agent_name = agent_name
        self._geo = geo
        self._privacy = privacy
        self._room_secs = room_secs
        self._wait_secs = wait_secs
        self._leave_grace_secs = leave_grace_secs
        hmac_secret = context.secret("dialin_hmac")
        try:
            self._signing_key = webhooks.signing_key(hmac_secret)
        except ValueError as error:
            raise ProviderRefused(context.name, f"the secret of the dial-in webhook cannot be used: {error}") from None

    async def __aenter__(self) -> Self:
        self._engine.use()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._engine.release()

    async def create(self, session_id: str, dial_in: DialIn | None = None) -> Room:
        """The client's token is no owner's: who is invited to talk must not be able to record, to mute or to throw the
        agent out, and the token travels through browsers."""
        expires = int(time.time()) + self._room_secs
        name = f"voxray-{'sip-' if dial_in else ''}{secrets.token_hex(4)}"
        url = await self._rest.create_room(self._room(name, expires, dial_in))
        visitor = {"room_name": name, "exp": expires, "eject_at_token_exp": True, "start_video_off": True}
        try:
            owner = {"is_owner": True, "user_name": self._agent_name}
            agent_token = await self._rest.create_token({**visitor, **owner})
            token = await self._rest.create_token({**visitor, "is_owner": False})
        except BaseException:
            await self._abandon(name)
            raise
        invitation = {"dailyRoom": url, "dailyToken": token}
        return Room(name=name, url=url, agent_token=agent_token, invitation=invitation, dial_in=dial_in)

    def _room(self, name: str, expires: int, dial_in: DialIn | None) -> dict[str, Any]:
        properties: dict[str, Any] = {
            "exp": expires,
            "eject_at_room_exp": True,
            "enable_chat": False,
            "enable_prejoin_ui": False,
            "start_video_off": True,
            "enable_dialout": False,
            "max_participants": MOST_PEOPLE,
        }
        if self._geo:
            properties["geo"] = self._geo
        if dial_in is not None:
            properties["sip"] = {
                "display_name": dial_in.caller,
                "video": False,
                "sip_mode": "dial-in",
                "num_endpoints": 1,
                "codecs": {"audio": ["OPUS"]},
            }
        return {"name": name, "privacy": self._privacy, "properties": properties}

    async def _abandon(self, name: str) -> None:
        """Nobody will come to know of the room; it would expire, but costs until then."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(LEAVE_SECS):
            try:
                await self._rest.delete_room(name)
            except ProviderError:
                return

    @asynccontextmanager
    async def join(self, room: Room) -> AsyncIterator[RoomTransport]:
        line = DailyLine(self._daily, self._engine, self._context.name)
        dial_in = room.dial_in

        async def put_through() -> None:
            assert dial_in is not None
            try:
                with anyio.fail_after(READY_SECS):
                    endpoint = await line.dial_in_ready()
                with anyio.fail_after(PUT_THROUGH_SECS):
                    await self._rest.put_through(dial_in.call_id, dial_in.call_domain, endpoint)
            except TimeoutError:
                raise ProviderUnavailable(self._context.name, "took too long to take the call") from None

        transport = RoomTransport(
            self._context.serializer({"rtvi": "1"}),
            line,
            wait_secs=self._wait_secs,
            leave_grace_secs=self._leave_grace_secs,
            put_through=put_through if dial_in is not None else None,
        )
        try:
            await line.join(transport, room.url, room.agent_token, self._agent_name)
            yield transport
            await transport.finish()
        finally:
            with anyio.CancelScope(shield=True):
                await line.leave()

    async def delete(self, room: Room) -> None:
        await self._rest.delete_room(room.name)

    def refusal(self, webhook: Webhook) -> str:
        return webhooks.refusal(self._signing_key, webhook) if self._signing_key else ""

    def dial_in(self, webhook: Webhook) -> DialIn | None:
        return webhooks.dial_in(webhook)
