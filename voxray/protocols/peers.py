"""WebRTC without HTTP: offers in, answers out. The server owns the routes, sessions, keys and admission."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from voxray.protocols.transport import PendingTransport


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A peer's wish to connect, as raw SDP.

    `pc_id` names a connection to go on with, "" asks for a new one. `restart` replaces that connection by a new one for
    the same call; without it the offer changes it (renegotiation). `owner` is whom a connection belongs to, the id of
    its session: the connections of others are unknown.
    """

    sdp: str = field(repr=False)
    pc_id: str = ""
    restart: bool = False
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One ICE candidate of a peer, as browsers name its parts. An empty `candidate` says that there are no more."""

    candidate: str
    sdp_mid: str | None = None
    sdp_mline_index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The answer to an offer. `transport` is that of a new connection, to be answered with a call; None where the offer
    went on with an old one, whose call simply continues."""

    sdp: str = field(repr=False)
    pc_id: str
    transport: PendingTransport | None = None


class Peers(Protocol):
    """Made once at server start as `factory(context, **options)` with a `ListenerContext`; an async context manager
    whose end closes every connection."""

    def knows(self, pc_id: str, owner: str) -> bool:
        """Whether there is such a connection of this owner."""

    async def accept(self, offer: Offer) -> Accepted:
        """Answer an offer, with all of our own candidates inside. An unknown `pc_id` asks for a new connection.

        Raises:
            ValueError: the offer cannot be used; the text says why and is safe to send.
            ProviderUnavailable: no connection can be made now.
        """

    async def add_candidates(self, pc_id: str, owner: str, candidates: Sequence[Candidate]) -> bool:
        """Take a peer's candidates; odd ones are skipped. False: there is no such connection."""
