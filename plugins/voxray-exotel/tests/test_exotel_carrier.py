"""Exotel's webhooks, proofs and REST requests."""

import base64
import json
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
import voxray_exotel

from voxray.protocols.carrier import Dial, PhoneCall, StreamOffer, Webhook
from voxray.registry import make
from voxray.testing.carriers.exotel import ExotelWire
from voxray.testing.phone_wire import CallRefusedError, PhoneFacts, WireRequest
from voxray.testing.plugin_check import check_plugin
from voxray.wire.context import Context

(SPEC,) = voxray_exotel.voxray_register_transports()
OFFER = StreamOffer(
    url="wss://voice.example.com/telephony/ws",
    token="tok_1",
    events_url="https://voice.example.com/telephony/exotel",
    parameters={"agent": "a&b"},
)
URL = "https://voice.example.com/telephony/exotel"
KEYS = {"api_key": "key1", "api_token": "tok", "account_sid": "exampleco1"}
LOGIN = {**KEYS, "stream_password": "p:w@d"}
FACTS = PhoneFacts(call_id="9a7b0001", stream_id="1d3f0001", caller="09876543210", callee="08012345678")
CALL = PhoneCall(carrier="exotel", call_id="9a7b0001")
DIAL = Dial(to="09876543210", caller="08012345678", offer=OFFER, answer_url=URL, machine_detection=True)
JSON = {"content-type": "application/json"}


def carrier(secrets: dict[str, str] = KEYS, **options: object):
    context = Context(
        "exotel",
        http=httpx.AsyncClient(),
        secrets=lambda key: secrets.get(key, ""),
        base_url="https://api.exotel.com",
    )
    return make(SPEC, context, options)


def received(request: WireRequest) -> Webhook:
    query = parse_qsl(urlsplit(request.url).query, keep_blank_values=True)
    return Webhook(
        method=request.method, url=request.url, query=query, headers=request.headers, body=request.body, at=1767225600.0
    )


