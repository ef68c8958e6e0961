"""The server's plain HTTP: health, envelopes, ids, keys, limits."""

from __future__ import annotations

import json
import socket

import anyio
import pytest

from tests.server.serving import serving
from voxray.errors import StoreError
from voxray.server.envelope import Receive, Scope, Send, respond, success
from voxray.server.routes.endpoint import Doc, Endpoint

pytestmark = pytest.mark.anyio


def echo(*, keyed: bool = False) -> Endpoint:
    """POST /echo answers how many bytes came; with `{"fail": true}` it fails."""

    async def post(scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if b"fail" in body:
            raise RuntimeError("boom")
        await respond(scope, send, 201, success(scope, {"bytes": len(body)}))

    doc = Doc(summary="Echo", tags=("test",), request={"type": "object"}, responses={201: ("Done", {"type": "object"})})
    return Endpoint(
        name="echo",
        path="/echo",
        versioned="/echo",
        handlers={"POST": post},
        docs={"POST": doc},
        keyed=keyed,
        cors=True,
    )


@pytest.mark.parametrize("path", ["/health", "/api/v1/health", "/ready", "/api/v1/ready"])
async def test_health_and_readiness_answer_in_the_envelope(path: str) -> None:
    async with serving() as server:
        answer = await server.http.get(path)
    assert answer.status_code == 200
    assert answer.json()["data"] == {"status": "ok"}
    assert answer.json()["meta"]["requestId"] == answer.headers["x-request-id"]
    assert answer.headers["cache-control"] == "no-store"


async def test_the_clients_request_id_comes_back_bounded() -> None:
    async with serving() as server:
        answers = [
            await server.http.get("/health", headers={"X-Request-ID": given})
            for given in ("abc-1", "x" * 500, "é".encode("latin-1"))
        ]
    assert answers[0].json()["meta"]["requestId"] == "abc-1"
    assert answers[1].headers["x-request-id"] == "x" * 128
    assert len(answers[2].headers["x-request-id"]) == 36


async def test_what_does_not_exist_is_not_found_in_the_envelope() -> None:
    async with serving() as server:
        answer = await server.http.get("/nothing/here")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "NOT_FOUND"
    assert answer.json()["error"]["requestId"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/health", "/metrics", "/swagger/doc.json"])
async def test_a_wrong_method_is_405_with_allow(path: str) -> None:
    async with serving() as server:
        answer = await server.http.delete(path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert answer.json()["error"] == {
        "code": "BAD_REQUEST",
        "message": "Method not allowed",
        "requestId": answer.headers["x-request-id"],
    }


async def test_a_fault_is_logged_with_its_stack_and_answered_with_500(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(extra=[echo()]) as server:
        answer = await server.http.post("/echo", content=b"fail")
        after = await server.http.get("/health")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "INTERNAL_ERROR"
    assert "boom" not in answer.text
    assert after.status_code == 200
    faults = [record for record in caplog.records if record.exc_info]
    assert len(faults) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": "right"},
        {"Authorization": "Bearer right"},
        {"Authorization": "bEARER   right"},
        {"X-API-Key": "right", "Authorization": "Bearer wrong"},
    ],
)
async def test_the_key_opens_in_either_header(headers: dict[str, str]) -> None:
    async with serving(extra=[echo(keyed=True)], server_api_key="right") as server:
        answer = await server.http.post("/echo", content=b"{}", headers=headers)
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": "wrong"},
        {"X-API-Key": "wrong", "Authorization": "Bearer right"},
        {"Authorization": "Basic right"},
        {"Authorization": "right"},
        {"X-API-Key": "rïght".encode("latin-1").decode("latin-1")},
    ],
)
async def test_without_the_key_a_request_is_unauthorized(headers: dict[str, str]) -> None:
    async with serving(extra=[echo(keyed=True)], server_api_key="right") as server:
        encoded = {name: value.encode("latin-1") for name, value in headers.items()}
        answer = await server.http.post("/echo", content=b"{}", headers=encoded)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "UNAUTHORIZED"
    assert answer.json()["error"]["message"] == "Unauthorized"


