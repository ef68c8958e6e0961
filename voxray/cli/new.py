"""`voxray new`: a plugin's package to start from, complete with tests that pass."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import click

from voxray import __version__
from voxray.errors import PluginError

KINDS = ("stt", "llm", "tts", "vad", "carrier", "plugin")
SPEC_KINDS = {"plugin": "pipeline"}  # what a kind is called in a spec, where that differs
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
MAX_NAME = 40
WITH_KEY = ("stt", "llm", "tts")
USAGE = {
    "stt": "Set `@@ENV@@_API_KEY`. `@@ENV@@_BASE_URL` or `providers.@@name@@.base_url` changes the address.",
    "llm": "Set `@@ENV@@_API_KEY`. `@@ENV@@_BASE_URL` or `providers.@@name@@.base_url` changes the address.",
    "tts": "Set `@@ENV@@_API_KEY`. `@@ENV@@_BASE_URL` or `providers.@@name@@.base_url` changes the address.",
    "vad": "It runs in the server's process; no key.",
    "carrier": "Set `@@ENV@@_AUTH_TOKEN` and point the number's webhook at `https://voice.example.com/telephony/@@name@@`.",
    "plugin": "Plugins see audio and text in the order of the list.",
}


@click.command("new")
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), required=True, help="What the plugin provides.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    show_default="the current folder",
    help="Folder in which to make voxray-NAME.",
)
def command(name: str, kind: str, output: Path) -> None:
    """Write a plugin called NAME to start from: package, tests and README."""
    name = checked_name(name)
    refuse_taken(name, kind)
    folder = output / f"voxray-{name.replace('_', '-')}"
    written = write(folder, rendered(name, kind))
    for path in written:
        click.echo(path)
    click.echo(f"\nNext: pip install -e {folder} && voxray providers show {name}", err=True)


def checked_name(name: str) -> str:
    """The name as Python and the configuration write it.

    Raises:
        click.BadParameter: it is no identifier of that kind; the text says what would be.
    """
    tidy = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_").removeprefix("voxray_")
    if name.replace("-", "_") != tidy or not NAME.fullmatch(tidy) or len(tidy) > MAX_NAME or tidy == "voxray":
        better = f'; try "{tidy}"' if NAME.fullmatch(tidy) and len(tidy) <= MAX_NAME and tidy != "voxray" else ""
        raise click.BadParameter(
            f'"{name}" is no good name: lower-case letters, digits and single underscores, beginning with a letter, '
            f"at most {MAX_NAME} characters, without voxray in front{better}",
            param_hint="NAME",
        )
    return tidy


def refuse_taken(name: str, kind: str) -> None:
    """Raise PluginError if an installed plugin registers this already: two of them stop the program."""
    from voxray.registry import Registry

    for it in Registry.load().registered():
        if (it.spec.kind, it.spec.name) == (SPEC_KINDS.get(kind, kind), name):
            raise PluginError(f'{it.distribution} registers {it.spec.kind} "{name}" already; choose another name')


def rendered(name: str, kind: str) -> dict[str, str]:
    """The new package's files: path below its folder → text."""
    module = f"voxray_{name}"
    major, minor = __version__.split(".")[:2]
    values = {
        "name": name,
        "package": f"voxray-{name.replace('_', '-')}",
        "module": module,
        "Class": "".join(word.capitalize() for word in name.split("_")),
        "ENV": name.upper(),
        "title": " ".join(word.capitalize() for word in name.split("_")),
        "version": __version__,
        "core": f"voxray>={major}.{minor},<{major}.{int(minor) + 1}",
        "config": json.dumps(example(name, kind), indent=2),
    }
    values["usage"] = fill(USAGE[kind], values)
    templates = {
        "pyproject.toml": "common/pyproject.toml",
        "README.md": "common/README.md",
        ".gitignore": "common/gitignore",
        f"{module}/__init__.py": f"{kind}/init.py",
        f"{module}/engine.py": f"{kind}/engine.py",
        f"tests/test_{name}.py": f"{kind}/test.py",
    }
    source = files("voxray.cli").joinpath("templates")
    texts = {path: source.joinpath(f"{it}.tmpl").read_text(encoding="utf-8") for path, it in templates.items()}
    return {path: fill(text, values) for path, text in texts.items()} | {f"{module}/py.typed": ""}


def fill(template: str, values: dict[str, str]) -> str:
    return re.sub(r"@@(\w+)@@", lambda match: values[match[1]], template)


def example(name: str, kind: str) -> dict[str, Any]:
    """A configuration that uses the new plugin."""
    voice = {"stt_provider": "openai", "llm_provider": "openai", "tts_provider": "openai"}
    turns = {"vad_type": "energy", "turn_detection": "silence", "turn_stop_secs": 0.8, "allow_interruptions": True}
    if kind in WITH_KEY:
        return voice | {f"{kind}_provider": name} | turns
    if kind == "vad":
        return voice | turns | {"vad_type": name}
    if kind == "carrier":
        return voice | turns | {"runner_transport": name, "proxy_host": "voice.example.com"}
    return voice | turns | {"plugins": [name], "plugin_options": {name: {"replace": {"Dr.": "Doctor"}}}}


def write(folder: Path, texts: dict[str, str]) -> list[Path]:
    """Write all files into a new folder.

    Raises:
        PluginError: the folder exists, or cannot be written; nothing is overwritten.
    """
    if folder.exists():
        raise PluginError(f"{folder} exists already; nothing was written")
    try:
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise PluginError(f"cannot write {folder}: {error.strerror}") from error
    return [folder / path for path in texts]
