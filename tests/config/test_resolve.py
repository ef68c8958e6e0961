"""Who does what, with which options."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from voxray.config.resolve import possible, provider_name, resolve
from voxray.config.settings import Settings, make_settings
from voxray.errors import UnknownSpecError
from voxray.registry import Registry

VOICE = {"stt_provider": "deepgram", "llm_provider": "groq", "tts_provider": "acme"}


def test_the_order_of_choice() -> None:
    assert provider_name(make_settings({"provider": "groq", "stt_provider": "deepgram"}), "stt") == "deepgram"
    assert provider_name(make_settings({"provider": "groq", "stt_provider": ""}), "stt") == "groq"
    assert provider_name(make_settings({"model": "x"}), "stt") == "openai"


def test_without_any_voice_key_there_is_no_voice(registry: Registry) -> None:
    choices = resolve(make_settings({"log_level": "info"}), registry, {})
    assert (choices.stt, choices.llm, choices.tts) == (None, None, None)
    assert choices.vad.name == "energy"
    assert [choice.name for choice in choices.all()] == ["energy"]


def test_realtime_is_another_word_for_openais_realtime_model() -> None:
    settings = make_settings({"provider": "realtime"})
    assert (settings.realtime_provider, settings.provider, settings.has_voice) == ("openai", "", False)


def test_options_come_from_the_nearest_place(registry: Registry) -> None:
    data = VOICE | {"model": "flat", "stt_model": "flat", "tts_voice": "bob", "vad_threshold": 0.01}
    data |= {"providers": {"groq": {"llm": {"model": "own", "temperature": 1}}}}
    choices = resolve(make_settings(data), registry, {})
    assert choices.llm is not None
    assert choices.stt is not None
    assert choices.tts is not None
    assert choices.llm.options == {"model": "own", "temperature": 1}
    assert choices.stt.options == {"model": "flat", "language": "", "endpointing_ms": 300}
    assert choices.tts.options == {"voice": "bob", "speed": 1.0}
    assert choices.vad.options == {"threshold": 0.01}


def test_a_flat_key_that_the_provider_does_not_know_is_not_passed(registry: Registry) -> None:
    choices = resolve(make_settings(VOICE | {"tts_model": "x"}), registry, {})
    assert choices.tts is not None
    assert "model" not in choices.tts.options


def test_the_address_comes_from_the_file_then_the_environment_then_the_spec(registry: Registry) -> None:
    own = VOICE | {"providers": {"groq": {"base_url": "http://a"}}}
    env = {"GROQ_BASE_URL": "http://b"}
    for data, given, expected in (
        (own, env, "http://a"),
        (VOICE, env, "http://b"),
        (VOICE, {}, "https://api.groq.com/openai/v1"),
    ):
        choices = resolve(make_settings(data), registry, given)
        assert choices.llm is not None
        assert choices.llm.base_url == expected


def test_plugins_and_tools_bring_their_options(registry: Registry) -> None:
    data = {
        "plugins": ["echo", "audio_gain"],
        "plugin_options": {"audio_gain": {"gain_db": 3}},
        "tools": ["call_control"],
    }
    choices = resolve(make_settings(data), registry, {})
    assert [(plugin.name, dict(plugin.options)) for plugin in choices.plugins] == [
        ("echo", {}),
        ("audio_gain", {"gain_db": 3}),
    ]
    assert [tool.name for tool in choices.tools] == ["call_control"]


def test_what_is_not_installed_is_an_error(registry: Registry) -> None:
    settings = make_settings({"stt_provider": "nobody"})
    with pytest.raises(UnknownSpecError):
        resolve(settings, registry, {})
    assert [choice.name for choice in possible(settings, registry, {})] == ["energy", "websocket"]


def test_zeros_that_mean_the_default_are_the_default(settings_of: Callable[..., Settings]) -> None:
    settings = settings_of('{"port": 0, "turn_stop_secs": 0, "max_request_body_bytes": 0, "transport": "", "host": ""}')
    assert (settings.port, settings.turn_stop_secs, settings.max_request_body_bytes) == (3042, 3.0, 262144)
    assert (settings.transport, settings.host) == ("websocket", "localhost")


def test_values_have_the_types_of_the_settings(settings_of: Callable[..., Settings]) -> None:
    settings = settings_of('{"port": 8080.0, "drain_secs": 5, "metrics_enabled": null, "interruption_phrases": []}')
    assert isinstance(settings.port, int)
    assert isinstance(settings.drain_secs, float)
    assert settings.metrics_enabled is True
    assert settings.interruption_phrases == ()


def test_the_timeout_of_a_turn_falls_back_to_the_pause_and_then_to_five_seconds() -> None:
    assert make_settings({}).user_turn_stop_timeout_secs == 5
    assert make_settings({"turn_stop_secs": 2}).user_turn_stop_timeout_secs == 2
    assert make_settings({"turn_stop_secs": 2, "user_turn_stop_timeout_secs": 7}).user_turn_stop_timeout_secs == 7


def test_cors_has_three_states() -> None:
    assert make_settings({}).cors_allowed_origins is None
    assert make_settings({"cors_allowed_origins": []}).cors_allowed_origins == ()
    assert make_settings({"cors_allowed_origins": ["https://a"]}).cors_allowed_origins == ("https://a",)
