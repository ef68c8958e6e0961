"""Tools in calls: run once, bounded, and without effect for a reply that was cut off."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import anyio
import pytest

from tests.session.calls import Call, hold
from voxray.chat import Assistant, ToolCall, ToolResult, ToolSchema, User
from voxray.errors import ProviderUnavailable
from voxray.events import (
    InterruptRequested,
    ModelAsked,
    ProviderFailed,
    ReplyAudible,
    ReplyStarted,
    SilenceBroken,
    ToolAnswered,
    ToolCalled,
    ToolReturned,
    ToolsReplaced,
    TurnEnded,
)
from voxray.protocols.tools import Tool
from voxray.session.conversation import RUNNING
from voxray.testing.fakes import FakeTransport, ScriptedLlm, ScriptedStt, ScriptedTts

ACT = ToolCall("c", "act", {"n": 1})


class Source:
    """Tools for a call, there after `secs`; notes when it is open."""

    def __init__(self, *tools: Tool, secs: float = 0.0, error: Exception | None = None, late: float = 1e9) -> None:
        self.tools = tools
        self.secs = secs
        self.error = error
        self.late = late
        self.is_open = False

    @asynccontextmanager
    async def open(self):
        await anyio.sleep(self.secs)
        if self.error and self.late > 1e8:
            raise self.error
        async with anyio.create_task_group() as tasks:  # like a client with a reader of its own
            tasks.start_soon(self._read)
            self.is_open = True
            try:
                yield self.tools
            finally:
                self.is_open = False
                tasks.cancel_scope.cancel()

    async def _read(self) -> None:
        await anyio.sleep(self.late)
        assert self.error
        raise self.error


def tool(run: Any, name: str = "act", **kwargs: Any) -> Tool:
    return Tool(schema=ToolSchema(name, "does it"), run=run, **kwargs)


class Deed:
    """A tool's function that takes its time and notes what it did."""

    def __init__(self, secs: float = 0.0, result: Any = "done") -> None:
        self.secs = secs
        self.result = result
        self.began: list[Any] = []
        self.done: list[Any] = []

    async def __call__(self, arguments: Any, session: Any) -> Any:
        self.began.append(arguments)
        await anyio.sleep(self.secs)
        self.done.append(arguments)
        return self.result


def ask(*tools: Tool, replies: Sequence[Any], caller: FakeTransport | None = None, **kwargs: Any) -> Call:
    caller = caller or FakeTransport().say(1.0).listen().leave()
    return hold(caller, kwargs.pop("options", None), tools=[Source(*tools)], llm=ScriptedLlm(replies), **kwargs)


def called(caller: FakeTransport) -> bool:
    return any(isinstance(event, ToolCalled) for event in caller.events)


def results(call: Call) -> list[str]:
    return [message.text for message in call.messages if isinstance(message, ToolResult)]


# ── results ──


@pytest.mark.parametrize(
    ("result", "text"),
    [("text", "text"), (None, "null"), ({"a": [1]}, '{"a": [1]}'), (3.5, "3.5"), ({1, 2}, '"{1, 2}"'), ("", "")],
)
def test_a_result_is_text_or_becomes_json(result: Any, text: str) -> None:
    assert results(ask(tool(Deed(result=result)), replies=[[ACT], "Yes."])) == [text]


def test_a_tool_gets_its_arguments_and_the_call() -> None:
    seen = []

    async def run(arguments, session):
        seen.append((arguments, session.info.session_id))
        session.say("By the way.")
        return "ok"

    call = ask(tool(run), replies=[[ACT], "Yes."], caller=FakeTransport().say(1.0).listen().listen().leave())
    assert seen == [({"n": 1}, "s-1")]
    assert [m.text for m in call.messages if isinstance(m, Assistant)] == ["", "Yes.", "By the way."]


def test_a_result_that_cannot_be_json_is_an_error() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert results(ask(tool(Deed(result=loop)), replies=[[ACT], "Yes."]))[0].startswith("error: ValueError")


def test_an_unknown_tool_is_an_error() -> None:
    call = ask(replies=[[ACT], "Yes."])
    assert results(call) == ['error: there is no tool named "act"']
    assert call.all(ToolReturned)[0].failed


