"""What the schema has against a document, one line for each cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from voxray.config.document import Document
from voxray.config.nearest import did_you_mean, nearest
from voxray.config.problems import Path, Problem, format_path, quote
from voxray.config.schema import KINDS
from voxray.errors import BrokenPluginError, UnknownSpecError
from voxray.registry import Registry

_KIND_WORDS = {
    "string": "a string", "number": "a number", "integer": "a whole number", "boolean": "true or false",
    "object": "an object", "array": "a list", "null": "null",
}  # fmt: skip
_BOUNDS = {
    "minimum": "less than the minimum of",
    "maximum": "greater than the maximum of",
    "exclusiveMinimum": "not greater than",
    "exclusiveMaximum": "not less than",
    "multipleOf": "not a multiple of",
}
_SIZES = {
    "minLength": "shorter than {} characters", "maxLength": "longer than {} characters",
    "minItems": "a list of fewer than {} entries", "maxItems": "a list of more than {} entries",
    "minProperties": "an object of fewer than {} keys", "maxProperties": "an object of more than {} keys",
}  # fmt: skip
MAX_FAULTS = 100
_PROVIDER_KINDS = ("stt", "llm", "tts")


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem, the path of the bad value or key, and the key that was probably meant (or "")."""

    problem: Problem
    path: Path
    meant: str = ""


