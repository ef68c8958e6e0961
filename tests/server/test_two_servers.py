"""Two servers that share one Redis, behind a proxy that sends each connection to the next of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import websockets
from anyio.abc import ByteStream, SocketAttribute

from tests.server.serving import closing, serving, until
from voxray.config.load import load_settings
from voxray.errors import StoreError
from voxray.protocols.call import CallInfo
from voxray.registry import Registry, make
from voxray.server.app import create_app
from voxray.server.calls import Hooks
from voxray.server.runtime import open_runtime
from voxray.session.services import SessionOptions
from voxray.specs import CarrierSpec, SessionStoreSpec
from voxray.testing.carriers import make_wire
from voxray.testing.fakes import ScriptedTts, services
from voxray.testing.phone import PhoneCaller
from voxray.testing.phone_rest import PhoneExchange
from voxray.testing.phone_wire import PhoneFacts
from voxray.wire.context import Context

pytestmark = pytest.mark.anyio

TOKEN = "12345678901234567890123456789012"
SECRETS = {"auth_token": TOKEN, "account_sid": "AC" + "0" * 32}


@dataclass(slots=True)
class Pair:
    url: str
    calls: tuple[list[CallInfo], list[CallInfo]] = field(default_factory=lambda: ([], []))

    def place(self) -> str:
        return self.url.partition("://")[2]


@asynccontextmanager
async def two_servers(redis_url: str, **options: Any) -> AsyncIterator[Pair]:
    """The first connection goes to the first server, the second to the second, and so on."""
    pair = Pair("")
    spec = Registry.load(only=["redis"]).get(SessionStoreSpec, "redis")
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient())
        servers = []
        for calls in pair.calls:
            store = make(spec, Context("redis", http=http), {"url": redis_url})
            await stack.enter_async_context(store)
            server = serving(session_store=store, hooks=Hooks(started=(calls.append,)), **options)
            servers.append(await stack.enter_async_context(server))
        proxy = await stack.enter_async_context(round_robin([server.port for server in servers]))
        pair.url = f"http://127.0.0.1:{proxy}"
        yield pair
        for server in servers:
            await server.emptied()


@asynccontextmanager
async def round_robin(ports: list[int]) -> AsyncIterator[int]:
    """A proxy for connections; its port."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    served = 0

    async def connected(client: ByteStream) -> None:
        nonlocal served
        port = ports[served % len(ports)]
        served += 1
        async with client, await anyio.connect_tcp("127.0.0.1", port) as server, anyio.create_task_group() as tasks:
            tasks.start_soon(passed_on, client, server, tasks.cancel_scope)
            tasks.start_soon(passed_on, server, client, tasks.cancel_scope)

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, connected)
        yield listener.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


async def passed_on(source: ByteStream, target: ByteStream, both: anyio.CancelScope) -> None:
    try:
        async for data in source:
            await target.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass
    both.cancel()


async def started(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer of /start, over a connection of its own."""
    async with httpx.AsyncClient(base_url=url) as http:
        answer = await http.post("/start", json=body)
    assert answer.status_code == 201
    parsed: dict[str, Any] = answer.json()
    return parsed


async def test_what_one_server_was_told_reaches_the_call_on_the_other(redis_url: str) -> None:
    body = {"system_prompt": "Be brief.", "agent": "ü"}
    async with two_servers(redis_url) as pair:
        answer = await started(pair.url, {"transport": "websocket", "body": body})
        assert answer["wsUrl"] == f"ws://{pair.place()}/ws"
        url = f"{answer['wsUrl']}?token={answer['token']}"
        async with websockets.connect(url) as client:
            await until(client, "StartFrame")
            await client.send(json.dumps({"type": "EndFrame", "data": {}}))
            await closing(client)
        for _ in pair.calls:  # the token is used up on both
            with pytest.raises(websockets.InvalidStatus) as caught:
                await websockets.connect(url)
            assert caught.value.response.status_code == 401
    first, second = pair.calls
    assert first == []
    assert [call.body for call in second] == [body]


async def test_a_phone_call_announced_to_one_server_is_taken_by_the_other(redis_url: str) -> None:
    facts = PhoneFacts(call_id="CA1", stream_id="MZ1", caller="+15005550006", callee="+15005550001")
    wire = make_wire("twilio", facts, secret=TOKEN)
    spec = Registry.load(only=["twilio"]).get(CarrierSpec, "twilio")
    async with PhoneExchange(wire) as exchange, httpx.AsyncClient() as http:
        context = Context("twilio", http=http, secrets=lambda key: SECRETS.get(key, ""), base_url=exchange.url)
        options = {
            "carriers": [make(spec, context, {})],
            "parts": services(tts=ScriptedTts(first_audio_secs=0, secs_per_char=0.01)),
            "options": SessionOptions(greeting="Good day."),
        }
        with anyio.fail_after(10):
            async with two_servers(redis_url, **options) as pair, PhoneCaller(pair.url, wire) as caller:
                exchange.caller = caller
                await caller.listen()
    first, second = pair.calls
    assert first == []
    assert [(call.carrier, call.caller) for call in second] == [("twilio", "+15005550006")]
    assert caller.rejected == []


# ── One server and its configuration ──


@asynccontextmanager
async def configured(folder: Path, redis_url: str) -> AsyncIterator[Any]:
    registry = Registry.load(only=["redis"])
    file = folder / "config.json"
    file.write_text(json.dumps({"session_store": "redis", "session_ttl_secs": 60}))
    env = {"VOXRAY_REDIS_URL": redis_url}
    settings = load_settings(file, registry, env=env)
    async with open_runtime(settings, registry, env=env, lookup=env.get) as runtime:
        transport = httpx.ASGITransport(partial(create_app(runtime)))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            yield runtime, http


async def test_a_configuration_leads_to_redis(tmp_path: Path, redis_url: str) -> None:
    async with configured(tmp_path, redis_url) as (runtime, http):
        answer = await http.post("/start", json={"body": {"a": 1}})
        found = await runtime.session_store.get(answer.json()["sessionId"])
        socket = await http.post("/start", json={"transport": "websocket"})
        ready = await http.get("/ready")
    assert found.body == {"a": 1}
    assert ready.status_code == 200
    assert socket.json()["wsUrl"] == "ws://test/ws?format=protobuf"


async def test_a_server_whose_redis_is_away_is_not_ready_and_says_nothing_of_it(tmp_path: Path) -> None:
    async with configured(tmp_path, "redis://me:hunter2@127.0.0.1:1/0") as (runtime, http):
        ready = await http.get("/ready")
        answer = await http.post("/start")
        with pytest.raises(StoreError):
            await runtime.session_store.ping()
    assert (ready.status_code, ready.json()["error"]["message"]) == (503, "session store unavailable")
    assert (answer.status_code, answer.json()["info"]) == (500, "Internal server error")
    assert "hunter2" not in ready.text + answer.text + repr(runtime)
