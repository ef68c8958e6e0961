"""`voxray validate`: every problem of a configuration, before anything starts."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from voxray.config.problems import Problem

GOOD, CANNOT_READ, HAS_PROBLEMS = 0, 1, 2


def validate(path: str, format: str = "text", strict: bool = False) -> int:
    """Print all problems of the file at `path` and return the exit status.

    0: good, or warnings only; 1: the file cannot be read; 2: problems (`strict`: warnings count).
    """
    from voxray.config.load import check
    from voxray.config.problems import Problem, has_errors
    from voxray.errors import PluginError
    from voxray.registry import Registry

    problems: list[Problem]
    try:
        _, problems = check(path, Registry.load(), os.environ)
    except OSError as error:
        click.echo(f"{path}: cannot be read: {error.strerror or error}", err=True)
        return CANNOT_READ
    except PluginError as error:
        problems = [Problem("", str(error), rule="plugin")]
    failed = has_errors(problems) or (strict and bool(problems))
    _print(_as_json(path, problems, failed) if format == "json" else _as_text(path, problems))
    return HAS_PROBLEMS if failed else GOOD


def _as_text(path: str, problems: list[Problem]) -> str:
    from voxray.config.problems import count_text

    summary = count_text(problems) or f"{path} is good"
    return "\n".join([*map(str, problems), summary])


def _as_json(path: str, problems: list[Problem], failed: bool) -> str:
    rows = [problem.as_json() for problem in problems]
    errors = sum(row["severity"] == "error" for row in rows)
    report = {"file": path, "good": not failed, "errors": errors, "warnings": len(rows) - errors, "problems": rows}
    return json.dumps(report, indent=2)


def _print(text: str) -> None:
    """Print even what the terminal's encoding has no character for."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding))


@click.command("validate")
@click.argument("config", required=False, type=click.Path())
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", help="How to print problems.")
@click.option("--strict", is_flag=True, help="Warnings fail, too.")
def command(config: str | None, format_: str, strict: bool) -> None:
    """Report every problem of a configuration with its place and remedy. Works offline.

    CONFIG is a .json, .yaml or .yml file; by default the one that VOXRAY_CONFIG names, else config.json.

    Exit status: 0 good, 1 the file cannot be read, 2 problems.
    """
    from voxray.config.load import default_path

    sys.exit(validate(config or default_path(os.environ), format_, strict))
