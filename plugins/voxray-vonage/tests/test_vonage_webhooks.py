"""Vonage's webhooks, their proof, and the REST API."""

import base64
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from voxray_vonage.carrier import VonageCarrier

from voxray.errors import ProviderRefused
from voxray.protocols.carrier import Dial, PhoneCall, StreamOffer, Webhook
from voxray.testing.carriers.vonage import APPLICATION_ID, VonageWire, signed_token
from voxray.testing.phone_wire import CallRefusedError, CarrierRejectsError, PhoneFacts, WireRequest
from voxray.testing.plugin_check import check_plugin

AT = 1767225600
SECRET = "vonage-signature-secret"
URL = "https://voice.example.com/telephony/vonage"
OFFER = StreamOffer(url="wss://voice.example.com/telephony/ws", token="t0k3n", events_url=URL)
FACTS = PhoneFacts(call_id="aaaaaaaa-bbbb-cccc-dddd-0123456789ab", stream_id="")
CALL = PhoneCall(carrier="vonage", call_id="u-1", caller="+15005550006", callee="+15005550001")

# The worked example of the specification.
BODY = (
    b'{"from":"15005550006","to":"15005550001",'
    b'"uuid":"aaaaaaaa-bbbb-cccc-dddd-0123456789ab","conversation_uuid":"CON-1"}'
)
TOKEN = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpYXQiOjE3NjcyMjU2MDAsImp0aSI6ImM1YmE4ZjI0LTFhMTQtNGMxMC1iZmRmLTNmYmU4Y2U1M"
    "TFiNSIsImlzcyI6IlZvbmFnZSIsInBheWxvYWRfaGFzaCI6ImNhODk3M2NjNTQ5OTNlZDVmZDZhNzEwYWVjODMwM2RkZTFjNTFiYjY1ZDJhZjQ2NGI"
    "zNjYyMzUwOTkyNGMxMzIiLCJhcGlfa2V5IjoiYTFiMmMzZCIsImFwcGxpY2F0aW9uX2lkIjoiYWFhYWFhYWEtYmJiYi1jY2NjLWRkZGQtMDEyMzQ1N"
    "jc4OWFiIn0.fmad0-Oa8gGKibP-cAcgj_alxUcAIxX1TQR0p5Q8hDE"
)
SIGNED = Webhook(method="POST", url=URL, body=BODY, headers={"authorization": f"Bearer {TOKEN}"}, at=AT)


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


