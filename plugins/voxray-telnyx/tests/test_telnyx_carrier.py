"""Telnyx' webhooks, proofs and REST requests."""

import json
from urllib.parse import parse_qsl, urlencode, urlsplit
from xml.etree.ElementTree import fromstring

import httpx
import pytest
import voxray_telnyx

from voxray.errors import ProviderRefused
from voxray.protocols.carrier import CarrierRequest, Dial, PhoneCall, StreamOffer, Webhook
from voxray.registry import make
from voxray.testing.carriers.telnyx import PUBLIC_KEY, SEED, TelnyxWire
from voxray.testing.phone_wire import CallRefusedError, PhoneFacts, WireRequest
from voxray.testing.plugin_check import check_plugin
from voxray.wire.context import Context

(SPEC,) = voxray_telnyx.voxray_register_transports()
OFFER = StreamOffer(
    url="wss://voice.example.com/telephony/ws",
    token="tok&1",
    events_url="https://voice.example.com/telephony/telnyx",
    parameters={"agent": 'a "b" <c>\x00'},
)
URL = "https://voice.example.com/telephony/telnyx"
AT = 1767225600.0
KEYS = {"api_key": "KEY1", "public_key": PUBLIC_KEY}
FACTS = PhoneFacts(call_id="v3:abc", stream_id="32de0dea")
CALL = PhoneCall(carrier="telnyx", call_id="v3:a/b")
DIAL = Dial(to="+15005550006", caller="+15005550001", offer=OFFER, answer_url=f"{URL}?dial=1", machine_detection=True)


def carrier(secrets: dict[str, str] = KEYS, **options: object):
    context = Context(
        "telnyx",
        http=httpx.AsyncClient(),
        secrets=lambda key: secrets.get(key, ""),
        base_url="https://api.telnyx.com/v2",
    )
    return make(SPEC, context, options)


def received(request: WireRequest, at: float = AT) -> Webhook:
    form = request.headers.get("content-type") == "application/x-www-form-urlencoded"
    return Webhook(
        method=request.method,
        url=request.url,
        query=parse_qsl(urlsplit(request.url).query, keep_blank_values=True),
        form=parse_qsl(request.body.decode(), keep_blank_values=True) if form else (),
        headers=request.headers,
        body=request.body,
        at=at,
    )


def asked(request: CarrierRequest) -> WireRequest:
    """A request of ours as it reaches the REST API."""
    body = urlencode(request.form) if request.form else json.dumps(request.json)
    headers = {name.lower(): value for name, value in request.headers.items()}
    return WireRequest(method=request.method, url=request.url, headers=headers, body=body.encode())


def control(**options: object) -> TelnyxWire:
    return TelnyxWire(FACTS, secret=SEED, call_control=True, **options)


def test_the_plugin_keeps_its_contract() -> None:
    check_plugin("voxray_telnyx")


# ── proof ──

CONTROL_BODY = (
    b'{"data":{"event_type":"call.initiated","id":"0ccc7b54-4df3-4bca-a65a-3da1ecc777f0",'
    b'"payload":{"call_control_id":"v3:abc"},"record_type":"event"},"meta":{"attempt":1}}'
)
CONTROL_SIGNATURE = "x/8o4lk8RsnHR0XdAPum2JrUuMPye7AHrFz9NEjAvHzrZjoW3r/ZbpAauldv3d3PwEfoIOYgqQnpm4vue6UtAw=="
FORM_BODY = b"AccountSid=acc&CallSid=v3%3Aabc&From=%2B15005550006&To=%2B15005550001"
FORM_SIGNATURE = "/Hkms3IHTFqhe19CCbf0BPGnwxLs+62p6pvwUArDpZov4hfKYGAhB7LWw0vcvziyu9YLu+8qgQhgpNdx12vDAw=="


def signed(body: bytes, signature: str, *, at: float = AT, stamp: str = "1767225600") -> Webhook:
    headers = {"telnyx-signature-ed25519": signature, "telnyx-timestamp": stamp}
    return Webhook(method="POST", url=URL, headers=headers, body=body, at=at)


@pytest.mark.parametrize(("body", "signature"), [(CONTROL_BODY, CONTROL_SIGNATURE), (FORM_BODY, FORM_SIGNATURE)])
@pytest.mark.parametrize("late", [-300, 0, 300])
def test_a_signed_webhook_is_accepted_for_five_minutes(body: bytes, signature: str, late: float) -> None:
    assert carrier().refusal(signed(body, signature, at=AT + late)) == ""


