"""What the model is told: the caller's words, and of the agent's those that were heard."""

from __future__ import annotations

from voxray.chat import Assistant, Prompt, System, ToolCall, ToolResult, ToolSchema, User
from voxray.session.conversation import RUNNING, Conversation

LOOK = ToolCall("c1", "look", {"at": "it"})
BOOK = ToolCall("c2", "book", {})


def asked(text: str = "Hello?") -> Conversation:
    conversation = Conversation([System("Be brief.")])
    conversation.user(text)
    return conversation


def test_a_reply_that_was_heard_follows_the_question() -> None:
    conversation = asked()
    conversation.generated(1, "Hi. Fine.")
    conversation.commit([(1, "Hi. Fine.")], interrupted=False)
    assert conversation.messages == (System("Be brief."), User("Hello?"), Assistant("Hi. Fine."))


def test_an_interrupted_reply_keeps_what_was_heard() -> None:
    conversation = asked()
    conversation.generated(1, "Hi. Fine.")
    conversation.commit([(1, "Hi.")], interrupted=True)
    assert conversation.messages[-1] == Assistant("Hi.", interrupted=True)


def test_a_reply_cut_off_after_its_last_word_was_not_interrupted() -> None:
    conversation = asked()
    conversation.generated(1, "Hi.")
    conversation.commit([(1, "Hi.")], interrupted=True)
    assert conversation.messages[-1] == Assistant("Hi.")


def test_what_was_heard_before_the_model_had_finished_counts_too() -> None:
    conversation = asked()
    conversation.commit([(1, "Hi.")], interrupted=True)
    assert conversation.messages[-1] == Assistant("Hi.", interrupted=True)


def test_a_reply_of_which_nothing_was_heard_leaves_no_trace() -> None:
    for generated in (True, False):
        conversation = asked()
        if generated:
            conversation.generated(1, "Hi.")
        conversation.commit([], interrupted=True)
        assert conversation.messages[-1] == User("Hello?")


def test_while_the_reply_is_open_a_further_round_sees_all_that_was_generated() -> None:
    conversation = asked()
    conversation.generated(1, "Let me look.", (LOOK,))
    assert conversation.prompt().messages[2:] == (
        Assistant("Let me look.", (LOOK,)),
        ToolResult("c1", "look", RUNNING),
    )


def test_a_tools_result_takes_the_place_of_its_placeholder() -> None:
    conversation = asked()
    conversation.generated(1, "", (LOOK, BOOK))
    conversation.returned(ToolResult("c2", "book", "booked"))
    assert conversation.messages[-2:] == (ToolResult("c1", "look", RUNNING), ToolResult("c2", "book", "booked"))


def test_each_round_keeps_what_was_heard_of_it() -> None:
    conversation = asked()
    conversation.generated(1, "Let me look.", (LOOK,))
    conversation.returned(ToolResult("c1", "look", "sunny"))
    conversation.generated(2, "It is sunny. And warm.")
    conversation.commit([(1, "Let me look."), (2, "It is sunny.")], interrupted=True)
    assert conversation.messages[2:] == (
        Assistant("Let me look.", (LOOK,)),
        ToolResult("c1", "look", "sunny"),
        Assistant("It is sunny.", interrupted=True),
    )


def test_a_tool_call_stays_though_nothing_was_heard_of_its_round() -> None:
    conversation = asked()
    conversation.generated(1, "Let me look.", (LOOK,))
    conversation.commit([], interrupted=True)
    assert conversation.messages[2:] == (
        Assistant("", (LOOK,), interrupted=True),
        ToolResult("c1", "look", RUNNING),
    )


def test_a_result_that_comes_after_the_reply_finds_its_place() -> None:
    conversation = asked()
    conversation.generated(1, "", (LOOK,))
    conversation.commit([], interrupted=True)
    conversation.user("And?")
    conversation.returned(ToolResult("c1", "look", "sunny"))
    assert conversation.messages[-2:] == (ToolResult("c1", "look", "sunny"), User("And?"))


def test_results_nobody_asked_for_are_ignored() -> None:
    conversation = asked()
    conversation.returned(ToolResult("c9", "look", "sunny"))
    assert conversation.messages[-1] == User("Hello?")


def test_an_id_that_the_model_uses_again_does_not_change_the_past() -> None:
    conversation = asked()
    for round, text in ((1, "first"), (2, "second")):
        conversation.generated(round, "", (LOOK,))
        conversation.returned(ToolResult("c1", "look", text))
    results = [message.text for message in conversation.messages if isinstance(message, ToolResult)]
    assert results == ["first", "second"]


def test_two_calls_with_one_id_have_one_result_each() -> None:
    conversation = asked()
    conversation.generated(1, "", (LOOK, LOOK))
    conversation.returned(ToolResult("c1", "look", "first"))
    conversation.returned(ToolResult("c1", "look", "second"))
    results = [message.text for message in conversation.messages if isinstance(message, ToolResult)]
    assert results == ["first", "second"]


def test_words_are_taken_back_if_they_are_the_newest() -> None:
    conversation = asked("book a room")
    conversation.take_back("book a room")
    assert conversation.messages == (System("Be brief."),)


def test_other_words_are_not_taken_back() -> None:
    conversation = asked("book a room")
    conversation.user("for two")
    conversation.take_back("book a room")
    assert [message.text for message in conversation.messages] == ["Be brief.", "book a room", "for two"]


def test_nothing_can_be_taken_back_from_nothing() -> None:
    conversation = Conversation()
    conversation.take_back("words")
    assert conversation.messages == ()


def test_the_client_may_start_over() -> None:
    conversation = asked()
    conversation.generated(1, "Let me look.", (LOOK,))
    conversation.replace([User("New.")])
    conversation.returned(ToolResult("c1", "look", "sunny"))
    conversation.commit([], interrupted=True)
    assert conversation.messages == (User("New."),)


def test_the_client_may_add_messages() -> None:
    conversation = asked()
    conversation.append([Assistant("Hi."), User("Again?")])
    assert [message.text for message in conversation.messages] == ["Be brief.", "Hello?", "Hi.", "Again?"]


def test_there_is_one_persona() -> None:
    conversation = asked()
    conversation.append([System("More.")])
    conversation.persona("Be long.")
    assert conversation.messages == (System("Be long."), User("Hello?"))


def test_a_prompt_is_a_picture_of_the_moment() -> None:
    conversation = asked()
    tools = (ToolSchema("look", "looks"),)
    prompt = conversation.prompt(tools, "required")
    conversation.user("More.")
    assert prompt == Prompt((System("Be brief."), User("Hello?")), tools, "required")
