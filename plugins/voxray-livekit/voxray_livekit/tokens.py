"""What LiveKit's tokens allow: one for each who enters a room, and one for each kind of request."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

REQUEST_SECS = 60


class Tokens:
    """`api` is the module `livekit.api`."""

    def __init__(self, api: Any, key: str, secret: str) -> None:
        self._api = api
        self._key = key
        self._secret = secret

    def agent(self, room: str, identity: str, name: str, secs: int) -> str:
        """Enter `room` as an agent: to hear, speak and send, hidden from nobody."""
        grants = self._api.VideoGrants(
            room_join=True, room=room, agent=True, can_publish=True, can_subscribe=True, can_publish_data=True
        )
        return self._made(secs, grants, identity, name, "agent")

    def client(self, room: str, identity: str, secs: int) -> str:
        """Enter `room` to hear, speak and send, and nothing else."""
        grants = self._api.VideoGrants(
            room_join=True, room=room, can_publish=True, can_subscribe=True, can_publish_data=True
        )
        return self._made(secs, grants, identity)

    def rooms(self) -> str:
        """Make and delete rooms."""
        return self._made(REQUEST_SECS, self._api.VideoGrants(room_create=True))

    def phones(self, room: str) -> str:
        """Move the telephones in `room`."""
        token = self._token(REQUEST_SECS).with_grants(self._api.VideoGrants(room_admin=True, room=room))
        return str(token.with_sip_grants(self._api.SIPGrants(call=True)).to_jwt())

    def _made(self, secs: int, grants: Any, identity: str = "", name: str = "", kind: str = "") -> str:
        token = self._token(secs).with_grants(grants).with_identity(identity).with_name(name)
        if kind:
            token = token.with_kind(kind)
        return str(token.to_jwt())

    def _token(self, secs: int) -> Any:
        return self._api.AccessToken(self._key, self._secret).with_ttl(timedelta(seconds=secs))
