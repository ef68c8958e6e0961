"""The routes of WebRTC offers, over a real socket; the peers behind them are fakes, as media has tests of its own."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from tests.server.serving import WAIT_SECS, Served, serving
from voxray.builtin.memory_store import MemoryStore
from voxray.errors import ProviderUnavailable, StoreError
from voxray.protocols.call import CallInfo
from voxray.protocols.peers import Accepted, Candidate, Offer
from voxray.protocols.storage import SessionRecord
from voxray.server.calls import Hooks
from voxray.testing.fake_transport import FakeTransport

pytestmark = pytest.mark.anyio

KEY = {"X-API-Key": "k"}
SDP = "v=0\r\n"
ICE = {"candidate": "candidate:1 1 udp 1 127.0.0.1 9 typ host", "sdp_mid": "0", "sdp_mline_index": 0}


class FakePeer(FakeTransport):
    """The other side comes when it is told to, or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.came = anyio.Event()
        self.comes = True

    async def established(self) -> bool:
        await self.came.wait()
        return self.comes

    def arrive(self, comes: bool = True) -> None:
        self.comes = comes
        self.came.set()


class FakePeers:
    """Answers every offer, and keeps what it was given."""

    def __init__(self, error: Exception | None = None) -> None:
        self.offers: list[Offer] = []
        self.candidates: list[Candidate] = []
        self.peers: dict[tuple[str, str], FakePeer] = {}
        self.error = error
        self.slow: anyio.Event | None = None

    @property
    def last(self) -> FakePeer:
        return list(self.peers.values())[-1]

    def knows(self, pc_id: str, owner: str) -> bool:
        return (pc_id, owner) in self.peers

    async def accept(self, offer: Offer) -> Accepted:
        self.offers.append(offer)
        if self.slow is not None:
            await self.slow.wait()
        if self.error is not None:
            raise self.error
        if self.knows(offer.pc_id, offer.owner):
            return Accepted(sdp="again", pc_id=offer.pc_id)
        pc_id = f"pc-{len(self.peers)}"
        peer = self.peers[(pc_id, offer.owner)] = FakePeer()
        return Accepted(sdp="answer", pc_id=pc_id, transport=peer)

    async def add_candidates(self, pc_id: str, owner: str, candidates: Sequence[Candidate]) -> bool:
        self.candidates += candidates
        return self.knows(pc_id, owner)


class Calls:
    """The calls that began, as hooks see them."""

    def __init__(self) -> None:
        self.infos: list[CallInfo] = []
        self._began = anyio.Event()

    def began(self, session: CallInfo) -> None:
        self.infos.append(session)
        self._began.set()

    async def first(self) -> CallInfo:
        with anyio.fail_after(WAIT_SECS):
            await self._began.wait()
        return self.infos[0]


@asynccontextmanager
async def offering(peers: FakePeers, **options: Any) -> AsyncIterator[tuple[Served, Calls]]:
    calls = Calls()
    store = options.pop("session_store", None) or MemoryStore()
    async with serving(peers=peers, session_store=store, hooks=Hooks(started=(calls.began,)), **options) as server:
        yield server, calls


async def started(server: Served, **body: Any) -> str:
    answer = await server.http.post("/start", json={"transport": "webrtc", **body})
    found: str = answer.json()["sessionId"]
    return found


async def offer(server: Served, session_id: str, **more: Any) -> httpx.Response:
    return await server.http.post(f"/sessions/{session_id}/api/offer", json={"sdp": SDP, "type": "offer", **more})


# ── forms ──


