"""What may go wrong at a simulated vendor, and when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import anyio

if TYPE_CHECKING:
    from voxray.testing.http_server import Exchange

FaultKind = Literal[
    "status", "nothing", "slow", "stall", "reset", "half", "malformed", "error", "odd", "wav", "empty", "half_open"
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong with a request whose path ends with `path`.

    It strikes the `nth` such request (from 1) and the `times` - 1 after it; `times` 0: all of them. Kinds:

    * "status": answer `status` with an error body of `code` and `message`, and `retry-after` if `retry_after` is set;
      on a socket the handshake is refused
    * "nothing": read the request, never answer. "half_open": the same, and notice nothing of the client any more
    * "slow": wait `secs` before answering as usual
    * "stall", "reset", "half": after `after` pieces of the answer send nothing more; reset the connection; close it in
      the middle of a piece. On a socket the pieces are messages, and "half" closes with code 1011
    * "malformed": after `after` pieces one event that is not JSON
    * "error": after `after` pieces an error of `code` and `message` inside the stream
    * "odd": audio in pieces of an odd number of bytes. "wav": a WAV file where raw samples are due
    * "empty": a good answer with nothing in it
    """

    kind: FaultKind = "status"
    path: str = ""
    nth: int = 1
    times: int = 1
    status: int = 500
    retry_after: float | None = None
    code: str = ""
    message: str = "simulated fault"
    after: int = 1
    secs: float = 1.0


class FaultScript:
    """Hands each request its fault. The first fault of the list that fits counts."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        self.faults = list(faults)
        self._seen: Counter[int] = Counter()

    def take(self, path: str) -> Fault | None:
        struck: Fault | None = None
        for index, fault in enumerate(self.faults):
            if not path.endswith(fault.path):
                continue
            self._seen[index] += 1
            late = self._seen[index] - fault.nth
            if struck is None and late >= 0 and (fault.times == 0 or late < fault.times):
                struck = fault
        return struck


class Pieces:
    """The body of an answer, sent piece by piece until its fault strikes.

    `error` and `malformed` are what the faults of these kinds send.
    """

    def __init__(
        self,
        exchange: Exchange,
        fault: Fault | None = None,
        *,
        error: bytes = b"",
        malformed: bytes = b"data: {this is not json\n\n",
    ) -> None:
        self._exchange = exchange
        self._fault = fault if fault is not None and fault.kind in _IN_BODY else None
        self._error = error
        self._malformed = malformed
        self._sent = 0

    async def send(self, data: bytes, delay_secs: float = 0.0) -> None:
        if self._fault is not None and self._sent >= self._fault.after:
            await self._strike(self._fault, data)
        self._sent += 1
        await self._exchange.chunk(data, delay_secs)

    async def end(self) -> None:
        if self._fault is not None:
            await self._strike(self._fault, b"x")
        self._exchange.end()

    async def _strike(self, fault: Fault, data: bytes) -> None:
        self._fault = None
        match fault.kind:
            case "stall":
                await self._exchange.stall()
            case "reset":
                # What was written must have left before the reset overtakes it.
                await anyio.sleep(0.01)
                await self._exchange.abort()
            case "half":
                await self._exchange.fin_midchunk(data[: max(1, len(data) // 2)])
            case "malformed":
                self._exchange.write(self._malformed)
            case _:
                self._exchange.write(self._error)


_IN_BODY = ("stall", "reset", "half", "malformed", "error")


async def strike_first(exchange: Exchange, fault: Fault | None, error_body: object) -> bool:
    """Apply a fault that comes before any answer. True if the request has been answered by it."""
    if fault is None:
        return False
    match fault.kind:
        case "status":
            headers = {} if fault.retry_after is None else {"retry-after": f"{fault.retry_after:g}"}
            exchange.json(fault.status, error_body, headers)
            return True
        case "nothing":
            await exchange.stall()
        case "half_open":
            await exchange.half_open()
        case "slow":
            await anyio.sleep(fault.secs)
    return False


async def spoil(exchange: Exchange, fault: Fault) -> bool:
    """Apply a fault of answers that are one JSON object. True if the request has been answered by it."""
    match fault.kind:
        case "malformed":
            exchange.respond(200, b"{this is not json", "application/json")
        case "empty":
            exchange.json(200, {})
        case "reset":
            await exchange.abort()
        case "half":
            await exchange.fin_midchunk(b'{"half')
        case "stall":
            exchange.head(200)
            exchange.write(b'{"stalled')
            await exchange.stall()
        case _:
            return False
    return True
