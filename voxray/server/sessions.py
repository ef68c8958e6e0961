"""Calls to come: what `POST /start` was told, kept until the call begins."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping
from typing import Any

from voxray.protocols.storage import SessionRecord, SessionStore
from voxray.server.envelope import ErrorCode, Refusal

TOKEN_SECS = 300.0  # from the answer to /start until the socket is opened
MAX_TOKEN = 128


class Sessions:
    """In the session store: with a shared one, the call may come to another server. All raise StoreError."""

    def __init__(self, store: SessionStore, *, ttl_secs: float) -> None:
        self._store = store
        self._ttl_secs = ttl_secs

    async def create(self, body: Mapping[str, Any], *, enable_default_ice_servers: bool = False) -> SessionRecord:
        """Keep a session that `find` finds until its time is over, or it is forgotten."""
        record = SessionRecord(str(uuid.uuid4()), body, enable_default_ice_servers)
        await self._store.put(record, ttl_secs=self._ttl_secs)
        return record

    async def find(self, session_id: str) -> SessionRecord:
        """The session of this id.

        Raises:
            Refusal: it is no UUID (400), or there is no such session any more (404).
        """
        record = await self._store.get(canonical(session_id))
        if record is None:
            raise not_found()
        return record

    async def forget(self, session_id: str) -> None:
        """To be called when the session's call has ended."""
        await self._store.delete(session_id)

    async def issue(self, body: Mapping[str, Any]) -> str:
        """A token that opens one websocket, whose call then has this body."""
        token = secrets.token_urlsafe(24)
        kept = SessionRecord(f"socket:{token}", {"session_id": str(uuid.uuid4()), "body": dict(body)})
        await self._store.put(kept, ttl_secs=min(TOKEN_SECS, self._ttl_secs))
        return token

    async def redeem(self, token: str) -> SessionRecord | None:
        """The session of this token, once; None if it is unknown, used or too old."""
        kept = await self._store.take(f"socket:{token}") if 0 < len(token) <= MAX_TOKEN else None
        return None if kept is None else SessionRecord(kept.body["session_id"], kept.body["body"])


def not_found() -> Refusal:
    return Refusal(ErrorCode.NOT_FOUND, "Session not found")


def canonical(session_id: str) -> str:
    """The one way to write this id. Raises Refusal: it is no UUID."""
    try:
        return str(uuid.UUID(session_id))
    except ValueError:
        details = [("sessionId", "must be a UUID")]
        raise Refusal(ErrorCode.BAD_REQUEST, "Invalid session id", details=details) from None
