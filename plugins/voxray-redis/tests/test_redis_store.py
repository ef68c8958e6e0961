"""Sessions in a real Redis server."""

from __future__ import annotations

import json
import uuid
from typing import Any

import anyio
import httpx
import pytest
import voxray_redis
from redis.asyncio import Redis

from voxray.errors import ProviderRefused, StoreError
from voxray.protocols.storage import SessionRecord
from voxray.registry import make
from voxray.testing import check_session_store
from voxray.testing.plugin_check import check_plugin
from voxray.wire.context import Context

pytestmark = pytest.mark.anyio

(SPEC,) = voxray_redis.voxray_register_stores()
RECORD = SessionRecord("3f1c", {"agent": "ü 你好", "deep": {"list": [1, None]}}, enable_default_ice_servers=True)
DEAF = "redis://me:hunter2@127.0.0.1:1/0"  # nothing listens there


@pytest.fixture
async def context() -> Any:
    async with httpx.AsyncClient() as http:
        yield Context("redis", http=http)


def store(context: Context, url: str) -> Any:
    return make(SPEC, context, {"url": url})


async def test_it_keeps_the_contract_of_session_stores(context: Context, redis_url: str) -> None:
    await check_session_store(lambda: store(context, redis_url))


def test_the_package_is_a_sound_plugin() -> None:
    check_plugin("voxray_redis")


async def test_a_session_is_kept_under_its_key_as_json_with_a_time_to_live(context: Context, redis_url: str) -> None:
    async with store(context, redis_url) as sessions, Redis.from_url(redis_url) as redis:
        await sessions.put(RECORD, ttl_secs=90)
        assert json.loads(await redis.get("voxray:session:3f1c")) == {
            "Body": {"agent": "ü 你好", "deep": {"list": [1, None]}},
            "EnableDefaultIceServers": True,
        }
        assert 85_000 < await redis.pttl("voxray:session:3f1c") <= 90_000
        await sessions.get("3f1c")
        await sessions.delete("3f1c")
        assert await redis.exists("voxray:session:3f1c") == 0


async def test_what_other_servers_wrote_is_understood(context: Context, redis_url: str) -> None:
    async with store(context, redis_url) as sessions, Redis.from_url(redis_url) as redis:
        await redis.set("voxray:session:other", '{"Body": null, "EnableDefaultIceServers": false}', ex=60)
        assert await sessions.take("other") == SessionRecord("other")


@pytest.mark.parametrize("value", ["", "x", "[]", "7", "{}", '{"Body": []}', '{"Body": "x"}', "\xff"])
async def test_what_is_no_session_is_refused_without_showing_it(context: Context, redis_url: str, value: str) -> None:
    async with store(context, redis_url) as sessions, Redis.from_url(redis_url) as redis:
        await redis.set("voxray:session:odd", value, ex=60)
        with pytest.raises(StoreError, match="no session"):
            await sessions.get("odd")


async def test_of_many_that_take_a_session_one_gets_it(context: Context, redis_url: str) -> None:
    taken: list[SessionRecord | None] = []
    async with store(context, redis_url) as one, store(context, redis_url) as other:
        await one.put(RECORD, ttl_secs=60)

        async def take(sessions: Any) -> None:
            taken.append(await sessions.take("3f1c"))

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(take, one)
                tasks.start_soon(take, other)
    assert [record for record in taken if record is not None] == [RECORD]
    assert len(taken) == 40


async def test_a_connection_that_redis_has_closed_does_no_harm(context: Context, redis_url: str) -> None:
    name = f"voxray-{uuid.uuid4().hex}"
    url = f"{redis_url}?client_name={name}"
    async with store(context, url) as sessions, Redis.from_url(redis_url) as redis:
        await sessions.put(RECORD, ttl_secs=60)
        (ours,) = [client for client in await redis.client_list() if client["name"] == name]
        await redis.client_kill_filter(_id=ours["id"])
        assert await sessions.take("3f1c") == RECORD


@pytest.mark.parametrize("operation", ["get", "take", "delete", "put", "ping"])
async def test_a_server_that_is_away_is_a_store_error_without_the_password(context: Context, operation: str) -> None:
    arguments: dict[str, tuple[Any, ...]] = {"ping": (), "put": (RECORD,)}
    more = {"ttl_secs": 1} if operation == "put" else {}
    async with store(context, DEAF) as sessions:
        with pytest.raises(StoreError) as caught:
            await getattr(sessions, operation)(*arguments.get(operation, ("x",)), **more)
    assert "hunter2" not in str(caught.value) + repr(caught.value) + repr(sessions)


async def test_a_wrong_password_is_a_store_error_that_does_not_show_it(context: Context, redis_url: str) -> None:
    async with store(context, redis_url.replace("redis://", "redis://me:hunter2@")) as sessions:
        with pytest.raises(StoreError) as caught:
            await sessions.ping()
    assert "hunter2" not in str(caught.value)


async def test_a_server_that_does_not_answer_is_given_up(context: Context) -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:

        async def silent(stream: Any) -> None:
            async with stream:
                await anyio.sleep_forever()

        tasks.start_soon(listener.serve, silent)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        patient = make(SPEC, context, {"url": f"redis://127.0.0.1:{port}", "operation_secs": 0.05})
        async with patient as sessions:
            with pytest.raises(StoreError, match=r"within 0\.05 s"):
                await sessions.get("x")
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("url", ["", "http://me:hunter2@host/", "redis://me:hunter2@host:port/"])
async def test_an_address_that_is_none_is_refused_without_showing_it(context: Context, url: str) -> None:
    with pytest.raises(ProviderRefused, match="redis_url") as caught:
        store(context, url)
    assert "hunter2" not in str(caught.value)
