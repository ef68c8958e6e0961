"""Environment variables that override the file. The schema names them (`x-env`); the first that is set counts."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from voxray.config.nearest import did_you_mean
from voxray.config.problems import Path, Problem, format_path, quote

OTHER_VARIABLES = frozenset({"VOXRAY_PLUGINS", "VOXRAY_CONFIG", "VOXRAY_INSECURE"})
_TEST_VARIABLES = "VOXRAY_FUZZ_"


def overridable(schema: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Path and schema of each key that the environment overrides."""
    for name, part in schema.get("properties", {}).items():
        if isinstance(part, Mapping):
            if "x-env" in part:
                yield (*path, name), part
            if not path and name in ("recording", "transcripts", "metrics"):
                yield from overridable(part, (name,))


def apply_environment(
    data: Mapping[str, Any], schema: Mapping[str, Any], env: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str], list[Problem]]:
    """`data` with overrides, the variable behind each overridden path, and warnings about what could not be used.

    An empty variable is no variable. A boolean is true when it says `true` (in any case) or `1`; a number that is
    none, or out of its range, leaves the file's value alone.
    """
    merged = copy.copy(dict(data))
    origins: dict[str, str] = {}
    problems: list[Problem] = []
    known = set(OTHER_VARIABLES)
    for path, part in overridable(schema):
        known.update(part["x-env"])
        name = next((name for name in part["x-env"] if env.get(name)), "")
        if not name:
            continue
        value, complaint = _parse(env[name], part)
        if complaint is not None:
            shown = "" if part.get("x-secret") else f"{quote(env[name])} "
            problems.append(
                Problem(format_path(path), f"{shown}{complaint}", "warning", rule="environment", source=name)
            )
        if value is not None and _put(merged, path, value):
            origins[format_path(path)] = name
    for name in sorted(env):
        if name.startswith("VOXRAY_") and name not in known and not name.startswith(_TEST_VARIABLES):
            hint = did_you_mean(name, known)
            problems.append(
                Problem("", "no such setting", "warning", rule="unknown-variable", remedy=hint, source=name)
            )
    return merged, origins, problems


def _put(data: dict[str, Any], path: Path, value: Any) -> bool:
    """Set a value at one or two levels; False if the file has something else where an object is due."""
    if len(path) == 2:
        section = data.get(str(path[0]), {})
        if not isinstance(section, Mapping):
            return False
        data[str(path[0])] = {**section, str(path[1]): value}
    else:
        data[str(path[0])] = value
    return True


def _parse(text: str, part: Mapping[str, Any]) -> tuple[Any, str | None]:
    """The value, or None if it cannot be used; and a complaint, or None."""
    kinds = part["type"] if isinstance(part["type"], list) else [part["type"]]
    if "boolean" in kinds:
        value = text.strip().lower()
        usual = value in ("true", "1", "false", "0", "no", "off")
        return value in ("true", "1"), None if usual else "counts as false: true is written true or 1"
    if "array" in kinds:
        return [item.strip() for item in text.split(",") if item.strip()], None
    if "integer" in kinds or "number" in kinds:
        return _number(text, part, whole="integer" in kinds)
    return text, None


def _number(text: str, part: Mapping[str, Any], *, whole: bool) -> tuple[Any, str | None]:
    kind = "a whole number" if whole else "a number"
    try:
        if len(text) > 40 or "_" in text:
            raise ValueError
        value = int(text) if whole else float(text)
    except ValueError:
        return None, f"is not {kind}; the value of the file or the default stays"
    low, high = part.get("minimum", float("-inf")), part.get("maximum", float("inf"))
    if not low <= value <= high:
        return None, f"is not between {low} and {high}; the value of the file or the default stays"
    return value, None
