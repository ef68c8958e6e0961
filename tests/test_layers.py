"""Who imports whom, read from the sources.

There is no list of exceptions. Imports that only the type checker sees do not count.
"""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.source import ROOT, Import, imports, is_test, module_name, plugin_folders, python_files, shown
from voxray.cli.main import COMMANDS

LAYER_0 = (
    "voxray.boundary",
    "voxray.errors",
    "voxray.events",
    "voxray.problems",
    "voxray.inbound",
    "voxray.chat",
    "voxray.streaming",
    "voxray.audio.format",
    "voxray.log_context",
)
LAYER_1 = (
    "voxray.specs",
    "voxray.hookspecs",
    "voxray.registry",
    "voxray.openai_compatible",
    "voxray.plugin",
)
FOR_PLUGINS = (
    "voxray.plugin",
    "voxray.protocols",
    "voxray.wire",
    "voxray.audio",
    "voxray.events",
    "voxray.chat",
    "voxray.errors",
    "voxray.streaming",
)
IN_PLUGINS_TESTS = (*FOR_PLUGINS, "voxray.testing", "voxray.registry")
HEAVY = ("asyncio", "anyio", "httpx")
COMMAND_MODULES = (
    "voxray.cli.main",
    "voxray.cli.logging",
    *(target.partition(":")[0] for target, _ in COMMANDS.values()),
)


@dataclass(frozen=True, slots=True)
class Layer:
    """`modules` may import from `voxray`, each other and the standard library, and from `others`.

    `deferred` may be imported inside functions only.
    """

    modules: tuple[str, ...]
    voxray: tuple[str, ...]
    others: tuple[str, ...] = ()
    deferred: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


# The first row that fits a module is its own.
LAYERS = (
    Layer(("voxray.audio.format", *LAYER_0), (), never=HEAVY),
    Layer(("voxray.audio",), LAYER_0, ("numpy", "soxr"), deferred=("av",)),
    Layer(("voxray.protocols",), LAYER_0, never=HEAVY),
    Layer(LAYER_1, (*LAYER_0, "voxray.audio"), ("pluggy",), never=HEAVY),
    Layer(("voxray.config",), (*LAYER_0, *LAYER_1, "voxray.protocols"), deferred=("jsonschema", "yaml"), never=HEAVY),
    Layer(("voxray.wire",), ("voxray.protocols", "voxray.audio", *LAYER_0), ("anyio", "httpx", "websockets")),
    Layer(("voxray.session",), ("voxray.protocols", "voxray.audio", *LAYER_0), ("anyio",)),
    Layer(("voxray.builtin",), FOR_PLUGINS, ("anyio", "httpx", "numpy", "starlette", "aiosqlite", "websockets")),
    Layer(
        ("voxray.server",),
        (
            *LAYER_0,
            *LAYER_1,
            "voxray",
            "voxray.audio",
            "voxray.protocols",
            "voxray.config",
            "voxray.wire",
            "voxray.session",
            "voxray.builtin",
        ),
        (
            "anyio",
            "httpx",
            "starlette",
            "hypercorn",
            "prometheus_client",
            "h11",
            "wsproto",
        ),  # the last two: hypercorn's
        deferred=("uvloop", "jsonschema"),
    ),
    # What users test with may know everything, but nothing that runs may know it.
    Layer(
        ("voxray.testing",),
        ("voxray",),
        ("anyio", "click", "httpx", "websockets", "numpy", "starlette", "hypercorn", "yaml", "h11", "wsproto"),
        deferred=("jsonschema", "soxr", "rich", "uvloop"),
        never=("voxray.cli", "voxray.demo"),
    ),
    Layer(
        ("voxray.demo",),
        ("voxray",),
        ("anyio", "click", "httpx", "numpy", "rich", "starlette", "websockets", "yaml"),
        deferred=("uvloop",),
        never=("voxray.cli",),
    ),
    Layer(
        COMMAND_MODULES,
        (*LAYER_0, *LAYER_1),
        ("click",),
        deferred=("voxray", "anyio", "httpx", "rich", "starlette", "uvloop", "yaml"),
    ),
    # What commands import inside their functions.
    Layer(("voxray.cli",), ("voxray",), ("anyio", "click", "httpx", "rich"), deferred=("numpy", "yaml")),
    Layer(("voxray.__main__",), ("voxray.cli.main",)),
)
ROOT_MODULE = Layer(("voxray",), ())