def basic(login: str) -> dict[str, str]:
    return {"authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}


def test_the_plugin_keeps_its_contract() -> None:
    check_plugin("voxray_exotel")


# ── webhooks ──


@pytest.mark.parametrize("rate", [8000, 16_000, 24_000])
def test_an_applet_is_told_where_to_stream_to(rate: int) -> None:
    wire = ExotelWire(FACTS)
    answer = carrier(sample_rate=rate).answer(received(wire.query(URL)), OFFER)
    assert json.loads(answer.body).keys() == {"url"}
    stream = wire.stream(answer.status, answer.media_type, answer.body)
    assert stream.parameters == {"agent": "a&b", "token": "tok_1"}
    assert wire.audio.rate_hz == rate
    assert answer.call is not None
    assert (answer.call.call_id, answer.call.caller, answer.call.callee) == ("9a7b0001", "09876543210", "08012345678")
    assert answer.call.direction == "inbound"


def test_a_posted_form_is_answered_alike() -> None:
    form = parse_qsl(urlsplit(ExotelWire(FACTS).query(URL).url).query)
    answer = carrier().answer(Webhook(method="POST", url=URL, form=form), OFFER)
    assert answer.call is not None
    assert answer.call.call_id == "9a7b0001"


def test_a_dialled_call_is_outbound() -> None:
    wire = ExotelWire(PhoneFacts(call_id="1", stream_id="2", direction="outbound"))
    answer = carrier().answer(received(wire.query(URL)), OFFER)
    assert answer.call is not None
    assert answer.call.direction == "outbound"


def test_more_parameters_than_come_back_are_an_error() -> None:
    for parameters in ({"a": "1", "b": "2", "c": "3"}, {"a": "x" * 250}):
        offer = StreamOffer(url=OFFER.url, token="t", parameters=parameters)
        with pytest.raises(ValueError, match="three parameters"):
            carrier().answer(received(ExotelWire(FACTS).query(URL)), offer)


STREAM = {"StreamSID": "6f04", "Status": "completed", "Duration": "28", "DisconnectedBy": "bot"}


@pytest.mark.parametrize(
    "fields",
    [
        STREAM,
        {f"Stream[{name}]": value for name, value in STREAM.items()},
        {"Stream": json.dumps(STREAM)},
        {**STREAM, "StreamUrl": "wss://voxray:password@voice.example.com/"},
    ],
)
def test_what_the_passthru_applet_reports_is_news(fields: dict[str, str]) -> None:
    answer = carrier().answer(received(ExotelWire(FACTS).query(URL, **fields)), OFFER)
    assert (answer.status, answer.body, answer.call) == (200, b"", None)
    assert answer.event is not None
    assert (answer.event.call_id, answer.event.kind, answer.event.value) == ("9a7b0001", "stream", "completed")
    assert answer.event.details["DisconnectedBy"] == "bot"
    assert "password" not in repr(answer.event)


@pytest.mark.parametrize(
    ("event", "status", "kind"),
    [("terminal", "completed", "ended"), ("terminal", "busy", "ended"), ("answered", "in-progress", "status")],
)
def test_status_callbacks_are_news(event: str, status: str, kind: str) -> None:
    answer = carrier().answer(received(ExotelWire(FACTS).callback(URL, event, status)), OFFER)
    assert answer.event is not None
    assert (answer.event.kind, answer.event.value) == (kind, status)
    assert answer.event.details["ConversationDuration"] == "12"


def test_a_status_form_is_news_too() -> None:
    form = (("CallSid", "1"), ("Status", "no-answer"), ("From", "2"))
    answer = carrier().answer(Webhook(method="POST", url=URL, form=form), OFFER)
    assert answer.event is not None
    assert (answer.event.kind, answer.event.value) == ("ended", "no-answer")


@pytest.mark.parametrize(
    "webhook",
    [
        Webhook(method="GET", url=URL),
        Webhook(method="POST", url=URL, body=b"[", headers=JSON),
        Webhook(method="POST", url=URL, body=b"[1]", headers=JSON),
        Webhook(method="GET", url=URL, query=(("CallSid", "1"), ("Stream", "{"))),
    ],
)
def test_a_webhook_without_sense_is_an_error(webhook: Webhook) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        carrier().answer(webhook, OFFER)


def test_where_all_lines_are_taken_the_flow_goes_on() -> None:
    busy = carrier().busy()
    with pytest.raises(CallRefusedError):
        ExotelWire(FACTS).stream(busy.status, busy.media_type, busy.body)


TWILIO_LIKE = (("CallSid", "1"), ("CallFrom", "2"))


@pytest.mark.parametrize(
    ("webhook", "claimed"),
    [
        (received(ExotelWire(FACTS).query(URL)), True),
        (received(ExotelWire(FACTS).callback(URL, "terminal", "completed")), True),
        (Webhook(method="GET", url=URL, query=(("CallSid", "1"), ("Stream[StreamSID]", "2"))), True),
        (Webhook(method="POST", url=URL, form=(("CallSid", "CA1"), ("AccountSid", "AC1"), ("From", "+1"))), False),
        (Webhook(method="GET", url=URL, query=TWILIO_LIKE, headers={"x-twilio-signature": "x"}), False),
        (Webhook(method="GET", url=URL), False),
        (Webhook(method="POST", url=URL, body=b"[", headers=JSON), False),
    ],
)  # fmt: skip
def test_only_exotels_webhooks_are_claimed(webhook: Webhook, claimed: bool) -> None:
    assert carrier().claims(webhook) is claimed


# ── proof ──


def test_without_a_password_everybody_is_believed() -> None:
    assert carrier().refusal(Webhook(method="GET", url=URL)) == ""
    assert not carrier().proves_streams


def test_the_password_is_accepted() -> None:
    assert carrier(LOGIN).refusal(Webhook(method="GET", url=URL, headers=basic("voxray:p:w@d"))) == ""
    named = carrier(LOGIN, stream_username="bot")
    assert named.refusal(Webhook(method="GET", url=URL, headers=basic("bot:p:w@d"))) == ""
    assert named.proves_streams


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer x"},
        {"authorization": "Basic"},
        {"authorization": "Basic ####"},
        basic("voxray:other"),
        basic("other:p:w@d"),
        basic(""),
    ],
)
def test_without_the_password_nobody_is_believed(headers: dict[str, str]) -> None:
    exotel = carrier(LOGIN)
    assert exotel.refusal(Webhook(method="GET", url=URL, headers=headers))
    wire = ExotelWire(FACTS)
    with pytest.raises(ValueError, match=r"user name|password"):
        exotel.recognize(wire.opening(wire.opened(OFFER.url)), headers)


