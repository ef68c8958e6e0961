"""The OpenAI simulator, by plain HTTP and with the vendor's own SDK."""

import json
import signal
import subprocess
import sys
from typing import Any

import anyio
import httpx
import openai
import pytest

from voxray.audio.tone import tone
from voxray.audio.wav import parse_wav, wav_bytes
from voxray.testing.faults import Fault
from voxray.testing.http_server import Exchange, FakeServer
from voxray.testing.openai_api import OpenAiApi
from voxray.testing.replies import Call, Reply

pytestmark = pytest.mark.anyio

ASK = {"model": "m", "messages": [{"role": "user", "content": "Say something"}]}
SPEAK = {"model": "m", "voice": "v", "input": "Hi there", "response_format": "pcm"}


def client(api: OpenAiApi, http: httpx.AsyncClient, key: str = "k") -> openai.AsyncOpenAI:
    options: dict[str, Any] = {"http_client": http}
    return openai.AsyncOpenAI(api_key=key, base_url=api.base_url, max_retries=0, **options)


async def test_the_vendors_sdk_reads_a_stream_with_tools_and_usage() -> None:
    reply = Reply("Let me look.", calls=[Call("clock", {"zone": "UTC"})], usage=(7, 3, 0))
    async with OpenAiApi(replies=[reply], token_ms=1) as api, httpx.AsyncClient() as http:
        text, arguments, usage = "", "", None
        options: Any = {**ASK, "stream": True, "stream_options": {"include_usage": True}}
        async for chunk in await client(api, http).chat.completions.create(**options):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
                for call in choice.delta.tool_calls or ():
                    arguments += (call.function.arguments if call.function else "") or ""
    assert text == "Let me look."
    assert json.loads(arguments) == {"zone": "UTC"}
    assert usage is not None
    assert usage.total_tokens == 10


async def test_without_replies_the_user_is_echoed() -> None:
    async with OpenAiApi() as api, httpx.AsyncClient() as http:
        body = (await http.post(f"{api.base_url}/chat/completions", json=ASK)).json()
    assert body["choices"][0]["message"]["content"] == "Say something"


async def test_replies_may_depend_on_the_messages() -> None:
    async with OpenAiApi(replies=lambda messages: f"{len(messages)} messages") as api, httpx.AsyncClient() as http:
        done = await client(api, http).chat.completions.create(**ASK)  # type: ignore[call-overload]
    assert done.choices[0].message.content == "1 messages"


async def test_a_list_of_replies_is_used_up_and_its_last_one_stays() -> None:
    async with OpenAiApi(replies=["one", "two"]) as api, httpx.AsyncClient() as http:
        answers = [(await http.post(f"{api.base_url}/chat/completions", json=ASK)).json() for _ in range(3)]
    assert [answer["choices"][0]["message"]["content"] for answer in answers] == ["one", "two", "two"]


async def test_speech_is_as_long_as_its_text_and_starts_when_told() -> None:
    async with OpenAiApi(first_audio_ms=30, audio_ms_per_char=50) as api, httpx.AsyncClient() as http:
        before = anyio.current_time()
        pcm = (await http.post(f"{api.base_url}/audio/speech", json=SPEAK)).content
        wav = (await http.post(f"{api.base_url}/audio/speech", json=SPEAK | {"response_format": "wav"})).content
        assert anyio.current_time() - before >= 0.06
    assert len(pcm) == 8 * 0.05 * 48_000
    assert parse_wav(wav) == (pcm, 24_000)


async def test_paced_speech_is_not_faster_than_real_time() -> None:
    async with OpenAiApi(paced=True) as api, httpx.AsyncClient() as http:
        before = anyio.current_time()
        await http.post(f"{api.base_url}/audio/speech", json=SPEAK)
        assert anyio.current_time() - before >= 8 * 0.06 - 0.3


