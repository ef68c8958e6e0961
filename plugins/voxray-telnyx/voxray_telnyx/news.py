"""What Telnyx' webhooks tell of a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxray.protocols.carrier import CallEvent, Webhook
from voxray_telnyx.fields import part, text

VERDICTS = {
    "human": "human",
    "human_residence": "human",
    "human_business": "human",
    "machine": "machine",
    "machine_start": "machine",
    "machine_end_beep": "machine",
    "machine_end_silence": "machine",
    "machine_end_other": "machine",
    "fax": "fax",
    "fax_detected": "fax",
}
DETAILS = (
    "call_session_id",
    "client_state",
    "connection_id",
    "failure_reason",
    "hangup_cause",
    "hangup_source",
    "sip_hangup_cause",
    "stream_id",
)
OVER = ("completed", "busy", "failed", "no-answer", "canceled")
FORM_DETAILS = (
    "AnsweredBy",
    "CallDuration",
    "HangupCause",
    "HangupSource",
    "MachineDetectionDuration",
    "StreamError",
    "StreamId",
    "StreamName",
    "StreamSid",
    "Timestamp",
)


def control_event(kind: str, payload: Mapping[str, Any]) -> CallEvent | None:
    """News by Call Control; None for what nobody needs to know."""
    call_id = text(payload, "call_control_id")
    details = {name: value for name in DETAILS if (value := text(payload, name))}
    result = text(payload, "result")
    match kind:
        case "call.initiated" | "call.answered" | "call.bridged":
            return CallEvent(call_id=call_id, kind="status", value=kind.removeprefix("call."), details=details)
        case "call.hangup":
            return CallEvent(
                call_id=call_id, kind="ended", value=text(payload, "hangup_cause") or "unknown", details=details
            )
        case "call.machine.detection.ended" | "call.machine.premium.detection.ended":
            return CallEvent(
                call_id=call_id,
                kind="machine",
                value=VERDICTS.get(result, "unknown"),
                details={**details, "result": result},
            )
        case "call.machine.greeting.ended" | "call.machine.premium.greeting.ended":
            return CallEvent(call_id=call_id, kind="machine", value="machine", details={**details, "greeting": result})
        case "streaming.started" | "streaming.stopped" | "streaming.failed":
            params = part(payload, "stream_params")
            if (stream_id := text(params, "stream_id")) and "stream_id" not in details:
                details["stream_id"] = stream_id
            return CallEvent(call_id=call_id, kind="stream", value=kind.removeprefix("streaming."), details=details)
    return None


def form_event(webhook: Webhook) -> CallEvent | None:
    """News by TeXML; None if the webhook asks what to do with a call."""
    call_id, status = webhook.value("CallSid"), webhook.value("CallStatus")
    details = {name: value for name in FORM_DETAILS if (value := webhook.value(name))}
    if stream := webhook.value("StreamEvent"):
        return CallEvent(call_id=call_id, kind="stream", value=stream.removeprefix("stream-"), details=details)
    news = webhook.value("news")  # our own mark on addresses for callbacks
    if status in OVER:
        return CallEvent(call_id=call_id, kind="ended", value=status, details=details)
    if news == "machine" or (webhook.value("AnsweredBy") and not status):
        return CallEvent(
            call_id=call_id, kind="machine", value=VERDICTS.get(webhook.value("AnsweredBy"), "unknown"), details=details
        )
    if news:
        return CallEvent(call_id=call_id, kind="status", value=status or "unknown", details=details)
    return None
