"""Twilio's webhooks, proofs and REST requests."""

from xml.etree.ElementTree import fromstring

import httpx
import pytest
import voxray_twilio

from voxray.protocols.carrier import Dial, PhoneCall, StreamOffer, Webhook
from voxray.registry import make
from voxray.testing.plugin_check import check_plugin
from voxray.wire.context import Context

(SPEC,) = voxray_twilio.voxray_register_transports()
TOKEN = "12345678901234567890123456789012"
OFFER = StreamOffer(
    url="wss://voice.example.com/telephony/ws",
    token="tok&1",
    events_url="https://voice.example.com/telephony/twilio",
    parameters={"agent": 'a "b" <c>'},
)
FORM = (
    ("AccountSid", "AC00000000000000000000000000000001"),
    ("ApiVersion", "2010-04-01"),
    ("CallSid", "CA00000000000000000000000000000001"),
    ("CallStatus", "ringing"),
    ("CallerName", "Zoë O'Neil"),
    ("Direction", "inbound"),
    ("Empty", ""),
    ("From", "+15005550006"),
    ("To", "+15005550001"),
)
CALL = PhoneCall(carrier="twilio", call_id="CA1", account_id="AC1")


def carrier(secrets: dict[str, str] | None = None, **options: object):
    context = Context(
        "twilio",
        http=httpx.AsyncClient(),
        secrets=lambda key: (secrets or {}).get(key, ""),
        base_url="https://api.twilio.com",
    )
    return make(SPEC, context, options)


def equipped(**options: object):
    return carrier({"account_sid": "AC1", "auth_token": TOKEN}, **options)


