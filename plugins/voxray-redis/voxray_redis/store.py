"""A `SessionStore` in Redis."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar

import anyio
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError, RedisError

from voxray.errors import ProviderRefused, StoreError
from voxray.protocols.context import ProviderContext
from voxray.protocols.storage import SessionRecord

T = TypeVar("T")

PREFIX = "voxray:session:"
OPERATION_SECS = 10.0
MAX_CONNECTIONS = 64  # of one process; who finds none free waits for one, within the operation's time


class RedisStore:
    """One key per session, `voxray:session:<id>`, holding `{"Body": …, "EnableDefaultIceServers": …}`; Redis itself
    forgets it when its time is over. `url` is redis://, rediss:// or unix://. Needs Redis 6.2 or later, for GETDEL.

    Errors never hold the address: there may be a password in it.
    """

    def __init__(self, context: ProviderContext, *, url: str = "", operation_secs: float = OPERATION_SECS) -> None:
        if not url:
            raise ProviderRefused(context.name, "no address of the server; set redis_url")
        self._operation_secs = operation_secs
        try:
            self._redis = _client(url)
        except (ValueError, TypeError):
            raise ProviderRefused(context.name, "redis_url is no address of a Redis server") from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._redis.aclose()

    async def get(self, session_id: str) -> SessionRecord | None:
        return _record(session_id, await self._bounded(lambda: self._redis.get(PREFIX + session_id)))

    async def put(self, record: SessionRecord, *, ttl_secs: float) -> None:
        value = {"Body": dict(record.body), "EnableDefaultIceServers": record.enable_default_ice_servers}
        text = json.dumps(value, separators=(",", ":"))
        milliseconds = max(1, round(ttl_secs * 1000))
        await self._bounded(lambda: self._redis.set(PREFIX + record.session_id, text, px=milliseconds))

    async def take(self, session_id: str) -> SessionRecord | None:
        return _record(session_id, await self._bounded(lambda: self._redis.getdel(PREFIX + session_id)))

    async def delete(self, session_id: str) -> None:
        await self._bounded(lambda: self._redis.delete(PREFIX + session_id))

    async def ping(self) -> None:
        await self._bounded(lambda: self._redis.ping())

    async def _bounded(self, operation: Callable[[], Awaitable[T]]) -> T:
        """The operation's result within its time. Raises StoreError."""
        try:
            with anyio.fail_after(self._operation_secs):
                return await operation()
        except TimeoutError:
            raise StoreError(f"Redis did not answer within {self._operation_secs:g} s") from None
        except (RedisError, OSError) as error:
            raise StoreError(f"Redis: {type(error).__name__}") from None


def _client(url: str) -> Redis:
    """Raises ValueError."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=MAX_CONNECTIONS,
        timeout=None,
        socket_timeout=OPERATION_SECS,
        socket_connect_timeout=OPERATION_SECS,
        # A kept connection may have been closed by the other side; a new one shows whether the server is there.
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    )
    return Redis.from_pool(pool)


def _record(session_id: str, value: Any) -> SessionRecord | None:
    """Raises StoreError: somebody else wrote something else there."""
    if value is None:
        return None
    try:
        parsed = json.loads(value)
        body = parsed["Body"]
        if body is not None and not isinstance(body, dict):
            raise TypeError
        ice = parsed.get("EnableDefaultIceServers", False) is True
    except (ValueError, TypeError, KeyError, AttributeError):
        raise StoreError("Redis holds something under a session's key that is no session") from None
    return SessionRecord(session_id, body or {}, ice)