def layer_of(module: str) -> Layer | None:
    if module == "voxray":
        return ROOT_MODULE
    return next((layer for layer in LAYERS if within(module, layer.modules)), None)


def within(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def allowed(layer: Layer, found: Import) -> bool:
    if found.name.startswith("."):
        return False  # imports are absolute
    top = found.name.partition(".")[0]
    if within(found.name, layer.never):
        return False
    if top in sys.stdlib_module_names:
        return True
    if found.deferred and within(found.name, layer.deferred):
        return True
    if found.name == "voxray":  # its version
        return True
    if top == "voxray":
        return within(found.name, (*layer.modules, *layer.voxray))
    return top in layer.others


def third_party(folder: Path) -> dict[str, str]:
    """Import name → distribution, of what a plugin's pyproject declares."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    declared = {_plain(requirement) for requirement in project["dependencies"]}
    from importlib.metadata import packages_distributions

    return {
        module: name for module, names in packages_distributions().items() for name in names if _plain(name) in declared
    }


def _plain(requirement: str) -> str:
    name = next((requirement[:at] for at, letter in enumerate(requirement) if letter in "<>=!~[; "), requirement)
    return name.lower().replace("_", "-").replace(".", "-")


@pytest.mark.parametrize("path", [it for it in python_files() if it.is_relative_to(ROOT / "voxray")], ids=shown)
def test_a_module_of_the_core_imports_only_what_its_layer_may(path: Path) -> None:
    layer = layer_of(module_name(path))
    assert layer is not None, f"{shown(path)} is in no layer: give it one here and in the architecture"
    wrong = [f"{shown(path)}:{found.line} imports {found.name}" for found in imports(path) if not allowed(layer, found)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", plugin_folders(), ids=lambda folder: folder.name)
def test_a_plugin_imports_only_what_plugins_may(folder: Path) -> None:
    own = folder.name.replace("-", "_")
    declared = third_party(folder)
    core = ("anyio", "httpx", "websockets", "numpy", "click", "starlette")
    wrong = []
    for path in sorted(folder.rglob("*.py")):
        test = is_test(path)
        for found in imports(path):
            top = found.name.partition(".")[0]
            if top in sys.stdlib_module_names or top == own or (test and top == "tests"):
                continue
            if top == "voxray":
                good = within(found.name, IN_PLUGINS_TESTS if test else FOR_PLUGINS)
            elif top.startswith("voxray_"):
                good = top == "voxray_openai" and top in declared
            else:
                good = top in declared or top in core or (test and top in ("pytest", "hypothesis"))
            if not good:
                wrong.append(f"{shown(path)}:{found.line} imports {found.name}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", plugin_folders(), ids=lambda folder: folder.name)
def test_a_plugins_top_module_imports_nothing_but_the_plugin_interface(folder: Path) -> None:
    """It is imported by `voxray --help` and `voxray providers list`."""
    name = folder.name.replace("-", "_")
    path = folder / f"{name}.py" if (folder / f"{name}.py").is_file() else folder / name / "__init__.py"
    wrong = [
        f"{shown(path)}:{found.line} imports {found.name}"
        for found in imports(path)
        if not found.deferred
        and found.name != "voxray.plugin"
        and (found.name.partition(".")[0] not in sys.stdlib_module_names or within(found.name, HEAVY))
    ]
    assert not wrong, "\n".join(wrong)
