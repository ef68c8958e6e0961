"""Genesys' handshake: who may open a session, and what the first message makes of it."""

import base64
import json
from types import SimpleNamespace
from typing import Any

import pytest
from voxray_genesys import signature
from voxray_genesys.carrier import GenesysCarrier

from voxray.errors import ProviderRefused
from voxray.protocols.carrier import Dial, PhoneCall, StreamOffer, StreamRefusedError, Webhook
from voxray.testing.carriers.genesys import GenesysWire, pcmu
from voxray.testing.phone_wire import CarrierRejectsError, PhoneFacts, WireStream
from voxray.testing.plugin_check import check_plugin

AT = 1767225600
SECRET = "dm94cmF5LWdlbmVzeXMtY2xpZW50LXNlY3JldC0wMDE="
FACTS = PhoneFacts(
    call_id="090eaa2f-0000-4000-8000-000000000001",
    stream_id="30b0e395-0000-4000-8000-000000000001",
    account_id="d7934305-0000-4000-8000-000000000001",
)
STREAM = WireStream(url="wss://voice.example.com/telephony/ws", parameters={"plan": "gold"})

# The worked example of the specification.
PARAMETERS = (
    '("@request-target" "@authority" "audiohook-organization-id" "audiohook-session-id" "audiohook-correlation-id" '
    '"x-api-key");keyid="key-1";nonce="AAECAwQFBgcICQoLDA0ODw";alg="hmac-sha256";created=1767225600;expires=1767225610'
)
SIGNED = {
    "@request-target": "/genesys/ws",
    "@authority": "voice.example.com",
    "audiohook-organization-id": "11111111-1111-4111-8111-111111111111",
    "audiohook-session-id": "22222222-2222-4222-8222-222222222222",
    "audiohook-correlation-id": "33333333-3333-4333-8333-333333333333",
    "x-api-key": "key-1",
    "signature-input": f"sig1={PARAMETERS}",
    "signature": "sig1=:VNnZcmh6jm5NL4Rm8JXxMueRa4E6TlckR+KeVk6G9/Y=:",
}
KEY = base64.b64decode(SECRET)


def carrier(options: Any = None, at: float = AT, **secrets: str) -> GenesysCarrier:
    context: Any = SimpleNamespace(base_url="", secret=lambda name: secrets.get(name, ""))
    return GenesysCarrier(context, clock=lambda: at, **(options or {}))


def handshake(wire: GenesysWire, at: float = AT) -> dict[str, str]:
    """The headers as the server passes them on."""
    return {"@request-target": "/telephony/ws", "@authority": "voice.example.com", **wire.handshake(STREAM, at=at)}


def farewell(error: pytest.ExceptionInfo[StreamRefusedError]) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(error.value.farewell[0])
    return message


def test_the_package_keeps_its_promises() -> None:
    check_plugin("voxray_genesys")


# ── signature ──


def test_the_worked_example_of_a_signature_holds() -> None:
    assert signature.refusal(SIGNED, KEY, at=AT) == ""


@pytest.mark.parametrize("at", [AT - 3, AT + 13])
def test_a_signature_holds_from_its_creation_to_its_end(at: float) -> None:
    assert signature.refusal(SIGNED, KEY, at=at) == ""


