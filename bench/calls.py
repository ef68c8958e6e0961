"""How many calls one core holds, and how well: real sockets, real speech, simulated vendors.

    python bench/calls.py                    # the whole table, about five minutes
    python bench/calls.py --calls 1 --secs 20
    python bench/calls.py --carrier twilio   # by phone
    python bench/calls.py --server uvicorn   # the same application under another ASGI server

The server runs alone on one core; callers and vendors share another. "Own delay" is what a caller waits between the end
of their speech and the first sound, less the configured silence, the vendors' delays and the 38 ms by which Silero lets
go of speech late.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from array import array
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import anyio

sys.path.insert(0, str(Path(__file__).parent))

from stand import LOAD_CORE, TURN_STOP_SECS, Delays, Process, config, pin, served, vendors

from voxray.testing.call_account import Clip
from voxray.testing.caller import Caller, NoReplyError, NotConnectedError
from voxray.testing.carriers import make_wire, new_facts
from voxray.testing.phone import PhoneCaller
from voxray.testing.voices import speak

SILERO_LATE_SECS = 0.038
GAP_SECS = 0.12
LOUD = 1000  # a sample above this (-30 dBFS) is speech beyond doubt
BARGE_IN = "Hello, are you there"
SPEECH = "Hello, I would like to book a room for tomorrow night"
ANSWER = "Certainly, I can do that for you. Would you like breakfast as well?"
LONG_ANSWER = " ".join([ANSWER] * 4)


class Gaps(Caller):
    """Also notes gaps in the sound of a reply."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gaps: list[float] = []
        self.stopped_at: float | None = None  # when the latest interruption reached us

    def _hear(self, pcm: bytes) -> None:
        if self._current is not None and self._current.first_audio_at is not None:
            gap = self.now() - self._ear_until
            if gap > 0.04:
                self.gaps.append(gap)
        super()._hear(pcm)


class BrowserCaller(Gaps):
    """A caller at `/ws`."""

    def _on_frame(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "InterruptionFrame":
            self.stopped_at = self.now()
        super()._on_frame(kind, data)


class MeasuredPhone(Gaps, PhoneCaller):
    """A caller at a carrier's media socket."""

    def _drop_sound(self) -> None:
        self.stopped_at = self.now()
        super()._drop_sound()


def caller_for(address: str, carrier: str) -> Gaps:
    if carrier:
        return MeasuredPhone(address, make_wire(carrier, new_facts(carrier)))
    return BrowserCaller(address.replace("http", "ws") + "/ws")


@dataclass
class Figures:
    """What one level of load came to. Seconds, MiB, shares of one core."""

    calls: int
    delays: list[float] = field(default_factory=list)
    stops: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    failures: int = 0
    refused: int = 0
    late_caller_secs: float = 0.0
    cpu_per_call: float = 0.0
    load_core: float = 0.0  # of callers and vendors: above 0.9 the figures are theirs, not the server\'s
    rss_per_call_mib: float = 0.0

    def row(self) -> dict[str, Any]:
        return {
            "calls": self.calls,
            "turns": len(self.delays),
            "delay p50": quantile(self.delays, 0.5),
            "p95": quantile(self.delays, 0.95),
            "p99": quantile(self.delays, 0.99),
            "stop p50": quantile(self.stops, 0.5),
            "stop p95": quantile(self.stops, 0.95),
            "gaps>40": len(self.gaps),
            "longest gap": round(max(self.gaps, default=0.0) * 1000),
            "core %": round(self.cpu_per_call * self.calls * 100, 1),
            "% a call": round(self.cpu_per_call * 100, 2),
            "MiB a call": round(self.rss_per_call_mib, 2),
            "failed": self.failures,
            "load core %": round(self.load_core * 100),
            "caller late": round(self.late_caller_secs * 1000),
        }


def quantile(values: list[float], share: float) -> float | None:
    """In milliseconds."""
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 1)


def clips() -> tuple[Clip, Clip]:
    """What is asked and what interrupts, spoken by eSpeak, from the first loud frame to the last."""
    spoken = anyio.run(speak, [SPEECH, BARGE_IN])
    return _trimmed(spoken[SPEECH]), _trimmed(spoken[BARGE_IN])


def _trimmed(clip: Clip) -> Clip:
    first = next(number for number, frame in enumerate(clip.frames) if max(array("h", frame)) > LOUD)
    return Clip(clip.frames[first:])


