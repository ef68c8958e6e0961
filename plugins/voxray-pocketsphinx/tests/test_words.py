"""Grammars, graphs and dictionaries, without the engine."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from voxray_pocketsphinx.automaton import Graph, minimal
from voxray_pocketsphinx.jsgf import GrammarError, parse
from voxray_pocketsphinx.words import dictionary_lines


def graph(body: str) -> Graph:
    return minimal(parse(f"#JSGF V1.0;\ngrammar g;\n{body}"))


def sentences(found: Graph, longest: int = 5) -> set[str]:
    """Everything the graph lets one say in at most `longest` words."""
    said: set[str] = set()
    states: list[tuple[int, tuple[str, ...]]] = [(0, ())]
    for state, words in states:
        if state in found.final:
            said.add(" ".join(words))
        if len(words) < longest:
            states.extend((end, (*words, word)) for start, word, end in found.arcs if start == state)
    return said


def test_a_grammar_says_what_it_says():
    found = graph("public <a> = [please] (open | close) the <thing>; <thing> = door | window;")
    assert sentences(found) == {
        f"{polite}{verb} the {thing}"
        for polite, verb, thing in product(("", "please "), ("open", "close"), ("door", "window"))
    }
    assert found.states == 5


def test_everything_jsgf_has_is_read():
    text = """\ufeff#JSGF V1.0 UTF-8 en;
    grammar com.example.menu;  // a comment; with = signs
    import <com.example.other.*>;
    /* another
       one */
    public <top> = [please] ( open {OPEN} | /0.5/ close | shut ) <thing>+ ;
    <thing> = the door | "window" | <NULL>;
    """
    found = minimal(parse(text))
    assert found.words == ["close", "door", "open", "please", "shut", "the", "window"]
    assert {"open", "please shut the door window", "close window window"} <= sentences(found)


def test_repetition_goes_round():
    assert sentences(graph("public <a> = go* stop;"), 3) == {"stop", "go stop", "go go stop"}
    assert sentences(graph("public <a> = go+;"), 3) == {"go", "go go", "go go go"}


def test_what_never_ends_is_left_out():
    assert sentences(graph("public <a> = yes | no <VOID>;")) == {"yes"}


def test_sentences_said_in_two_ways_are_one():
    one = graph("public <a> = a room for (one | two) | a room for two | a room;")
    other = graph("public <a> = a room [for (two | one)];")
    assert one == other


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello world", "#JSGF"),
        ("#JSGF V1.0; grammar g; <a> = yes;", "no rule is public"),
        ("#JSGF V1.0; grammar g; public <a> = yes <b>;", "without a definition: <b>"),
        ("#JSGF V1.0;\ngrammar g;\npublic <a> = (yes | no;", r'line 3: expected "\)", not ";"'),
        ("#JSGF V1.0;\ngrammar g;\npublic <a> = yes ];", r'line 3: expected ";", not "\]"'),
        ("#JSGF V1.0; grammar g; public <a> = yes", "is missing at the end"),
        ("#JSGF V1.0; grammar g;\n\npublic <a> = yes | ;", "line 3: a word is missing"),
        ("#JSGF V1.0; grammar g; public <a> = yes <a>;", "<a> contains itself"),
        ("#JSGF V1.0; grammar g; public <a> = <VOID>;", "nothing can be said"),
        ("#JSGF V1.0; grammar g; public <a> = " + "(" * 200 + "a" + ")" * 200 + ";", "nested too deeply"),
        ("#JSGF V1.0; grammar g; public <a> = " + " ".join(["[a | b c]"] * 20 + ["a b"] * 9) + " } ;", "out of place"),
        (
            "#JSGF V1.0; grammar g; public <a> = <a1>;"
            + "".join(f"<a{n}> = <a{n + 1}> <a{n + 1}>;" for n in range(1, 40))
            + "<a40> = a;",
            "too large",
        ),
    ],
)
def test_a_text_that_is_no_grammar_says_why(text: str, message: str):
    with pytest.raises(GrammarError, match=message):
        minimal(parse(text))


def test_a_dictionary_has_all_pronunciations_of_the_words_it_was_asked_for(tmp_path: Path):
    file = tmp_path / "all.dict"
    file.write_text("the DH AH\nthe(2) DH IY\nthere DH EH R\nmonday M AH N D EY\n")
    lines, missing = dictionary_lines(["the", "Monday", "foo", "bar"], file, {"foo": "F UW", "unused": "AH"})
    assert lines == ["foo F UW", "the DH AH", "the(2) DH IY", "Monday M AH N D EY"]
    assert missing == ["bar"]
