"""Daily's REST API, as far as rooms need it.

Source: https://docs.daily.co/reference/rest-api
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from voxray.errors import ProviderError, ProviderProtocolError
from voxray.protocols.context import ProviderContext
from voxray.wire.fields import text_of
from voxray.wire.http import read_json

FIRST_BYTE_SECS = 10.0
MAX_CHARS = 8000  # of an address or token
GONE = 404


class DailyRest:
    """Requests with the account's key. Everything raises ProviderError."""

    def __init__(self, context: ProviderContext) -> None:
        self._context = context
        self._key = context.secret()

    async def create_room(self, room: dict[str, Any]) -> str:
        """Make a room; its address."""
        url = _text(await self._ask("POST", "/rooms", room), "url", self._context.name)
        if not url.startswith(("https://", "http://")):
            raise ProviderProtocolError(self._context.name, "the room's address is no web address")
        return url

    async def create_token(self, properties: dict[str, Any]) -> str:
        """A meeting token."""
        answer = await self._ask("POST", "/meeting-tokens", {"properties": properties})
        return _text(answer, "token", self._context.name)

    async def delete_room(self, name: str) -> None:
        """A room that is gone already is as good as deleted."""
        try:
            await self._ask("DELETE", f"/rooms/{quote(name, safe='')}")
        except ProviderError as error:
            if error.status != GONE:
                raise

    async def put_through(self, call_id: str, call_domain: str, sip_uri: str) -> None:
        """Send a phone call that is held on to a room's SIP endpoint."""
        update = {"callId": call_id, "callDomain": call_domain, "sipUri": sip_uri}
        await self._ask("POST", "/dialin/pinlessCallUpdate", update)

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        url = self._context.base_url + path
        headers = {"Authorization": f"Bearer {self._key}"}
        request = self._context.stream(method, url, json=body, headers=headers, first_byte_secs=FIRST_BYTE_SECS)
        async with request as response:
            return await read_json(response, self._context.name)


def _text(answer: Any, name: str, provider: str) -> str:
    value = text_of(answer.get(name)) if isinstance(answer, dict) else ""
    if not 0 < len(value) <= MAX_CHARS or not value.isprintable() or " " in value:
        raise ProviderProtocolError(provider, f'the answer has no usable "{name}"')
    return value
