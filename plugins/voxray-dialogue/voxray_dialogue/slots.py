"""Slots: the things a dialogue has to find out, and how people say them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

Value = int | str

ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
ORDINALS = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
    "twentieth",
]
WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
YES = ("yes", "yeah", "yep", "sure", "okay", "correct", "right", "that is right", "that's right", "of course")
NO = ("no", "nope", "wrong", "not right", "that is wrong", "that's wrong")
MAX_NUMBER = 999


def spoken(number: int) -> str:
    """A number from 0 to 999 in words."""
    if number < 20:
        return ONES[number]
    if number < 100:
        return " ".join([TENS[number // 10 - 2], *([ONES[number % 10]] if number % 10 else [])])
    return " ".join([ONES[number // 100], "hundred", *([spoken(number % 100)] if number % 100 else [])])


def ordinal(number: int) -> str:
    """1 to 31: "first", "twenty first"."""
    if number <= 20:
        return ORDINALS[number - 1]
    return "thirtieth" if number == 30 else f"{TENS[number // 10 - 2]} {ORDINALS[number % 10 - 1]}"


@dataclass(frozen=True)
class Slot:
    """One thing to find out. `forms`: what may be said, as words and the value they mean.

    `ask` is the question; `heard` the phrases that answer it besides the bare value (kept as text, see `phrases`).
    """

    name: str
    forms: tuple[tuple[tuple[str, ...], Value], ...] = ()
    ask: str = ""
    help: str = ""
    kind: str = "choice"
    heard: tuple[str, ...] = ()
    min_words: int = 1  # of digits, or of text
    max_words: int = 1

    @cached_property
    def _by_words(self) -> Mapping[tuple[str, ...], Value]:
        return dict(reversed(self.forms))

    @cached_property
    def _longest(self) -> int:
        return max((len(words) for words, _ in self.forms), default=0)

    def read(self, words: Sequence[str], at: int) -> Iterator[tuple[int, Value]]:
        """Each end and value of this slot in `words` from `at` on."""
        if self.kind == "digits":
            yield from self._read_digits(words, at)
        elif self.kind == "text":
            for end in range(at + self.min_words, min(at + self.max_words, len(words)) + 1):
                yield end, " ".join(words[at:end])
        else:
            for end in range(at + 1, min(at + self._longest, len(words)) + 1):
                value = self._by_words.get(tuple(words[at:end]))
                if value is not None:
                    yield end, value

    def _read_digits(self, words: Sequence[str], at: int) -> Iterator[tuple[int, Value]]:
        digits = ""
        for end in range(at, len(words)):
            digit = digits_of(words[end])
            if not digit:
                return
            digits += digit
            if self.min_words <= len(digits) <= self.max_words:
                yield end + 1, digits

    def read_keys(self, keys: str) -> Value | None:
        """What pressed keys mean: a number, digits, or the place of a value in the list (1 is the first)."""
        if not keys.isdecimal():
            return None
        if self.kind == "digits":
            return keys if self.min_words <= len(keys) <= self.max_words else None
        values = list(dict.fromkeys(value for _, value in self.forms))
        if self.kind == "number":
            return int(keys) if len(keys) < 5 and int(keys) in values else None
        return values[int(keys) - 1] if len(keys) < 5 and 1 <= int(keys) <= len(values) else None


def digits_of(word: str) -> str:
    """The digits a word stands for: "four" and "427", or "" if it is no number."""
    if word.isascii() and word.isdecimal():
        return word
    if word in ("oh", "o"):
        return "0"
    return str(ONES.index(word)) if word in ONES[:10] else ""


Forms = tuple[tuple[tuple[str, ...], Value], ...]


def number_forms(low: int, high: int) -> Forms:
    rows: list[tuple[tuple[str, ...], Value]] = []
    for number in range(low, high + 1):
        rows += [(tuple(spoken(number).split()), number), ((str(number),), number)]
        if number > 100 and number % 100:
            hundred, rest = spoken(number - number % 100), spoken(number % 100)
            rows.append((tuple(f"{hundred} and {rest}".split()), number))
    return tuple(rows)


def weekday_forms() -> Forms:
    return tuple(((day,), day.capitalize()) for day in WEEKDAYS)


def yes_no_forms() -> Forms:
    pairs: list[tuple[tuple[str, Value], ...]] = [
        tuple((text, "yes") for text in YES),
        tuple((text, "no") for text in NO),
    ]
    return tuple((tuple(text.split()), value) for pair in pairs for text, value in pair)


def date_forms() -> Forms:
    """Days by name, and "May twenty first" in its usual forms; the value is "May 21", "Monday", "tomorrow"."""
    rows: list[tuple[tuple[str, ...], Value]] = [((word,), word) for word in ("today", "tomorrow")]
    rows += weekday_forms()
    for month in MONTHS:
        for day in range(1, 32):
            value = f"{month.capitalize()} {day}"
            for said in (ordinal(day), spoken(day), str(day), f"{day}{_suffix(day)}"):
                rows += [((month, *said.split()), value), ((month, "the", *said.split()), value)]
                rows += [((*said.split(), "of", month), value), (("the", *said.split(), "of", month), value)]
    return tuple(rows)


def _suffix(day: int) -> str:
    return "th" if 10 <= day <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def choice_forms(values: Mapping[str, Sequence[str]]) -> Forms:
    """Each value is said as itself unless it has forms of its own."""
    return tuple(
        (tuple(said.lower().replace("-", " ").split()), value)
        for value, sayings in values.items()
        for said in (sayings or (value,))
    )
