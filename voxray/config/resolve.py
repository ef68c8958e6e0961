"""Which spec serves each task, with which options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from voxray.config.settings import Settings
from voxray.registry import Registry
from voxray.specs import (
    LlmSpec,
    PipelineSpec,
    RealtimeSpec,
    SessionStoreSpec,
    Spec,
    SttSpec,
    ToolSourceSpec,
    TransportSpec,
    TtsSpec,
    TurnDetectorSpec,
    VadSpec,
)

S = TypeVar("S", bound=Spec)
DEFAULT_PROVIDER = "openai"
CORE_TURN_DETECTION = ("none", "silence")  # the session does these itself
CORE_SESSION_STORES = ("memory",)

# Kind → option → flat key that fills it in.
FLAT_KEYS: Mapping[str, Mapping[str, str]] = {
    "stt": {"model": "stt_model", "language": "stt_language"},
    "llm": {"model": "model"},
    "tts": {"model": "tts_model", "voice": "tts_voice", "language": "tts_language"},
    "vad": {"threshold": "vad_threshold"},
    "session_store": {"url": "redis_url"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Generic[S]):
    """A spec, and the options to build it with: defaults, flat keys and `providers.<name>.<section>` merged."""

    spec: S
    options: Mapping[str, Any] = field(repr=False)
    base_url: str = ""

    @property
    def name(self) -> str:
        return self.spec.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What one configuration uses. The voice providers are None in a configuration without voice."""

    stt: Choice[SttSpec] | None
    llm: Choice[LlmSpec] | None
    tts: Choice[TtsSpec] | None
    realtime: Choice[RealtimeSpec] | None
    vad: Choice[VadSpec]
    turn: Choice[TurnDetectorSpec] | None  # None: the session's own `none` or `silence`
    tools: tuple[Choice[ToolSourceSpec], ...]
    plugins: tuple[Choice[PipelineSpec], ...]
    session_store: Choice[SessionStoreSpec] | None  # None: memory

    def all(self) -> tuple[Choice[Any], ...]:
        single = (self.stt, self.llm, self.tts, self.realtime, self.vad, self.turn, self.session_store)
        return (*(choice for choice in single if choice is not None), *self.tools, *self.plugins)


def provider_key(settings: Settings, kind: str) -> str:
    """The key that decides who does a task: `<kind>_provider`, `provider`, or "" when it is the default."""
    for key in (f"{kind}_provider", "provider"):
        if getattr(settings, key):
            return key
    return ""


def provider_name(settings: Settings, kind: str) -> str:
    key = provider_key(settings, kind)
    return getattr(settings, key) if key else DEFAULT_PROVIDER


def choose(settings: Settings, spec: S, env: Mapping[str, str], more: Mapping[str, Any] | None = None) -> Choice[S]:
    """The options and the address for `spec`.

    Options, highest first: `more`, `providers.<name>.<section>`, the flat key, the spec's default.
    Address: `base_url` of `providers.<name>`, the spec's variable, the spec's default.
    """
    own = settings.providers.get(spec.name, {})
    options = {name: part["default"] for name, part in spec.options.items() if "default" in part}
    for option, key in FLAT_KEYS.get(spec.kind, {}).items():
        if option in spec.options and key in settings.given and getattr(settings, key) != "":
            options[option] = getattr(settings, key)
    if spec.section:
        options.update(own.get(spec.section, {}))
    options.update(more or {})
    base_url = own.get("base_url") or env.get(spec.base_url_env) or spec.base_url
    return Choice(spec=spec, options=MappingProxyType(options), base_url=base_url)


def resolve(settings: Settings, registry: Registry, env: Mapping[str, str]) -> Choices:
    """Everything the configuration uses.

    Raises:
        UnknownSpecError, BrokenPluginError: it uses something that is not installed or does not load.
    """

    def provider(kind: type[S]) -> Choice[S] | None:
        if not settings.has_voice:
            return None
        return choose(settings, registry.get(kind, provider_name(settings, kind.kind)), env)

    def optional(kind: type[S], name: str, core: tuple[str, ...]) -> Choice[S] | None:
        return None if name in core else choose(settings, registry.get(kind, name), env)

    return Choices(
        stt=provider(SttSpec),
        llm=provider(LlmSpec),
        tts=provider(TtsSpec),
        realtime=optional(RealtimeSpec, settings.realtime_provider, ("",)),
        vad=choose(settings, registry.get(VadSpec, settings.vad_type), env),
        turn=optional(TurnDetectorSpec, settings.turn_detection, CORE_TURN_DETECTION),
        tools=tuple(
            choose(settings, registry.get(ToolSourceSpec, tool.name), env, tool.options) for tool in settings.tools
        ),
        plugins=tuple(
            choose(settings, registry.get(PipelineSpec, name), env, settings.plugin_options.get(name, {}))
            for name in settings.plugins
        ),
        session_store=optional(SessionStoreSpec, settings.session_store, CORE_SESSION_STORES),
    )


def enabled_transports(settings: Settings, registry: Registry) -> list[TransportSpec]:
    """The ways in that `transport` and `runner_transport` switch on."""
    wanted = {settings.transport, *settings.runner_transport}
    return [spec for spec in registry.specs(TransportSpec) if not wanted.isdisjoint(spec.enabled_by)]


def possible(settings: Settings, registry: Registry, env: Mapping[str, str]) -> list[Choice[Any]]:
    """The choices that can be made, for checks on a configuration that may name things which do not exist."""
    none: Mapping[str, Any] = {}
    wanted: list[tuple[type[Spec], str, Mapping[str, Any]]] = []
    if settings.has_voice:
        wanted += [(kind, provider_name(settings, kind.kind), none) for kind in (SttSpec, LlmSpec, TtsSpec)]
    wanted += [
        (RealtimeSpec, settings.realtime_provider, none),
        (VadSpec, settings.vad_type, none),
        (TurnDetectorSpec, settings.turn_detection, none),
        (SessionStoreSpec, settings.session_store, none),
    ]
    wanted += [(ToolSourceSpec, tool.name, tool.options) for tool in settings.tools]
    wanted += [(PipelineSpec, name, settings.plugin_options.get(name, none)) for name in settings.plugins]
    chosen = [
        choose(settings, registry.get(kind, name), env, more)
        for kind, name, more in wanted
        if any(spec.name == name for spec in registry.specs(kind))
    ]
    return [*chosen, *(choose(settings, spec, env) for spec in enabled_transports(settings, registry))]