@dataclass
class Load:
    """What is measured with: the server, its vendors, and how callers behave."""

    server: Process
    vendor: Process
    carrier: str  # "" for callers at /ws
    question: Clip
    interruption: Clip | None  # None: every answer is heard to its end
    known_secs: float  # of an answer's delay that is not the server's own
    secs: float  # length of each call

    async def hold(self, figures: Figures) -> None:
        """`figures.calls` callers, their first words spread over the first seconds."""
        spread = min(10.0, 0.1 * figures.calls) + 1.0
        async with anyio.create_task_group() as tasks:
            for number in range(figures.calls):
                tasks.start_soon(self._one, figures, number, spread * number / figures.calls)

    async def _one(self, figures: Figures, number: int, after_secs: float) -> None:
        await anyio.sleep(after_secs)
        try:
            async with caller_for(self.server.address, self.carrier) as caller:
                await self._converse(figures, caller, random.Random(number))
                figures.gaps += caller.gaps
                figures.late_caller_secs = max(figures.late_caller_secs, caller.late_secs)
        except (NoReplyError, NotConnectedError, OSError) as error:
            figures.failures += 1
            print(f"  call {number}: {error}", file=sys.stderr)

    async def _converse(self, figures: Figures, caller: Gaps, rng: random.Random) -> None:
        end = caller.now() + self.secs
        while caller.now() < end:
            await caller.silence(rng.uniform(0.3, 1.5))
            await caller.say(self.question)
            if self.interruption is not None:
                await caller.listen_for(rng.uniform(0.5, 2.0))
                caller.stopped_at = None
                await caller.say(self.interruption)
                if caller.stopped_at is not None:
                    figures.stops.append(caller.stopped_at - caller.said_from)
            reply = await caller.listen()
            if reply.latency_secs is not None:
                figures.delays.append(reply.latency_secs - self.known_secs)

    async def level(self, calls: int) -> Figures:
        """Hold `calls` calls and watch the server once all are there."""
        figures = Figures(calls)
        rss = self.server.rss_mib
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.hold, figures)
            settled = min(10.0, 0.1 * calls) + 3.0
            await anyio.sleep(settled)
            start, server, vendor, own = anyio.current_time(), self.server.cpu_secs, self.vendor.cpu_secs, os.times()
            await anyio.sleep(max(2.0, self.secs - settled))
            elapsed = anyio.current_time() - start
            figures.cpu_per_call = (self.server.cpu_secs - server) / elapsed / calls
            mine = sum(os.times()[:2]) - sum(own[:2])
            figures.load_core = (self.vendor.cpu_secs - vendor + mine) / elapsed
            figures.rss_per_call_mib = (self.server.rss_mib - rss) / calls
        return figures

    async def left_behind(self, count: int) -> dict[str, Any]:
        """What `count` short calls leave in the server."""

        async def one(limiter: anyio.CapacityLimiter) -> None:
            async with limiter, caller_for(self.server.address, self.carrier) as caller:
                await caller.say(self.question)
                await caller.answered(5.0)

        async def batch(number: int) -> None:
            limiter = anyio.CapacityLimiter(25)
            async with anyio.create_task_group() as tasks:
                for _ in range(number):
                    tasks.start_soon(one, limiter)
            await anyio.sleep(2.0)

        await batch(50)  # pools fill, code is warm
        before, cpu = snapshot(self.server), self.server.cpu_secs
        await batch(count)
        spent = (self.server.cpu_secs - cpu) / count
        return {
            "calls": count,
            "before": before,
            "after": snapshot(self.server),
            "cpu_ms_per_call": round(spent * 1000, 2),
        }


def snapshot(process: Process) -> dict[str, float]:
    return {
        "tasks": process.metric("event_loop_tasks"),
        "threads": process.threads,
        "descriptors": process.descriptors,
        "rss_mib": round(process.rss_mib, 1),
        "active_sessions": process.metric("active_sessions"),
    }


def show(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Voxray on one core (milliseconds)")
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console(width=180).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", default="1,10,50,100", help="levels of load, separated by commas")
    parser.add_argument("--secs", type=float, default=30.0, help="length of each call")
    parser.add_argument("--server", choices=["hypercorn", "uvicorn"], default="hypercorn")
    parser.add_argument("--carrier", default="", help="call through this simulated carrier, such as twilio")
    parser.add_argument("--no-barge-in", action="store_true", help="let every answer be heard")
    parser.add_argument(
        "--leaks", type=int, default=0, metavar="N", help="also make N short calls and see what is left"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()

    question, interruption = clips()
    delays = Delays(first_token_ms=50, first_audio_ms=50)
    rows: list[dict[str, Any]] = []
    report: dict[str, Any] = {"server": args.server, "carrier": args.carrier, "levels": []}
    settings = {"runner_transport": args.carrier} if args.carrier else {}
    pin(os.getpid(), LOAD_CORE)
    with (
        vendors(ANSWER if args.no_barge_in else LONG_ANSWER, delays, ms_per_char=30) as vendor,
        served(config(vendor.address, **settings), args.server) as process,
    ):
        report["start_secs"], report["idle_rss_mib"] = round(process.ready_secs, 2), round(process.rss_mib, 1)
        print(f"ready after {process.ready_secs:.2f} s, idle RSS {process.rss_mib:.0f} MiB", flush=True)
        known = TURN_STOP_SECS + delays.secs + SILERO_LATE_SECS
        barge_in = None if args.no_barge_in else interruption
        load = Load(process, vendor, args.carrier, question, barge_in, known, args.secs)
        for calls in map(int, args.calls.split(",")):
            figures = anyio.run(load.level, calls, backend_options={"use_uvloop": True})
            rows.append(figures.row())
            report["levels"].append(asdict(figures))
            print(json.dumps(figures.row()), flush=True)
        if args.leaks:
            report["left"] = anyio.run(load.left_behind, args.leaks)
            print(json.dumps(report["left"]), flush=True)
    show(rows)
    held = [row["calls"] for row in rows if good(row, rows[0])]
    print(f"held by one core: {max(held, default=0)} calls (of {[row['calls'] for row in rows]})")
    if args.json:
        args.json.write_text(json.dumps(report, indent=1))


def good(row: dict[str, Any], single: dict[str, Any]) -> bool:
    """p95 within 250 ms of one call, no gap above 120 ms, nothing failed."""
    return (
        row["p95"] is not None
        and row["p95"] <= (single["p95"] or 0) + 250
        and row["longest gap"] <= GAP_SECS * 1000
        and not row["failed"]
    )


if __name__ == "__main__":
    main()
