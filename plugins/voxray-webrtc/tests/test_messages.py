"""What goes over the data channels of a call, without a connection."""

from __future__ import annotations

import json
from typing import Any

from voxray_webrtc.messages import Messages

from tests.webrtc_desk import context
from voxray.events import CallEnded, SpeechStarted


class Wire:
    """A data channel."""

    buffered = 0

    def __init__(self, protocol: str = "") -> None:
        self.open = True
        self.protocol = protocol
        self.sent: list[dict[str, Any]] = []

    def send(self, message: str) -> None:
        self.sent.append(json.loads(message))


def ready(messages: Messages, wire: Wire) -> None:
    messages.answered()
    messages.adopt(wire)  # type: ignore[arg-type]
    data = {"id": "r1", "label": "rtvi-ai", "type": "client-ready", "data": {"version": "2.1.0"}}
    messages.received(wire, json.dumps(data))  # type: ignore[arg-type]
    messages.take()


def test_a_client_need_not_be_ready_again_over_another_connection() -> None:
    messages = Messages(context(), lambda: None)
    ready(messages, Wire())
    messages.drop()
    second = Wire()
    messages.adopt(second)  # type: ignore[arg-type]
    messages.send(SpeechStarted())
    assert [it["type"] for it in second.sent] == ["user-started-speaking"]


def test_a_channel_of_another_protocol_begins_anew() -> None:
    messages = Messages(context(), lambda: None)
    ready(messages, Wire())
    messages.drop()
    second = Wire("json")
    assert messages.adopt(second)  # type: ignore[arg-type]
    messages.send(SpeechStarted())
    assert [it["type"] for it in second.sent] == ["UserStartedSpeakingFrame"]


def test_a_client_whose_call_is_refused_does_not_wait_for_it() -> None:
    messages, wire = Messages(context(), lambda: None), Wire()
    messages.adopt(wire)  # type: ignore[arg-type]
    messages.say_goodbye("full", "max_sessions")
    [error, goodbye] = wire.sent
    assert error["data"] == {"error": "the call could not begin: full", "fatal": True}
    assert goodbye["message"] == {"type": "peerLeft"}


def test_the_end_of_a_call_is_told_once() -> None:
    messages, wire = Messages(context(), lambda: None), Wire()
    ready(messages, wire)
    wire.sent.clear()
    messages.send(CallEnded("idle"))
    messages.say_goodbye("idle", "")
    assert [it["type"] for it in wire.sent] == ["error", "signalling"]
