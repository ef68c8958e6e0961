"""The core's schema against the documents, and what plugins add."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any

from jsonschema import Draft202012Validator

from voxray.config.schema import compose, core_schema
from voxray.config.settings import (
    McpSettings,
    MetricsSettings,
    RecordingSettings,
    Settings,
    TelephonySettings,
    TranscriptSettings,
    make_settings,
)
from voxray.plugin import TtsSpec
from voxray.registry import Registry


def words(text: str) -> list[str]:
    return text.split()


DOCUMENTED = words("""
host port runner_port transport tls_enable tls_cert_file tls_key_file server_api_key cors_allowed_origins
max_request_body_bytes daily_dialin_webhook_secret provider stt_provider llm_provider tts_provider model stt_model
stt_language tts_model tts_voice api_keys webrtc_ice_servers rtc_max_duration_secs turn_detection turn_stop_secs
turn_pre_speech_ms turn_max_duration_secs vad_start_secs turn_async user_turn_stop_timeout_secs user_idle_timeout_secs
vad_type vad_threshold vad_confidence vad_start_secs_vad vad_stop_secs vad_min_volume vad_batch_size allow_interruptions
interruption_strategy min_words runner_transport proxy_host dialin session_store redis_url session_ttl_secs
pipeline_input_queue_cap ws_write_coalesce_ms ws_write_coalesce_max_frames log_level json_logs metrics_enabled
metrics.audio_sample_rate mcp.command mcp.args mcp.tools_filter recording.enable recording.bucket recording.base_path
recording.format recording.worker_count recording.queue_cap recording.max_retries transcripts.enable transcripts.driver
transcripts.dsn transcripts.table_name plugins plugin_options
""")
OUR_OWN = words("""
providers realtime_provider tools recording.sink interrupt_min_speech_ms fallback_phrase drain_secs max_tool_rounds
max_silence_secs system_prompt greeting waiting_phrase max_sessions workers tts_language ws_idle_timeout_secs
interruption_phrases console telephony.allow_unannounced telephony.caller_id telephony.machine_detection
telephony.lead_ms telephony.dtmf_timeout_secs telephony.dtmf_terminator telephony.trusted_proxies telephony.personas
""")
SECTIONS = {
    "metrics": MetricsSettings,
    "mcp": McpSettings,
    "recording": RecordingSettings,
    "transcripts": TranscriptSettings,
    "telephony": TelephonySettings,
}


def leaves(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, part in schema["properties"].items():
        if name in SECTIONS:
            yield from ((f"{name}.{inner}", each) for inner, each in part["properties"].items())
        elif not name.startswith("$"):
            yield name, part


def test_the_schema_is_a_schema(registry: Registry) -> None:
    Draft202012Validator.check_schema(core_schema())
    Draft202012Validator.check_schema(compose(registry))


def test_every_documented_key_is_in_the_schema_and_nothing_else() -> None:
    assert len(DOCUMENTED) == 70
    assert {name for name, _ in leaves(core_schema())} == {*DOCUMENTED, *OUR_OWN}


def test_every_key_has_a_type_a_description_and_a_default() -> None:
    maps = {"api_keys", "providers", "plugin_options"}
    for name, part in leaves(core_schema()):
        assert part["type"], name
        assert part["description"].endswith("."), name
        assert "default" in part or name in maps, name


def test_the_defaults_of_the_schema_are_those_of_the_settings() -> None:
    defaults = {name: part["default"] for name, part in leaves(core_schema()) if "default" in part}
    flat = make_settings({name: value for name, value in defaults.items() if "." not in name})
    assert flat.given == {name for name in defaults if "." not in name}
    derived = ("given", "user_turn_stop_timeout_secs")
    for each in fields(Settings):
        if each.name not in (*derived, "api_keys", "providers", "plugin_options"):
            assert getattr(flat, each.name) == getattr(Settings(), each.name), each.name
    for section, kind in SECTIONS.items():
        for each in fields(kind):
            if each.default is not MISSING:
                default = defaults[f"{section}.{each.name}"]
                assert (tuple(default) if isinstance(default, list) else default) == each.default, each.name


def test_every_setting_is_in_the_schema() -> None:
    names = {each.name for each in fields(Settings)} - {"given", "config_file"}
    assert names == {name for name in core_schema()["properties"] if not name.startswith("$")}


def test_numbers_have_limits() -> None:
    for name, part in leaves(core_schema()):
        if part["type"] in ("number", "integer"):
            assert part.get("minimum", 0) <= part["default"] <= part["maximum"], name


def test_plugins_add_names_and_options(registry: Registry) -> None:
    properties = compose(registry)["properties"]
    assert properties["stt_provider"]["enum"] == ["", "deepgram", "groq"]
    assert properties["provider"]["enum"] == ["", "realtime", "acme", "deepgram", "flow", "groq"]
    assert set(properties["vad_type"]["enum"]) == {"energy", "silero"}
    assert properties["plugins"]["items"]["enum"] == ["audio_gain", "echo"]
    groq = properties["providers"]["properties"]["groq"]["properties"]
    assert set(groq) == {"api_key", "base_url", "stt", "llm"}
    assert groq["llm"]["properties"]["temperature"]["maximum"] == 2
    assert "base_url" not in properties["providers"]["properties"]["acme"]["properties"]


def test_a_broken_option_schema_does_not_break_the_rest() -> None:
    registry = Registry.load(only=(), entries=[])
    for number, broken in enumerate(
        (
            {"type": "text"},
            {"minimum": "1"},
            {"pattern": "["},
            {"$ref": "x"},
            7,
            {"properties": 3},
            {"anyOf": [{"type": 1}]},
        )
    ):
        spec = TtsSpec(name=f"bad{number}", title="Bad", factory="x:y", options={"size": broken})
        registry._specs[("tts", spec.name)] = type(next(iter(registry.registered())))(spec, "bad", "voxray-bad")
    schema = compose(registry)
    Draft202012Validator.check_schema(schema)
    data = {"providers": {f"bad{number}": {"tts": {"size": 3}} for number in range(7)}}
    assert list(Draft202012Validator(schema).iter_errors(data)) == []
