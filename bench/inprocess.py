"""What the engine itself costs, without sockets and vendors: one table, compared with the budget beside it.

    python bench/inprocess.py            # measure and compare with bench/budget.json
    python bench/inprocess.py --keep     # accept today's figures as the budget

Machines differ and are noisy, so every figure is a ratio to a yardstick measured in the same run: decoding one carrier
message (JSON and base64 of 20 ms of mu-law), the smallest useful thing any such server does per frame.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio

from voxray.audio.format import MULAW_8K, PCM_16K, AudioFormat
from voxray.events import Mark
from voxray.protocols.call import CallInfo
from voxray.session.services import Services, SessionOptions
from voxray.session.session import Session
from voxray.testing.fakes import FakeTransport, ScriptedLlm, ScriptedStt, ScriptedTts, quiet, services, speech

BUDGET = Path(__file__).with_name("budget.json")
ALLOWED_RISE = 1.2
ROUNDS = 7


def best(measure: Callable[[], float]) -> float:
    """The least of several rounds: what disturbs a measurement only ever adds to it."""
    return min(measure() for _ in range(ROUNDS))


def yardstick() -> float:
    payload = base64.b64encode(bytes(160)).decode()
    message = json.dumps({"event": "media", "streamSid": "MZ1", "media": {"track": "inbound", "payload": payload}})

    def once() -> float:
        begun = time.perf_counter()
        for _ in range(2000):
            base64.b64decode(json.loads(message)["media"]["payload"])
        return (time.perf_counter() - begun) / 2000

    return best(once)


def parts(vad: str) -> Services:
    if vad == "energy":
        from voxray.builtin.energy_vad import EnergyVad

        detector = EnergyVad(None, threshold=0.02)  # type: ignore[arg-type]
        return services(vad=detector, stt=ScriptedStt(), llm=ScriptedLlm(), tts=ScriptedTts())
    return services()


def session(audio: AudioFormat, vad: str = "energy") -> Session:
    caller = FakeTransport(audio_in=audio, audio_out=audio, silent_line=False)
    info = CallInfo(session_id="bench", transport="bench", started_at=0.0)
    return Session(caller, info, parts(vad), SessionOptions())


async def hearing(audio: AudioFormat, sound: Callable[[AudioFormat, float], bytes]) -> float:
    """Seconds for one frame of 20 ms from the transport to the recogniser's backlog, detector included."""
    frame = sound(audio, 0.02)
    call = session(audio)
    ear = call._hearing = call._conductor.hearing = call._ear()

    def once() -> float:
        begun = time.perf_counter()
        for _ in range(500):
            ear.feed(frame)
            if ear.congested:
                ear._backlog.drop()
        return (time.perf_counter() - begun) / 500

    return best(once)


async def speaking(audio: AudioFormat) -> float:
    """Seconds for one piece of 60 ms through the playout."""
    call = session(audio)
    piece = quiet(audio, 0.06)

    def once() -> float:
        playout = call._playout
        playout.lease(1)
        begun = time.perf_counter()
        for _ in range(150):
            playout.append(piece)
            item = playout.take(len(piece))
            assert not isinstance(item, Mark)
        spent = (time.perf_counter() - begun) / 150
        playout.clear()
        return spent

    return best(once)


async def opening() -> float:
    """Seconds of processor time to open a call and to end it again (it waits a frame in between)."""
    count = 50

    async def one() -> None:
        call = session(PCM_16K)
        call._transport.leave()  # type: ignore[attr-defined]
        await call.run()

    async def once() -> float:
        begun = time.process_time()
        async with anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(one)
        return (time.process_time() - begun) / count

    return min([await once() for _ in range(ROUNDS)])


FIGURES: dict[str, Callable[[], Awaitable[float]]] = {
    "hear 20 ms of silence, 16 kHz": lambda: hearing(PCM_16K, quiet),
    "hear 20 ms of speech, 16 kHz": lambda: hearing(PCM_16K, speech),
    "hear 20 ms of silence, mu-law": lambda: hearing(MULAW_8K, quiet),
    "hear 20 ms of speech, mu-law": lambda: hearing(MULAW_8K, speech),
    "play 60 ms, 16 kHz": lambda: speaking(PCM_16K),
    "open and close a call": opening,
}


async def measure() -> dict[str, tuple[float, float]]:
    """Microseconds and ratio of each figure."""
    unit = yardstick()
    rows = {"yardstick: one carrier message": (unit * 1e6, 1.0)}
    for name, figure in FIGURES.items():
        secs = await figure()
        rows[name] = (secs * 1e6, secs / unit)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="write today's ratios to budget.json")
    args = parser.parse_args()
    rows = anyio.run(measure)
    budget: dict[str, float] = json.loads(BUDGET.read_text()) if BUDGET.exists() else {}
    if args.keep:
        BUDGET.write_text(json.dumps({name: round(ratio, 2) for name, (_, ratio) in rows.items()}, indent=2) + "\n")
    worse = []
    print(f"{'':36}{'µs':>10}{'ratio':>9}{'budget':>9}")
    for name, (micros, ratio) in rows.items():
        allowed = budget.get(name, ratio)
        if ratio > allowed * ALLOWED_RISE and not args.keep:
            worse.append(name)
        print(f"{name:36}{micros:10.1f}{ratio:9.2f}{allowed:9.2f}{'  ← worse' if name in worse else ''}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
