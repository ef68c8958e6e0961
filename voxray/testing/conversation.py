"""Holds a script against an agent: one call, or many at once, with the verdict on every turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio

from voxray.audio.format import AudioFormat
from voxray.testing.call_account import Clip, Reply
from voxray.testing.caller import LISTEN_SECS, Caller, NoReplyError, NotConnectedError
from voxray.testing.phone import PhoneCaller
from voxray.testing.phone_line import PhoneLine
from voxray.testing.script import Script, Turn, Words

GREETING_SECS = 2.0  # an agent that has not begun to greet by then is waiting for us
FAREWELL_SECS = 10.0  # for an expected end of the call

Clips = Mapping[tuple[str, str], Clip]
"""What `say` and `wav` turns sound like, by action and value."""

Progress = Callable[[int, str], None]
"""Told the number of a call and what it is doing."""


@dataclass(slots=True)
class TurnResult:
    """What came of one turn. `number` counts from 1; 0 is the greeting."""

    number: int
    action: str
    said: str
    at: float = 0.0
    reply: Reply | None = None
    understood: str = ""
    tools: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        reply = self.reply
        return {
            "number": self.number,
            "action": self.action,
            "said": self.said,
            "understood": self.understood,
            "reply": reply.text if reply else None,
            "heard": reply.heard if reply else None,
            "interrupted": reply.interrupted if reply else False,
            "latency_ms": latency_ms(reply),
            "stages_ms": {name.removesuffix("_secs"): round(secs * 1000, 1) for name, secs in _stages(reply).items()},
            "tools": self.tools,
            "problems": self.problems,
        }


@dataclass(slots=True)
class CallResult:
    """What came of one call. `ok`: the script held."""

    number: int
    script: str
    connected: bool = False
    session_id: str = ""
    turns: list[TurnResult] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # of the call as a whole
    failures: list[str] = field(default_factory=list)  # what the server said went wrong
    end: str = ""
    duration_secs: float = 0.0
    late_ms: float = 0.0  # how late this caller's own worst frame was
    recording: str = ""
    pcm: bytes = b""
    audio: AudioFormat | None = None

    @property
    def ok(self) -> bool:
        return self.connected and not self.problems and not any(turn.problems for turn in self.turns)

    def as_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "ok": self.ok,
            "connected": self.connected,
            "session_id": self.session_id,
            "duration_secs": round(self.duration_secs, 3),
            "end": self.end,
            "late_ms": round(self.late_ms, 1),
            "recording": self.recording,
            "turns": [turn.as_json() for turn in self.turns],
            "problems": self.problems,
            "failures": self.failures,
        }


def latency_ms(reply: Reply | None) -> float | None:
    """From the caller's last frame of speech to the first sound of the answer."""
    return None if reply is None or reply.latency_secs is None else round(reply.latency_secs * 1000, 1)


def _stages(reply: Reply | None) -> dict[str, float]:
    return reply.stages if reply else {}


async def converse(
    url: str,
    script: Script,
    clips: Clips,
    *,
    number: int = 1,
    api_key: str = "",
    timeout_secs: float = LISTEN_SECS,
    record: bool = False,
    progress: Progress = lambda number, what: None,
    phone: PhoneLine | None = None,
) -> CallResult:
    """Make one call by the script, over a websocket or, with `phone`, a simulated carrier. Never raises for what the
    other side does: the result says it."""
    result = CallResult(number, script.name)
    try:
        async with AsyncExitStack() as stack:
            if phone is None:
                caller = await stack.enter_async_context(Caller(url, api_key=api_key, record=record))
            else:
                caller = await phone.call(stack, url, record=record, progress=partial(progress, number))
            result.connected, result.session_id = True, caller.session_id
            await _Conversation(caller, script, clips, result, timeout_secs, progress).run()
            rejected = caller.rejected if isinstance(caller, PhoneCaller) else ()
            result.problems += [f"the carrier would not take this: {reason}" for reason in dict.fromkeys(rejected)]
    except NotConnectedError as error:
        result.problems.append(str(error))
    return result


async def converse_many(
    url: str, script: Script, clips: Clips, *, count: int, concurrency: int, **options: Any
) -> list[CallResult]:
    """Make `count` calls, at most `concurrency` at once; options as for `converse`. Results come in order."""
    results: dict[int, CallResult] = {}
    limiter = anyio.CapacityLimiter(concurrency)

    async def one(number: int) -> None:
        async with limiter:
            results[number] = await converse(url, script, clips, number=number, **options)

    async with anyio.create_task_group() as tasks:
        for number in range(1, count + 1):
            tasks.start_soon(one, number)
    return [results[number] for number in sorted(results)]


