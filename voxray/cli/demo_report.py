"""What `voxray demo --check` prints: progress, a table of dialogues, the share that was understood, or JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from voxray.demo import check
from voxray.demo.check import Checked, Dialogue
from voxray.testing.conversation import latency_ms


@contextmanager
def progress_shown(count: int, *, quiet: bool) -> Iterator[check.Progress]:
    """Show how far the dialogues are: bars on a terminal; elsewhere a line for each that is over, unless `quiet`."""
    console = Console(stderr=True, highlight=False)
    start = time.monotonic()
    if not console.is_terminal:

        def say(name: str, turns: int, done: int) -> None:
            if done < 0 and not quiet:
                click.echo(f"{time.monotonic() - start:6.1f} s  {name}", err=True)

        yield say
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(20), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as shown:
        whole = shown.add_task("dialogues", total=count)
        tasks = {}

        def update(name: str, turns: int, done: int) -> None:
            if name not in tasks:
                tasks[name] = shown.add_task(name, total=turns)
            if done < 0:
                shown.update(tasks[name], visible=False)
                shown.advance(whole)
            else:
                shown.update(tasks[name], completed=done)

        yield update


def report(results: Checked, *, as_json: bool) -> None:
    """Print the results on stdout."""
    if as_json:
        click.echo(json.dumps(results.as_json(), indent=2))
        return
    console = Console(highlight=False)
    console.print(_table(results))
    for each in results.dialogues:
        for problem in _problems(each):
            console.print(f"✗ {each.script.name}: {problem}", style="red", markup=False)
    console.print(f"turns understood: {results.understood} of {results.turns} ({results.share * 100:.1f} %)")


def _table(results: Checked) -> Table:
    table = Table()
    table.add_column("dialogue")
    for heading in ("turns", "understood", "answer after"):
        table.add_column(heading, justify="right")
    for each in results.dialogues:
        style = "" if each.understood == each.turns else "yellow"
        table.add_row(each.script.name, str(each.turns), str(each.understood), _latency(each), style=style)
    return table


def _latency(each: Dialogue) -> str:
    """The median, pause included."""
    found = sorted(ms for turn in each.result.turns if turn.number and (ms := latency_ms(turn.reply)) is not None)
    return f"{found[len(found) // 2]:.0f} ms" if found else ""


def _problems(each: Dialogue) -> list[str]:
    found = [
        f'turn {turn.number}, "{turn.said}", understood as "{turn.understood}": {problem}'
        for turn in each.result.turns
        for problem in turn.problems
    ]
    return [*found, *each.result.problems, *each.result.failures]
