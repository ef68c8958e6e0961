"""Every mistake in one line, at its place, with a remedy, and one line for each cause."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from voxray.config.explain import MAX_FAULTS
from voxray.config.problems import Problem

Check = Callable[..., list[Problem]]


def test_the_example_of_the_architecture(problems_of: Check) -> None:
    text = """{
  "stt_provider": "deepgrm",
  "llm_provider": "groq",
  "tts_provider": "acme",
  "turn_detection": "silence",
  "providers": {
    "groq": {"llm": {"temprature": 1}, "stt": {}},
    "acme": {"tts": {"speed": 9}}
  }
}"""
    assert [str(problem) for problem in problems_of(text)] == [
        'config.json:2:19  $.stt_provider: no stt provider named "deepgrm"; did you mean "deepgram"?',
        'config.json:7:22  $.providers.groq.llm: unknown option "temprature"; did you mean "temperature"?',
        "config.json:8:31  $.providers.acme.tts.speed: 9 is greater than the maximum of 2",
        "warning: groq: no key yet; set GROQ_API_KEY or providers.groq.api_key",
        "warning: acme: no key yet; set ACME_API_KEY or providers.acme.api_key",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"prt": 1}', '1:2  $: unknown key "prt"; did you mean "port"?'),
        ('{"sttProvider": "groq"}', '1:2  $: unknown key "sttProvider"; did you mean "stt_provider"?'),
        ('{"bucket": "x"}', '1:2  $: unknown key "bucket"; it belongs in $.recording'),
        ('{"zzzzzzz": 1}', '1:2  $: unknown key "zzzzzzz"'),
        ('{"transcripts": {"port": 1}}', '1:18  $.transcripts: unknown key "port"; it belongs in the top level'),
        ('{"port": "3042"}', "1:10  $.port: expected a whole number, found a string; write 3042 without quotes"),
        ('{"port": 1.5}', "1:10  $.port: expected a whole number, found the number 1.5"),
        ('{"port": 70000}', "1:10  $.port: 70000 is greater than the maximum of 65535"),
        ('{"port": null}', "1:10  $.port: expected a whole number, found null"),
        ('{"host": 1}', "1:10  $.host: expected a string, found the number 1; put it in double quotes"),
        ('{"json_logs": "yes"}',
         "1:15  $.json_logs: expected true or false, found a string; write true without quotes"),
        ('{"plugins": "echo"}', "1:13  $.plugins: expected a list, found a string; put it in square brackets"),
        ('{"plugins": ["ecko"]}', '1:14  $.plugins[0]: no pipeline plugin named "ecko"; did you mean "echo"?'),
        ('{"log_level": "warning"}',
         '1:15  $.log_level: "warning" is none of "debug", "info", "warn", "error"; did you mean "warn"?'),
        ('{"vad_type": "OpenAI"}',
         '1:14  $.vad_type: no vad plugin named "OpenAI"; is it installed? try: pip install voxray-openai'),
        ('{"vad_type": "Silero"}', '1:14  $.vad_type: no vad plugin named "Silero"; did you mean "silero"?'),
        ('{"turn_detection": "silense"}',
         '1:20  $.turn_detection: no turn plugin named "silense"; did you mean "silence"?'),
        ('{"mcp": {}}', '1:9  $.mcp.command: "command" is missing'),
        ('{"mcp": {"comand": "x"}}', '1:10  $.mcp: unknown key "comand"; did you mean "command"?'),
        ('{"tools": [{"nme": "call_control"}]}',
         '1:13  $.tools[0]: unknown key "nme"; did you mean "name"?'),
        ('{"tools": [{"name": "call_control", "x": 1}]}',
         '1:37  $.tools[0]: unknown option "x"; there are name, tools, transfer_to'),
        ('{"plugin_options": {"audio_gian": {}}}',
         '1:21  $.plugin_options: no plugin named "audio_gian"; did you mean "audio_gain"?'),
        ('{"interruption_phrases": [""]}', "1:27  $.interruption_phrases[0]: shorter than 1 characters"),
        ('{"runner_transport": "twilio"}',
         '1:22  $.runner_transport: no carrier plugin named "twilio"; is it installed? try: pip install voxray-twilio'),
        ('{"proxy_host": "https://x.example/"}',
         '1:16  $.proxy_host: "https://x.example/" does not have the expected form; '
         "write a bare host name such as voice.example.com, without scheme and slash"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(text: str, line: str, problems_of: Check) -> None:
    errors = [str(problem) for problem in problems_of(text) if problem.severity == "error"]
    assert errors == [f"config.json:{line}"]


def test_a_provider_without_the_task_names_those_that_have_it(problems_of: Check) -> None:
    problem = problems_of('{"stt_provider": "acme", "llm_provider": "groq", "tts_provider": "acme"}')[0]
    assert problem.message == '"acme" is installed but offers no stt, only tts'
    assert problem.remedy == "stt providers: deepgram, groq"
    problem = problems_of('{"provider": "deepgram"}')[0]
    assert str(problem).startswith(
        'config.json:1:14  $.provider: "deepgram" offers no llm; set llm_provider to one of: '
    )


def test_options_of_a_package_to_come_are_a_warning(problems_of: Check) -> None:
    (problem,) = problems_of('{"providers": {"cartesia": {"api_key": "x"}}}')
    assert (problem.severity, problem.remedy) == ("warning", "is it installed? try: pip install voxray-cartesia")


def test_flat_keys_are_held_against_the_providers_schema(problems_of: Check) -> None:
    text = '{"stt_provider": "deepgram", "llm_provider": "groq", "tts_provider": "acme", "tts_voice": "bbo"}'
    errors = [problem for problem in problems_of(text) if problem.severity == "error"]
    assert [(error.path, error.remedy) for error in errors] == [("$.tts_voice", 'did you mean "bob"?')]


def test_comments_are_allowed_everywhere(problems_of: Check) -> None:
    assert problems_of('{"_comment": "x", "recording": {"_why": 1}, "providers": {"_x": 1, "groq": {"_y": {}}}}') == []


def test_the_same_mistakes_in_yaml(problems_of: Check) -> None:
    errors = problems_of("prt: 1\njson_logs: yes\n", name="config.yaml")
    assert [str(error) for error in errors] == [
        'config.yaml:1:1  $: unknown key "prt"; did you mean "port"?',
        "config.yaml:2:12  $.json_logs: expected true or false, found a string; write true without quotes",
    ]


@pytest.mark.parametrize("text", ["[]", "1", '"x"', "null", "true"])
def test_the_whole_must_be_an_object(text: str, problems_of: Check) -> None:
    (problem,) = problems_of(text)
    assert (problem.path, problem.line, problem.column) == ("$", 1, 1)


def test_a_key_with_a_secret_in_it_is_not_shown(problems_of: Check) -> None:
    text = '{"server_api_key": 12345678, "redis_url": "hunter2@redis", "session_store": "redis"}'
    shown = "\n".join(map(str, problems_of(text)))
    assert "hunter2" not in shown


def test_odd_keys_stay_printable(problems_of: Check) -> None:
    for problem in problems_of('{"\\u001b[31m\\u202e": 1, "a b": 2, "' + "x" * 500 + '": 3}'):
        assert str(problem).isprintable()
        assert len(str(problem)) < 200


def test_a_file_that_is_all_wrong_is_cut_short(problems_of: Check) -> None:
    text = "{" + ",".join(f'"zz{number}qqq": 1' for number in range(5_000)) + "}"
    assert len(problems_of(text)) == MAX_FAULTS + 1
