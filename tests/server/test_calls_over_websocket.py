"""Calls through real sockets: how they begin, go on, end, and what bad clients can do."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import websockets

from tests.server.serving import closing, serving, until
from voxray.audio.format import PCM_24K
from voxray.protocols.call import CallInfo, Outcome
from voxray.server.calls import LAG_PROBES, OVERLOAD_LAG_SECS, Hooks
from voxray.session.services import SessionOptions
from voxray.testing.fakes import ScriptedLlm, ScriptedTts, services

pytestmark = pytest.mark.anyio

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
HELLO = json.dumps({"type": "TranscriptionFrame", "data": {"text": "hello"}})
END = json.dumps({"type": "EndFrame", "data": {}})


def quick(**overrides: Any) -> Any:
    return services(
        llm=ScriptedLlm(["One two three."], first_token_secs=0, token_secs=0),
        tts=ScriptedTts(audio=PCM_24K, first_audio_secs=0, secs_per_char=0.01),
        **overrides,
    )


def long_winded() -> Any:
    return services(
        llm=ScriptedLlm(["word " * 400], first_token_secs=0, token_secs=0),
        tts=ScriptedTts(audio=PCM_24K, first_audio_secs=0, secs_per_char=0.05),
    )


def masked_hello() -> bytes:
    """A client's text frame, masked with zeros."""
    return b"\x81" + bytes([0x80 | len(HELLO)]) + bytes(4) + HELLO.encode()


async def wait_until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not true():
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("path", ["/ws", "/api/v1/ws"])
async def test_a_typed_turn_is_answered_in_words_and_sound(path: str) -> None:
    async with serving(parts=quick()) as server, server.ws(path) as client:
        await client.send(HELLO)
        seen = await until(client, "BotStoppedSpeakingFrame")
        await client.send(END)
        code, reason = await closing(client)
    kinds = [message["type"] for message in seen if isinstance(message, dict)]
    sound = b"".join(message for message in seen if isinstance(message, bytes))
    assert kinds[0] == "StartFrame"
    assert seen[0]["data"]["audio_out_sample_rate"] == 24_000
    for kind in ("UserTurnFrame", "LLMTextFrame", "AggregatedTextFrame", "BotStartedSpeakingFrame", "TurnTimingFrame"):
        assert kind in kinds
    assert PCM_24K.secs(len(sound)) == pytest.approx(0.14, abs=0.02)
    assert seen[-1]["data"] == {"reply": 1, "text": "One two three.", "interrupted": False}
    assert (code, reason) == (1000, "client_asked: client asked")


async def test_compression_is_refused() -> None:
    async with serving(parts=quick()) as server, server.ws(compression="deflate") as client:
        assert "sec-websocket-extensions" not in client.response.headers


async def test_the_request_id_comes_back_with_the_upgrade() -> None:
    async with serving(parts=quick()) as server, server.ws(additional_headers={"X-Request-ID": "r-1"}) as client:
        assert client.response.headers["x-request-id"] == "r-1"