class Explainer:
    """Puts what the validator finds into words."""

    def __init__(self, document: Document, schema: Mapping[str, Any], registry: Registry) -> None:
        self._document = document
        self._schema = schema
        self._registry = registry

    def faults(self, data: Any, schema: Mapping[str, Any] | None = None, prefix: Path = ()) -> list[Fault]:
        """Everything in `data` that the schema does not allow; the first hundred, in a file that is all wrong.

        By default `data` is the whole configuration; else what stands at `prefix`, held against `schema`.
        """
        from jsonschema.validators import Draft202012Validator  # 80 ms that only validation has to pay

        found: dict[Path, Fault] = {}
        for error in Draft202012Validator(dict(self._schema if schema is None else schema)).iter_errors(data):
            for fault in self._fault(error, prefix):
                if len(found) >= MAX_FAULTS:
                    return [*found.values(), self._at((), "and more that are not shown", "more")]
                above = any(fault.path[:end] in self._document.suspect for end in range(len(fault.path) + 1))
                first = found.get(fault.path)
                # A wrong type explains the enumeration that does not match either.
                if not above and (first is None or fault.problem.rule == "type"):
                    found[fault.path] = fault
        return list(found.values())

    def _fault(self, error: Any, prefix: Path) -> Iterator[Fault]:
        path: Path = (*prefix, *error.absolute_path)
        keyword, wanted, value, schema = error.validator, error.validator_value, error.instance, error.schema
        if keyword == "additionalProperties":
            for key in value:
                if key not in schema.get("properties", {}) and not key.startswith("_"):
                    yield self._unknown_key(path, key, schema, value)
            return
        if keyword == "required":
            for key in wanted:
                if key not in value and f"'{key}'" in error.message:
                    yield self._missing_key(path, key, schema, value)
            return
        secret = bool(schema.get("x-secret")) if isinstance(schema, Mapping) else False
        if keyword == "type":
            yield self._wrong_type(path, wanted, value)
        elif keyword == "enum" and isinstance(value, str) and "x-kind" in schema:
            yield self._unknown_name(path, value, schema)
        elif keyword == "enum":
            allowed = ", ".join(quote(each) if each != "" else '""' for each in wanted)
            hint = did_you_mean(value, [each for each in wanted if each]) if isinstance(value, str) else ""
            yield self._at(path, f"{quote(value)} is none of {allowed}", "enum", hint)
        elif keyword in _BOUNDS:
            yield self._at(path, f"{quote(value)} is {_BOUNDS[keyword]} {quote(wanted)}", "range")
        elif keyword in _SIZES:
            yield self._at(path, _SIZES[keyword].format(wanted), "size")
        elif keyword == "pattern":
            hint = schema.get("x-hint", "")
            shown = "the value" if secret else quote(value)
            message = f"{shown} does not have the expected form" + ("" if hint else f" {quote(wanted)}")
            yield self._at(path, message, "form", f"write {hint}" if hint else "")
        else:
            yield self._at(path, f"does not satisfy {keyword or 'the schema'} of the schema", str(keyword or "schema"))

    def _missing_key(self, path: Path, key: str, schema: Mapping[str, Any], value: Mapping[str, Any]) -> Fault:
        slip = nearest(key, [name for name in value if name not in schema.get("properties", {})])
        if slip:  # the schema may complain about the misspelt key as well: one path, one problem
            message, remedy = f"unknown key {quote(slip)}", f'did you mean "{key}"?'
            return self._at((*path, slip), message, "unknown-key", remedy, shown=path, meant=key)
        return self._at((*path, key), f'"{key}" is missing', "required", place=path)

    def _wrong_type(self, path: Path, wanted: Any, value: Any) -> Fault:
        kinds = [wanted] if isinstance(wanted, str) else list(wanted)
        message = f"expected {' or '.join(_KIND_WORDS[kind] for kind in kinds)}, found {found_kind(value)}"
        remedy = ""
        if isinstance(value, str):
            word = value.strip().lower()
            if "boolean" in kinds and word in ("true", "false", "yes", "no", "on", "off"):
                remedy = f"write {'true' if word in ('true', 'yes', 'on') else 'false'} without quotes"
            elif {"number", "integer"} & set(kinds) and _is_number(word):
                remedy = f"write {word} without quotes"
            elif "array" in kinds:
                remedy = "put it in square brackets"
        elif "string" in kinds and isinstance(value, int | float) and not isinstance(value, bool):
            remedy = "put it in double quotes"
        return self._at(path, message, "type", remedy)

    def _unknown_key(self, path: Path, key: str, schema: Mapping[str, Any], value: Mapping[str, Any]) -> Fault:
        known = [name for name in schema.get("properties", {}) if not name.startswith("$")]
        in_plugin = path[:1] in (("providers",), ("plugin_options",), ("tools",))
        if path in (("providers",), ("plugin_options",)):
            return self._unknown_owner(path, key, known)
        meant = nearest(key, [name for name in known if name not in value]) or nearest(key, known)
        if meant:
            remedy = f'did you mean "{meant}"?'
        else:
            home = self._home_of(key)
            if home:
                remedy = f"it belongs in {home}"
            else:
                remedy = (
                    f"there {'is' if len(known) == 1 else 'are'} {', '.join(known)}" if 0 < len(known) <= 12 else ""
                )
        word = "option" if in_plugin else "key"
        return self._at((*path, key), f"unknown {word} {quote(key)}", "unknown-key", remedy, shown=path, meant=meant)

    def _home_of(self, key: str) -> str:
        """Where a key that stands in the wrong object belongs."""
        for name, part in self._schema["properties"].items():
            if name == key:
                return "the top level"
            if name in ("recording", "transcripts", "mcp", "metrics", "telephony") and key in part["properties"]:
                return f"$.{name}"
        return ""

    def _unknown_owner(self, path: Path, key: str, known: list[str]) -> Fault:
        """A name below `providers` or `plugin_options` that nothing installed has."""
        meant = nearest(key, known)
        broken = [each for each in self._registry.broken if key in (each.name, each.distribution.split()[0][7:])]
        what = "provider" if path == ("providers",) else "plugin"
        if broken and not meant:
            message = f"{broken[0].distribution} could not be loaded: {broken[0].error}"
            return self._at((*path, key), message, "broken-plugin", severity="warning", key=True)
        remedy = f'did you mean "{meant}"?' if meant else f"is it installed? try: pip install {_package(key)}"
        severity = "error" if meant or what == "plugin" else "warning"  # options of a package to come do no harm
        message = f"no {what} named {quote(key)}"
        return self._at((*path, key), message, "unknown-name", remedy, shown=path, meant=meant, severity=severity)

    def _unknown_name(self, path: Path, name: str, schema: Mapping[str, Any]) -> Fault:
        kind = schema["x-kind"]
        allowed = [each for each in schema["enum"] if each]
        if kind == "any":
            message = f"no provider named {quote(name)}"
        else:
            try:
                self._registry.get(KINDS[kind], name)
            except BrokenPluginError as error:
                return self._at(path, str(error), "broken-plugin")
            except UnknownSpecError as error:
                message = str(error).rpartition("; ")[0] or str(error)
        others = [
            other for other in _PROVIDER_KINDS
            if any(spec.name == name for spec in self._registry.specs(KINDS[other]))
        ]  # fmt: skip
        hint = did_you_mean(name, allowed)
        if others and kind in _PROVIDER_KINDS:
            message = f'"{name}" is installed but offers no {kind}, only {", ".join(others)}'
            hint = f"{kind} providers: {', '.join(allowed)}" if allowed else ""
        elif not hint:
            hint = f"is it installed? try: pip install {_package(name)}"
        return self._at(path, message, "unknown-name", hint)

    def _at(
        self,
        path: Path,
        message: str,
        rule: str,
        remedy: str = "",
        *,
        shown: Path | None = None,
        place: Path | None = None,
        meant: str = "",
        severity: str = "error",
        key: bool = False,
    ) -> Fault:
        """`shown` is the path to print, `place` that of the position, if they differ from `path`."""
        line, column = self._document.place(path if place is None else place, key=key or shown is not None)
        problem = Problem(
            format_path(path if shown is None else shown),
            message,
            "warning" if severity == "warning" else "error",
            line,
            column,
            rule,
            remedy,
            self._document.source,
        )
        return Fault(problem, path, meant)


def found_kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, int | float):
        return f"the number {quote(value)}"
    return "a list" if isinstance(value, list) else "an object"


def _package(name: str) -> str:
    plain = "".join(char if char.isascii() and char.isalnum() else "-" for char in name.lower()[:40]).strip("-")
    return f"voxray-{plain or 'NAME'}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text
