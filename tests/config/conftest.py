"""A registry with three made-up vendors, so that these tests depend on no installed plugin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from voxray.config.load import check, check_bytes
from voxray.config.problems import Problem
from voxray.config.settings import Settings
from voxray.plugin import LlmSpec, PipelineSpec, Secret, SttSpec, TtsSpec, VadSpec, hookimpl
from voxray.registry import Registry

Check = Callable[..., list[Problem]]
TODAY = date(2026, 6, 1)
TEMPERATURE = {"type": ["number", "null"], "default": None, "minimum": 0, "maximum": 2, "description": "randomness"}


class FakeEntry:
    """Looks like an installed entry point."""

    dist = None
    module = "voxray-fake"

    def __init__(self, name: str, plugin: object) -> None:
        self.name = name
        self._plugin = plugin

    def load(self) -> object:
        if isinstance(self._plugin, Exception):
            raise self._plugin
        return self._plugin


def text_option(default: str) -> dict[str, Any]:
    return {"type": "string", "default": default, "description": "x"}


def make_plugin(name: str, **hooks: Any) -> ModuleType:
    plugin = ModuleType(name)
    for hook, function in hooks.items():
        function.__name__ = hook
        setattr(plugin, hook, hookimpl(function))
    return plugin


def vendors() -> list[Any]:
    groq = Secret("GROQ_API_KEY")
    return [
        SttSpec(name="deepgram", title="Deepgram", factory="x:y", streaming=True, secrets=(Secret("DEEPGRAM_API_KEY"),),
                options={"model": text_option("nova"), "language": text_option(""),
                         "endpointing_ms": {"type": "integer", "default": 300, "minimum": 10, "description": "x"}}),
        SttSpec(name="groq", title="Groq", factory="x:y", secrets=(groq,), options={"model": text_option("whisper")},
                base_url="https://api.groq.com/openai/v1", base_url_env="GROQ_BASE_URL"),
        LlmSpec(name="groq", title="Groq", factory="x:y", secrets=(groq,), retires="2026-07-31",
                options={"model": text_option("llama"), "temperature": TEMPERATURE},
                base_url="https://api.groq.com/openai/v1", base_url_env="GROQ_BASE_URL"),
        TtsSpec(name="acme", title="Acme Voices", factory="x:y", secrets=(Secret("ACME_API_KEY", also=("ACME_KEY",)),),
                options={"voice": text_option("ada") | {"enum": ["ada", "bob"]},
                         "speed": {"type": "number", "default": 1.0, "minimum": 0.5, "maximum": 2}}),
        LlmSpec(name="flow", title="Flow", factory="x:y", options={"file": {"type": "string", "description": "path"}}),
        VadSpec(name="silero", title="Silero", factory="x:y"),
    ]  # fmt: skip


def pipeline_plugins() -> list[PipelineSpec]:
    gain = {"type": "number", "default": 0.0, "minimum": -40, "maximum": 40, "description": "dB"}
    return [
        PipelineSpec(name="audio_gain", title="Gain", factory="x:y", options={"gain_db": gain}),
        PipelineSpec(name="echo", title="Echo", factory="x:y"),
    ]


@pytest.fixture(scope="session")
def registry() -> Registry:
    fake = make_plugin("fake", voxray_register_providers=vendors, voxray_register_pipeline_plugins=pipeline_plugins)
    return Registry.load(only=(), entries=[FakeEntry("fake", fake)])  # type: ignore[list-item]


@pytest.fixture
def problems_of(registry: Registry) -> Check:
    """All problems of a text, as if it stood in a file."""

    def run(text: str | bytes, *, name: str = "config.json", env: Mapping[str, str] | None = None) -> list[Problem]:
        raw = text if isinstance(text, bytes) else text.encode()
        return check_bytes(raw, name, registry, env or {}, today=TODAY)[1]

    return run


@pytest.fixture
def settings_of(registry: Registry, tmp_path: Path) -> Callable[..., Settings]:
    """The settings that a good text gives."""

    def run(
        text: str, *, name: str = "config.json", env: Mapping[str, str] | None = None, **overrides: Any
    ) -> Settings:
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        settings, problems = check(file, registry, env or {}, overrides, today=TODAY)
        assert settings is not None, "\n".join(map(str, problems))
        return settings

    return run
