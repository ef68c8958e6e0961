"""`voxray providers`: what the installed plugins offer, read from specs alone; no vendor's code is imported."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from voxray.registry import Registered, Registry
from voxray.specs import Secret, Spec

KINDS = (
    "stt",
    "llm",
    "tts",
    "realtime",
    "vad",
    "turn",
    "tools",
    "transport",
    "carrier",
    "serializer",
    "pipeline",
    "session_store",
    "transcript_store",
    "recording_sink",
)
CHOSEN_BY = {
    "stt": "stt_provider",
    "llm": "llm_provider",
    "tts": "tts_provider",
    "realtime": "realtime_provider",
    "vad": "vad_type",
    "turn": "turn_detection",
    "carrier": "runner_transport",
    "session_store": "session_store",
}
HEADINGS = ("name", "kind", "title", "package", "version", "key")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list. `key` is "yes", "no", "optional" (usable without) or "-" (none needed)."""

    name: str
    kind: str
    title: str
    package: str
    version: str
    key: str


@click.group()
def command() -> None:
    """Show what the installed plugins offer."""


@command.command("list")
@click.option("--kind", type=click.Choice(KINDS), help="Only this kind.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_providers(kind: str | None, as_json: bool) -> None:
    """List providers and everything else that plugins offer, and whether the keys are in the environment."""
    registry = Registry.load()
    rows = [_row(registered) for registered in in_order(registry) if kind in (None, registered.spec.kind)]
    if as_json:
        broken = [{"name": it.name, "package": it.distribution, "error": it.error} for it in registry.broken]
        listed = [{field: getattr(row, field) for field in HEADINGS} for row in rows]
        click.echo(json.dumps({"providers": listed, "broken": broken}, indent=2))
        return
    table([[getattr(row, field) for field in HEADINGS] for row in rows], HEADINGS)
    for plugin in registry.broken:
        click.echo(f"broken: {plugin.name} ({plugin.distribution}): {one_line(plugin.error)}", err=True)


@command.command("show")
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), help="Only this kind.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(name: str, kind: str | None, as_json: bool) -> None:
    """Show what NAME offers: options, secrets, addresses and a configuration that uses it."""
    registry = Registry.load()
    found = [it for it in in_order(registry) if it.spec.name == name and kind in (None, it.spec.kind)]
    if not found:
        raise click.ClickException(_not_found(registry, name, kind))
    if as_json:
        click.echo(json.dumps([described(it) for it in found], indent=2, default=str))
        return
    for number, it in enumerate(found):
        if number:
            click.echo()
        _show_one(it)


def in_order(registry: Registry) -> list[Registered]:
    """All specs, kinds in the order of a call, names in alphabetical order."""
    order = {kind: number for number, kind in enumerate(KINDS)}
    return sorted(registry.registered(), key=lambda it: (order.get(it.spec.kind, len(KINDS)), it.spec.name))


def described(registered: Registered) -> dict[str, Any]:
    """All that a spec says, as JSON."""
    spec = registered.spec
    package, _, version = registered.distribution.partition(" ")
    return {
        "name": spec.name,
        "kind": spec.kind,
        "title": spec.title,
        "package": package,
        "version": version or _core_version(),
        "options": {key: dict(schema) for key, schema in spec.options.items()},
        "secrets": [
            {
                "env": [secret.env, *secret.also],
                "key": secret.key,
                "required": secret.required,
                "present": present(secret),
            }
            for secret in spec.secrets
        ],
        "base_url": spec.base_url,
        "base_url_env": spec.base_url_env,
        "docs_url": spec.docs_url,
        "note": spec.note,
        "retires": spec.retires,
        "example": example(spec),
    }


def example(spec: Spec) -> dict[str, Any]:
    """The part of a configuration that chooses this spec and sets its options to their defaults.

    An option that must be given is set to its schema's first example, or to "…".
    """
    defaults = {name: schema.get("default", schema.get("examples", ["…"])[0]) for name, schema in spec.options.items()}
    defaults = {name: value for name, value in defaults.items() if value not in ("", None)}
    if spec.kind == "pipeline":
        chosen: dict[str, Any] = {"plugins": [spec.name]}
        return chosen | ({"plugin_options": {spec.name: defaults}} if defaults else {})
    if spec.kind == "tools":
        return {"tools": [{"name": spec.name, **defaults} if defaults else spec.name]}
    if spec.kind == "transcript_store":
        chosen = {"transcripts": {"enable": True, "driver": spec.name}}
    elif spec.kind == "recording_sink":
        chosen = {"recording": {"enable": True, "sink": spec.name}}
    elif spec.kind in CHOSEN_BY:
        chosen = {CHOSEN_BY[spec.kind]: spec.name}
    else:
        return {}
    return chosen | ({"providers": {spec.name: {spec.section: defaults}}} if defaults and spec.section else {})


