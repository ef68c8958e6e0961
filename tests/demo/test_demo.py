"""`voxray demo` from the outside: its server, in writing, checked by voice, and what it says when parts are missing."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from importlib import import_module

import pytest

from voxray.demo.agent import FLOW, MissingPartsError, demo_config, demo_registry, demo_settings
from voxray.demo.check import dialogues
from voxray.server.routes.console import console_endpoints

DEMO = [sys.executable, "-m", "voxray.cli.main", "demo"]


def run(*arguments: str, typed: str = "", secs: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DEMO, *arguments], input=typed, capture_output=True, text=True, timeout=secs, check=False)


def test_a_conversation_through_a_pipe() -> None:
    lines = ["I want to book a room for two nights", "on Monday", "two guests", "yes", "goodbye"]
    done = run("--text", typed="\n".join(lines))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    said = [line.removeprefix("agent  ") for line in done.stdout.splitlines() if line.startswith("agent")]
    assert said[0] == "Welcome to the Harbor Hotel. How can I help you?"
    assert "2 nights from Monday, for 2 guests. Is that right?" in said
    assert any("Your room is booked" in line for line in said)
    assert "tool   book_room(nights=2, day=Monday, guests=2)" in done.stdout
    assert done.stdout.splitlines()[-1] == "the agent hung up"


def test_the_end_of_the_input_hangs_up() -> None:
    done = run("--text", typed="When is breakfast?\n")
    assert done.returncode == 0
    assert "seven until ten" in done.stdout
    assert done.stdout.splitlines()[-1] == "you hung up"


def test_two_dialogues_are_spoken_and_understood() -> None:
    done = run("--check", "--json", "--dialogue", "cancel a booking", "--dialogue", "one after the other")
    found = json.loads(done.stdout)
    assert found["turns"] == sum(dialogue["turns"] for dialogue in found["dialogues"]) >= 2
    assert found["share"] >= 0.9, done.stdout
    assert done.returncode == (0 if found["share"] >= 0.95 else 1)


def test_a_dialogue_of_an_unknown_name_is_refused() -> None:
    done = run("--check", "--dialogue", "buy a boat")
    assert done.returncode == 2
    assert "no dialogue of that name" in done.stderr


def test_there_are_ten_dialogues() -> None:
    assert len(dialogues()) == 10
    assert sum(len(script.turns) for script in dialogues()) >= 50


def test_the_greeting_is_the_flows_own() -> None:
    flow = import_module("voxray_dialogue.loading").load(str(FLOW))
    assert str(demo_config()["greeting"]).startswith(flow.greeting)


def test_settings_ignore_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXRAY_SERVER_API_KEY", "secret")
    monkeypatch.setenv("VOXRAY_PLUGINS", "groq")
    settings = demo_settings(demo_registry())
    assert settings.server_api_key == ""
    assert settings.stt_provider == "pocketsphinx"


def test_missing_packages_are_named_with_the_line_that_installs_them() -> None:
    packages = "voxray-dialogue voxray-espeak voxray-pocketsphinx voxray-silero"
    with pytest.raises(MissingPartsError, match=f"pip install {packages}"):
        demo_registry(entries=[])


def test_the_server_has_the_page_beside_its_own_routes(demo: str) -> None:
    with urllib.request.urlopen(demo) as answer:
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert b"<title>Voxray</title>" in answer.read()
    with urllib.request.urlopen(f"{demo}/console/agent.json") as answer:
        assert json.load(answer)["title"] == "Harbor Hotel"
    with urllib.request.urlopen(f"{demo}/health") as answer:
        assert answer.status == 200


def test_every_file_of_the_page_has_a_route() -> None:
    paths = {endpoint.path for endpoint in console_endpoints({})}
    files = {"app.js", "settings.js", "style.css", "icon.svg", "agent.json"}
    assert {"/", *(f"/console/{name}" for name in files)} <= paths
    assert {"/client/index.js", "/client/worklets.js"} <= paths
