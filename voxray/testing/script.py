"""Scripts for a synthetic caller: what it says and when, and what must come back. Read from YAML.

The format is `SCHEMA`; docs/how-to/test-an-agent.md explains it with examples.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from voxray.errors import ConfigError

ACTIONS = ("say", "wav", "text", "dtmf", "silence", "listen", "hang_up")
SILENT = ("silence", "hang_up")  # actions that nobody answers

_SECS = {"type": "number", "minimum": 0, "maximum": 3600}
_WORDS: dict[str, Any] = {
    "type": ["string", "array", "object"],
    "minLength": 1,
    "minItems": 1,
    "items": {"type": "string", "minLength": 1},
    "properties": {
        name: {"type": "array", "items": {"type": "string", "minLength": 1}} for name in ("all", "any", "none")
    },
    "additionalProperties": False,
    "minProperties": 1,
}
_COUNTS = {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}}
_TURN: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "say": {"type": "string", "minLength": 1, "description": "Words to speak."},
        "wav": {"type": "string", "minLength": 1, "description": "A WAV file, relative to the script."},
        "text": {"type": "string", "minLength": 1, "description": "A typed turn."},
        "dtmf": {"type": "string", "pattern": "^[0-9*#]+$", "description": "Keys."},
        "silence": {**_SECS, "description": "Seconds to say nothing."},
        "listen": {"const": True, "description": "Wait for one more answer."},
        "hang_up": {"const": True, "description": "End the call here."},
        "pause": {**_SECS, "description": "Seconds to wait before this turn."},
        "barge_in_after": {**_SECS, "description": "Interrupt the last answer when so many seconds were heard."},
        "wait": {"type": "boolean", "description": "Whether an answer is due; true but for silence."},
        "timeout": {**_SECS, "description": "Seconds for the answer to begin."},
        "expect": {**_WORDS, "description": "Words of the answer."},
        "expect_heard": {**_WORDS, "description": "Words of the answer that reached the caller's ear."},
        "expect_understood": {**_WORDS, "description": "What the agent understood."},
        "expect_tool": {
            "type": ["string", "object"],
            "minLength": 1,
            "additionalProperties": {"type": "integer", "minimum": 0},
            "description": "A tool the agent must call in this turn, or tools and how often.",
        },
        "max_latency_ms": {"type": "number", "exclusiveMinimum": 0, "description": "From last speech to first sound."},
    },
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["turns"],
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "greeting": {
            "enum": [True, False, "auto"],
            "description": "Whether the agent speaks first; auto waits 2 s for it.",
        },
        "expect_greeting": {**_WORDS, "description": "Words of the greeting."},
        "expect_tools": {**_COUNTS, "description": "How often each tool is called in the whole call."},
        "expect_end": {"type": "string", "description": "The reason the agent gives for ending the call."},
        "max_latency_ms": {"type": "number", "exclusiveMinimum": 0, "description": "For every turn without its own."},
        "timeout": {**_SECS, "description": "For every turn without its own."},
        "turns": {"type": "array", "minItems": 1, "maxItems": 1000, "items": _TURN},
    },
}


@dataclass(frozen=True, slots=True)
class Words:
    """Words to look for: all of `all_of`, one of `any_of`, none of `none_of`. `/…/` is a regular expression; others are
    found whatever their case and punctuation."""

    all_of: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()

    def problem(self, text: str, what: str) -> str:
        """Why `text` is not it; "" if it is."""
        if missing := [item for item in self.all_of if not _found(item, text)]:
            return f'{what}: "{missing[0]}" is not in "{text}"'
        if self.any_of and not any(_found(item, text) for item in self.any_of):
            return f'{what}: none of {", ".join(map(repr, self.any_of))} is in "{text}"'
        if wrong := [item for item in self.none_of if _found(item, text)]:
            return f'{what}: "{wrong[0]}" is in "{text}"'
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn: `action` is one of `ACTIONS`, `value` what was written behind it."""

    action: str
    value: str | float | bool
    pause_secs: float = 0.0
    barge_in_after_secs: float | None = None
    wait: bool = True
    timeout_secs: float | None = None
    expect: Words | None = None
    expect_heard: Words | None = None
    expect_understood: Words | None = None
    expect_tools: Mapping[str, int | None] = field(default_factory=dict)  # None: at least once
    max_latency_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    turns: Sequence[Turn]
    name: str = "call"
    greeting: bool | None = None  # None: wait 2 s for one
    expect_greeting: Words | None = None
    expect_tools: Mapping[str, int] = field(default_factory=dict)
    expect_end: str = ""


def spoken(lines: Iterable[str]) -> Script:
    """A script that says these lines, one after the other, and waits for an answer to each."""
    return Script(turns=[Turn(action="say", value=line) for line in lines])


def load_script(path: Path) -> Script:
    """Read a script. Blocks.

    Raises:
        ConfigError: it cannot be used; `problems` are lines `file:line: where: what`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{path}: {error}", (f"{path}: {error}",)) from error
    return parse_script(text, where=str(path), folder=path.parent, name=path.stem)


def parse_script(text: str, *, where: str = "script", folder: Path = Path(), name: str = "call") -> Script:
    """Read a script from a text; see `load_script`. WAV files are looked for in `folder`."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = f"{where}{line}: not YAML: {getattr(error, 'problem', None) or error}"
        raise ConfigError(problem, (problem,)) from error
    problems = sorted(_problems(document, root, folder))
    if problems:
        found = tuple(f"{where}:{line}: {problem}" for line, problem in problems)
        raise ConfigError(found[0], found)
    return _script(document, folder, name)