def present(secret: Secret) -> bool:
    """Whether the environment has it."""
    return any(os.environ.get(name) for name in (secret.env, *secret.also))


def table(rows: Sequence[Sequence[str]], headings: Sequence[str]) -> None:
    """Print rows: drawn for a terminal, in plain columns for everything else."""
    if sys.stdout.isatty():
        _drawn(rows, headings)
        return
    widths = [max(len(row[column]) for row in [headings, *rows]) for column in range(len(headings))]
    for row in [[heading.upper() for heading in headings], *rows]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def one_line(text: str) -> str:
    return " ".join(text.split())


def _drawn(rows: Sequence[Sequence[str]], headings: Sequence[str]) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(*headings, box=SIMPLE)
    styles = {"yes": "green", "no": "yellow"}
    for row in rows:
        drawn.add_row(*(Text(cell, style=styles.get(cell, "")) for cell in row))
    Console().print(drawn)


def _row(registered: Registered) -> Row:
    spec = registered.spec
    package, _, version = registered.distribution.partition(" ")
    return Row(spec.name, spec.kind, spec.title, package, version or _core_version(), _key(spec.secrets))


def _key(secrets: Iterable[Secret]) -> str:
    secrets = list(secrets)
    if not secrets:
        return "-"
    if all(present(secret) for secret in secrets if secret.required or len(secrets) == 1):
        return "yes"
    return "no" if any(secret.required for secret in secrets) else "optional"


def _core_version() -> str:
    from voxray import __version__

    return __version__


def _not_found(registry: Registry, name: str, kind: str | None) -> str:
    from difflib import get_close_matches

    for plugin in registry.broken:
        if plugin.name == name:
            return f'"{name}" is installed but broken: {one_line(plugin.error)}'
    names = sorted({it.spec.name for it in registry.registered() if kind in (None, it.spec.kind)})
    close = get_close_matches(name, names, n=1)
    what = f"{kind} named" if kind else "provider named"
    remedy = f'did you mean "{close[0]}"?' if close else f"try: pip install voxray-{name.replace('_', '-')}"
    return f'no {what} "{name}" is installed; {remedy}'


def _show_one(registered: Registered) -> None:
    spec = registered.spec
    facts = described(registered)
    click.echo(f"{spec.title} ({spec.kind} {spec.name}, {facts['package']} {facts['version']})")
    if spec.note:
        click.echo(f"  {spec.note}")
    if spec.retires:
        click.echo(f"  The vendor retires the default model on {spec.retires}.")
    for label in ("base_url", "base_url_env", "docs_url"):
        if facts[label]:
            click.echo(f"  {label}: {facts[label]}")
    for secret in facts["secrets"]:
        need = "required" if secret["required"] else "optional"
        where = f"{' or '.join(secret['env'])}, or providers.{spec.name}.{secret['key']}"
        click.echo(f"  secret ({need}, {'found' if secret['present'] else 'not found'} in the environment): {where}")
    if spec.options:
        click.echo("  options:")
        for name, schema in spec.options.items():
            click.echo(f"    {name}  {option_type(schema)}{_default(schema)}")
            if schema.get("description"):
                click.echo(f"      {schema['description']}")
    if facts["example"]:
        click.echo("  example:")
        for line in json.dumps(facts["example"], indent=2).splitlines():
            click.echo(f"    {line}")


def option_type(schema: dict[str, Any]) -> str:
    """A schema's type and limits in a few words, such as "number 0.5 to 2"."""
    if "enum" in schema:
        return "one of " + ", ".join(json.dumps(value) for value in schema["enum"])
    kind = schema.get("type", "any")
    text = " or ".join(kind) if isinstance(kind, list) else str(kind)
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{text} {low} to {high}"
    if low is not None:
        return f"{text} at least {low}"
    return f"{text} at most {high}" if high is not None else text


def _default(schema: dict[str, Any]) -> str:
    return f" = {json.dumps(schema['default'])}" if "default" in schema else ""
