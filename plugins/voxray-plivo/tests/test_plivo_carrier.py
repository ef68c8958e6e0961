"""Plivo's webhooks, proofs and REST requests."""

import json
from urllib.parse import parse_qsl, urlsplit
from xml.etree.ElementTree import fromstring

import httpx
import pytest
import voxray_plivo
from voxray_plivo import xml

from voxray.protocols.carrier import Dial, PhoneCall, StreamOffer, Webhook
from voxray.registry import make
from voxray.testing.plugin_check import check_plugin
from voxray.wire.context import Context

(SPEC,) = voxray_plivo.voxray_register_transports()
TOKEN, NONCE = "plivosecrettoken", "12345678901234567"
UUID = "5b1b7a3e-0000-4000-8000-000000000001"
EVENTS = "https://voice.example.com/telephony/plivo"
OFFER = StreamOffer(
    url="wss://voice.example.com/telephony/ws", token="a-B_9", events_url=EVENTS, parameters={"agent": "front desk"}
)
FORM = (
    ("CallUUID", UUID),
    ("From", "15005550006"),
    ("To", "15005550001"),
    ("CallStatus", "ringing"),
    ("Direction", "inbound"),
)
CALL = PhoneCall(carrier="plivo", call_id="c1", details={"events_url": EVENTS})


def carrier(secrets: dict[str, str] | None = None, **options: object):
    context = Context(
        "plivo",
        http=httpx.AsyncClient(),
        secrets=lambda key: (secrets or {}).get(key, ""),
        base_url="https://api.plivo.com",
    )
    return make(SPEC, context, options)


def equipped(**options: object):
    return carrier({"auth_id": "MA1", "auth_token": TOKEN}, **options)


