"""Places to keep things between and after calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """What `/start` stored for a call to come."""

    session_id: str
    body: Mapping[str, Any] = field(default_factory=dict)
    enable_default_ice_servers: bool = False


class SessionStore(Protocol):
    """Every method raises StoreError when the store cannot be reached."""

    async def get(self, session_id: str) -> SessionRecord | None: ...

    async def put(self, record: SessionRecord, *, ttl_secs: float) -> None: ...

    async def take(self, session_id: str) -> SessionRecord | None:
        """Get and delete in one step: of several that ask at once, one gets it."""

    async def delete(self, session_id: str) -> None: ...

    async def ping(self) -> None:
        """Raises StoreError: `/ready` answers 503."""


@dataclass(frozen=True, slots=True)
class TranscriptTurn:
    """One row: `seq` counts from 1 per session, over both roles; `at` is UNIX time."""

    session_id: str
    seq: int
    role: str
    text: str
    at: float
    interrupted: bool = False


class TranscriptStore(Protocol):
    async def append(self, turn: TranscriptTurn) -> None: ...


class RecordingSink(Protocol):
    async def upload(self, file: Path, key: str) -> None:
        """One attempt; the core queues and retries. Raises StoreError."""
