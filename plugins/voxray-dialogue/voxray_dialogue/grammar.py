"""The grammar a recogniser needs to understand a flow: everything that is understood anywhere in it, as JSGF."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from voxray_dialogue.flow import Confirm, Fill, Flow
from voxray_dialogue.loading import FlowError
from voxray_dialogue.phrases import Choice, Maybe, Node, Sequel, SlotRef, Word, slot_names
from voxray_dialogue.slots import MONTHS, ONES, WEEKDAYS, Slot, ordinal


def jsgf(flow: Flow) -> str:
    """The grammar of `flow`. Raises FlowError for a slot whose words are not known beforehand."""
    used = dict.fromkeys(name for node in _said(flow) for name in slot_names(node))
    bodies = {name: _slot_body(flow.slots[name]) for name in used}
    # Slots that are said alike share a rule: the recogniser could not tell them apart and would search twice.
    rule_of = {name: next(other for other in bodies if bodies[other] == body) for name, body in bodies.items()}
    phrases = dict.fromkeys(_expression(node, rule_of) for node in _said(flow))
    said = " ".join(filter(None, (_noise(flow.before), "<phrase>", _noise(flow.after))))
    rules = [f"public <said> = {said};", _rule("phrase", phrases)]
    rules += [f"<slot_{name}> = {bodies[name]};" for name in dict.fromkeys(rule_of.values())]
    name = re.sub(r"\W+", "_", flow.name.lower()).strip("_") or "flow"
    return "#JSGF V1.0;\n\n" + "\n\n".join([f"grammar {name};", *rules]) + "\n"


def _said(flow: Flow) -> Iterator[Node]:
    intents = [*flow.always]
    for step in flow.steps.values():
        intents += step.on
        if isinstance(step, Fill):
            yield from step.phrases
            for slot in step.slots:
                yield from flow.answers[slot]
        if isinstance(step, Confirm):
            yield from (*flow.yes, *flow.no)
    for name in dict.fromkeys(intents):
        yield from flow.intents[name].phrases


def _expression(node: Node, rule_of: Mapping[str, str]) -> str:
    match node:
        case Word(text):
            return text
        case SlotRef(name):
            return f"<slot_{rule_of[name]}>"
        case Maybe(part):
            inner = _expression(part, rule_of)
            return f"[{inner[1:-1]}]" if isinstance(part, Choice) else f"[{inner}]"
        case Sequel(parts):
            return " ".join(_expression(part, rule_of) for part in parts)
        case Choice(options):
            return f"({' | '.join(_expression(option, rule_of) for option in options)})"


def _noise(nodes: Iterable[Node]) -> str:
    options = [_expression(node, {}) for node in nodes]
    return f"[{' | '.join(options)}]" if options else ""


def _rule(name: str, options: Iterable[str]) -> str:
    return f"<{name}> =\n    " + "\n  | ".join(options) + ";"


def _slot_body(slot: Slot) -> str:
    if slot.kind == "text":
        raise FlowError(f'the slot "{slot.name}" may be any text: no grammar can list that; give it values')
    if slot.kind == "digits":
        digit = f"({' | '.join(ONES[:10])})"  # "oh" is understood too, but sounds like "no" and "four"
        return " ".join([digit] * slot.min_words + [f"[{digit}]"] * (slot.max_words - slot.min_words))
    if slot.kind == "date":
        days = " | ".join(ordinal(day) for day in range(1, 32))
        months = " | ".join(MONTHS)
        return f"today | tomorrow | {' | '.join(WEEKDAYS)} | ({months}) [the] ({days}) | [the] ({days}) of ({months})"
    said = [" ".join(words) for words, _ in slot.forms if not any(word[0].isdigit() for word in words)]
    return " | ".join(dict.fromkeys(said))