class _Conversation:
    def __init__(
        self,
        caller: Caller,
        script: Script,
        clips: Clips,
        result: CallResult,
        timeout_secs: float,
        progress: Progress,
    ) -> None:
        self._caller = caller
        self._script = script
        self._clips = clips
        self._result = result
        self._timeout_secs = timeout_secs
        self._progress = progress
        self._last: Reply | None = None

    async def run(self) -> None:
        caller, result = self._caller, self._result
        try:
            await self._greeting()
            for number, turn in enumerate(self._script.turns, 1):
                if caller.ended:
                    raise NoReplyError(f"the call ended ({caller.ended.reason or caller.ended.code}) before this turn")
                await self._turn(number, turn)
            await self._end()
        except NoReplyError as error:
            (result.turns[-1].problems if result.turns else result.problems).append(str(error))
        await caller.hang_up()
        result.duration_secs = caller.now()
        result.end = caller.ended.reason if caller.ended else ""
        result.late_ms = caller.late_secs * 1000
        result.failures = [f"{failure.stage}: {failure.error}" for failure in caller.failures]
        result.problems += [f"{failure.stage}: {failure.error}" for failure in caller.failures if failure.fatal]
        result.pcm, result.audio = caller.heard_pcm(), caller.audio_out
        self._judge()

    async def _greeting(self) -> None:
        if self._script.greeting is False:
            return
        self._progress(self._result.number, "waiting for a greeting")
        expected = self._script.greeting or self._script.expect_greeting is not None
        if not expected and not await self._caller.answered(GREETING_SECS):
            return
        turn = TurnResult(0, "greeting", "")
        self._result.turns.append(turn)
        turn.reply = await self._answer(self._script.turns[0].barge_in_after_secs, None)

    async def _turn(self, number: int, turn: Turn) -> None:
        caller = self._caller
        if turn.pause_secs:
            await caller.silence(turn.pause_secs)
        said = TurnResult(number, turn.action, "" if turn.value is True else str(turn.value), at=caller.now())
        self._result.turns.append(said)
        if turn.barge_in_after_secs is not None and (self._last is None or self._last.ended_at is not None):
            said.problems.append(f"no answer was being spoken {turn.barge_in_after_secs:g} s after its start")
        self._progress(self._result.number, f"turn {number} of {len(self._script.turns)}: {turn.action}")
        await self._act(turn)
        turns = self._script.turns
        interrupted_after = turns[number].barge_in_after_secs if number < len(turns) else None
        if turn.wait or interrupted_after is not None:
            self._progress(self._result.number, f"turn {number} of {len(turns)}: listening")
            said.reply = await self._answer(interrupted_after, turn.timeout_secs)

    async def _act(self, turn: Turn) -> None:
        caller = self._caller
        match turn.action:
            case "say" | "wav":
                await caller.say(self._clips[turn.action, str(turn.value)])
            case "text":
                await caller.type(str(turn.value))
            case "dtmf":
                await caller.press(str(turn.value))
            case "silence":
                await caller.silence(float(turn.value))
            case "hang_up":
                await caller.hang_up()
            case _:
                pass  # "listen": the answer is waited for below

    async def _answer(self, interrupted_after: float | None, timeout_secs: float | None) -> Reply:
        timeout_secs = self._timeout_secs if timeout_secs is None else timeout_secs
        if interrupted_after is None:
            self._last = await self._caller.listen(timeout_secs)
        else:
            self._last = await self._caller.listen_for(interrupted_after, timeout_secs)
        return self._last

    async def _end(self) -> None:
        if not self._script.expect_end:
            return
        ended = await self._caller.goodbye(FAREWELL_SECS)
        reason = ended.reason if ended else "nothing"
        if reason != self._script.expect_end:
            self._result.problems.append(f'expect_end: "{self._script.expect_end}" was expected, {reason} came')

    def _judge(self) -> None:
        """Compare with what was expected: at the end, because an answer is only known when its interruption is over."""
        caller, results = self._caller, self._result.turns
        for position, result in enumerate(results):
            until = results[position + 1].at if position + 1 < len(results) else caller.now()
            result.tools = [use.name for use in caller.tools if result.at <= use.at < until]
            result.understood = " ".join(text for at, text in caller.turns if result.at <= at < until and text)
            if result.number:
                _judge_turn(self._script.turns[result.number - 1], result)
            else:
                _judge_words(self._script.expect_greeting, result.reply, result, "expect_greeting")
        names = [use.name for use in caller.tools]
        for name, times in self._script.expect_tools.items():
            if names.count(name) != times:
                self._result.problems.append(
                    f'expect_tools: "{name}" was called {names.count(name)} times, not {times}'
                )


def _judge_turn(turn: Turn, result: TurnResult) -> None:
    reply = result.reply
    _judge_words(turn.expect, reply, result, "expect")
    if turn.expect_heard and reply and (problem := turn.expect_heard.problem(reply.heard, "expect_heard")):
        result.problems.append(problem)
    if turn.expect_understood and (problem := turn.expect_understood.problem(result.understood, "expect_understood")):
        result.problems.append(problem)
    for name, times in turn.expect_tools.items():
        found = result.tools.count(name)
        if found != times if times is not None else not found:
            wanted = "" if times is None else f", not {times}"
            result.problems.append(f'expect_tool: "{name}" was called {found} times{wanted}')
    latency = latency_ms(reply)
    if turn.max_latency_ms is not None and reply and (latency is None or latency > turn.max_latency_ms):
        measured = "could not be measured" if latency is None else f"was {latency:g} ms"
        result.problems.append(f"max_latency_ms: the answer's latency {measured}, limit {turn.max_latency_ms:g} ms")


def _judge_words(words: Words | None, reply: Reply | None, result: TurnResult, what: str) -> None:
    if words and reply and (problem := words.problem(reply.text or reply.heard, what)):
        result.problems.append(problem)
