"""The linter of the plugins' packages: python -m tools.check_plugins [voxray-<name> …]

Reads names, versions, bounds, entry points, READMEs and imports; changes nothing. Prints what is wrong, one line each.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.source import ROOT, imports, is_test, plugin_folders, shown


def problems(folder: Path) -> Iterator[str]:
    """Everything wrong with one plugin's package."""
    data = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    project = data.get("project", {})
    yield from _names(folder, project)
    yield from _versions(project)
    yield from _texts(folder)
    yield from _imports(folder)
    if data.get("build-system", {}).get("build-backend") != "hatchling.build":
        yield "build-backend is not hatchling.build"
    if folder.name not in _workspace_requirements():
        yield f'"{folder.name}" is missing from the group "dev" of the workspace, so its tests would not run'


def _names(folder: Path, project: dict[str, Any]) -> Iterator[str]:
    if not re.fullmatch(r"voxray-[a-z][a-z0-9]*(-[a-z0-9]+)*", folder.name):
        yield f'folder "{folder.name}" is not called voxray-<name>'
    if project.get("name") != folder.name:
        yield f'project.name is "{project.get("name")}", expected "{folder.name}"'
    module = folder.name.replace("-", "_")
    if (folder / f"{module}.py").is_file() == (folder / module / "__init__.py").is_file():
        yield f"there must be either {module}.py or {module}/__init__.py"
    name = module.removeprefix("voxray_")
    entries = project.get("entry-points", {}).get("voxray", {})
    if entries != {name: module}:
        yield f'entry points of group "voxray" are {entries}, expected {{"{name}": "{module}"}}'
    for key in ("description", "readme", "license"):
        if not project.get(key):
            yield f"project.{key} is missing"


def _versions(project: dict[str, Any]) -> Iterator[str]:
    core = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if project.get("version") != core["version"]:
        yield f"version is {project.get('version')}, but the core's is {core['version']}: they move together"
    if project.get("requires-python") != core["requires-python"]:
        yield f"requires-python is not {core['requires-python']}"
    bound = core_bound(core["version"])
    requirements = project.get("dependencies", [])
    if bound not in requirements:
        yield f'dependencies lack "{bound}"'
    for requirement in requirements:
        if requirement.startswith("voxray-") and requirement != "voxray-openai" + bound.removeprefix("voxray"):
            yield f'depends on "{requirement}": plugins know none but voxray-openai, with the core\'s bounds'


def core_bound(version: str) -> str:
    """The requirement on the core: this minor version and no later one."""
    major, minor = (int(part) for part in version.split(".")[:2])
    return f"voxray>={major}.{minor},<{major}.{minor + 1}"


def _texts(folder: Path) -> Iterator[str]:
    readme = folder / "README.md"
    if not readme.is_file():
        yield "README.md is missing"
        return
    text = readme.read_text(encoding="utf-8")
    if not text.startswith(f"# {folder.name}\n"):
        yield f'README.md does not begin with "# {folder.name}"'
    found = examples(folder)
    if len(found) != 1:
        yield f"README.md has {len(found)} ```json blocks, expected one: a config.json that works"
    for block in found:
        try:
            json.loads(block)
        except ValueError as error:
            yield f"README.md: the example is no JSON: {error}"
    if not list((folder / "tests").glob("test_*.py")):
        yield "tests/test_*.py is missing"


def examples(folder: Path) -> list[str]:
    """The ```json blocks of a plugin's README."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^```json\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def _imports(folder: Path) -> Iterator[str]:
    own = folder.name.replace("-", "_")
    for path in sorted(folder.rglob("*.py")):
        for found in imports(path):
            top = found.name.partition(".")[0]
            if top.startswith("voxray_") and top not in (own, "voxray_openai"):
                yield f"{shown(path)}:{found.line} imports another plugin, {top}"
            if top == "conftest" or (found.name.startswith("tests") and not is_test(path)):
                yield f"{shown(path)}:{found.line} imports {found.name}"


def _workspace_requirements() -> list[str]:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    return [requirement for requirement in groups["dev"] if isinstance(requirement, str)]


def main(names: list[str]) -> int:
    folders = [folder for folder in plugin_folders() if not names or folder.name in names]
    lines = [f"{shown(folder)}: {problem}" for folder in folders for problem in problems(folder)]
    print("\n".join(lines) or f"{len(folders)} plugins in order")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