@pytest.mark.parametrize(("at", "text"), [(AT - 4, "future"), (AT + 14, "expired")])
def test_a_signature_does_not_hold_before_or_after(at: float, text: str) -> None:
    assert text in signature.refusal(SIGNED, KEY, at=at)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("@request-target", "/telephony/ws"),
        ("@authority", "evil.example.com"),
        ("audiohook-session-id", "x"),
        ("x-api-key", "key-2"),
        ("signature", ""),
        ("signature", "sig1=:AAAA:"),
        ("signature", "sig1=:A:"),
        ("signature", "sig2=:VNnZcmh6jm5NL4Rm8JXxMueRa4E6TlckR+KeVk6G9/Y=:"),
        ("signature-input", ""),
        ("signature-input", "sig1=()"),
        ("signature-input", f"sig1={PARAMETERS};x"),
        ("signature-input", f"sig1={PARAMETERS}".replace("hmac-sha256", "ed25519")),
        ("signature-input", f"sig1={PARAMETERS}".replace("AAECAwQFBgcICQoLDA0ODw", "AAECAwQFBgcICQoLDA0OD")),
        ("signature-input", f"sig1={PARAMETERS}".replace(";expires=1767225610", "")),
        ("signature-input", f"sig1={PARAMETERS}".replace("=1767225610", "=99999999999")),
        ("signature-input", f"sig1={PARAMETERS}".replace('"@authority" ', "")),
        ("signature-input", f"sig1={PARAMETERS}".replace('"@authority"', '"@request-target"')),
        ("signature-input", f"sig1={PARAMETERS}".replace('"@authority"', '"@authority" "date"')),
        ("signature-input", "sig1=(" + '"a" ' * 5000),
    ],
)
def test_a_signature_of_anything_else_does_not_hold(name: str, value: str) -> None:
    assert signature.refusal({**SIGNED, name: value}, KEY, at=AT)


def test_a_signature_by_another_key_does_not_hold() -> None:
    assert signature.refusal(SIGNED, KEY + b"x", at=AT) == "the signature is wrong"


def test_a_header_that_is_missing_cannot_have_been_signed() -> None:
    for name in SIGNED:
        rest = {key: value for key, value in SIGNED.items() if key != name}
        assert signature.refusal(rest, KEY, at=AT)


# ── who may open a session ──


@pytest.mark.parametrize(
    ("secrets", "proves"),
    [
        ({}, False),
        ({"api_key": "key-1"}, True),
        ({"client_secret": SECRET}, True),
        ({"api_key": "key-1", "client_secret": SECRET}, True),
    ],
)
def test_a_session_with_key_and_signature_is_taken(secrets: dict[str, str], proves: bool) -> None:
    wire = GenesysWire(FACTS, secret=SECRET)
    subject = carrier(**secrets)
    assert subject.proves_streams is proves
    start = subject.recognize(wire.opening(STREAM), handshake(wire))
    assert start is not None
    assert not start.probe
    assert start.carrier_closes
    assert [meaning for answer in start.answers for meaning in wire.understand(answer)] == []


@pytest.mark.parametrize(
    ("wire", "at", "text"),
    [
        (GenesysWire(FACTS, secret=SECRET, api_key="wrong"), AT, "API key is wrong"),
        (GenesysWire(FACTS), AT, "no signature"),
        (GenesysWire(FACTS, secret="AAAA"), AT, "signature is wrong"),
        (GenesysWire(FACTS, secret=SECRET), AT - 60, "expired"),
    ],
)
def test_a_session_without_proof_is_told_so(wire: GenesysWire, at: float, text: str) -> None:
    with pytest.raises(StreamRefusedError, match=text) as error:
        carrier(api_key="key-1", client_secret=SECRET).recognize(wire.opening(STREAM), handshake(wire, at))
    assert farewell(error)["type"] == "disconnect"
    assert farewell(error)["parameters"] == {"reason": "unauthorized"}
    wire.understand(error.value.farewell[0])


@pytest.mark.parametrize(
    ("headers", "options"),
    [
        ({"x-api-key": ""}, {}),
        ({"audiohook-session-id": "another"}, {}),
        ({"audiohook-organization-id": "another"}, {}),
        ({}, {"organization_id": "another"}),
    ],
)
def test_a_session_of_somebody_else_is_told_so(headers: dict[str, str], options: dict[str, str]) -> None:
    wire = GenesysWire(FACTS)
    with pytest.raises(StreamRefusedError):
        carrier(options, api_key="key-1").recognize(wire.opening(STREAM), {**handshake(wire), **headers})


def test_a_secret_that_is_not_base64_is_refused_at_start() -> None:
    with pytest.raises(ProviderRefused, match="base64"):
        carrier(client_secret="not base64!")


# ── what the first message says ──


def opened(*offers: dict[str, Any]) -> tuple[Any, Any]:
    wire = GenesysWire(FACTS, media=offers)
    start = carrier().recognize(wire.opening(STREAM), {})
    assert start is not None
    wire.understand(start.answers[0])
    return start, json.loads(start.answers[0])["parameters"]["media"]


