"""Offers in, answers out: the connections of this process and their calls."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType

import anyio

from voxray.errors import ProviderRefused, ProviderUnavailable
from voxray.protocols.context import ListenerContext
from voxray.protocols.peers import Accepted, Candidate, Offer
from voxray_webrtc.connection import CLOSE_SECS, Connection, Network, check_library
from voxray_webrtc.limits import Limits
from voxray_webrtc.sdp import PeerDescription, parse_offer
from voxray_webrtc.transport import WebRtcTransport

REPORT_CHECKS = 2  # a report about the sound every so many


class WebRtcPeers:
    """A `voxray.protocols.peers.Peers`. Enter it before use; leaving it closes every connection."""

    def __init__(
        self,
        context: ListenerContext,
        *,
        bit_rate: int = 32_000,
        grace_secs: float = 15.0,
        addresses: Sequence[str] = (),
        limits: Limits | None = None,
    ) -> None:
        check_library(context.name)
        self._context = context
        self._bit_rate = bit_rate
        self._limits = replace(limits or Limits(), grace_secs=grace_secs)
        try:
            self._network = Network(context.ice_servers, addresses, self._limits)
        except ValueError as error:
            raise ProviderRefused(context.name, f"webrtc_ice_servers: {error}") from error
        self._transports: dict[str, tuple[str, WebRtcTransport]] = {}  # pc_id → owner, transport
        self._gathering = 0
        self._tasks = anyio.create_task_group()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> WebRtcPeers:
        await self._stack.enter_async_context(self._tasks)
        self._tasks.start_soon(self._watch)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.move_on_after(CLOSE_SECS, shield=True):
            async with anyio.create_task_group() as closing:
                for _, transport in list(self._transports.values()):
                    closing.start_soon(transport.close, "", "")
        self._tasks.cancel_scope.cancel()
        await self._stack.__aexit__(kind, error, trace)

    # ── Peers ──

    def knows(self, pc_id: str, owner: str) -> bool:
        return self._find(pc_id, owner) is not None

    async def accept(self, offer: Offer) -> Accepted:
        described = parse_offer(offer.sdp)
        transport = self._find(offer.pc_id, offer.owner)
        if transport is not None and not offer.restart:
            return Accepted(sdp=await transport.renegotiate(described), pc_id=offer.pc_id)
        connection = await self._connection(described)
        if transport is not None and self._find(offer.pc_id, offer.owner) is transport:
            transport.replace(connection)
            return Accepted(sdp=connection.answer(), pc_id=offer.pc_id)
        pc_id = str(uuid.uuid4())
        transport = WebRtcTransport(self, self._context, connection, bit_rate=self._bit_rate, limits=self._limits)
        self._transports[pc_id] = (offer.owner, transport)
        return Accepted(sdp=connection.answer(), pc_id=pc_id, transport=transport)

    async def add_candidates(self, pc_id: str, owner: str, candidates: Sequence[Candidate]) -> bool:
        transport = self._find(pc_id, owner)
        if transport is None:
            return False
        for candidate in candidates:
            await transport.connection.add_candidate(candidate.candidate)
        return True

    def _find(self, pc_id: str, owner: str) -> WebRtcTransport | None:
        found = self._transports.get(pc_id)
        return found[1] if found is not None and found[0] == owner else None

    async def _connection(self, described: PeerDescription) -> Connection:
        """A connection that is to be brought up. Raises ProviderUnavailable."""
        unsettled = sum(not transport.settled for _, transport in self._transports.values())
        if unsettled + self._gathering >= self._limits.unfinished:
            raise ProviderUnavailable(self._context.name, "too many connections are being made")
        self._gathering += 1
        try:
            return Connection(await self._network.gather(), self._network, described)
        except OSError as error:
            raise ProviderUnavailable(self._context.name, "there is no address or no socket to be had") from error
        finally:
            self._gathering -= 1

    # ── of transports ──

    def retire(self, connection: Connection, goodbye: bytes) -> None:
        self._tasks.start_soon(connection.close, goodbye)

    def forget(self, transport: WebRtcTransport) -> None:
        for pc_id, (_, known) in list(self._transports.items()):
            if known is transport:
                del self._transports[pc_id]

    async def _watch(self) -> None:
        """One clock for all connections."""
        checks = 0
        while True:
            await anyio.sleep(self._limits.check_secs)
            checks += 1
            await self._check(reports=checks % REPORT_CHECKS == 0)

    async def _check(self, *, reports: bool) -> None:
        for _, transport in list(self._transports.values()):
            transport.check()
            if transport.abandoned:
                await transport.close("", "")
            elif reports:
                await transport.report()
