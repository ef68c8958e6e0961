"""`voxray validate` and `voxray schema` as a user meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from voxray.cli import schema, validate

NOT_FOR_VALIDATION = ("asyncio", "anyio", "numpy", "httpx", "starlette", "hypercorn", "yaml")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HOST", "PORT", "VOXRAY_CONFIG", "VOXRAY_PLUGINS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(validate.command, arguments)


def write(text: str, name: str = "config.json") -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def test_a_good_file() -> None:
    result = run(write('{"log_level": "debug"}', "good.json"))
    assert (result.exit_code, result.output) == (0, "good.json is good\n")


def test_problems_and_their_number() -> None:
    result = run(write('{"prt": 1,\n "log_level": "x", "min_words": 2}'))
    assert result.exit_code == 2
    assert result.output.splitlines() == [
        'config.json:1:2  $: unknown key "prt"; did you mean "port"?',
        'config.json:2:15  $.log_level: "x" is none of "debug", "info", "warn", "error"',
        'config.json:2:33  warning: $.min_words: has no effect with strategy ""; '
        'set interruption_strategy to "min_words"',
        "2 problems, 1 warning",
    ]


def test_warnings_fail_only_when_strict() -> None:
    file = write('{"min_words": 2}')
    assert run(file).exit_code == 0
    assert run(file, "--strict").exit_code == 2
    assert run(file).output.splitlines()[-1] == "1 warning"


def test_a_file_that_cannot_be_read() -> None:
    for name in ("missing.json", "."):
        result = run(name)
        assert result.exit_code == 1
        assert "cannot be read" in result.output


def test_the_default_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write("{}")
    write('{"port": "x"}', "other.json")
    assert run().exit_code == 0
    monkeypatch.setenv("VOXRAY_CONFIG", "other.json")
    assert run().exit_code == 2


def test_json_for_programs() -> None:
    result = run(write('{"prt": 1, "min_words": 2}'), "--format", "json")
    report = json.loads(result.output)
    assert (report["good"], report["errors"], report["warnings"]) == (False, 1, 1)
    assert report["problems"][0] == {
        "path": "$",
        "message": 'unknown key "prt"',
        "severity": "error",
        "line": 1,
        "column": 2,
        "rule": "unknown-key",
        "remedy": 'did you mean "port"?',
        "source": "config.json",
    }


def test_yaml_works_too() -> None:
    assert run(write("port: 8080\n", "config.yaml")).exit_code == 0


def test_the_schema_is_printed_and_written() -> None:
    printed = CliRunner().invoke(schema.command, [])
    assert printed.exit_code == 0
    assert json.loads(printed.output)["properties"]["port"]["default"] == 3042
    assert CliRunner().invoke(schema.command, ["--output", "schema.json"]).exit_code == 0
    assert Path("schema.json").read_text(encoding="utf-8") == printed.output


def test_validation_imports_nothing_heavy() -> None:
    write('{"stt_provider": "x", "port": 1}')
    program = (
        "import sys\nfrom voxray.cli.validate import validate\nstatus = validate('config.json')\n"
        f"print([name for name in {NOT_FOR_VALIDATION} if name in sys.modules], status)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.splitlines()[-1] == "[] 2"


def test_text_that_the_terminal_cannot_show_is_escaped() -> None:
    write('{"caf\u00e9": 1}')
    program = "from voxray.cli.validate import validate\nvalidate('config.json')"
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", program],
        capture_output=True,
        check=True,
        timeout=30,
        env={"PYTHONIOENCODING": "ascii"},
    )
    assert b'unknown key "caf\\xe9"' in done.stdout
