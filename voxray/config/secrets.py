"""Where keys come from, and how they travel without being printed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from voxray.config.schema import config_key
from voxray.config.settings import Settings
from voxray.registry import Registry
from voxray.specs import Secret, Spec

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
Lookup = Callable[[str], str | None]


class SecretValue:
    """A secret that does not show itself: only `reveal()` gives the text. False when empty."""

    __slots__ = ("_text", "name")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return f"SecretValue({self.name})"

    __str__ = __repr__

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not to be copied to another process or a file")


class Secrets:
    """Finds secrets in the order providers.<name>.<key>, api_keys, the secret's variables, its default.

    `lookup` resolves a variable's name; by default the plugins' hook `voxray_resolve_secret`, which may block and use
    the network. What was found is kept for the life of the object; what was not is looked for again.
    """

    def __init__(self, settings: Settings, registry: Registry, lookup: Lookup | None = None) -> None:
        self._settings = settings
        self._lookup: Lookup = lookup or (lambda name: registry.manager.hook.voxray_resolve_secret(name=name))
        self._found: dict[tuple[str, str], SecretValue] = {}

    def find(self, provider: str, secret: Secret) -> SecretValue:
        """The secret of this provider; an empty one if there is none."""
        place = (provider, secret.key)
        if place not in self._found:
            value = SecretValue(secret.env, self._search(provider, secret))
            if not value:
                return value
            self._found[place] = value
        return self._found[place]

    def of(self, spec: Spec) -> dict[str, SecretValue]:
        """All secrets of a spec by their `key`; the missing ones are left out."""
        found = {secret.key: self.find(spec.name, secret) for secret in spec.secrets}
        return {key: value for key, value in found.items() if value}

    def _search(self, provider: str, secret: Secret) -> str:
        for text in written(self._settings, provider, secret):
            value = expand(text, self._lookup)
            if value:
                return value
        for name in (secret.env, *secret.also):
            value = (self._lookup(name) if name else "") or ""
            if value:
                return value
        return secret.default


def written(settings: Settings, provider: str, secret: Secret) -> list[str]:
    """What the configuration says about a secret, in order of precedence."""
    own = settings.providers.get(provider, {})
    texts = (own.get(secret.key, ""), settings.api_keys.get(config_key(provider, secret), ""))
    return [text for text in texts if isinstance(text, str) and text]


def reference(text: str) -> str:
    """The name in `"${NAME}"`, or "" if the text is no reference."""
    match = _REFERENCE.fullmatch(text.strip())
    return match[1] if match else ""


def expand(text: str, lookup: Lookup) -> str:
    """`text` itself, or what the variable holds that it refers to ("" if that is not set)."""
    name = reference(text)
    return (lookup(name) or "") if name else text


def from_environment(env: Mapping[str, str]) -> Lookup:
    """A lookup that asks nobody but `env`; for `validate`, which is offline."""
    return lambda name: env.get(name) or None