def test_a_time_out_of_the_tools_own_is_not_taken_for_ours() -> None:
    async def run(arguments, session):
        raise TimeoutError("the bank does not answer")

    assert results(ask(tool(run), replies=[[ACT], "Yes."])) == ["error: TimeoutError: the bank does not answer"]


def test_tools_of_one_round_run_side_by_side_and_in_the_order_of_their_calls() -> None:
    slow, quick = Deed(1.0, "slow"), Deed(0.1, "quick")
    calls = [ToolCall("1", "slow", {}), ToolCall("2", "quick", {})]
    call = ask(tool(slow, "slow"), tool(quick, "quick"), replies=[calls, "Yes."])
    assert results(call) == ["slow", "quick"]
    assert call.at(ModelAsked, 1) - call.at(ModelAsked, 0) == pytest.approx(1.2, abs=0.01)


def test_calls_with_one_id_have_results_of_their_own() -> None:
    async def run(arguments, session):
        return f"result {arguments['n']}"

    replies = [
        [ToolCall("c", "act", {"n": 1}), ToolCall("c", "act", {"n": 2})],
        [ToolCall("c", "act", {"n": 3})],
        "Ok.",
    ]
    assert results(ask(tool(run), replies=replies)) == ["result 1", "result 2", "result 3"]


def test_a_call_in_the_last_round_leaves_nothing_open() -> None:
    llm = ScriptedLlm(lambda prompt: ["Well.", ACT])
    call = hold(
        FakeTransport().say(1.0).listen().leave(), {"max_tool_rounds": 1}, tools=[Source(tool(Deed()))], llm=llm
    )
    assert RUNNING not in results(call)
    assert call.messages[-1] == Assistant("Well.")


def test_a_tool_that_must_be_called_is_not_called_in_each_round() -> None:
    seen = []

    def reply(prompt):
        seen.append(prompt.tool_choice)
        return [ACT] if prompt.tool_choice == "required" else "Done."

    caller = FakeTransport().post(ToolsReplaced([], "required")).say(1.0).listen().leave()
    hold(caller, tools=[Source(tool(Deed()))], llm=ScriptedLlm(reply))
    assert seen == ["required", "auto"]


def test_a_clients_tool_does_not_hide_ours() -> None:
    deed = Deed()
    llm = ScriptedLlm([[ACT], "Yes."])
    caller = FakeTransport().post(ToolsReplaced([ToolSchema("act", "other"), ToolSchema("b", "b")])).say(1.0).listen()
    hold(caller.leave(), tools=[Source(tool(deed))], llm=llm)
    assert [schema.description for schema in llm.prompts[0].tools] == ["does it", "b"]
    assert deed.done


# ── opening ──


def test_slow_tools_delay_the_model_but_not_the_greeting() -> None:
    source = Source(tool(Deed()), secs=2.0)
    llm = ScriptedLlm([[ACT], "Yes."])
    call = hold(FakeTransport().listen().say(0.2).listen().leave(), {"greeting": "Hello."}, tools=[source], llm=llm)
    assert call.at(ReplyAudible) < 0.2
    assert [schema.name for schema in llm.prompts[0].tools] == ["act"]


def test_tools_that_never_come_are_done_without() -> None:
    llm = ScriptedLlm(["Yes."])
    source = Source(tool(Deed()), secs=1e6)
    call = hold(FakeTransport().say(1.0).listen().leave(), tools=[source, Source(tool(Deed(), "b"))], llm=llm)
    assert call.messages[-1].text.endswith("Yes.")
    assert [schema.name for schema in llm.prompts[0].tools] == ["b"]


@pytest.mark.parametrize("late", [1e9, 5.0])
def test_a_source_that_fails_is_reported_and_its_tools_are_gone(late: float) -> None:
    source = Source(tool(Deed()), error=ProviderUnavailable("mcp", "no process"), late=late)
    llm = ScriptedLlm(["One.", "Two."])
    call = hold(FakeTransport().say(1.0).listen().silence(5.0).say(1.0).listen().leave(), tools=[source], llm=llm)
    assert [(event.stage, event.provider) for event in call.all(ProviderFailed)] == [("tools", "mcp")]
    assert [len(prompt.tools) for prompt in llm.prompts] == [0 if late > 10 else 1, 0]
    assert call.outcome.cause == "caller_left"