async def test_an_upload_is_transcribed() -> None:
    wav = wav_bytes(tone((300,), 0.3, 16_000), 16_000)
    async with OpenAiApi(transcripts=lambda heard: f"{len(heard)} bytes") as api, httpx.AsyncClient() as http:
        audio = client(api, http).audio.transcriptions
        done = await audio.create(file=("a.wav", wav, "audio/wav"), model="m")
        assert done.text == f"{len(wav)} bytes"
        with pytest.raises(openai.BadRequestError, match="too short"):
            await audio.create(file=("a.wav", wav[:1000], "audio/wav"), model="m")


async def test_models_are_listed_and_keys_checked() -> None:
    async with OpenAiApi(key="right") as api, httpx.AsyncClient() as http:
        names = [model.id async for model in client(api, http, "right").models.list()]
        with pytest.raises(openai.AuthenticationError):
            await client(api, http, "wrong").models.list()
    assert "gpt-6-luna" in names


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/chat/completions", {"model": "m"}),
        ("/chat/completions", []),
        ("/audio/speech", {**SPEAK, "input": "  "}),
        ("/audio/speech", {**SPEAK, "response_format": "mp3"}),
        ("/audio/transcriptions", {"file": "x"}),
        ("/realtime", {}),
    ],
)
async def test_a_bad_request_is_refused(path: str, body: object) -> None:
    async with OpenAiApi() as api, httpx.AsyncClient() as http:
        response = await http.post(api.base_url + path, json=body)
    assert response.status_code in (400, 404)
    assert response.json()["error"]["message"]


async def test_a_fault_strikes_the_requests_it_names_and_no_other() -> None:
    faults = [
        Fault(path="/chat/completions", nth=2, times=2, status=429, retry_after=2),
        Fault(path="/models", times=0),
    ]
    async with OpenAiApi(faults=faults) as api, httpx.AsyncClient() as http:
        answers = [await http.post(f"{api.base_url}/chat/completions", json=ASK) for _ in range(4)]
        models = [await http.get(f"{api.base_url}/models") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429, 429, 200]
    assert answers[1].headers["retry-after"] == "2"
    assert [answer.status_code for answer in models] == [500, 500]


async def test_the_log_says_when_the_client_left() -> None:
    async with OpenAiApi(faults=[Fault("stall", after=3)], replies=["a b c d"]) as api, httpx.AsyncClient() as http:
        url = f"{api.base_url}/chat/completions"
        async with http.stream("POST", url, json=ASK | {"stream": True}, headers={"X-Call": "1"}) as response:
            async for _ in response.aiter_raw():
                break
        with anyio.fail_after(5):
            await api.requests[0].finished.wait()
        request = api.requests[0]
    assert request.client_closed
    assert request.sent_bytes > 100
    assert request.ended_at >= request.at
    assert (request.method, request.path, request.headers["x-call"]) == ("POST", "/v1/chat/completions", "1")


async def test_connections_are_kept_and_requests_in_one_packet_answered_in_turn() -> None:
    async def answer(exchange: Exchange) -> None:
        exchange.respond(200, exchange.request.path.encode(), "text/plain")

    async with FakeServer(answer) as server:
        stream = await anyio.connect_tcp(server.host, server.port)
        async with stream:
            await stream.send(b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\nConnection: close\r\n\r\n")
            received = b""
            with anyio.fail_after(5):
                async for piece in stream:
                    received += piece
    assert received.count(b"200 OK") == 2
    assert received.index(b"/a") < received.index(b"/b")
    assert server.accepted == 1


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000, b"431"),
    ],
)
async def test_rubbish_is_refused_and_the_connection_closed(raw: bytes, status: bytes) -> None:
    async with OpenAiApi() as api:
        stream = await anyio.connect_tcp("127.0.0.1", api.server.port)
        async with stream:
            await stream.send(raw)
            with anyio.fail_after(5):
                assert status in await stream.receive()


def test_it_runs_as_a_process() -> None:
    command = [sys.executable, "-u", "-m", "voxray.testing", "openai", "--say", "Hello!", "--first-token-ms", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            base_url = process.stdout.readline().strip()
            answer = httpx.post(f"{base_url}/chat/completions", json=ASK, timeout=10).json()
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()
    assert answer["choices"][0]["message"]["content"] == "Hello!"
