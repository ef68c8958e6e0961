"""What a flow must be besides well-formed: names that exist, no way in circles without listening."""

from __future__ import annotations

from collections.abc import Iterator

from voxray_dialogue.flow import Act, Call, Confirm, Fill, Flow, Listen, Pass, Step, Then
from voxray_dialogue.reader import Item, suggestion
from voxray_dialogue.templates import field_names


def check(flow: Flow, top: Item) -> None:
    """Add what is wrong with a flow to the problems of `top`, the item it was read from."""
    steps = top.entries()["steps"].entries()
    _check_names(flow, top, steps)
    _check_targets(flow, top, steps)
    _check_templates(flow, top)
    _check_circles(flow, steps)


def acts(step: Step) -> Iterator[tuple[tuple[str, ...], Act]]:
    """Every act of a step, with the keys that lead to it."""
    yield from ((("on", intent), act) for intent, act in step.on.items())
    yield from outcomes(step)


def outcomes(step: Step) -> Iterator[tuple[tuple[str, ...], Act]]:
    """The acts that happen by themselves, or after a yes or no."""
    match step:
        case Pass() | Fill():
            yield ("then",), step.then
        case Confirm():
            yield ("yes",), step.yes
            yield ("no",), step.no
        case Call():
            yield ("then",), step.then
            yield ("failed",), step.failed
            yield from ((("cases",), case.act) for case in step.cases)


def _at(item: Item, keys: tuple[str, ...]) -> Item:
    for key in keys:
        item = item.value[key]
    return item


def _check_names(flow: Flow, top: Item, steps: dict[str, Item]) -> None:
    if flow.start not in flow.steps:
        top.entries().get("start", top).bad(f'no step named "{flow.start}"{suggestion(flow.start, flow.steps)}')
    elif not isinstance(flow.steps[flow.start], Listen):
        steps[flow.start].bad('the dialogue starts here, so the step must "ask" and wait')
    holders = [(steps[name].entries()["on"], step.on) for name, step in flow.steps.items() if step.on]
    if flow.always:
        holders.append((top.entries()["always"], flow.always))
    for item, names in holders:
        for name in names:
            if name not in flow.intents:
                item.entries()[name].bad(f'no intent named "{name}"{suggestion(name, flow.intents)}')
    for name, step in flow.steps.items():
        if isinstance(step, Call):
            for slot in step.save:
                if slot not in flow.slots:
                    steps[name].entries()["save"].bad(f'no slot named "{slot}"{suggestion(slot, flow.slots)}')


def _check_targets(flow: Flow, top: Item, steps: dict[str, Item]) -> None:
    rows = [(_at(steps[name], keys), act) for name, step in flow.steps.items() for keys, act in acts(step)]
    rows += [(_at(top, ("always", name)), act) for name, act in flow.always.items()]
    rows.append((top.entries().get("give_up", top), flow.give_up))
    for item, act in rows:
        if act.then is Then.GOTO and act.goto not in flow.steps:
            item.bad(f'no step named "{act.goto}"{suggestion(act.goto, flow.steps)}')
    for name, step in flow.steps.items():
        if isinstance(step, Pass | Fill | Call):
            for keys, act in outcomes(step):
                if act.then in (Then.STAY, Then.REPEAT):
                    _at(steps[name], keys).bad("must lead somewhere: nobody is asked anything here")


def _check_templates(flow: Flow, top: Item) -> None:
    known = [*flow.slots, "help"]
    for item in _leaves(top):
        if not isinstance(item.value, str) or any(f"{part}." in f"{item.path}." for part in ("heard", "phrases")):
            continue
        if item.path.startswith(("intents.", "fillers.")):
            continue
        for name in field_names(item.value):
            if name not in known and name.split(".")[0] != "result":
                item.bad(f'nothing is called "{{{name}}}"{suggestion(name, known)}')


def _leaves(item: Item) -> Iterator[Item]:
    if isinstance(item.value, dict):
        for child in item.value.values():
            yield from _leaves(child)
    elif isinstance(item.value, list):
        for child in item.value:
            yield from _leaves(child)
    else:
        yield item


def _check_circles(flow: Flow, steps: dict[str, Item]) -> None:
    """Follow each step's automatic ways: none may come back without having waited for the caller."""
    onward = {
        name: {act.goto for _, act in outcomes(step) if act.then is Then.GOTO}
        for name, step in flow.steps.items()
        if isinstance(step, Pass | Call)
    }
    for first in onward:
        seen: set[str] = set()
        waiting = [first]
        while waiting:
            for name in onward.get(waiting.pop(), ()):
                if name == first:
                    steps[first].bad("leads back to itself without waiting for the caller")
                    seen.add(name)
                    waiting.clear()
                    break
                if name not in seen:
                    seen.add(name)
                    waiting.append(name)