def webhook(
    url: str = "https://voice.example.com/?lang=en", *, query=(), form=FORM, body=b"x", **headers: str
) -> Webhook:
    return Webhook(
        method="POST",
        url=url,
        query=query,
        form=form,
        body=body,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def test_the_plugin_keeps_its_contract() -> None:
    check_plugin("voxray_twilio")


# ── proofs, by the vectors of the specification ──

SHA1 = "vYR0SlmTsoFImuFpuvOrCjk169k="
SHA256 = "6p4wX5suu368SmbskfaxzFlIa+NhSu3kcLvoIjR65xU="
KEYED = "key=K1,algorithm=HMAC_SHA256"


def test_a_signed_form_is_accepted() -> None:
    assert equipped().refusal(webhook(x_twilio_signature=SHA1)) == ""


@pytest.mark.parametrize("settings", [KEYED, "algorithm=HMAC_SHA256"])
def test_the_newer_hash_is_accepted_where_the_header_names_it(settings: str) -> None:
    sent = webhook(x_twilio_signature=SHA256, x_twilio_webhooks_signature_settings=settings)
    assert equipped().refusal(sent) == ""
    assert carrier({"webhook_key": TOKEN}).refusal(sent) == ""


def test_the_newer_hash_is_not_taken_for_the_older_and_the_reverse() -> None:
    assert equipped().refusal(webhook(x_twilio_signature=SHA256))
    assert equipped().refusal(webhook(x_twilio_signature=SHA1, x_twilio_webhooks_signature_settings=KEYED))


def test_an_unknown_hash_is_refused() -> None:
    sent = webhook(x_twilio_signature=SHA1, x_twilio_webhooks_signature_settings="algorithm=MD5")
    assert equipped().refusal(sent) == "unknown signature algorithm"


def test_each_distinct_value_of_a_repeated_field_counts_once() -> None:
    sent = webhook(form=(("A", "2"), ("A", "1"), ("A", "1")), x_twilio_signature="+XJUKcQ4hsg77TfW8pNk4dutOGw=")
    assert equipped().refusal(sent) == ""


@pytest.mark.parametrize("host", ["voice.example.com", "voice.example.com:443"])
def test_the_default_port_may_be_written_or_not(host: str) -> None:
    assert equipped().refusal(webhook(f"https://{host}/?lang=en", x_twilio_signature=SHA1)) == ""


JSON_HASH = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
JSON_PROOF = "dA51RUoPuuW6PMi0h/jXJ658F6A="


def json_webhook(body: bytes) -> Webhook:
    url = f"https://voice.example.com/hook?bodySHA256={JSON_HASH}"
    return webhook(url, query=(("bodySHA256", JSON_HASH),), form=(), body=body, x_twilio_signature=JSON_PROOF)


def test_a_json_body_is_proved_by_its_hash_in_the_address() -> None:
    assert equipped().refusal(json_webhook(b'{"a":1}')) == ""
    assert equipped().refusal(json_webhook(b'{"a":2}')) == "bodySHA256 is not the body's"


def test_a_body_that_no_signature_covers_is_refused() -> None:
    sent = webhook("https://voice.example.com/", form=(), body=b"{}", x_twilio_signature=SHA1)
    assert equipped().refusal(sent) == "the body is not covered by the signature"


@pytest.mark.parametrize(
    "sent",
    [
        webhook(),
        webhook(x_twilio_signature=""),
        webhook(x_twilio_signature="rubbish"),
        webhook(x_twilio_signature=SHA1, form=(*FORM[:-1], ("To", "+15005550002"))),
        webhook("https://voice.example.com/?lang=de", x_twilio_signature=SHA1),
        webhook("http://voice.example.com/?lang=en", x_twilio_signature=SHA1),
        webhook("https://evil.example.com/?lang=en", x_twilio_signature=SHA1),
    ],
)
def test_missing_and_wrong_signatures_are_refused(sent: Webhook) -> None:
    assert equipped().refusal(sent)


def test_without_a_secret_nothing_is_refused() -> None:
    assert carrier().refusal(webhook()) == ""


# ── answers ──


def document(answer):
    assert answer.status == 200
    assert answer.media_type.startswith("text/xml")
    return fromstring(answer.body)


def test_a_call_is_connected_to_our_socket_with_token_and_parameters() -> None:
    answer = carrier().answer(webhook(), OFFER)
    response = document(answer)
    assert [element.tag for element in response.iter()] == ["Response", "Connect", "Stream", "Parameter", "Parameter"]
    assert response.find("Connect/Stream").attrib == {
        "url": "wss://voice.example.com/telephony/ws",
        "statusCallback": "https://voice.example.com/telephony/twilio",
        "statusCallbackMethod": "POST",
    }
    parameters = {item.attrib["name"]: item.attrib["value"] for item in response.iter("Parameter")}
    assert parameters == {"agent": 'a "b" <c>', "token": "tok&1"}
    assert answer.body.startswith(b"<?xml")
    call = answer.call
    assert (call.call_id, call.caller, call.callee, call.direction) == (
        "CA00000000000000000000000000000001",
        "+15005550006",
        "+15005550001",
        "inbound",
    )
    assert call.details["CallerName"] == "Zoë O'Neil"


def test_a_webhook_by_get_is_answered_too() -> None:
    answer = carrier().answer(Webhook(method="GET", url="https://x/", query=FORM), OFFER)
    assert answer.call.caller == "+15005550006"


def test_a_parameter_that_twilio_would_not_carry_is_an_error() -> None:
    with pytest.raises(ValueError, match="too long"):
        carrier().answer(webhook(), StreamOffer(url="wss://x/", token="t", parameters={"p": "x" * 499}))


def test_a_webhook_without_a_call_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="CallSid"):
        carrier().answer(webhook(form=()), OFFER)


def test_a_full_house_sounds_busy() -> None:
    response = document(carrier().busy())
    assert [(item.tag, item.attrib) for item in response] == [("Reject", {"reason": "busy"})]


@pytest.mark.parametrize(
    ("fields", "kind", "value"),
    [
        ({"CallStatus": "completed", "CallDuration": "12"}, "ended", "completed"),
        ({"CallStatus": "no-answer"}, "ended", "no-answer"),
        ({"CallStatus": "ringing", "CallbackSource": "call-progress-events"}, "status", "ringing"),
        ({"StreamEvent": "stream-error", "StreamError": "late"}, "stream", "stream-error"),
        ({"AnsweredBy": "human"}, "machine", "human"),
        ({"AnsweredBy": "machine_end_beep"}, "machine", "machine"),
        ({"AnsweredBy": "fax"}, "machine", "fax"),
        ({"AnsweredBy": "unknown"}, "machine", "unknown"),
    ],
)
def test_callbacks_are_news_and_answered_with_nothing(fields: dict[str, str], kind: str, value: str) -> None:
    answer = carrier().answer(webhook(form=(("CallSid", "CA1"), *fields.items())), OFFER)
    assert (answer.status, answer.body, answer.call) == (204, b"", None)
    assert (answer.event.call_id, answer.event.kind, answer.event.value) == ("CA1", kind, value)


