"""Settings that contradict each other, the files, or the calendar."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from voxray.config.checks import Facts, check_exposure
from voxray.config.document import parse_document
from voxray.config.load import Composed, check, check_bytes, check_document, load_settings
from voxray.config.problems import Problem
from voxray.config.settings import Settings
from voxray.errors import ConfigError
from voxray.registry import Registry

Check = Callable[..., list[Problem]]
VOICE = '"stt_provider": "deepgram", "llm_provider": "groq", "tts_provider": "acme"'
KEYS = {"DEEPGRAM_API_KEY": "x", "GROQ_API_KEY": "x", "ACME_API_KEY": "x"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"tls_enable": true}', ["error $.tls_enable TLS is on but tls_cert_file is not set",
                                  "error $.tls_enable TLS is on but tls_key_file is not set"]),
        ('{"tls_cert_file": "/nowhere/x.pem"}', ['error $.tls_cert_file there is no file "/nowhere/x.pem"']),
        ('{"transcripts": {"enable": true}}', ["error $.transcripts transcripts enabled but driver and dsn missing"]),
        ('{"transcripts": {"enable": true, "driver": "mysql"}}',
         ["error $.transcripts transcripts enabled but dsn missing"]),
        ('{"session_store": "redis"}', ["error $.session_store session_store is redis but redis_url is empty"]),
        ('{"redis_url": "redis://x"}', ['warning $.redis_url has no effect while session_store is "memory"']),
        ('{"recording": {"enable": true}}', ["error $.recording recording enabled but bucket missing"]),
        ('{"min_words": 2}', ['warning $.min_words has no effect with strategy ""']),
        ('{"allow_interruptions": true, "interruption_strategy": "keyword"}',
         ["warning $.interruption_strategy keyword needs phrases"]),
        ('{"interruption_strategy": "min_words"}',
         ["warning $.interruption_strategy has no effect while allow_interruptions is false"]),
        ('{"interruption_phrases": ["stop"]}',
         ['warning $.interruption_phrases has no effect with strategy ""']),
        ('{"host": "0.0.0.0"}',
         ['warning $.host "0.0.0.0" is open to other machines, and no key protects the server']),
        ('{"server_api_key": "${KEY}", "cors_allowed_origins": ["*"]}',
         ["warning $.cors_allowed_origins any origin is allowed although server_api_key is set; "
          '"*" is never sent then']),
        ('{"cors_allowed_origins": ["x.example"]}',
         ["warning $.cors_allowed_origins an origin is written https://host, without a path"]),
        ('{"runner_port": 1}', ["warning $.runner_port has no effect without runner_transport"]),
        ('{"dialin": true}', ["warning $.dialin needs runner_transport daily"]),
        ('{"workers": 2}', ["warning $.workers the memory store is not shared between processes: "
                             "sessions of POST /start and announced phone calls are known to one of them only"]),
        ('{"session_store": "redis", "redis_url": "redis://x"}',
         ["error $.session_store voxray-redis is not installed"]),
        ('{"plugin_options": {"echo": {}}}', ['warning $.plugin_options.echo has no effect: "echo" is not in plugins']),
        ('{"turn_detection": "silence", "turn_stop_secs": 9}',
         ["warning $.turn_stop_secs a pause of 9 s never ends a turn of at most 8 s (turn_max_duration_secs)"]),
        ('{"turn_detection": "silence", "turn_stop_secs": 0.5, "vad_stop_secs": 0.8}',
         ["warning $.vad_stop_secs longer than turn_stop_secs (0.5 s), inside which it runs"]),
        ('{"turn_detection": "silence", "user_turn_stop_timeout_secs": 1}',
         ["warning $.user_turn_stop_timeout_secs shorter than turn_stop_secs (3 s), so it ends every turn"]),
        ('{"stt_provider": "groq", "llm_provider": "groq", "tts_provider": "acme"}',
         ['warning $.stt_provider "groq" recognises whole utterances and cannot tell where a turn ends']),
        ("{" + VOICE + ', "tts_model": "x"}', ['warning $.tts_model tts "acme" has no option "model"']),
        ("{" + VOICE + ', "vad_type": "silero", "vad_threshold": 0.1}',
         ['warning $.vad_threshold vad "silero" has no option "threshold"']),
        ('{"provider": "flow", "stt_provider": "deepgram", "tts_provider": "acme", "providers": {"flow": {"llm": {}}}}',
         ['error $.providers.flow.llm option "file" must be set for llm "flow"']),
        ('{"model": "x", "stt_provider": "deepgram", "tts_provider": "acme"}',
         ['error $.model llm_provider is not set and the default "openai" is not installed']),
    ],
)  # fmt: skip
def test_contradictions(text: str, expected: list[str], problems_of: Check) -> None:
    found = [problem for problem in problems_of(text, env={**KEYS, "KEY": "k"}) if problem.rule != "not-available"]
    assert [f"{problem.severity} {problem.path} {problem.message}" for problem in found] == expected
    assert all(problem.line and problem.column for problem in found)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "{" + VOICE + "}",
        '{"host": "127.0.0.1"}',
        '{"host": "0.0.0.0", "server_api_key": "${KEY}"}',
        '{"turn_detection": "silence", "stt_provider": "groq", "llm_provider": "groq", "tts_provider": "acme"}',
        '{"plugins": ["echo", "audio_gain"], "plugin_options": {"audio_gain": {"gain_db": 3}}}',
    ],
)
def test_good_configurations_have_no_problems(text: str, problems_of: Check) -> None:
    assert problems_of(text, env={**KEYS, "KEY": "k"}) == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"recording": {"worker_count": 4}}', "$.recording.worker_count"),
        ('{"mcp": {"command": "x"}}', "$.mcp.command"),
        ('{"provider": "realtime"}', "$.provider"),
    ],
)  # fmt: skip
def test_a_feature_of_a_later_version_is_a_warning(text: str, path: str, problems_of: Check) -> None:
    (problem,) = problems_of(text)
    assert (problem.severity, problem.path) == ("warning", path)
    assert "not available in this version" in problem.message


@pytest.mark.parametrize(
    ("text", "path", "package"),
    [
        ('{"transport": "both"}', "$.transport", "voxray-webrtc"),
        ('{"transport": "smallwebrtc"}', "$.transport", "voxray-webrtc"),
        ('{"runner_transport": "daily"}', "$.runner_transport", "voxray-daily"),
        ('{"runner_transport": ["livekit"]}', "$.runner_transport[0]", "voxray-livekit"),
    ],
)
def test_a_way_in_without_its_package_is_an_error(text: str, path: str, package: str, problems_of: Check) -> None:
    (problem,) = problems_of(text)
    assert (problem.severity, problem.path) == ("error", path)
    assert f"pip install {package}" in problem.remedy


def test_ice_servers_are_addresses_or_objects(registry: Registry) -> None:
    turn = '{"urls": "turn:b", "username": "x", "credential": "${TURN}"}'
    text = f'{{"webrtc_ice_servers": ["stun:a.example", {turn}]}}'.encode()
    settings, problems = check_bytes(text, "config.json", registry, {"TURN": "secret"})
    assert problems == []
    assert settings is not None
    assert settings.ice_servers == (
        {"urls": ["stun:a.example"]},
        {"urls": ["turn:b"], "username": "x", "credential": "secret"},
    )


@pytest.mark.parametrize(("credential", "message"), [("${TURN}", "TURN is not set"), ("y", "secret in plain text")])
def test_the_credential_of_an_ice_server_is_a_secret(credential: str, message: str, problems_of: Check) -> None:
    (problem,) = problems_of(f'{{"webrtc_ice_servers": [{{"urls": "turn:b", "credential": "{credential}"}}]}}')
    assert (problem.severity, problem.message) == ("warning", message)
    assert problem.path == "$.webrtc_ice_servers[0].credential"


def test_a_default_of_a_later_feature_is_no_warning(problems_of: Check) -> None:
    assert problems_of('{"console": true, "mcp": null, "recording": {"worker_count": 2, "enable": false}}') == []


@pytest.mark.parametrize(
    ("today", "words"),
    [
        (date(2026, 6, 30), ""),
        (date(2026, 7, 1), "will be switched off on 2026-07-31"),
        (date(2026, 8, 1), "was switched off on 2026-07-31"),
    ],
)
def test_a_model_that_goes_away_is_a_warning(today: date, words: str, registry: Registry) -> None:
    document = parse_document(("{" + VOICE + "}").encode(), "c.json")
    _, problems = check_document(document, Composed.of(registry), KEYS, today=today)
    assert [words in problem.message for problem in problems] == ([True] if words else [])
    chosen = parse_document(("{" + VOICE + ', "model": "x"}').encode(), "c.json")
    assert check_document(chosen, Composed.of(registry), KEYS, today=today)[1] == []


def test_one_cause_gives_one_problem(problems_of: Check) -> None:
    """The missing driver only follows from the misspelt key."""
    text = '{"transcripts": {"enable": true, "drivr": "mysql", "dsn": "mysql://h/d"}}'
    errors = [problem for problem in problems_of(text) if problem.severity == "error"]
    assert [problem.remedy for problem in errors] == ['did you mean "driver"?']
    text = '{"host": "0.0.0.0", "server_ap_key": "${KEY}"}'
    assert [problem.rule for problem in problems_of(text)] == ["unknown-key"]


def test_plugins_report_their_own_contradictions() -> None:
    from types import ModuleType

    from voxray.plugin import Problem, hookimpl

    plugin = ModuleType("picky")

    def voxray_check_config(settings: object) -> list[Problem]:
        return [Problem("$.port", "not this one", remedy="take another")]

    plugin.voxray_check_config = hookimpl(voxray_check_config)  # type: ignore[attr-defined]
    registry = Registry.load(only=(), entries=[])
    registry.manager.register(plugin)
    _, problems = check_document(parse_document(b'{"port": 13}', "c.json"), Composed.of(registry), {})
    assert [str(problem) for problem in problems] == ["c.json:1:10  $.port: not this one; take another"]


def test_a_broken_plugin_is_a_warning_unless_it_is_used() -> None:
    class Broken:
        name, dist, module = "carto", None, "voxray-carto"

        def load(self) -> object:
            raise RuntimeError("no\nluck")

    registry = Registry.load(only=(), entries=[Broken()])  # type: ignore[list-item]
    composed = Composed.of(registry)
    (warning,) = check_document(parse_document(b"{}", "c.json"), composed, {})[1]
    assert (warning.severity, warning.rule) == ("warning", "broken-plugin")
    assert str(warning).isprintable()
    problems = check_document(parse_document(b'{"stt_provider": "carto"}', "c.json"), composed, {})[1]
    assert (problems[0].severity, problems[0].rule, problems[0].line) == ("error", "broken-plugin", 1)


def test_loading_raises_with_all_problems(registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text('{"prt": 1, "host": 2}')
    with pytest.raises(ConfigError) as caught:
        load_settings(file, registry, {})
    assert len(caught.value.problems) == 2
    assert str(caught.value).count("\n") == 1
    with pytest.raises(ConfigError, match="cannot read"):
        load_settings(tmp_path / "missing.json", registry, {})
    with pytest.raises(OSError, match="directory"):
        check(tmp_path, registry, {})


@pytest.mark.parametrize(
    ("more", "env", "warned"),
    [
        ("", {}, True),
        (', "daily_dialin_webhook_secret": "${KEY}"', {}, False),
        (', "api_keys": {"daily_dialin_hmac": "${KEY}"}', {}, False),
        (', "providers": {"daily": {"dialin_hmac": "${KEY}"}}', {}, False),
        ("", {"DAILY_DIALIN_HMAC": "x"}, False),
    ],
)
def test_a_webhook_for_phone_calls_should_be_proved_in_one_way_or_another(
    more: str, env: dict[str, str], warned: bool
) -> None:
    text = f'{{"runner_transport": "daily", "dialin": true{more}}}'
    registry = Registry.load(only=["daily"])
    found = check_bytes(text.encode(), "config.json", registry, {"KEY": "k", "DAILY_API_KEY": "k", **env})[1]
    assert [str(problem.path) for problem in found] == ["$.dialin"] * warned


def test_processes_that_share_an_address_do_not_share_webrtc_connections(registry: Registry) -> None:
    settings = Settings(workers=2, transport="both", session_store="redis")
    facts = Facts(settings=settings, choices=[], registry=registry, env={}, today=date(2026, 6, 1))
    (finding,) = check_exposure(facts)
    assert finding.problem.severity == "warning"
    assert "known to one process only" in finding.problem.message
