"""Genesys Cloud as a carrier: no webhook, no REST; a media socket that proves itself in its handshake."""

from __future__ import annotations

import base64
import binascii
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from voxray.errors import ProviderRefused
from voxray.protocols.carrier import (
    CarrierRequest,
    Dial,
    PhoneCall,
    StreamOffer,
    StreamRefusedError,
    StreamStart,
    Webhook,
    WebhookAnswer,
)
from voxray_genesys import signature
from voxray_genesys.serializer import GenesysSerializer, parse

if TYPE_CHECKING:
    from voxray.protocols.context import ProviderContext

NO_ID = "00000000-0000-0000-0000-000000000000"
EXTERNAL, BOTH = ["external"], ["external", "internal"]  # the caller; the caller and us, interleaved
NO_WEBHOOK = "Genesys sends no webhooks: it opens the media socket itself"


class GenesysCarrier:
    """`clock` gives UNIX time, for the signature of handshakes: a carrier's methods are told none."""

    name = "genesys"
    transfers = True  # by telling the flow, in the serializer's last message
    sends_dtmf = False

    def __init__(
        self,
        context: ProviderContext,
        *,
        organization_id: str = "",
        transfer_variable: str = "transfer_to",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._organization_id = organization_id
        self._transfer_variable = transfer_variable
        self._clock = clock
        self._api_key = context.secret("api_key")
        secret = context.secret("client_secret")
        try:
            self._secret = base64.b64decode(secret, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ProviderRefused(self.name, "client_secret is not base64; copy it as Genesys shows it") from error
        self.proves_streams = bool(self._api_key or self._secret)

    # ── the media socket ──

    def recognize(self, messages: Sequence[str | bytes], headers: Mapping[str, str]) -> StreamStart | None:
        first = next((message for message in messages if isinstance(message, str)), "")  # sound before it is lost
        try:
            data = parse(first)
        except ValueError:
            return None
        if str(data.get("version")) != "2" or data.get("type") != "open":
            return None
        session_id, parameters = data.get("id"), data.get("parameters")
        if not isinstance(session_id, str) or not session_id or not isinstance(parameters, dict):
            raise ValueError("an open message without id or parameters")
        media, channels = _chosen(parameters.get("media"))
        serializer = GenesysSerializer(_text(session_id), channels=channels, transfer_variable=self._transfer_variable)
        serializer.open(data)
        refused = self._refusal(headers, session_id, parameters)
        if refused:
            raise StreamRefusedError(refused, (serializer.disconnect("unauthorized"),))
        call = _call(session_id, parameters, headers)
        probe = NO_ID == call.call_id == call.details.get("participant_id")
        if media is None and not probe:
            raise StreamRefusedError(
                "no PCMU sound of the caller was offered",
                (serializer.disconnect("error", "the server takes PCMU at 8000 Hz, channel external"),),
            )
        return StreamStart(
            call=call,
            serializer=serializer,
            probe=probe,
            answers=(serializer.opened(media),),
            carrier_closes=True,
        )

    def _refusal(self, headers: Mapping[str, str], session_id: str, parameters: Mapping[str, Any]) -> str:
        """Why this handshake is not accepted; "" if it is, or if nothing was configured to check it by."""
        key = headers.get("x-api-key", "")
        if self._api_key and not hmac.compare_digest(key.encode(), self._api_key.encode()):
            return "the API key is wrong" if key else "there is no API key"
        if self._secret:
            refused = signature.refusal(headers, self._secret, at=self._clock())
            if refused:
                return refused
        if headers.get("audiohook-session-id", session_id) != session_id:
            return "the handshake was for another session"
        organization = headers.get("audiohook-organization-id", parameters.get("organizationId"))
        if organization != parameters.get("organizationId"):
            return "the handshake was for another organization"
        if self._organization_id and organization != self._organization_id:
            return "the organization is not ours"
        return ""

    # ── what Genesys does not have ──

    def claims(self, webhook: Webhook) -> bool:
        return False

    def refusal(self, webhook: Webhook) -> str:
        return NO_WEBHOOK

    def answer(self, webhook: Webhook, offer: StreamOffer) -> WebhookAnswer:
        raise ValueError(NO_WEBHOOK)

    def busy(self) -> WebhookAnswer:
        return WebhookAnswer(status=503)

    def hang_up(self, call: PhoneCall) -> CarrierRequest | None:
        return None  # the serializer's `disconnect` does

    def transfer(self, call: PhoneCall, to: str) -> CarrierRequest | None:
        return None  # the flow does, by the output variable

    def send_dtmf(self, call: PhoneCall, digits: str) -> CarrierRequest | None:
        return None

    def dial(self, dial: Dial) -> CarrierRequest:
        raise ValueError("Genesys places calls from its own flows and campaigns, which can then connect to this server")

    def dialled(self, answer: Mapping[str, object]) -> str:
        raise ValueError("Genesys is not asked to place calls")


def _chosen(offers: object) -> tuple[Mapping[str, Any] | None, int]:
    """The offer that we take, the caller alone if possible, and its number of channels."""
    for channels in (EXTERNAL, BOTH):
        for offer in offers if isinstance(offers, list) else ():
            if isinstance(offer, dict) and _is_mulaw(offer) and offer.get("channels") == channels:
                return offer, len(channels)
    return None, 1


def _is_mulaw(offer: Mapping[str, Any]) -> bool:
    kind = offer.get("type", "audio"), offer.get("format"), offer.get("rate")
    return kind in (("audio", "PCMU", 8000), ("audio", "PCMU", "8000"))


def _call(session_id: str, parameters: Mapping[str, Any], headers: Mapping[str, str]) -> PhoneCall:
    participant = parameters.get("participant")
    person = participant if isinstance(participant, dict) else {}
    given = parameters.get("inputVariables")
    variables = given if isinstance(given, dict) else {}
    details = {
        "participant_id": person.get("id"),
        "caller_name": person.get("aniName"),
        "language": parameters.get("language"),
        "correlation_id": headers.get("audiohook-correlation-id"),
    }
    return PhoneCall(
        carrier="genesys",
        call_id=_plain(parameters.get("conversationId")),
        stream_id=_text(session_id),
        account_id=_plain(parameters.get("organizationId")),
        caller=_plain(person.get("ani")).removeprefix("tel:"),
        callee=_plain(person.get("dnis")).removeprefix("tel:"),
        parameters={_text(name): _plain(value) for name, value in variables.items() if _plain(value)},
        details={name: _plain(value) for name, value in details.items() if _plain(value)},
    )


def _plain(value: object) -> str:
    """Text or a number as text; "" for anything else."""
    return _text(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _text(value: object) -> str:
    return str(value).encode(errors="replace").decode()  # JSON may hold half characters, nothing else takes them
