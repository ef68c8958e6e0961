"""The command against a fake agent in another thread: real time, so calls are short."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from click.testing import CliRunner, Result

from voxray.audio.format import PCM_16K
from voxray.audio.wav import read_wav, wav_bytes
from voxray.cli.main import cli
from voxray.testing.fake_agent import FakeAgent
from voxray.testing.fakes import speech


@contextmanager
def running(agent: FakeAgent) -> Iterator[str]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(agent):
        yield agent.url


def voxray(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["call", *map(str, arguments)])


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "hello.wav"
    path.write_bytes(wav_bytes(speech(PCM_16K, 0.3), 16_000))
    return path


def quick(**options: object) -> FakeAgent:
    return FakeAgent(stop_secs=0.1, think_secs=0.0, secs_per_char=0.02, **options)  # type: ignore[arg-type]


def test_a_call_is_made_recorded_and_reported(wav: Path, tmp_path: Path) -> None:
    with running(quick(greeting="Hi.")) as url:
        result = voxray(url, "--wav", wav, "--record", tmp_path / "out.wav", "--json", "--junit", tmp_path / "j.xml")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["ok"], report["count"], report["held"]) == (True, 1, 1)
    greeting, turn = report["calls"][0]["turns"]
    assert (greeting["reply"], turn["reply"]) == ("Hi.", "Answer 1.")
    assert turn["latency_ms"] > 50
    pcm, rate_hz = read_wav(tmp_path / "out.wav")
    assert rate_hz == 24_000
    assert len(pcm) > 24_000 * 2 * 0.2
    assert 'name="turn 1: wav' in (tmp_path / "j.xml").read_text()


def test_a_script_that_does_not_hold_exits_with_1_and_shows_a_table(wav: Path, tmp_path: Path) -> None:
    script = tmp_path / "s.yaml"
    script.write_text(f"greeting: false\nturns:\n  - wav: {wav.name}\n    expect: elephant\n")
    with running(quick()) as url:
        result = voxray(url, "--script", script)
    assert result.exit_code == 1
    assert 'turn 1: expect: "elephant" is not in "Answer 1."' in result.stdout.replace("\n", " ")
    assert "latency" in result.stdout


def test_several_calls_are_summed_up(wav: Path, tmp_path: Path) -> None:
    script = tmp_path / "s.yaml"
    script.write_text(f"greeting: false\nturns:\n  - wav: {wav.name}\n")
    with running(quick()) as url:
        result = voxray(url, "--script", script, "--count", 3, "--concurrency", 3, "--record", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "latency p50 / p95 / max" in result.stdout
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == [f"call-00{n}.wav" for n in (1, 2, 3)]


def test_nobody_there_exits_with_3(wav: Path) -> None:
    with running(quick()) as url:
        pass
    result = voxray(url, "--wav", wav)
    assert result.exit_code == 3
    assert "127.0.0.1" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ftp://x", "--say", "hi"], "is not an address"),
        (["agent.example", "--say", "hi", "--count", "2"], "for agents on this machine"),
        (["localhost", "--say", "hi", "--count", "5000"], "5000 is not in the range"),
        (["localhost", "--say", "hi", "--script", __file__], "exclude each other"),
        (["localhost", "--count", "2", "--record", "x.wav"], "needs a folder"),
        (["localhost", "--say", "hi", "--tts", "nobody"], 'no tts provider named "nobody"'),
        (["localhost", "--wav", __file__], "not a WAV file"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], message: str) -> None:
    result = voxray(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_a_script_with_mistakes_exits_with_2_and_its_lines(tmp_path: Path) -> None:
    script = tmp_path / "s.yaml"
    script.write_text("turns:\n  - sya: hi\n")
    result = voxray("localhost", "--script", script)
    assert result.exit_code == 2
    assert f'{script}:2: turns[0]: unknown key "sya"; did you mean "say"?' in result.stderr
