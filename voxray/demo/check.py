"""`voxray demo --check`: a synthetic caller speaks the demo's dialogues, and counts what was understood."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import yaml

from voxray.config.settings import Settings
from voxray.demo.agent import FOLDER
from voxray.demo.local import LocalServer
from voxray.registry import Registry
from voxray.testing.conversation import CallResult, Clips, converse
from voxray.testing.script import Script, parse_script
from voxray.testing.voices import clips_of

VOICE = "en-us+f5"  # of the caller; the recogniser was made for people and understands other voices of espeak less well
GOAL = 0.95  # of the turns
AT_ONCE = 5 * (os.cpu_count() or 1)  # calls; each takes a few percent of a core

Progress = Callable[[str, int, int], None]
"""Told the name of a dialogue, how many turns it has, and how many of them are over; -1: the dialogue is."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One dialogue and what came of it."""

    script: Script
    result: CallResult

    @property
    def turns(self) -> int:
        return len(self.script.turns)

    @property
    def understood(self) -> int:
        """Turns that were answered as they should be; turns that the call did not reach are not."""
        return sum(1 for turn in self.result.turns if turn.number and not turn.problems)


@dataclass(frozen=True, slots=True)
class Checked:
    dialogues: Sequence[Dialogue]

    @property
    def turns(self) -> int:
        return sum(each.turns for each in self.dialogues)

    @property
    def understood(self) -> int:
        return sum(each.understood for each in self.dialogues)

    @property
    def share(self) -> float:
        return self.understood / self.turns if self.turns else 0.0

    def as_json(self) -> dict[str, Any]:
        rows = [
            {
                "name": each.script.name,
                "turns": each.turns,
                "understood": each.understood,
                "ok": each.result.ok,
                "call": each.result.as_json(),
            }
            for each in self.dialogues
        ]
        return {"turns": self.turns, "understood": self.understood, "share": round(self.share, 4), "dialogues": rows}


def dialogues(wanted: Sequence[str] = ()) -> list[Script]:
    """The demo's dialogues, or those whose name holds one of `wanted`. Blocks."""
    path = FOLDER / "dialogues.yaml"
    documents = yaml.safe_load(path.read_text(encoding="utf-8"))
    scripts = [parse_script(yaml.safe_dump(document), where=str(path), folder=FOLDER) for document in documents]
    return [script for script in scripts if not wanted or any(name.lower() in script.name.lower() for name in wanted)]


async def check(
    settings: Settings,
    registry: Registry,
    scripts: Sequence[Script],
    *,
    progress: Progress = lambda name, turns, done: None,
    at_once: int = AT_ONCE,
) -> Checked:
    """Hold the dialogues with a server of our own, `at_once` at a time. Raises VoxrayError."""
    results: dict[int, CallResult] = {}
    limiter = anyio.CapacityLimiter(at_once)

    async def hold(number: int, script: Script, clips: Clips) -> None:
        async with limiter:
            results[number] = await _hold(url, number, script, clips, progress)

    async with LocalServer(settings, registry) as url:
        spoken = [(script, await clips_of(script, tts="espeak", voice=VOICE)) for script in scripts]
        async with anyio.create_task_group() as tasks:
            for number, (script, clips) in enumerate(spoken, 1):
                tasks.start_soon(hold, number, script, clips)
    return Checked([Dialogue(script, results[number]) for number, script in enumerate(scripts, 1)])


async def _hold(url: str, number: int, script: Script, clips: Clips, progress: Progress) -> CallResult:
    turns, done = len(script.turns), -1

    def step(_: int, what: str) -> None:
        nonlocal done
        if what.startswith("turn ") and not what.endswith("listening"):
            done += 1
            progress(script.name, turns, done)

    progress(script.name, turns, 0)
    result = await converse(url, script, clips, number=number, progress=step)
    progress(script.name, turns, -1)
    return result
