"""A simulated carrier's REST API on loopback: where a server places, ends and hands on calls."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Protocol, Self, cast

import anyio

from voxray.testing.http_server import Exchange, FakeServer, Request
from voxray.testing.phone import PhoneCaller
from voxray.testing.phone_wire import CarrierRejectsError, PhoneWire, RestAnswer, RestWire, WireRequest


class _FullWire(PhoneWire, RestWire, Protocol):
    pass


class PhoneExchange:
    """Answers REST requests about one call while its block runs. Tell the server that `url` is the carrier's API.

    `answers` is what was answered so far, `rejected` what the real API would not have taken. A `caller` that is set is
    disconnected when the server ends its call; `busy_for` requests are answered 503 first.
    """

    def __init__(self, wire: PhoneWire, *, port: int = 0, busy_for: int = 0) -> None:
        if not hasattr(wire, "rest"):
            raise ValueError(f"the simulated {wire.name} has no REST API")
        self.wire = cast(_FullWire, wire)
        self.caller: PhoneCaller | None = None
        self.answers: list[RestAnswer] = []
        self.rejected: list[str] = []
        self._busy_for = busy_for
        self._server = FakeServer(self._handle, port=port)
        self._stack = AsyncExitStack()
        self._answered = anyio.Event()

    @property
    def url(self) -> str:
        return self._server.url

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._server)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)

    async def placed(self) -> RestAnswer:
        """Wait until the server places a call."""
        return await self._first(lambda answer: bool(answer.answer_url or answer.stream))

    async def ended(self) -> RestAnswer:
        """Wait until the server ends the call or hands it on."""
        return await self._first(lambda answer: answer.ended)

    async def _first(self, wanted: Callable[[RestAnswer], bool]) -> RestAnswer:
        while True:
            found = next((answer for answer in self.answers if wanted(answer)), None)
            if found is not None:
                return found
            await self._answered.wait()

    async def _handle(self, exchange: Exchange) -> None:
        if self._busy_for:
            self._busy_for -= 1
            exchange.json(503, {"message": "try again"})
            return
        try:
            answer = self.wire.rest(_wire_request(exchange.request))
        except CarrierRejectsError as error:
            self.rejected.append(str(error))
            exchange.json(400, {"message": str(error)})
            return
        if answer.body is None:
            exchange.respond(answer.status, b"", "application/json")
        else:
            exchange.json(answer.status, answer.body)
        self.answers.append(answer)
        self._answered.set()
        self._answered = anyio.Event()
        if answer.ended and self.caller is not None:
            await self.caller.end("transferred" if answer.transferred_to else "agent hung up")


def _wire_request(request: Request) -> WireRequest:
    return WireRequest(method=request.method, url=request.path, headers=request.headers, body=request.body)