@pytest.mark.parametrize(
    ("webhook", "reason"),
    [
        (signed(CONTROL_BODY, CONTROL_SIGNATURE, at=AT + 301), "too old"),
        (signed(CONTROL_BODY, CONTROL_SIGNATURE, at=AT - 301), "clock"),
        (signed(CONTROL_BODY + b" ", CONTROL_SIGNATURE), "wrong"),
        (signed(CONTROL_BODY, FORM_SIGNATURE), "wrong"),
        (signed(CONTROL_BODY, CONTROL_SIGNATURE, stamp="1767225601"), "wrong"),
        (signed(CONTROL_BODY, "####"), "wrong"),
        (signed(CONTROL_BODY, "AAAA"), "wrong"),
        (signed(CONTROL_BODY, ""), "missing"),
        (signed(CONTROL_BODY, CONTROL_SIGNATURE, stamp=""), "missing"),
        (signed(CONTROL_BODY, CONTROL_SIGNATURE, stamp="soon"), "time"),
    ],
)
def test_a_webhook_without_a_good_proof_is_refused(webhook: Webhook, reason: str) -> None:
    assert reason in carrier().refusal(webhook)


def test_without_a_key_every_webhook_is_believed() -> None:
    assert carrier({}).refusal(signed(CONTROL_BODY, "")) == ""


@pytest.mark.parametrize("key", ["not base64!", "AAAA"])
def test_a_key_that_cannot_be_one_is_refused_at_the_start(key: str) -> None:
    with pytest.raises(ProviderRefused, match="telnyx_public_key"):
        carrier({"public_key": key})


def test_the_simulator_signs_as_telnyx_does() -> None:
    request = TelnyxWire(FACTS, secret=SEED).webhook(URL, at=AT)
    assert carrier().refusal(received(request)) == ""


# ── TeXML ──


def test_a_texml_call_is_connected_with_our_socket() -> None:
    wire = TelnyxWire(FACTS)
    answer = carrier().answer(received(wire.webhook(URL, at=AT)), OFFER)
    stream = wire.stream(answer.status, answer.media_type, answer.body)
    element = fromstring(answer.body)[0][0]
    assert stream.url == OFFER.url
    assert stream.parameters == {"agent": 'a "b" <c>', "token": "tok&1"}
    assert element.get("bidirectionalMode") == "rtp"
    assert (element.get("bidirectionalCodec"), element.get("bidirectionalSamplingRate")) == ("PCMU", "8000")
    assert answer.call is not None
    assert (answer.call.call_id, answer.call.caller, answer.call.callee) == ("v3:abc", "+15005550006", "+15005550001")
    assert (answer.call.direction, answer.requests, answer.event) == ("inbound", (), None)


def test_a_dialled_texml_call_is_outbound() -> None:
    wire = TelnyxWire(PhoneFacts(call_id="v3:abc", stream_id="1", direction="outbound"))
    answer = carrier().answer(received(wire.form(f"{URL}?dial=1", at=AT, CallStatus="in-progress")), OFFER)
    assert answer.call is not None
    assert answer.call.direction == "outbound"


@pytest.mark.parametrize(
    ("query", "fields", "kind", "value"),
    [
        ("", {"StreamEvent": "stream-started", "StreamId": "s"}, "stream", "started"),
        ("", {"StreamEvent": "stream-error", "StreamError": "x"}, "stream", "error"),
        ("?news=call", {"CallStatus": "ringing"}, "status", "ringing"),
        ("", {"CallStatus": "completed", "CallDuration": "9"}, "ended", "completed"),
        ("?news=call", {"CallStatus": "no-answer"}, "ended", "no-answer"),
        ("?news=machine", {"AnsweredBy": "human", "CallStatus": "in-progress"}, "machine", "human"),
        ("", {"AnsweredBy": "machine_end_beep"}, "machine", "machine"),
        ("?news=machine", {"AnsweredBy": "not_sure"}, "machine", "unknown"),
    ],
)
def test_texml_callbacks_are_news(query: str, fields: dict[str, str], kind: str, value: str) -> None:
    answer = carrier().answer(received(TelnyxWire(FACTS).form(URL + query, at=AT, **fields)), OFFER)
    assert answer.call is None
    assert (answer.status, answer.body) == (200, b"")
    assert answer.event is not None
    assert (answer.event.call_id, answer.event.kind, answer.event.value) == ("v3:abc", kind, value)


