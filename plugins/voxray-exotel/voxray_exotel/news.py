"""What Exotel tells of a call: status callbacks, and what the Passthru applet reports after a stream."""

from __future__ import annotations

import json
from collections.abc import Mapping

from voxray.protocols.carrier import CallEvent, Webhook
from voxray_exotel.fields import parsed_json

# Not the stream's address: it may hold the password.
STREAM = (
    "StreamSID",
    "StreamSid",
    "Status",
    "Duration",
    "Error",
    "Disposition",
    "DisconnectedBy",
    "DetailedStatus",
    "RecordingUrl",
)
DETAILS = (
    "ConversationDuration",
    "CustomField",
    "DateCreated",
    "DateUpdated",
    "EventType",
    "From",
    "RecordingUrl",
    "To",
)
OVER = ("completed", "failed", "busy", "no-answer", "canceled")


def fields_of(webhook: Webhook) -> dict[str, str]:
    """Query and form, or the JSON body, by name. Raises ValueError."""
    fields = dict(reversed([*webhook.query, *webhook.form]))  # the first of each name counts
    if "json" in webhook.headers.get("content-type", "").lower() and webhook.body:
        body = parsed_json(webhook.body)
        fields |= {name: value if isinstance(value, str) else json.dumps(value) for name, value in body.items()}
    return {name: value.encode(errors="replace").decode() for name, value in fields.items()}


def event_of(fields: Mapping[str, str]) -> CallEvent | None:
    """The news; None if the applet asks where to stream to."""
    call_id = fields.get("CallSid", "")
    stream = _stream(fields)
    if stream:
        details = {name: value for name in STREAM if name != "Status" and (value := stream.get(name))}
        return CallEvent(call_id=call_id, kind="stream", value=stream.get("Status") or "unknown", details=details)
    if "EventType" in fields or ("Status" in fields and "CallFrom" not in fields):
        status, kind = fields.get("Status", ""), fields.get("EventType", "")
        details = {name: fields[name] for name in DETAILS if fields.get(name)}
        over = kind == "terminal" or (not kind and status in OVER)
        return CallEvent(
            call_id=call_id, kind="ended" if over else "status", value=status or kind or "unknown", details=details
        )
    return None


def _stream(fields: Mapping[str, str]) -> dict[str, str]:
    """What the Passthru applet says of the stream: flat, as `Stream[Name]`, or as JSON in one parameter."""
    if fields.get("Stream", "").startswith("{"):
        inner = parsed_json(fields["Stream"])
        return {name: value if isinstance(value, str) else json.dumps(value) for name, value in inner.items()}
    wrapped = {
        name[len("Stream[") : -1]: value
        for name, value in fields.items()
        if name.startswith("Stream[") and name.endswith("]")
    }
    if wrapped:
        return wrapped
    if not any(fields.get(name) for name in ("StreamSID", "StreamSid")):
        return {}
    found = {name: fields[name] for name in STREAM if fields.get(name)}
    return found if "Status" in found else {**found, "Status": fields.get("EventType", "")}
