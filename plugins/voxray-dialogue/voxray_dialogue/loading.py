"""From a YAML file to a checked `Flow`. The README describes the format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from voxray.errors import ConfigError
from voxray_dialogue import slots as forms
from voxray_dialogue.checks import check
from voxray_dialogue.flow import Act, Call, Case, Confirm, Fill, Flow, Intent, Listen, Pass, Step, Then
from voxray_dialogue.phrases import Node, PhraseError, parse, slot_names
from voxray_dialogue.reader import Item, Problems, read, suggestion
from voxray_dialogue.slots import Slot

TOP_KEYS = [
    "name",
    "greeting",
    "start",
    "goodbye",
    "unavailable",
    "wait",
    "repair",
    "give_up",
    "help",
    "yes",
    "no",
    "fillers",
    "slots",
    "intents",
    "always",
    "steps",
    "tools",
]
SLOT_KEYS = ["type", "values", "min", "max", "length", "ask", "help", "heard"]
STEP_KEYS = [
    "say",
    "help",
    "on",
    "ask",
    "again",
    "then",
    "fill",
    "phrases",
    "confirm",
    "yes",
    "no",
    "call",
    "arguments",
    "save",
    "cases",
    "failed",
]
ACT_KEYS = ["say", "clear", "set", "goto", "repeat", "hang_up", "hand_over"]
SLOT_TYPES = ("choice", "number", "digits", "weekday", "date", "yes_no", "text")


class FlowError(ConfigError):
    """A flow's file cannot be used. `problems` holds all findings, each printable as one line."""


def load(path: str | Path) -> Flow:
    """Read and check a flow. Raises FlowError with everything that is wrong, or for a file that cannot be read."""
    try:
        text = Path(path).read_text("utf-8-sig")
    except OSError as error:
        raise FlowError(f'cannot read the flow "{path}": {error.strerror}') from error
    except UnicodeDecodeError as error:
        raise FlowError(f'the flow "{path}" is not UTF-8') from error
    return loads(text, str(path))


def loads(text: str, name: str = "flow") -> Flow:
    """Like `load`, from text. `name` is used in complaints."""
    problems = Problems(name)
    top = read(text, problems)
    flow = _Loader(problems).flow(top) if top is not None else None
    if not problems.found and flow is not None and top is not None:
        check(flow, top)
    if problems.found or flow is None:
        rows = sorted(set(problems.found), key=lambda problem: (problem.line, problem.path, problem.message))
        raise FlowError("\n".join(map(str, rows)), tuple(rows))
    return flow


