"""From a file to settings, with every problem on the way."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from itertools import islice
from typing import Any

from voxray.config.checks import Facts, Finding, check_everything, hook_findings
from voxray.config.document import MAX_FINDINGS, Document, parse_document, read_document
from voxray.config.env import apply_environment
from voxray.config.explain import Explainer, Fault
from voxray.config.problems import Path, Problem, format_path, has_errors, in_order
from voxray.config.references import expand_references
from voxray.config.resolve import FLAT_KEYS, Choice, possible
from voxray.config.schema import compose, core_schema, sound_options
from voxray.config.settings import Settings, make_settings
from voxray.errors import ConfigError
from voxray.registry import Registry

DEFAULT_FILE = "config.json"
COMMAND_LINE = "command line"


def default_path(env: Mapping[str, str]) -> str:
    """The configuration file when none is named: VOXRAY_CONFIG, else config.json in the working directory."""
    return env.get("VOXRAY_CONFIG") or DEFAULT_FILE


def load_settings(
    path: str | os.PathLike[str],
    registry: Registry,
    env: Mapping[str, str] = os.environ,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings in a file, with overrides by the environment and then by the command line.

    `overrides` maps flat keys to values, as in `{"port": 8080}`. Warnings are not shown; `check` returns them.

    Raises:
        ConfigError: the file cannot be read, or has errors; `problems` holds all findings.
    """
    try:
        settings, problems = check(path, registry, env, overrides)
    except OSError as error:
        raise ConfigError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from error
    if settings is None:
        lines = [str(problem) for problem in problems if problem.severity == "error"]
        raise ConfigError("\n".join(lines), tuple(problems))
    return settings


def check(
    path: str | os.PathLike[str],
    registry: Registry,
    env: Mapping[str, str] = os.environ,
    overrides: Mapping[str, Any] | None = None,
    *,
    today: date | None = None,
) -> tuple[Settings | None, list[Problem]]:
    """The settings, or None if there are errors; and all problems, in the order of the file.

    Raises:
        OSError: the file cannot be read.
    """
    return check_document(read_document(path), Composed.of(registry), env, overrides, today=today)


def check_bytes(
    raw: bytes, source: str, registry: Registry, env: Mapping[str, str], *, today: date | None = None
) -> tuple[Settings | None, list[Problem]]:
    """The same for a file that is in memory; `source` is its name."""
    return check_document(parse_document(raw, source), Composed.of(registry), env, today=today)


@dataclass(frozen=True, slots=True)
class Composed:
    """A registry with its schemas; worth keeping when many files are checked."""

    registry: Registry
    core: Mapping[str, Any]
    schema: Mapping[str, Any]

    @classmethod
    def of(cls, registry: Registry) -> Composed:
        core = core_schema()
        return cls(registry, core, compose(registry, core))


def check_document(
    document: Document,
    composed: Composed,
    env: Mapping[str, str],
    overrides: Mapping[str, Any] | None = None,
    *,
    today: date | None = None,
) -> tuple[Settings | None, list[Problem]]:
    """The work of `check`, for a document that was read already."""
    problems = list(document.problems)
    if not isinstance(document.data, dict):
        if not has_errors(problems):
            problems.append(_not_an_object(document))
        return None, problems
    registry, schema = composed.registry, composed.schema
    data, origins, warnings = apply_environment(document.data, schema, env)
    problems += warnings
    for key, value in (overrides or {}).items():
        data[key] = value
        origins[format_path((key,))] = COMMAND_LINE
    explainer = Explainer(document, schema, registry)
    faults = explainer.faults(data)
    problems += [_with_origin(fault, origins) for fault in faults]
    blamed = {fault.path for fault in faults} | set(document.suspect)
    pruned = _pruned(data, blamed)
    problems += [document.locate(found, origins) for found in _unavailable(pruned, schema)]
    expanded, missing = expand_references(pruned, schema, env)
    problems += [document.locate(found, origins) for found in missing]
    settings = make_settings(expanded, document.source)
    choices = possible(settings, registry, env)
    flat = [fault for choice in choices for fault in _flat_faults(explainer, choice, settings)]
    problems += [_with_origin(fault, origins) for fault in flat]
    facts = Facts(
        settings=settings,
        choices=choices,
        registry=registry,
        env=env,
        today=today or date.today(),  # noqa: DTZ011 - the reader's calendar
        api_keys=frozenset(composed.core["properties"]["api_keys"]["properties"]),
    )
    names = _blamed_names(faults + flat, blamed | {fault.path for fault in flat})
    findings = list(islice(check_everything(facts), MAX_FINDINGS))
    if not has_errors(problems):
        findings += hook_findings(registry, settings)
    for finding in findings:
        if not _explained(finding, names):
            problems.append(document.locate(finding.problem, origins))
    problems = in_order(problems)
    return (None if has_errors(problems) else settings), problems


