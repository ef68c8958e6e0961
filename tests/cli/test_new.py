"""`voxray new`: names, files, and a package that works outside this repository."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tools.source import ROOT
from voxray.cli.main import cli
from voxray.cli.new import KINDS, rendered


def new(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["new", *arguments])


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One new package of each kind."""
    folder = tmp_path_factory.mktemp("packages")
    for kind in KINDS:
        result = new(f"acme-{kind}", "--kind", kind, "--output", str(folder))
        assert result.exit_code == 0, result.output
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_is_complete(kind: str, packages: Path) -> None:
    folder = packages / f"voxray-acme-{kind}"
    written = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    module = f"voxray_acme_{kind}"
    assert written == sorted(
        [
            ".gitignore",
            "README.md",
            "pyproject.toml",
            f"tests/test_acme_{kind}.py",
            *(f"{module}/{name}" for name in ("__init__.py", "engine.py", "py.typed")),
        ]
    )
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == folder.name
    assert project["entry-points"]["voxray"] == {f"acme_{kind}": module}
    assert not [path for path in written if "@@" in (folder / path).read_text()]


def tool(folder: Path, *command: str) -> None:
    """Run a development tool on a new package."""
    run = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"{' '.join(command)}\n{run.stdout}{run.stderr}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_passes_its_tests_and_the_linter(kind: str, packages: Path) -> None:
    folder = packages / f"voxray-acme-{kind}"
    tool(folder, "ruff", "check", ".")
    tool(folder, "ruff", "format", "--check", ".")
    installed = dict(os.environ) | {"PYTHONPATH": str(metadata(folder))}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=folder,
        env=installed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def metadata(folder: Path) -> Path:
    """Make the package look installed, by what an installer would write beside it."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [f"{name} = {module}" for name, module in project["entry-points"]["voxray"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[voxray]", *lines, ""]))
    return folder


def test_the_types_of_all_packages_are_sound(packages: Path) -> None:
    tool(packages, "mypy", "--strict", *sorted(folder.name for folder in packages.iterdir()))


@pytest.mark.parametrize("kind", KINDS)
def test_the_configuration_in_the_readme_validates(
    kind: str, packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(metadata(packages / f"voxray-acme-{kind}"))
    config = tmp_path / "config.json"
    config.write_text(readme_example(packages / f"voxray-acme-{kind}"))
    result = CliRunner().invoke(cli, ["validate", str(config)])
    assert result.exit_code == 0, result.output


def readme_example(folder: Path) -> str:
    found = re.search(r"```json\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("Acme", "acme"),
        ("acme voices", "acme_voices"),
        ("acme__x", "acme_x"),
        ("voxray-acme", "acme"),
        ("_acme", "acme"),
        ("../acme", "acme"),
        ("acmé", "acm"),
    ],
)
def test_a_bad_name_is_refused_with_a_better_one(name: str, better: str, tmp_path: Path) -> None:
    result = new(name, "--kind", "tts", "--output", str(tmp_path))
    assert result.exit_code == 2
    assert f'try "{better}"' in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["1acme", "!", "", "voxray", "a" * 41])
def test_a_name_that_cannot_be_mended_is_refused(name: str, tmp_path: Path) -> None:
    result = new(name, "--kind", "tts", "--output", str(tmp_path))
    assert result.exit_code == 2
    assert "no good name" in result.output


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "voxray-acme").mkdir()
    result = new("acme", "--kind", "tts", "--output", str(tmp_path))
    assert result.exit_code == 1
    assert "exists already" in result.output
    assert list((tmp_path / "voxray-acme").iterdir()) == []


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    result = new("energy", "--kind", "vad", "--output", str(tmp_path))
    assert result.exit_code == 1
    assert 'registers vad "energy" already' in result.output


def test_the_new_package_is_bound_to_this_version_of_the_core() -> None:
    project = tomllib.loads(rendered("acme", "tts")["pyproject.toml"])["project"]
    assert project["dependencies"] == ["voxray>=0.1,<0.2"]


def uv() -> list[str]:
    found = shutil.which("uv")
    return [found] if found else [sys.executable, "-m", "uv"]


def test_new_packages_are_built_installed_and_used_in_a_clean_environment(tmp_path: Path) -> None:
    """The core and three new packages as wheels, in an environment of their own."""

    def run(*command: str | Path, cwd: Path = tmp_path, status: int = 0) -> str:
        keep = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")}
        keep = {key: value for key, value in keep.items() if not key.startswith("VOXRAY_")}
        done = subprocess.run([*map(str, command)], cwd=cwd, env=keep, capture_output=True, text=True, check=False)
        assert done.returncode == status, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    wheels, kinds = tmp_path / "wheels", {"acme_ears": "stt", "acme_mind": "llm", "acme": "tts"}
    python = tmp_path / "venv" / "bin" / "python"
    voxray = python.with_name("voxray")
    run(*uv(), "venv", "--python", sys.executable, tmp_path / "venv")
    run(*uv(), "build", "--wheel", "--out-dir", wheels, ROOT)
    run(*uv(), "pip", "install", "--python", python, *wheels.glob("*.whl"), "pytest")
    for name, kind in kinds.items():
        run(voxray, "new", name, "--kind", kind)
        run(*uv(), "build", "--wheel", "--out-dir", wheels, tmp_path / f"voxray-{name.replace('_', '-')}")
    run(*uv(), "pip", "install", "--python", python, *wheels.glob("voxray_acme*.whl"))

    listed = json.loads(run(voxray, "providers", "list", "--json"))
    found = [(it["name"], it["kind"], it["package"]) for it in listed["providers"] if it["name"] in kinds]
    assert found == [(name, kind, f"voxray-{name.replace('_', '-')}") for name, kind in kinds.items()]
    assert listed["broken"] == []
    config, chosen = tmp_path / "config.json", {f"{kind}_provider": name for name, kind in kinds.items()}
    config.write_text(json.dumps(chosen | {"providers": {"acme": {"tts": {"voice": "bob"}}}}))
    run(voxray, "validate", config)
    config.write_text(json.dumps(chosen | {"providers": {"acme": {"tts": {"speed": 9}}}}))
    assert "maximum of 2" in run(voxray, "validate", config, status=2)
    run(python, "-m", "pytest", "-p", "no:cacheprovider", cwd=tmp_path / "voxray-acme")
