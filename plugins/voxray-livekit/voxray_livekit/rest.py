"""LiveKit's server API, as far as rooms need it: Twirp with JSON.

Source: https://docs.livekit.io/reference/other/roomservice-api/
"""

from __future__ import annotations

from typing import Any

from voxray.errors import ProviderError, ProviderProtocolError, ProviderRefused
from voxray.protocols.context import ProviderContext
from voxray.wire.http import read_json
from voxray_livekit.tokens import Tokens

FIRST_BYTE_SECS = 10.0
TRANSFER_SECS = 40.0  # to ring and be taken
EMPTY_SECS = 600  # a room in which nobody ever was is closed then
DEPARTURE_SECS = 60  # one that everybody left
MOST_PEOPLE = 10
GONE = 404
FAILED = "STS_TRANSFER_FAILED"  # else it succeeded or is under way: the caller will leave the room


class LiveKitRest:
    """Requests with tokens of their own. Everything raises ProviderError."""

    def __init__(self, context: ProviderContext, tokens: Tokens) -> None:
        self._context = context
        self._tokens = tokens
        scheme, separator, rest = context.base_url.partition("://")
        secure = {"ws": "", "http": "", "wss": "s", "https": "s"}.get(scheme.lower())
        if secure is None or not separator or not rest:
            raise ProviderRefused(context.name, f'"{context.base_url}" is no address of a server; set LIVEKIT_URL')
        self._http_url = f"http{secure}://{rest}"
        self.socket_url = f"ws{secure}://{rest}"

    async def create_room(self, name: str) -> None:
        """Make a room."""
        room = {
            "name": name,
            "empty_timeout": EMPTY_SECS,
            "departure_timeout": DEPARTURE_SECS,
            "max_participants": MOST_PEOPLE,
        }
        answer = await self._ask("RoomService/CreateRoom", room, self._tokens.rooms())
        if answer.get("name") != name:
            raise ProviderProtocolError(self._context.name, "the answer does not name the new room")

    async def delete_room(self, name: str) -> None:
        """A room that is gone already is as good as deleted."""
        try:
            await self._ask("RoomService/DeleteRoom", {"room": name}, self._tokens.rooms())
        except ProviderError as error:
            if error.status != GONE:
                raise

    async def transfer(self, room: str, identity: str, to: str) -> None:
        """Hand a telephone in `room` on to a number or a `sip:` address."""
        target = to if to.startswith(("sip:", "sips:", "tel:")) else f"tel:{to}"
        move = {"room_name": room, "participant_identity": identity, "transfer_to": target, "play_dialtone": True}
        answer = await self._ask("SIP/TransferSIPParticipant", move, self._tokens.phones(room), secs=TRANSFER_SECS)
        if answer.get("status") == FAILED:
            raise ProviderRefused(self._context.name, "the call was not transferred")

    async def _ask(self, method: str, body: dict[str, Any], token: str, secs: float = FIRST_BYTE_SECS) -> Any:
        url = f"{self._http_url}/twirp/livekit.{method}"
        headers = {"Authorization": f"Bearer {token}"}
        request = self._context.stream("POST", url, json=body, headers=headers, first_byte_secs=secs)
        async with request as response:
            found = await read_json(response, self._context.name)
        if not isinstance(found, dict):
            raise ProviderProtocolError(self._context.name, "answered something else than an object")
        return found
