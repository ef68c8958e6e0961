"""LiveKit's tokens and its server API, against a simulator."""

from __future__ import annotations

from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
import voxray_livekit
from livekit import api, rtc
from livekit.protocol.room import CreateRoomRequest, DeleteRoomRequest
from livekit.protocol.sip import TransferSIPParticipantRequest
from voxray_livekit import sdk
from voxray_livekit.rest import LiveKitRest
from voxray_livekit.tokens import Tokens

from voxray.errors import BrokenPluginError, ProviderError, ProviderProtocolError, ProviderRefused, ProviderUnavailable
from voxray.protocols.carrier import Webhook
from voxray.registry import make
from voxray.testing.faults import Fault
from voxray.testing.livekit_api import LiveKitApi, claims_of
from voxray.testing.plugin_check import check_plugin
from voxray.wire.context import Context

(SPEC,) = voxray_livekit.voxray_register_transports()
KEY, SECRET = "devkey", "secretsecretsecretsecretsecret12"
SECRETS = {"api_key": KEY, "api_secret": SECRET}
# Of the specification: made by LiveKit's own library.
VECTOR = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJuYW1lIjoiVm94cmF5IiwidmlkZW8iOnsicm9vbUpvaW4iOnRydWUsInJvb20iOiJyb29tLTEi"
    "LCJhZ2VudCI6dHJ1ZX0sInN1YiI6ImJvdC0xIiwiaXNzIjoiZGV2a2V5IiwibmJmIjoxNzY3MjI1NjAwLCJleHAiOjE3NjcyNDcyMDB9._tb4Nr8g"
    "kQWmJMeJqfdAnR4S9ifY3w1jP3lR0NvlhAk"
)
pytestmark = pytest.mark.anyio


def test_the_plugin_keeps_its_contract() -> None:
    check_plugin("voxray_livekit")


@asynccontextmanager
async def rooms(server: LiveKitApi, **options: object):
    async with server, httpx.AsyncClient() as http:
        yield make(SPEC, context(server.base_url, http), options)


def context(base_url: str, http: httpx.AsyncClient) -> Context:
    return Context("livekit", http=http, base_url=base_url, secrets=lambda key: SECRETS[key])


# ── tokens ──


def test_the_simulator_reads_a_token_as_the_specification_gives_it() -> None:
    claims = claims_of(VECTOR, KEY, SECRET, now=1767225700)
    assert (claims["sub"], claims["video"]["room"]) == ("bot-1", "room-1")
    for wrong in (
        (VECTOR[:-9] + "A" + VECTOR[-8:], KEY, SECRET),
        (VECTOR, "other", SECRET),
        (VECTOR, KEY, "x"),
        ("a.b", KEY, SECRET),
    ):
        with pytest.raises(ValueError, match=r"signature|key|token"):
            claims_of(*wrong, now=1767225700)
    with pytest.raises(ValueError, match="expired"):
        claims_of(VECTOR, KEY, SECRET, now=1767247201)


def test_the_agents_token_is_an_agents_and_the_clients_is_not() -> None:
    tokens = Tokens(api, KEY, SECRET)
    verifier = api.TokenVerifier(KEY, SECRET)
    agent = verifier.verify(tokens.agent("room-1", "agent-1", "Voxray Bot", 7200))
    assert (agent.identity, agent.name, agent.kind, agent.video.room) == ("agent-1", "Voxray Bot", "agent", "room-1")
    assert agent.video.agent
    assert agent.video.room_join
    client = verifier.verify(tokens.client("room-1", "caller-1", 7200))
    video = client.video
    assert (client.identity, client.kind, video.room, video.can_publish) == ("caller-1", "", "room-1", True)
    assert not any((video.agent, video.room_admin, video.room_create, video.room_list, video.room_record))


# ── rooms ──


async def test_a_room_is_made_with_an_invitation() -> None:
    server = LiveKitApi()
    async with rooms(server) as livekit:
        first, second = await livekit.create("s-1"), await livekit.create("s-2")
        (request, _) = server.requests
        agent, client = server.claims(first.agent_token), server.claims(first.invitation["token"])
    assert list(server.rooms) == [first.name, second.name]
    assert not server.rejected
    assert first.name.startswith("voxray-")
    assert set(first.invitation) == {"url", "token"}
    assert first.invitation["url"] == server.base_url.replace("http://", "ws://") == first.url
    assert agent["video"]["room"] == client["video"]["room"] == first.name
    others = [server.claims(token)["sub"] for token in (second.agent_token, second.invitation["token"])]
    assert len({agent["sub"], client["sub"], *others}) == 4
    assert agent["exp"] - agent["nbf"] == 7200
    CreateRoomRequest(**request.json())  # raises for a field that LiveKit does not know
    assert "eyJ" not in repr(first)