def test_sources_are_closed_with_the_call() -> None:
    source = Source(tool(Deed()))
    hold(FakeTransport().say(1.0).listen().leave(), tools=[source])
    assert not source.is_open


def test_the_caller_may_leave_before_the_tools_are_there() -> None:
    call = hold(FakeTransport().silence(0.5).leave(), tools=[Source(secs=1e6)])
    assert call.outcome.cause == "caller_left"


# ── patience ──


def test_a_tool_that_takes_long_is_waited_for_and_the_caller_hears_that_we_are_still_there() -> None:
    call = ask(tool(Deed(14.0, "booked")), replies=[[ACT], "It is booked."])
    assert [m.text for m in call.messages if isinstance(m, Assistant)] == ["One moment.", "It is booked."]
    assert {event.action for event in call.all(SilenceBroken)} == {"tone"}
    gaps = [later.at - sound.at - sound.secs for sound, later in pairwise(call.caller.heard()) if later.at > sound.at]
    assert max(gaps) < 3.4


# ── interruptions ──


def test_an_effect_is_not_started_for_a_reply_that_was_cut_off() -> None:
    """The reply is cut off in the moment in which the tool would start."""
    deed = Deed()

    def during(session):
        def see(entry):
            if isinstance(entry.event, ToolCalled):
                session.interrupt()

        session.log.watch(see)

    call = ask(tool(deed), replies=[[ACT], "Yes."], during=during, caller=FakeTransport().say(1.0).silence(3.0).leave())
    assert not deed.began
    assert results(call) == ["error: not started because the caller interrupted"]


def test_a_tool_that_only_reads_may_be_started_all_the_same() -> None:
    deed = Deed()

    def during(session):
        def see(entry):
            if isinstance(entry.event, ToolCalled):
                session.interrupt()

        session.log.watch(see)

    caller = FakeTransport().say(1.0).silence(3.0).leave()
    call = ask(tool(deed, effect=False), replies=[[ACT], "Yes."], during=during, caller=caller)
    assert results(call) == ["done"]


@pytest.mark.parametrize("interruptible", [False, True])
def test_what_an_interruption_does_to_a_running_tool(interruptible: bool) -> None:
    deed = Deed(2.0)
    caller = FakeTransport().say(1.0)
    caller.until(lambda: called(caller)).silence(0.5).say(1.0).listen().listen().silence(3.0).leave()
    call = ask(tool(deed, interruptible=interruptible), replies=[["Booking.", ACT], "Yes?"], caller=caller)
    assert bool(deed.done) is not interruptible
    expected = "error: cancelled because the caller interrupted" if interruptible else "done"
    assert results(call) == [expected]


def test_words_spoken_while_a_tool_runs_do_not_run_it_twice() -> None:
    """The turn is not taken back: the model would be asked for the same thing again."""
    deed = Deed(3.0)
    caller = FakeTransport().say(1.0)
    caller.until(lambda: called(caller)).say(0.6).listen().listen().silence(3.0).leave()

    def reply(prompt):
        acted = any(isinstance(message, ToolResult) for message in prompt.messages)
        return "It is being done." if acted else [ACT]

    llm = ScriptedLlm(reply)
    call = hold(caller, tools=[Source(tool(deed))], llm=llm, stt=ScriptedStt(["book it", "please"]))
    assert len(deed.began) == 1
    assert [turn.text for turn in call.all(TurnEnded)] == ["book it", "please"]
    assert call.messages == (
        User("book it"),
        Assistant("", (ACT,), interrupted=False),
        ToolResult("c", "act", "done"),
        User("please"),
        Assistant("It is being done."),
    )


def test_a_cough_while_a_tool_runs_does_not_cost_the_answer() -> None:
    deed = Deed(1.0, "booked")
    caller = FakeTransport().say(1.0)
    caller.until(lambda: called(caller)).say(0.4).listen().listen().leave()

    def reply(prompt):
        acted = any(isinstance(message, ToolResult) for message in prompt.messages)
        return "It is booked." if acted else [ACT]

    call = hold(caller, tools=[Source(tool(deed))], llm=ScriptedLlm(reply), stt=ScriptedStt(["book it", ""]))
    assert [event.cause for event in call.all(ReplyStarted)] == ["turn", "resume"]
    assert call.messages[-1] == Assistant("It is booked.")
    assert len(deed.began) == 1