def pem(key: RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def carrier(options: Any = None, **secrets: str) -> VonageCarrier:
    context: Any = SimpleNamespace(base_url="https://api.example.com", secret=lambda name: secrets.get(name, ""))
    return VonageCarrier(context, clock=lambda: float(AT), **(options or {}))


def received(wire_request: Any, at: float = AT) -> Webhook:
    return Webhook(
        method=wire_request.method,
        url=wire_request.url,
        headers=wire_request.headers,
        body=wire_request.body,
        at=at,
    )


def test_the_package_keeps_its_promises() -> None:
    check_plugin("voxray_vonage")


# ── proof ──


def test_the_worked_example_of_a_proof_holds() -> None:
    assert carrier(signature_secret=SECRET).refusal(SIGNED) == ""


@pytest.mark.parametrize("seconds", [-300, 300])
def test_a_proof_holds_for_five_minutes(seconds: int) -> None:
    assert carrier(signature_secret=SECRET).refusal(replace(SIGNED, at=AT + seconds)) == ""


@pytest.mark.parametrize(
    "changed",
    [
        {"headers": {}},
        {"headers": {"authorization": "Bearer "}},
        {"headers": {"authorization": "Basic abc"}},
        {"headers": {"authorization": f"Bearer {TOKEN[:-2]}AA"}},
        {"headers": {"authorization": f"Bearer {TOKEN}.x"}},
        {"headers": {"authorization": "Bearer a.b.c"}},
        {"headers": {"authorization": "Bearer \xe9.\xe9.\xe9"}},
        {"body": BODY + b" "},
        {"body": b""},
        {"at": AT + 301},
        {"at": AT - 301},
    ],
)
def test_any_other_proof_is_refused(changed: dict[str, Any]) -> None:
    assert carrier(signature_secret=SECRET).refusal(replace(SIGNED, **changed))


GOOD = {"iat": AT, "iss": "Vonage", "application_id": APPLICATION_ID}


@pytest.mark.parametrize(
    ("claims", "holds"),
    [
        (GOOD, True),
        ({**GOOD, "exp": AT + 1}, True),
        ({**GOOD, "exp": AT - 1}, False),
        ({**GOOD, "iss": "Somebody"}, False),
        ({**GOOD, "application_id": "another"}, False),
        ({**GOOD, "payload_hash": "00"}, False),
        ({**GOOD, "payload_hash": 7}, False),
        ({**GOOD, "iat": "now"}, False),
        ({**GOOD, "iat": 10**400}, False),
        ({**GOOD, "iat": float("nan")}, False),
        ({}, False),
    ],
)
def test_what_a_token_claims_is_checked(claims: dict[str, Any], holds: bool) -> None:
    token = signed_token(claims, SECRET)
    webhook = Webhook(method="GET", url=URL, headers={"authorization": f"Bearer {token}"}, at=AT)
    refused = carrier(signature_secret=SECRET, application_id=APPLICATION_ID).refusal(webhook)
    assert (refused == "") == holds, refused


def test_a_token_that_names_another_algorithm_is_refused() -> None:
    _, claims, proof = signed_token(GOOD, SECRET).split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    for token in (f"{none}.{claims}.{proof}", f"{none}.{claims}."):
        webhook = Webhook(method="GET", url=URL, headers={"authorization": f"Bearer {token}"}, at=AT)
        assert carrier(signature_secret=SECRET).refusal(webhook)


def test_without_a_secret_every_webhook_is_taken() -> None:
    assert carrier().refusal(replace(SIGNED, headers={})) == ""


# ── the answer ──


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])
def test_a_call_is_connected_to_our_socket(rate_hz: int) -> None:
    wire = VonageWire(FACTS, secret=SECRET)
    webhook = received(wire.webhook(URL, at=AT))
    subject = carrier({"rate_hz": rate_hz}, signature_secret=SECRET)
    assert subject.claims(webhook)
    assert subject.refusal(webhook) == ""
    answer = subject.answer(webhook, OFFER)
    stream = wire.stream(answer.status, answer.media_type, answer.body)
    assert wire.audio.rate_hz == rate_hz
    assert (stream.url, stream.parameters["token"]) == (OFFER.url, "t0k3n")
    assert json.loads(answer.body)[0]["eventUrl"] == [URL]
    assert json.loads(answer.body)[0]["from"] == "15005550001"
    assert answer.call is not None
    assert (answer.call.call_id, answer.call.caller, answer.call.callee) == (
        FACTS.call_id,
        "+15005550006",
        "+15005550001",
    )


def test_a_webhook_by_get_is_answered_the_same() -> None:
    query = [("to", "15005550001"), ("from", "15005550006"), ("uuid", "u-1"), ("conversation_uuid", "CON-1")]
    answer = carrier().answer(Webhook(method="GET", url=URL, query=query), OFFER)
    assert answer.call is not None
    assert (answer.call.call_id, answer.call.details) == ("u-1", {"conversation_uuid": "CON-1"})


def test_the_call_that_was_announced_is_the_one_whose_socket_comes() -> None:
    wire = VonageWire(FACTS)
    offer = replace(OFFER, parameters={"lang": "de"})
    answer = carrier().answer(received(wire.webhook(URL, at=AT)), offer)
    start = carrier().recognize(wire.opening(wire.stream(200, answer.media_type, answer.body)), {})
    assert start is not None
    assert answer.call is not None
    assert (start.call.call_id, start.call.caller) == (answer.call.call_id, answer.call.caller)
    assert start.call.parameters == {"token": "t0k3n", "lang": "de"}


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"{", b'{"uuid":""}', b"[" * 100_000])
def test_a_webhook_that_makes_no_sense_is_an_error(body: bytes) -> None:
    webhook = Webhook(method="POST", url=URL, body=body)
    assert not carrier().claims(webhook)
    with pytest.raises(ValueError, match=r"webhook|body"):
        carrier().answer(webhook, OFFER)


@pytest.mark.parametrize("parameters", [{"event": "x"}, {"content-type": "x"}, {"long": "x" * 500}])
def test_parameters_that_vonage_would_not_carry_are_an_error(parameters: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="parameters"):
        carrier().answer(SIGNED, replace(OFFER, parameters=parameters))


def test_all_lines_busy_is_said_or_not_as_configured() -> None:
    said = carrier({"busy_text": "Later."}).busy()
    with pytest.raises(CallRefusedError):
        VonageWire(FACTS).stream(said.status, said.media_type, said.body)
    assert (said.media_type, json.loads(said.body)) == ("application/json", [{"action": "talk", "text": "Later."}])
    assert json.loads(carrier({"busy_text": ""}).busy().body) == []


# ── news ──


