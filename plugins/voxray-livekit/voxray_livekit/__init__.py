"""LiveKit: rooms for browsers, apps and phone calls. `runner_transport` is `livekit`."""

from __future__ import annotations

from collections.abc import Iterable

from voxray.plugin import RoomsSpec, Secret, hookimpl

LIVEKIT = RoomsSpec(
    name="livekit",
    title="LiveKit: rooms for browsers, apps and phone calls",
    factory="voxray_livekit.rooms:LiveKitRooms",
    enabled_by=("livekit",),
    options={
        "agent_name": {
            "type": "string",
            "minLength": 1,
            "default": "Voxray Bot",
            "description": "What the agent is called in the room.",
        },
        "room_secs": {
            "type": "integer",
            "minimum": 60,
            "maximum": 86400,
            "default": 7200,
            "description": "How long the tokens are good for entering the room.",
        },
        "wait_secs": {
            "type": "number",
            "minimum": 5,
            "maximum": 3600,
            "default": 300,
            "description": "How long the agent waits in the room for the first person.",
        },
        "leave_grace_secs": {
            "type": "number",
            "minimum": 0,
            "maximum": 120,
            "default": 7,
            "description": "How long the agent stays when the last person left: they may come back.",
        },
    },
    secrets=(
        Secret("LIVEKIT_API_KEY", config_key="livekit_api_key"),
        Secret("LIVEKIT_API_SECRET", key="api_secret", config_key="livekit_api_secret"),
    ),
    base_url="ws://127.0.0.1:7880",
    base_url_env="LIVEKIT_URL",
    docs_url="https://docs.livekit.io/reference/other/roomservice-api/",
    note="Needs Linux (glibc 2.28 and newer), macOS or Windows",
)


@hookimpl
def voxray_register_transports() -> Iterable[RoomsSpec]:
    return (LIVEKIT,)
