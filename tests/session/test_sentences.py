"""Streamed text in speakable pieces, and nothing lost on the way."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given, strategies as st

from voxray.session.sentences import (
    FIRST_CLAUSE,
    LONG_CLAUSE,
    LONGEST,
    SentenceSplitter,
    speakable,
    spoken_text,
)


def pieces(text: str, step: int = 1) -> list[str]:
    """What a splitter makes of `text`, fed in deltas of `step` characters."""
    splitter = SentenceSplitter()
    found = [piece for at in range(0, len(text), step) for piece in splitter.feed(text[at : at + step])]
    return found + splitter.finish()


SPLITS = {
    "two sentences": ["Hello there.", "How are you?"],
    "a decimal": ["Pi is 3.14 or so.", "Good."],
    "money": ["It costs $5.50 today.", "Cheap!"],
    "a title": ["Dr. Smith and Mrs. Jones came.", "They left."],
    "abbreviations": ["Bring e.g. a pen, i.e. something to write.", "Thanks."],
    "initials": ["J. S. Bach wrote it.", "He did."],
    "a country": ["The U.S. team won.", "Yes."],
    "the time": ["At 5 p.m. we close.", "Sorry."],
    "a number": ["Take bus No. 5 there.", "It is quick."],
    "a no": ["No.", "I cannot.", "Oh no.", "Sorry."],
    "I at the end": ["So am I.", "Really."],
    "an ellipsis": ["Well...", "Let me see…", "Yes."],
    "an address": ["See https://example.com/a?b=1.2 for more.", "Bye."],
    "a file": ["Open readme.txt now.", "Done."],
    "quotation marks": ['She said "no."', "He said (yes.)", "End."],
    "many marks": ["What?!", "No!!!", "OK."],
    "lines": ["First", "Second", "Third"],
    "a list": ["1. Milk", "2. Bread", "12. Eggs"],
    "an answer that is a number": ["42. That is the answer.", "Good."],
    "a number that ends a sentence": ["There are 42.", "Good."],
    "Chinese": ["你好。", "今天怎么样？", "很好！"],
    "Japanese": ["そうですね。", "はい！"],
    "Hindi": ["नमस्ते।", "आप कैसे हैं?", "मैं ठीक हूँ।"],
    "Urdu": ["آپ کیسے ہیں؟", "اچھا"],
    "a version": ["Version 2.0.1 is out.", "Get it."],
}


@pytest.mark.parametrize("step", [1, 3, 1000])
@pytest.mark.parametrize("case", SPLITS)
def test_text_is_cut_between_sentences_only(case: str, step: int) -> None:
    gap = "\n" if case in ("lines", "a list") else "" if case in ("Chinese", "Japanese") else " "
    assert pieces(gap.join(SPLITS[case]), step) == SPLITS[case]


def test_a_sentence_is_given_as_soon_as_it_is_sure_to_be_over() -> None:
    splitter = SentenceSplitter()
    assert splitter.feed("It costs 3.") == []  # it may be three fifty
    assert splitter.feed(" Good") == ["It costs 3."]


def test_the_first_piece_may_end_at_a_comma_later_ones_only_when_they_are_long() -> None:
    first = "x" * FIRST_CLAUSE + ","
    text = f"{first} and so on. {first} and so on."
    assert pieces(text) == [first, "and so on.", f"{first} and so on."]
    assert pieces("Short, really. " + "y" * LONG_CLAUSE + ", z") == ["Short, really.", "y" * LONG_CLAUSE + ",", "z"]


def test_numbers_are_not_cut_at_their_commas() -> None:
    text = "The house over there would cost 1,250,000 euros"
    assert pieces(text) == [text]


def test_text_without_any_mark_is_cut_at_blanks() -> None:
    found = pieces("word " * 200)
    assert max(map(len, found)) <= LONGEST
    assert {word for piece in found for word in piece.split()} == {"word"}


def test_text_without_blanks_is_cut_all_the_same() -> None:
    assert [len(piece) for piece in pieces("字" * 600)] == [240, 240, 120]


SPEAKABLE = [
    ("**Bold** and *italic* and ***both***", "Bold and italic and both"),
    ("__bold__ and _italic_, but snake_case_name", "bold and italic, but snake_case_name"),
    ("`code` and ~~old~~ new", "code and old new"),
    ("# Title", "Title"),
    ("### 3 rooms", "3 rooms"),
    ("- one\n- two\n* three\n+ four\n• five", "one two three four five"),
    ("1. Milk", "1. Milk"),
    ("42. That is the answer.", "42. That is the answer."),
    ("> quoted", "quoted"),
    ("See [the menu](https://example.com/menu).", "See the menu."),
    ("![a dog](dog.png)", "a dog"),
    ("An array [1, 2] (see f)", "An array [1, 2] (see f)"),
    ("<b>bold</b> and <br/> break", "bold and break"),
    ("if x < 5 and y > 3", "if x < 5 and y > 3"),
    ("a <3 b", "a <3 b"),
    ("2 * 3 = 6", "2 * 3 = 6"),
    ("-5 degrees, 20 °C, 21℃, 5 µm, 3 m²", "-5 degrees, 20 °C, 21℃, 5 µm, 3 m²"),
    ("50 m㎡ and №7 and ① and ❷", "50 m㎡ and №7 and ① and ❷"),
    ("€5, £3, ¥7, ₹9, 10%, 5‰", "€5, £3, ¥7, ₹9, 10%, 5‰"),
    ("¾ cup, x², ≥ 3, ± 1, a → b", "¾ cup, x², ≥ 3, ± 1, a → b"),
    ("Great 😀! 👍🏽 Done ✅ ❤️ ☎️", "Great ! Done"),
    ("👨‍👩‍👧 family, 🇩🇪 Germany, 🏴󠁧󠁢󠁥󠁮󠁧󠁿 England", "family, Germany, England"),
    ("1️⃣ first", "1 first"),
    ("श्री क्‍ष", "श्री क्‍ष"),
    ("ශ්‍රී ලංකාව", "ශ්‍රී ලංකාව"),
    ("می‌خواهم", "می‌خواهم"),
    ("© Acme® 2026™", "© Acme® 2026™"),
    ("mail a.b_c@example.com, call +49 30 1234", "mail a.b_c@example.com, call +49 30 1234"),
    ("```python\nprint(1)\n```", "print(1)"),
    ("C# and F#, #1", "C# and F#, #1"),
    ("   ", ""),
    ("🎉🎉", ""),
    ("naïve café — “quoted”", "naïve café — “quoted”"),
]


@pytest.mark.parametrize(("text", "spoken"), SPEAKABLE)
def test_what_is_spoken_is_free_of_markup_and_has_every_word(text: str, spoken: str) -> None:
    assert speakable(text) == spoken


@pytest.mark.parametrize(("text", "words"), [("...", False), ("—", False), ("😀", False), ("5", True), ("हाँ", True)])
def test_pieces_without_words_are_not_spoken(text: str, words: bool) -> None:
    assert spoken_text(text) == [text] * words


def test_a_whole_text_is_spoken_by_sentences() -> None:
    assert spoken_text("# Hello\n**Good** day. 😀 How are you?") == ["Hello", "Good day.", "How are you?"]


def bare(text: str) -> str:
    return re.sub(r"\s", "", text)


TEXT = st.text(st.sampled_from("ab1. ,!?:;\n…。।\"')(*_`#-字é5$<>"), max_size=400)


@given(TEXT, st.integers(1, 40))
def test_the_pieces_together_are_the_text(text: str, step: int) -> None:
    assert bare("".join(pieces(text, step))) == bare(text)


@given(TEXT)
def test_pieces_are_never_empty_and_have_no_outer_blanks(text: str) -> None:
    assert all(piece and piece == piece.strip() for piece in pieces(text, 7))


@given(st.text(max_size=200))
def test_letters_and_numbers_of_any_text_are_spoken(text: str) -> None:
    def spoken(text: str) -> str:
        return "".join(char for char in text if unicodedata.category(char)[0] in "LN")

    if not any(mark in text for mark in "<[`"):  # tags, links and names of languages lose letters on purpose
        assert spoken(speakable(text)) == spoken(text)
