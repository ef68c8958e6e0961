"""Grammar words and dictionaries, without the engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from voxray_pocketsphinx.words import GrammarError, dictionary_lines, terminals


def test_words_of_a_grammar_are_found_between_everything_else():
    text = """#JSGF V1.0 UTF-8 en;
    grammar com.example.menu;  // a comment; with = signs
    import <com.example.other.*>;
    /* another
       one */
    public <top> = [please] ( open {OPEN} | /0.5/ close | shut ) <thing>+ ;
    <thing> = the door | "window" | <NULL>;
    """
    assert terminals(text) == ["close", "door", "open", "please", "shut", "the", "window"]


def test_a_text_that_is_no_grammar_is_refused():
    with pytest.raises(GrammarError, match="#JSGF"):
        terminals("hello world")


def test_a_bracket_too_many_is_found_with_its_line():
    with pytest.raises(GrammarError, match=r'line 2: "\]" closes nothing'):
        terminals("#JSGF V1.0; grammar g;\npublic <a> = yes ];")


def test_a_dictionary_has_all_pronunciations_of_the_words_it_was_asked_for(tmp_path: Path):
    file = tmp_path / "all.dict"
    file.write_text("the DH AH\nthe(2) DH IY\nthere DH EH R\nmonday M AH N D EY\n")
    lines, missing = dictionary_lines(["the", "Monday", "foo", "bar"], file, {"foo": "F UW", "unused": "AH"})
    assert lines == ["foo F UW", "the DH AH", "the(2) DH IY", "Monday M AH N D EY"]
    assert missing == ["bar"]