@pytest.mark.parametrize(
    ("status", "more", "kind", "value"),
    [
        ("ringing", {}, "status", "ringing"),
        ("answered", {}, "status", "answered"),
        ("completed", {"duration": "12"}, "ended", "completed"),
        ("unanswered", {}, "ended", "unanswered"),
        ("busy", {}, "ended", "busy"),
        ("human", {}, "machine", "human"),
        ("machine", {"sub_state": "beep_start"}, "machine", "machine"),
        ("answered", {"to": "wss://voice.example.com/telephony/ws"}, "stream", "answered"),
        ("disconnected", {}, "stream", "disconnected"),
    ],
)
def test_news_of_a_call_are_told(status: str, more: dict[str, str], kind: str, value: str) -> None:
    webhook = received(VonageWire(FACTS, secret=SECRET).event(URL, status, at=AT, **more))
    subject = carrier(signature_secret=SECRET)
    assert subject.refusal(webhook) == ""
    answer = subject.answer(webhook, OFFER)
    assert (answer.status, answer.body, answer.call) == (204, b"", None)
    assert answer.event is not None
    assert (answer.event.call_id, answer.event.kind, answer.event.value) == (FACTS.call_id, kind, value)


# ── REST ──


def claims_of(headers: Any, key: RSAPrivateKey) -> dict[str, Any]:
    """The claims of a request's token, whose signature is checked."""
    head, claims, signature = headers["Authorization"].removeprefix("Bearer ").split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    key.public_key().verify(raw, f"{head}.{claims}".encode(), PKCS1v15(), SHA256())
    assert json.loads(base64.urlsafe_b64decode(head + "==")) == {"alg": "RS256", "typ": "JWT"}
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(claims + "=="))
    return found


def test_hanging_up_is_a_request_with_a_token_of_the_application(key: RSAPrivateKey) -> None:
    subject = carrier(application_id=APPLICATION_ID, private_key=pem(key))
    request = subject.hang_up(CALL)
    assert request is not None
    assert (request.method, request.url) == ("PUT", "https://api.example.com/v1/calls/u-1")
    assert (request.json, tuple(request.gone)) == ({"action": "hangup"}, (404,))
    claims = claims_of(request.headers, key)
    assert claims.pop("jti")
    assert claims == {"application_id": APPLICATION_ID, "iat": AT, "exp": AT + 300}


def test_every_token_is_another_one(key: RSAPrivateKey) -> None:
    subject = carrier(application_id=APPLICATION_ID, private_key=pem(key))
    requests = [subject.hang_up(CALL) for _ in range(2)]
    assert len({request.headers["Authorization"] for request in requests if request}) == 2


@pytest.mark.parametrize(
    ("to", "endpoint"),
    [
        ("+1 (500) 555-0009", {"type": "phone", "number": "15005550009"}),
        ("sip:desk@example.com", {"type": "sip", "uri": "sip:desk@example.com"}),
    ],
)
def test_a_caller_is_handed_on_by_a_new_ncco(to: str, endpoint: dict[str, str], key: RSAPrivateKey) -> None:
    subject = carrier(application_id=APPLICATION_ID, private_key=pem(key))
    request = subject.transfer(CALL, to)
    assert subject.transfers
    assert request is not None
    connect = {"action": "connect", "endpoint": [endpoint], "from": "15005550001"}
    assert request.json == {"action": "transfer", "destination": {"type": "ncco", "ncco": [connect]}}


def test_a_caller_cannot_be_handed_on_to_nonsense(key: RSAPrivateKey) -> None:
    assert carrier(application_id=APPLICATION_ID, private_key=pem(key)).transfer(CALL, "the boss") is None


def test_keys_are_sent_by_the_api(key: RSAPrivateKey) -> None:
    subject = carrier(application_id=APPLICATION_ID, private_key=pem(key))
    request = subject.send_dtmf(CALL, "12#")
    assert request is not None
    assert (request.url, request.json) == ("https://api.example.com/v1/calls/u-1/dtmf", {"digits": "12#"})
    assert subject.send_dtmf(CALL, "abc") is None


def test_without_a_key_the_socket_has_to_do() -> None:
    subject = carrier()
    assert not subject.transfers
    assert not subject.sends_dtmf
    assert subject.hang_up(CALL) is subject.transfer(CALL, "+15005550009") is subject.send_dtmf(CALL, "1") is None


def test_a_call_is_placed(key: RSAPrivateKey) -> None:
    subject = carrier(application_id=APPLICATION_ID, private_key=pem(key))
    dial = Dial(to="+15005550006", caller="+15005550001", offer=OFFER, answer_url=f"{URL}?dial=x", timeout_secs=300)
    request = subject.dial(dial)
    assert (request.method, request.url) == ("POST", "https://api.example.com/v1/calls")
    assert request.json == {
        "to": [{"type": "phone", "number": "15005550006"}],
        "from": {"type": "phone", "number": "15005550001"},
        "answer_url": [f"{URL}?dial=x"],
        "answer_method": "POST",
        "event_url": [URL],
        "event_method": "POST",
        "ringing_timer": 120,
    }
    detecting: Any = subject.dial(replace(dial, machine_detection=True)).json
    assert detecting["advanced_machine_detection"] == {"behavior": "continue", "mode": "default", "beep_timeout": 45}
    assert subject.dialled({"uuid": "u-9", "status": "started"}) == "u-9"


