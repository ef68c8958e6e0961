"""Conversations with a small flow: what is said and asked for, from the messages alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from voxray_dialogue.engine import Say, opening, reply
from voxray_dialogue.loading import loads
from voxray_dialogue.matching import Matcher

from voxray.chat import Assistant, Message, System, ToolCall, ToolResult, User

FLOW = loads(
    """
name: pizza
greeting: Pizza service.
goodbye: Bye.
repair: ["Pardon?", "Sorry, {help}"]
give_up: {say: I give up., hang_up: true}
help: ask for a pizza
slots:
  size: {values: {small: [small, little], large: [large, big]}, ask: "Which size?", help: say small or large}
  count: {type: number, max: 20, ask: "How many?", heard: ["{count} (pizza | pizzas)"]}
  day: {type: date, ask: "Which day?"}
  code: {type: digits, length: 4, ask: "Which code?"}
intents:
  order: {phrases: ["(order | want) [a] {size} pizza", "(order | want) [a] pizza", "{count} {size} pizzas"], keys: "1"}
  agent: "speak to (a person | someone)"
  hours: "opening hours"
  again: "repeat [that]"
  bye: "bye"
  other: ["make it {size}", "make it {count}"]
  lookup: "where is my order"
always:
  hours: {say: From ten to six.}
  again: {repeat: true}
  bye: {hang_up: true}
  agent: {hand_over: {target: front desk}}
steps:
  menu:
    ask: What do you want?
    again: What now?
    on:
      order: {goto: fill, clear: [size, count]}
      lookup: look
  fill:
    fill: [size, count]
    then: sure
  sure:
    confirm: "{count:pizza,pizzas}, {size}. Right?"
    yes: place
    no: {say: Again then., goto: fill, clear: [size, count]}
    on: {other: sure}
  place:
    say: I order it.
    call: order
    arguments: {size: "{size}", count: "{count}", note: by phone}
    save: {code: result.code}
    cases: [{field: status, equals: closed, say: We are closed., goto: menu}]
    then: {say: "Done, code {code:digits}.", goto: menu}
    failed: {say: That failed., goto: menu}
  look:
    fill: [code, day]
    then: {say: "Order {code:digits} of {day}.", clear: [code, day], goto: menu}