class _Loader:
    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._slots: dict[str, Slot] = {}

    def flow(self, top: Item) -> Flow | None:
        keys = top.fields(TOP_KEYS)
        for needed in ("name", "greeting", "steps"):
            if needed not in keys:
                top.bad(f'"{needed}" is missing')
        if top.problems.found and "steps" not in keys:
            return None
        self._slots = {name: self._slot(name, item) for name, item in _entries(keys, "slots").items()}
        steps = {name: self._step(name, item) for name, item in _entries(keys, "steps").items()}
        fillers = keys["fillers"].fields(("before", "after")) if "fillers" in keys else {}
        return Flow(
            name=_text(keys, "name"),
            greeting=_text(keys, "greeting"),
            start=_text(keys, "start") or next(iter(steps), ""),
            steps=steps,
            intents={name: self._intent(name, item) for name, item in _entries(keys, "intents").items()},
            slots=self._slots,
            answers={name: self._answers(name, item) for name, item in _entries(keys, "slots").items()},
            always={name: self._act(item) for name, item in _entries(keys, "always").items()},
            yes=self._phrases(keys.get("yes")) or tuple(parse(phrase) for phrase in forms.YES),
            no=self._phrases(keys.get("no")) or tuple(parse(phrase) for phrase in forms.NO),
            before=self._fillers(fillers.get("before")),
            after=self._fillers(fillers.get("after")),
            repair=tuple(keys["repair"].texts()) if "repair" in keys else ("Sorry, I did not understand that.",),
            give_up=self._act(keys["give_up"]) if "give_up" in keys else Act(Then.HANG_UP),
            goodbye=_text(keys, "goodbye") or "Goodbye.",
            unavailable=_text(keys, "unavailable") or "I am sorry, that does not work right now.",
            wait=_text(keys, "wait") or "One moment, please.",
            help=_text(keys, "help"),
            examples={name: item.plain() for name, item in _entries(keys, "tools").items()},
        )

    def _slot(self, name: str, item: Item) -> Slot:
        keys = item.fields(SLOT_KEYS)
        kind = _text(keys, "type") or "choice"
        if kind not in SLOT_TYPES:
            keys["type"].bad(f'no slot type "{kind}"{suggestion(kind, SLOT_TYPES)}')
            kind = "text"
        if not name.isidentifier() or name in ("result", "help"):
            item.bad("a slot is named like a variable, and neither result nor help")
        made: forms.Forms = ()
        low = high = 1
        if kind == "number":
            low = keys["min"].number(0, forms.MAX_NUMBER) if "min" in keys else 1
            high = keys["max"].number(low, forms.MAX_NUMBER) if "max" in keys else 31
            made = forms.number_forms(low, high)
        elif kind in ("digits", "text"):
            low = high = keys["length"].number(1, 20) if "length" in keys else (1 if kind == "text" else 4)
            low = keys["min"].number(1, 20) if "min" in keys else low
            high = keys["max"].number(low, 20) if "max" in keys else max(high, 5 if kind == "text" else high)
        elif kind == "choice":
            made = self._values(item, keys)
        else:
            made = {"weekday": forms.weekday_forms, "date": forms.date_forms, "yes_no": forms.yes_no_forms}[kind]()
        heard = tuple(keys["heard"].texts()) if "heard" in keys else ()
        return Slot(name, made, _text(keys, "ask"), _text(keys, "help"), kind, heard, low, high)

    def _values(self, item: Item, keys: Mapping[str, Item]) -> forms.Forms:
        if "values" not in keys:
            item.bad('a slot of type "choice" needs "values"')
            return ()
        values = keys["values"]
        if isinstance(values.value, dict):
            return forms.choice_forms(
                {name: row.texts() if row.value is not None else () for name, row in values.entries().items()}
            )
        return forms.choice_forms(dict.fromkeys(values.texts(), ()))

    def _answers(self, name: str, item: Item) -> tuple[Node, ...]:
        keys = item.value if isinstance(item.value, dict) else {}
        return (*self._phrases(keys.get("heard")), parse(f"{{{name}}}"))

    def _intent(self, name: str, item: Item) -> Intent:
        if not isinstance(item.value, dict):
            return Intent(name, self._phrases(item))
        keys = item.fields(("phrases", "keys"))
        if not keys:
            item.bad('an intent needs "phrases" or "keys"')
        pressed = _text(keys, "keys")
        if pressed.strip("0123456789*#"):
            keys["keys"].bad("keys are 0 to 9, * and #")
        return Intent(name, self._phrases(keys.get("phrases")), pressed)

    def _phrases(self, item: Item | None) -> tuple[Node, ...]:
        nodes: list[Node] = []
        for row in item.items() if item is not None else ():
            text = row.text()
            if not text:
                continue
            try:
                node = parse(text)
            except PhraseError as error:
                row.bad(str(error))
                continue
            for name in slot_names(node):
                if name not in self._slots:
                    row.bad(f'no slot named "{name}"{suggestion(name, self._slots)}')
            nodes.append(node)
        return tuple(nodes)

    def _fillers(self, item: Item | None) -> tuple[Node, ...]:
        nodes = self._phrases(item)
        if item is not None and any(name for node in nodes for name in slot_names(node)):
            item.bad("polite words hold no slots")
        return nodes

    def _step(self, name: str, item: Item) -> Step:
        keys = item.fields(STEP_KEYS)
        shared: dict[str, Any] = {
            "name": name,
            "say": _text(keys, "say"),
            "help": _text(keys, "help"),
            "on": {intent: self._act(row) for intent, row in _entries(keys, "on").items()},
        }
        kinds: dict[str, Callable[[Item, dict[str, Item], dict[str, Any]], Step]] = {
            "fill": self._fill,
            "confirm": self._confirm,
            "call": self._call,
            "ask": self._listen,
        }
        given = [kind for kind in kinds if kind in keys]
        if len(given) > 1:
            item.bad(f"a step has one of {', '.join(kinds)}, not {' and '.join(given)}")
        if given:
            return kinds[given[0]](item, keys, shared)
        if shared["on"]:
            return self._listen(item, keys, shared)
        return Pass(then=self._needed(item, keys, "then"), **shared)

    def _listen(self, item: Item, keys: dict[str, Item], shared: dict[str, Any]) -> Step:
        _only(item, keys, "ask again")
        if "ask" not in keys:  # then what it says is its question
            shared["say"], ask = "", shared["say"]
            return Listen(ask=ask, again=_text(keys, "again"), **shared)
        return Listen(ask=_text(keys, "ask"), again=_text(keys, "again"), **shared)

    def _fill(self, item: Item, keys: dict[str, Item], shared: dict[str, Any]) -> Step:
        _only(item, keys, "fill phrases then")
        names = keys["fill"].texts()
        for name in names:
            if name not in self._slots:
                keys["fill"].bad(f'no slot named "{name}"{suggestion(name, self._slots)}')
            elif not self._slots[name].ask:
                keys["fill"].bad(f'the slot "{name}" has no question ("ask")')
        then = self._needed(item, keys, "then")
        return Fill(slots=tuple(names), then=then, phrases=self._phrases(keys.get("phrases")), **shared)

    def _confirm(self, item: Item, keys: dict[str, Item], shared: dict[str, Any]) -> Step:
        _only(item, keys, "confirm yes no")
        yes, no = self._needed(item, keys, "yes"), self._needed(item, keys, "no")
        return Confirm(ask=_text(keys, "confirm"), yes=yes, no=no, **shared)

    def _call(self, item: Item, keys: dict[str, Item], shared: dict[str, Any]) -> Step:
        _only(item, keys, "call arguments save cases then failed")
        cases = [self._case(row) for row in (keys["cases"].items() if "cases" in keys else ())]
        return Call(
            tool=_text(keys, "call"),
            arguments={name: row.plain() for name, row in _entries(keys, "arguments").items()},
            save={name: row.text() for name, row in _entries(keys, "save").items()},
            cases=tuple(cases),
            then=self._needed(item, keys, "then"),
            failed=self._needed(item, keys, "failed"),
            **shared,
        )

    def _case(self, item: Item) -> Case:
        keys = item.fields(("field", "equals", *ACT_KEYS))
        for needed in ("field", "equals"):
            if needed not in keys:
                item.bad(f'"{needed}" is missing')
        equals = keys["equals"].plain() if "equals" in keys else None
        return Case(_text(keys, "field"), equals, self._act_of(item, keys))

    def _needed(self, item: Item, keys: Mapping[str, Item], key: str) -> Act:
        if key not in keys:
            item.bad(f'"{key}" is missing')
            return Act()
        return self._act(keys[key])

    def _act(self, item: Item) -> Act:
        if isinstance(item.value, str):
            return Act(Then.GOTO, goto=item.text())
        return self._act_of(item, item.fields(ACT_KEYS))

    def _act_of(self, item: Item, keys: Mapping[str, Item]) -> Act:
        moves = [then for then in Then if then.value in keys]
        if len(moves) > 1:
            item.bad(f"only one of {', '.join(move.value for move in moves)} can happen")
        hand_over = keys["hand_over"].plain() if "hand_over" in keys else {}
        values = {name: row.plain() for name, row in _entries(keys, "set").items()}
        clear = keys["clear"].texts() if "clear" in keys else []
        for name in (*clear, *values):
            if name not in self._slots:
                item.bad(f'no slot named "{name}"{suggestion(name, self._slots)}')
        return Act(
            then=moves[0] if moves else Then.STAY,
            goto=_text(keys, "goto"),
            say=_text(keys, "say"),
            clear=tuple(clear),
            set=values,
            arguments=hand_over if isinstance(hand_over, dict) else {},
        )


def _text(keys: Mapping[str, Item], key: str) -> str:
    return keys[key].text() if key in keys else ""


def _entries(keys: Mapping[str, Item], key: str) -> dict[str, Item]:
    return keys[key].entries() if key in keys else {}


def _only(item: Item, keys: Mapping[str, Item], allowed: str) -> None:
    for key, row in keys.items():
        if key not in ("say", "help", "on", *allowed.split()):
            row.bad(f'"{key}" does not belong to a step with {allowed.split()[0]}')
