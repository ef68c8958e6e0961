"""Every plugin's package keeps the conventions, and its README's configuration works."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tools.check_plugins import core_bound, examples, problems
from tools.source import plugin_folders
from voxray.cli.main import cli
from voxray.registry import Registry

FOLDERS = plugin_folders()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_package_keeps_the_conventions(folder: Path) -> None:
    assert list(problems(folder)) == []


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_configuration_in_the_readme_validates(folder: Path, tmp_path: Path) -> None:
    for number, example in enumerate(examples(folder)):
        config = tmp_path / f"{number}.json"
        config.write_text(example, encoding="utf-8")
        result = CliRunner().invoke(cli, ["validate", str(config)])
        assert result.exit_code == 0, result.output


def test_all_plugins_of_the_workspace_load() -> None:
    assert Registry.load(only=[]).broken == []


@pytest.mark.parametrize(("version", "bound"), [("0.1.0", "voxray>=0.1,<0.2"), ("1.4.2", "voxray>=1.4,<1.5")])
def test_plugins_are_bound_to_a_minor_version_of_the_core(version: str, bound: str) -> None:
    assert core_bound(version) == bound


def test_options_are_described() -> None:
    """They are the documentation, in the terminal, in the editor and on the page of providers."""
    wanting = [
        f"{it.spec.kind} {it.spec.name}: {name}"
        for it in Registry.load(only=[]).registered()
        for name, schema in it.spec.options.items()
        if not schema.get("description") or ("type" not in schema and "enum" not in schema)
    ]
    assert not wanting, json.dumps(wanting, indent=2)
