"""Daily's REST API, against a simulator, and the webhook that announces phone calls."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import httpx
import pytest
import voxray_daily
from voxray_daily import sdk, webhook as webhooks

from voxray.errors import BrokenPluginError, ProviderError, ProviderProtocolError, ProviderRefused, ProviderUnavailable
from voxray.protocols.carrier import Webhook
from voxray.protocols.rooms import DialIn, WebhookFieldsError
from voxray.registry import make
from voxray.testing.daily_api import DailyApi
from voxray.testing.faults import Fault
from voxray.testing.plugin_check import check_plugin
from voxray.wire.context import Context

(SPEC,) = voxray_daily.voxray_register_transports()
HMAC = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
CALL = DialIn(call_id="c-1", call_domain="d-1", caller="+15005550006", callee="+15005550001")
pytestmark = pytest.mark.anyio


def test_the_plugin_keeps_its_contract() -> None:
    check_plugin("voxray_daily")


@asynccontextmanager
async def rooms(api: DailyApi, *, hmac: str = "", **options: object):
    async with api, httpx.AsyncClient() as http:
        secrets = {"api_key": "daily-key", "dialin_hmac": hmac}
        yield make(SPEC, Context("daily", http=http, base_url=api.base_url, secrets=secrets.__getitem__), options)


# ── rooms and tokens ──


async def test_a_room_is_made_with_a_token_for_each_side() -> None:
    api = DailyApi(now=lambda: 1_000_000_000)
    async with rooms(api, geo="eu-central-1", room_secs=600) as daily:
        room = await daily.create("s")
    made = api.rooms[room.name]
    assert api.rejected == []
    assert room.name.startswith("voxray-")
    assert len(room.name) == len("voxray-") + 8
    assert set(room.invitation) == {"dailyRoom", "dailyToken"}
    assert room.invitation["dailyRoom"] == room.url == made.url
    assert (made.privacy, made.properties["geo"], made.properties["eject_at_room_exp"]) == (
        "private",
        "eu-central-1",
        True,
    )
    assert "sip" not in made.properties
    agent, client = made.tokens[room.agent_token], made.tokens[room.invitation["dailyToken"]]
    assert (agent["is_owner"], agent["user_name"]) == (True, "Voxray Bot")
    assert not client["is_owner"]
    assert "user_name" not in client
    assert agent["exp"] == client["exp"] == made.properties["exp"]
    assert agent["eject_at_token_exp"]
    assert "eyJ" not in repr(room)


async def test_a_room_for_a_phone_call_has_a_sip_endpoint() -> None:
    api = DailyApi()
    async with rooms(api) as daily:
        room = await daily.create("s", CALL)
    sip = api.rooms[room.name].properties["sip"]
    assert room.name.startswith("voxray-sip-")
    assert (sip["display_name"], sip["sip_mode"], sip["num_endpoints"], sip["video"]) == (
        CALL.caller,
        "dial-in",
        1,
        False,
    )
    assert room.dial_in == CALL


async def test_a_room_whose_tokens_fail_is_not_left_behind() -> None:
    api = DailyApi(faults=[Fault("status", path="/meeting-tokens", nth=2)])
    async with rooms(api) as daily:
        with pytest.raises(ProviderUnavailable):
            await daily.create("s")
    assert (api.rooms, len(api.deleted)) == ({}, 1)


async def test_a_room_is_deleted_and_may_be_gone_already() -> None:
    api = DailyApi()
    async with rooms(api) as daily:
        room = await daily.create("s")
        await daily.delete(room)
        await daily.delete(room)
        api.faults.faults.append(Fault("status", status=403))
        with pytest.raises(ProviderRefused):
            await daily.delete(replace(room, name="../../x"))
        assert api.requests[-1].path == "/v1/rooms/../../x"
    assert api.deleted == [room.name]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("status", status=400), ProviderRefused),
        (Fault("status", status=401), ProviderRefused),
        (Fault("status", status=429, retry_after=3), ProviderUnavailable),
        (Fault("status", status=500), ProviderUnavailable),
        (Fault("reset"), ProviderUnavailable),
        (Fault("half"), ProviderUnavailable),
        (Fault("malformed"), ProviderProtocolError),
        (Fault("empty"), ProviderProtocolError),
        (Fault("empty", path="/meeting-tokens"), ProviderProtocolError),
    ],
)
async def test_what_the_api_does_wrong_is_an_error_of_ours(fault: Fault, error: type[ProviderError]) -> None:
    async with rooms(DailyApi(faults=[fault])) as daily:
        with pytest.raises(error) as raised:
            await daily.create("s")
    assert "daily-key" not in str(raised.value)


@pytest.mark.parametrize(
    "body",
    [b"[]", b"7", b"x" * 300_000, b"\xff", b"[" * 9999]
    + [json.dumps({"url": url}).encode() for url in (7, None, "", "ftp://x", "https://a b", "https://" + "x" * 9000)],
)
async def test_hostile_answers_are_refused(body: bytes) -> None:
    api = DailyApi()

    async def answer(exchange) -> None:
        exchange.respond(200, body, "application/json")

    api.server.handle = answer
    async with rooms(api) as daily:
        with pytest.raises(ProviderProtocolError):
            await daily.create("s")


@pytest.mark.parametrize("kind", ["nothing", "stall"])
async def test_a_request_without_an_answer_can_be_given_up(kind: str) -> None:
    api = DailyApi(faults=[Fault(kind)])
    async with rooms(api) as daily:
        with anyio.move_on_after(0.2) as patience:
            await daily.create("s")
        assert patience.cancelled_caught
        with anyio.fail_after(5):
            await api.requests[0].finished.wait()
        assert api.requests[0].client_closed
        await daily.create("s")


async def test_a_wrong_key_is_refused_and_not_shown() -> None:
    async with rooms(DailyApi(key="another")) as daily:
        with pytest.raises(ProviderRefused) as raised:
            await daily.create("s")
    assert "daily-key" not in str(raised.value)


async def test_the_simulator_loses_calls_that_come_too_early_or_twice() -> None:
    api = DailyApi()
    api.hold("early")
    api.hold("right")
    async with api, httpx.AsyncClient(base_url=api.base_url, headers={"Authorization": "Bearer daily-key"}) as http:

        async def update(call: str, uri: str) -> int:
            body = {"callId": call, "callDomain": "d", "sipUri": uri}
            return (await http.post("/dialin/pinlessCallUpdate", json=body)).status_code

        assert await update("early", "sip:1@example") == 200
        api.ready("1@example")
        assert await update("right", "1@example") == 400
        assert await update("right", "sip:1@example") == 200
        assert await update("right", "sip:1@example") == 400
        for body in ({"name": "a b"}, {"privacy": "x"}, {"properties": {"exp": 5}}, {"properties": 7}, {"odd": 1}, []):
            assert (await http.post("/rooms", json=body)).status_code == 400
        assert (await http.post("/meeting-tokens", json={"properties": {"room_name": "none"}})).status_code == 400
        assert (await http.get("/elsewhere")).status_code == 404
    assert (api.lost, api.connected) == (["early"], {"right": "1@example"})


# ── the webhook ──

BODY = (
    b'{"To":"+15005550001","From":"+15005550006","callId":"11111111-2222-3333-4444-555555555555",'
    b'"callDomain":"example.daily.co"}'
)
SIGNATURE = "aLiP+00nNI0EOrK7Hz5oBXfm1WUao+My3Kr3X/ye72I="
TIMESTAMP = "1767225600000"


def webhook(
    body: bytes = BODY, *, signature: str = SIGNATURE, timestamp: str = TIMESTAMP, at: float = 1767225601.0
) -> Webhook:
    headers = {"x-pinless-signature": signature, "x-pinless-timestamp": timestamp}
    sent = {name: value for name, value in headers.items() if value}
    return Webhook(method="POST", url="https://x/daily-dialin-webhook", body=body, headers=sent, at=at)


async def test_the_signature_is_checked_by_the_vector_of_the_specification() -> None:
    async with rooms(DailyApi(), hmac=HMAC) as daily:
        assert daily.refusal(webhook()) == ""
        assert daily.refusal(webhook(BODY + b" ")) == "the signature is wrong"
        assert daily.refusal(webhook(timestamp="1767225600001")) == "the signature is wrong"
        assert daily.refusal(webhook(signature="rubbish")) == "the signature is wrong"
        assert daily.refusal(webhook(signature="\xff")) == "the signature is wrong"
        assert daily.refusal(webhook(signature="")) == "the signature is missing"
        assert daily.refusal(webhook(b"{", signature="")) == "the signature is missing"
        assert daily.refusal(webhook(at=1767225600 + 301)) == "the signature is too old"
        assert daily.refusal(webhook(b'{"test":"test"}', signature="")) == ""


@pytest.mark.parametrize("timestamp", ["1767225600", "Thu, 01 Jan 2026 00:00:00 GMT"])
async def test_timestamps_may_be_seconds_or_something_else_that_is_signed(timestamp: str) -> None:
    signature = webhooks.signature(webhooks.signing_key(HMAC), timestamp, BODY)
    async with rooms(DailyApi(), hmac=HMAC) as daily:
        assert daily.refusal(webhook(signature=signature, timestamp=timestamp)) == ""


async def test_without_a_secret_nothing_is_refused() -> None:
    async with rooms(DailyApi()) as daily:
        assert daily.refusal(webhook(signature="")) == ""


async def test_a_secret_that_is_no_base64_is_refused_at_start_and_not_shown() -> None:
    with pytest.raises(ProviderRefused) as raised:
        async with rooms(DailyApi(), hmac="not/base64!secret"):
            pass
    assert "not/base64" not in str(raised.value)


async def test_a_call_is_read_from_the_webhook() -> None:
    sent = {**json.loads(BODY), "sipHeaders": {"X-Account": 42, "X-Odd": None}, "more": [1]}
    async with rooms(DailyApi()) as daily:
        call = daily.dial_in(webhook(json.dumps(sent).encode()))
        assert daily.dial_in(webhook(b'{"test":"test"}')) is None
        assert daily.dial_in(webhook(b'{"Test":true}')) is None
    assert call == DialIn(
        call_id="11111111-2222-3333-4444-555555555555",
        call_domain="example.daily.co",
        caller="+15005550006",
        callee="+15005550001",
        headers={"X-Account": "42"},
    )


async def test_all_missing_fields_are_named() -> None:
    async with rooms(DailyApi()) as daily:
        with pytest.raises(WebhookFieldsError) as raised:
            daily.dial_in(webhook(b'{"From": "+1", "To": {}, "callDomain": true, "test": false}'))
        for body in (b"", b"[]", b"\xff", b"[" * 9999, b"7"):
            with pytest.raises(ValueError, match="JSON"):
                daily.dial_in(webhook(body))
    assert raised.value.missing == ("To", "callId", "callDomain")


# ── the SDK ──


def test_a_missing_sdk_is_named_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hasattr(sdk.load(), "CallClient")
    monkeypatch.setitem(__import__("sys").modules, "daily", None)
    with pytest.raises(BrokenPluginError, match="another transport"):
        sdk.load()