def test_a_verdict_may_come_with_the_call() -> None:
    answer = carrier().answer(webhook(form=(*FORM, ("AnsweredBy", "machine_start"))), OFFER)
    assert answer.call is not None
    assert answer.event.value == "machine"


def test_twilios_requests_are_told_from_others() -> None:
    twilio = carrier()
    assert twilio.claims(webhook())
    assert twilio.claims(webhook(form=(), x_twilio_signature="x"))
    assert twilio.claims(webhook(form=(), user_agent="TwilioProxy/1.1"))
    assert not twilio.claims(webhook(form=(("CallUUID", "1"),)))
    assert not twilio.claims(webhook(form=(("CallSid", "v3:abc"), ("AccountSid", "1234"))))


# ── REST ──


def test_a_call_is_hung_up_by_completing_it() -> None:
    request = equipped().hang_up(CALL)
    assert (request.method, request.url) == ("POST", "https://api.twilio.com/2010-04-01/Accounts/AC1/Calls/CA1.json")
    assert list(request.form) == [("Status", "completed")]
    assert request.headers["Authorization"] == httpx.BasicAuth("AC1", TOKEN)._auth_header
    assert request.gone == (404,)


def test_an_api_key_is_preferred_for_rest() -> None:
    request = carrier({"account_sid": "AC1", "auth_token": TOKEN, "api_key": "SK1", "api_secret": "s"}).hang_up(CALL)
    assert request.headers["Authorization"] == httpx.BasicAuth("SK1", "s")._auth_header


def test_ids_cannot_lead_out_of_their_place_in_the_address() -> None:
    request = equipped().hang_up(PhoneCall(carrier="twilio", call_id="../../x?y", account_id="a/b"))
    assert request.url == "https://api.twilio.com/2010-04-01/Accounts/a%2Fb/Calls/..%2F..%2Fx%3Fy.json"


def test_without_credentials_closing_the_stream_ends_the_call() -> None:
    twilio = carrier()
    assert twilio.hang_up(CALL) is None
    assert twilio.transfer(CALL, "+1") is None
    assert not twilio.transfers


@pytest.mark.parametrize(
    ("to", "path"), [("+15005550009", "Dial"), ("sip:a&b@x.example", "Dial/Sip"), ("client:zoe", "Dial/Client")]
)
def test_a_transfer_dials_by_new_twiml(to: str, path: str) -> None:
    request = equipped().transfer(CALL, to)
    ((name, twiml),) = request.form
    assert name == "Twiml"
    assert fromstring(twiml).find(path).text == to.removeprefix("client:")
    assert equipped().transfers


def test_keys_need_no_request() -> None:
    assert equipped().send_dtmf(CALL, "1") is None
    assert equipped().sends_dtmf


DIAL = Dial(to="+15005550006", caller="+15005550001", offer=OFFER, answer_url="https://voice.example.com/?dial=d")


def test_a_call_is_placed_with_our_addresses() -> None:
    request = equipped().dial(DIAL)
    assert request.url == "https://api.twilio.com/2010-04-01/Accounts/AC1/Calls.json"
    assert list(request.form) == [
        ("To", "+15005550006"),
        ("From", "+15005550001"),
        ("Url", "https://voice.example.com/?dial=d"),
        ("Method", "POST"),
        ("Timeout", "60"),
        ("StatusCallback", "https://voice.example.com/telephony/twilio"),
        ("StatusCallbackMethod", "POST"),
        *(("StatusCallbackEvent", event) for event in ("initiated", "ringing", "answered", "completed")),
    ]
    assert equipped().dialled({"sid": "CA9", "status": "queued"}) == "CA9"


