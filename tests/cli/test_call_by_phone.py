"""The command with a simulated carrier, against the real server in another thread."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from click.testing import CliRunner, Result

from tests.server.serving import Served, serving
from voxray.audio.format import PCM_16K
from voxray.audio.wav import read_wav, wav_bytes
from voxray.cli.main import cli
from voxray.config.settings import TelephonySettings
from voxray.registry import Registry, make
from voxray.session.services import SessionOptions
from voxray.specs import CarrierSpec
from voxray.testing.fakes import ScriptedLlm, ScriptedStt, ScriptedTts, services, speech
from voxray.wire.context import Context

SECRETS = {"account_sid": "AC1", "auth_token": "shared"}


@asynccontextmanager
async def phone_server(rest_port: int = 9) -> Any:
    parts = services(
        stt=ScriptedStt(["hello", "stop"], delay_secs=0.01),
        llm=ScriptedLlm(
            ["And so it goes on for a while, and on, and on. " * 2, "Bye."], first_token_secs=0, token_secs=0
        ),
        tts=ScriptedTts(first_audio_secs=0, secs_per_char=0.02),
    )
    async with httpx.AsyncClient() as http:
        base_url = f"http://127.0.0.1:{rest_port}"
        context = Context("twilio", http=http, secrets=lambda key: SECRETS.get(key, ""), base_url=base_url)
        twilio = make(Registry.load(only=["twilio"]).get(CarrierSpec, "twilio"), context, {})
        options = SessionOptions(greeting="Hi.", turn_stop_secs=0.2, interrupt_min_speech_ms=100)
        telephony = TelephonySettings(caller_id="+15005550001")
        async with serving(parts=parts, options=options, carriers=[twilio], telephony=telephony) as server:
            yield server


@contextmanager
def running(manager: AbstractAsyncContextManager[Served]) -> Iterator[Served]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(manager) as server:
        yield server


def voxray(*arguments: object, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(cli, ["call", *map(str, arguments)])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def place(url: str, api_port: int) -> None:
    """Have the server call, once the carrier's API is there."""
    while True:
        try:
            await (await anyio.connect_tcp("127.0.0.1", api_port)).aclose()
            break
        except OSError:
            await anyio.sleep(0.02)
    async with httpx.AsyncClient() as http:
        (await http.post(f"{url}/api/v1/calls", json={"to": "+15005550077"})).raise_for_status()


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "hello.wav").write_bytes(wav_bytes(speech(PCM_16K, 0.4), 16_000))
    path = tmp_path / "script.yaml"
    path.write_text(
        "greeting: true\n"
        "turns:\n"
        "  - wav: hello.wav\n"
        "    max_latency_ms: 2000\n"
        "  - wav: hello.wav\n"
        "    barge_in_after: 0.3\n"
    )
    return path


def test_a_script_holds_by_phone(script: Path, tmp_path: Path) -> None:
    with running(phone_server()) as server:
        url = f"http://127.0.0.1:{server.port}"
        result = voxray(
            url,
            "--carrier",
            "twilio",
            "--script",
            script,
            "--record",
            tmp_path / "out.wav",
            "--json",
            TWILIO_AUTH_TOKEN="shared",
        )
    assert result.exit_code == 0, result.output
    (call,) = json.loads(result.stdout)["calls"]
    greeting, first, second = call["turns"]
    assert greeting["latency_ms"] is not None
    assert (first["interrupted"], second["interrupted"]) == (True, False)
    assert call["session_id"].startswith("CA")
    pcm, rate_hz = read_wav(tmp_path / "out.wav")
    assert rate_hz == 8000
    assert any(pcm)


def test_a_wrong_secret_is_no_connection(script: Path) -> None:
    with running(phone_server()) as server:
        url = f"http://127.0.0.1:{server.port}"
        result = voxray(url, "--carrier", "twilio", "--secret", "wrong", "--script", script)
    assert result.exit_code == 3
    assert "403" in " ".join(result.output.split())


def test_the_server_calls_us(script: Path) -> None:
    port = free_port()
    with running(phone_server(port)) as server, start_blocking_portal() as portal:
        url = f"http://127.0.0.1:{server.port}"
        portal.start_task_soon(place, url, port)
        result = voxray(
            url,
            *("--carrier", "twilio", "--dial", port, "--script", script, "--json"),
            TWILIO_AUTH_TOKEN="shared",
            TWILIO_ACCOUNT_SID="AC1",
        )
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--carrier", "acme"], "none of twilio"),
        (["--secret", "x"], "say which --carrier"),
        (["--carrier", "twilio", "--dial", "1", "--count", "2"], "one call"),
    ],
)
def test_wrong_usage_is_named(arguments: list[str], said: str, script: Path) -> None:
    result = voxray("http://127.0.0.1:9", *arguments, "--script", script)
    assert result.exit_code == 2
    assert said in result.output


def test_words_cannot_be_expected_of_a_phone(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("turns:\n  - say: hello\n    expect_heard: hello\n  - text: hi\n    expect_tool: look\n")
    result = voxray("http://127.0.0.1:9", "--carrier", "plivo", "--script", path)
    assert result.exit_code == 2
    for name in ("turns[0].expect_heard", "turns[1].text", "turns[1].expect_tool", "sound only"):
        assert name in result.output
