"""The code on the pages of docs/how-to runs: it is taken from there, file by file."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import wave
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.server.serving import serving
from tools.source import ROOT
from voxray.audio.format import PCM_16K
from voxray.server.envelope import Receive, Scope, Send
from voxray.server.routes.endpoint import Endpoint
from voxray.session.services import SessionOptions
from voxray.testing import ScriptedLlm, ScriptedStt, quiet, services, speech

PAGES = ROOT / "docs" / "how-to"


def blocks(page: str) -> dict[str, str]:
    """The files that a page shows: code blocks whose first line is a comment with nothing but a path."""
    text = (PAGES / page).read_text(encoding="utf-8")
    found = {}
    for block in re.findall(r"^```\w+\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        named = re.match(r"(?:# |<!-- )([\w./-]+\.\w+)(?: -->)?\n", block)
        if named:
            found[named[1]] = block
    return found


def write(page: str, folder: Path) -> list[str]:
    files = blocks(page)
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return sorted(files)


def install(folder: Path) -> None:
    """What an installer would write beside an editable package."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [f"{name} = {module}" for name, module in project["entry-points"]["voxray"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[voxray]", *lines, ""]))


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    run = [sys.executable, *arguments]
    return subprocess.run(run, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def passes(folder: Path) -> None:
    """The tests of the package in `folder` pass, and the linter has nothing to say."""
    install(folder)
    for run in (("-m", "pytest", "-p", "no:cacheprovider"), ("-m", "ruff", "check", ".")):
        result = python(folder, *run)
        assert result.returncode == 0, result.stdout + result.stderr


# ── Talk over the websocket ──


@pytest.mark.anyio
async def test_the_client_in_python_asks_and_records_the_answer(tmp_path: Path) -> None:
    write("talk-over-the-websocket.md", tmp_path)
    with wave.open(str(tmp_path / "question.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(quiet(PCM_16K, 0.2) + speech(PCM_16K, 0.6))
    parts = services(stt=ScriptedStt(["when is breakfast"]), llm=ScriptedLlm(["At seven."]))
    async with serving(parts=parts, options=SessionOptions(turn_stop_secs=0.3)) as server:
        url = f"ws://127.0.0.1:{server.port}/ws"
        with anyio.fail_after(20):
            run = await anyio.to_thread.run_sync(python, tmp_path, "client.py", url, "question.wav", "answer.wav")
        await server.emptied()
    assert run.returncode == 0, run.stderr
    assert "'text': 'when is breakfast'" in run.stdout
    assert "EndFrame {'reason': 'client_asked'" in run.stdout
    with wave.open(str(tmp_path / "answer.wav")) as file:
        assert (file.getframerate(), file.getnchannels()) == (24_000, 1)
        assert 0.3 < file.getnframes() / 24_000 < 1.0


def page(source: str) -> Endpoint:
    body = source.encode()

    async def get(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return Endpoint(name="page", path="/talk.html", handlers={"GET": get}, docs={})


CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")


@pytest.mark.anyio
@pytest.mark.skipif(not Path(CHROMIUM).exists() and not os.environ.get("CI"), reason="needs Chromium")
async def test_the_client_in_a_browser_is_understood_and_hears_the_answer(tmp_path: Path) -> None:
    from playwright.async_api import async_playwright

    with wave.open(str(tmp_path / "question.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(quiet(PCM_16K, 1.0) + speech(PCM_16K, 0.6) + quiet(PCM_16K, 10.0))
    microphone = [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={tmp_path / 'question.wav'}%noloop",
        "--autoplay-policy=no-user-gesture-required",
        "--no-sandbox",
    ]
    parts = services(stt=ScriptedStt(["when is breakfast"]), llm=ScriptedLlm(["At seven."]))
    async with (
        serving(
            parts=parts,
            options=SessionOptions(turn_stop_secs=0.3),
            extra=[page(blocks("talk-over-the-websocket.md")["talk.html"])],
        ) as server,
        async_playwright() as driver,
    ):
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=microphone)
        tab = await browser.new_page()
        errors: list[Any] = []
        tab.on("pageerror", lambda error: errors.append(error))
        await tab.goto(f"http://127.0.0.1:{server.port}/talk.html")
        await tab.click("#talk")
        await tab.wait_for_function("document.getElementById('log').textContent.includes('agent: At seven.')")
        log = await tab.inner_text("#log")
        await browser.close()
        await server.emptied()
    assert "you: when is breakfast" in log
    assert errors == []


# ── Write a pipeline plugin ──

PYPROJECT = """
[project]
name = "voxray-{name}"
version = "0.1.0"

[project.entry-points.voxray]
{name} = "voxray_{name}"
"""
README = '```json\n{{"plugins": ["{name}"]}}\n```\n'


def package(page: str, name: str, folder: Path) -> Path:
    """The package that a page shows, with what `voxray new` writes around it."""
    files = write(page, folder)
    if "pyproject.toml" not in files:
        (folder / "pyproject.toml").write_text(PYPROJECT.format(name=name))
    if "README.md" not in files:
        (folder / "README.md").write_text(README.format(name=name))
    return folder


def yaml_configurations(page: str) -> list[str]:
    text = (PAGES / page).read_text(encoding="utf-8")
    return [
        block for block in re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE) if "_provider" in block
    ]


def validates(folder: Path, config: str) -> None:
    """With the package of `folder` installed, `config` has no mistakes."""
    (folder / "config.yaml").write_text(config)
    result = python(folder, "-m", "voxray", "validate", "config.yaml")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_pipeline_plugin_passes_its_tests_and_is_known_to_the_configuration(tmp_path: Path) -> None:
    package("write-a-pipeline-plugin.md", "notice", tmp_path)
    passes(tmp_path)
    for config in yaml_configurations("write-a-pipeline-plugin.md"):
        validates(tmp_path, config)


# ── Add a provider ──


def test_a_vendor_that_speaks_openais_api_is_data_only(tmp_path: Path) -> None:
    files = blocks("add-a-provider.md")
    for path in ("voxray_nimbus.py", "pyproject.toml"):
        (tmp_path / path).write_text(files[path])
    install(tmp_path)
    shown = python(tmp_path, "-m", "voxray", "providers", "show", "nimbus")
    assert shown.returncode == 0, shown.stderr
    assert "cumulus-2" in shown.stdout
    assert "breeze-1" in shown.stdout
    validates(tmp_path, "llm_provider: nimbus\ntts_provider: nimbus\nturn_detection: silence\n")


def test_the_provider_that_is_made_from_a_new_package_passes_its_tests(tmp_path: Path) -> None:
    made = python(tmp_path, "-m", "voxray", "new", "acme", "--kind", "tts")
    assert made.returncode == 0, made.stderr
    folder = tmp_path / "voxray-acme"
    for path, text in blocks("add-a-provider.md").items():
        if "acme" in path:
            assert (folder / path).exists(), f"voxray new writes no {path}"
            (folder / path).write_text(text)
    passes(folder)
    for config in yaml_configurations("add-a-provider.md"):
        validates(folder, config)


# ── Give the agent tools ──


def test_the_tool_source_passes_its_tests_and_is_known_to_the_configuration(tmp_path: Path) -> None:
    package("give-the-agent-tools.md", "shop", tmp_path)
    (tmp_path / "README.md").write_text('```json\n{"tools": ["shop"]}\n```\n')
    passes(tmp_path)
    for config in yaml_configurations("give-the-agent-tools.md"):
        validates(tmp_path, config)


# ── Observe ──

ENDED = """
import voxray_records
from voxray.protocols.call import CallInfo, Outcome
info = CallInfo(session_id="s1", transport="websocket", started_at=0.0, remote="127.0.0.1")
record = Outcome(cause="idle", duration_secs=1.5, turns=1, replies=2, interruptions=0, failures=0,
    latencies_secs=(0.7,))
voxray_records.voxray_session_ended(session=info, outcome=record)
"""


def test_the_plugin_for_records_writes_a_line_for_each_call(tmp_path: Path) -> None:
    write("observe.md", tmp_path)
    ran = python(tmp_path, "-c", ENDED)
    assert ran.returncode == 0, ran.stderr
    (line,) = (tmp_path / "calls.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert (record["session_id"], record["cause"], record["latencies_secs"]) == ("s1", "idle", [0.7])