"""
)
TOOLS = ("order", "end_call", "transfer_call")


class Talk:
    """A caller, and a session that remembers."""

    def __init__(self, tools: Sequence[str] = TOOLS) -> None:
        self.messages: list[Message] = [System("ignored"), Assistant(opening(FLOW))]
        self.tools = tools
        self.matcher = Matcher(FLOW)

    def says(self, text: str) -> str:
        self.messages.append(User(text))
        return self.answer()

    def returns(self, result: Any, *, failed: bool = False) -> str:
        call = next(
            call for message in reversed(self.messages) if isinstance(message, Assistant) for call in message.tool_calls
        )
        text = result if isinstance(result, str) else json.dumps(result)
        self.messages.append(ToolResult(call.id, call.name, text, failed))
        return self.answer()

    def answer(self) -> str:
        """The reply, with tools as name(arguments), remembered as said and heard."""
        out = reply(FLOW, self.matcher, self.messages, self.tools)
        said = " ".join(item.text for item in out if isinstance(item, Say))
        calls = tuple(item for item in out if isinstance(item, ToolCall))
        self.messages.append(Assistant(said, calls))
        shown = [f"{call.name}({', '.join(f'{k}={v}' for k, v in call.arguments.items())})" for call in calls]
        return " ".join([said, *shown]).strip()

    def heard_only(self, text: str) -> None:
        """The last reply was cut off: this much of it was heard, and no tool was called."""
        last = self.messages.pop()
        assert isinstance(last, Assistant)
        if text:
            self.messages.append(Assistant(text, interrupted=True))


def test_a_call_begins_with_greeting_and_question():
    assert opening(FLOW) == "Pizza service. What do you want?"
    first = reply(FLOW, Matcher(FLOW), [System("x")], TOOLS)[0]
    assert first == Say("Pizza service.")


def test_slots_are_asked_for_until_all_are_known():
    talk = Talk()
    assert talk.says("I want a pizza, please") == "Which size?"
    assert talk.says("a big one") == "How many?"
    assert talk.says("uh, three I think") == "3 pizzas, large. Right?"
    assert talk.says("yes") == "I order it. order(size=large, count=3, note=by phone)"
    assert talk.returns({"code": 4711}) == "Done, code 4 7 1 1. What do you want?"


def test_slots_in_one_sentence_are_not_asked_for():
    assert Talk().says("two small pizzas") == "2 pizzas, small. Right?"


def test_one_is_singular():
    talk = Talk()
    talk.says("order a large pizza")
    assert talk.says("1") == "1 pizza, large. Right?"


def test_what_is_wrong_can_be_corrected():
    talk = Talk()
    talk.says("two small pizzas")
    assert talk.says("no, make it large") == "2 pizzas, large. Right?"
    assert talk.says("no") == "Again then. Which size?"


def test_a_digression_is_answered_and_the_question_asked_again():
    talk = Talk()
    assert talk.says("what are your opening hours?") == "From ten to six. What now?"
    talk.says("order a pizza")
    assert talk.says("opening hours") == "From ten to six. Which size?"


def test_what_was_said_can_be_repeated():
    talk = Talk()
    talk.says("two small pizzas")
    assert talk.says("repeat that") == "2 pizzas, small. Right?"
    assert talk.says("repeat") == "2 pizzas, small. Right?"


def test_repairs_escalate_and_end():
    talk = Talk()
    talk.says("order a pizza")
    assert talk.says("blah") == "Pardon? Which size?"
    assert talk.says("blah") == "Sorry, say small or large Which size?"
    assert talk.says("blah") == "I give up. Bye. end_call()"


def test_understanding_resets_repairs():
    talk = Talk()
    talk.says("blah")
    talk.says("opening hours")
    assert talk.says("blah").startswith("Pardon?")


def test_after_the_goodbye_nothing_more_is_said():
    talk = Talk()
    assert talk.says("bye") == "Bye. end_call()"
    assert talk.returns("The call ends.") == ""


def test_without_the_tool_the_goodbye_is_only_said():
    talk = Talk(tools=())
    assert talk.says("bye") == "Bye."
    assert talk.says("hello?") == "Bye."


def test_a_call_is_handed_over_with_its_arguments():
    assert Talk().says("speak to someone") == "transfer_call(target=front desk)"


def test_a_hand_over_that_fails_or_is_not_offered_ends_with_an_apology():
    talk = Talk()
    talk.says("speak to a person")
    assert talk.returns("busy", failed=True) == "I am sorry, that does not work right now. Bye. end_call()"
    assert Talk(tools=()).says("speak to a person") == "I am sorry, that does not work right now. Bye."


def test_a_tool_that_is_not_offered_is_repaired_in_words():
    talk = Talk(tools=("end_call",))
    talk.says("two small pizzas")
    answer = talk.says("yes")
    assert answer == "I order it. I am sorry, that does not work right now. That failed. What do you want?"


def test_a_failed_tool_and_a_case_take_their_ways():
    talk = Talk()
    talk.says("two small pizzas")
    talk.says("yes")
    assert talk.returns("error: boom", failed=True) == "That failed. What do you want?"
    talk.says("two small pizzas")
    talk.says("yes")
    assert talk.returns({"status": "closed"}) == "We are closed. What do you want?"


@pytest.mark.parametrize("rubbish", ["", "plain text", "[1, 2]", "null", "[" * 20_000, '{"code": null}'])
def test_any_result_is_survived(rubbish: str):
    talk = Talk()
    talk.says("two small pizzas")
    talk.says("yes")
    assert talk.returns(rubbish).startswith("Done, code")


def test_a_call_cut_off_before_it_was_made_is_made_after():
    talk = Talk()
    talk.says("two small pizzas")
    talk.says("yes")
    talk.heard_only("I order")
    assert talk.says("yes yes") == "I order it. order(size=small, count=2, note=by phone)"
    assert talk.returns({"code": "1234"}).startswith("Done, code 1 2 3 4.")


def test_a_running_tool_is_waited_for():
    talk = Talk()
    talk.says("two small pizzas")
    talk.says("yes")
    assert talk.returns("still running; its result will follow") == ""
    talk.messages.pop()
    assert talk.says("hello?") == "One moment, please."


def test_a_result_that_was_not_heard_is_told_later():
    talk = Talk()
    talk.says("two small pizzas")
    talk.says("yes")
    talk.returns({"code": "1234"})
    talk.heard_only("")
    assert talk.says("opening hours") == "Done, code 1 2 3 4. From ten to six. What now?"
    assert talk.says("opening hours") == "From ten to six. What now?"


def test_a_result_heard_in_part_is_not_told_again():
    talk = Talk()
    talk.says("two small pizzas")
    talk.says("yes")
    talk.returns({"code": "1234"})
    talk.heard_only("Done, code")
    assert talk.says("opening hours") == "From ten to six. What now?"


def test_a_reply_without_anything_new_says_the_last_again():
    talk = Talk()
    talk.says("order a pizza")
    talk.heard_only("Which")
    assert talk.answer() == "Which size?"


def test_the_same_messages_give_the_same_reply_and_calls_keep_their_ids():
    talk = Talk()
    talk.says("two small pizzas")
    talk.messages.append(User("yes"))
    first = reply(FLOW, Matcher(FLOW), talk.messages, TOOLS)
    assert first == reply(FLOW, Matcher(FLOW), talk.messages, TOOLS)


def test_ids_of_calls_are_unique_in_a_conversation():
    talk = Talk()
    for _ in range(3):
        talk.says("two small pizzas")
        talk.says("yes")
        talk.returns({"code": "1234"})
    ids = [call.id for message in talk.messages if isinstance(message, Assistant) for call in message.tool_calls]
    assert len(set(ids)) == 3


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("on May 21st", "May 21"),
        ("the twenty first of may", "May 21"),
        ("december thirty first", "December 31"),
        ("next monday please", "Monday"),
        ("tomorrow", "tomorrow"),
    ],
)
def test_days_are_understood_as_people_say_them(said: str, value: str):
    talk = Talk()
    talk.says("where is my order")
    assert talk.says("four seven one one") == "Which day?"
    assert talk.says(said).startswith(f"Order 4 7 1 1 of {value}.")


@pytest.mark.parametrize("said", ["four seven oh one", "4701", "4 7 0 1", "it's 47 01"])
def test_digits_are_understood_spoken_and_typed(said: str):
    talk = Talk()
    talk.says("where is my order")
    talk.says(said)
    assert talk.says("today").startswith("Order 4 7 0 1 of")


def test_keys_of_a_telephone_stand_for_intents_slots_and_yes():
    talk = Talk()
    assert talk.says("DTMF: 1") == "Which size?"
    assert talk.says("DTMF: 2#") == "How many?"
    assert talk.says("DTMF: 12#") == "12 pizzas, large. Right?"
    assert talk.says("DTMF: 7") == "Pardon? 12 pizzas, large. Right?"
    assert talk.says("DTMF: 1#").startswith("I order it.")


@pytest.mark.parametrize(
    "text", ["", "   ", "?!", "word " * 5000, "\ud800", "DTMF:", "DTMF: ###", "{size}", "0" * 9999]
)
def test_any_text_is_survived(text: str):
    talk = Talk()
    talk.says("order a pizza")
    assert talk.says(text)


def test_foreign_messages_are_ignored():
    talk = Talk()
    talk.messages.append(ToolResult("nobody", "asked", "{}"))
    assert talk.says("two small pizzas") == "2 pizzas, small. Right?"