def test_a_caller_is_told_that_all_lines_are_taken() -> None:
    answer = carrier().busy()
    with pytest.raises(CallRefusedError, match="busy"):
        TelnyxWire(FACTS).stream(answer.status, answer.media_type, answer.body)


# ── Call Control ──


def test_a_call_control_call_is_answered_by_a_command() -> None:
    wire = control()
    answer = carrier().answer(received(wire.webhook(URL, at=AT)), OFFER)
    (request,) = answer.requests
    assert request.url == "https://api.telnyx.com/v2/calls/v3%3Aabc/actions/answer"
    assert request.headers["Authorization"] == "Bearer KEY1"
    assert (answer.status, answer.body, answer.event) == (200, b"", None)
    wire.rest(asked(request))
    stream = wire.stream(answer.status, answer.media_type, answer.body)
    assert (stream.url, stream.parameters["token"]) == (OFFER.url, "tok&1")
    assert request.json["stream_bidirectional_target_legs"] == "self"
    assert 422 in request.gone
    assert "stream_codec" not in request.json


def test_high_definition_is_asked_for_in_both_directions() -> None:
    answer = carrier(codec="L16").answer(received(control().webhook(URL, at=AT)), OFFER)
    fields = answer.requests[0].json
    assert (fields["stream_codec"], fields["stream_bidirectional_codec"]) == ("L16", "L16")
    assert fields["stream_bidirectional_sampling_rate"] == 16_000


def test_a_repeated_event_is_not_acted_upon_twice() -> None:
    telnyx, webhook = carrier(), received(control().webhook(URL, at=AT))
    assert telnyx.answer(webhook, OFFER).requests
    again = telnyx.answer(webhook, OFFER)
    assert (again.call, again.requests, again.event, again.status) == (None, (), None, 200)


def test_a_second_attempt_is_answered_by_the_same_command() -> None:
    """Our first answer may have been lost, together with what it was to lead to."""
    telnyx, wire = carrier(), control()
    first, second = (
        telnyx.answer(
            received(wire.event(URL, "call.initiated", at=AT, attempt=it, event_id="1", direction="incoming")), OFFER
        )
        for it in (1, 2)
    )
    assert first.requests[0].json["command_id"] == second.requests[0].json["command_id"]


def test_only_so_many_events_are_remembered() -> None:
    telnyx, wire = carrier(), control()
    for _ in range(5000):
        telnyx.answer(received(wire.event(URL, "call.answered", at=AT)), OFFER)
    assert len(telnyx._seen) < 5000


def test_all_lines_taken_is_told_by_a_command() -> None:
    wire = control()
    (request,) = carrier().answer(received(wire.webhook(URL, at=AT)), OFFER).when_busy
    assert request.url.endswith("/reject")
    assert wire.rest(asked(request)).ended


@pytest.mark.parametrize(
    ("event", "payload", "kind", "value"),
    [
        ("call.initiated", {"direction": "outgoing"}, "status", "initiated"),
        ("call.answered", {}, "status", "answered"),
        ("call.hangup", {"hangup_cause": "normal_clearing", "hangup_source": "caller"}, "ended", "normal_clearing"),
        ("call.hangup", {}, "ended", "unknown"),
        ("call.machine.detection.ended", {"result": "human"}, "machine", "human"),
        ("call.machine.detection.ended", {"result": "not_sure"}, "machine", "unknown"),
        ("call.machine.premium.detection.ended", {"result": "human_business"}, "machine", "human"),
        ("call.machine.premium.detection.ended", {"result": "fax_detected"}, "machine", "fax"),
        ("call.machine.greeting.ended", {"result": "beep_detected"}, "machine", "machine"),
        ("streaming.failed", {"failure_reason": "connection_failed"}, "stream", "failed"),
    ],
)
def test_call_control_events_are_news(event: str, payload: dict[str, str], kind: str, value: str) -> None:
    answer = carrier().answer(received(control().event(URL, event, at=AT, **payload)), OFFER)
    assert answer.event is not None
    assert (answer.call, answer.requests) == (None, ())
    assert (answer.event.call_id, answer.event.kind, answer.event.value) == ("v3:abc", kind, value)


