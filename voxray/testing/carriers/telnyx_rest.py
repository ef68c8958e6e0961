"""The simulated Telnyx' REST API: which commands there are, and which fields they take."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from voxray.testing.phone_wire import CarrierRejectsError, RestAnswer, WireRequest, WireStream

STREAM_FIELDS = {
    "stream_url",
    "stream_track",
    "stream_codec",
    "stream_bidirectional_mode",
    "stream_bidirectional_codec",
    "stream_bidirectional_sampling_rate",
    "stream_bidirectional_target_legs",
    "send_silence_when_idle",
    "stream_auth_token",
    "custom_parameters",
    "stream_establish_before_call_originate",
}
ANSWER_FIELDS = STREAM_FIELDS | {"client_state", "command_id", "webhook_url", "webhook_url_method"}
CALL_FIELDS = ANSWER_FIELDS | {
    "connection_id",
    "to",
    "from",
    "from_display_name",
    "timeout_secs",
    "time_limit_secs",
    "answering_machine_detection",
}
TEXML_FIELDS = {
    "To",
    "From",
    "ApplicationSid",
    "Url",
    "Texml",
    "Timeout",
    "TimeLimit",
    "StatusCallback",
    "MachineDetection",
    "DetectionMode",
    "AsyncAmd",
    "AsyncAmdStatusCallback",
}
ACTIONS: Mapping[str, tuple[set[str], tuple[str, ...]]] = {  # fields that are known, and needed
    "answer": (ANSWER_FIELDS, ("stream_url",)),
    "hangup": ({"client_state", "command_id"}, ()),
    "reject": ({"cause", "client_state", "command_id"}, ("cause",)),
    "transfer": ({"to", "from", "client_state", "command_id"}, ("to",)),
    "send_dtmf": ({"digits", "duration_millis", "client_state", "command_id"}, ("digits",)),
}
OK = {"data": {"result": "ok"}}
ENDED = RestAnswer(
    status=422, body={"errors": [{"code": "90018", "title": "Call has already ended", "detail": "it is over"}]}
)


@dataclass(frozen=True, slots=True)
class Command:
    """`action` is "dial", "texml" (to dial as well), or what is done to a call: "answer", "hangup", …"""

    action: str
    fields: dict[str, Any]


def command(request: WireRequest, call_id: str) -> Command:
    """What a request asks for. Raises CarrierRejectsError."""
    if request.method != "POST":
        raise CarrierRejectsError(f"{request.method}: all commands are POST")
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or not key:
        raise CarrierRejectsError("10009: no bearer token")
    steps = urlsplit(request.url).path.rstrip("/").split("/")
    if steps[-1] == "Calls" and "texml" in steps:
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        return Command("texml", _checked(form, TEXML_FIELDS, ("To", "From", "ApplicationSid", "Url")))
    fields = _object(request.body)
    if steps[-1] == "calls":
        return Command("dial", _checked(fields, CALL_FIELDS, ("connection_id", "to", "from")))
    # Call ids hold characters that addresses escape; servers tell them escaped or not.
    if steps[-1] not in ACTIONS or not unquote(request.url).endswith(f"/calls/{call_id}/actions/{steps[-1]}"):
        raise CarrierRejectsError(f"10005: no such resource: {request.url}")
    known, needed = ACTIONS[steps[-1]]
    return Command(steps[-1], _checked(fields, known, needed))


def placed(call_id: str, *, stream: WireStream) -> RestAnswer:
    """A call that streams as soon as it is taken."""
    data = {"record_type": "call", "call_control_id": call_id, "call_leg_id": "428c31b6-0001", "is_alive": True}
    return RestAnswer(body={"data": data}, stream=stream)


def _checked(fields: dict[str, Any], known: set[str], needed: tuple[str, ...]) -> dict[str, Any]:
    unknown, missing = sorted(set(fields) - known), [name for name in needed if not fields.get(name)]
    if unknown or missing:
        raise CarrierRejectsError(f"10015: unknown fields {unknown}, missing fields {missing}")
    given = fields.get("custom_parameters", [])
    if not all(isinstance(it, dict) and set(it) == {"name", "value"} for it in given):
        raise CarrierRejectsError("10015: custom_parameters are a list of names and values")
    return fields


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except ValueError as error:
        raise CarrierRejectsError("10002: no JSON") from error
    if not isinstance(fields, dict):
        raise CarrierRejectsError("10002: a command is a JSON object")
    return fields
