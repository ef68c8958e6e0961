"""Websockets to vendors."""

import anyio
import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from voxray.errors import ProviderError, ProviderProtocolError, ProviderRefused, ProviderUnavailable
from voxray.testing.http_server import Exchange, FakeServer
from voxray.testing.http_socket import Close, Drop, Expect, Send, Sleep, socket_script
from voxray.wire.context import Context
from voxray.wire.socket import closed, connect, message, socket_url

pytestmark = pytest.mark.anyio


async def test_a_script_is_played_with_the_client() -> None:
    script = socket_script(
        Expect(lambda asked: asked["type"] == "start"),
        Send({"type": "ready"}),
        Sleep(0.001),
        Send(b"\x01"),
        Close(4000, "bye"),
    )
    async with FakeServer(script) as server, httpx.AsyncClient() as http:
        url = socket_url(server.url) + "/live?rate=16000"
        with anyio.fail_after(5):
            async with Context("acme", http=http).connect(url, headers={"X-Key": "k"}) as socket:
                await socket.send('{"type": "start"}')
                assert message("acme", await socket.recv()) == {"type": "ready"}
                assert await socket.recv() == b"\x01"
                with pytest.raises(ConnectionClosed) as caught:
                    await socket.recv()
        request = server.requests[0]
    assert (request.path, request.query, request.headers["x-key"]) == ("/live", {"rate": "16000"}, "k")
    error = closed("acme", caught.value)
    assert isinstance(error, ProviderUnavailable)
    assert str(error) == "acme: closed the connection with 4000: bye"


async def test_large_and_fragmented_messages_arrive_whole() -> None:
    async def echo(exchange: Exchange) -> None:
        peer = exchange.accept()
        while True:
            peer.send(await peer.receive())

    async with FakeServer(echo) as server:
        with anyio.fail_after(5):
            async with connect("acme", socket_url(server.url)) as socket:
                await socket.send(b"x" * 2_000_000)
                assert len(await socket.recv()) == 2_000_000
                await socket.send(["ab", "cd"])
                assert await socket.recv() == "abcd"


@pytest.mark.parametrize(
    ("status", "kind"), [(401, ProviderRefused), (429, ProviderUnavailable), (503, ProviderUnavailable)]
)
async def test_a_refused_handshake_has_its_error(status: int, kind: type[ProviderError]) -> None:
    async def refuse(exchange: Exchange) -> None:
        exchange.json(status, {"message": "no"}, {"retry-after": "1"})

    async with FakeServer(refuse) as server:
        with pytest.raises(ProviderError) as caught:
            async with connect("acme", socket_url(server.url)):
                pass
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert "no" in str(caught.value)


async def test_a_handshake_takes_no_longer_than_agreed() -> None:
    async def never(exchange: Exchange) -> None:
        await exchange.stall()

    async with FakeServer(never) as server:
        with pytest.raises(ProviderUnavailable, match=r"no websocket within 0\.05 s"):
            async with connect("acme", socket_url(server.url), handshake_secs=0.05):
                pass


@pytest.mark.parametrize(
    ("url", "kind"), [("ws://127.0.0.1:9/", ProviderUnavailable), ("ftp://127.0.0.1/", ProviderRefused)]
)
async def test_a_wrong_address_has_its_error(url: str, kind: type[ProviderError]) -> None:
    with pytest.raises(kind):
        async with connect("acme", url):
            pass


async def test_a_dropped_connection_is_unavailable() -> None:
    async with FakeServer(socket_script(Expect(), Drop())) as server:
        async with connect("acme", socket_url(server.url)) as socket:
            await socket.send("x")
            with pytest.raises(ConnectionClosed) as caught:
                await socket.recv()
    assert closed("acme", caught.value).status == 1006


def test_only_json_objects_are_messages() -> None:
    for raw in ("{", "[]", b"\xff"):
        with pytest.raises(ProviderProtocolError):
            message("acme", raw)
