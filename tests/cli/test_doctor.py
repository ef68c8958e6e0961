"""`voxray doctor`: what it finds, and when it fails."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from click.testing import CliRunner

from voxray.cli.main import cli
from voxray.testing.http_server import Exchange, FakeServer


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["doctor", "--json", *arguments])


def checks(result: Any, topic: str) -> list[tuple[str, str]]:
    found = json.loads(result.stdout)["checks"]
    return [(check["state"], check["detail"]) for check in found if check["topic"] == topic]


def configured(folder: Path, **keys: Any) -> str:
    path = folder / "config.json"
    path.write_text(json.dumps({"host": "127.0.0.1", "port": free_port()} | keys))
    return str(path)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_an_installation_that_works_has_nothing_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VOXRAY_CONFIG", raising=False)
    result = run()
    assert result.exit_code == 0, result.output
    assert checks(result, "python")[0][0] == "ok"
    assert "anyio" in checks(result, "dependencies")[0][1]
    assert checks(result, "config") == [("note", "no config.json here; name one to have it checked")]


def test_a_port_in_use_is_a_problem(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        result = run(configured(tmp_path, port=server.getsockname()[1]))
    assert result.exit_code == 1
    assert checks(result, "port")[0][0] == "problem"


def test_a_configuration_with_errors_is_a_problem(tmp_path: Path) -> None:
    result = run(configured(tmp_path, vad_type="enrgy"))
    assert result.exit_code == 1
    assert "voxray validate" in checks(result, "config")[0][1]


def test_a_configuration_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    result = run(str(tmp_path / "nothing.json"))
    assert result.exit_code == 1
    assert "cannot be read" in checks(result, "config")[0][1]


def test_tls_files_that_are_no_certificate_are_a_problem(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("no certificate")
    (tmp_path / "key.pem").write_text("no key")
    files = {"tls_cert_file": str(tmp_path / "cert.pem"), "tls_key_file": str(tmp_path / "key.pem")}
    result = run(configured(tmp_path, tls_enable=True, **files))
    assert result.exit_code == 1
    assert checks(result, "tls")[0][0] == "problem"


def test_a_missing_key_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    result = run(configured(tmp_path, provider="openai"))
    assert result.exit_code == 1
    assert checks(result, "llm openai") == [("problem", "no key; set OPENAI_API_KEY")]


async def models(exchange: Exchange) -> None:
    known = exchange.request.headers.get("authorization") == "Bearer sk-right"
    exchange.json(200 if known else 401, {"data": []})


@pytest.mark.anyio
@pytest.mark.parametrize(("key", "state"), [("sk-right", "ok"), ("sk-wrong", "problem")])
async def test_online_the_vendor_is_asked_once_with_the_key(
    key: str, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    async with FakeServer(models) as server:
        config = configured(tmp_path, provider="openai", providers={"openai": {"base_url": server.url}})
        result = await anyio.to_thread.run_sync(run, "--online", config)
        asked = [request.path for request in server.requests]
    assert asked == ["/models"]
    assert checks(result, "stt openai")[0][0] == state
    assert result.exit_code == (0 if state == "ok" else 1)
    assert key not in result.output


def test_without_online_nobody_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    config = configured(tmp_path, provider="openai", providers={"openai": {"base_url": "http://127.0.0.1:9"}})
    assert run(config).exit_code == 0


def test_the_text_ends_with_a_verdict(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["doctor", configured(tmp_path)])
    assert result.output.endswith("nothing wrong\n")
