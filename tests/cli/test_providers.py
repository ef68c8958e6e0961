"""`voxray providers`: the list, one provider, and what is broken."""

from __future__ import annotations

import json
import sys
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from voxray.cli.main import cli
from voxray.cli.providers import described, example, option_type
from voxray.registry import Registered, Registry
from voxray.specs import CarrierSpec, LlmSpec, PipelineSpec, Secret, Spec, SttSpec, ToolSourceSpec

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["providers", *arguments])


def test_the_list_has_a_line_for_each_with_its_package() -> None:
    result = run("list")
    assert result.exit_code == 0
    heading, *lines = result.stdout.splitlines()
    assert heading.split() == ["NAME", "KIND", "TITLE", "PACKAGE", "VERSION", "KEY"]
    assert any(line.startswith("energy ") and " vad " in line and " voxray " in line for line in lines)


def test_a_kind_narrows_the_list() -> None:
    listed = json.loads(run("list", "--kind", "vad", "--json").stdout)["providers"]
    assert {row["kind"] for row in listed} == {"vad"}


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed plugin that cannot be imported."""
    (tmp_path / "voxray_broken.py").write_text("raise RuntimeError('two\\nlines')\n")
    info = tmp_path / "voxray_broken-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: voxray-broken\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[voxray]\nbroken = voxray_broken\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("broken")
def test_a_broken_plugin_is_named_with_its_reason_and_the_rest_is_listed() -> None:
    result = run("list")
    assert result.exit_code == 0
    assert "energy" in result.stdout
    assert "broken: broken (voxray-broken 1.2): RuntimeError: two lines" in result.stderr
    assert json.loads(run("list", "--json").stdout)["broken"][0]["package"] == "voxray-broken 1.2"
    assert "installed but broken" in run("show", "broken").stderr


def test_show_tells_options_and_an_example() -> None:
    result = run("show", "energy")
    assert result.exit_code == 0
    assert "threshold  number 0.0001 to 1 = 0.02" in result.stdout
    assert '"vad_type": "energy"' in result.stdout


def test_an_unknown_name_is_answered_with_a_suggestion_or_a_package() -> None:
    assert 'did you mean "energy"?' in run("show", "enrgy").stderr
    assert "pip install voxray-acme-voices" in run("show", "acme_voices").stderr
    assert run("show", "acme_voices").exit_code == 1


ACME = SttSpec(
    name="acme",
    title="Acme",
    factory="acme:Stt",
    options={"model": {"type": "string", "default": "m1"}, "language": {"type": "string", "default": ""}},
    secrets=(Secret("ACME_API_KEY", also=("ACME_KEY",)),),
)


@pytest.mark.parametrize(("name", "found"), [("ACME_API_KEY", True), ("ACME_KEY", True), ("OTHER_KEY", False)])
def test_keys_are_looked_for_in_the_environment(name: str, found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("ACME_API_KEY", "ACME_KEY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(name, "sk-123")
    facts = described(Registered(ACME, "acme", "voxray-acme 1.0"))
    assert facts["secrets"][0]["present"] is found
    assert (facts["package"], facts["version"]) == ("voxray-acme", "1.0")
    assert "sk-123" not in json.dumps(facts)


@pytest.mark.parametrize(
    ("spec", "config"),
    [
        (ACME, {"stt_provider": "acme", "providers": {"acme": {"stt": {"model": "m1"}}}}),
        (LlmSpec(name="acme", title="", factory=""), {"llm_provider": "acme"}),
        (
            LlmSpec(name="acme", title="", factory="", options={"flow": {"type": "string"}}),
            {"llm_provider": "acme", "providers": {"acme": {"llm": {"flow": "…"}}}},
        ),
        (CarrierSpec(name="acme", title="", factory=""), {"runner_transport": "acme"}),
        (ToolSourceSpec(name="acme", title="", factory=""), {"tools": ["acme"]}),
        (
            PipelineSpec(name="acme", title="", factory="", options={"gain_db": {"type": "number", "default": 3}}),
            {"plugins": ["acme"], "plugin_options": {"acme": {"gain_db": 3}}},
        ),
    ],
)
def test_an_example_chooses_the_spec(spec: Spec, config: dict[str, Any]) -> None:
    assert example(spec) == config


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "string"}, "string"),
        ({"type": ["number", "null"], "minimum": 0}, "number or null at least 0"),
        ({"type": "integer", "maximum": 9}, "integer at most 9"),
        ({"enum": ["a", None]}, 'one of "a", null'),
        ({}, "any"),
    ],
)
def test_a_type_is_said_in_words(schema: dict[str, Any], text: str) -> None:
    assert option_type(schema) == text


def test_a_terminal_gets_a_drawn_table() -> None:
    """rich is imported for people only."""
    from voxray.cli import providers

    class Terminal:
        encoding = "utf-8"

        def __init__(self) -> None:
            self.text = ""

        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> int:
            self.text += text
            return len(text)

        def flush(self) -> None:
            pass

    before, sys.stdout = sys.stdout, Terminal()
    try:
        providers.table([["energy", "yes"]], ("name", "key"))
        text = sys.stdout.text
    finally:
        sys.stdout = before
    assert "energy" in text
    assert "─" in text


def test_a_plugins_entry_point_is_what_the_list_shows() -> None:
    entry = EntryPoint(name="builtin_again", value="voxray.cli", group="voxray")
    registry = Registry.load(only=[], entries=[entry])
    assert registry.broken == []
    assert {it.plugin for it in registry.registered()} == {"voxray"}
