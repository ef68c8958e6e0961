from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from voxray.errors import ConfigError
from voxray.testing.call_account import Reply
from voxray.testing.conversation import CallResult, TurnResult
from voxray.testing.junit import junit_xml
from voxray.testing.script import Turn, Words, load_script, parse_script, spoken

FULL = """\
name: a table for two
greeting: true
expect_greeting: welcome
expect_tools: {book: 1}
expect_end: agent_ended
max_latency_ms: 1500
timeout: 8
turns:
  - say: A table for two, please.
    expect: [when, /what\\s+time/]
    expect_understood: table
    expect_tool: find_table
  - wav: noise.wav
    barge_in_after: 1.5
    pause: 0.5
    expect_heard: {none: [sorry]}
    max_latency_ms: 2000
  - dtmf: "12#"
    wait: false
  - silence: 2.5
  - text: thanks
    expect_tool: {book: 1, cancel: 0}
  - listen: true
  - hang_up: true
"""


def problems(text: str, folder: Path = Path()) -> tuple[object, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_script(text, where="s.yaml", folder=folder)
    return caught.value.problems


def test_a_script_with_everything_is_read(tmp_path: Path) -> None:
    (tmp_path / "noise.wav").write_bytes(b"")
    (tmp_path / "s.yaml").write_text(FULL)
    script = load_script(tmp_path / "s.yaml")
    assert (script.name, script.greeting, script.expect_end) == ("a table for two", True, "agent_ended")
    assert script.expect_tools == {"book": 1}
    assert script.turns[0] == Turn(
        action="say",
        value="A table for two, please.",
        timeout_secs=8,
        expect=Words(any_of=("when", "/what\\s+time/")),
        expect_understood=Words(all_of=("table",)),
        expect_tools={"find_table": None},
        max_latency_ms=1500,
    )
    second = script.turns[1]
    assert (second.value, second.barge_in_after_secs, second.pause_secs, second.max_latency_ms) == (
        str(tmp_path / "noise.wav"),
        1.5,
        0.5,
        2000,
    )
    assert [(turn.action, turn.wait) for turn in script.turns[2:]] == [
        ("dtmf", False),
        ("silence", False),
        ("text", True),
        ("listen", True),
        ("hang_up", False),
    ]


def test_a_script_without_a_name_has_its_files(tmp_path: Path) -> None:
    (tmp_path / "booking.yaml").write_text("turns: [{say: hi}]")
    script = load_script(tmp_path / "booking.yaml")
    assert (script.name, script.greeting) == ("booking", None)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "s.yaml:1: must be object, not None"),
        ("turns:\n  - say: [", "s.yaml:2: not YAML: expected the node content, but found '<stream end>'"),
        ("name: x\n", 's.yaml:1: "turns" is missing'),
        ("turns:\n  - say: hi\n    expct: x\n", 's.yaml:3: turns[0]: unknown key "expct"; did you mean "expect"?'),
        ("turns:\n  - say: hi\n  - dtmf: 12\n", "s.yaml:3: turns[1].dtmf: must be string, not 12"),
        ("turns:\n  - say: hi\n    wav: x\n", "s.yaml:2: turns[0]: needs one of"),
        ("turns:\n\n  - pause: 1\n", "s.yaml:3: turns[0]: needs one of say, wav,"),
        ("turns:\n  - wav: none.wav\n", 's.yaml:2: turns[0]: no file "none.wav"'),
        ("turns:\n  - say: hi\n    expect: /(/\n", 's.yaml:2: turns[0]: expect: "/(/" is no regular expression'),
        ("turns:\n  - silence: -1\n", "s.yaml:2: turns[0].silence: -1 is less than the minimum of 0"),
        ("turns:\n  - hang_up: false\n", "s.yaml:2: turns[0].hang_up: must be true"),
        ("turns:\n  - say: hi\n    wait: false\n    expect: x\n", "s.yaml:2: turns[0]: expects an answer and does not"),
        ("greeting: false\nturns:\n  - say: hi\n    barge_in_after: 1\n", "there is no greeting before it"),
        ("greeting: maybe\nturns:\n  - say: hi\n", "s.yaml:1: greeting: 'maybe' is not one of"),
    ],
)
def test_a_mistake_is_shown_with_its_line(text: str, problem: str) -> None:
    assert problem in str(problems(text)[0])


def test_all_mistakes_are_shown_at_once() -> None:
    assert len(problems("nam: x\nturns:\n  - sya: hi\n  - silence: long\n")) == 4


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        load_script(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("words", "text", "held"),
    [
        (Words(all_of=("good day",)), "Well, GOOD -- day!", True),
        (Words(all_of=("good",)), "goodness", False),
        (Words(all_of=("it's two",)), "It's two.", True),
        (Words(any_of=("one", "two")), "two", True),
        (Words(any_of=("one", "two")), "three", False),
        (Words(none_of=("sorry",)), "I am sorry", False),
        (Words(all_of=("/\\d+ euro/",)), "That is 12 EURO.", True),
        (Words(all_of=("größe",)), "Die GRÖSSE, bitte", True),
    ],
)
def test_words_are_found_whatever_their_case_and_punctuation(words: Words, text: str, held: bool) -> None:
    assert (words.problem(text, "expect") == "") is held


def test_lines_alone_make_a_script() -> None:
    assert [turn.value for turn in spoken(["a", "b"]).turns] == ["a", "b"]


def test_results_become_junit() -> None:
    turn = TurnResult(1, "say", "hi\x00 <there>", reply=Reply(1, latency_secs=0.5), problems=["expect: no", "and more"])
    held = CallResult(1, "s", connected=True, turns=[TurnResult(0, "greeting", ""), turn], duration_secs=2.5)
    lost = CallResult(2, "s", problems=["nobody there"])
    suite = ET.fromstring(junit_xml([held, lost], name="s"))
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "1", "1")
    cases = {case.get("name"): case for case in suite if case.get("classname") == "s.call-001"}
    assert list(cases) == ["greeting", "turn 1: say hi\ufffd <there>", "call"]
    failure = cases["turn 1: say hi\ufffd <there>"].find("failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == ("expect: no", "expect: no\nand more")


def test_the_script_of_the_documentation_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "test-an-agent.md").read_text(encoding="utf-8")
    example = page.partition("```yaml\n")[2].partition("```")[0]
    assert [turn.action for turn in parse_script(example).turns] == ["say", "say", "text", "silence", "dtmf", "say"]