def test_the_first_message_tells_who_calls() -> None:
    start, _ = opened(pcmu(["external"]))
    call = start.call
    assert (call.carrier, call.call_id, call.stream_id) == ("genesys", FACTS.call_id, FACTS.stream_id)
    assert (call.caller, call.callee, call.account_id) == ("+15005550006", "+15005550001", FACTS.account_id)
    assert (call.parameters, call.details["language"]) == ({"plan": "gold"}, "en-US")


def test_the_caller_alone_is_chosen_whatever_comes_first() -> None:
    both, alone = pcmu(["external", "internal"]), pcmu(["external"])
    start, media = opened({**alone, "format": "L16"}, both, alone)
    assert media == [alone]
    assert list(start.serializer.decode(b"ab")) == [b"ab"]


def test_of_two_channels_the_caller_is_heard() -> None:
    both = pcmu(["external", "internal"])
    start, media = opened(both)
    assert media == [both]
    assert list(start.serializer.decode(b"aAbBcC")) == [b"abc"]
    with pytest.raises(ValueError, match="two channels"):
        start.serializer.decode(b"aAb")


@pytest.mark.parametrize(
    "offers",
    [[], [pcmu(["internal"])], [{**pcmu(["external"]), "format": "L16"}], [{**pcmu(["external"]), "rate": 16000}]],
)
def test_a_session_without_sound_that_we_know_is_ended_politely(offers: list[dict[str, Any]]) -> None:
    wire = GenesysWire(FACTS, media=offers)
    with pytest.raises(StreamRefusedError, match="PCMU") as error:
        carrier().recognize(wire.opening(STREAM), {})
    assert farewell(error)["parameters"]["reason"] == "error"
    wire.understand(error.value.farewell[0])


@pytest.mark.parametrize("offers", [None, []])
def test_a_probe_is_answered_but_no_call(offers: Any) -> None:
    wire = GenesysWire(FACTS, probe=True, media=offers)
    start = carrier().recognize(wire.opening(STREAM), {})
    assert start is not None
    assert start.probe
    wire.understand(start.answers[0])


def spoilt(**changes: Any) -> str:
    message = json.loads(GenesysWire(FACTS).opening(STREAM)[0])
    return json.dumps({**message, **changes})


@pytest.mark.parametrize("message", [b"x", "", "[]", "{", spoilt(version="1"), spoilt(type="ping"), "[" * 100_000])
def test_other_sockets_are_not_genesys(message: str | bytes) -> None:
    assert carrier().recognize([message], {}) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"id": 7},
        {"id": ""},
        {"parameters": None},
        {"seq": 2},
        {"seq": "one"},
        {"seq": True},
        {"parameters": {"media": 7}},
    ],
)
def test_a_first_message_that_makes_no_sense_is_an_error(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"open|number|PCMU"):
        carrier().recognize([spoilt(**changes)], {})


def test_numbers_may_come_as_text_and_people_may_be_missing() -> None:
    parameters = {"media": [{**pcmu(["external"]), "rate": "8000"}], "participant": None, "inputVariables": [], "x": 1}
    start = carrier().recognize([spoilt(seq="1", version=2, parameters=parameters)], {})
    assert start is not None
    assert (start.call.caller, start.call.parameters) == ("", {})


# ── what Genesys does not have ──


def test_genesys_has_no_webhooks_and_no_requests() -> None:
    subject = carrier()
    webhook = Webhook(method="POST", url="https://voice.example.com/")
    call = PhoneCall(carrier="genesys", call_id="c-1")
    offer = StreamOffer(url="wss://voice.example.com/telephony/ws", token="t")
    assert not subject.claims(webhook)
    assert subject.refusal(webhook)
    assert subject.hang_up(call) is subject.transfer(call, "+1500") is subject.send_dtmf(call, "1") is None
    with pytest.raises(ValueError, match="no webhooks"):
        subject.answer(webhook, offer)
    with pytest.raises(ValueError, match="flows"):
        subject.dial(Dial(to="+1", caller="+2", offer=offer, answer_url=""))
    with pytest.raises(CarrierRejectsError):
        GenesysWire(FACTS).stream(200, "application/json", b"{}")
