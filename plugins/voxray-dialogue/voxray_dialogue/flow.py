"""A dialogue flow as frozen data. `voxray_dialogue.loading` reads it from YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from voxray_dialogue.phrases import Node
from voxray_dialogue.slots import Slot, Value

END_CALL = "end_call"
TRANSFER_CALL = "transfer_call"


class Then(Enum):
    """What an act does after it has spoken."""

    STAY = "stay"  # ask the open question again
    GOTO = "goto"
    REPEAT = "repeat"  # say the last reply again
    HANG_UP = "hang_up"
    HAND_OVER = "hand_over"


@dataclass(frozen=True, slots=True)
class Act:
    """What happens next: slots are cleared and set, something is said, then the dialogue moves."""

    then: Then = Then.STAY
    goto: str = ""
    say: str = ""
    clear: tuple[str, ...] = ()
    set: Mapping[str, Value] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of the hand-over


@dataclass(frozen=True, slots=True)
class Intent:
    """Something callers want. `keys`: the keys of a telephone that mean the same."""

    name: str
    phrases: tuple[Node, ...]
    keys: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One place in the dialogue. `say` is spoken on arrival, `on` what else may be said here."""

    name: str
    say: str = ""
    help: str = ""
    on: Mapping[str, Act] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen(Step):
    """Asks, and waits for one of the intents in `on`. `again` is the question after a digression."""

    ask: str = ""
    again: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass(Step):
    """Says its text and goes on."""

    then: Act


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill(Step):
    """Asks for each slot that is not yet known, then goes on. `phrases` may answer several at once."""

    slots: tuple[str, ...]
    then: Act
    phrases: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm(Step):
    """Asks a question that is answered by yes or no."""

    ask: str
    yes: Act
    no: Act


@dataclass(frozen=True, slots=True)
class Case:
    """If the result's `field` equals `equals`, `act` happens."""

    field: str
    equals: Any
    act: Act


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Step):
    """Calls a tool. `save` puts fields of its result into slots; the first case that fits wins over `then`."""

    tool: str
    then: Act
    failed: Act
    arguments: Mapping[str, Any] = field(default_factory=dict)
    save: Mapping[str, str] = field(default_factory=dict)
    cases: tuple[Case, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    name: str
    greeting: str
    start: str
    steps: Mapping[str, Step]
    intents: Mapping[str, Intent]
    slots: Mapping[str, Slot]
    answers: Mapping[str, tuple[Node, ...]]  # by slot: what answers its question
    always: Mapping[str, Act]  # intents understood at every step
    yes: tuple[Node, ...]
    no: tuple[Node, ...]
    before: tuple[Node, ...] = ()  # polite noise, for the grammar
    after: tuple[Node, ...] = ()
    repair: tuple[str, ...]
    give_up: Act
    goodbye: str
    unavailable: str
    wait: str
    help: str = ""
    examples: Mapping[str, Any] = field(default_factory=dict)  # by tool: a result, for trying the flow by hand
