"""From a configuration to a running server, with the installed plugins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
import uvicorn

from voxray.chat import System
from voxray.config.load import load_settings
from voxray.config.settings import Settings
from voxray.errors import UnknownSpecError
from voxray.hookspecs import hookimpl
from voxray.registry import Registry
from voxray.server.asgi import LifespanApp
from voxray.server.envelope import Refusal
from voxray.server.runtime import choose_serializer, hooks, open_runtime, session_options
from voxray.specs import SerializerSpec

pytestmark = pytest.mark.anyio

VOICE = {"provider": "openai", "api_keys": {"openai": "sk-test"}}


def settings_of(folder: Path, registry: Registry, **config: Any) -> Settings:
    file = folder / "config.json"
    file.write_text(json.dumps({**VOICE, **config}))
    return load_settings(file, registry, env={})


async def test_a_configuration_becomes_providers_and_listeners(tmp_path: Path) -> None:
    registry = Registry.load(only=["openai"])
    settings = settings_of(tmp_path, registry, model="gpt-x", tools=["call_control"])
    async with open_runtime(settings, registry, env={}, lookup=lambda name: None) as runtime:
        assert runtime.services is not None
        assert (runtime.services.llm_name, runtime.services.llm_model) == ("openai", "gpt-x")
        assert len(runtime.services.tools) == 1
        assert len(runtime.listeners) == 1
        assert runtime.calls.refusal() == ""


async def test_without_a_voice_there_are_no_calls() -> None:
    registry = Registry.load(only=["-"])
    async with open_runtime(Settings(), registry, env={}, lookup=lambda name: None) as runtime:
        assert runtime.services is None
        assert runtime.calls.refusal() == "no voice is configured"


async def test_what_is_not_installed_is_said_before_anything_is_opened(tmp_path: Path) -> None:
    settings = Settings(provider="no_such_vendor")
    with pytest.raises(UnknownSpecError, match="no_such_vendor"):
        async with open_runtime(settings, Registry.load(only=["-"]), env={}, lookup=lambda name: None):
            pass


def test_options_of_calls_come_from_the_configuration() -> None:
    settings = Settings(
        system_prompt="Be brief.", vad_start_secs_vad=0.3, vad_start_secs=0.1, turn_pre_speech_ms=400, stt_language="de"
    )
    options = session_options(settings)
    assert options.messages == (System("Be brief."),)
    assert options.vad_start_secs == 0.3
    assert options.turn_pre_speech_ms == pytest.approx(500)
    assert options.vad_min_volume == 0.05
    assert options.language == "de"
    assert session_options(Settings(vad_type="silero")).vad_min_volume == 0.2


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "json"),
        ({"format": "JSON"}, "json"),
        ({"rtvi": "0"}, "json"),
        ({"rtvi": "FALSE", "format": "protobuf"}, "pb"),
        ({"format": "Protobuf"}, "pb"),
        ({"rtvi": "1", "format": "protobuf"}, "pb"),
        ({"rtvi": "yes"}, "rtvi"),
        ({"rtvi": "1", "format": "json"}, "rtvi"),
    ],
)
def test_the_address_chooses_the_format(query: dict[str, str], expected: str) -> None:
    specs = [
        SerializerSpec(name=name, title=name, factory="x:y", query=text)
        for name, text in (("json", ""), ("rtvi", "rtvi"), ("pb", "format=protobuf"))
    ]
    assert choose_serializer(specs, query).name == expected


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(Refusal, match="not installed"):
        choose_serializer([SerializerSpec(name="json", title="", factory="x:y")], {"format": "xml"})


def test_hooks_get_the_arguments_they_name() -> None:
    class Plugin:
        def __init__(self) -> None:
            self.seen: list[object] = []

        @hookimpl
        def voxray_session_ended(self, outcome: object) -> None:
            self.seen.append(outcome)

    registry, plugin = Registry.load(only=["-"]), Plugin()
    registry.manager.register(plugin)
    found = hooks(registry)
    found.ended[0]("session", "outcome")  # type: ignore[arg-type]
    assert plugin.seen == ["outcome"]
    assert found.started == []


async def test_another_asgi_server_can_carry_the_application(tmp_path: Path) -> None:
    registry = Registry.load(only=["openai"])
    settings = settings_of(tmp_path, registry, drain_secs=0)
    app = LifespanApp(lambda: open_runtime(settings, registry, env={}, lookup=lambda name: None))
    config = uvicorn.Config(app, port=0, log_level="error", lifespan="on", ws="websockets-sansio")  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server._serve)
        with anyio.fail_after(10):
            while not server.started:
                await anyio.lowlevel.checkpoint()
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            answer = await http.get("/api/v1/ready")
        server.should_exit = True
    assert answer.json()["data"] == {"status": "ok"}