async def test_health_needs_no_key() -> None:
    async with serving(server_api_key="right") as server:
        assert (await server.http.get("/health")).status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_above_the_limit_is_a_bad_request(chunked: bool) -> None:
    async def pieces() -> object:
        for _ in range(20):
            yield b"x" * 100

    async with serving(extra=[echo()], max_request_body_bytes=1000) as server:
        content = pieces() if chunked else b"x" * 2000
        answer = await server.http.post("/echo", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "BAD_REQUEST"
    assert "1000 bytes" in answer.json()["error"]["message"]


async def test_a_body_that_does_not_arrive_is_given_up() -> None:
    async with serving(extra=[echo()], body_secs=0.05) as server:
        stream = await anyio.connect_tcp("127.0.0.1", server.port)
        async with stream:
            await stream.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
            with anyio.fail_after(5):
                answer = await stream.receive()
        timeouts = await server.metric('http_timeout_total{method="POST",route="echo"}')
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"BAD_REQUEST" in answer
    assert timeouts == 1


async def test_a_preflight_is_answered_before_the_key_is_asked_for() -> None:
    async with serving(extra=[echo(keyed=True)], server_api_key="k", cors_allowed_origins=("https://a.example",)) as it:
        answer = await it.http.options("/api/v1/echo", headers={"Origin": "https://a.example"})
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert answer.headers["access-control-allow-methods"] == "OPTIONS, POST"
    assert "Idempotency-Key" in answer.headers["access-control-allow-headers"]
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    ("configured", "key", "expected"),
    [
        (None, "", "*"),
        (None, "k", None),
        ((), "", None),
        (("https://b.example",), "", None),
        (("https://a.example",), "", "https://a.example"),
    ],
)
async def test_cors_knows_three_states(configured: tuple[str, ...] | None, key: str, expected: str | None) -> None:
    async with serving(extra=[echo()], server_api_key=key, cors_allowed_origins=configured) as server:
        answer = await server.http.post("/echo", content=b"{}", headers={"Origin": "https://a.example"})
    assert answer.headers.get("access-control-allow-origin") == expected


class LostStore:
    async def ping(self) -> None:
        raise StoreError("gone")


async def test_the_server_is_not_ready_without_its_session_store() -> None:
    async with serving(session_store=LostStore()) as server:
        answer = await server.http.get("/ready")
    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == "session store unavailable"


async def test_metrics_are_exposed_or_switched_off() -> None:
    async with serving() as server:
        await server.http.get("/health")
        shown = await server.http.get("/metrics")
    async with serving(metrics_enabled=False) as server:
        hidden = await server.http.get("/metrics")
    assert 'http_requests_total{direction="ingress",method="GET",model="",route="health"' in shown.text
    assert 'status_code="200"' in shown.text
    assert (hidden.status_code, hidden.content) == (204, b"")


async def test_the_api_document_describes_every_route() -> None:
    async with serving(extra=[echo(keyed=True)]) as server:
        document = (await server.http.get("/swagger/doc.json")).json()
    assert document["swagger"] == "2.0"
    assert document["basePath"] == "/api/v1"
    assert set(document["paths"]) == {"/health", "/ready", "/echo", "/start", "/ws"}
    assert {"/metrics", "/health", "/ready", "/ws", "/echo"} <= set(document["x-unversioned-paths"])
    assert document["paths"]["/echo"]["post"]["security"]
    codes = document["definitions"]["Error"]["properties"]["error"]["properties"]["code"]["enum"]
    assert len(codes) == 10
    names = [op["operationId"] for item in document["paths"].values() for op in item.values()]
    assert len(names) == len(set(names))


async def test_headers_that_never_end_are_cut() -> None:
    async with serving(header_secs=0.05) as server:
        stream = await anyio.connect_tcp("127.0.0.1", server.port)
        async with stream:
            await stream.send(b"GET /health HTTP/1.1\r\nHost:")
            with anyio.fail_after(5), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stream.receive()


async def test_rubbish_instead_of_http_is_a_bad_request() -> None:
    async with serving() as server:
        stream = await anyio.connect_tcp("127.0.0.1", server.port)
        async with stream:
            await stream.send(b"\x16\x03\x01 this is not http\r\n\r\n")
            answer = await stream.receive()
        assert answer.startswith(b"HTTP/1.1 400")
        assert (await server.http.get("/health")).status_code == 200


async def test_a_flood_of_headers_is_refused() -> None:
    async with serving() as server:
        answer = await server.http.get("/health", headers={f"X-{number}": "y" * 1000 for number in range(100)})
    assert answer.status_code in (400, 431)


def test_a_free_port_can_be_asked_for() -> None:
    from voxray.config.settings import Settings
    from voxray.server.run import address, listen

    with listen(Settings(), 0) as listener:
        assert isinstance(listener, socket.socket)
        assert address(Settings(), listener).startswith("http://localhost:")
        assert json.dumps(address(Settings(), listener))