async def test_a_room_is_deleted_and_may_be_gone_already() -> None:
    server = LiveKitApi()
    async with rooms(server) as livekit:
        room = await livekit.create("s")
        await livekit.delete(room)
        await livekit.delete(room)
        DeleteRoomRequest(**server.requests[-1].json())
    assert server.deleted == [room.name]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("status", status=401, message="no such key"), ProviderRefused),
        (Fault("status", status=403), ProviderRefused),
        (Fault("status", status=429, retry_after=3), ProviderUnavailable),
        (Fault("status", status=503), ProviderUnavailable),
        (Fault("reset"), ProviderUnavailable),
        (Fault("half"), ProviderUnavailable),
        (Fault("malformed"), ProviderProtocolError),
        (Fault("empty"), ProviderProtocolError),
    ],
)
async def test_what_the_api_does_wrong_is_an_error_of_ours(fault: Fault, error: type[ProviderError]) -> None:
    async with rooms(LiveKitApi(faults=[fault])) as livekit:
        with pytest.raises(error) as raised:
            await livekit.create("s")
        assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "body", [b"[]", b'"x"', b"x" * 300_000, b'{"name": 7}', b'{"name": "other"}', b"\xff", b"[" * 9999]
)
async def test_hostile_answers_are_refused(body: bytes) -> None:
    server = LiveKitApi()

    async def answer(exchange) -> None:
        exchange.respond(200, body, "application/json")

    server.server.handle = answer
    async with rooms(server) as livekit:
        with pytest.raises(ProviderProtocolError):
            await livekit.create("s")


@pytest.mark.parametrize("kind", ["nothing", "stall"])
async def test_a_request_without_an_answer_can_be_given_up(kind: str) -> None:
    api = LiveKitApi(faults=[Fault(kind)])
    async with rooms(api) as livekit:
        with anyio.move_on_after(0.2) as patience:
            await livekit.create("s")
        assert patience.cancelled_caught
        with anyio.fail_after(5):
            await api.requests[0].finished.wait()
        assert api.requests[0].client_closed
        await livekit.create("s")


async def test_a_wrong_key_is_refused_and_not_shown() -> None:
    async with rooms(LiveKitApi(secret="another-secret-another-secret-32")) as livekit:
        with pytest.raises(ProviderRefused) as raised:
            await livekit.create("s")
    assert SECRET not in str(raised.value)
    assert "eyJ" not in str(raised.value)


async def test_a_telephone_is_handed_on() -> None:
    server = LiveKitApi()
    server.phones = {("r", "sip_1"), ("r", "sip_2")}
    async with server, httpx.AsyncClient() as http:
        rest = LiveKitRest(context(server.base_url, http), Tokens(api, KEY, SECRET))
        await rest.transfer("r", "sip_1", "+15005550009")
        TransferSIPParticipantRequest(**server.requests[-1].json())
        server.transfer_status = "STS_TRANSFER_FAILED"
        with pytest.raises(ProviderRefused, match="not transferred"):
            await rest.transfer("r", "sip_2", "sip:desk@x.example")
        with pytest.raises(ProviderRefused):
            await rest.transfer("r", "nobody", "+1")
    assert [(it.identity, it.to) for it in server.transfers] == [("sip_1", "tel:+15005550009")]


@pytest.mark.parametrize(
    ("base_url", "http_url", "socket_url"),
    [
        ("wss://a.livekit.cloud", "https://a.livekit.cloud", "wss://a.livekit.cloud"),
        ("https://a.livekit.cloud/", "https://a.livekit.cloud", "wss://a.livekit.cloud"),
        ("ws://127.0.0.1:7880", "http://127.0.0.1:7880", "ws://127.0.0.1:7880"),
    ],
)
async def test_the_server_may_be_written_as_web_or_socket_address(
    base_url: str, http_url: str, socket_url: str
) -> None:
    async with httpx.AsyncClient() as http:
        rest = LiveKitRest(context(base_url, http), Tokens(api, KEY, SECRET))
    assert (rest._http_url, rest.socket_url) == (http_url, socket_url)


@pytest.mark.parametrize("base_url", ["a.livekit.cloud", "ftp://a", "://", "ws://"])
async def test_another_address_is_refused_at_start(base_url: str) -> None:
    async with httpx.AsyncClient() as http:
        with pytest.raises(ProviderRefused, match="LIVEKIT_URL"):
            make(SPEC, context(base_url, http), {})


async def test_livekit_announces_no_phone_calls_by_webhook() -> None:
    async with rooms(LiveKitApi()) as livekit:
        webhook = Webhook(method="POST", url="https://x/", body=b"{}")
        assert (livekit.dial_in_path, livekit.refusal(webhook), livekit.dial_in(webhook)) == ("", "", None)


def test_a_missing_sdk_is_named_with_a_way_out() -> None:
    assert sdk.load("livekit.rtc") is rtc
    with pytest.raises(BrokenPluginError, match="another transport"):
        sdk.load("livekit.nothing")