def test_a_tool_of_a_dead_reply_does_not_hang_up() -> None:
    async def run(arguments, session):
        await anyio.sleep(1.0)
        session.hang_up()
        return "ok"

    caller = FakeTransport().say(1.0)
    caller.until(lambda: called(caller)).say(0.6).listen().listen().silence(2.0).leave()
    call = ask(tool(run), replies=[[ACT], "Still here."], caller=caller)
    assert call.outcome.cause == "caller_left"
    assert call.messages[-1] == Assistant("Still here.")


def test_text_typed_into_the_goodbye_stops_the_hanging_up() -> None:
    from voxray.events import TextReceived

    async def run(arguments, session):
        session.hang_up()
        return "ok"

    caller = FakeTransport().say(1.0).until_audible(0.3).post(TextReceived("wait")).listen().listen().leave()
    call = ask(tool(run), replies=[[ACT], "Goodbye and thank you.", "Yes?"], caller=caller)
    assert call.outcome.cause == "caller_left"
    assert call.messages[-1] == Assistant("Yes?")


def test_an_effect_that_has_begun_is_given_a_moment_when_the_caller_leaves() -> None:
    deed = Deed(0.8)
    caller = FakeTransport().say(1.0)
    caller.until(lambda: called(caller)).silence(0.2).leave()
    call = ask(tool(deed), replies=[[ACT], "Yes."], caller=caller)
    assert deed.done
    assert results(call) == ["done"]
    assert call.text().index("ToolReturned") < call.text().index("CallEnded")


def test_but_not_for_ever() -> None:
    deed = Deed(20.0)
    caller = FakeTransport().say(1.0)
    caller.until(lambda: called(caller)).silence(0.2).leave()
    call = ask(tool(deed), replies=[[ACT], "Yes."], caller=caller)
    assert not deed.done
    assert call.outcome.duration_secs < 4.0


def test_a_tool_that_may_be_interrupted_ends_with_the_call() -> None:
    deed = Deed(0.8)
    caller = FakeTransport().say(1.0)
    caller.until(lambda: called(caller)).silence(0.2).leave()
    call = ask(tool(deed, interruptible=True), replies=[[ACT], "Yes."], caller=caller)
    assert not deed.done
    assert call.all(ToolReturned)[0].failed


# ── the client's tools ──

CLIENT = ToolsReplaced([ToolSchema("act", "does it")])


def test_a_client_that_does_not_answer_costs_half_a_minute_at_most() -> None:
    caller = FakeTransport().post(CLIENT).say(1.0).listen().leave()
    call = hold(caller, {"max_silence_secs": 60.0}, llm=ScriptedLlm([[ACT], "Well."]))
    assert results(call) == ["error: the client did not answer within 30 s"]


def test_what_the_client_does_is_not_cancelled_by_an_interruption() -> None:
    caller = FakeTransport().post(CLIENT).say(1.0)
    caller.until(lambda: called(caller)).post(InterruptRequested()).silence(0.5).post(ToolAnswered("c", "ordered"))
    call = hold(caller.silence(0.5).leave(), llm=ScriptedLlm([[ACT], "Yes."]))
    assert results(call) == ["ordered"]


def test_answers_nobody_waits_for_are_ignored() -> None:
    caller = FakeTransport().post(CLIENT, ToolAnswered("c", "early")).say(1.0)
    caller.until(lambda: called(caller)).post(ToolAnswered("other", "no"), ToolAnswered("c", "yes"))
    caller.post(ToolAnswered("c", "again")).listen().leave()
    call = hold(caller, llm=ScriptedLlm([[ACT], "Yes."]))
    assert results(call) == ["yes"]


def test_a_failure_at_the_client_is_a_failure() -> None:
    caller = FakeTransport().post(CLIENT).say(1.0)
    caller.until(lambda: called(caller)).post(ToolAnswered("c", "no stock", failed=True)).listen().leave()
    call = hold(caller, llm=ScriptedLlm([[ACT], "Sorry."]), tts=ScriptedTts())
    assert call.all(ToolReturned)[0].failed
