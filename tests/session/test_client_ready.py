"""What clients that announce themselves and ask questions may rely on: a greeting at the right time, and answers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.session.calls import Call, hold
from voxray.events import ClientMessage, ClientReady, ReplyStarted, RequestFailed, ServerMessage, TextReceived
from voxray.protocols.call import SessionHandle
from voxray.protocols.pipeline import Tap
from voxray.session.questions import ANSWER_SECS, MAX_OPEN
from voxray.session.session import READY_SECS
from voxray.testing.fakes import FakeTransport

GREETING = {"greeting": "Hello."}


class Listening(Tap):
    """Answers messages of kind "ask"; sees the others."""

    def __init__(self, session: SessionHandle) -> None:
        self._session = session

    def event(self, event: Any) -> None:
        if isinstance(event, ClientMessage) and event.kind == "ask":
            self._session.send(ServerMessage("answer", 42, event.id))


class Answers:
    def open(self, session: SessionHandle) -> Tap:
        return Listening(session)


def failed(call: Call) -> list[Any]:
    return [(at, event.id) for at, event in call.caller.sent if isinstance(event, RequestFailed)]


# ── the greeting ──


def test_the_greeting_waits_for_the_client() -> None:
    caller = FakeTransport().silence(3.0).post(ClientReady()).listen().post(ClientReady()).silence(1.0).leave()
    call = hold(caller, GREETING, waits_for_client=True)
    assert call.times(ReplyStarted) == [pytest.approx(3.0, abs=0.05)]


def test_a_client_that_is_never_ready_is_greeted_all_the_same() -> None:
    call = hold(FakeTransport().silence(15.0).leave(), GREETING, waits_for_client=True)
    assert call.times(ReplyStarted) == [pytest.approx(READY_SECS, abs=0.05)]


def test_who_has_asked_something_already_is_not_greeted() -> None:
    caller = FakeTransport().post(TextReceived("hi")).listen().post(ClientReady()).silence(12.0).leave()
    call = hold(caller, GREETING, waits_for_client=True)
    assert [event.cause for event in call.all(ReplyStarted)] == ["text"]


def test_others_are_greeted_at_once() -> None:
    call = hold(FakeTransport().silence(5.0).post(ClientReady()).silence(5.0).leave(), GREETING)
    assert call.times(ReplyStarted) == [0.0]


# ── questions ──


def test_a_message_that_nobody_hears_fails_at_once() -> None:
    caller = (
        FakeTransport().silence(1.0).post(ClientMessage("ask", id="1"), ClientMessage("tell")).silence(20.0).leave()
    )
    assert failed(hold(caller)) == [(pytest.approx(1.0, abs=0.05), "1")]


def test_a_plugins_answer_is_the_only_one() -> None:
    caller = FakeTransport().silence(1.0).post(ClientMessage("ask", id="1")).silence(20.0).leave()
    call = hold(caller, plugins=[Answers()])
    assert failed(call) == []
    assert [event for _, event in call.caller.sent if isinstance(event, ServerMessage)] == [
        ServerMessage("answer", 42, "1")
    ]


def test_a_message_that_no_plugin_answers_fails_in_time() -> None:
    caller = FakeTransport().silence(1.0).post(ClientMessage("other", id="1")).silence(20.0).leave()
    assert failed(hold(caller, plugins=[Answers()])) == [(pytest.approx(1.0 + ANSWER_SECS, abs=0.05), "1")]


def test_no_more_than_so_many_messages_wait() -> None:
    asked = [ClientMessage("other", id=str(number)) for number in range(MAX_OPEN + 1)]
    call = hold(FakeTransport().silence(1.0).post(*asked).silence(20.0).leave(), plugins=[Answers()])
    assert failed(call)[0] == (pytest.approx(1.0, abs=0.05), str(MAX_OPEN))
    assert len(failed(call)) == len(asked)
