"""Finds plugins, loads each on its own, and answers what they offer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

import pluggy

from voxray import hookspecs
from voxray.errors import BrokenPluginError, DuplicateSpecError, PluginError, UnknownSpecError
from voxray.specs import Spec

GROUP = "voxray"
S = TypeVar("S", bound=Spec)


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A plugin that was found but cannot be used, and why."""

    name: str
    distribution: str
    error: str


@dataclass(frozen=True, slots=True)
class Registered:
    """A spec and the plugin it came from."""

    spec: Spec
    plugin: str
    distribution: str


class Registry:
    """What the installed plugins offer. Made by `load()`; there is no global one."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager("voxray")
        self.manager.add_hookspecs(hookspecs)
        self.broken: list[BrokenPlugin] = []
        self._specs: dict[tuple[str, str], Registered] = {}
        self._distributions: dict[str, str] = {}

    @classmethod
    def load(cls, *, only: Sequence[str] | None = None, entries: Iterable[EntryPoint] | None = None) -> Registry:
        """Register the built-in plugin and every entry point of group "voxray".

        `only` restricts the set, and defaults to VOXRAY_PLUGINS (names separated by commas; unset or empty: all).
        A plugin that fails to import, misspells a hook or returns rubbish becomes a `BrokenPlugin`.

        Raises:
            DuplicateSpecError: two plugins register the same kind and name.
        """
        if only is None:
            only = [name.strip() for name in os.environ.get("VOXRAY_PLUGINS", "").split(",") if name.strip()]
        registry = cls()
        registry._add("voxray", "voxray", lambda: import_module("voxray.builtin"))
        found = sorted(entry_points(group=GROUP) if entries is None else entries, key=lambda entry: entry.name)
        for entry in found:
            if not only or entry.name in only:
                registry._add(entry.name, _distribution(entry), entry.load)
        for name in sorted(set(only) - {entry.name for entry in found}):
            registry.broken.append(BrokenPlugin(name, f"voxray-{name}", "named in VOXRAY_PLUGINS but not installed"))
        return registry

    def _add(self, name: str, distribution: str, load: Callable[[], Any]) -> None:
        try:
            module = load()
            self._check_hooks(module)
            self.manager.register(module, name)
            try:
                specs = list(self._declared(name))
            except BaseException:
                self.manager.unregister(name=name)
                raise
        except Exception as error:  # a plugin may fail in any way; the others must not notice
            self.broken.append(BrokenPlugin(name, distribution, f"{type(error).__name__}: {error}"))
            return
        self._distributions[name] = distribution
        for spec in specs:
            key = (spec.kind, spec.name)
            if key in self._specs:
                first = self._specs[key]
                raise DuplicateSpecError(
                    f'{spec.kind} "{spec.name}" is registered by both {first.distribution} and {distribution}; '
                    "uninstall one, or choose with VOXRAY_PLUGINS"
                )
            self._specs[key] = Registered(spec, name, distribution)

    def _check_hooks(self, module: Any) -> None:
        known = [name for name in vars(hookspecs) if name.startswith("voxray_")]
        for name in dir(module):
            if name.startswith("voxray_") and hasattr(getattr(module, name), "voxray_impl") and name not in known:
                close = get_close_matches(name, known, n=1)
                raise PluginError(f'unknown hook "{name}"' + (f'; did you mean "{close[0]}"?' if close else ""))

    def _declared(self, plugin: str) -> Iterator[Spec]:
        module = self.manager.get_plugin(plugin)
        for hook in (
            "voxray_register_providers",
            "voxray_register_transports",
            "voxray_register_serializers",
            "voxray_register_pipeline_plugins",
            "voxray_register_stores",
        ):
            declare = getattr(module, hook, None)
            if declare is None:
                continue
            for spec in declare():
                if not isinstance(spec, Spec):
                    raise PluginError(f"{hook} returned {type(spec).__name__}, expected a spec from voxray.plugin")
                yield spec

    def specs(self, kind: type[S]) -> list[S]:
        """All specs of one kind, by name."""
        rows = [row.spec for row in self._specs.values() if isinstance(row.spec, kind)]
        return sorted(rows, key=lambda spec: spec.name)

    def registered(self) -> list[Registered]:
        """Everything, by kind and name."""
        return [self._specs[key] for key in sorted(self._specs)]

    def get(self, kind: type[S], name: str) -> S:
        """The spec of this kind and name.

        Raises:
            BrokenPluginError: the plugin of that name is installed but broken.
            UnknownSpecError: nothing of that name; the text suggests a near name or a package to install.
        """
        row = self._specs.get((kind.kind, name))
        if row is not None and isinstance(row.spec, kind):
            return row.spec
        for broken in self.broken:
            if broken.name == name or broken.distribution == f"voxray-{name}":
                raise BrokenPluginError(
                    f'{kind.kind} "{name}": {broken.distribution} could not be loaded: {broken.error}'
                )
        raise UnknownSpecError(f'no {kind.kind} {_noun(kind)} named "{name}"; {self.remedy(kind, name)}')

    def remedy(self, kind: type[Spec], name: str) -> str:
        """What to do about a name that nobody registers."""
        close = get_close_matches(name, [spec.name for spec in self.specs(kind)], n=1, cutoff=0.7)
        if close:
            return f'did you mean "{close[0]}"?'
        return f"is it installed? try: pip install voxray-{name.replace('_', '-')}"


def make(spec: Spec, context: object, options: dict[str, Any]) -> Any:
    """Import the factory of `spec` and call it as `factory(context, **presets, **options)`.

    Options missing from `options` get their schema default; one without a default must be given.

    Raises:
        BrokenPluginError: the factory cannot be imported.
    """
    defaults = {name: schema["default"] for name, schema in spec.options.items() if "default" in schema}
    return factory(spec)(context, **spec.presets, **{**defaults, **options})


def factory(spec: Spec) -> Callable[..., Any]:
    """The callable that `spec.factory` names."""
    module, _, attribute = spec.factory.partition(":")
    try:
        made: Callable[..., Any] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise BrokenPluginError(f'{spec.kind} "{spec.name}": cannot import {spec.factory}: {error}') from error
    return made


def _noun(kind: type[Spec]) -> str:
    return "provider" if kind.kind in ("stt", "llm", "tts", "realtime") else "plugin"


def _distribution(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.module