async def refused(connecting: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(websockets.InvalidStatus) as caught:
        await connecting
    response = caught.value.response
    return response.status_code, json.loads(response.body or b"{}")


async def test_the_key_is_checked_before_the_upgrade() -> None:
    async with serving(parts=quick(), server_api_key="right") as server:
        status, body = await refused(server.ws())
        wrong, _ = await refused(server.ws("/ws?api_key=wrong"))
        async with server.ws("/ws?api_key=right"), server.ws(additional_headers={"X-API-Key": "right"}):
            pass
    assert (status, wrong) == (401, 401)
    assert body["error"]["code"] == "UNAUTHORIZED"


@pytest.mark.parametrize(
    ("origin", "settings", "status"),
    [
        ("http://localhost:5173", {}, 101),
        ("http://127.0.0.1:1", {}, 101),
        ("https://evil.example", {}, 403),
        ("null", {}, 403),
        ("http://[broken", {}, 403),
        ("https://good.example", {"cors_allowed_origins": ("https://good.example",)}, 101),
    ],
)
async def test_pages_of_other_sites_are_refused(origin: str, settings: dict[str, Any], status: int) -> None:
    async with serving(parts=quick(), **settings) as server:
        connecting = server.ws(additional_headers={"Origin": origin})
        if status == 101:
            async with connecting:
                pass
        else:
            assert (await refused(connecting))[0] == status


async def test_localhost_is_no_exception_on_a_public_address() -> None:
    async with serving(parts=quick(), host="0.0.0.0") as server:
        status, body = await refused(server.ws(additional_headers={"Origin": "http://localhost:5173"}))
    assert (status, body["error"]["code"]) == (403, "FORBIDDEN")


async def test_a_format_that_is_not_installed_is_a_bad_request() -> None:
    async with serving(parts=quick()) as server:
        status, body = await refused(server.ws("/ws?format=xml"))
        assert (status, body["error"]["code"]) == (400, "BAD_REQUEST")
        async with server.ws("/ws?rtvi=0&format=JSON"):
            pass


async def test_a_full_server_says_so_and_takes_the_next_call_when_there_is_room() -> None:
    async with serving(parts=quick(), max_sessions=1) as server:
        async with server.ws() as first:
            await until(first, "StartFrame")
            status, body = await refused(server.ws())
        await server.emptied()
        async with server.ws() as second:
            await until(second, "StartFrame")
        rejected = await server.metric('sessions_rejected_total{reason="max_sessions"}')
    assert (status, body["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert rejected == 1


async def test_a_message_above_the_limit_closes_with_1009() -> None:
    async with serving(parts=quick()) as server, server.ws() as client:
        await until(client, "StartFrame")
        await client.send(b"\0" * (1024 * 1024 + 2))
        code, _ = await closing(client)
        await server.emptied()
    assert code == 1009


async def test_what_cannot_be_understood_is_answered_and_the_call_goes_on() -> None:
    async with serving(parts=quick()) as server, server.ws() as client:
        for message in ("rubbish", "[]", '{"type": 3}', '{"type": "NoSuchFrame"}', '{"type":"TextFrame","data":[]}'):
            await client.send(message)
            frame = (await until(client, "ErrorFrame"))[-1]
            assert frame["data"]["processor"] == "client"
            assert frame["data"]["fatal"] is False
        await client.send(HELLO)
        await until(client, "BotStoppedSpeakingFrame")


async def test_a_client_that_is_never_understood_is_closed_with_1008() -> None:
    async with serving(parts=quick()) as server, server.ws() as client:
        for _ in range(101):
            await client.send("rubbish")
        code, _ = await closing(client)
        await server.emptied()
    assert code == 1008


async def test_odd_and_empty_sound_and_ten_times_real_time_do_no_harm() -> None:
    async with serving(parts=quick()) as server, server.ws() as client:
        await until(client, "StartFrame")
        for size in (0, 1, 3, 641):
            await client.send(b"\1" * size)
        for _ in range(500):
            await client.send(b"\0" * 640)  # ten seconds of sound at once
        await client.send(HELLO)
        await until(client, "BotStoppedSpeakingFrame")


async def test_a_client_that_vanishes_ends_its_call_with_a_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serving(parts=long_winded()) as server:
        client = await server.ws()
        await client.send(HELLO)
        await until(client, "BotStartedSpeakingFrame")
        client.transport.abort()
        await server.emptied()
        ended = await server.metric('sessions_total{cause="caller_left"')
        active = await server.metric("active_sessions")
    record = next(record for record in caplog.records if record.getMessage() == "call ended")
    assert (ended, active) == (1, 0)
    assert record.cause == "caller_left"  # type: ignore[attr-defined]
    assert record.interruptions == 1  # type: ignore[attr-defined]


async def test_nothing_at_all_ends_the_call_as_idle() -> None:
    async with serving(parts=quick(), ws_idle_timeout_secs=0.05) as server, server.ws() as client:
        seen = await until(client, "EndFrame")
        code, _ = await closing(client)
    assert seen[-1]["data"]["reason"] == "idle"
    assert code == 1000


async def test_a_fault_of_ours_ends_one_call_with_1011_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def open(self, *, language: str | None = None) -> Any:
            raise RuntimeError("boom")

    async with serving(parts=quick(stt=Broken())) as server, server.ws() as client:
        code, reason = await closing(client)
        await server.emptied()
        failed = await server.metric('sessions_total{cause="error"')
    assert code == 1011
    assert "boom" not in reason
    assert failed == 1
    assert sum(1 for record in caplog.records if record.exc_info) == 1


async def test_hooks_see_the_call_and_a_broken_one_harms_nobody() -> None:
    seen: list[object] = []

    def broken(info: CallInfo) -> None:
        raise RuntimeError("boom")

    def ended(info: CallInfo, outcome: Outcome) -> None:
        seen.append((info.session_id, outcome.cause, outcome.turns))

    hooks = Hooks(started=[broken, lambda info: seen.append(info.session_id)], ended=[ended])
    async with serving(parts=quick(), hooks=hooks) as server:
        async with server.ws() as client:
            await client.send(HELLO)
            await until(client, "BotStoppedSpeakingFrame")
            await client.send(END)
            await closing(client)
        await server.emptied()
    assert seen[1] == (seen[0], "client_asked", 1)


async def test_metrics_follow_from_the_calls_log() -> None:
    async with serving(parts=quick()) as server:
        async with server.ws() as client:
            await client.send(HELLO)
            await until(client, "BotStoppedSpeakingFrame")
            assert await server.metric("active_sessions") == 1
            assert await server.metric("ws_connections_active") == 1
        await server.emptied()
        counts = {
            line: await server.metric(line)
            for line in (
                'replies_total{outcome="finished"}',
                'turns_total{cause="text"}',
                "turn_latency_seconds_count",
                'llm_time_to_first_token_seconds_count{model="llm"',
                'tts_time_to_first_audio_chunk_seconds_count{model="tts"',
                "session_duration_seconds_count",
            )
        }
    assert counts == dict.fromkeys(counts, 1)


async def test_draining_refuses_new_calls_and_lets_the_others_end() -> None:
    async with serving(parts=quick()) as server, server.ws() as client:
        await until(client, "StartFrame")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.calls.drain, 5)
            await wait_until(lambda: server.calls.draining)
            ready = await server.http.get("/ready")
            status, _ = await refused(server.ws())
            await client.send(HELLO)
            seen = await until(client, "BotStoppedSpeakingFrame")
            await client.send(END)
            code, _ = await closing(client)
    assert (ready.status_code, status, code) == (503, 503, 1000)
    assert seen[-1]["data"]["interrupted"] is False


async def test_at_the_deadline_of_the_drain_calls_are_hung_up() -> None:
    async with serving(parts=quick()) as server, server.ws() as client:
        await until(client, "StartFrame")
        await server.calls.drain(0.01)
        code, reason = await closing(client)
        ended = await server.metric('sessions_total{cause="drained"')
    assert (code, reason) == (1001, "drained: the server is stopping")
    assert ended == 1


async def test_stopping_at_once_still_leaves_records() -> None:
    async with serving(parts=long_winded()) as server, server.ws() as client:
        await client.send(HELLO)
        await until(client, "BotStartedSpeakingFrame")
        server.calls.end_all()
        await server.emptied()
        code, _ = await closing(client)
        ended = await server.metric('sessions_total{cause="drained"')
    assert (code, ended) == (1001, 1)


async def test_an_interruption_silences_the_bot_and_the_client_is_told_first() -> None:
    async with serving(parts=long_winded()) as server, server.ws() as client:
        await client.send(HELLO)
        await until(client, "BotStartedSpeakingFrame")
        await client.send(json.dumps({"type": "InterruptionFrame", "data": {}}))
        await until(client, "InterruptionFrame")
        rest = await until(client, "BotStoppedSpeakingFrame")
    assert not any(isinstance(message, bytes) for message in rest)
    assert rest[-1]["data"]["interrupted"] is True


async def test_a_greeting_is_spoken_first() -> None:
    options = SessionOptions(greeting="Good day.")
    async with serving(parts=quick(), options=options) as server, server.ws() as client:
        seen = await until(client, "BotStoppedSpeakingFrame")
    assert seen[-1]["data"]["text"] == "Good day."


async def test_a_client_that_never_reads_is_let_go_and_nothing_piles_up() -> None:
    talkative = services(llm=ScriptedLlm(["word " * 20_000], first_token_secs=0, token_secs=0), tts=quick().tts)
    async with serving(parts=talkative) as server:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", server.port))
        with raw:
            raw.sendall(UPGRADE)
            await wait_until(lambda: len(server.calls) == 1)
            raw.sendall(masked_hello())
            with anyio.fail_after(20):
                await server.calls.emptied()
            ended = await server.metric('sessions_total{cause="transport_failed"')
    assert ended == 1


async def test_a_late_event_loop_refuses_new_calls() -> None:
    async with serving(parts=quick()) as server:
        for _ in range(LAG_PROBES):
            server.calls.note_lag(OVERLOAD_LAG_SECS * 2)
        status, body = await refused(server.ws())
        server.calls.note_lag(0.0)
        async with server.ws() as client:
            await until(client, "StartFrame")
    assert status == 503
    assert "overload" in body["error"]["message"]


async def test_frames_before_the_upgrade_is_answered_are_a_bad_request_and_no_call_stays() -> None:
    async with serving(parts=quick()) as server:
        stream = await anyio.connect_tcp("127.0.0.1", server.port)
        async with stream:
            await stream.send(UPGRADE + masked_hello())
            answer = await stream.receive()
        await server.emptied()
    assert answer.startswith(b"HTTP/1.1 400")