def test_unknown_events_are_ignored() -> None:
    answer = carrier().answer(received(control().event(URL, "call.new.thing", at=AT, more={"a": [1]})), OFFER)
    assert (answer.status, answer.event, answer.requests) == (200, None, ())


@pytest.mark.parametrize(
    "body", [b"", b"[", b"[]", b'{"data":1}', b'{"data":{"event_type":"call.initiated"}}', b"\xff"]
)
def test_a_webhook_without_sense_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        carrier().answer(Webhook(method="POST", url=URL, body=body), OFFER)


def test_a_call_that_cannot_be_answered_without_a_key_says_so() -> None:
    with pytest.raises(ValueError, match="telnyx_api_key"):
        carrier({}).answer(received(control().webhook(URL, at=AT)), OFFER)


@pytest.mark.parametrize(
    ("webhook", "claimed"),
    [
        (received(TelnyxWire(FACTS).webhook(URL, at=AT)), True),
        (received(control().webhook(URL, at=AT)), True),
        (signed(b"", "x"), True),
        (Webhook(method="POST", url=URL, body=b'{"data":{"record_type":"event","event_type":"x"}}'), True),
        (Webhook(method="POST", url=URL, form=(("CallSid", "CA1"), ("AccountSid", "AC1"))), False),
        (Webhook(method="GET", url=URL), False),
        (Webhook(method="POST", url=URL, body=b'{"uuid":"1"}'), False),
    ],
)
def test_only_telnyx_webhooks_are_claimed(webhook: Webhook, claimed: bool) -> None:
    assert carrier().claims(webhook) is claimed


# ── REST ──


@pytest.mark.parametrize(
    ("request_", "action", "fields"),
    [
        (carrier().hang_up(CALL), "hangup", {}),
        (carrier().transfer(CALL, "+15005550009"), "transfer", {"to": "+15005550009"}),
        (carrier().send_dtmf(CALL, "1w#"), "send_dtmf", {"digits": "1w#"}),
    ],
)
def test_commands_name_the_call_in_a_safe_address(request_, action: str, fields: dict[str, str]) -> None:
    assert request_.method == "POST"
    assert request_.url == f"https://api.telnyx.com/v2/calls/v3%3Aa%2Fb/actions/{action}"
    sent = dict(request_.json)
    assert (sent.pop("command_id", "") == "") is (action == "hangup")
    assert sent == fields


def test_a_call_that_is_over_already_was_hung_up_well() -> None:
    wire, request = TelnyxWire(FACTS), carrier().hang_up(PhoneCall(carrier="telnyx", call_id="v3:abc"))
    assert wire.rest(asked(request)).ended
    assert wire.rest(asked(request)).status in request.gone
    assert 404 in request.gone


def test_each_command_has_an_id_of_its_own() -> None:
    first, second = (carrier().send_dtmf(CALL, "1").json["command_id"] for _ in range(2))
    assert first != second


def test_keys_that_do_not_exist_are_not_sent() -> None:
    assert carrier().send_dtmf(CALL, "1x") is None


def test_without_a_key_nothing_can_be_asked_for() -> None:
    bare = carrier({})
    assert (bare.hang_up(CALL), bare.transfer(CALL, "+1"), bare.send_dtmf(CALL, "1")) == (None, None, None)
    assert (bare.transfers, bare.sends_dtmf) == (False, False)
    with pytest.raises(ValueError, match="telnyx_api_key"):
        bare.dial(DIAL)


def test_a_call_is_placed_by_call_control() -> None:
    request = carrier(connection_id="77", machine_detection="premium").dial(DIAL)
    answer = control().rest(asked(request))
    assert answer.stream is not None
    assert answer.stream.parameters["token"] == "tok&1"
    assert carrier().dialled(answer.body) == "v3:abc"
    assert request.url == "https://api.telnyx.com/v2/calls"
    assert (request.json["to"], request.json["from"]) == ("+15005550006", "+15005550001")
    assert request.json["answering_machine_detection"] == "premium"
    assert request.json["webhook_url"] == DIAL.answer_url
    assert request.gone == ()


