"""Reading flows: what is wrong is found, with its place; grammars; the command and the model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
import voxray_dialogue
from click.testing import CliRunner
from voxray_dialogue.grammar import jsgf
from voxray_dialogue.loading import FlowError, load, loads
from voxray_dialogue.model import DialogueModel

from voxray.chat import Prompt, System, TextDelta, ToolCall, ToolSchema, User
from voxray.errors import ProviderRefused

GOOD = """name: door
greeting: Hello.
slots:
  who: {values: [anna, bob], ask: "Who is there?"}
intents:
  open: ["open [the] (door | gate)", "let {who} in"]
  bye: "bye"
always:
  bye: {hang_up: true}
steps:
  start:
    ask: What now?
    on:
      open: ask
  ask:
    fill: [who]
    then: {say: "Come in, {who}.", goto: start, clear: [who]}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(FlowError) as caught:
        loads(text, "door.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_a_good_flow_is_read():
    flow = loads(GOOD)
    assert flow.start == "start"
    assert set(flow.steps) == {"start", "ask"}


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "greeting: Hello.",
            "greting: Hello.",
            'door.yaml:2: greting: unknown key "greting"; did you mean "greeting"?',
        ),
        ("open: ask", "open: aks", 'door.yaml:14: steps.start.on.open: no step named "aks"; did you mean "ask"?'),
        ("      open: ask", "      opne: ask", 'steps.start.on.opne: no intent named "opne"; did you mean "open"?'),
        ("let {who} in", "let {hwo} in", 'intents.open[1]: no slot named "hwo"; did you mean "who"?'),
        ("Come in, {who}", "Come in, {whom}", 'nothing is called "{whom}"; did you mean "who"?'),
        ("(door | gate)", "(door | gate", 'intents.open[0]: ")" is missing'),
        ("open [the] (door | gate)", "[open]", "fits silence"),
        ('ask: "Who is there?"', "help: x", 'the slot "who" has no question ("ask")'),
        ("values: [anna, bob]", "type: chioce", 'no slot type "chioce"; did you mean "choice"?'),
        ("values: [anna, bob], ", "", 'a slot of type "choice" needs "values"'),
        ("fill: [who]", "confirm: Sure?", '"yes" is missing'),
        ("hang_up: true", "hang_up: true, goto: start", "only one of goto, hang_up can happen"),
        ("{hang_up: true}", "{say: Well, bye}", '"bye" is no key; a text with a comma needs quotes here'),
        ("    ask: What now?\n    on:\n      open: ask", "    say: x\n    then: ask", "the dialogue starts here"),
        ("    fill: [who]\n", "    say: x\n", "leads back to itself without waiting"),
        ("goto: start, clear: [who]", "repeat: true", "steps.ask.then: must lead somewhere"),
        ("name: door", "name: door\nname: gate", "name: given twice"),
        ("name: door", "name: [", "not valid YAML"),
        ("name: door", "name: door\nstart: strat", 'start: no step named "strat"; did you mean "start"?'),
    ],
)
def test_what_is_wrong_is_named_with_its_place(old: str, new: str, problem: str):
    assert old in GOOD
    text = GOOD.replace(old, new)
    if "leads back" in problem:
        text = text.replace("goto: start, clear: [who]", "goto: ask").replace("{who}.", "you.")
    found = problems(text)
    assert any(problem in line for line in found), found


def test_all_problems_are_found_at_once():
    assert (
        len(problems(GOOD.replace("{who} in", "{hwo} in").replace("(door | gate)", "(door").replace("bob", "[]"))) == 3
    )


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "a: &a [*a]", "{" * 500, "x: " + "[" * 500, "\0", "name: !!python/none x"]
)
def test_any_file_gives_problems_and_no_traceback(text: str):
    assert problems(text)


def test_aliases_cannot_blow_up_a_flow():
    text = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(9)
    )
    assert problems(text)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(FlowError, match=r'cannot read the flow ".*nowhere\.yaml"'):
        load(tmp_path / "nowhere.yaml")


def test_unquoted_yes_and_no_are_words():
    flow = loads(GOOD.replace("[anna, bob]", "{agreed: [yes, on], refused: no}"))
    assert dict(flow.slots["who"].forms) == {("yes",): "agreed", ("on",): "agreed", ("no",): "refused"}


def test_the_grammar_holds_what_is_understood_anywhere():
    grammar = jsgf(loads(GOOD))
    assert grammar.startswith("#JSGF V1.0;")
    assert "grammar door;" in grammar
    for part in ("open [the] (door | gate)", "let <slot_who> in", " <slot_who>\n", "| bye", "<slot_who> = anna | bob;"):
        assert part in grammar


def test_slots_said_alike_share_a_rule():
    text = GOOD.replace("intents:", '  whom: {values: [anna, bob], ask: "Whom?"}\nintents:').replace(
        "[who]\n", "[who, whom]\n"
    )
    assert "slot_whom" not in jsgf(loads(text))


def test_a_slot_that_may_be_anything_has_no_grammar():
    with pytest.raises(FlowError, match='"who" may be any text'):
        jsgf(loads(GOOD.replace("values: [anna, bob]", "type: text")))


def command(*arguments: str, typed: str = "") -> Any:
    cli = click.Group()
    voxray_dialogue.voxray_register_commands(cli)
    return CliRunner().invoke(cli, ["dialogue", *arguments], input=typed)


@pytest.fixture
def flow_file(tmp_path: Path) -> Path:
    path = tmp_path / "door.yaml"
    path.write_text(GOOD)
    return path


def test_check_counts_or_complains(flow_file: Path):
    assert "2 steps, 2 intents, 1 slots" in command("check", str(flow_file)).output
    flow_file.write_text(GOOD.replace("open: ask", "open: aks"))
    result = command("check", str(flow_file))
    assert result.exit_code == 2
    assert 'no step named "aks"' in result.output


def test_grammar_is_printed(flow_file: Path):
    assert "public <said>" in command("grammar", str(flow_file)).output


def test_one_can_type_to_a_flow(flow_file: Path):
    output = command("chat", str(flow_file), typed="open the door\nbob\nbye\n").output
    assert "agent: Hello. What now?" in output
    assert "agent: Come in, bob. What now?" in output
    assert "tool:  end_call {}" in output


def test_a_bad_flow_is_refused_with_its_problems(flow_file: Path):
    flow_file.write_text(GOOD.replace("open: ask", "open: aks"))
    with pytest.raises(ProviderRefused, match='no step named "aks"'):
        DialogueModel(SimpleNamespace(name="dialogue"), flow=str(flow_file))


@pytest.mark.anyio
async def test_the_model_streams_a_few_words_at_a_time_and_complete_calls(flow_file: Path):
    model = DialogueModel(SimpleNamespace(name="dialogue"), flow=str(flow_file))
    async with model.generate(Prompt([System("x")])) as stream:
        deltas = [item.text async for item in stream if isinstance(item, TextDelta)]
    assert "".join(deltas) == "Hello. What now?"
    tools = [ToolSchema("end_call", "")]
    async with model.generate(Prompt([User("let anna in")], tools)) as stream:
        deltas = [item.text async for item in stream if isinstance(item, TextDelta)]
    assert "".join(deltas) == "Come in, anna. What now?"
    assert len(deltas) > 1
    async with model.generate(Prompt([User("bye")], tools)) as stream:
        items = [item async for item in stream]
    assert [item.name for item in items if isinstance(item, ToolCall)] == ["end_call"]
    async with model.generate(Prompt([User("bye")], tools, tool_choice="none")) as stream:
        assert not [item async for item in stream if isinstance(item, ToolCall)]
