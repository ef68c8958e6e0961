"""The order that vendors insist on."""

from voxray.chat import Assistant, System, ToolCall, ToolResult, User
from voxray.wire.history import NO_RESULT, paired

CALL = ToolCall("a", "clock", {})


def test_results_follow_their_calls_in_order() -> None:
    other = ToolCall("b", "weather", {})
    asked, late, early = (
        Assistant("", (CALL, other)),
        ToolResult("a", "clock", "ten"),
        ToolResult("b", "weather", "rain"),
    )
    assert paired([asked, early, User("Well?"), late]) == [asked, late, early, User("Well?")]


def test_a_call_without_a_result_gets_one() -> None:
    asked = Assistant("Wait.", (CALL,))
    assert paired([asked, User("Stop")]) == [asked, ToolResult("a", "clock", NO_RESULT, failed=True), User("Stop")]


def test_what_is_empty_or_answers_nothing_is_dropped() -> None:
    assert paired([System(" "), User(""), Assistant(""), ToolResult("z", "x", "y"), User("Hi")]) == [User("Hi")]
