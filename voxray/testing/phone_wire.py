"""A simulated carrier's half of a phone call, without sockets: what it sends, and what it makes of what we send.

Simulators are strict where the real carrier is: what it would drop, refuse or complain about raises
`CarrierRejectsError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from voxray.audio.format import AudioFormat
from voxray.errors import VoxrayError


class CarrierRejectsError(VoxrayError):
    """The real carrier would not accept this; the text says what and where the rule stands."""


class CallRefusedError(VoxrayError):
    """Our answer turns the call away, and may: all lines are taken, say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneFacts:
    """The call being simulated. Numbers are E.164 with "+"; carriers that leave it out do so."""

    call_id: str
    stream_id: str
    caller: str = "+15005550006"
    callee: str = "+15005550001"
    account_id: str = "AC00000000000000000000000000000001"
    direction: str = "inbound"


@dataclass(frozen=True, slots=True, kw_only=True)
class WireRequest:
    """An HTTP request as the carrier makes it, signed if a secret was given."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireStream:
    """What our answer told the carrier to open: address, handshake headers, and parameters to bring along."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestAnswer:
    """How the carrier's REST API answers a request of ours, and what it leads to."""

    status: int = 200
    body: object = None  # JSON
    answer_url: str = ""  # a call was placed: once it is taken, this webhook is asked
    stream: WireStream | None = None  # a call was placed: once it is taken, this stream is opened, and nobody is asked
    ended: bool = False  # the stream ends: hung up, or the caller was handed on
    transferred_to: str = ""  # the number, or where the carrier asks for it


# What a message of ours means to the carrier.


@dataclass(frozen=True, slots=True)
class Sound:
    audio: bytes  # in the wire's format


@dataclass(frozen=True, slots=True)
class MarkSet:
    name: str


@dataclass(frozen=True, slots=True)
class Cleared:
    """Drop what was not played."""


@dataclass(frozen=True, slots=True)
class Keys:
    digits: str


@dataclass(frozen=True, slots=True)
class HungUp:
    """We end the call over the socket."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The carrier's protocol answers this message with that one, at once."""

    message: str | bytes


Meaning = Sound | MarkSet | Cleared | Keys | HungUp | Answered


class PhoneWire(Protocol):
    """One call of one carrier. Made as `Wire(facts, secret=…)`; `secret` "" leaves requests unsigned."""

    name: str
    audio: AudioFormat  # of both directions
    frame_secs: float  # of sound in one message from the carrier
    facts: PhoneFacts

    def webhook(self, url: str, *, at: float) -> WireRequest | None:
        """The request for an incoming call; None where the socket is the first contact."""

    def stream(self, status: int, media_type: str, body: bytes) -> WireStream:
        """What our answer to the webhook asks for. Raises CarrierRejectsError, or CallRefusedError if it turns the call
        away."""

    def handshake(self, stream: WireStream, *, at: float) -> Mapping[str, str]:
        """Headers of the socket's upgrade request, signed where the carrier signs them."""

    def opening(self, stream: WireStream) -> Sequence[str | bytes]:
        """The first messages."""

    def media(self, audio: bytes) -> str | bytes:
        """One frame of the caller's sound."""

    def dtmf(self, digit: str) -> str | bytes: ...

    def stop(self) -> str | bytes | None:
        """What comes before the carrier closes the socket; None if it just does."""

    def understand(self, message: str | bytes) -> Sequence[Meaning]:
        """What a message of ours means. Raises CarrierRejectsError."""

    def mark_reached(self, name: str) -> str | bytes | None:
        """The echo of a mark that was played; None if the carrier has none."""

    def cleared(self, pending: Sequence[str]) -> Sequence[str | bytes]:
        """What comes back after a clear, with these marks pending."""


class RestWire(Protocol):
    """What a simulated carrier may have besides `PhoneWire`: its REST API, for calls that we place, end or hand on."""

    def rest(self, request: WireRequest) -> RestAnswer:
        """Answer a request; names of `request.headers` are in lower case. A call that was placed changes `facts`.

        Raises:
            CarrierRejectsError: the real API would answer with an error.
        """
