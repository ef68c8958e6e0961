"""What `voxray call` prints: progress while it runs, a table of turns, a summary of many calls, or JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from voxray.testing.call_account import Reply
    from voxray.testing.conversation import CallResult, Progress, TurnResult

STAGES = {"waited": "wait", "stt": "stt", "llm_first_token": "llm", "tts_first_audio": "tts", "total": "server"}


@contextmanager
def progress_shown(count: int) -> Iterator[Progress]:
    """Show on a terminal what the calls are doing; on anything else, nothing."""
    from rich.console import Console
    from rich.progress import Progress as Bar, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda number, what: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Bar(*columns, console=console, transient=True) as shown:
        task = shown.add_task("calling")

        def update(number: int, what: str) -> None:
            shown.update(task, description=what if count == 1 else f"call {number} of {count}: {what}")

        yield update


def report(results: Sequence[CallResult], *, as_json: bool, url: str) -> None:
    """Print the results on stdout."""
    if as_json:
        click.echo(json.dumps({"url": url, **_summary(results), "calls": [r.as_json() for r in results]}, indent=2))
        return
    from rich.console import Console

    console = Console(highlight=False)
    if len(results) == 1:
        _print_call(console, results[0])
    else:
        _print_summary(console, results)


def _summary(results: Sequence[CallResult]) -> dict[str, object]:
    latencies = sorted(ms for result in results for turn in result.turns if (ms := _answer_ms(turn)) is not None)
    return {
        "ok": bool(results) and all(result.ok for result in results),
        "count": len(results),
        "held": sum(result.ok for result in results),
        "connected": sum(result.connected for result in results),
        "latency_ms": {
            "p50": round(statistics.median(latencies), 1),
            "p95": latencies[min(len(latencies) - 1, int(len(latencies) * 0.95))],
            "max": latencies[-1],
        }
        if latencies
        else None,
    }


def _latency_ms(reply: Reply | None) -> float | None:
    from voxray.testing.conversation import latency_ms

    return latency_ms(reply)


def _answer_ms(turn: TurnResult) -> float | None:
    return _latency_ms(turn.reply) if turn.number else None


def _print_call(console: Console, result: CallResult) -> None:
    from rich import box
    from rich.table import Table

    if result.turns:
        caption = "milliseconds; latency is measured here, the others by the server"
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=caption, caption_justify="left")
        table.add_column("turn")
        table.add_column("said", overflow="fold")
        table.add_column("answer", overflow="fold")
        for heading in ("latency", *STAGES.values()):
            table.add_column(heading, justify="right")
        for turn in result.turns:
            table.add_row(*_row(turn))
        console.print(table)
    for problem in _problems(result):
        console.print(f"✗ {problem}", style="red", markup=False)
    for failure in result.failures:
        console.print(f"! {failure}", style="yellow", markup=False)
    if result.late_ms > 100:
        console.print(
            f"! this caller was late by up to {result.late_ms:.0f} ms: its machine is overloaded", style="yellow"
        )
    if result.recording:
        console.print(f"recorded in {result.recording}", markup=False)
    if result.ok:
        console.print(f"✓ the script held, in {result.duration_secs:.1f} s", style="green")


def _row(turn: TurnResult) -> list[str]:
    from rich.markup import escape

    reply = turn.reply
    answer = (reply.heard if reply.interrupted else reply.text or reply.heard) if reply else ""
    if reply and reply.interrupted:
        answer += " […]"
    stages = reply.stages if reply else {}
    cells = [_ms(_latency_ms(reply))]
    cells += [_ms(stages[f"{name}_secs"] * 1000 if f"{name}_secs" in stages else None) for name in STAGES]
    said = turn.said if turn.action in ("say", "text") else f"({turn.action} {turn.said})" if turn.number else ""
    return [str(turn.number or ""), escape(said), escape(answer), *cells]


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def _problems(result: CallResult) -> list[str]:
    found = [
        f"turn {turn.number}: {problem}" if turn.number else f"greeting: {problem}"
        for turn in result.turns
        for problem in turn.problems
    ]
    return [*found, *result.problems]


def _print_summary(console: Console, results: Sequence[CallResult]) -> None:
    from rich.table import Table

    held = sum(result.ok for result in results)
    latencies = _summary(results)["latency_ms"]
    table = Table(show_header=False, box=None)
    table.add_row("calls", str(len(results)))
    table.add_row("connected", str(sum(result.connected for result in results)))
    table.add_row("held", str(held))
    if isinstance(latencies, dict):
        table.add_row("latency p50 / p95 / max", " / ".join(f"{value:.0f} ms" for value in latencies.values()))
    table.add_row("caller late by up to", f"{max(result.late_ms for result in results):.0f} ms")
    console.print(table)
    for result in [result for result in results if not result.ok][:20]:
        for problem in _problems(result)[:3]:
            console.print(f"✗ call {result.number}: {problem}", style="red", markup=False)