def webhook(
    url: str = "https://voice.example.com/", *, form=FORM, method="POST", body=b"", nonce=NONCE, v3="", ma=""
) -> Webhook:
    headers = {
        "x-plivo-signature-v3-nonce": nonce,
        "x-plivo-signature-v3": v3,
        "x-plivo-signature-ma-v3": ma,
    }
    query = tuple(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    present = {name: value for name, value in headers.items() if value}
    return Webhook(method=method, url=url, query=query, form=form, body=body, headers=present)


def test_the_plugin_keeps_its_contract() -> None:
    check_plugin("voxray_plivo")


# ── proofs, by the vectors of the specification ──

QUERIED = "https://voice.example.com/?b=2&a=1"
PROOF = "j6/w4BAS+YxBLJN8XXQEXRYZmpbtMEqAczGP7/uFx6U="
VECTORS = [
    webhook(QUERIED, v3=PROOF),
    webhook(form=FORM[:2], v3="UM8UYyqKKn3bQF8Tf/RkxT1gff5bDEyTQtzlWbo77KM="),
    webhook(f"{QUERIED}&CallUUID=abc", method="GET", form=(), v3="ZxWm1pzp4XX9WryW3wypuvwg3bs6husxux064BVGiG4="),
    webhook(form=(), v3="Y7Q/WQDpgUv3gb9RetVMb8J8EH4+uGnx2ShYISw8Sio="),
    webhook(QUERIED, v3=f"AAAA, {PROOF} ,BBBB"),
]


@pytest.mark.parametrize("sent", VECTORS, ids=["both", "form", "query", "neither", "candidates"])
def test_signed_requests_are_accepted(sent: Webhook) -> None:
    assert equipped().refusal(sent) == ""
    assert carrier({"auth_token": TOKEN, "main_auth_token": "other"}).refusal(sent) == ""
    assert carrier().refusal(sent) == ""


def test_the_main_accounts_signature_is_checked_with_its_own_token() -> None:
    main = carrier({"auth_token": "other", "main_auth_token": TOKEN})
    assert main.refusal(webhook(QUERIED, ma=PROOF)) == ""
    assert main.refusal(webhook(QUERIED, v3=PROOF))
    assert equipped().refusal(webhook(QUERIED, ma=PROOF))


@pytest.mark.parametrize(
    "sent",
    [
        webhook(QUERIED),
        webhook(QUERIED, v3=PROOF, nonce=""),
        webhook(QUERIED, v3=PROOF, nonce="1"),
        webhook(QUERIED, v3="," * 100),
        webhook("https://voice.example.com/?b=2&a=3", v3=PROOF),
        webhook(QUERIED, v3=PROOF, form=FORM[:-1]),
        webhook("https://evil.example.com/?b=2&a=1", v3=PROOF),
        webhook(form=(), body=b"{}", v3="Y7Q/WQDpgUv3gb9RetVMb8J8EH4+uGnx2ShYISw8Sio="),
    ],
)
def test_missing_and_wrong_signatures_are_refused(sent: Webhook) -> None:
    assert equipped().refusal(sent)


# ── answers ──


def document(answer):
    assert answer.status == 200
    assert answer.media_type.startswith("application/xml")
    return fromstring(answer.body)


def test_a_call_is_streamed_to_our_socket_with_token_and_parameters() -> None:
    answer = carrier().answer(webhook(), OFFER)
    response = document(answer)
    (stream,) = response
    assert (response.tag, stream.tag) == ("Response", "Stream")
    assert stream.text == "wss://voice.example.com/telephony/ws?token=a-B_9"
    parameters = xml.read_extra_headers(stream.attrib.pop("extraHeaders"))
    assert parameters == {"agent": "front desk", "token": "a-B_9"}
    assert stream.attrib == {
        "bidirectional": "true",
        "keepCallAlive": "true",
        "contentType": "audio/x-mulaw;rate=8000",
        "statusCallbackUrl": EVENTS,
        "statusCallbackMethod": "POST",
    }
    call = answer.call
    assert (call.call_id, call.caller, call.callee, call.direction) == (UUID, "15005550006", "15005550001", "inbound")


def test_the_configuration_chooses_what_audio_is_asked_for() -> None:
    answer = carrier(content_type="audio/x-l16;rate=16000").answer(webhook(), OFFER)
    assert document(answer)[0].attrib["contentType"] == "audio/x-l16;rate=16000"


def test_a_query_in_the_address_of_the_socket_is_kept() -> None:
    offer = StreamOffer(url="wss://x/ws?a=1&b=2", token="t")
    assert document(carrier().answer(webhook(), offer))[0].text == "wss://x/ws?a=1&b=2&token=t"


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("{}", {}),
        ("", {}),
        ("{X-PH-session: 5f0c}", {"session": "5f0c"}),
        ("k=v;k2=v2", {"k": "v", "k2": "v2"}),
        ("{X-PH-a: 1, x-ph-b: 2}", {"a": "1", "b": "2"}),
        ("tokenHex=612d42", {"token": "a-B"}),
        ("X-PH-tokenHex: zz", {"tokenHex": "zz"}),
        ("nonsense", {}),
        ("url=a:b=c", {"url": "a:b=c"}),
    ],
)
def test_extra_headers_are_read_however_they_are_written(text: str, parameters: dict[str, str]) -> None:
    assert xml.read_extra_headers(text) == parameters


@pytest.mark.parametrize("parameters", [{"a": "1"}, {"aHex": "61"}, {"t": "ü -_=,;:{}"}, {"t": ""}])
def test_extra_headers_come_back_as_they_were(parameters: dict[str, str]) -> None:
    assert xml.read_extra_headers(xml.extra_headers(parameters)) == parameters


@pytest.mark.parametrize("parameters", [{"a-b": "1"}, {"a": "x" * 511}])
def test_parameters_that_plivo_would_not_carry_are_an_error(parameters: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="Plivo carries"):
        carrier().answer(webhook(), StreamOffer(url="wss://x/", token="t", parameters=parameters))


def test_a_webhook_without_a_call_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="CallUUID"):
        carrier().answer(webhook(form=()), OFFER)


def test_a_full_house_sounds_busy() -> None:
    assert [(item.tag, item.attrib) for item in document(carrier().busy())] == [("Hangup", {"reason": "busy"})]