def test_machine_detection_does_not_hold_up_the_call() -> None:
    dial = Dial(to="1", caller="2", offer=OFFER, answer_url="https://x/", machine_detection=True)
    form = dict(equipped(machine_detection_mode="DetectMessageEnd").dial(dial).form)
    assert form["MachineDetection"] == "DetectMessageEnd"
    assert form["AsyncAmd"] == "true"
    assert form["AsyncAmdStatusCallback"] == OFFER.events_url


def test_what_is_missing_for_a_call_is_named() -> None:
    with pytest.raises(ValueError, match="twilio_account_sid and twilio_auth_token"):
        carrier().dial(DIAL)
    with pytest.raises(ValueError, match=r"telephony\.caller_id"):
        equipped().dial(Dial(to="1", caller="", offer=OFFER, answer_url="https://x/"))
    with pytest.raises(ValueError, match="names no call"):
        equipped().dialled({})


# ── the media socket ──


def start(**changes: object) -> dict[str, object]:
    return {
        "event": "start",
        "sequenceNumber": "1",
        "start": {
            "accountSid": "AC1",
            "streamSid": "MZ1",
            "callSid": "CA1",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"token": "t", "from": "+15005550006", "n": 5},
            **changes,
        },
        "streamSid": "MZ1",
    }


CONNECTED = '{"event":"connected","protocol":"Call","version":"1.0.0"}'


def opening(**changes: object) -> list[str]:
    import json

    return [CONNECTED, json.dumps(start(**changes))]


def test_a_stream_is_recognised_by_its_start() -> None:
    started = carrier().recognize(opening(), {})
    call = started.call
    assert (call.carrier, call.call_id, call.stream_id, call.account_id) == ("twilio", "CA1", "MZ1", "AC1")
    assert call.parameters == {"token": "t", "from": "+15005550006", "n": "5"}
    assert call.caller == "+15005550006"
    assert started.serializer.audio_in.rate_hz == 8000


@pytest.mark.parametrize("format", [{"encoding": "audio/x-mulaw", "sampleRate": "8000", "channels": "1"}, {}])
def test_numbers_may_come_as_strings_or_not_at_all(format: object) -> None:
    assert carrier().recognize(opening(mediaFormat=format), {}) is not None


@pytest.mark.parametrize(
    "messages",
    [
        [CONNECTED],
        [CONNECTED, '{"event":"stop","streamSid":"MZ1"}'],
        [b"\x00\x01"],
        ["[]"],
        ["[" * 100_000],
        ['{"event":"start","start":[]}'],
        ['{"event":"start","start":{"streamId":"1","callId":"2"}}'],
        ['{"event":"start","start":{"stream_sid":"1","call_sid":"2"}}'],
        ['{"event":"websocket:connected","content-type":"audio/l16;rate=16000"}'],
    ],
)
def test_other_streams_are_left_to_others(messages: list[str | bytes]) -> None:
    assert carrier().recognize(messages, {}) is None


def test_audio_that_twilio_does_not_send_is_an_error() -> None:
    with pytest.raises(ValueError, match="audio/x-l16"):
        carrier().recognize(opening(mediaFormat={"encoding": "audio/x-l16", "sampleRate": 8000, "channels": 1}), {})


HANDSHAKE = {
    "@authority": "voice.example.com",
    "@request-target": "/telephony/ws",
    "x-twilio-signature": "gwpmy61lCTN1lHHlCu0pMEeDRJo=",
}


def test_a_signed_handshake_proves_the_stream_where_it_is_asked_for() -> None:
    twilio = equipped(verify_handshake=True)
    assert twilio.proves_streams
    assert twilio.recognize(opening(), HANDSHAKE) is not None
    assert twilio.recognize(opening(), {**HANDSHAKE, "@authority": "voice.example.com:443"}) is not None
    for wrong in ({}, {**HANDSHAKE, "x-twilio-signature": "x"}, {**HANDSHAKE, "@authority": "other.example.com"}):
        with pytest.raises(ValueError, match="not signed"):
            twilio.recognize(opening(), wrong)
    assert equipped().recognize(opening(), {}) is not None
