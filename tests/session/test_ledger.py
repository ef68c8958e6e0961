"""From seconds of sound to words that were heard."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from voxray.session.ledger import CHARS_PER_SEC, Ledger, weight


def spoken(*sentences: str, secs_per_char: float = 0.1) -> Ledger:
    """A ledger of sentences that a voice said and reported, each letter and digit in the same time."""
    ledger = Ledger()
    for number, sentence in enumerate(sentences):
        assert ledger.generated(sentence, 1) == number
    for sentence in sentences:
        ledger.written(weight(sentence) * secs_per_char)
        ledger.synthesized(sentence)
    return ledger


@pytest.mark.parametrize(
    ("secs", "heard"),
    [
        (0.0, ""),
        (0.2, ""),
        (0.3, "One"),
        (0.5, "One"),
        (0.6, "One two."),
        (0.9, "One two."),
        (1.1, "One two. Three"),
        (1.5, "One two. Three four."),
        (99.0, "One two. Three four."),
        (float("inf"), "One two. Three four."),
        (-1.0, ""),
    ],
)
def test_the_words_whose_end_was_heard(secs: float, heard: str) -> None:
    assert spoken("One two.", "Three four.").heard(secs) == heard


def test_sound_that_nobody_has_explained_yet_counts_by_an_average() -> None:
    ledger = Ledger()
    ledger.generated("word " * 40, 1)
    ledger.written(10.0)
    assert len(ledger.heard(4 / CHARS_PER_SEC * 10).split()) == 10


def test_then_by_the_voices_own_speed() -> None:
    ledger = spoken("Slow one.", secs_per_char=1.0)
    ledger.generated("Aa bb cc.", 1)
    ledger.written(6.0)
    assert ledger.heard(7.0 + 4.0) == "Slow one. Aa bb"


def test_word_times_are_exact() -> None:
    ledger = Ledger()
    ledger.generated("A loooooong pause, here.", 1)
    for word, secs in (("A", 0.1), ("loooooong", 3.0), ("pause,", 0.2), ("here.", 0.2)):
        ledger.written(secs)
        ledger.synthesized(word)
    assert [ledger.heard(secs) for secs in (0.1, 2.8, 3.1, 3.3, 3.5)] == [
        "A",
        "A",
        "A loooooong",
        "A loooooong pause,",
        "A loooooong pause, here.",
    ]


def test_a_word_that_comes_twice_is_counted_twice() -> None:
    assert spoken("no no no").heard(0.4) == "no no"


def test_a_tone_says_nothing() -> None:
    ledger = Ledger()
    ledger.generated("One two.", 1)
    ledger.written(0.6)
    ledger.synthesized("One two.")
    ledger.padded(5.0)
    ledger.generated("Three.", 1)
    ledger.written(0.5)
    ledger.synthesized("Three.")
    assert ledger.heard(5.5) == "One two."
    assert ledger.heard(6.1) == "One two. Three."


def test_a_tone_in_the_middle_of_a_sentence_does_not_move_the_words_around_it() -> None:
    ledger = spoken("x" * 20 + ".")
    ledger.generated("Aa bb cc dd.", 1)
    ledger.written(0.4)  # "Aa bb"
    ledger.padded(3.0)
    assert ledger.heard(5.0).endswith(". Aa bb")
    ledger.written(0.4)
    ledger.synthesized("Aa bb cc dd.")
    assert ledger.heard(5.5).endswith("bb")
    assert ledger.heard(5.6).endswith("cc")
    assert ledger.heard(5.8).endswith("dd.")


def test_rounds_are_told_apart() -> None:
    ledger = Ledger()
    for round, text in ((1, "Let me look."), (2, "It is sunny."), (2, "And warm.")):
        ledger.generated(text, round)
        ledger.written(1.0)
        ledger.synthesized(text)
    assert ledger.heard_by_round(2.0) == [(1, "Let me look."), (2, "It is sunny.")]
    assert ledger.heard_by_round(99.0) == [(1, "Let me look."), (2, "It is sunny. And warm.")]
    assert ledger.heard_by_round(0.0) == []


@pytest.mark.parametrize(
    ("secs", "rest"),
    [
        (0.0, ["One two.", "Three four.", "Five."]),
        (0.4, ["One two.", "Three four.", "Five."]),
        (0.7, ["Three four.", "Five."]),
        (1.5, ["Five."]),
        (9.0, []),
    ],
)
def test_the_rest_begins_with_the_sentence_that_was_cut(secs: float, rest: list[str]) -> None:
    assert spoken("One two.", "Three four.", "Five.").rest(secs) == rest


def test_sentences_the_voice_was_not_given_belong_to_the_rest() -> None:
    ledger = spoken("One.")
    ledger.planned.extend([(1, "Two."), (2, "Three.")])
    assert ledger.rest(9.0) == ["Two.", "Three."]
    assert ledger.heard(9.0) == "One."


def test_what_the_log_does_not_know_yet() -> None:
    ledger = spoken("One two.", "Three four.")
    assert ledger.unreported(0.6) == "One two."
    ledger.reported("One two.")
    assert ledger.unreported(0.6) == ""
    assert ledger.unreported(1.2) == "Three"
    ledger.reported("Three")
    assert ledger.unreported(9.0) == "four."


def test_a_complete_reply_was_said_to_its_end_whatever_the_voice_reported() -> None:
    ledger = Ledger()
    ledger.generated("One two three four.", 1)
    ledger.written(0.1)
    ledger.complete()
    assert ledger.heard(0.1) == "One two three four."


def test_a_voice_that_breaks_off_in_a_sentence_goes_on_at_the_word() -> None:
    ledger = spoken("xxxxxxxxxx.")
    ledger.generated("Aa bb cc dd.", 1)
    ledger.generated("Last.", 1)
    ledger.written(0.5)  # in the middle of "cc"
    assert ledger.broken_off() == ["cc dd.", "Last."]
    for sentence in ("cc dd.", "Last."):
        ledger.written(weight(sentence) * 0.1)
        ledger.synthesized(sentence)
    assert ledger.heard(1.5) == "xxxxxxxxxx. Aa bb"
    assert ledger.heard(1.7) == "xxxxxxxxxx. Aa bb cc"
    assert ledger.heard(1.9) == "xxxxxxxxxx. Aa bb cc dd."
    assert ledger.text == "xxxxxxxxxx. Aa bb cc dd. Last."


def test_a_voice_that_breaks_off_between_sentences_goes_on_with_the_next() -> None:
    ledger = spoken("One.")
    assert ledger.broken_off() == []
    ledger.generated("Two.", 1)
    assert ledger.broken_off() == ["Two."]


def test_a_voice_that_says_more_than_it_was_given_does_not_confuse_the_count() -> None:
    ledger = Ledger()
    ledger.generated("5", 1)
    ledger.written(1.0)
    ledger.synthesized("five hundred")
    assert ledger.heard(1.0) == "5"


SENTENCES = st.lists(st.text(st.sampled_from("ab1 .,é字"), max_size=30).map(str.strip).filter(weight), max_size=6)


@given(SENTENCES, st.lists(st.floats(0, 60), max_size=10))
def test_what_is_heard_only_grows_and_is_the_beginning_of_the_text(sentences: list[str], times: list[float]) -> None:
    ledger = spoken(*sentences)
    heard = [ledger.heard(secs) for secs in sorted(times)]
    assert all(later.startswith(earlier) for earlier, later in pairwise(heard))
    assert all(ledger.text.startswith(text) for text in heard)


@given(SENTENCES, st.floats(0, 60))
def test_heard_and_rest_together_have_every_sentence(sentences: list[str], secs: float) -> None:
    ledger = spoken(*sentences)
    rest = ledger.rest(secs)
    assert rest == sentences[len(sentences) - len(rest) :]
    whole = " ".join(sentences[: len(sentences) - len(rest)])
    assert ledger.heard(secs).startswith(whole)


@given(SENTENCES, st.floats(0, 3))
def test_after_breaking_off_nothing_is_lost(sentences: list[str], secs: float) -> None:
    ledger = Ledger()
    for sentence in sentences:
        ledger.generated(sentence, 1)
    ledger.written(secs)
    rest = ledger.broken_off()
    assert " ".join(sentences).endswith(" ".join(rest))
    for sentence in rest:
        ledger.written(1.0)
        ledger.synthesized(sentence)
    assert ledger.heard(float("inf")) == " ".join(sentences)
