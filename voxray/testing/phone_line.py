"""Makes phone calls by script: which carrier is simulated, who calls whom, or waits for the server to call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import anyio

from voxray.testing.carriers import make_wire, new_facts
from voxray.testing.phone import CALLER_HUNG_UP, PhoneCaller
from voxray.testing.phone_rest import PhoneExchange
from voxray.testing.script import Script, Turn

HANG_UP_SECS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneLine:
    """`secret` signs what the carrier sends, "" leaves it unsigned. `caller` and `callee` are numbers, "" for made-up
    ones. With `dial_port` the server is expected to place the call, through an API at that port of this machine."""

    carrier: str
    secret: str = ""
    public_url: str = ""
    caller: str = ""
    callee: str = ""
    account_id: str = ""
    dial_port: int | None = None

    async def call(
        self, stack: AsyncExitStack, url: str, *, record: bool, progress: Callable[[str], None] = lambda what: None
    ) -> PhoneCaller:
        """Be connected until `stack` is left.

        Raises:
            NotConnectedError: the server did not take the call.
            ValueError: the carrier cannot be simulated, or not be dialled through.
        """
        facts = new_facts(self.carrier, caller=self.caller, callee=self.callee, account_id=self.account_id)
        wire = make_wire(self.carrier, facts, secret=self.secret)
        if self.dial_port is None:
            caller = PhoneCaller(url, wire, public_url=self.public_url, record=record)
            return await stack.enter_async_context(caller)
        exchange = await stack.enter_async_context(PhoneExchange(wire, port=self.dial_port))
        progress(f"waiting for the server to place a call at {exchange.url}")
        placed = await exchange.placed()
        answer_url = placed.answer_url or (placed.stream.url if placed.stream else "")
        public_url = self.public_url or (answer_url if _origin(answer_url) != _origin(url) else "")
        webhook = urlunsplit(urlsplit(placed.answer_url)._replace(**_origin(url))) if placed.answer_url else url
        caller = PhoneCaller(webhook, wire, public_url=public_url, stream=placed.stream, record=record)
        exchange.caller = caller
        stack.push_async_callback(_hear_hang_up, exchange, caller)
        caller.rejected = exchange.rejected
        return await stack.enter_async_context(caller)


async def _hear_hang_up(exchange: PhoneExchange, caller: PhoneCaller) -> None:
    """A server that ended the call tells the carrier after closing the socket: be there."""
    if caller.ended and caller.ended.reason != CALLER_HUNG_UP:
        with anyio.move_on_after(HANG_UP_SECS):
            await exchange.ended()


def _origin(url: str) -> dict[str, str]:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    return {"scheme": parts.scheme, "netloc": parts.netloc}


def unknowable(script: Script) -> list[str]:
    """What a script asks for that nobody knows on a phone: there are no words there, only sound."""
    found = []
    if script.expect_greeting is not None:
        found.append("expect_greeting")
    if script.expect_tools:
        found.append("expect_tools")
    for number, turn in enumerate(script.turns):
        found += [f"turns[{number}].{name}" for name in _unknowable(turn)]
    return found


def _unknowable(turn: Turn) -> Iterator[str]:
    if turn.action == "text":
        yield "text"
    for name in ("expect", "expect_heard", "expect_understood"):
        if getattr(turn, name) is not None:
            yield name
    if turn.expect_tools:
        yield "expect_tool"
