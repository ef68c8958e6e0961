"""One connection with a peer, on aiortc's ICE, DTLS and SCTP. The only module that knows them.

Below RTCPeerConnection on purpose (docs/adr): its receivers hold sound back for 80 ms and cost a thread each, its
senders code in stereo. What is used of internals is checked when the server starts, see `check_library`.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import logging
import random
import re
import uuid
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import aioice
import aiortc
import anyio
import pylibsrtp
from aioice.stun import TransactionError
from aiortc import (
    InvalidStateError,
    RTCCertificate,
    RTCDataChannel,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    RTCIceCandidate,
    RTCIceGatherer,
    RTCIceParameters,
    RTCIceServer,
    RTCIceTransport,
    RTCSctpCapabilities,
    RTCSctpTransport,
)
from OpenSSL import SSL

from voxray.errors import ProviderRefused
from voxray_webrtc.limits import Limits
from voxray_webrtc.sdp import MAX_CANDIDATES, OurSide, PeerDescription, write_answer

logger = logging.getLogger(__name__)

CLOSE_SECS = 2.0  # for telling the peer; sockets close in any case
MESSAGE_BYTES = 1024 * 1024  # in; what a peer may send us in one message
CHANNELS = 16  # of one peer
WAITING_DATAGRAMS = 256  # of DTLS, until they are read; anybody who knows the port may send some
CANDIDATE = re.compile(
    r"(?:a=)?(?:candidate:)?(?P<foundation>[A-Za-z0-9+/]{1,32}) 1 udp (?P<priority>\d{1,10}) "
    r"(?P<host>[0-9A-Fa-f.:]{2,45}) (?P<port>\d{1,5}) typ (?P<kind>host|srflx|relay|prflx)(?: .*)?",
    re.IGNORECASE | re.ASCII,
)
INTERNALS = {  # that we call or replace
    RTCDtlsTransport: ("_send_rtp", "_set_role"),
    aioice.Connection: ("data_received", "get_component_candidates", "request_received"),
}


class Channel:
    """An open data channel. `protocol` is what its other side called it."""

    def __init__(self, channel: RTCDataChannel) -> None:
        self._channel = channel
        self.label: str = channel.label
        self.protocol: str = channel.protocol

    @property
    def open(self) -> bool:
        return bool(self._channel.readyState == "open")

    @property
    def buffered(self) -> int:
        """Bytes that the peer has not yet taken."""
        return int(self._channel.bufferedAmount)

    def send(self, text: str) -> bool:
        """Queue a message. False: the channel is closed, or the peer takes no message of this size."""
        try:
            self._channel.send(text)
        except (InvalidStateError, ValueError):
            return False
        return True


class Listening(Protocol):
    """Who owns a connection. Everything is called on the loop, and must be quick."""

    def on_sound(self, connection: Connection, data: bytes) -> None:
        """A decrypted RTP packet."""

    def on_report(self, connection: Connection, data: bytes) -> None:
        """A decrypted RTCP packet."""

    def on_channel(self, connection: Connection, channel: Channel) -> None: ...

    def on_message(self, connection: Connection, channel: Channel, message: str | bytes) -> None: ...

    def on_closed(self, connection: Connection, *, goodbye: bool) -> None:
        """The peer closed the connection, with a goodbye, or it broke. Not called for our own `close`."""


class Network:
    """What all connections of a process share: the certificate, the ICE servers, the local addresses."""

    def __init__(self, servers: Sequence[Mapping[str, Any]], addresses: Sequence[str], limits: Limits) -> None:
        """`servers` as browsers take them. `addresses`: offer only these of the machine; none: all.

        Raises:
            ValueError: an address of a server is malformed.
        """
        self.certificate = RTCCertificate.generateCertificate()
        self.addresses = list(addresses)
        self._servers = [
            RTCIceServer(
                urls=list(server["urls"]), username=server.get("username"), credential=server.get("credential")
            )
            for server in servers
        ]
        self._limits = limits
        self._silent_until = 0.0  # the STUN server
        RTCIceGatherer(iceServers=self._servers)

    async def gather(self) -> RTCIceGatherer:
        """A gatherer with our candidates. Raises OSError: there is no address to be reached at."""
        gatherer = RTCIceGatherer(iceServers=self._servers)
        ice: Any = gatherer._connection
        asked = ice.stun_server is not None
        if asked and anyio.current_time() < self._silent_until:
            ice.stun_server, asked = None, False
        ice.get_component_candidates = functools.partial(self._candidates, ice.get_component_candidates)
        await gatherer.gather()
        kinds = {candidate.type for candidate in gatherer.getLocalCandidates()}
        if not kinds:
            raise OSError("no local address can be used")
        if asked and "srflx" not in kinds:
            self._silent_until = anyio.current_time() + self._limits.stun_again_secs
            logger.warning("the STUN server did not tell our address", extra={"server": ice.stun_server[0]})
        return gatherer

    async def _candidates(self, original: Any, *, component: int, addresses: list[str]) -> Any:
        # aioice leaves out loopback, which is all there is on a machine without a network.
        addresses = self.addresses or addresses or ["127.0.0.1"]
        return await original(component=component, addresses=addresses, timeout=self._limits.stun_secs)


class Connection:
    """Made for an offer; `connect` brings it up, `close` must be called in any case."""

    def __init__(self, gatherer: RTCIceGatherer, network: Network, offer: PeerDescription) -> None:
        self.offer = offer
        self.listening: Listening  # set by its owner before anything else
        self.connected = False
        self.closed = False
        self.forged = 0  # packets that were not encrypted with the peer's key, or came twice
        self.ssrc = random.getrandbits(32)
        self.cname = uuid.uuid4().hex
        self._number = random.getrandbits(62)
        self._answers = 0
        self._candidates = 0
        self._channels = 0
        self._gatherer = gatherer
        self._certificate = network.certificate
        self._ice = RTCIceTransport(gatherer)
        self._ice._connection.ice_controlling = offer.ice_lite
        self._dtls = RTCDtlsTransport(self._ice, [network.certificate])
        self._dtls._set_role("client" if offer.setup == "active" else "server")
        self._sctp: RTCSctpTransport | None = None
        self._dtls.on("statechange", self._changed)
        self._ice.on("statechange", self._changed)
        self.now = asyncio.get_running_loop().time  # cheaper than anyio's, which looks for the loop each time
        self._heard_at = self.now()
        ice: Any = self._ice._connection
        ice.request_received = functools.partial(self._checked, ice.request_received)
        ice.data_received = functools.partial(self._datagram, ice.data_received)

    # ── coming up ──

    def answer(self) -> str:
        """The SDP of our answer to the current offer."""
        parameters = self._gatherer.getLocalParameters()
        self._answers += 1
        return write_answer(
            self.offer,
            OurSide(
                ice_name=str(parameters.usernameFragment),
                ice_password=str(parameters.password),
                fingerprints=[(it.algorithm, it.value) for it in self._certificate.getFingerprints()],
                candidates=[_written(candidate) for candidate in self._gatherer.getLocalCandidates()],
                ssrc=self.ssrc,
                cname=self.cname,
                message_bytes=MESSAGE_BYTES,
                session=self._number,
                version=self._answers,
            ),
        )

    async def add_candidate(self, text: str) -> None:
        """Take a candidate of the peer; one that cannot be used is skipped.

        That there are no more ("") is not passed on: aioice would give up, while a browser whose addresses we were not
        told may still reach us.
        """
        candidate = parse_candidate(text)
        if candidate is not None and self._candidates < MAX_CANDIDATES and not self.closed:
            self._candidates += 1
            await self._ice.addRemoteCandidate(candidate)

    async def connect(self, secs: float) -> bool:
        """Bring the connection up within `secs`; False: it cannot be."""
        offer = self.offer
        with anyio.move_on_after(secs):
            for text in offer.candidates:
                await self.add_candidate(text)
            await self._ice.start(
                RTCIceParameters(usernameFragment=offer.ice_name, password=offer.ice_password, iceLite=offer.ice_lite)
            )
            if self._ice.state != "completed":
                return False
            fingerprints = [RTCDtlsFingerprint(algorithm, value) for algorithm, value in offer.fingerprints]
            await self._dtls.start(RTCDtlsParameters(fingerprints=fingerprints))
            if self._dtls.state != "connected":
                return False
            self.connected = True
            self._heard_at = self.now()
            await self.start_messages()
        return self.connected

    async def start_messages(self) -> None:
        """Open the way for data channels, if the offer has it and it is not open yet."""
        offer = self.offer
        if offer.sctp_port is None or self._sctp is not None or not self.connected:
            return
        self._sctp = RTCSctpTransport(self._dtls)
        self._sctp._advertised_rwnd = 2 * MESSAGE_BYTES
        self._sctp.on("datachannel", self._channel_opened)
        await self._sctp.start(RTCSctpCapabilities(maxMessageSize=offer.message_bytes), offer.sctp_port)

    async def renegotiate(self, offer: PeerDescription) -> str:
        """The answer to another offer over the same transport.

        Raises:
            ValueError: the offer is about another transport.
        """
        if self.closed:
            raise ValueError("the connection is closed: offer a new one")
        before = self.offer
        if (offer.ice_name, offer.ice_password) != (before.ice_name, before.ice_password):
            raise ValueError("ICE cannot be restarted: offer a new connection with restart_pc")
        if offer.fingerprints != before.fingerprints:
            raise ValueError("the fingerprint of a connection cannot change")
        self.offer = replace(offer, setup=before.setup)
        await self.start_messages()
        return self.answer()

    # ── while it is up ──

    async def send(self, packet: bytes) -> None:
        """Send an RTP or RTCP packet; lost without notice if the connection is not up."""
        if self.connected and not self.closed:
            try:
                await self._dtls._send_rtp(packet)
            except (OSError, pylibsrtp.Error, TransactionError):
                self._gone()

    def heard_secs_ago(self) -> float:
        """How long nothing at all has come from the peer, not even a sign of life."""
        return self.now() - self._heard_at

    @property
    def overfed(self) -> bool:
        """The peer sends more than we said we take."""
        return (self._sctp is not None and self._sctp._advertised_rwnd < -MESSAGE_BYTES) or self._channels > CHANNELS

    def _checked(self, original: Any, *args: Any) -> None:
        self._heard_at = self.now()
        original(*args)

    def _datagram(self, original: Any, data: bytes, component: int) -> None:
        """Take sound and reports at once; aiortc's way, over a queue and a task, costs twice as much.

        The first byte tells what is what (RFC 7983). An empty datagram, from whomever, would end aiortc's task.
        """
        self._heard_at = self.now()
        first = data[0] if len(data) > 1 else 0
        if 19 < first < 64 and self._ice._connection._queue.qsize() < WAITING_DATAGRAMS:
            original(data, component)
        if not self.connected or not 127 < first < 192:
            return
        try:
            if 192 <= data[1] <= 208:
                self.listening.on_report(self, self._dtls._rx_srtp.unprotect_rtcp(data))
            else:
                self.listening.on_sound(self, self._dtls._rx_srtp.unprotect(data))
        except pylibsrtp.Error:
            self.forged += 1

    def _channel_opened(self, channel: RTCDataChannel) -> None:
        self._channels += 1
        if self._channels > CHANNELS:
            return
        opened = Channel(channel)
        channel.on("message", lambda message: self.listening.on_message(self, opened, message))
        self.listening.on_channel(self, opened)

    def _changed(self) -> None:
        if self._dtls.state in ("closed", "failed") or self._ice.state in ("closed", "failed"):
            self._gone()

    def _gone(self) -> None:
        if self.connected and not self.closed:
            self.connected = False
            self.listening.on_closed(self, goodbye=not self._ice._connection._closing)

    # ── the end ──

    async def close(self, goodbye: bytes = b"") -> None:
        """Say goodbye, with this RTCP packet first, and let go of everything. Bounded in time; never raises."""
        if self.closed:
            return
        with anyio.move_on_after(CLOSE_SECS, shield=True):
            if goodbye:
                await self.send(goodbye)
            self.closed = True
            self.connected = False
            await _quietly(self._say_goodbye())
        with anyio.move_on_after(CLOSE_SECS, shield=True):
            await _quietly(self._ice.stop())
        self._dtls.remove_all_listeners()

    async def _say_goodbye(self) -> None:
        if self._sctp is not None:
            await self._sctp.stop()
        await self._dtls.stop()


async def _quietly(ending: Awaitable[None]) -> None:
    """What is broken already cannot be told goodbye."""
    try:
        await ending
    except (OSError, InvalidStateError, SSL.Error, TransactionError):
        logger.debug("a connection was broken when it was closed", exc_info=True)


def check_library(name: str) -> None:
    """Raises ProviderRefused: the aiortc that is installed is not one that this module knows."""
    missing = [
        f"{owner.__name__}.{attribute}"
        for owner, attributes in INTERNALS.items()
        for attribute in attributes
        if not callable(getattr(owner, attribute, None))
    ]
    if missing:
        raise ProviderRefused(name, f"aiortc {aiortc.__version__} has no {', '.join(missing)}; install aiortc 1.16")


def parse_candidate(text: str) -> RTCIceCandidate | None:
    """A peer's candidate; None for what we do not use: TCP, names instead of addresses, and what is malformed."""
    found = CANDIDATE.fullmatch(text.strip())
    if found is None or not 0 < int(found["port"]) < 65_536:
        return None
    try:
        address = ipaddress.ip_address(found["host"])
    except ValueError:
        return None
    if address.is_unspecified or address.is_multicast:
        return None
    return RTCIceCandidate(
        component=1,
        foundation=found["foundation"],
        ip=str(address),
        port=int(found["port"]),
        priority=int(found["priority"]) & 0x7FFFFFFF,
        protocol="udp",
        # A candidate that peers tell us of is never peer-reflexive; taking it for one that they see is good enough.
        type="srflx" if found["kind"].lower() == "prflx" else found["kind"].lower(),
    )


def _written(candidate: RTCIceCandidate) -> str:
    text = (
        f"{candidate.foundation} {candidate.component} {candidate.protocol} {candidate.priority} {candidate.ip} "
        f"{candidate.port} typ {candidate.type}"
    )
    if candidate.relatedAddress is not None and candidate.relatedPort is not None:
        text += f" raddr {candidate.relatedAddress} rport {candidate.relatedPort}"
    return text
