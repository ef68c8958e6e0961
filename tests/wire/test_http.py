"""One exchange with a vendor, well and badly."""

from collections.abc import Awaitable, Callable

import anyio
import httpx
import pytest

from voxray.errors import ProviderError, ProviderProtocolError, ProviderRefused, ProviderUnavailable
from voxray.testing.http_server import Exchange, FakeServer
from voxray.wire.context import Context
from voxray.wire.http import ANSWER_BYTES, read_json

pytestmark = pytest.mark.anyio


async def read(handler: Callable[[Exchange], Awaitable[None]], **options: float) -> bytes:
    async with FakeServer(handler) as server, httpx.AsyncClient() as http:
        context = Context("acme", http=http, secrets=lambda key: "my-secret-key")
        context.secret()
        with anyio.fail_after(5):
            async with context.stream("POST", server.url + "/x", json={"a": 1}, **options) as response:
                return b"".join([piece async for piece in response.aiter_bytes()])


async def test_the_body_comes_as_it_is_sent() -> None:
    async def answer(exchange: Exchange) -> None:
        assert exchange.request.json() == {"a": 1}
        exchange.head(200, "audio/pcm")
        await exchange.chunk(b"one")
        await exchange.chunk(b"two", 0.01)

    assert await read(answer) == b"onetwo"


async def test_a_refusal_quotes_the_vendor_but_no_key() -> None:
    async def answer(exchange: Exchange) -> None:
        exchange.json(401, {"error": {"message": "no good: my-secret-key"}})

    with pytest.raises(ProviderRefused, match=r"acme: answered 401: no good: \[key\]; check the key") as caught:
        await read(answer)
    assert caught.value.status == 401


async def test_a_busy_vendor_says_when_to_come_again() -> None:
    async def answer(exchange: Exchange) -> None:
        exchange.json(503, {}, {"retry-after": "2"})

    with pytest.raises(ProviderUnavailable) as caught:
        await read(answer)
    assert caught.value.retry_after_secs == 2


async def no_head(exchange: Exchange) -> None:
    await exchange.stall()


async def no_first_byte(exchange: Exchange) -> None:
    exchange.head()
    await exchange.stall()


async def no_second_piece(exchange: Exchange) -> None:
    exchange.head()
    exchange.write(b"one")
    await exchange.stall()


async def reset(exchange: Exchange) -> None:
    await exchange.abort()


async def cut_short(exchange: Exchange) -> None:
    await exchange.fin_midchunk()


@pytest.mark.parametrize("handler", [no_second_piece, reset, cut_short])
async def test_what_breaks_off_is_unavailable(handler: Callable[[Exchange], Awaitable[None]]) -> None:
    with pytest.raises(ProviderUnavailable):
        await read(handler, idle_secs=0.05)


@pytest.mark.parametrize("handler", [no_head, no_first_byte])
async def test_the_first_byte_is_not_waited_for_longer_than_agreed(
    handler: Callable[[Exchange], Awaitable[None]],
) -> None:
    with pytest.raises(ProviderUnavailable):
        await read(handler, first_byte_secs=0.05)


async def test_nobody_there_is_unavailable() -> None:
    async with httpx.AsyncClient() as http:
        with pytest.raises(ProviderUnavailable, match="cannot connect"):
            async with Context("acme", http=http).stream("GET", "http://127.0.0.1:9/"):
                pass


async def test_leaving_the_block_closes_the_connection() -> None:
    async with FakeServer(no_second_piece) as server, httpx.AsyncClient() as http:
        async with Context("acme", http=http).stream("GET", server.url) as response:
            async for _ in response.aiter_bytes():
                break
        with anyio.fail_after(5):
            await server.requests[0].finished.wait()
        assert server.requests[0].client_closed


async def read_whole(handler: Callable[[Exchange], Awaitable[None]], secs: float = 5.0) -> object:
    async with FakeServer(handler) as server, httpx.AsyncClient() as http:
        async with Context("acme", http=http).stream("GET", server.url) as response:
            return await read_json(response, "acme", secs=secs)


@pytest.mark.parametrize(("sent", "read"), [(b'{"a": [1]}', {"a": [1]}), (b" \n", {})])
async def test_an_answer_is_read_as_a_whole(sent: bytes, read: object) -> None:
    async def answer(exchange: Exchange) -> None:
        exchange.head()
        await exchange.chunk(sent)

    assert await read_whole(answer) == read


@pytest.mark.parametrize(
    ("sent", "reason"),
    [(b"<html>", "else than JSON"), (b"[" * 100_000, "else than JSON"), (b" " * (ANSWER_BYTES + 1), "more than")],
)
async def test_an_answer_that_makes_no_sense_is_refused(sent: bytes, reason: str) -> None:
    async def answer(exchange: Exchange) -> None:
        exchange.head()
        await exchange.chunk(sent)

    with pytest.raises(ProviderProtocolError, match=reason):
        await read_whole(answer)


async def test_an_answer_that_does_not_end_is_given_up() -> None:
    with pytest.raises(ProviderUnavailable, match=r"did not end its answer within 0\.05 s"):
        await read_whole(no_second_piece, secs=0.05)


async def test_a_missing_secret_says_where_it_goes() -> None:
    async with httpx.AsyncClient() as http:
        with pytest.raises(ProviderError, match=r"acme: no api_key; set it in providers\.acme\.api_key"):
            Context("acme", http=http).secret()


async def test_settings_have_defaults() -> None:
    async with httpx.AsyncClient() as http:
        context = Context("acme", http=http, settings={"region": "eu", "zone": ""}, base_url="http://x/v1/")
    assert (context.setting("region"), context.setting("zone", "a"), context.setting("no")) == ("eu", "a", "")
    assert context.base_url == "http://x/v1"
