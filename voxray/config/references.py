"""`"${NAME}"` in the core's own secret fields, wherever they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxray.config.problems import Path, Problem, format_path
from voxray.config.secrets import expand, from_environment, reference

# Their secrets are looked up when what uses them is built; perhaps in a vault.
LATER = ("api_keys", "providers", "plugin_options", "tools")


def expand_references(
    data: dict[str, Any], schema: Mapping[str, Any], env: Mapping[str, str]
) -> tuple[dict[str, Any], list[Problem]]:
    """`data` with references replaced, and a problem for each that is not set, or that stands there in plain text."""
    found = _References(env)
    properties = schema["properties"]
    result = {
        key: value if key in LATER else found.expanded(value, properties.get(key), (key,))
        for key, value in data.items()
    }
    return result, found.problems


class _References:
    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._lookup = from_environment(env)
        self.problems: list[Problem] = []

    def expanded(self, value: Any, part: Any, path: Path) -> Any:
        """`value`, whose schema is `part`, with its secrets."""
        if not isinstance(part, Mapping):
            return value
        if isinstance(value, Mapping):
            inner = part.get("properties", {})
            return {key: self.expanded(each, inner.get(key), (*path, key)) for key, each in value.items()}
        if isinstance(value, list):
            return [self.expanded(each, part.get("items"), (*path, index)) for index, each in enumerate(value)]
        if part.get("x-secret") and isinstance(value, str) and value:
            return self._secret(value, part, path)
        return value

    def _secret(self, text: str, part: Mapping[str, Any], path: Path) -> str:
        name = reference(text)
        if name:
            value = expand(text, self._lookup)
            if not value:
                # An empty server_api_key would open the server to everybody.
                level: Any = "error" if path == ("server_api_key",) else "warning"
                where = format_path(path)
                self.problems.append(Problem(where, f"{name} is not set", level, rule="secret", remedy=f"set {name}"))
            return value
        variables = part.get("x-env", [])
        if _shows_secret(str(path[-1]), text) and not any(self._env.get(variable) == text for variable in variables):
            remedy = f"leave it out and set {variables[0]}" if variables else 'write "${NAME}", and set NAME'
            where = format_path(path)
            self.problems.append(Problem(where, "secret in plain text", "warning", rule="plain-text", remedy=remedy))
        return text


def _shows_secret(key: str, text: str) -> bool:
    """Addresses are secret only if they hold a password."""
    if key not in ("redis_url", "dsn"):
        return True
    login = text.partition("://")[2].partition("/")[0]
    return ("@" in login and ":" in login.rpartition("@")[0]) or "password=" in text.lower()