# ── validation ──


def _problems(document: Any, root: yaml.Node | None, folder: Path) -> Iterable[tuple[int, str]]:
    from jsonschema import Draft202012Validator

    for error in Draft202012Validator(SCHEMA).iter_errors(document):
        path = list(error.absolute_path)
        if error.validator == "additionalProperties" and isinstance(error.instance, dict):
            known = error.schema.get("properties", {})
            for key in error.instance.keys() - known.keys():
                yield _line(root, [*path, key]), _at(path, _unknown(str(key), known))
        else:
            yield _line(root, path), _at(path, _message(error))
    turns = document.get("turns") if isinstance(document, dict) else None
    for number, turn in enumerate(turns if isinstance(turns, list) else ()):
        if isinstance(turn, dict):
            if number == 0 and "barge_in_after" in turn and document.get("greeting") is False:
                yield _line(root, ["turns", 0]), _at(["turns", 0], "barge_in_after, and there is no greeting before it")
            for problem in _turn_problems(turn, folder):
                yield _line(root, ["turns", number]), _at(["turns", number], problem)


def _turn_problems(turn: dict[str, Any], folder: Path) -> Iterable[str]:
    actions = [name for name in ACTIONS if name in turn]
    if len(actions) != 1:
        yield f"needs one of {', '.join(ACTIONS)}" + (f", not {' and '.join(actions)}" if actions else "")
    if isinstance(turn.get("wav"), str) and not (folder / turn["wav"]).is_file():
        yield f'no file "{turn["wav"]}"'
    if turn.get("wait") is False and any(name in turn for name in ("expect", "expect_heard", "max_latency_ms")):
        yield "expects an answer and does not wait for one"
    for name in ("expect", "expect_heard", "expect_understood"):
        for pattern in _strings(turn.get(name)):
            if _is_pattern(pattern):
                try:
                    re.compile(pattern[1:-1])
                except re.error as error:
                    yield f'{name}: "{pattern}" is no regular expression: {error}'


def _strings(value: Any) -> list[str]:
    items = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    if isinstance(value, dict):
        items = [item for part in value.values() if isinstance(part, list) for item in part]
    return [item for item in items if isinstance(item, str)]


def _unknown(key: str, known: Mapping[str, Any]) -> str:
    close = get_close_matches(key, list(known), n=1)
    return f'unknown key "{key}"' + (f'; did you mean "{close[0]}"?' if close else f"; known are {', '.join(known)}")


def _message(error: Any) -> str:
    match error.validator:
        case "type":
            wanted = error.validator_value
            return f"must be {' or '.join(wanted) if isinstance(wanted, list) else wanted}, not {error.instance!r}"
        case "required":
            return str(error.message).replace("'", '"').replace(" is a required property", " is missing")
        case "const":
            return "must be true"
        case _:
            return str(error.message)


def _at(path: Sequence[Any], problem: str) -> str:
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    return f"{where}: {problem}" if where else problem


def _line(node: yaml.Node | None, path: Sequence[Any]) -> int:
    """The line of the value (or key) at `path`, as far as it exists."""
    line = node.start_mark.line + 1 if node else 1
    for part in path:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        else:
            break
    return line


# ── from data to objects ──


def _script(document: dict[str, Any], folder: Path, name: str) -> Script:
    greeting = document.get("greeting", "auto")
    return Script(
        name=document.get("name", name),
        greeting=None if greeting == "auto" else greeting,
        expect_greeting=_words(document.get("expect_greeting")),
        expect_tools=document.get("expect_tools", {}),
        expect_end=document.get("expect_end", ""),
        turns=[_turn(turn, document, folder) for turn in document["turns"]],
    )


def _turn(turn: dict[str, Any], document: dict[str, Any], folder: Path) -> Turn:
    action = next(name for name in ACTIONS if name in turn)
    value = str(folder / turn["wav"]) if action == "wav" else turn[action]
    tool = turn.get("expect_tool", {})
    return Turn(
        action=action,
        value=value,
        pause_secs=turn.get("pause", 0.0),
        barge_in_after_secs=turn.get("barge_in_after"),
        wait=turn.get("wait", action not in SILENT),
        timeout_secs=turn.get("timeout", document.get("timeout")),
        expect=_words(turn.get("expect")),
        expect_heard=_words(turn.get("expect_heard")),
        expect_understood=_words(turn.get("expect_understood")),
        expect_tools={tool: None} if isinstance(tool, str) else tool,
        max_latency_ms=turn.get("max_latency_ms", document.get("max_latency_ms")),
    )


def _words(value: Any) -> Words | None:
    match value:
        case None:
            return None
        case str():
            return Words(all_of=(value,))
        case list():
            return Words(any_of=tuple(value))
        case _:
            parts = {name: tuple(value.get(name, ())) for name in ("all", "any", "none")}
            return Words(parts["all"], parts["any"], parts["none"])


def _is_pattern(item: str) -> bool:
    return len(item) > 2 and item[0] == item[-1] == "/"


def _found(item: str, text: str) -> bool:
    if _is_pattern(item):
        return re.search(item[1:-1], text, re.IGNORECASE) is not None
    return f" {_plain(item)} " in f" {_plain(text)} "


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+(?:['\u2019][^\W_]+)*", text.casefold()))
