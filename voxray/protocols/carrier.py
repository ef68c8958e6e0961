"""A telephone carrier, without sockets: what it asks, what it is answered, how its media socket speaks.

Everything here is pure. The server owns the routes, checks tokens, keeps what a webhook said until its stream arrives,
sends the requests and retries them; the media socket is shared by all carriers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from voxray.protocols.serializer import Serializer


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A carrier's HTTP request. `url` is the public address it asked for, `query` and `form` keep order, repeats and
    empty values, `headers` have lower-case names, `at` is UNIX time. `form` is empty for other bodies than forms."""

    method: str
    url: str
    query: Sequence[tuple[str, str]] = ()
    form: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    at: float = 0.0

    def value(self, name: str) -> str:
        """The first form field or query parameter of this name, else ""."""
        return next((value for key, value in (*self.form, *self.query) if key == name), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneCall:
    """A call as its carrier names it. `call_id` is what its REST API calls it, `stream_id` what its media socket does.

    `parameters` are our custom parameters as the carrier brought them back, the stream token among them as "token".
    """

    carrier: str
    call_id: str
    stream_id: str = ""
    account_id: str = ""
    caller: str = ""
    callee: str = ""
    direction: str = "inbound"  # or "outbound"
    parameters: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)  # further facts, for logs, hooks and the record


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOffer:
    """Where a call's media socket is to be opened: absolute `wss://` address, one-time token, and parameters that the
    carrier should bring along. `events_url` takes status callbacks."""

    url: str
    token: str
    events_url: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierRequest:
    """A request to the carrier's REST API, complete with its credentials.

    `gone` lists statuses that mean "already over": as good as success. One of `form` and `json`, or neither.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: Sequence[tuple[str, str]] = ()
    json: object = None
    gone: Sequence[int] = (404,)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAnswer:
    """What a webhook is answered, and what it leads to."""

    body: bytes = b""
    media_type: str = "text/plain"
    status: int = 200
    call: PhoneCall | None = None  # a call whose stream will come: announced by this webhook
    requests: Sequence[CarrierRequest] = ()  # to be sent after answering
    when_busy: Sequence[
        CarrierRequest
    ] = ()  # to be sent instead when all lines are taken, where an answer cannot say so
    event: CallEvent | None = None  # news of a call, for the log and the call's record


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEvent:
    """News from the carrier: `kind` "status" (`value` as the carrier spells it), "machine" (`value` "human", "machine",
    "fax" or "unknown"), "stream", "ended"."""

    call_id: str
    kind: str
    value: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStart:
    """A media socket was recognised. `serializer` has seen the opening messages already."""

    call: PhoneCall
    serializer: Serializer
    probe: bool = False  # the carrier only tests the address: answer, but hold no call
    answers: Sequence[str | bytes] = ()  # what the opening messages demand to be answered, at once
    carrier_closes: bool = False  # our serializer ends the call by a message, then the carrier closes the socket


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """A call to place. `answer_url` and `events_url` are ours; `machine_detection` asks the carrier for a verdict."""

    to: str
    caller: str
    offer: StreamOffer
    answer_url: str
    machine_detection: bool = False
    timeout_secs: int = 60


class StreamRefusedError(ValueError):
    """A media socket brings no valid proof, or offers nothing we can use. `farewell` is how its protocol says so, to be
    sent before the socket is closed; the text is safe to send as well."""

    def __init__(self, reason: str, farewell: Sequence[str | bytes] = ()) -> None:
        super().__init__(reason)
        self.farewell = farewell


class Carrier(Protocol):
    """Made once at server start as `factory(context, **options)`; keeps credentials, no state of calls."""

    name: str
    transfers: bool  # `transfer` gives a request
    sends_dtmf: bool  # by `send_dtmf` or by its serializer
    proves_streams: bool  # its media socket carries a proof of its own, so that it needs no token of ours

    def claims(self, webhook: Webhook) -> bool:
        """Is this webhook of this carrier? Asked where several share one path."""

    def refusal(self, webhook: Webhook) -> str:
        """Why the webhook's proof is not accepted; "" if it is, or if no secret is configured. Constant time."""

    def answer(self, webhook: Webhook, offer: StreamOffer) -> WebhookAnswer:
        """Answer a webhook: a call that comes in, or news of one. Raises ValueError for one that makes no sense."""

    def recognize(self, messages: Sequence[str | bytes], headers: Mapping[str, str]) -> StreamStart | None:
        """Is this media socket of this carrier, by its handshake's headers and first one or two messages?

        Raises:
            ValueError: it is, but makes no sense or brings no valid proof; StreamRefusedError if there is something to
                say to that.
        """

    def busy(self) -> WebhookAnswer:
        """Tell a caller that all lines are taken, before the call is answered."""

    def hang_up(self, call: PhoneCall) -> CarrierRequest | None:
        """End the call; None where closing the socket does, or nothing can."""

    def transfer(self, call: PhoneCall, to: str) -> CarrierRequest | None:
        """Hand the caller on to another number; None if the carrier cannot."""

    def send_dtmf(self, call: PhoneCall, digits: str) -> CarrierRequest | None:
        """Send keys by REST; None where the serializer does, or nothing can."""

    def dial(self, dial: Dial) -> CarrierRequest:
        """Place a call. Raises ValueError: this carrier cannot, or something is missing."""

    def dialled(self, answer: Mapping[str, object]) -> str:
        """The call's id from the REST API's answer to `dial`. Raises ValueError."""
