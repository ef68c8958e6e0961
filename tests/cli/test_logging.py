"""Log lines: what is in them, and what must never be."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from voxray import log_context
from voxray.cli.logging import LEVELS, configure


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def logged(*, level: str = "info", as_json: bool = True, **call: Any) -> str:
    stream = io.StringIO()
    configure(level, as_json=as_json, stream=stream)
    logging.getLogger("voxray.test").log(call.pop("at", logging.INFO), *call.pop("args", ("call started",)), **call)
    return stream.getvalue()


def test_a_json_line_is_one_object_with_time_level_message_and_extras() -> None:
    line = logged(extra={"transport": "websocket", "duration_ms": 12, "code": 1000})
    entry = json.loads(line)
    assert entry["time"].endswith("Z")
    assert {**entry, "time": ""} == {
        "time": "",
        "level": "info",
        "msg": "call started",
        "logger": "voxray.test",
        "transport": "websocket",
        "duration_ms": 12,
        "code": 1000,
    }


def test_the_session_and_the_request_are_on_each_line() -> None:
    session, request = log_context.session_id.set("s-1"), log_context.request_id.set("r-1")
    try:
        entry = json.loads(logged())
        text = logged(as_json=False)
    finally:
        log_context.session_id.reset(session)
        log_context.request_id.reset(request)
    assert (entry["session_id"], entry["request_id"]) == ("s-1", "r-1")
    assert "session_id=s-1 request_id=r-1" in text


def test_a_text_line_is_time_level_message_and_pairs() -> None:
    line = logged(as_json=False, extra={"stage": "stt", "why": "two words", "count": 3})
    time, _, rest = line.partition(" ")
    assert time.endswith("Z")
    assert rest == 'INFO  call started stage=stt why="two words" count=3\n'


@pytest.mark.parametrize(("number", "name"), [(10, "debug"), (20, "info"), (30, "warn"), (40, "error"), (50, "error")])
def test_levels_have_our_four_names(number: int, name: str) -> None:
    assert json.loads(logged(level="debug", at=number))["level"] == name


@pytest.mark.parametrize("level", LEVELS)
def test_lines_below_the_level_are_not_written(level: str) -> None:
    assert logged(level=level, at=LEVELS[level] - 1) == ""


def test_what_people_said_is_written_only_at_debug() -> None:
    said = {"pii": {"text": "my name is Ann"}}
    assert "Ann" not in logged(extra=said)
    assert "Ann" not in logged(extra=said, level="debug")
    assert json.loads(logged(at=logging.DEBUG, level="debug", extra=said))["pii"] == {"text": "my name is Ann"}


class SecretValue:
    def __str__(self) -> str:
        return "sk-123"


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(
    "extra",
    [
        {"api_key": "sk-123"},
        {"headers": {"Authorization": "Bearer sk-123"}},
        {"settings": [{"providers": {"groq": {"api_key": "sk-123"}}}]},
        {"stream_token": "sk-123"},
        {"value": SecretValue()},
        {"X-API-Key": "sk-123"},
    ],
)
def test_secrets_are_never_written(extra: dict[str, Any], as_json: bool) -> None:
    line = logged(extra=extra, as_json=as_json, level="debug")
    assert "sk-123" not in line
    assert "***" in line


def test_counts_of_tokens_are_no_secret() -> None:
    assert json.loads(logged(extra={"max_tokens": 5, "prompt_tokens": 7}))["prompt_tokens"] == 7


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("evil", ["a\nb", "a\r\nb", "a\u2028b", "a\x85b", "a\x1b[31mb", "a\x00b"])
def test_a_value_cannot_start_a_line_of_its_own(evil: str, as_json: bool) -> None:
    line = logged(args=("client said %s", evil), extra={"detail": evil, "inner": {"k": evil}}, as_json=as_json)
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line
    if as_json:
        assert json.loads(line)["detail"] == evil


def test_an_exception_stays_on_its_line() -> None:
    try:
        raise ValueError("bad\nthing")
    except ValueError:
        line = logged(at=logging.ERROR, exc_info=True)
    assert line.count("\n") == 1
    assert "ValueError: bad\nthing" in json.loads(line)["error"]


def test_audio_is_named_by_its_size() -> None:
    assert json.loads(logged(extra={"audio": b"\x00" * 640}))["audio"] == "640 bytes"


def test_an_extra_cannot_pass_for_the_lines_own_fields() -> None:
    entry = json.loads(logged(extra={"level": "debug", "time": "never"}))
    assert (entry["level"], entry["level_"], entry["time_"]) == ("info", "debug", "never")


def test_configuring_twice_writes_once() -> None:
    stream = io.StringIO()
    configure("info", stream=stream)
    configure("info", stream=stream)
    logging.getLogger("voxray.test").info("once")
    assert stream.getvalue().count("once") == 1
