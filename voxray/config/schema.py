"""The schema of the configuration: the core's own, and what the installed plugins add to it."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from voxray.registry import Registry
from voxray.specs import (
    CarrierSpec,
    LlmSpec,
    PipelineSpec,
    RealtimeSpec,
    RecordingSinkSpec,
    Secret,
    SessionStoreSpec,
    Spec,
    SttSpec,
    ToolSourceSpec,
    TranscriptStoreSpec,
    TransportSpec,
    TtsSpec,
    TurnDetectorSpec,
    VadSpec,
)

# `x-kind` of a key in the core schema → whose names it takes.
KINDS: dict[str, type[Spec]] = {
    kind.kind: kind
    for kind in (
        SttSpec, LlmSpec, TtsSpec, RealtimeSpec, VadSpec, TurnDetectorSpec, ToolSourceSpec, SessionStoreSpec,
        CarrierSpec, TranscriptStoreSpec, RecordingSinkSpec, PipelineSpec,
    )
}  # fmt: skip
_TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})
_NUMBERS = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
)
_COMMENTS = {"^_": True}


def core_schema() -> dict[str, Any]:
    """The core's schema, from beside this module (a wheel) or from the repository."""
    here = Path(__file__).parent
    beside = here / "config.schema.json"
    file = beside if beside.exists() else here.parent.parent / "schemas" / "config.schema.json"
    schema: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return schema


def compose(registry: Registry, core: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The core's schema with the names and options of everything that is installed."""
    schema: dict[str, Any] = copy.deepcopy(dict(core)) if core is not None else core_schema()
    properties = schema["properties"]
    for part in _keys_with_names(properties):
        part["enum"] = allowed_names(part, registry)
    carriers = [carrier.name for carrier in registry.specs(CarrierSpec)]
    enabling = [name for transport in registry.specs(TransportSpec) for name in transport.enabled_by]
    others = [name for name in enabling if name not in properties["transport"]["enum"]]
    runner = properties["runner_transport"]
    runner["items"]["enum"] = [*carriers, *others]
    runner["then"]["enum"] = ["", *carriers, *others]
    properties["providers"]["properties"] = _providers(registry)
    pipeline = registry.specs(PipelineSpec)
    properties["plugins"]["items"] = {"type": "string", "x-kind": "pipeline", "enum": [spec.name for spec in pipeline]}
    properties["plugin_options"]["properties"] = {
        spec.name: _object(sound_options(spec), f"Options of {spec.title}.") for spec in pipeline
    }
    properties["tools"]["items"] = _tools(registry.specs(ToolSourceSpec))
    for row in registry.registered():
        for secret in row.spec.secrets:
            entry = {"type": "string", "description": f"Fallback: {secret.env}.", "x-secret": is_secret(secret)}
            properties["api_keys"]["properties"].setdefault(config_key(row.spec.name, secret), entry)
    return schema


def allowed_names(part: Mapping[str, Any], registry: Registry) -> list[str]:
    """What a key that takes the names of specs may say: core names, installed names and "" for "not set"."""
    kind = part["x-kind"]
    kinds: list[type[Spec]] = [SttSpec, LlmSpec, TtsSpec] if kind == "any" else [KINDS[kind]]
    names = list(part.get("enum", [part.get("default", "")]))
    names += ["", "realtime"] if kind == "any" else []
    names += sorted({spec.name for kind_ in kinds for spec in registry.specs(kind_)})
    return list(dict.fromkeys(names))


def config_key(provider: str, secret: Secret) -> str:
    """The name of this secret in `api_keys`."""
    return secret.config_key or (provider if secret.key == "api_key" else f"{provider}_{secret.key}")


def is_secret(secret: Secret) -> bool:
    """False for what only travels like a secret: a region, a project."""
    return not secret.default and any(word in secret.key for word in ("key", "token", "secret", "password"))


def sound_options(spec: Spec) -> dict[str, Any]:
    """The options of `spec` whose schemas are usable; a broken one becomes "anything"."""
    return {name: dict(part) if _is_sound(part) else {} for name, part in spec.options.items()}


def broken_options(registry: Registry) -> Iterator[tuple[Spec, str]]:
    """Spec and option of each schema that a plugin got wrong."""
    for row in registry.registered():
        for name, part in row.spec.options.items():
            if not _is_sound(part):
                yield row.spec, name


def _is_sound(part: Any, depth: int = 0) -> bool:
    """Whether the validator can work with this schema. Checking against the meta-schema would cost 1 ms a provider."""
    if isinstance(part, bool):
        return depth > 0
    if not isinstance(part, Mapping) or depth > 8 or any(name.startswith("$") for name in part):
        return False
    kinds = part.get("type", "string")
    if not set(kinds if isinstance(kinds, list | tuple) else [kinds]) <= _TYPES:
        return False
    if any(not isinstance(part[name], int | float) for name in _NUMBERS if name in part):
        return False
    if not isinstance(part.get("enum", []), list | tuple) or not isinstance(part.get("required", []), list | tuple):
        return False
    try:
        re.compile(part.get("pattern", ""))
    except (re.error, TypeError):
        return False
    inner = [part[name] for name in ("items", "additionalProperties", "if", "then", "else", "not") if name in part]
    for name in ("anyOf", "oneOf", "allOf"):
        if not isinstance(part.get(name, []), list | tuple):
            return False
        inner += part.get(name, [])
    for name in ("properties", "patternProperties"):
        if not isinstance(part.get(name, {}), Mapping):
            return False
        inner += part.get(name, {}).values()
    return all(_is_sound(each, depth + 1) for each in inner)


def _keys_with_names(properties: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for part in properties.values():
        if "x-kind" in part:
            yield part
        yield from (inner for inner in part.get("properties", {}).values() if "x-kind" in inner)


def _providers(registry: Registry) -> dict[str, Any]:
    """The subtree of each provider: its secrets, its address, and its options by task."""
    result: dict[str, Any] = {}
    for spec in (row.spec for row in registry.registered()):
        if not spec.section:
            continue
        entry = result.setdefault(spec.name, _object({}, spec.title))
        for secret in spec.secrets:
            entry["properties"].setdefault(
                secret.key,
                {"type": "string", "description": f"Instead of {secret.env}.", "x-secret": is_secret(secret)},
            )
        if spec.base_url or spec.base_url_env:
            entry["properties"]["base_url"] = {
                "type": "string",
                "pattern": "^$|^(https?|wss?)://",
                "x-hint": f"an address such as {spec.base_url or 'https://example.com/v1'}",
                "description": f"Address of the service. Default: {spec.base_url or 'none'}.",
            }
        entry["properties"][spec.section] = _object(sound_options(spec), f"Options of {spec.title} for {spec.section}.")
    return dict(sorted(result.items()))


def _object(properties: dict[str, Any], description: str) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "patternProperties": _COMMENTS,
        "additionalProperties": False,
    }


def _tools(specs: list[ToolSourceSpec]) -> dict[str, Any]:
    names = [spec.name for spec in specs]
    name = {"type": "string", "x-kind": "tools", "enum": names}
    forms = [
        {
            "if": {"type": "object", "properties": {"name": {"const": spec.name}}, "required": ["name"]},
            "then": _object({"name": True, **sound_options(spec)}, f"Options of {spec.title}."),
        }
        for spec in specs
    ]
    return {
        "type": ["string", "object"],
        "if": {"type": "string"},
        "then": name,
        "else": {"required": ["name"], "properties": {"name": name}},
        **({"allOf": forms} if forms else {}),
    }
