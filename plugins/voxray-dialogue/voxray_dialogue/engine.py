"""The interpreter: what the agent says and does next, from the messages of a call alone.

It keeps nothing between requests. Each time it replays what the caller said and what tools returned, so an agent can
be restarted in the middle of a call, and the same messages always give the same reply. The agent's own words are only
looked at to see which tool calls were made and whether a tool's result has been told.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from voxray.chat import Assistant, Message, ToolCall, ToolResult, User
from voxray_dialogue.flow import END_CALL, TRANSFER_CALL, Act, Call, Confirm, Fill, Flow, Listen, Pass, Step, Then
from voxray_dialogue.matching import Matcher
from voxray_dialogue.phrases import words_of
from voxray_dialogue.templates import look_up, render, value_of

MAX_MOVES = 50  # steps entered for one input; loading finds the circles, so this is only a fuse
RUNNING = "still running"  # how the placeholder for a result begins while a tool has not returned


@dataclass(frozen=True, slots=True)
class Say:
    """Words to speak. `question`: the open question, not news."""

    text: str
    question: bool = False


Output = Say | ToolCall


@dataclass(slots=True)
class _Pending:
    """A tool call that waits for its result; `step` empty: the call's own end or transfer."""

    call: ToolCall
    step: str
    made: bool = False


