"""Reading JSGF: what may be said, as an expression over words.

Weights and tags are read and left out: a recogniser that must choose between whole sentences does better without them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

MAX_DEPTH = 60  # of brackets and rules within each other


_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_TOKEN = re.compile(
    r"(?P<tag>\{(?:[^{}\\]|\\.)*\})|(?P<weight>/\s*[0-9.eE+-]+\s*/)|(?P<rule><[^<>\s]+>)|"
    r'"(?P<quoted>[^"]*)"|(?P<mark>[()\[\]|*+;=])|(?P<word>[^\s()\[\]{}<>|*+;="/]+)|(?P<bad>\S)'
)


class GrammarError(ValueError):
    """The text is no usable JSGF."""


@dataclass(frozen=True, slots=True)
class Word:
    text: str


@dataclass(frozen=True, slots=True)
class Rule:
    name: str


@dataclass(frozen=True, slots=True)
class Sequel:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    options: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`part` any number of times."""

    part: Node


Node = Word | Rule | Sequel | Choice | Repeat
NOTHING = Sequel(())
NEVER = Choice(())


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    line: int


def parse(grammar: str) -> Node:
    """Read a grammar: the first public rule, with all others put in.

    Raises:
        GrammarError: with the line, if there is one to blame.
    """
    text = grammar.lstrip("\ufeff \t\r\n")
    if not text.startswith("#JSGF"):
        raise GrammarError('a grammar begins with "#JSGF V1.0;"')
    header, _, text = _COMMENT.sub(_blank, text).partition(";")
    lines_before = grammar[: len(grammar) - len(grammar.lstrip("\ufeff \t\r\n"))].count("\n") + header.count("\n") + 1
    rules, top = _Reader(_tokens(text, lines_before)).rules()
    if not top:
        raise GrammarError("no rule is public")
    return _Expander(rules).rule(top, 0)


def _blank(comment: re.Match[str]) -> str:
    return "\n" * comment[0].count("\n") or " "


def _tokens(text: str, line: int) -> list[Token]:
    tokens = []
    place = 0
    for found in _TOKEN.finditer(text):
        line += text.count("\n", place, found.start())
        place = found.start()
        kind = str(found.lastgroup)
        if kind == "bad":
            raise GrammarError(f'line {line}: "{found[0]}" is out of place')
        if kind == "quoted":
            tokens += [Token("word", word, line) for word in found[kind].split()]
        elif kind not in ("tag", "weight"):
            tokens.append(Token(kind, found[kind], line))
    return tokens


class _Reader:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def rules(self) -> tuple[dict[str, Node], str]:
        """All rules by name, and the name of the first public one."""
        rules: dict[str, Node] = {}
        top = ""
        while self._at < len(self._tokens):
            token = self._next()
            if token.text in ("grammar", "import"):
                while self._next().text != ";":
                    pass
                continue
            public = token.text == "public"
            name = self._next() if public else token
            if name.kind != "rule":
                raise GrammarError(f'line {name.line}: expected a rule like "<name> = …;", not "{name.text}"')
            if name.text in rules:
                raise GrammarError(f"line {name.line}: {name.text} is defined twice")
            self._expect("=")
            rules[name.text] = self._choice(0)
            self._expect(";")
            if public and not top:
                top = name.text
        return rules, top

    def _next(self) -> Token:
        if self._at >= len(self._tokens):
            last = self._tokens[-1].line if self._tokens else 1
            raise GrammarError(f'line {last}: ";" is missing at the end')
        self._at += 1
        return self._tokens[self._at - 1]

    def _peek(self) -> str:
        """The next mark, or "" if a word or rule follows."""
        if self._at >= len(self._tokens):
            return ";"
        token = self._tokens[self._at]
        return token.text if token.kind == "mark" else ""

    def _expect(self, mark: str) -> None:
        token = self._next()
        if token.kind != "mark" or token.text != mark:
            raise GrammarError(f'line {token.line}: expected "{mark}", not "{token.text}"')

    def _choice(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise GrammarError("brackets are nested too deeply")
        options = [self._sequel(depth)]
        while self._peek() == "|":
            self._next()
            options.append(self._sequel(depth))
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _sequel(self, depth: int) -> Node:
        parts: list[Node] = []
        while self._peek() in ("", "(", "["):
            token = self._next()
            part: Node
            if token.kind == "word":
                part = Word(token.text)
            elif token.kind == "rule":
                part = Rule(token.text)
            else:
                part = self._choice(depth + 1)
                self._expect(")" if token.text == "(" else "]")
                if token.text == "[":
                    part = Choice((part, NOTHING))
            while self._peek() in ("*", "+"):
                part = Repeat(part) if self._next().text == "*" else Sequel((part, Repeat(part)))
            parts.append(part)
        if not parts:
            line = self._tokens[min(self._at, len(self._tokens) - 1)].line
            raise GrammarError(f"line {line}: a word is missing")
        return parts[0] if len(parts) == 1 else Sequel(tuple(parts))


class _Expander:
    """Puts the rules into each other."""

    def __init__(self, rules: Mapping[str, Node]) -> None:
        self._rules = rules
        self._open: list[str] = []
        self._done: dict[str, Node] = {"<NULL>": NOTHING, "<VOID>": NEVER}

    def rule(self, name: str, depth: int) -> Node:
        if name in self._done:
            return self._done[name]
        if name not in self._rules:
            raise GrammarError(f"rules without a definition: {name}")
        if name in self._open:
            raise GrammarError(f"{name} contains itself; write repetition with * or +")
        self._open.append(name)
        self._done[name] = node = self._node(self._rules[name], depth + 1)
        self._open.pop()
        return node

    def _node(self, node: Node, depth: int) -> Node:
        if depth > 3 * MAX_DEPTH:
            raise GrammarError("rules are nested too deeply")
        match node:
            case Word():
                return node
            case Rule(name):
                return self.rule(name, depth)
            case Repeat(part):
                return Repeat(self._node(part, depth + 1))
            case Sequel(parts):
                return Sequel(tuple(self._node(part, depth + 1) for part in parts))
            case Choice(options):
                return Choice(tuple(self._node(option, depth + 1) for option in options))