@pytest.mark.parametrize("path", ["/webrtc/offer", "/api/v1/webrtc/offer", "/api/offer"])
@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        ({"offer": SDP}, "answer"),
        ({"offer": json.dumps({"type": "offer", "sdp": SDP})}, '{"type": "answer", "sdp": "answer"}'),
        ({"offer": {"type": "offer", "sdp": SDP}}, {"type": "answer", "sdp": "answer"}),
        ({"sdp": SDP, "type": "offer", "pc_id": None, "restart_pc": False}, "answer"),
    ],
)
async def test_an_offer_is_answered_in_its_own_form(path: str, sent: Any, answered: Any) -> None:
    peers = FakePeers()
    async with offering(peers) as (server, _):
        answer = await server.http.post(path, json=sent)
    parsed = answer.json()
    assert answer.status_code == 200
    assert parsed["answer"] == parsed["data"]["answer"] == answered
    assert (parsed["sdp"], parsed["type"], parsed["pc_id"]) == ("answer", "answer", "pc-0")
    assert parsed["meta"]["requestId"]
    assert [each.sdp for each in peers.offers] == [SDP]


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        ("{", 400, "Invalid JSON"),
        ("[]", 400, "Invalid JSON: an object is expected"),
        ("[" * 100_000, 400, "Invalid JSON"),
        ('{"offer": "{"}', 400, "Invalid JSON"),
        ('{"offer": "{\\ud800"}', 400, "Invalid JSON"),
        ('{"offer": "v=0", "request_data": {"greeting": "\\ud800"}}', 400, "Invalid JSON"),
        ('{"offer": "' + "x" * 2**21 + '"}', 400, "Request body is larger than 262144 bytes"),
        ("{}", 422, "Missing or empty offer"),
        ('{"offer": "  "}', 422, "Missing or empty offer"),
        ('{"offer": {"type": "offer"}}', 422, "Missing or empty offer"),
        ('{"offer": 7}', 422, "Missing or empty offer"),
        ('{"offer": "v=0", "type": "answer"}', 422, 'type must be "offer"'),
        ('{"offer": {"type": "answer", "sdp": "v=0"}}', 422, 'type must be "offer"'),
        ('{"offer": "v=0", "pc_id": 7}', 422, "pc_id must be a string"),
        ('{"offer": "v=0", "pc_id": "' + "x" * 129 + '"}', 422, "pc_id must have at most 128 characters"),
        ('{"offer": "v=0", "restart_pc": "yes"}', 422, "restart_pc must be true or false"),
        ('{"offer": "v=0", "request_data": []}', 422, "request_data must be an object"),
    ],
)
async def test_offers_that_make_no_sense_are_refused(content: str, status: int, message: str) -> None:
    peers = FakePeers()
    async with offering(peers) as (server, _):
        answer = await server.http.post("/webrtc/offer", content=content)
    assert (answer.status_code, answer.json()["info"]) == (status, message)
    assert not peers.offers


async def test_a_description_that_peers_cannot_use_says_why() -> None:
    async with offering(FakePeers(ValueError("no audio"))) as (server, _):
        answer = await server.http.post("/webrtc/offer", json={"offer": SDP})
    assert answer.status_code == 422
    assert answer.json()["error"]["details"] == [{"field": "sdp", "message": "no audio"}]


async def test_peers_that_have_no_room_are_told_to_come_again() -> None:
    async with offering(FakePeers(ProviderUnavailable("webrtc", "too many connections"))) as (server, _):
        answer = await server.http.post("/webrtc/offer", json={"offer": SDP})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_without_peers_there_are_no_offers() -> None:
    async with serving() as server:
        assert (await server.http.post("/webrtc/offer", json={"offer": SDP})).status_code == 404
        assert (await offer(server, str(uuid.uuid4()))).status_code == 404


# ── who may, and when ──


async def test_offers_need_the_key_and_preflights_do_not() -> None:
    async with offering(FakePeers(), server_api_key="k", cors_allowed_origins=("https://a.example",)) as (server, _):
        path = f"/sessions/{uuid.uuid4()}/api/offer"
        asked = await server.http.options(path, headers={"Origin": "https://a.example"})
        assert asked.status_code == 204
        assert asked.headers["access-control-allow-methods"] == "OPTIONS, PATCH, POST"
        assert asked.headers["access-control-allow-origin"] == "https://a.example"
        assert (await server.http.post(path, json={"sdp": SDP})).status_code == 401
        assert (await server.http.patch(path, json={})).status_code == 401
        assert (await server.http.post("/webrtc/offer", json={"offer": SDP}, headers=KEY)).status_code == 200


async def test_a_full_server_refuses_new_connections_only() -> None:
    peers = FakePeers()
    async with offering(peers, max_sessions=1) as (server, calls):
        session_id = await started(server)
        await offer(server, session_id)
        peers.last.arrive()
        await calls.first()
        assert (await server.http.post("/webrtc/offer", json={"offer": SDP})).status_code == 503
        assert (await offer(server, session_id)).json()["sdp"] == "again"


