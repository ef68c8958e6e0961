"""Everything that lives as long as the server: providers, stores, listeners, the calls and their numbers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, cast

import anyio
from anyio.abc import TaskGroup

from voxray.builtin.memory_store import MemoryStore
from voxray.config.resolve import Choice, Choices, choose, enabled_transports, resolve
from voxray.config.secrets import Secrets
from voxray.config.settings import Settings
from voxray.errors import ProviderRefused
from voxray.protocols.call import CallInfo, CallSetup
from voxray.protocols.carrier import Carrier
from voxray.protocols.peers import Peers
from voxray.protocols.rooms import Rooms
from voxray.protocols.serializer import Serializer
from voxray.protocols.storage import SessionStore
from voxray.protocols.transport import Listener
from voxray.registry import Registry, make
from voxray.server.calls import Calls, Hooks
from voxray.server.envelope import ErrorCode, Refusal
from voxray.server.metrics import Metrics
from voxray.server.preparation import Preparation, session_options
from voxray.server.telephony.lines import Lines
from voxray.session.services import Services, SessionOptions
from voxray.specs import CarrierSpec, PeersSpec, RoomsSpec, SerializerSpec, Spec, TransportSpec
from voxray.wire.context import Context
from voxray.wire.pool import vendor_client

OFF = frozenset({"", "0", "false"})


@dataclass(slots=True, kw_only=True)
class Runtime:
    """What the application is made from; tests make one of fakes."""

    settings: Settings
    calls: Calls
    metrics: Metrics
    listeners: Sequence[Listener] = ()
    session_store: SessionStore | None = None
    tasks: TaskGroup | None = None  # for calls that outlive the request they began with
    registry: Registry | None = None
    services: Services | None = None
    options: SessionOptions = field(default_factory=SessionOptions)
    lines: Lines | None = None  # of telephone carriers
    peers: Peers | None = None  # WebRTC
    rooms: Sequence[Rooms] = ()


class ListenerContext(Context):
    """A `voxray.protocols.context.ListenerContext`."""

    def __init__(self, name: str, server: Settings, serializers: Sequence[SerializerSpec], **rest: Any) -> None:
        super().__init__(name, **rest)
        self.idle_secs = server.ws_idle_timeout_secs
        self.write_coalesce_ms = float(server.ws_write_coalesce_ms)
        self.write_coalesce_max_frames = server.ws_write_coalesce_max_frames
        self.ice_servers = server.ice_servers
        self._serializers = serializers

    def serializer(self, query: Mapping[str, str]) -> Serializer:
        made: Serializer = make(choose_serializer(self._serializers, query), self, {})
        return made


def choose_serializer(specs: Sequence[SerializerSpec], query: Mapping[str, str]) -> SerializerSpec:
    """`format` wins, then `rtvi` with any value but 0 and false; JSON is the default. Protobuf has RTVI inside.

    Raises:
        Refusal: nothing of that name is installed.
    """
    by_query = {spec.query.lower(): spec for spec in specs}
    wanted = ""
    if query.get("format", "").lower() not in ("", "json"):
        wanted = f"format={query['format'].lower()}"
    elif query.get("rtvi", "").lower() not in OFF:
        wanted = "rtvi"
    if wanted not in by_query:
        raise Refusal(ErrorCode.BAD_REQUEST, "This message format is not installed")
    return by_query[wanted]


class open_runtime:  # noqa: N801  used as a function: `async with open_runtime(settings, registry) as runtime`
    """Build what `settings` asks for; what has `__aenter__` is entered, and left when the block ends.

    A class, because a generator must not yield inside a task group. Raises VoxrayError.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        *,
        env: Mapping[str, str] = os.environ,
        lookup: Callable[[str], str | None] | None = None,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._env = env
        self._secrets = Secrets(settings, registry, lookup)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Runtime:
        await self._stack.__aenter__()
        try:
            return await self._open()
        except BaseException:
            await self._stack.aclose()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tasks.cancel_scope.cancel()
        await self._stack.__aexit__(kind, error, trace)

    async def _open(self) -> Runtime:
        settings = self._settings
        self._http = await self._stack.enter_async_context(vendor_client())
        choices = resolve(settings, self._registry, self._env)
        services = await self._services(choices)
        store = await self._optional(choices.session_store) or MemoryStore()
        metrics = Metrics(enabled=settings.metrics_enabled)
        options = session_options(settings)
        prepare = Preparation(options, settings.telephony.personas, preparers(self._registry))
        calls = Calls(services, prepare, metrics, hooks=hooks(self._registry), max_sessions=settings.max_sessions)
        ways = [(spec, await self._way_in(spec)) for spec in enabled_transports(settings, self._registry)]
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._tasks.start_soon(calls.watch_lag)
        others = {name for spec, _ in ways for name in spec.enabled_by}
        carriers = [await self._carrier(name) for name in settings.runner_transport if name not in others]
        return Runtime(
            settings=settings,
            calls=calls,
            metrics=metrics,
            listeners=[way for spec, way in ways if not isinstance(spec, PeersSpec | RoomsSpec)],
            peers=next((way for spec, way in ways if isinstance(spec, PeersSpec)), None),
            rooms=[way for spec, way in ways if isinstance(spec, RoomsSpec)],
            session_store=store,
            tasks=self._tasks,
            registry=self._registry,
            services=services,
            options=options,
            lines=Lines(carriers, settings.telephony, store, self._http, metrics, self._tasks, refusal=calls.refusal)
            if carriers
            else None,
        )

    async def _carrier(self, name: str) -> Carrier:
        spec = self._registry.get(CarrierSpec, name)
        made: Carrier = await self._made(choose(self._settings, spec, self._env))
        return made

    async def _services(self, choices: Choices) -> Services | None:
        if choices.stt is None or choices.llm is None or choices.tts is None:
            return None
        return Services(
            stt=await self._made(choices.stt),
            llm=await self._made(choices.llm),
            tts=await self._made(choices.tts),
            vad=await self._made(choices.vad),
            stt_name=choices.stt.name,
            llm_name=choices.llm.name,
            tts_name=choices.tts.name,
            stt_model=str(choices.stt.options.get("model") or ""),
            llm_model=str(choices.llm.options.get("model") or ""),
            tts_model=str(choices.tts.options.get("model") or ""),
            turn=await self._optional(choices.turn),
            tools=[await self._made(choice) for choice in choices.tools],
            plugins=[await self._made(choice) for choice in choices.plugins],
        )

    async def _optional(self, choice: Choice[Any] | None) -> Any:
        return None if choice is None else await self._made(choice)

    async def _made(self, choice: Choice[Any]) -> Any:
        context = Context(choice.name, base_url=choice.base_url, **await self._context_parts(choice.spec))
        return await self._entered(make(choice.spec, context, dict(choice.options)))

    async def _way_in(self, spec: TransportSpec) -> Any:
        choice = choose(self._settings, spec, self._env)
        parts = {"base_url": choice.base_url, **await self._context_parts(spec)}
        context = ListenerContext(spec.name, self._settings, self._registry.specs(SerializerSpec), **parts)
        return await self._entered(make(spec, context, dict(choice.options)))

    async def _context_parts(self, spec: Spec) -> dict[str, Any]:
        # A plugin's resolver may ask a vault over the network.
        found = await anyio.to_thread.run_sync(self._secrets.of, spec) if spec.secrets else {}
        required = {secret.key: secret for secret in spec.secrets if secret.required}

        def secret(key: str) -> str:
            if key in found:
                return found[key].reveal()
            if key in required:
                remedy = f"set {required[key].env} or providers.{spec.name}.{key}"
                raise ProviderRefused(spec.name, f"no {key} is configured; {remedy}")
            return ""

        values = {key: value.reveal() for key, value in found.items()}
        return {"http": self._http, "secrets": secret, "settings": {**self._settings.api_keys, **values}}

    async def _entered(self, made: Any) -> Any:
        if hasattr(made, "__aenter__"):
            await self._stack.enter_async_context(made)
        return made


def hooks(registry: Registry) -> Hooks:
    """The plugins' functions, each on its own: one that fails must not keep the others from being called."""
    relay = registry.manager.hook
    return Hooks(
        started=[_taking(impl, "session") for impl in relay.voxray_session_started.get_hookimpls()],
        ended=[_taking(impl, "session", "outcome") for impl in relay.voxray_session_ended.get_hookimpls()],
    )


def preparers(registry: Registry) -> list[Callable[[CallInfo], CallSetup | None]]:
    """The plugins that have something to say about how a call is held, in pluggy's order."""
    hookimpls = registry.manager.hook.voxray_prepare_call.get_hookimpls()
    return [cast(Callable[[CallInfo], CallSetup | None], impl.function) for impl in reversed(hookimpls)]


def _taking(implementation: Any, *names: str) -> Callable[..., None]:
    """A hook's function, given only the arguments that it names."""

    def call(*values: object) -> None:
        given = dict(zip(names, values, strict=True))
        implementation.function(**{name: given[name] for name in implementation.argnames})

    return call
