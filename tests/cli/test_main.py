"""The program's frame: help, version, unknown commands, errors and exit statuses."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from voxray import __version__
from voxray.cli.main import COMMANDS, Program, cli
from voxray.errors import ConfigError, PluginError


def program(failing: BaseException) -> Program:
    group = Program("voxray")

    @group.command("fail")
    def fail() -> None:
        raise failing

    return group


def test_the_version_is_the_packages() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output == f"voxray {__version__}\n"


def test_help_lists_every_command_with_its_line() -> None:
    result = CliRunner().invoke(cli, ["--help"])
    assert result.exit_code == 0
    for name, (_, line) in COMMANDS.items():
        assert f"  {name}" in result.output
        assert line in result.output


def test_a_misspelt_command_is_answered_with_a_suggestion() -> None:
    result = CliRunner().invoke(cli, ["vaildate"])
    assert result.exit_code == 2
    assert 'no command named "vaildate"; did you mean "validate"?' in result.output


def test_an_unknown_command_points_to_the_help() -> None:
    result = CliRunner().invoke(cli, ["xyzzy"])
    assert result.exit_code == 2
    assert "see voxray --help" in result.output


def test_an_error_of_ours_is_one_line_and_status_1() -> None:
    result = CliRunner().invoke(program(PluginError("groq is broken")), ["fail"])
    assert (result.exit_code, result.output) == (1, "voxray: groq is broken\n")


def test_problems_of_a_configuration_are_lines_and_status_2() -> None:
    result = CliRunner().invoke(program(ConfigError("bad", ("config.json:1: a", "config.json:2: b"))), ["fail"])
    assert (result.exit_code, result.output) == (2, "config.json:1: a\nconfig.json:2: b\n")


def test_a_configuration_error_without_problems_says_its_message() -> None:
    result = CliRunner().invoke(program(ConfigError("cannot read config.json")), ["fail"])
    assert (result.exit_code, result.output) == (2, "voxray: cannot read config.json\n")


def test_control_c_ends_with_130() -> None:
    assert CliRunner().invoke(program(KeyboardInterrupt()), ["fail"]).exit_code == 130


def test_a_plugins_command_is_found_and_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXRAY_PLUGINS", "none_of_them")
    group = Program("voxray")

    @group.command("ring", help="Call a number.")
    def ring() -> None:
        click.echo("ringing")

    assert "Call a number." in CliRunner().invoke(group, ["--help"]).output
    assert CliRunner().invoke(group, ["ring"]).output == "ringing\n"
