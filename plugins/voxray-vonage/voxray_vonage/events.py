"""What Vonage's webhooks say: their fields, wherever they stand, and news of a call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from voxray.protocols.carrier import CallEvent, Webhook

ENDED = ("completed", "busy", "cancelled", "failed", "rejected", "timeout", "unanswered")
MACHINES = {"human": "human", "machine": "machine"}
TOLD = ("conversation_uuid", "direction", "timestamp", "duration", "reason", "detail", "sub_state", "from", "to")


def fields(webhook: Webhook) -> dict[str, str]:
    """The webhook's plain fields: of the JSON body of a POST, of the query of a GET.

    Raises:
        ValueError: the body is not a JSON object.
    """
    found = dict(webhook.query)
    if webhook.body.strip() and not webhook.form:
        found |= {name: _text(value) for name, value in _object(webhook.body).items() if _is_plain(value)}
    return {**found, **dict(webhook.form)}


def is_news(said: Mapping[str, str]) -> bool:
    """Is this an event of a call, not the question what to do with one? Both may come to the same address."""
    return any(name in said for name in ("status", "timestamp", "type"))


def event(said: Mapping[str, str]) -> CallEvent:
    """News of a call. Events of the leg that is our own media socket are of kind "stream"."""
    status = said.get("status") or said.get("type", "")
    kind = "status"
    if said.get("to", "").startswith(("ws:", "wss:")) or status == "disconnected":
        kind = "stream"
    elif status in MACHINES:
        kind = "machine"
    elif status in ENDED:
        kind = "ended"
    details = {name: said[name] for name in TOLD if said.get(name)}
    return CallEvent(call_id=said.get("uuid", ""), kind=kind, value=MACHINES.get(status, status), details=details)


def _object(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError("the body is not JSON") from error
    if not isinstance(data, dict):
        raise ValueError("the body is not a JSON object")
    return data


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _text(value: object) -> str:
    return value if isinstance(value, str) else f"{value}"
