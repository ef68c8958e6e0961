"""`voxray serve` as a process: start, signals, workers, TLS, refusals."""

from __future__ import annotations

import json
import os
import select
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import websockets

from tests.server.serving import closing, until

TLS = Path(__file__).parent / "tls"
WAIT_SECS = 30.0
VOICE = {
    "provider": "openai",
    "api_keys": {"openai": "sk-canary-0123456789"},
    "providers": {"openai": {"base_url": "http://127.0.0.1:9/v1"}},
}


@dataclass(slots=True)
class Process:
    process: subprocess.Popen[str]
    url: str = ""

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/ws"

    def wait(self) -> int:
        return self.process.wait(WAIT_SECS)


def started(folder: Path, *arguments: str, **config: Any) -> subprocess.Popen[str]:
    file = folder / "config.json"
    file.write_text(json.dumps({**VOICE, **config}))
    command = [sys.executable, "-m", "voxray.cli.main", "serve", str(file), "--port", "0", *arguments]
    environment = {**os.environ, "VOXRAY_PLUGINS": "openai"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=folder
    )


@contextmanager
def serving_process(folder: Path, *arguments: str, **config: Any) -> Iterator[Process]:
    with started(folder, *arguments, **config) as process:
        try:
            assert process.stdout is not None
            assert select.select([process.stdout], [], [], WAIT_SECS)[0], "it is not ready in time"
            line = process.stdout.readline()
            assert line.startswith("Voxray is ready at "), line + (process.stderr.read() if process.stderr else "")
            yield Process(process, line.split()[-1])
        finally:
            process.kill()


def refusal(folder: Path, *arguments: str, **config: Any) -> tuple[int, str]:
    process = started(folder, *arguments, **config)
    _, errors = process.communicate(timeout=WAIT_SECS)
    return process.returncode, errors


@pytest.mark.anyio
async def test_the_first_signal_drains_and_the_record_says_so(tmp_path: Path) -> None:
    with serving_process(tmp_path, "--json-logs", drain_secs=0.2) as server:
        async with websockets.connect(server.ws_url) as socket:
            await until(socket, "StartFrame")
            server.process.send_signal(signal.SIGTERM)
            code, _ = await closing(socket)
        status = await anyio.to_thread.run_sync(server.wait)
        assert server.process.stdout is not None
        lines = [json.loads(line) for line in server.process.stdout]
    record = next(line for line in lines if line["msg"] == "call ended")
    assert (code, status) == (1001, 0)
    assert record["cause"] == "drained"
    assert record["session_id"]
    assert "sk-canary" not in json.dumps(lines)


@pytest.mark.anyio
async def test_the_second_signal_ends_at_once_and_still_leaves_the_record(tmp_path: Path) -> None:
    with serving_process(tmp_path, "--json-logs", drain_secs=60) as server:
        async with websockets.connect(server.ws_url) as socket, httpx.AsyncClient() as http:
            await until(socket, "StartFrame")
            server.process.send_signal(signal.SIGTERM)
            with anyio.fail_after(WAIT_SECS):
                while (await http.get(server.url + "/ready")).status_code != 503:
                    pass
            began = time.monotonic()
            server.process.send_signal(signal.SIGINT)
            code, _ = await closing(socket)
        status = await anyio.to_thread.run_sync(server.wait)
        took = time.monotonic() - began
        assert server.process.stdout is not None
        lines = [json.loads(line) for line in server.process.stdout]
    assert (code, status) == (1001, 0)
    assert took < 10
    assert any(line["msg"] == "call ended" and line["cause"] == "drained" for line in lines)


def test_tls_is_served(tmp_path: Path) -> None:
    files = {"tls_cert_file": str(TLS / "cert.pem"), "tls_key_file": str(TLS / "key.pem")}
    context = ssl.create_default_context(cafile=str(TLS / "cert.pem"))
    with serving_process(tmp_path, tls_enable=True, **files) as server, httpx.Client(verify=context) as http:
        assert server.url.startswith("https://localhost:")
        assert http.get(server.url + "/health").status_code == 200


@pytest.mark.parametrize(
    ("arguments", "config", "said"),
    [
        (["--host", "0.0.0.0"], {}, "server_api_key"),
        ([], {"tls_enable": True}, "tls_"),
        ([], {"tls_enable": True, "tls_cert_file": "absent.pem", "tls_key_file": "absent.pem"}, "tls_"),
        (["--transport", "no_such_thing"], {}, "no_such_thing"),
    ],
)
def test_what_would_be_unsafe_or_cannot_work_does_not_start(
    tmp_path: Path, arguments: list[str], config: dict[str, Any], said: str
) -> None:
    status, errors = refusal(tmp_path, *arguments, **config)
    assert status == 2
    assert said in errors
    assert "Traceback" not in errors


def test_an_override_opens_a_public_address(tmp_path: Path) -> None:
    with serving_process(tmp_path, "--host", "0.0.0.0", "--insecure") as server:
        port = server.url.rsplit(":", 1)[1]
        assert httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200


def test_check_does_not_start(tmp_path: Path) -> None:
    process = started(tmp_path, "--check")
    output, errors = process.communicate(timeout=WAIT_SECS)
    assert (process.returncode, "ready to serve" in output) == (0, True), errors


def test_a_killed_worker_is_replaced_and_the_metrics_are_of_all(tmp_path: Path) -> None:
    with serving_process(tmp_path, workers=2) as server, httpx.Client() as http:
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
        before = children.read_text().split()
        assert len(before) == 2
        os.kill(int(before[0]), signal.SIGKILL)
        assert http.get(server.url + "/health").status_code == 200
        deadline = time.monotonic() + WAIT_SECS
        now = before
        while (len(now) < 2 or before[0] in now) and time.monotonic() < deadline:
            now = children.read_text().split()
        assert len(now) == 2
        assert before[1] in now
        assert 'route="health"' in http.get(server.url + "/metrics").text
        server.process.send_signal(signal.SIGTERM)
        assert server.wait() == 0