def test_addresses_for_exotel_carry_the_password() -> None:
    wire = ExotelWire(FACTS)
    answer = carrier(LOGIN).answer(received(wire.query(URL)), OFFER)
    stream = wire.stream(answer.status, answer.media_type, answer.body)
    assert wire.handshake(stream, at=0.0) == basic("voxray:p:w@d")
    assert carrier(LOGIN).recognize(wire.opening(stream), wire.handshake(stream, at=0.0)) is not None
    callback = dict(carrier(LOGIN).dial(DIAL).form)["StatusCallback"]
    assert callback == "https://voxray:p%3Aw%40d@voice.example.com/telephony/exotel"


# ── REST ──


def test_closing_the_socket_is_the_way_to_hang_up() -> None:
    exotel = carrier()
    assert (exotel.hang_up(CALL), exotel.transfer(CALL, "1"), exotel.send_dtmf(CALL, "1")) == (None, None, None)
    assert (exotel.transfers, exotel.sends_dtmf) == (False, False)


def test_a_call_is_placed_with_the_address_of_its_stream() -> None:
    request = carrier().dial(DIAL)
    headers = {name.lower(): value for name, value in request.headers.items()}
    body = urlencode(request.form).encode()
    answer = ExotelWire(FACTS).rest(WireRequest(method=request.method, url=request.url, headers=headers, body=body))
    assert request.url == "https://api.exotel.com/v1/Accounts/exampleco1/Calls/connect.json"
    assert headers["authorization"] == basic("key1:tok")["authorization"]
    assert answer.stream is not None
    assert answer.stream.parameters["token"] == "tok_1"
    assert carrier().dialled(answer.body) == "9a7b0001"
    assert (dict(request.form)["From"], dict(request.form)["CallerId"]) == ("09876543210", "08012345678")


@pytest.mark.parametrize("missing", ["api_key", "api_token", "account_sid"])
def test_dialling_says_which_key_is_missing(missing: str) -> None:
    with pytest.raises(ValueError, match=f"exotel_{missing}"):
        carrier({**KEYS, missing: ""}).dial(DIAL)


def test_dialling_needs_a_number_and_a_short_address() -> None:
    with pytest.raises(ValueError, match="caller_id"):
        carrier().dial(Dial(to="1", caller="", offer=OFFER, answer_url=""))
    far = StreamOffer(url=f"wss://voice.example.com/{'x' * 600}", token="t")
    with pytest.raises(ValueError, match="600"):
        carrier().dial(Dial(to="1", caller="2", offer=far, answer_url=""))


def test_the_answer_to_dialling_names_the_call() -> None:
    assert carrier().dialled({"Call": {"Sid": "9a7b", "Status": "in-progress"}}) == "9a7b"
    with pytest.raises(ValueError, match="no call"):
        carrier().dialled({"Call": None})


# ── the media socket ──


@pytest.mark.parametrize("spelling", ["snake", "camel"])
def test_a_stream_is_recognised_in_either_spelling(spelling: str) -> None:
    wire = ExotelWire(FACTS, spelling=spelling)
    opening = wire.opening(wire.opened(f"{OFFER.url}?sample-rate=16000&token=tok_1"))
    assert carrier().recognize(opening[:1], {}) is None
    start = carrier().recognize(opening, {})
    assert start is not None
    assert (start.call.call_id, start.call.stream_id, start.call.account_id) == (
        "9a7b0001",
        "1d3f0001",
        FACTS.account_id,
    )
    assert start.call.parameters == {"token": "tok_1"}
    assert start.serializer.audio_in == wire.audio


@pytest.mark.parametrize(
    "message",
    [
        '{"event":"start","streamSid":"MZ1","start":{"streamSid":"MZ1","callSid":"CA1","mediaFormat":{"channels":1}}}',
        '{"event":"start","stream_id":"1","start":{"call_control_id":"v3:1"}}',
        '{"event":"start","start":{"streamId":"1","callId":"2"}}',
        '{"event":"stop","stream_sid":"1","stop":{"call_sid":"2"}}',
        b"\x00",
        "[" * 100_000,
    ],
)
def test_other_carriers_streams_are_left_to_them(message: str | bytes) -> None:
    assert carrier().recognize([message], {}) is None
