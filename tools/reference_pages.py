"""One function for each page of docs/reference: the page's Markdown."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from importlib.metadata import entry_points
from typing import Any, get_args

from tools.source import ROOT, plugin_folders


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = [list(headings), ["---"] * len(headings), *[[_cell(it) for it in row] for row in rows]]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _value(schema: Mapping[str, Any]) -> str:
    return _code(json.dumps(schema["default"], ensure_ascii=False)) if "default" in schema else ""


# ── config ──


def config() -> str:
    schema = json.loads((ROOT / "schemas" / "config.schema.json").read_text(encoding="utf-8"))
    rows = [
        (
            _code(path),
            _type(entry),
            _value(entry),
            entry.get("description", "") + _remarks(entry),
            "<br>".join(_code(name) for name in entry.get("x-env", ())),
        )
        for path, entry in _leaves(schema["properties"])
        if path != "$schema"
    ]
    return (
        "# Configuration\n\n"
        "One JSON or YAML file. `voxray validate FILE` checks it; `voxray schema` prints its JSON Schema with the options "
        "of every installed plugin, for editors. Keys that begin with `_` are comments.\n\n"
        "What wins, from the strongest: the command line; the environment variable; `providers.<name>.<kind>`; the flat key; "
        "the default. An environment variable that is empty counts as unset. For secrets the file wins over the "
        "environment.\n\n" + table(("key", "type", "default", "meaning", "environment"), rows)
    )


def _leaves(properties: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, entry in properties.items():
        yield f"{prefix}{name}", entry
        if prefix == "" and name != "api_keys":
            yield from _leaves(entry.get("properties", {}), f"{name}.")


def _type(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type", "any")
    text = " or ".join(kind) if isinstance(kind, list) else str(kind)
    if "enum" in schema:
        text = ", ".join(_code(json.dumps(it)) for it in schema["enum"])
    low, high = schema.get("minimum"), schema.get("maximum")
    return text + (f", {low} to {high}" if low is not None and high is not None else "")


def _remarks(schema: Mapping[str, Any]) -> str:
    remarks = ""
    if schema.get("x-secret"):
        remarks += " Never printed."
    if schema.get("x-available") is False:
        remarks += " *Not available in this version.*"
    return remarks


# ── commands ──


def cli() -> str:
    import click

    from voxray.cli.main import COMMANDS, cli as program

    context = click.Context(program, info_name="voxray")
    parts = [
        "# Commands\n\n"
        "Exit status: 0 good, 1 something failed, 2 the command line or the configuration is wrong, 130 interrupted.\n"
    ]
    for name in COMMANDS:
        command = program.get_command(context, name)
        assert command is not None
        parts += _command(command, click.Context(command, info_name=name, parent=context))
    return "\n".join(parts)


def _command(command: Any, context: Any) -> Iterator[str]:
    import click

    yield f"## {context.command_path}\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    usage = command.get_usage(context).removeprefix("Usage: ")
    yield f"```console\n{' '.join(usage.split())}\n```\n"
    options = [it for it in command.params if isinstance(it, click.Option) and not it.hidden]
    rows = []
    for option in options:
        record = option.get_help_record(context)
        if record is not None:
            rows.append((_code(record[0]), record[1]))
    if rows:
        yield table(("option", "meaning"), rows)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _command(inner, click.Context(inner, info_name=name, parent=context))


# ── hooks ──


def hooks() -> str:
    from voxray import hookspecs

    parts = [
        "# Hooks\n\nA plugin is a module with functions of these names, marked `@hookimpl` (from `voxray.plugin`) and named "
        'by an entry point of group `voxray`. Only what a plugin needs must be there; a misspelt hook makes it "broken".\n'
    ]
    for name, function in vars(hookspecs).items():
        if name.startswith("voxray_"):
            options = getattr(function, "voxray_spec", {})
            parts.append(f"## {name}\n\n```python\n{_signature(name, function)}\n```\n\n{inspect.getdoc(function)}\n")
            if options.get("firstresult"):
                parts.append("The first plugin that returns something decides.\n")
    return "\n".join(parts)


def _signature(name: str, function: Any) -> str:
    signature = inspect.signature(function)
    parameters = ", ".join(f"{it.name}: {it.annotation}" for it in signature.parameters.values())
    return f"def {name}({parameters}) -> {signature.return_annotation}"


# ── providers ──


def providers() -> str:
    from voxray.cli.providers import described, example, in_order, option_type
    from voxray.registry import Registry

    own = {folder.name.removeprefix("voxray-").replace("-", "_") for folder in plugin_folders()}
    registry = Registry.load(only=[], entries=[it for it in entry_points(group="voxray") if it.name in own])
    parts = [
        "# Providers\n\nWhat Voxray's own packages offer. `voxray providers list` shows what is installed where you are, "
        "`voxray providers show NAME` one of them.\n"
    ]
    rows, details = [], []
    for registered in in_order(registry):
        spec, facts = registered.spec, described(registered)
        keys = ", ".join(_code(secret["env"][0]) for secret in facts["secrets"])
        anchor = f"[{spec.name}](#{spec.kind.replace('_', '-')}-{spec.name.replace('_', '-')})"
        rows.append((anchor, spec.kind, spec.title, _code(facts["package"]), keys))
        lines = [
            f"## {spec.kind.replace('_', '-')} {spec.name.replace('_', '-')}\n",
            f"{spec.title}. {spec.note}".strip() + "\n",
        ]
        if spec.base_url:
            lines.append(
                f"Address: `{spec.base_url}`; changed by `{spec.base_url_env}` or `providers.{spec.name}.base_url`.\n"
            )
        if spec.docs_url:
            lines.append(f"The vendor's documentation: <{spec.docs_url}>\n")
        if spec.options:
            options = [
                (_code(name), option_type(dict(schema)), _value(schema), schema.get("description", ""))
                for name, schema in spec.options.items()
            ]
            lines.append(table(("option", "type", "default", "meaning"), options))
        shown = example(spec)
        if shown:
            lines.append(f"```json\n{json.dumps(shown, indent=2, ensure_ascii=False)}\n```\n")
        details.append("\n".join(lines))
    return "\n".join([*parts, table(("name", "kind", "title", "package", "key"), rows), *details])


# ── events ──


def events() -> str:
    from voxray import events as module

    intro = inspect.cleandoc(module.__doc__ or "")
    parts = [f"# Events\n\n{intro}\n"]
    for heading, union in (
        ("From the connected party", module.Inbound),
        ("In the call's log", module.SessionEvent),
        ("To the transport, besides all of the log's", module.Outbound),
    ):
        parts.append(f"## {heading}\n")
        known = set(get_args(module.SessionEvent)) if union is module.Outbound else set()
        rows = [
            (_code(event.__name__), "<br>".join(_code(it) for it in _fields(event)), _doc(event))
            for event in get_args(union)
            if event not in known
        ]
        parts.append(table(("event", "fields", "meaning"), rows))
    parts.append("## Kinds of proof\n")
    parts.append(
        "How the log knows what the caller heard, best first: "
        + ", ".join(f"`{it.value}`" for it in module.Proof)
        + "."
    )
    return "\n".join(parts)


def _fields(event: type) -> Iterator[str]:
    for field in dataclasses.fields(event):
        yield f"{field.name}: {field.type}"


def _doc(event: type) -> str:
    text = inspect.getdoc(event) or ""
    return "" if text.startswith(f"{event.__name__}(") else text  # what dataclass writes when there is none


# ── the wire ──


def wire() -> str:
    from tools.wire_pages import CLIENT, INTRODUCTION, PROTOBUF
    from voxray.builtin.json_frames import DECODERS, ENCODERS, JsonFrames

    if set(CLIENT) != set(DECODERS):
        raise SystemExit(f"tools/wire_pages.py and json_frames.py differ: {set(CLIENT) ^ set(DECODERS)}")
    rows = [(_code(name), CLIENT[name][0], CLIENT[name][1]) for name in DECODERS]
    parts = [INTRODUCTION, "## From the client\n", table(("type", "fields of `data`", "effect"), rows)]
    parts.append("## From the server\n")
    sent = []
    frames = JsonFrames()
    for event in ENCODERS:
        encoded = frames.encode(sample(event))
        for text in [encoded] if isinstance(encoded, str) else encoded or ():
            assert isinstance(text, str)
            frame = json.loads(text)
            sent.append(
                (_code(frame["type"]), _code(json.dumps(_stable(frame["data"]))), f"`{event.__name__}`: {_doc(event)}")
            )
    parts.append(table(("type", "an example of `data`", "sent for"), sent))
    return "\n".join([*parts, *_rtvi(), PROTOBUF])


def _rtvi() -> Iterator[str]:
    from tools.wire_pages import RTVI_CLIENT, RTVI_INTRODUCTION, RTVI_SERVER
    from voxray.builtin.rtvi import REQUESTS

    if set(RTVI_CLIENT) != set(REQUESTS):
        raise SystemExit(f"tools/wire_pages.py and rtvi.py differ: {set(RTVI_CLIENT) ^ set(REQUESTS)}")
    yield RTVI_INTRODUCTION
    yield "### From an RTVI client\n"
    yield table(("type", "fields of `data`", "effect"), ((_code(name), *RTVI_CLIENT[name]) for name in REQUESTS))
    yield "### To an RTVI client\n"
    rows = ((", ".join(map(_code, names.split(", "))), *told) for names, told in RTVI_SERVER.items())
    yield table(("type", "fields of `data`", "sent when"), rows)


def sample(event: type) -> Any:
    """An event with plausible values."""
    return event(**{field.name: _plausible(field) for field in dataclasses.fields(event)})


def _plausible(field: dataclasses.Field[Any]) -> Any:
    from voxray.events import Proof

    kind = str(field.type)
    if kind == "Proof":
        return Proof.MARK
    if field.default not in (dataclasses.MISSING, "", None) and not isinstance(field.default, Enum):
        return field.default
    named = {"stage": "tts", "cause": "silence", "text": "Hello.", "digit": "5", "name": "end-1", "by": "speech"}
    if field.name in named:
        return named[field.name]
    if kind.startswith("str"):
        return field.name
    if kind == "bool":
        return False
    if "float" in kind:
        return 0.5
    return {"audio_in_rate_hz": 16000, "audio_out_rate_hz": 24000}.get(field.name, 1) if kind == "int" else {}


def _stable(data: dict[str, Any]) -> dict[str, Any]:
    return {key: "2026-01-31T12:00:00.000Z" if key == "timestamp" else value for key, value in data.items()}


# ── metrics ──


def metrics() -> str:
    from voxray.server.metrics import TABLE

    rows = [(_code(it.name), it.kind, ", ".join(map(_code, it.labels)), it.help) for it in TABLE]
    return (
        "# Metrics\n\n`GET /metrics` answers in Prometheus' text format; `metrics_enabled: false` makes it answer 204. All "
        "figures of a call are read off its event log.\n\n" + table(("name", "type", "labels", "meaning"), rows)
    )
