"""Daily: rooms for browsers and phone calls. `runner_transport` is `daily`."""

from __future__ import annotations

from collections.abc import Iterable

from voxray.plugin import RoomsSpec, Secret, hookimpl

DAILY = RoomsSpec(
    name="daily",
    title="Daily: rooms for browsers and phone calls",
    factory="voxray_daily.rooms:DailyRooms",
    enabled_by=("daily",),
    options={
        "agent_name": {
            "type": "string",
            "minLength": 1,
            "default": "Voxray Bot",
            "description": "What the agent is called in the room.",
        },
        "geo": {
            "type": "string",
            "default": "",
            "description": "Region of Daily that carries the room, such as `eu-central-1`. Empty: the nearest one.",
        },
        "privacy": {
            "enum": ["private", "public"],
            "default": "private",
            "description": "`private`: nobody enters without a token of ours.",
        },
        "room_secs": {
            "type": "integer",
            "minimum": 60,
            "maximum": 86400,
            "default": 7200,
            "description": "After this time room and tokens expire, and everybody still there is put out.",
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
        Secret("DAILY_API_KEY", config_key="daily_api_key"),
        Secret("DAILY_DIALIN_HMAC", key="dialin_hmac", config_key="daily_dialin_hmac", required=False),
    ),
    base_url="https://api.daily.co/v1",
    base_url_env="DAILY_API_URL",
    docs_url="https://docs.daily.co/reference/rest-api",
    note="Needs Linux (glibc 2.28 and newer) or macOS",
)


@hookimpl
def voxray_register_transports() -> Iterable[RoomsSpec]:
    return (DAILY,)