async def test_other_methods_are_named() -> None:
    async with offering(FakePeers()) as (server, _):
        answer = await server.http.get("/webrtc/offer")
    assert (answer.status_code, answer.headers["allow"]) == (405, "PATCH, POST")


# ── sessions ──


@pytest.mark.parametrize("path", ["/sessions/{}/api/offer", "/api/v1/sessions/{}/offer"])
@pytest.mark.parametrize("named", ["request_data", "requestData"])
async def test_what_the_session_knows_reaches_the_call_under_what_the_offer_says(path: str, named: str) -> None:
    peers = FakePeers()
    async with offering(peers) as (server, calls):
        session_id = await started(server, body={"system_prompt": "Be brief.", "greeting": "Hello.", "order": 7})
        data = {named: {"greeting": "Good day."}}
        answer = await server.http.post(path.format(session_id.upper()), json={"sdp": SDP, **data})
        assert answer.status_code == 200
        peers.last.arrive()
        info = await calls.first()
    assert (info.session_id, info.transport, info.waits_for_client) == (session_id, "webrtc", True)
    assert info.body == {"system_prompt": "Be brief.", "greeting": "Good day.", "order": 7}
    assert info.remote == "127.0.0.1"
    assert peers.offers[0].owner == session_id


@pytest.mark.parametrize(
    ("session_id", "status", "code"),
    [("nonsense", 400, "BAD_REQUEST"), ("00000000-0000-4000-8000-000000000000", 404, "NOT_FOUND")],
)
async def test_sessions_that_are_not_there_are_refused(session_id: str, status: int, code: str) -> None:
    async with offering(FakePeers()) as (server, _):
        for answer in (
            await offer(server, session_id),
            await server.http.patch(f"/sessions/{session_id}/api/offer", json={}),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_an_expired_session_is_gone() -> None:
    store = MemoryStore()
    session_id = str(uuid.uuid4())
    async with offering(FakePeers(), session_store=store) as (server, _):
        await store.put(SessionRecord(session_id), ttl_secs=0)
        assert (await offer(server, session_id)).json()["info"] == "Session not found"


async def test_a_session_is_forgotten_when_its_call_is_over() -> None:
    peers = FakePeers()
    async with offering(peers) as (server, calls):
        session_id = await started(server)
        await offer(server, session_id)
        peers.last.arrive()
        await calls.first()
        peers.last.leave()
        with anyio.fail_after(WAIT_SECS):
            while (await offer(server, session_id)).status_code != 404:
                peers.peers.clear()


async def test_a_peer_that_never_comes_is_no_call() -> None:
    peers = FakePeers()
    async with offering(peers) as (server, calls):
        session_id = await started(server)
        await offer(server, session_id)
        peers.last.arrive(comes=False)
        peers.peers.clear()
        with anyio.fail_after(WAIT_SECS):
            while (await offer(server, session_id)).status_code != 404:
                await anyio.lowlevel.checkpoint()
        assert not calls.infos


@pytest.mark.parametrize(
    ("more", "restart"),
    [
        ({"pc_id": "pc-0"}, False),
        ({"pc_id": "pc-0", "restart_pc": True}, True),
        ({"pc_id": None, "restart_pc": True}, True),
        ({}, True),  # the page was loaded again
        ({"pc_id": "from another server"}, True),
    ],
)
async def test_further_offers_of_a_session_go_on_with_its_call(more: Any, restart: bool) -> None:
    peers = FakePeers()
    async with offering(peers) as (server, calls):
        session_id = await started(server)
        await offer(server, session_id)
        peers.last.arrive()
        await calls.first()
        answer = await offer(server, session_id, **more)
        assert (answer.json()["sdp"], answer.json()["pc_id"]) == ("again", "pc-0")
        assert (peers.offers[1].pc_id, peers.offers[1].restart) == ("pc-0", restart)
        assert len(server.calls) == 1


async def test_no_second_call_begins_while_the_first_of_a_session_is_ending() -> None:
    peers = FakePeers()
    async with offering(peers) as (server, calls):
        session_id = await started(server)
        await offer(server, session_id)
        peers.last.arrive()
        await calls.first()
        peers.peers.clear()  # the connection is gone, and its call not over yet
        answer = await offer(server, session_id)
        assert (answer.status_code, answer.json()["info"]) == (404, "Session not found")
        assert len(peers.offers) == len(server.calls) == 1


async def test_a_connection_that_is_lost_while_its_offer_is_answered_gets_no_second_call() -> None:
    peers = FakePeers()
    answers: list[int] = []
    async with offering(peers) as (server, calls):
        session_id = await started(server)
        await offer(server, session_id)
        peers.last.arrive()
        await calls.first()
        peers.slow = anyio.Event()

        async def again() -> None:
            answers.append((await offer(server, session_id)).status_code)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(again)
            with anyio.fail_after(WAIT_SECS):
                while len(peers.offers) < 2:
                    await anyio.lowlevel.checkpoint()
            peers.peers.clear()
            peers.slow.set()
        assert answers == [404]
        assert peers.last.closed is not None
        assert len(server.calls) == 1


async def test_a_session_cannot_take_over_the_connection_of_another() -> None:
    peers = FakePeers()
    async with offering(peers) as (server, _):
        first, second = await started(server), await started(server)
        await offer(server, first)
        answer = await offer(server, second, pc_id="pc-0")
        assert answer.json()["pc_id"] == "pc-1"
        trickled = await server.http.patch(f"/sessions/{second}/api/offer", json={"pc_id": "pc-0", "candidates": [ICE]})
        assert trickled.status_code == 404


async def test_two_offers_of_a_session_at_once_make_one_connection() -> None:
    peers = FakePeers()
    peers.slow = anyio.Event()
    async with offering(peers) as (server, _):
        session_id = await started(server)
        answers: list[int] = []

        async def one() -> None:
            answers.append((await offer(server, session_id)).status_code)
            peers.slow.set()  # type: ignore[union-attr]

        with anyio.fail_after(WAIT_SECS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(one)
                tasks.start_soon(one)
    assert sorted(answers) == [200, 409]


class BrokenStore(MemoryStore):
    async def get(self, session_id: str) -> SessionRecord | None:
        raise StoreError("redis is away")


async def test_a_store_that_is_away_is_said() -> None:
    async with offering(FakePeers(), session_store=BrokenStore()) as (server, _):
        answer = await offer(server, str(uuid.uuid4()))
    assert (answer.status_code, answer.json()["info"]) == (503, "Session store unavailable")


# ── candidates ──


@pytest.mark.parametrize("names", [("sdp_mid", "sdp_mline_index"), ("sdpMid", "sdpMLineIndex")])
async def test_candidates_reach_the_connection(names: tuple[str, str]) -> None:
    peers = FakePeers()
    async with offering(peers) as (server, _):
        session_id = await started(server)
        pc_id = (await offer(server, session_id)).json()["pc_id"]
        listed = [
            {"candidate": "a", names[0]: "0", names[1]: 1},
            {"candidate": "", names[0]: None},
            7,
            {"candidate": 7},
        ]
        answer = await server.http.patch(
            f"/sessions/{session_id}/api/offer", json={"pc_id": pc_id, "candidates": listed}
        )
        assert (answer.status_code, answer.content) == (204, b"")
        assert peers.candidates == [
            Candidate(candidate="a", sdp_mid="0", sdp_mline_index=1),
            Candidate(candidate=""),
        ]


@pytest.mark.parametrize("content", [b"", b"{}", b'{"candidates": []}', b'{"candidates": null, "pc_id": null}'])
async def test_a_patch_that_says_nothing_is_fine(content: bytes) -> None:
    async with offering(FakePeers()) as (server, _):
        session_id = await started(server)
        for path in (f"/sessions/{session_id}/api/offer", "/webrtc/offer"):
            assert (await server.http.patch(path, content=content)).status_code == 204


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"pc_id": "unknown", "candidates": [ICE]}, 404),
        ({"candidates": [ICE]}, 404),
        ({"pc_id": 7}, 422),
        ({"candidates": {}}, 422),
        ({"candidates": [ICE] * 65}, 422),
        ([], 400),
    ],
)
async def test_patches_that_make_no_sense_are_refused(body: Any, status: int) -> None:
    async with offering(FakePeers()) as (server, _):
        assert (await server.http.patch("/webrtc/offer", json=body)).status_code == status