def test_a_call_that_cannot_be_placed_is_an_error(key: RSAPrivateKey) -> None:
    dial = Dial(to="+15005550006", caller="+15005550001", offer=OFFER, answer_url=URL)
    able = carrier(application_id=APPLICATION_ID, private_key=pem(key))
    with pytest.raises(ValueError, match="private_key"):
        carrier().dial(dial)
    with pytest.raises(ValueError, match="caller_id"):
        able.dial(replace(dial, caller=""))
    with pytest.raises(ValueError, match="neither a number"):
        able.dial(replace(dial, to="home"))
    with pytest.raises(ValueError, match="uuid"):
        able.dialled({})


def test_the_key_may_come_from_a_file_or_with_its_line_ends_written_out(key: RSAPrivateKey, tmp_path: Any) -> None:
    file = tmp_path / "key.pem"
    file.write_text(pem(key))
    assert carrier({"private_key_file": str(file)}, application_id=APPLICATION_ID).transfers
    assert carrier(application_id=APPLICATION_ID, private_key=pem(key).replace("\n", "\\n")).transfers


@pytest.mark.parametrize(
    ("options", "secrets", "text"),
    [
        ({}, {"application_id": "a", "private_key": "no key"}, "PEM"),
        ({"private_key_file": "/nowhere/key.pem"}, {"application_id": "a"}, "private_key"),
        ({}, {"private_key": "x"}, "application_id"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused_at_start(options: Any, secrets: dict[str, str], text: str) -> None:
    with pytest.raises(ProviderRefused, match=text):
        carrier(options, **secrets)


# ── the simulator itself ──


@pytest.mark.parametrize(
    "ncco",
    [
        b"{}",
        b"[",
        b'[{"action":"connect"}]',
        b'[{"action":"record"}]',
        b'[{"action":"connect","endpoint":[{"type":"websocket","uri":"https://x","content-type":"audio/l16;rate=8000"}]}]',
        b'[{"action":"connect","endpoint":[{"type":"websocket","uri":"wss://x","content-type":"audio/l16;rate=44100"}]}]',
        b'[{"action":"connect","from":"+1500","endpoint":[{"type":"websocket","uri":"wss://x"}]}]',
        b'[{"action":"connect","speed":1,"endpoint":[{"type":"websocket","uri":"wss://x"}]}]',
    ],
)
def test_the_simulator_takes_no_other_ncco(ncco: bytes) -> None:
    with pytest.raises(CarrierRejectsError):
        VonageWire(FACTS).stream(200, "application/json", ncco)


def test_the_simulators_api_takes_what_we_send(key: RSAPrivateKey) -> None:
    subject, wire = carrier(application_id=APPLICATION_ID, private_key=pem(key)), VonageWire(FACTS)
    call = replace(CALL, call_id=FACTS.call_id)

    def sent(request: Any) -> Any:
        headers = {name.lower(): value for name, value in request.headers.items()}
        path = request.url.removeprefix("https://api.example.com")
        return wire.rest(
            WireRequest(method=request.method, url=path, headers=headers, body=json.dumps(request.json).encode())
        )

    dial = Dial(to="+15005550007", caller="+15005550001", offer=OFFER, answer_url=URL, machine_detection=True)
    placed = sent(subject.dial(dial))
    assert (subject.dialled(placed.body), placed.answer_url) == (FACTS.call_id, URL)
    assert (wire.facts.direction, wire.facts.callee) == ("outbound", "+15005550007")
    assert sent(subject.send_dtmf(call, "1#")).status == 200
    assert sent(subject.transfer(call, "+15005550009")).transferred_to == "15005550009"
    assert sent(subject.hang_up(call)).ended
    assert sent(subject.hang_up(CALL)).status == 404
    with pytest.raises(CarrierRejectsError, match="401"):
        wire.rest(WireRequest(method="PUT", url="/v1/calls/x", headers={"authorization": "Bearer a.b.c"}))


def test_the_simulator_takes_json_only() -> None:
    with pytest.raises(CarrierRejectsError):
        VonageWire(FACTS).stream(200, "application/xml", b"[]")
    with pytest.raises(CarrierRejectsError):
        VonageWire(FACTS).stream(403, "application/json", b"[]")