@dataclass(slots=True)
class Replay:
    """A dialogue in progress."""

    flow: Flow
    matcher: Matcher
    tools: frozenset[str]
    step: str = ""
    asked: str = ""
    slots: dict[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    repairs: int = 0
    over: bool = False
    pending: _Pending | None = None
    last: tuple[Say, ...] = ()
    owed: tuple[Say, ...] = ()  # told after a tool's result, not known to have been heard
    inputs: int = 0
    moves: int = 0
    out: list[Output] = field(default_factory=list)

    # ── inputs ──

    def open(self) -> list[Output]:
        self._begin()
        self._say(self.flow.greeting)
        self._enter(self.flow.start)
        return self._finish()

    def hear(self, text: str) -> list[Output]:
        """The caller said something."""
        self._begin()
        self.out.extend(self.owed)
        if self.over:
            self._hang_up()
        elif self.pending is not None:
            self._hear_while_pending(self.pending)
        else:
            self._hear(text)
        return self._finish()

    def told(self, result: ToolResult) -> list[Output]:
        """A tool returned."""
        pending = self.pending
        if pending is None or result.id != pending.call.id:
            return []
        pending.made = True
        if not result.failed and result.text.startswith(RUNNING):
            return []
        self._begin()
        self.pending = None
        step = self.flow.steps.get(pending.step)
        if isinstance(step, Call):
            self._branch(step, result)
        elif result.failed:
            self._no_agent(pending.call.name)
        said = self._finish()
        self.owed = tuple(item for item in said if isinstance(item, Say) and not item.question)
        return said

    def said(self, message: Assistant) -> None:
        """What was heard of the agent's own words."""
        if self.pending is not None and any(call.id == self.pending.call.id for call in message.tool_calls):
            self.pending.made = True
        heard, news = words_of(message.text)[:3], words_of(self.owed[0].text) if self.owed else []
        if heard and news[: len(heard)] == heard:
            self.owed = ()

    def again(self) -> list[Output]:
        """Say the last reply again: nothing new has happened since."""
        return [*self.last, *([self.pending.call] if self.pending and not self.pending.made else [])]

    # ── understanding ──

    def _hear_while_pending(self, pending: _Pending) -> None:
        if pending.made:
            self._say(self.flow.wait)
        elif pending.step:  # cut off before the call was made: make it now
            self.pending = None
            self._enter(pending.step)
        else:
            self.pending = None
            self._request(pending.call.name, pending.call.arguments, "")

    def _hear(self, text: str) -> None:
        if not text.strip():
            self._ask()
            return
        found = self.matcher.understand(self.step, self.asked, text)
        if found is None:
            self._repair()
            return
        self.repairs = 0
        if found.act is not None:
            self._perform(found.act, dict(found.bindings))
            return
        self.slots.update(found.bindings)
        self._ask()

    def _repair(self) -> None:
        self.repairs += 1
        if self.repairs > len(self.flow.repair):
            self.repairs = 0
            self._perform(self.flow.give_up, {})
            return
        self._say(self.flow.repair[self.repairs - 1])
        self._ask()

    # ── moving ──

    def _perform(self, act: Act, bindings: Mapping[str, Any]) -> None:
        said = render(act.say, {**self._values(), **act.set, **bindings})  # may name what is about to be cleared
        if said:
            self.out.append(Say(said))
        for name in act.clear:
            self.slots.pop(name, None)
        self.slots.update(act.set)
        self.slots.update(bindings)
        match act.then:
            case Then.GOTO:
                self._enter(act.goto)
            case Then.REPEAT:
                self.out.extend(item for item in self.last if item not in self.out)
            case Then.HANG_UP:
                self._hang_up()
            case Then.HAND_OVER:
                self._hand_over(act.arguments)
            case Then.STAY:
                self._ask(digression=True)

    def _enter(self, name: str) -> None:
        self.moves += 1
        if self.moves > MAX_MOVES:
            self._hang_up()
            return
        self.step, self.asked = name, ""
        step = self.flow.steps[name]
        self._say(step.say)
        match step:
            case Pass():
                self._perform(step.then, {})
            case Call():
                self._call(step)
            case _:
                self._ask()

    def _ask(self, *, digression: bool = False) -> None:
        """Put the step's question, or go on if it has none left."""
        step = self.flow.steps[self.step]
        match step:
            case Fill():
                missing = [slot for slot in step.slots if self.slots.get(slot) is None]
                if not missing:
                    self._perform(step.then, {})
                    return
                self.asked = missing[0]
                self._question(self.flow.slots[self.asked].ask)
            case Confirm():
                self._question(step.ask)
            case Listen():
                self._question(step.again if digression and step.again else step.ask)

    def _call(self, step: Call) -> None:
        values = self._values()
        arguments = {name: value_of(template, values) for name, template in step.arguments.items()}
        given = {name: value for name, value in arguments.items() if value is not None}
        if step.tool in self.tools:
            self._request(step.tool, given, step.name)
            return
        self._say(self.flow.unavailable)
        self._perform(step.failed, {})

    def _branch(self, step: Call, result: ToolResult) -> None:
        self.result = fields_of(result.text)
        if result.failed:
            self._perform(step.failed, {})
            return
        for slot, name in step.save.items():
            value = look_up(name, {"result": self.result, **self.result})
            if value is not None:
                self.slots[slot] = value
        fits = (case.act for case in step.cases if look_up(case.field, self.result) == case.equals)
        self._perform(next(fits, step.then), {})

    # ── ends ──

    def _hang_up(self) -> None:
        self.over = True
        self._say(self.flow.goodbye)
        if END_CALL in self.tools:
            self._request(END_CALL, {}, "")

    def _hand_over(self, arguments: Mapping[str, Any]) -> None:
        if TRANSFER_CALL in self.tools:
            self._request(TRANSFER_CALL, arguments, "")
        else:
            self._no_agent(TRANSFER_CALL)

    def _no_agent(self, tool: str) -> None:
        if tool == TRANSFER_CALL:
            self._say(self.flow.unavailable)
            self._hang_up()

    # ── output ──

    def _request(self, tool: str, arguments: Mapping[str, Any], step: str) -> None:
        call = ToolCall(f"call-{self.inputs}", tool, dict(arguments))
        self.pending = _Pending(call, step)
        self.out.append(call)

    def _say(self, template: str, *, question: bool = False) -> None:
        text = render(template, self._values())
        if text:
            self.out.append(Say(text, question))

    def _question(self, template: str) -> None:
        self._say(template, question=True)

    def _values(self) -> dict[str, Any]:
        return {**self.slots, "result": self.result, "help": self._help()}

    def _help(self) -> str:
        step: Step | None = self.flow.steps.get(self.step)
        slot = self.flow.slots[self.asked].help if self.asked else ""
        text = slot or (step.help if step else "") or self.flow.help
        return render(text, {**self.slots, "result": self.result})

    def _begin(self) -> None:
        self.inputs += 1
        self.moves = 0
        self.out = []

    def _finish(self) -> list[Output]:
        said = tuple(item for item in self.out if isinstance(item, Say))
        if said:
            self.last = said
        return self.out


def fields_of(text: str) -> Mapping[str, Any]:
    """A tool's result as fields: a JSON object's own, else the whole under "text"."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    return value if isinstance(value, dict) else {"text": value}


def reply(flow: Flow, matcher: Matcher, messages: Iterable[Message], tools: Iterable[str]) -> Sequence[Output]:
    """What the agent says and does after these messages; its opening if nobody has spoken yet."""
    run = Replay(flow, matcher, frozenset(tools))
    out = run.open()
    for message in messages:
        match message:
            case User(text):
                out = run.hear(text)
            case ToolResult():
                out = run.told(message)
            case Assistant():
                run.said(message)
                out = run.again()
    return out


def opening(flow: Flow) -> str:
    """The words a call begins with: the greeting and the first question."""
    return " ".join(item.text for item in reply(flow, Matcher(flow), (), ()) if isinstance(item, Say))
