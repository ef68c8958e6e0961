"""What a webhook said of a call, kept until its media socket comes with the one-time token."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from voxray.protocols.carrier import PhoneCall
from voxray.protocols.storage import SessionRecord, SessionStore

TOKEN_SECS = 120.0  # a carrier opens the stream within seconds; ringing is over by then
DIAL_SECS = 300.0  # a dialled call may ring for long


@dataclass(frozen=True, slots=True)
class Announcement:
    """A call to come, and what its session is to know besides."""

    call: PhoneCall
    body: Mapping[str, Any] = field(default_factory=dict)


class Announced:
    """In the session store: with a shared one, another process may take the stream."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    @staticmethod
    def token() -> str:
        return secrets.token_urlsafe(18)

    async def put(self, token: str, announcement: Announcement, *, ttl_secs: float = TOKEN_SECS) -> None:
        """Raises StoreError."""
        body = {"call": asdict(announcement.call), "body": dict(announcement.body)}
        await self._store.put(SessionRecord(f"stream:{token}", body), ttl_secs=ttl_secs)

    async def take(self, token: str) -> Announcement | None:
        """The call of this token, once. Raises StoreError."""
        record = await self._store.take(f"stream:{token}") if token else None
        return None if record is None else Announcement(PhoneCall(**record.body["call"]), record.body["body"])


def joined(announced: PhoneCall, started: PhoneCall) -> PhoneCall:
    """What the media socket says wins over what the webhook said, where it says anything."""
    said = {name: value for name, value in asdict(started).items() if value}
    said["parameters"] = {**announced.parameters, **started.parameters}
    said["details"] = {**announced.details, **started.details}
    if announced.direction == "outbound":
        said["direction"] = "outbound"
    return replace(announced, **said)
