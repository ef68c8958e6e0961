"""Rooms through `POST /start` and the webhook of phone calls; the service behind them is a fake."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from tests.server.serving import WAIT_SECS, Served, serving
from tests.server.test_offers import BrokenStore, Calls, FakePeer
from voxray.builtin.memory_store import MemoryStore
from voxray.errors import ProviderRefused
from voxray.protocols.carrier import Webhook
from voxray.protocols.rooms import DialIn, Room, WebhookFieldsError
from voxray.protocols.storage import SessionRecord
from voxray.server.arrivals import MAX_WAITING
from voxray.server.calls import Hooks

pytestmark = pytest.mark.anyio

CALL = {"From": "+15005550006", "To": "+15005550001", "callId": "c-1", "callDomain": "d-1"}


class FakeRooms:
    name = "daily"
    dial_in_path = "/daily-dialin-webhook"

    def __init__(self, *, fails: str = "", signature: str = "") -> None:
        self.fails = fails
        self.signature = signature
        self.made: list[Room] = []
        self.deleted: list[str] = []
        self.deletion = anyio.Event()
        self.agent = FakePeer()
        self.left = False

    async def create(self, session_id: str, dial_in: DialIn | None = None) -> Room:
        if self.fails == "create":
            raise ProviderRefused(self.name, "no such key")
        invitation = {"dailyRoom": "https://a.example/r", "dailyToken": "t"}
        room = Room(name="r", url="https://a.example/r", agent_token="a", invitation=invitation, dial_in=dial_in)
        self.made.append(room)
        return room

    @asynccontextmanager
    async def join(self, room: Room) -> AsyncIterator[FakePeer]:
        if self.fails == "join":
            raise ProviderRefused(self.name, "not let in")
        try:
            yield self.agent
        finally:
            self.left = True

    async def delete(self, room: Room) -> None:
        self.deleted.append(room.name)
        self.deletion.set()
        if self.fails == "delete":
            raise ProviderRefused(self.name, "no such room")

    def refusal(self, webhook: Webhook) -> str:
        return "" if webhook.headers.get("x-pinless-signature", "") == self.signature else "wrong"

    def dial_in(self, webhook: Webhook) -> DialIn | None:
        given = json.loads(webhook.body)
        if not isinstance(given, dict):
            raise ValueError("no object")
        if given.get("test"):
            return None
        missing = tuple(name for name in CALL if not given.get(name))
        if missing:
            raise WebhookFieldsError(missing)
        headers = given.get("sipHeaders", {})
        return DialIn(call_id=given["callId"], caller=given["From"], callee=given["To"], headers=headers)


@asynccontextmanager
async def with_rooms(rooms: FakeRooms, **options: Any) -> AsyncIterator[tuple[Served, Calls]]:
    calls = Calls()
    async with serving(rooms=[rooms], hooks=Hooks(started=(calls.began,)), **options) as server:
        yield server, calls


async def finished(rooms: FakeRooms) -> None:
    with anyio.fail_after(WAIT_SECS):
        await rooms.deletion.wait()


async def announce(server: Served, body: Any = CALL, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await server.http.post("/daily-dialin-webhook", json=body, headers=named)


# ── POST /start ──


@pytest.mark.parametrize("asked", [{"createDailyRoom": True}, {"transport": "daily"}, {"create_daily_room": True}])
async def test_a_room_is_made_and_the_agent_waits_in_it(asked: Any) -> None:
    rooms, store = FakeRooms(), MemoryStore()
    async with with_rooms(rooms, session_store=store) as (server, calls):
        answer = await server.http.post("/start", json={**asked, "body": {"greeting": "Hi."}})
        parsed = answer.json()
        assert answer.status_code == 201
        assert (parsed["dailyRoom"], parsed["dailyToken"]) == ("https://a.example/r", "t")
        assert parsed["data"]["sessionId"] == parsed["sessionId"]
        assert await store.get(parsed["sessionId"]) == SessionRecord(parsed["sessionId"], {"greeting": "Hi."})
        assert not calls.infos
        rooms.agent.arrive()
        info = await calls.first()
        assert (info.session_id, info.transport, info.body) == (parsed["sessionId"], "daily", {"greeting": "Hi."})
        rooms.agent.leave()
        await finished(rooms)
        await server.emptied()
    assert rooms.left
    assert rooms.deleted == ["r"]
    assert await store.get(parsed["sessionId"]) is None


async def test_a_room_that_cannot_be_made_is_an_error_without_its_reason() -> None:
    store = MemoryStore()
    async with with_rooms(FakeRooms(fails="create"), session_store=store) as (server, _):
        answer = await server.http.post("/start", json={"transport": "daily"})
    assert (answer.status_code, answer.json()["info"]) == (500, "The room could not be made")
    assert "key" not in answer.text


@pytest.mark.parametrize("fails", ["join", "delete", ""])
async def test_a_room_nobody_comes_to_is_deleted(fails: str, caplog: pytest.LogCaptureFixture) -> None:
    rooms = FakeRooms(fails=fails)
    async with with_rooms(rooms) as (server, calls):
        await server.http.post("/start", json={"transport": "daily"})
        rooms.agent.arrive(comes=False)
        await finished(rooms)
        assert (await server.http.get("/health")).status_code == 200
        assert not calls.infos
    assert rooms.deleted == ["r"]
    assert bool([row for row in caplog.records if row.levelname in ("ERROR", "WARNING")]) == bool(fails)


async def test_only_so_many_rooms_may_wait_for_somebody() -> None:
    rooms = FakeRooms(fails="create")
    async with with_rooms(rooms) as (server, _):

        async def ask() -> int:
            return (await server.http.post("/start", json={"transport": "daily"})).status_code

        assert await ask() == 500
        rooms.fails = ""
        assert {await ask() for _ in range(MAX_WAITING)} == {201}
        assert await ask() == 503
        rooms.agent.arrive(comes=False)
        with anyio.fail_after(WAIT_SECS):
            while len(rooms.deleted) < MAX_WAITING:
                await anyio.lowlevel.checkpoint()
        assert await ask() == 201


async def test_a_full_server_makes_no_room() -> None:
    rooms = FakeRooms()
    async with with_rooms(rooms, max_sessions=1) as (server, calls):
        await server.http.post("/start", json={"transport": "daily"})
        rooms.agent.arrive()
        await calls.first()
        answer = await server.http.post("/start", json={"transport": "daily"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert len(rooms.made) == 1


async def test_a_stopping_server_leaves_its_rooms() -> None:
    rooms = FakeRooms()
    async with with_rooms(rooms) as (server, _):
        await server.http.post("/start", json={"transport": "daily"})
    assert rooms.deleted == ["r"]


# ── phone calls ──


async def test_a_phone_call_gets_a_room_and_is_known_by_its_numbers() -> None:
    rooms = FakeRooms()
    async with with_rooms(rooms, dialin=True) as (server, calls):
        answer = await announce(server, {**CALL, "sipHeaders": {"X-Account": "42"}})
        parsed = answer.json()
        assert answer.status_code == 201
        assert uuid.UUID(parsed["sessionId"])
        assert (parsed["dailyRoom"], parsed["dailyToken"]) == ("https://a.example/r", "t")
        rooms.agent.arrive()
        info = await calls.first()
    assert (info.carrier, info.caller, info.callee) == ("daily", "+15005550006", "+15005550001")
    assert info.body == {
        "phone": {
            "carrier": "daily",
            "call_id": "c-1",
            "caller": "+15005550006",
            "callee": "+15005550001",
            "direction": "inbound",
            "details": {"X-Account": "42"},
        }
    }
    assert rooms.made[0].dial_in is not None
    assert rooms.made[0].dial_in.call_id == "c-1"


async def test_a_call_that_is_announced_twice_gets_one_room() -> None:
    rooms = FakeRooms()
    async with with_rooms(rooms, dialin=True) as (server, _):
        first, second = await announce(server), await announce(server)
    assert first.json()["sessionId"] == second.json()["sessionId"]
    assert len(rooms.made) == 1


async def test_a_test_of_the_address_is_answered() -> None:
    async with with_rooms(FakeRooms(), dialin=True) as (server, _):
        answer = await announce(server, {"test": "test"})
    assert (answer.status_code, answer.json()["status"]) == (200, "OK")


async def test_every_missing_field_is_named() -> None:
    async with with_rooms(FakeRooms(), dialin=True) as (server, _):
        answer = await announce(server, {"From": "+1"})
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["error"]["details"]] == ["To", "callId", "callDomain"]


@pytest.mark.parametrize(("secret", "status"), [("", 401), ("wrong", 401), ("s", 201)])
async def test_the_secret_is_wanted_where_there_is_one(secret: str, status: int) -> None:
    async with with_rooms(FakeRooms(), dialin=True, daily_dialin_webhook_secret="s") as (server, _):
        assert (await announce(server, X_Webhook_Secret=secret)).status_code == status


async def test_a_signature_that_does_not_hold_is_refused() -> None:
    async with with_rooms(FakeRooms(signature="good"), dialin=True) as (server, _):
        assert (await announce(server)).status_code == 401
        assert (await announce(server, X_Pinless_Signature="good")).status_code == 201


async def test_faults_of_a_phone_call_are_told() -> None:
    async with with_rooms(FakeRooms(), dialin=True) as (server, _):
        assert (await server.http.post("/daily-dialin-webhook", content=b"{")).status_code == 400
    store = MemoryStore(max_records=1)
    async with with_rooms(FakeRooms(fails="create"), dialin=True, session_store=store) as (server, _):
        assert (await announce(server)).status_code == 500
        await store.put(SessionRecord("the first one is forgotten"), ttl_secs=60)
    async with with_rooms(FakeRooms(), dialin=True, session_store=Unwritable()) as (server, _):
        assert (await announce(server)).status_code == 500


class Unwritable(BrokenStore):
    async def put(self, record: SessionRecord, *, ttl_secs: float) -> None:
        await self.get(record.session_id)


async def test_without_dialin_there_is_no_webhook() -> None:
    async with with_rooms(FakeRooms()) as (server, _):
        assert (await announce(server)).status_code == 404