def _not_an_object(document: Document) -> Problem:
    line, column = document.place(())
    message = "the configuration must be an object: key and value pairs"
    return Problem("$", message, "error", line, column, "type", source=document.source)


def _with_origin(fault: Fault, origins: Mapping[str, str]) -> Problem:
    """A fault of a value that the file does not hold says where the value comes from instead."""
    origin = origins.get(format_path(fault.path), "")
    return replace(fault.problem, line=None, column=None, source=origin) if origin else fault.problem


def _flat_faults(explainer: Explainer, choice: Choice[Any], settings: Settings) -> list[Fault]:
    """What a provider's schema has against the flat keys that fill its options in."""
    options = sound_options(choice.spec)
    return [
        fault
        for option, key in FLAT_KEYS.get(choice.spec.kind, {}).items()
        if option in options and key in settings.given and getattr(settings, key) != ""
        for fault in explainer.faults(getattr(settings, key), options[option], (key,))
    ]


def _pruned(value: Any, blamed: set[Path], path: Path = ()) -> Any:
    """`value` without what is wrong in it."""
    if isinstance(value, Mapping):
        return {key: _pruned(part, blamed, (*path, key)) for key, part in value.items() if (*path, key) not in blamed}
    if isinstance(value, list):
        kept = [(index, part) for index, part in enumerate(value) if (*path, index) not in blamed]
        return [_pruned(part, blamed, (*path, index)) for index, part in kept if not _lacks(blamed, (*path, index))]
    return value


def _lacks(blamed: set[Path], path: Path) -> bool:
    """Whether something inside a list's entry is wrong or missing: the entry is of no use then."""
    return any(each[: len(path)] == path for each in blamed)


def _blamed_names(faults: list[Fault], blamed: set[Path]) -> set[str]:
    """The keys at fault and those that were probably meant, dotted."""
    meant = {(*fault.path[:-1], fault.meant) for fault in faults if fault.meant}
    return {".".join(str(part) for part in path) for path in blamed | meant}


def _explained(finding: Finding, names: set[str]) -> bool:
    """Whether a finding only follows from something that was reported already, there or in what contains it."""
    for key in finding.keys:
        parts = key.split(".")
        if any(".".join(parts[:end]) in names for end in range(1, len(parts) + 1)):
            return True
    return False


def _unavailable(data: Any, schema: Mapping[str, Any], path: Path = ()) -> Iterator[Problem]:
    """Settings of features that this version does not have."""
    for key, part in schema.get("properties", {}).items():
        if not isinstance(part, Mapping) or not isinstance(data, Mapping) or key not in data:
            continue
        value, here = data[key], (*path, key)
        if part.get("x-available") is False and value not in (part.get("default"), None):
            yield _not_available(here)
        elif not path and key in ("metrics", "mcp", "recording", "transcripts", "telephony"):
            yield from _unavailable(value, part, here)
    if not path and isinstance(data, Mapping) and data.get("provider") == "realtime":
        yield _not_available(("provider",), '"realtime" is ')


def _not_available(path: Path, subject: str = "") -> Problem:
    return Problem(format_path(path), f"{subject}not available in this version", "warning", rule="not-available")
