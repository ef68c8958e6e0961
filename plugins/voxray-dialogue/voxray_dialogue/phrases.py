"""Phrases: what callers may say, written like "book [a] room for {nights} (night | nights)".

Words stand for themselves, `[…]` may be left out, `(a | b)` is a choice, `{name}` is a slot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from voxray_dialogue.slots import Slot, Value

MAX_WORDS = 60  # of an utterance that are looked at: bounds the time for a caller who never stops
MAX_DEPTH = 20

_TOKEN = re.compile(r"\{([^{}]*)\}|([\[\]()|])|([^\s\[\](){}|]+)|(\S)")
_NO_LETTER = re.compile(r"[^\w' ]+|_")


class PhraseError(ValueError):
    """A phrase that cannot be read."""


@dataclass(frozen=True, slots=True)
class Word:
    text: str


@dataclass(frozen=True, slots=True)
class SlotRef:
    name: str


@dataclass(frozen=True, slots=True)
class Sequel:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    options: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Maybe:
    part: Node


Node = Word | SlotRef | Sequel | Choice | Maybe
Bindings = tuple[tuple[str, Value], ...]
_State = tuple[int, int, Bindings]  # position, literal words so far, slots so far


@dataclass(frozen=True, slots=True)
class Match:
    """How a phrase fits an utterance: `words` of it, `literal` of them named by the phrase itself."""

    whole: bool
    words: int
    literal: int
    bindings: Bindings

    @property
    def rank(self) -> tuple[bool, int, int]:
        return (self.whole, self.words, self.literal)


def words_of(text: str) -> list[str]:
    """Lower-case words without punctuation; "twenty-first," becomes two."""
    plain = _NO_LETTER.sub(" ", text.lower().replace("\u2019", "'"))
    return [word.strip("'") for word in plain.split() if word.strip("'")][:MAX_WORDS]


def parse(phrase: str) -> Node:
    """Read a phrase. Raises PhraseError, saying what is wrong."""
    tokens = [(slot, mark, word, bad) for slot, mark, word, bad in _TOKEN.findall(phrase)]
    node, rest = _choice(tokens, 0, 0)
    if rest < len(tokens):
        raise PhraseError(f'"{tokens[rest][1]}" closes nothing in "{phrase}"')
    if not isinstance(node, Word | SlotRef) and _may_be_empty(node):
        raise PhraseError(f'"{phrase}" fits silence: some word must be required')
    return node


def _choice(tokens: Sequence[tuple[str, ...]], at: int, depth: int) -> tuple[Node, int]:
    if depth > MAX_DEPTH:
        raise PhraseError("brackets are nested too deeply")
    options: list[Node] = []
    parts: list[Node] = []
    while at < len(tokens):
        slot, mark, word, bad = tokens[at]
        if mark in ("]", ")"):
            break
        at += 1
        if bad:
            raise PhraseError(f'"{bad}" is out of place')
        if mark == "|":
            options.append(_sequel(parts))
            parts = []
        elif mark:
            inner, at = _choice(tokens, at, depth + 1)
            closing = "]" if mark == "[" else ")"
            if at >= len(tokens) or tokens[at][1] != closing:
                raise PhraseError(f'"{closing}" is missing')
            at += 1
            parts.append(Maybe(inner) if mark == "[" else inner)
        elif word:
            parts.extend(Word(text) for text in words_of(word))
        else:
            parts.append(SlotRef(slot.strip()))
    options.append(_sequel(parts))
    return (options[0] if len(options) == 1 else Choice(tuple(options))), at


def _sequel(parts: Sequence[Node]) -> Node:
    if not parts:
        raise PhraseError("a word is missing")
    return parts[0] if len(parts) == 1 else Sequel(tuple(parts))


def _may_be_empty(node: Node) -> bool:
    match node:
        case Maybe():
            return True
        case Sequel(parts):
            return all(_may_be_empty(part) for part in parts)
        case Choice(options):
            return any(_may_be_empty(option) for option in options)
    return False


def slot_names(node: Node) -> Iterator[str]:
    """The slots a phrase mentions."""
    match node:
        case SlotRef(name):
            yield name
        case Maybe(part):
            yield from slot_names(part)
        case Sequel(parts) | Choice(parts):
            for part in parts:
                yield from slot_names(part)


def fit(node: Node, words: Sequence[str], slots: Mapping[str, Slot]) -> Match | None:
    """The best place of a phrase in an utterance: all of it, else the longest part; None if it is not there."""
    best: Match | None = None
    for start in range(len(words)):
        found = [
            Match(start == 0 and end == len(words), end - start, literal, bindings)
            for end, literal, bindings in _advance(node, words, {(start, 0, ())}, slots)
            if end > start
        ]
        # Sets have no order of their own: among equals the text of the slots decides, so that runs agree.
        first = max(found, key=lambda match: (match.rank, repr(match.bindings)), default=None)
        if first is not None and (best is None or first.rank > best.rank):
            best = first
        if best is not None and best.whole:
            break
    return best


def _advance(node: Node, words: Sequence[str], states: set[_State], slots: Mapping[str, Slot]) -> set[_State]:
    match node:
        case Word(text):
            return {(at + 1, n + 1, b) for at, n, b in states if at < len(words) and words[at] == text}
        case SlotRef(name):
            return {
                (end, n, (*b, (name, value)))
                for at, n, b in states
                for end, value in slots[name].read(words, at)
                if name not in dict(b)
            }
        case Maybe(part):
            return states | _advance(part, words, states, slots)
        case Sequel(parts):
            for part in parts:
                states = _advance(part, words, states, slots)
                if not states:
                    break
            return states
        case Choice(options):
            return set().union(*(_advance(option, words, states, slots) for option in options))
