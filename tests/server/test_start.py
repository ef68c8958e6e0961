"""`POST /start`: what it answers, and what becomes of it when the call comes."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
import websockets

from tests.server.serving import WAIT_SECS, Served, closing, serving, until
from voxray.builtin.memory_store import MemoryStore
from voxray.config.settings import Settings, TelephonySettings
from voxray.errors import StoreError
from voxray.protocols.call import CallInfo
from voxray.protocols.storage import SessionRecord
from voxray.registry import Registry, make
from voxray.server.calls import Hooks
from voxray.server.envelope import Refusal
from voxray.server.preparation import Preparation
from voxray.server.routes.sessions import parse_start, socket_query
from voxray.server.sessions import Sessions
from voxray.session.services import SessionOptions
from voxray.specs import CarrierSpec
from voxray.wire.context import Context

pytestmark = pytest.mark.anyio

KEY = {"X-API-Key": "k"}
BOB = {"transport": "websocket", "body": {"greeting": "Hello Bob.", "order": 7}}


async def start(server: Served, body: Any = None, **headers: str) -> httpx.Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return await server.http.post("/start", json={} if body is None else body, headers=given)


def address(answer: dict[str, str]) -> str:
    """What the official client makes of the answer."""
    return answer["wsUrl"] + ("&" if "?" in answer["wsUrl"] else "?") + "token=" + answer["token"]


async def refused(url: str, **options: Any) -> int:
    with pytest.raises(websockets.InvalidStatus) as caught:
        async with websockets.connect(url, **options):
            pass
    return caught.value.response.status_code


@asynccontextmanager
async def remembering(**options: Any) -> AsyncIterator[tuple[Served, list[CallInfo]]]:
    calls: list[CallInfo] = []
    async with serving(hooks=Hooks(started=(calls.append,)), **options) as server:
        yield server, calls


# ── WebRTC and in general ──


@pytest.mark.parametrize("path", ["/start", "/api/v1/start"])
@pytest.mark.parametrize("content", [b"", b"{}", b'{"transport": "webrtc"}', b'{"transport": null, "body": null}'])
async def test_a_session_is_stored_and_named_at_the_top_and_in_the_envelope(path: str, content: bytes) -> None:
    store = MemoryStore()
    async with serving(session_store=store) as server:
        answer = await server.http.post(path, content=content)
        found = await store.get(answer.json()["sessionId"])
    parsed = answer.json()
    assert answer.status_code == 201
    assert uuid.UUID(parsed["sessionId"]).version == 4
    assert parsed["data"] == {"sessionId": parsed["sessionId"]}
    assert parsed["meta"]["requestId"] == answer.headers["x-request-id"]
    assert set(parsed) == {"sessionId", "data", "meta"}
    assert answer.headers["cache-control"] == "no-store"
    assert found == SessionRecord(parsed["sessionId"])


@pytest.mark.parametrize(
    ("body", "stored"),
    [
        ({"body": {"agent": "x"}}, {"agent": "x"}),
        ({"context": {"messages": []}}, {"context": {"messages": []}}),
        ({"context": "Be brief."}, {"context": "Be brief."}),
        ({"body": {"context": "own"}, "context": "other"}, {"context": "own"}),
        ({"unknown": 1, "body": {}}, {}),
    ],
)
async def test_what_came_with_it_is_stored(body: Any, stored: Any) -> None:
    store = MemoryStore()
    async with serving(session_store=store) as server:
        answer = await start(server, body)
        found = await store.get(answer.json()["sessionId"])
    assert found is not None
    assert found.body == stored


@pytest.mark.parametrize("name", ["enableDefaultIceServers", "enable_default_ice_servers"])
async def test_the_ice_servers_come_when_asked_for(name: str) -> None:
    store = MemoryStore()
    async with serving(session_store=store) as server:
        parsed = (await start(server, {name: True})).json()
        found = await store.get(parsed["sessionId"])
    assert parsed["iceConfig"] == {"iceServers": [{"urls": ["stun:stun.l.google.com:19302"]}]}
    assert parsed["data"]["iceConfig"] == parsed["iceConfig"]
    assert found is not None
    assert found.enable_default_ice_servers


def test_ice_servers_are_told_as_browsers_take_them() -> None:
    turn = {"urls": "turn:x", "username": "u", "credential": "c"}
    (found,) = Settings(webrtc_ice_servers=(turn,)).ice_servers
    assert found == {
        "urls": ["turn:x"],
        "username": "u",
        "credential": "c",
    }


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        ("{", 400, "BAD_REQUEST"),
        ("[]", 400, "BAD_REQUEST"),
        ("[" * 100_000, 400, "BAD_REQUEST"),
        ("\xff", 400, "BAD_REQUEST"),
        ('{"body": {"greeting": "\\ud83d"}}', 400, "BAD_REQUEST"),
        ('{"body": {"order": NaN}}', 400, "BAD_REQUEST"),
        ('"' + "x" * 300_000 + '"', 400, "BAD_REQUEST"),
        ('{"body": []}', 422, "VALIDATION_ERROR"),
        ('{"context": 7}', 422, "VALIDATION_ERROR"),
        ('{"transport": 7}', 422, "VALIDATION_ERROR"),
        ('{"enableDefaultIceServers": "yes"}', 422, "VALIDATION_ERROR"),
        ('{"create_daily_room": 1}', 422, "VALIDATION_ERROR"),
        ('{"transport": "pigeon"}', 422, "VALIDATION_ERROR"),
        ('{"transport": "twilio"}', 422, "VALIDATION_ERROR"),
        ('{"transport": "websocket", "format": "protobuf"}', 422, "VALIDATION_ERROR"),
        ('{"transport": "webrtc", "format": "morse"}', 422, "VALIDATION_ERROR"),
    ],
)
async def test_bad_requests_are_told_in_every_place_clients_look(content: str, status: int, code: str) -> None:
    async with serving() as server:
        answer = await server.http.post("/start", content=content.encode("latin-1"))
    parsed = answer.json()
    assert answer.status_code == status
    assert parsed["error"]["code"] == code
    assert parsed["info"] == parsed["detail"] == parsed["error"]["message"]
    assert bool(parsed["error"].get("details")) == (status == 422)


@pytest.mark.parametrize(
    "body", [{"createDailyRoom": True}, {"create_daily_room": True}, {"transport": "Daily"}, {"transport": "livekit"}]
)
async def test_rooms_that_this_server_does_not_serve_are_refused(body: Any) -> None:
    async with serving() as server:
        answer = await start(server, body)
    assert answer.status_code == 422
    assert answer.json()["error"]["details"] == [{"field": "transport", "message": "one of webrtc, websocket"}]


async def test_a_key_is_needed_but_not_for_the_preflight() -> None:
    async with serving(server_api_key="k", cors_allowed_origins=("https://app.example",)) as server:
        bare = await start(server)
        keyed = await start(server, X_API_Key="k")
        preflight = await server.http.options("/start", headers={"Origin": "https://app.example"})
        wrong = await server.http.get("/start", headers=KEY)
    assert (bare.status_code, bare.json()["info"]) == (401, "Unauthorized")
    assert keyed.status_code == 201
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    assert preflight.headers["access-control-allow-methods"] == "OPTIONS, POST"
    assert "Idempotency-Key" in preflight.headers["access-control-allow-headers"]
    assert (wrong.status_code, wrong.headers["allow"], wrong.json()["detail"]) == (405, "POST", "Method not allowed")


@pytest.mark.parametrize("depth", range(100, 1500, 100))
async def test_a_deeply_nested_body_is_stored_or_refused(depth: int) -> None:
    content = '{"body": ' + '{"a": ' * depth + "1" + "}" * depth + "}"
    async with serving() as server:
        answer = await server.http.post("/start", content=content)
    assert answer.status_code in (201, 400)


class Broken(MemoryStore):
    async def put(self, record: SessionRecord, *, ttl_secs: float) -> None:
        raise StoreError("secret details")

    async def take(self, session_id: str) -> SessionRecord | None:
        raise StoreError("secret details")


async def test_a_store_that_fails_is_a_server_error_that_tells_nothing() -> None:
    async with serving(session_store=Broken()) as server:
        answer = await start(server)
        status = await refused(f"ws://127.0.0.1:{server.port}/ws?token=x")
    assert answer.status_code == 500
    assert answer.json()["info"] == "Internal server error"
    assert "secret" not in answer.text
    assert status == 503


# ── The websocket ──


async def test_the_websockets_answer_is_bare_and_its_token_opens_one_call_with_the_stored_body() -> None:
    prepare = Preparation(SessionOptions())
    async with remembering(prepare=prepare, server_api_key="k") as (server, calls):
        answer = await start(server, BOB, X_API_Key="k")
        assert answer.status_code == 201
        parsed = answer.json()
        assert parsed == {"wsUrl": f"ws://127.0.0.1:{server.port}/ws", "token": parsed["token"]}
        async with websockets.connect(address(parsed)) as client:
            seen = await until(client, "BotStartedSpeakingFrame")
            assert await refused(address(parsed)) == 401
            await client.send(json.dumps({"type": "EndFrame", "data": {}}))
            await closing(client)
        assert await refused(address(parsed)) == 401
    (call,) = calls
    assert call.body == BOB["body"]
    assert seen[0]["data"]["session_id"] == call.session_id
    assert "Hello Bob." in [
        message["data"]["text"]
        for message in seen
        if isinstance(message, dict) and message["type"] == "AggregatedTextFrame"
    ]


@pytest.mark.parametrize("token", ["x", "k", "x" * 5000, "%00", "%FF", "*"])
async def test_a_token_that_was_never_given_is_refused_even_with_the_key(token: str) -> None:
    async with serving(server_api_key="k") as server:
        status = await refused(f"ws://127.0.0.1:{server.port}/ws?token={token}", additional_headers=KEY)
    assert status == 401


async def test_a_token_is_not_used_up_by_who_is_turned_away() -> None:
    async with serving(max_sessions=1) as server:
        token = address((await start(server, BOB)).json())
        async with server.ws() as first:
            await until(first, "StartFrame")
            assert await refused(token) == 503
            assert await refused(token, origin="https://evil.example") == 403
        await server.emptied()
        async with websockets.connect(token) as client:
            await until(client, "StartFrame")


async def test_a_token_lasts_five_minutes() -> None:
    class Noting(MemoryStore):
        ttl_secs = 0.0

        async def put(self, record: SessionRecord, *, ttl_secs: float) -> None:
            self.ttl_secs = ttl_secs
            await super().put(record, ttl_secs=ttl_secs)

    store = Noting()
    await Sessions(store, ttl_secs=3600).issue({})
    assert store.ttl_secs == 300
    await Sessions(store, ttl_secs=3600).create({})
    assert store.ttl_secs == 3600


@pytest.mark.parametrize(
    ("settings", "headers", "expected"),
    [
        ({"proxy_host": "voice.example"}, {}, "wss://voice.example/ws"),
        ({}, {"Host": "talk.example"}, "ws://talk.example/ws"),
        ({}, {"Host": "h", "X-Forwarded-Proto": "https"}, "ws://h/ws"),
        (
            {"telephony": TelephonySettings(trusted_proxies=("127.0.0.1",))},
            {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "v.example"},
            "wss://v.example/ws",
        ),
    ],
)
async def test_the_websockets_address_is_the_public_one(settings: Any, headers: Any, expected: str) -> None:
    async with serving(**settings) as server:
        answer = await server.http.post("/start", json={"transport": "websocket"}, headers=headers)
    assert answer.json()["wsUrl"] == expected


async def test_a_server_without_websockets_says_so() -> None:
    async with serving(listeners=[]) as server:
        answer = await start(server, BOB)
    assert answer.status_code == 422
    assert answer.json()["error"]["details"] == [{"field": "transport", "message": "one of webrtc"}]


def test_the_format_is_what_official_clients_speak_where_it_is_installed() -> None:
    everything = {"", "rtvi", "format=protobuf"}
    assert socket_query("", {""}) == ""
    assert socket_query("", everything) == "format=protobuf"
    assert socket_query("json", everything) == ""
    assert socket_query("rtvi", everything) == "rtvi=1"
    with pytest.raises(Refusal, match="not installed"):
        socket_query("rtvi", {""})


# ── Telephone carriers ──


async def test_a_carriers_stream_is_announced_with_its_token() -> None:
    spec = Registry.load(only=["twilio"]).get(CarrierSpec, "twilio")
    async with httpx.AsyncClient() as http:
        context = Context("twilio", http=http, secrets=lambda key: "")
        async with serving(carriers=[make(spec, context, {})]) as server:
            answer = await start(server, {"transport": "twilio", "body": {"agent": "x"}})
            parsed = answer.json()
            assert server.runtime.lines is not None
            found = await server.runtime.lines.announced.take(parsed["token"])
    assert answer.status_code == 201
    assert urlsplit(parsed["wsUrl"]).path == "/telephony/ws"
    assert parsed["data"] == {"wsUrl": parsed["wsUrl"], "token": parsed["token"]}
    assert found is not None
    assert (found.call.carrier, found.body) == ("twilio", {"agent": "x"})


# ── The same request again ──


async def test_the_same_idempotency_key_gets_the_same_answer() -> None:
    async with serving() as server:
        first = await start(server, {}, Idempotency_Key="a")
        again = await server.http.post("/api/v1/start", content=b"not even JSON", headers={"Idempotency-Key": "a"})
        other = await start(server, {}, Idempotency_Key="b")
        none = await start(server)
        long = await start(server, {}, Idempotency_Key="x" * 256)
    assert again.status_code == 201
    assert again.content == first.content
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert len({answer.json()["sessionId"] for answer in (first, other, none)}) == 3
    assert long.status_code == 400


async def test_what_was_refused_is_tried_again() -> None:
    async with serving() as server:
        first = await start(server, {"body": 7}, Idempotency_Key="a")
        again = await start(server, {}, Idempotency_Key="a")
    assert (first.status_code, again.status_code) == (422, 201)


async def test_half_a_request_is_no_request() -> None:
    head = b"POST /start HTTP/1.1\r\nHost: x\r\nIdempotency-Key: a\r\nContent-Length: 30\r\n\r\n"
    store = MemoryStore()
    async with serving(session_store=store) as server:
        async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
            await stream.send(head)
            await stream.send_eof()
            with anyio.fail_after(WAIT_SECS), suppress(anyio.EndOfStream):
                while True:
                    await stream.receive()
        answer = await start(server, {"body": {"greeting": "Hi."}}, Idempotency_Key="a")
        found = await store.get(answer.json()["sessionId"])
    assert found is not None
    assert found.body == {"greeting": "Hi."}


async def test_the_same_key_at_once_makes_one_session() -> None:
    answers: list[httpx.Response] = []
    async with serving() as server:

        async def ask() -> None:
            answers.append(await start(server, {}, Idempotency_Key="a"))

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(ask)
    assert len({answer.content for answer in answers}) == 1


# ── Sessions ──


async def test_a_session_is_found_until_it_is_forgotten_or_its_time_is_over() -> None:
    sessions = Sessions(MemoryStore(), ttl_secs=60)
    record = await sessions.create({"a": 1})
    assert await sessions.find(record.session_id.upper()) == record
    await sessions.forget(record.session_id)
    with pytest.raises(Refusal, match="Session not found"):
        await sessions.find(record.session_id)
    short = Sessions(MemoryStore(), ttl_secs=-1)
    gone = await short.create({})
    with pytest.raises(Refusal, match="Session not found"):
        await short.find(gone.session_id)
    with pytest.raises(Refusal, match="Invalid session id"):
        await sessions.find("socket:x")


def test_names_of_webrtc_are_one_transport() -> None:
    for name in ("", "webrtc", "smallwebrtc", " WebRTC "):
        assert parse_start(json.dumps({"transport": name}).encode()).transport == ""
