"""Environment variables over the file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from voxray.config.env import overridable
from voxray.config.load import Composed, check_bytes
from voxray.config.problems import Problem
from voxray.config.schema import core_schema
from voxray.config.settings import Settings
from voxray.registry import Registry

Check = Callable[..., list[Problem]]
Load = Callable[..., Settings]

# spec/config.md counts 29; the last two are the superset that it rules.
VARIABLES = {
    "VOXRAY_HOST": ("0.0.0.0", "host", "0.0.0.0"),
    "HOST": ("0.0.0.0", "host", "0.0.0.0"),
    "VOXRAY_PORT": ("8080", "port", 8080),
    "PORT": ("8080", "port", 8080),
    "VOXRAY_TLS_ENABLE": ("0", "tls_enable", False),
    "VOXRAY_TLS_CERT_FILE": (__file__, "tls_cert_file", __file__),
    "VOXRAY_TLS_KEY_FILE": (__file__, "tls_key_file", __file__),
    "VOXRAY_SERVER_API_KEY": ("k", "server_api_key", "k"),
    "VOXRAY_CORS_ORIGINS": ("https://a.example , https://b.example", "cors_allowed_origins",
                            ("https://a.example", "https://b.example")),
    "VOXRAY_MAX_BODY_BYTES": ("100", "max_request_body_bytes", 100),
    "VOXRAY_DAILY_DIALIN_WEBHOOK_SECRET": ("s", "daily_dialin_webhook_secret", "s"),
    "VOXRAY_RTC_MAX_DURATION_SECS": ("1.5", "rtc_max_duration_secs", 1.5),
    "VOXRAY_VAD_BATCH_SIZE": ("2", "vad_batch_size", 2),
    "VOXRAY_PIPELINE_INPUT_QUEUE_CAP": ("512", "pipeline_input_queue_cap", 512),
    "VOXRAY_WS_WRITE_COALESCE_MS": ("5", "ws_write_coalesce_ms", 5),
    "VOXRAY_WS_WRITE_COALESCE_MAX_FRAMES": ("3", "ws_write_coalesce_max_frames", 3),
    "VOXRAY_LOG_LEVEL": ("debug", "log_level", "debug"),
    "VOXRAY_JSON_LOGS": ("TRUE", "json_logs", True),
    "VOXRAY_RECORDING_ENABLE": ("0", "recording.enable", False),
    "VOXRAY_RECORDING_BUCKET": ("b", "recording.bucket", "b"),
    "VOXRAY_RECORDING_BASE_PATH": ("p", "recording.base_path", "p"),
    "VOXRAY_RECORDING_FORMAT": ("wav", "recording.format", "wav"),
    "VOXRAY_RECORDING_WORKER_COUNT": ("4", "recording.worker_count", 4),
    "VOXRAY_RECORDING_QUEUE_CAP": ("8", "recording.queue_cap", 8),
    "VOXRAY_RECORDING_MAX_RETRIES": ("0", "recording.max_retries", 0),
    "VOXRAY_TRANSCRIPTS_ENABLE": ("false", "transcripts.enable", False),
    "VOXRAY_TRANSCRIPTS_DRIVER": ("mysql", "transcripts.driver", "mysql"),
    "VOXRAY_TRANSCRIPTS_DSN": ("mysql://h/d", "transcripts.dsn", "mysql://h/d"),
    "VOXRAY_TRANSCRIPTS_TABLE": ("calls", "transcripts.table_name", "calls"),
    "VOXRAY_SESSION_STORE": ("memory", "session_store", "memory"),
    "VOXRAY_REDIS_URL": ("redis://r/0", "redis_url", "redis://r/0"),
}  # fmt: skip


def value_at(settings: Settings, key: str) -> Any:
    value: Any = settings
    for part in key.split("."):
        value = getattr(value, part)
    return value


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_overrides_the_file(name: str, settings_of: Load) -> None:
    text, key, expected = VARIABLES[name]
    settings = settings_of('{"host": "127.0.0.1", "log_level": "error"}', env={name: text})
    assert value_at(settings, key) == expected


def test_the_schema_names_exactly_these_variables() -> None:
    assert {name for _, part in overridable(core_schema()) for name in part["x-env"]} == set(VARIABLES)


def test_the_variable_of_voxray_wins_over_the_plain_one(settings_of: Load) -> None:
    assert settings_of("{}", env={"PORT": "1", "VOXRAY_PORT": "2"}).port == 2
    assert settings_of("{}", env={"PORT": "1", "VOXRAY_PORT": ""}).port == 1
    assert settings_of('{"port": 9}', env={"PORT": "1", "VOXRAY_PORT": "x"}).port == 9


def test_the_command_line_wins_over_the_environment(settings_of: Load) -> None:
    assert settings_of('{"port": 9}', env={"VOXRAY_PORT": "1"}, port=2).port == 2


@pytest.mark.parametrize("text", ["x", "1.5", "70000", "-1", "9" * 5000, "1_000"])
def test_a_bad_number_is_a_warning_and_the_file_stays(text: str, problems_of: Check, settings_of: Load) -> None:
    (problem,) = problems_of('{"port": 9}', env={"VOXRAY_PORT": text})
    assert (problem.severity, problem.rule, problem.source) == ("warning", "environment", "VOXRAY_PORT")
    assert settings_of('{"port": 9}', env={"VOXRAY_PORT": text}).port == 9


def test_an_odd_boolean_is_false_with_a_warning(problems_of: Check, settings_of: Load) -> None:
    (problem,) = problems_of("{}", env={"VOXRAY_JSON_LOGS": "yes"})
    assert "counts as false" in problem.message
    assert not settings_of('{"json_logs": true}', env={"VOXRAY_JSON_LOGS": "yes"}).json_logs


def test_a_wrong_word_names_the_variable(problems_of: Check) -> None:
    (problem,) = problems_of("{}", env={"VOXRAY_LOG_LEVEL": "debgu"})
    assert str(problem).startswith("VOXRAY_LOG_LEVEL  $.log_level: ")
    assert problem.remedy == 'did you mean "debug"?'


def test_an_unknown_variable_gets_a_suggestion(problems_of: Check) -> None:
    (problem,) = problems_of("{}", env={"VOXRAY_PROT": "1", "VOXRAY_PLUGINS": "x", "HOSTNAME": "y"})
    assert (problem.severity, problem.source, problem.remedy) == (
        "warning",
        "VOXRAY_PROT",
        'did you mean "VOXRAY_PORT"?',
    )


def test_a_variable_does_not_hide_a_broken_section(registry: Registry) -> None:
    settings, problems = check_bytes(b'{"recording": 1}', "c.json", registry, {"VOXRAY_RECORDING_BUCKET": "b"})
    assert settings is None
    assert [problem.path for problem in problems] == ["$.recording"]


def test_schemas_are_composed_once_for_many_files(registry: Registry) -> None:
    assert Composed.of(registry).schema["properties"]["providers"]["properties"].keys() >= {"groq", "acme"}