@pytest.mark.parametrize(
    ("fields", "kind", "value"),
    [
        ({"Event": "Hangup", "CallStatus": "completed"}, "ended", "completed"),
        ({"CallStatus": "no-answer"}, "ended", "no-answer"),
        ({"Event": "Ring", "CallStatus": "ringing"}, "status", "ringing"),
        ({"Event": "DegradedStream", "StreamID": "s"}, "stream", "DegradedStream"),
        ({"Event": "MachineDetection", "Machine": "true", "CallStatus": "in-progress"}, "machine", "machine"),
        ({"Event": "MachineDetection", "Machine": "false"}, "machine", "human"),
        ({"Event": "MachineDetection"}, "machine", "unknown"),
    ],
)
def test_callbacks_are_news_and_answered_with_nothing(fields: dict[str, str], kind: str, value: str) -> None:
    answer = carrier().answer(webhook(form=(("CallUUID", "c1"), *fields.items())), OFFER)
    assert (answer.status, answer.body, answer.call) == (204, b"", None)
    assert (answer.event.call_id, answer.event.kind, answer.event.value) == ("c1", kind, value)


def test_a_verdict_may_come_with_the_call() -> None:
    answer = carrier().answer(webhook(form=(*FORM, ("Machine", "true"))), OFFER)
    assert answer.call is not None
    assert answer.event.value == "machine"


def test_plivos_requests_are_told_from_others() -> None:
    plivo = carrier()
    assert plivo.claims(webhook())
    assert plivo.claims(webhook(form=(), v3="x"))
    assert not plivo.claims(webhook(form=(("CallSid", "CA1"),), nonce=""))


# ── REST ──


def test_a_call_is_hung_up_by_deleting_it() -> None:
    request = equipped().hang_up(CALL)
    assert (request.method, request.url) == ("DELETE", "https://api.plivo.com/v1/Account/MA1/Call/c1/")
    assert request.headers["Authorization"] == httpx.BasicAuth("MA1", TOKEN)._auth_header
    assert (request.json, list(request.form), request.gone) == (None, [], (404,))


def test_ids_cannot_lead_out_of_their_place_in_the_address() -> None:
    request = equipped().hang_up(PhoneCall(carrier="plivo", call_id="../x?y"))
    assert request.url == "https://api.plivo.com/v1/Account/MA1/Call/..%2Fx%3Fy/"


def test_without_credentials_closing_the_stream_ends_the_call() -> None:
    plivo = carrier()
    assert plivo.hang_up(CALL) is None
    assert plivo.transfer(CALL, "+1") is None
    assert not plivo.transfers


@pytest.mark.parametrize(
    ("to", "path", "text"), [("+15005550009", "Dial/Number", "15005550009"), ("sip:a@x", "Dial/User", "sip:a@x")]
)
def test_a_transfer_has_plivo_ask_us_whom_to_dial(to: str, path: str, text: str) -> None:
    call = equipped().answer(webhook(), OFFER).call
    request = equipped().transfer(call, to)
    assert request.url == f"https://api.plivo.com/v1/Account/MA1/Call/{UUID}/"
    assert (request.json["legs"], request.json["aleg_method"]) == ("aleg", "POST")
    answer = equipped().answer(webhook(request.json["aleg_url"]), OFFER)
    assert document(answer).find(path).text == text
    assert (answer.call, answer.event) == (None, None)


def test_a_call_that_came_without_webhook_cannot_be_transferred() -> None:
    assert equipped().transfer(PhoneCall(carrier="plivo", call_id="c1"), "+1") is None


def test_keys_go_through_the_stream() -> None:
    assert equipped().sends_dtmf
    assert equipped().send_dtmf(CALL, "1") is None


DIAL = Dial(to="+15005550006", caller="+15005550001", offer=OFFER, answer_url="https://voice.example.com/?dial=d")


