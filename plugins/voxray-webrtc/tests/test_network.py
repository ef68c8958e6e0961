"""Where we can be reached, and what the library must have."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import aioice
import anyio
import pytest
from aioice import stun
from voxray_webrtc.connection import check_library
from voxray_webrtc.limits import Limits
from voxray_webrtc.peers import WebRtcPeers

from tests.webrtc_client import Client
from tests.webrtc_desk import context
from voxray.errors import ProviderRefused
from voxray.protocols.peers import Offer

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def stun_server(*, answers: bool) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A STUN server that tells everybody the same address, or nothing; its URL, and what it was asked."""
    asked: list[bytes] = []

    async def serve(socket: anyio.abc.UDPSocket) -> None:
        async for data, address in socket:
            asked.append(data)
            if answers:
                request = stun.parse_message(data)
                response = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, request.transaction_id)
                response.attributes["XOR-MAPPED-ADDRESS"] = ("198.51.100.7", 4711)
                await socket.send((bytes(response), address))

    async with (
        await anyio.create_udp_socket(local_host="127.0.0.1") as socket,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(serve, socket)
        yield f"stun:127.0.0.1:{socket.extra(anyio.abc.SocketAttribute.local_port)}", asked
        tasks.cancel_scope.cancel()


async def test_a_stun_server_tells_the_public_address() -> None:
    client = Client()
    async with stun_server(answers=True) as (url, _):
        listening = context(ice_servers=[{"urls": [url]}])
        async with WebRtcPeers(listening, addresses=["127.0.0.1"]) as peers:
            accepted = await peers.accept(Offer(sdp=await client.offer()))
    assert "198.51.100.7 4711 typ srflx raddr 127.0.0.1 rport" in accepted.sdp
    await client.peer.close()


async def test_a_silent_stun_server_delays_one_answer_only(caplog: pytest.LogCaptureFixture) -> None:
    client = Client()
    async with stun_server(answers=False) as (url, asked):
        listening = context(ice_servers=[{"urls": [url]}])
        async with WebRtcPeers(listening, addresses=["127.0.0.1"], limits=Limits(stun_secs=0.2)) as peers:
            sdp = await client.offer()
            accepted = await peers.accept(Offer(sdp=sdp))
            before = len(asked)
            await peers.accept(Offer(sdp=sdp))
    assert "typ host" in accepted.sdp
    assert len(asked) == before > 0
    assert [it.getMessage() for it in caplog.records if it.name.startswith("voxray")] == [
        "the STUN server did not tell our address"
    ]
    await client.peer.close()


def test_an_address_of_an_ice_server_that_is_none_is_refused_at_the_start() -> None:
    with pytest.raises(ProviderRefused, match="webrtc_ice_servers"):
        WebRtcPeers(context(ice_servers=[{"urls": ["http://example.com"]}]))


def test_a_library_without_what_we_need_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    check_library("webrtc")
    monkeypatch.delattr(aioice.Connection, "data_received")
    with pytest.raises(ProviderRefused, match="data_received"):
        check_library("webrtc")
