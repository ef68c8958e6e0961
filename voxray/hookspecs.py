"""The hooks. Five declare what a plugin offers, six let it take part in the program's life."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from voxray.config.settings import Settings
    from voxray.problems import Problem
    from voxray.protocols.call import CallInfo, CallSetup, Outcome
    from voxray.specs import CarrierSpec, PipelineSpec, ProviderSpec, SerializerSpec, StoreSpec, TransportSpec

hookspec = pluggy.HookspecMarker("voxray")
hookimpl = pluggy.HookimplMarker("voxray")

# ── Registration. Called once per process, in any order. No I/O, no SDK imports, no side effects. ──


@hookspec
def voxray_register_providers() -> Iterable[ProviderSpec]:  # type: ignore[empty-body]
    """Declare what listens, thinks and speaks.

    Return `SttSpec`, `LlmSpec`, `TtsSpec`, `RealtimeSpec`, `VadSpec`, `TurnDetectorSpec` or `ToolSourceSpec` objects.
    A pair of kind and name may be registered once; a second registration is an error that names both plugins.
    """


@hookspec
def voxray_register_transports() -> Iterable[TransportSpec | CarrierSpec]:  # type: ignore[empty-body]
    """Declare ways for a call to arrive.

    `TransportSpec`: a listener with its own routes. Behind routes of the server: `CarrierSpec` (telephones),
    `PeersSpec` (WebRTC), `RoomsSpec` (a vendor's rooms).
    """


@hookspec
def voxray_register_serializers() -> Iterable[SerializerSpec]:  # type: ignore[empty-body]
    """Declare how websocket messages become audio and events, and back."""


@hookspec
def voxray_register_pipeline_plugins() -> Iterable[PipelineSpec]:  # type: ignore[empty-body]
    """Declare taps on a call's audio and text. See `voxray.protocols.pipeline.Tap`."""


@hookspec
def voxray_register_stores() -> Iterable[StoreSpec]:  # type: ignore[empty-body]
    """Declare places to keep sessions, transcripts and recordings."""


# ── Behaviour. ──


@hookspec
def voxray_register_commands(cli: click.Group) -> None:
    """Add commands to the `voxray` program. Import what a command needs inside the command."""


@hookspec
def voxray_check_config(settings: Settings) -> Iterable[Problem]:  # type: ignore[empty-body]
    """Report what JSON Schema cannot say: settings that must agree with each other.

    Called by `voxray validate` and before `voxray serve`. Offline. All problems are collected and shown together.
    """


@hookspec(firstresult=True)
def voxray_resolve_secret(name: str) -> str | None:
    """Return the secret called `name` (an environment variable's name), or None to let the next plugin try.

    Called once per secret at server start, never by `validate`; may block and use the network. Voxray's own
    implementation reads the environment and is tried last.
    """


@hookspec(firstresult=True)
def voxray_prepare_call(call: CallInfo) -> CallSetup | None:
    """Say how this call is held: persona, messages, greeting, language; None to let the next plugin try.

    Called when a call was answered, before its session begins: by the number that was dialled, the caller, or what came
    with the call. Runs on the event loop: must not block. Exceptions are logged and ignored.
    """


@hookspec
def voxray_session_started(session: CallInfo) -> None:
    """A call has been answered. Runs on the event loop: must not block. Exceptions are logged and ignored."""


@hookspec
def voxray_session_ended(session: CallInfo, outcome: Outcome) -> None:
    """A call is over; `outcome` is its record. Must not block. Exceptions are logged and ignored."""
