"""Where keys come from, and that nobody sees them."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest

from voxray.config.problems import Problem
from voxray.config.secrets import Secrets, SecretValue, from_environment
from voxray.config.settings import Settings, make_settings
from voxray.plugin import Secret
from voxray.registry import Registry

Check = Callable[..., list[Problem]]
KEY = Secret("ACME_API_KEY", also=("ACME_KEY",))


def test_a_secret_does_not_show_itself() -> None:
    value = SecretValue("ACME_API_KEY", "hunter2")
    assert repr(value) == str(value) == f"{value}" == "SecretValue(ACME_API_KEY)"
    assert value.reveal() == "hunter2"
    assert value
    assert not SecretValue("X", "")
    with pytest.raises(TypeError):
        pickle.dumps(value)


def test_settings_do_not_show_secrets() -> None:
    data = {
        "server_api_key": "hunter2", "redis_url": "hunter2", "api_keys": {"a": "hunter2"},
        "transcripts": {"dsn": "hunter2"},
        "providers": {"a": {"api_key": "hunter2"}}, "daily_dialin_webhook_secret": "hunter2",
    }  # fmt: skip
    assert "hunter2" not in repr(make_settings(data))


@pytest.mark.parametrize(
    ("data", "env", "expected"),
    [
        ({"providers": {"acme": {"api_key": "1"}}, "api_keys": {"acme": "2"}}, {"ACME_API_KEY": "3"}, "1"),
        ({"api_keys": {"acme": "2"}}, {"ACME_API_KEY": "3"}, "2"),
        ({"api_keys": {"acme": ""}}, {"ACME_API_KEY": "3", "ACME_KEY": "4"}, "3"),
        ({}, {"ACME_API_KEY": "", "ACME_KEY": "4"}, "4"),
        ({"api_keys": {"acme": "${OTHER}"}}, {"OTHER": "5"}, "5"),
        ({"api_keys": {"acme": "${UNSET}"}}, {"ACME_KEY": "4"}, "4"),
        ({}, {}, ""),
    ],
)
def test_the_order_of_places(data: dict[str, object], env: dict[str, str], expected: str, registry: Registry) -> None:
    assert Secrets(make_settings(data), registry, from_environment(env)).find("acme", KEY).reveal() == expected


def test_the_fallback_of_the_spec_comes_last(registry: Registry) -> None:
    region = Secret("AWS_REGION", key="region", config_key="aws_region", default="us-east-1")
    assert Secrets(Settings(), registry, from_environment({})).find("aws", region).reveal() == "us-east-1"
    data = {"api_keys": {"aws_region": "eu-west-1", "aws": "key"}}
    assert Secrets(make_settings(data), registry, from_environment({})).find("aws", region).reveal() == "eu-west-1"


def test_what_was_found_is_kept_and_what_was_not_is_asked_for_again(registry: Registry) -> None:
    vault: dict[str, str] = {}
    asked: list[str] = []

    def lookup(name: str) -> str | None:
        asked.append(name)
        return vault.get(name)

    secrets = Secrets(Settings(), registry, lookup)
    assert not secrets.find("acme", KEY)
    vault["ACME_API_KEY"] = "late"
    assert secrets.find("acme", KEY).reveal() == "late"
    vault.clear()
    assert secrets.find("acme", KEY).reveal() == "late"
    assert asked == ["ACME_API_KEY", "ACME_KEY", "ACME_API_KEY"]


def test_plugins_resolve_secrets(monkeypatch: pytest.MonkeyPatch, registry: Registry) -> None:
    monkeypatch.setenv("ACME_API_KEY", "from the environment")
    assert Secrets(Settings(), registry).find("acme", KEY).reveal() == "from the environment"


def test_a_missing_key_is_a_warning_without_asking_anybody(problems_of: Check) -> None:
    text = '{"stt_provider": "deepgram", "llm_provider": "groq", "tts_provider": "acme"}'
    env = {"DEEPGRAM_API_KEY": "x", "ACME_KEY": "y"}
    assert [str(problem) for problem in problems_of(text, env=env)] == [
        "warning: groq: no key yet; set GROQ_API_KEY or providers.groq.api_key"
    ]


def test_a_secret_in_the_file_is_a_warning(problems_of: Check) -> None:
    text = """{
  "server_api_key": "hunter2",
  "redis_url": "redis://me:hunter2@redis:6379/0", "session_store": "redis",
  "api_keys": {"groq": "hunter2", "acme": "${ACME_API_KEY}", "aws_region": "eu-west-1"},
  "providers": {"deepgram": {"api_key": "hunter2"}}
}"""
    plain = [problem for problem in problems_of(text) if problem.rule == "plain-text"]
    assert [(problem.path, problem.line, problem.column) for problem in plain] == [
        ("$.server_api_key", 2, 21),
        ("$.redis_url", 3, 16),
        ("$.api_keys.groq", 4, 24),
        ("$.providers.deepgram.api_key", 5, 41),
    ]
    assert plain[2].remedy == 'write "${GROQ_API_KEY}", or leave it out and set GROQ_API_KEY'
    assert not any("hunter2" in str(problem) for problem in plain)


def test_a_secret_from_the_environment_is_no_warning(problems_of: Check) -> None:
    assert problems_of("{}", env={"VOXRAY_SERVER_API_KEY": "hunter2"}) == []
    assert problems_of('{"server_api_key": "${KEY}"}', env={"KEY": "hunter2"}) == []


def test_a_server_key_that_is_not_set_does_not_open_the_server(problems_of: Check) -> None:
    (problem,) = problems_of('{"server_api_key": "${KEY}"}')
    assert (problem.severity, problem.message, problem.line, problem.column) == ("error", "KEY is not set", 1, 20)


def test_an_unread_key_is_a_warning(problems_of: Check) -> None:
    (problem,) = problems_of('{"api_keys": {"deepgrm": "${X}"}}')
    assert (problem.severity, problem.remedy) == ("warning", 'did you mean "deepgram"?')