def test_a_call_is_placed_by_texml() -> None:
    request = carrier(dial_by="texml", texml_account_sid="a/1", texml_application_sid="9").dial(DIAL)
    form = dict(request.form)
    answer = TelnyxWire(FACTS).rest(asked(request))
    assert (answer.answer_url, carrier().dialled(answer.body)) == (DIAL.answer_url, "v3:abc")
    assert request.url == "https://api.telnyx.com/v2/texml/Accounts/a%2F1/Calls"
    assert (form["To"], form["From"], form["ApplicationSid"]) == ("+15005550006", "+15005550001", "9")
    assert (form["Url"], form["AsyncAmd"]) == (DIAL.answer_url, "true")
    assert form["AsyncAmdStatusCallback"] == f"{URL}?news=machine"


@pytest.mark.parametrize(
    ("options", "dial", "named"),
    [
        ({}, DIAL, "connection_id"),
        ({"dial_by": "texml"}, DIAL, "texml_account_sid"),
        ({"connection_id": "1"}, Dial(to="+1", caller="", offer=OFFER, answer_url=""), "caller_id"),
    ],
)
def test_dialling_says_what_is_missing(options: dict[str, str], dial: Dial, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        carrier(**options).dial(dial)


@pytest.mark.parametrize(
    "answer", [{"data": {"call_control_id": "v3:x"}}, {"sid": "v3:x"}, {"data": {"sid": "v3:x"}}, {"call_sid": "v3:x"}]
)
def test_the_answer_to_dialling_names_the_call(answer: dict[str, object]) -> None:
    assert carrier().dialled(answer) == "v3:x"


def test_an_answer_that_names_no_call_is_an_error() -> None:
    with pytest.raises(ValueError, match="no call"):
        carrier().dialled({"data": {"call_control_id": None}})


# ── the media socket ──


def test_a_stream_is_recognised_with_all_that_it_says() -> None:
    wire = TelnyxWire(FACTS)
    answer = carrier().answer(received(wire.webhook(URL, at=AT)), OFFER)
    stream = wire.stream(answer.status, answer.media_type, answer.body)
    opening = wire.opening(stream)
    assert carrier().recognize(opening[:1], {}) is None
    start = carrier().recognize(opening, wire.handshake(stream, at=AT))
    assert start is not None
    assert (start.call.call_id, start.call.stream_id, start.call.caller) == ("v3:abc", "32de0dea", "+15005550006")
    assert start.call.parameters["token"] == "tok&1"
    assert start.call.details["encoding"] == "PCMU"


def test_the_token_may_come_in_the_handshake_or_the_first_message() -> None:
    wire = control()
    request = carrier().answer(received(wire.webhook(URL, at=AT)), OFFER).requests[0]
    wire.rest(asked(request))
    stream = wire.stream(200, "", b"")
    connected, start = wire.opening(stream)
    bare = json.loads(start)
    bare["start"]["custom_parameters"] = {}
    by_header = carrier().recognize(["{}", json.dumps(bare)], wire.handshake(stream, at=AT))
    by_message = carrier().recognize([connected, json.dumps(bare)], {})
    assert by_header.call.parameters["token"] == by_message.call.parameters["token"] == "tok&1"


@pytest.mark.parametrize(
    "messages",
    [
        ['{"event":"connected","protocol":"Call","version":"1.0.0"}'],
        ['{"event":"start","streamSid":"MZ1","start":{"streamSid":"MZ1","callSid":"CA1","customParameters":{}}}'],
        ['{"event":"start","start":{"streamId":"1","callId":"2"}}'],
        [b"\x00\x01"],
        ["[" * 100_000],
        ['{"event":"connected","version":"1.0.0"}', '{"event":"stop","stream_id":"1","stop":{}}'],
        [],
    ],
)
def test_other_carriers_streams_are_left_to_them(messages: list[str | bytes]) -> None:
    assert carrier().recognize(messages, {}) is None


@pytest.mark.parametrize("codec", ["OPUS", "G722", "AMR-WB"])
def test_a_codec_that_cannot_be_decoded_is_named(codec: str) -> None:
    start = {"call_control_id": "v3:1", "media_format": {"encoding": codec, "sample_rate": 8000}}
    with pytest.raises(ValueError, match=f'"{codec}"'):
        carrier().recognize([json.dumps({"event": "start", "stream_id": "1", "start": start})], {})