def test_a_call_is_placed_with_our_addresses() -> None:
    request = equipped().dial(DIAL)
    assert (request.method, request.url) == ("POST", "https://api.plivo.com/v1/Account/MA1/Call/")
    assert request.json == {
        "from": "15005550001",
        "to": "15005550006",
        "answer_url": "https://voice.example.com/?dial=d",
        "answer_method": "POST",
        "ring_timeout": 60,
        "hangup_url": EVENTS,
        "hangup_method": "POST",
    }
    assert equipped().dialled({"message": "call fired", "request_uuid": "r1"}) == "r1"
    assert equipped().dialled({"request_uuid": ["r1", "r2"]}) == "r1"


def test_machine_detection_does_not_hold_up_the_call() -> None:
    dial = Dial(to="1", caller="2", offer=OFFER, answer_url="https://x/", machine_detection=True)
    body = equipped(machine_detection_time_ms=3000).dial(dial).json
    assert (body["machine_detection"], body["machine_detection_time"]) == ("true", 3000)
    assert (body["machine_detection_url"], body["machine_detection_method"]) == (EVENTS, "POST")


def test_what_is_missing_for_a_call_is_named() -> None:
    with pytest.raises(ValueError, match="plivo_auth_id and plivo_auth_token"):
        carrier().dial(DIAL)
    with pytest.raises(ValueError, match="names no call"):
        equipped().dialled({"request_uuid": []})


# ── the media socket ──


def start(media_format: object = None, **more: object) -> str:
    return json.dumps(
        {
            "sequenceNumber": 0,
            "event": "start",
            "start": {
                "callId": "c1",
                "streamId": "s1",
                "accountId": "500025",
                "tracks": ["inbound"],
                "mediaFormat": media_format,
            },
            **more,
        }
    )


@pytest.mark.parametrize(
    ("media_format", "rate_hz", "piece"),
    [
        ({"encoding": "audio/x-mulaw", "sampleRate": 8000}, 8000, (480, 160)),
        ({"encoding": "audio/x-mulaw", "sampleRate": "8000"}, 8000, (480, 160)),
        ({"encoding": "audio/x-l16", "sampleRate": 16000}, 16_000, (1920, 640)),
        ({"encoding": "audio/x-l16;rate=8000"}, 8000, (960, 320)),
        (None, 8000, (480, 160)),
    ],
)
def test_a_stream_is_recognised_by_its_start(media_format: object, rate_hz: int, piece: tuple[int, int]) -> None:
    started = carrier().recognize([start(media_format, extra_headers="{X-PH-tokenHex: 74}")], {})
    call, serializer = started.call, started.serializer
    assert (call.call_id, call.stream_id, call.account_id, call.parameters) == ("c1", "s1", "500025", {"token": "t"})
    assert (serializer.audio_in.rate_hz, serializer.audio_out) == (rate_hz, serializer.audio_in)
    assert (serializer.pieces.usual, serializer.pieces.multiple) == piece


def test_a_start_without_format_means_what_was_asked_for() -> None:
    started = carrier(content_type="audio/x-l16;rate=16000").recognize([start()], {})
    assert started.serializer.audio_in.rate_hz == 16_000


def test_media_before_the_start_is_passed_over() -> None:
    media = '{"event":"media","streamId":"s1","media":{"payload":"AAAA"}}'
    assert carrier().recognize([media], {}) is None
    assert carrier().recognize([media, start()], {}) is not None


@pytest.mark.parametrize("extra", [{"extra_headers": {"X-PH-token": "t"}}, {"extra_headers": "token=t"}])
def test_extra_headers_may_be_an_object(extra: dict[str, object]) -> None:
    assert carrier().recognize([start(**extra)], {}).call.parameters == {"token": "t"}


def test_audio_that_plivo_does_not_document_is_an_error() -> None:
    with pytest.raises(ValueError, match="audio/opus"):
        carrier().recognize([start({"encoding": "audio/opus", "sampleRate": 48000})], {})


@pytest.mark.parametrize(
    "message",
    [
        b"\x00",
        "[]",
        "{",
        '{"event":"start","start":5}',
        '{"event":"start","start":{"streamSid":"1","callSid":"2"}}',
        '{"event":"stop","streamId":"s1"}',
        '{"event":"connected"}',
    ],
)
def test_other_streams_are_left_to_others(message: str | bytes) -> None:
    assert carrier().recognize([message], {}) is None
