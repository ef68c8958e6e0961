"""Calls in a Daily room: the real server and session, Daily's own source of sound; only the network is missing."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import daily as daily_sdk
import httpx
import pytest
import voxray_daily
from voxray_daily import webhook

from tests.server.serving import Served, serving
from voxray.audio.format import PCM_16K, PCM_24K
from voxray.builtin.call_control import CallControl
from voxray.chat import ToolCall
from voxray.config.load import load_settings
from voxray.config.settings import Settings
from voxray.protocols.call import CallInfo, Outcome
from voxray.protocols.carrier import Webhook
from voxray.registry import Registry, make
from voxray.server.calls import Hooks
from voxray.server.runtime import ListenerContext, open_runtime
from voxray.session.services import Services, SessionOptions
from voxray.specs import SerializerSpec
from voxray.testing.daily_api import DailyApi
from voxray.testing.daily_room import FakeClient, FakeDaily, RecordedSource, Sound
from voxray.testing.fakes import ScriptedLlm, ScriptedStt, services, speech
from voxray.testing.faults import Fault

pytestmark = pytest.mark.anyio

(SPEC,) = voxray_daily.voxray_register_transports()
WAIT_SECS = 10.0
READY = {"id": "1", "label": "rtvi-ai", "type": "client-ready", "data": {"version": "2.1.0"}}
CALL = {"From": "+15005550006", "To": "+15005550001", "callId": "c-1", "callDomain": "d-1"}
ENDPOINT = "100000000.0@example.sip.daily.co"


@dataclass
class Desk:
    """A server whose agents meet people in Daily rooms."""

    server: Served
    api: DailyApi
    sdk: FakeDaily
    infos: list[CallInfo] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    answered: anyio.Event = field(default_factory=anyio.Event)

    def began(self, info: CallInfo) -> None:
        self.infos.append(info)
        self.answered.set()

    async def start(self) -> FakeClient:
        """`POST /start`; the agent's client once it is in its room."""
        self.answer = await self.server.http.post("/start", json={"createDailyRoom": True})
        assert self.answer.status_code == 201
        return await self.joined()

    async def dial(self) -> FakeClient:
        """A phone call is announced; the agent's client once it is in its room."""
        self.api.hold("c-1")
        self.answer = await self.server.http.post("/daily-dialin-webhook", json=CALL)
        assert self.answer.status_code == 201
        return await self.joined()

    async def joined(self) -> FakeClient:
        with anyio.fail_after(WAIT_SECS):
            return await self.sdk.joined()

    async def call(self) -> CallInfo:
        with anyio.fail_after(WAIT_SECS):
            await self.answered.wait()
        return self.infos[0]

    async def over(self) -> Outcome:
        """The record of the call, when nothing of it is left."""
        with anyio.fail_after(WAIT_SECS):
            await self.api.emptied()
        client = self.sdk.clients[-1]
        assert (client.left, client.released) == (1, 1)
        return self.outcomes[0]


@asynccontextmanager
async def desk(
    parts: Services | None = None,
    *,
    refuses: str = "",
    faults: list[Fault] | None = None,
    session: SessionOptions | None = None,
    settings: dict[str, Any] | None = None,
    hmac: str = "",
    **options: Any,
) -> AsyncIterator[Desk]:
    fake = FakeDaily(daily_sdk, refuses=refuses)
    async with DailyApi(faults=faults or ()) as api, httpx.AsyncClient() as http:
        secrets = {"api_key": api.key, "dialin_hmac": hmac}
        context = ListenerContext(
            "daily",
            Settings(),
            Registry.load(only=["-"]).specs(SerializerSpec),
            http=http,
            base_url=api.base_url,
            secrets=secrets.__getitem__,
        )
        rooms = make(SPEC, context, {"leave_grace_secs": 0.2, "daily": fake, **options})
        found = Desk(None, api, fake)  # type: ignore[arg-type]
        hooks = Hooks(started=(found.began,), ended=(lambda info, outcome: found.outcomes.append(outcome),))
        async with (
            rooms,
            serving(
                parts=parts or services(), rooms=[rooms], hooks=hooks, options=session, **(settings or {})
            ) as server,
        ):
            found.server = server
            yield found
    assert not [thread for thread in threading.enumerate() if thread.name == "fake-daily"]


def ours(caplog: pytest.LogCaptureFixture, level: str) -> list[Any]:
    return [row for row in caplog.records if row.levelname == level and row.name.startswith("voxray")]


async def until(source: RecordedSource, loud: bool, secs: float = 0.1) -> float:
    """Wait until what was played last was speech, or nothing was played, for so long; the time it began."""
    with anyio.fail_after(WAIT_SECS):
        while True:
            heard = [(at, frames) for at, frames in source.played if any(frames)]
            if loud and sum(PCM_24K.secs(len(frames)) for _, frames in heard) >= secs:
                return heard[0][0]
            if not loud and heard and anyio.current_time() - heard[-1][0] >= secs:
                return heard[-1][0]
            with anyio.move_on_after(secs):
                await source.news()


async def test_somebody_is_greeted_asks_and_is_answered() -> None:
    parts = services(stt=ScriptedStt(["when is breakfast"]), llm=ScriptedLlm(["At seven o'clock."]))
    async with desk(parts, session=SessionOptions(greeting="Hello there.", turn_stop_secs=0.3)) as it:
        client = await it.start()
        answer = it.answer.json()
        (room,) = it.api.rooms.values()
        assert (client.url, answer["dailyRoom"]) == (room.url, room.url)
        assert room.tokens[client.token]["is_owner"]
        assert not room.tokens[answer["dailyToken"]]["is_owner"]
        assert client.name == "Voxray Bot"
        assert client.profiles["base"]["camera"] == "unsubscribed"
        who = client.arrive()
        client.event("app_message", READY, who)
        with anyio.fail_after(WAIT_SECS):
            await client.sent(lambda message: message["type"] == "bot-ready")
        (source,) = it.sdk.sources
        await until(source, loud=True)
        await until(source, loud=False, secs=0.3)
        source.played.clear()
        await client.say(who, speech(PCM_16K, 0.6) + bytes(PCM_16K.size(1.0)))
        await until(source, loud=True)
        with anyio.fail_after(WAIT_SECS):
            await client.sent(lambda message: "when is breakfast" in str(message))
        await until(source, loud=False, secs=0.3)
        client.leave_room(who)
        outcome = await it.over()
        (info,) = it.infos
        assert (info.transport, info.session_id) == ("daily", answer["sessionId"])
    assert (outcome.cause, outcome.turns, outcome.replies) == ("caller_left", 1, 2)
    assert it.api.rejected == []


async def test_the_sdk_is_given_little_ahead_so_that_an_interruption_is_soon_heard() -> None:
    parts = services(stt=ScriptedStt(["stop"]), llm=ScriptedLlm(["All right."]))
    async with desk(parts, session=SessionOptions(greeting="y" * 200, turn_stop_secs=0.3)) as it:
        client = await it.start()
        who = client.arrive()
        client.event("app_message", READY, who)
        await it.call()
        (source,) = it.sdk.sources
        await until(source, loud=True, secs=0.6)
        ahead = sum(map(len, source.written)) - sum(len(frames) for _, frames in source.played)
        assert PCM_24K.secs(ahead) <= 0.2
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.say, who, speech(PCM_16K, 0.8))
            silent = await until(source, loud=False, secs=0.15)
        client.leave_room(who)
        outcome = await it.over()
    assert silent - began < 0.6  # the detector's 0.2 s, and what is under way
    assert outcome.interruptions >= 1


async def test_who_is_in_the_room_before_the_agent_is_heard_too() -> None:
    parts = services(stt=ScriptedStt(["hello"]), llm=ScriptedLlm(["Good day."]))
    async with desk(parts, session=SessionOptions(turn_stop_secs=0.3)) as it:
        who = str(uuid.uuid4())
        it.sdk.waiting.append(who)
        client = await it.start()
        await client.say(who, speech(PCM_16K, 0.6) + bytes(PCM_16K.size(1.0)))
        await until(it.sdk.sources[0], loud=True)
        client.leave_room(who)
        assert (await it.over()).turns == 1


async def test_a_phone_call_is_put_through_once_its_room_is_ready() -> None:
    async with desk(session=SessionOptions(greeting="Hello.", dtmf_timeout_secs=0.2), settings={"dialin": True}) as it:
        client = await it.dial()
        (room,) = it.api.rooms.values()
        assert room.sip_endpoint == ENDPOINT
        assert it.api.held == {"c-1"}
        it.api.ready(ENDPOINT)
        client.event("dialin_ready", ENDPOINT)
        client.event("dialin_ready", ENDPOINT)
        who = client.arrive()
        dialled = anyio.current_time()
        client.event("dialin_connected", {"sessionId": who, "sipFrom": "+15005550006"})
        info = await it.call()
        assert await until(it.sdk.sources[0], loud=True) - dialled < 1.5
        for tone in ("x", "7", 7, None):
            client.event("dtmf_event", {"sessionId": who, "tone": tone})
        await it.server.http.get("/health")
        assert it.api.connected == {"c-1": ENDPOINT}
        assert [request.path for request in it.api.requests].count("/v1/dialin/pinlessCallUpdate") == 1
        client.leave_room(who)
        outcome = await it.over()
    assert (info.caller, info.callee, info.transport) == (CALL["From"], CALL["To"], "daily")
    assert (outcome.cause, it.api.rejected, it.api.lost) == ("caller_left", [], [])


async def test_only_calls_that_daily_has_signed_are_taken() -> None:
    secret = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
    body = json.dumps(CALL, indent=1).encode()

    def signed(at: float, body: bytes) -> dict[str, str]:
        timestamp = str(int(at * 1000))
        proof = webhook.signature(webhook.signing_key(secret), timestamp, body)
        return {"X-Pinless-Signature": proof, "X-Pinless-Timestamp": timestamp}

    async with desk(hmac=secret, settings={"dialin": True}, wait_secs=5) as it:
        post = partial(it.server.http.post, "/daily-dialin-webhook")
        statuses = [
            (await post(content=body)).status_code,
            (await post(content=body, headers=signed(time.time(), body + b" "))).status_code,
            (await post(content=body, headers=signed(time.time() - 600, body))).status_code,
        ]
        assert it.sdk.clients == []
        statuses.append((await post(json={"test": "test"})).status_code)
        statuses.append((await post(content=body, headers=signed(time.time(), body))).status_code)
        await it.joined()
    assert statuses == [401, 401, 401, 200, 201]
    assert len(it.sdk.clients) == 1


async def test_a_phone_call_that_cannot_be_put_through_leaves_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    fault = Fault("status", path="/pinlessCallUpdate", status=500)
    async with desk(faults=[fault], settings={"dialin": True}) as it:
        client = await it.dial()
        client.event("dialin_ready", ENDPOINT)
        with anyio.fail_after(WAIT_SECS):
            await it.api.emptied()
        assert (client.left, client.released, it.infos) == (1, 1, [])
        assert [request.path for request in it.api.requests].count("/v1/dialin/pinlessCallUpdate") == 1
    assert [row.message for row in ours(caplog, "ERROR")] == ["a held call cannot be put through"]


async def test_a_phone_room_that_never_gets_ready_is_given_up() -> None:
    async with desk(wait_secs=0.3, settings={"dialin": True}) as it:
        client = await it.dial()
        with anyio.fail_after(WAIT_SECS):
            await it.api.emptied()
        assert (client.released, it.infos, it.api.held) == (1, [], {"c-1"})


@pytest.mark.parametrize(("to", "how"), [("+15005550009", "transfer"), ("sip:desk@hotel.example", "refer")])
async def test_a_telephone_is_handed_on(to: str, how: str) -> None:
    parts = services(
        llm=ScriptedLlm([[ToolCall("1", "transfer_call", {"to": to})], "One moment."]),
        tools=[CallControl(tools=("transfer_call",))],
    )
    async with desk(parts, session=SessionOptions(dtmf_timeout_secs=0.1), settings={"dialin": True}) as it:
        client = await it.dial()
        it.api.ready(ENDPOINT)
        client.event("dialin_ready", ENDPOINT)
        who = client.arrive()
        client.event("dialin_connected", {"sessionId": who})
        await it.call()
        client.event("dtmf_event", {"sessionId": who, "tone": "0"})
        outcome = await it.over()
    assert outcome.cause == "transferred"
    assert client.transfers == [(how, {"sessionId": who, "toEndPoint": to})]


async def test_a_room_that_cannot_be_joined_is_deleted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    refusal = "Connection(Api(RoomLookup(token eyJhbGciOiJIUzI1NiJ9.1.simulated)))"
    async with desk(refuses=refusal) as it:
        answer = await it.server.http.post("/start", json={"transport": "daily"})
        assert answer.status_code == 201
        with anyio.fail_after(WAIT_SECS):
            await it.api.emptied()
        assert it.sdk.clients[0].released == 1
    (line,) = ours(caplog, "ERROR")
    assert "cannot join" in line.__dict__["error"]
    assert "eyJ" not in line.__dict__["error"]


async def test_a_server_that_stops_while_an_agent_joins_deletes_the_room() -> None:
    async with desk() as it:
        it.sdk.hangs = True
        await it.server.http.post("/start", json={"transport": "daily"})
        client = await it.sdk.asked()
    assert (client.left, client.released, it.api.rooms) == (1, 1, {})


async def test_a_room_that_cannot_be_made_is_an_error_of_the_request() -> None:
    async with desk(faults=[Fault("status", path="/rooms", status=401)]) as it:
        answer = await it.server.http.post("/start", json={"transport": "daily"})
    assert answer.status_code == 500
    assert it.sdk.clients == []


@pytest.mark.parametrize(
    ("event", "value", "detail"),
    [
        ("error", "Meeting has ended", "Meeting has ended"),
        ("dialin_error", {"errorMsg": "busy"}, "busy"),
        ("call_state_updated", "left", "no longer in the room"),
    ],
)
async def test_trouble_of_the_room_ends_the_call_with_its_reason(event: str, value: Any, detail: str) -> None:
    async with desk() as it:
        client = await it.start()
        client.arrive()
        await it.call()
        client.event("call_state_updated", "joined")
        client.event(event, value)
        outcome = await it.over()
    assert outcome.cause == "transport_failed"
    assert detail in outcome.detail


async def test_an_agent_that_hangs_up_leaves_and_deletes_the_room() -> None:
    hang_up = ToolCall("1", "end_call", {})
    parts = services(stt=ScriptedStt(["bye"]), llm=ScriptedLlm([[hang_up], "Goodbye."]), tools=[CallControl()])
    async with desk(parts, session=SessionOptions(turn_stop_secs=0.3)) as it:
        client = await it.start()
        who = client.arrive()
        client.event("app_message", READY, who)
        await client.say(who, speech(PCM_16K, 0.6) + bytes(PCM_16K.size(1.0)))
        outcome = await it.over()
    assert (outcome.cause, it.api.rooms) == ("agent_ended", {})


async def test_a_server_that_stops_leaves_its_rooms() -> None:
    async with desk() as it:
        client = await it.start()
        client.arrive()
        await it.call()
    assert (client.left, client.released, it.api.rooms) == (1, 1, {})
    assert it.outcomes[0].cause == "drained"


async def test_a_source_that_plays_nothing_ends_the_call() -> None:
    async with desk(session=SessionOptions(greeting="y" * 400)) as it:
        client = await it.start()
        it.sdk.sources[0].stalled = True
        who = client.arrive()
        client.event("app_message", READY, who)
        outcome = await it.over()
    assert outcome.cause == "transport_failed"
    assert "takes no more sound" in outcome.detail


async def test_two_people_who_speak_at_once_are_heard_as_one() -> None:
    stt = ScriptedStt(["two voices"])
    async with desk(services(stt=stt), session=SessionOptions(turn_stop_secs=0.3)) as it:
        client = await it.start()
        people = [client.arrive(), client.arrive()]
        await it.call()
        async with anyio.create_task_group() as tasks:
            for who in people:
                tasks.start_soon(client.say, who, speech(PCM_16K, 0.6) + bytes(PCM_16K.size(1.0)))
        client.leave_room(people[0])
        await until(it.sdk.sources[0], loud=True)
        client.leave_room(people[1])
        outcome = await it.over()
    assert outcome.turns == 1


async def test_nonsense_of_the_sdk_and_of_clients_costs_nobody_the_call() -> None:
    async with desk() as it:
        client = await it.start()
        who = client.arrive()
        await it.call()
        for message in (None, 7, "x" * 100_000, [[[]]], {"label": "rtvi-ai"}, {**READY, "data": 7}, {"type": None}):
            client.event("app_message", message, who)
        for person in (None, {}, {"id": 7}, {"id": "x", "info": {"isLocal": True}}, {"info": None}):
            client.event("participant_left", person, "")
        for data in (None, 7, {}, {"tone": []}, {"sessionId": None}):
            client.event("dtmf_event", data)
            client.event("dialin_connected", data)
            client.event("dialin_stopped", data)
        client.event("dialin_ready", None)
        await client.say(who, bytes(640))
        client.sound(who, Sound(b"abc"))
        client.sound(who, Sound(bytes(640), sample_rate=48_000))
        client.sound(who, Sound(bytes(640), num_channels=2))
        client.refuses = "too large"
        client.event("app_message", READY, who)
        await client.say(who, bytes(640))
        client.leave_room(who)
        outcome = await it.over()
    assert outcome.cause == "caller_left"


async def test_a_message_that_the_sdk_cannot_write_costs_nobody_the_call(caplog: pytest.LogCaptureFixture) -> None:
    async with desk(session=SessionOptions(greeting="Half \ud83d of one.")) as it:
        client = await it.start()
        who = client.arrive()
        client.event("app_message", READY, who)
        await it.call()
        await until(it.sdk.sources[0], loud=True)
        client.leave_room(who)
        outcome = await it.over()
    assert outcome.cause == "caller_left"
    assert [row.message for row in ours(caplog, "WARNING")] == ["a message did not reach the room"]


async def test_who_mutes_the_microphone_after_a_question_is_answered() -> None:
    async with desk(services(stt=ScriptedStt(["hello"])), session=SessionOptions(turn_stop_secs=0.3)) as it:
        client = await it.start()
        who = client.arrive()
        await it.call()
        await client.say(who, speech(PCM_16K, 0.6))
        await until(it.sdk.sources[0], loud=True)
        client.leave_room(who)
        outcome = await it.over()
    assert outcome.turns == 1


async def test_a_configuration_brings_its_rooms_and_starts_the_engine(tmp_path: Path) -> None:
    registry = Registry.load(only=["openai", "daily"])
    file = tmp_path / "config.json"
    keys = {"openai": "sk", "daily_api_key": "k", "daily_dialin_hmac": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}
    file.write_text(json.dumps({"provider": "openai", "runner_transport": ["daily"], "dialin": True, "api_keys": keys}))
    settings = load_settings(file, registry, env={})
    for _ in range(2):
        async with open_runtime(settings, registry, env={}, lookup=lambda name: None) as runtime:
            (rooms,) = runtime.rooms
            assert (rooms.name, rooms.dial_in_path) == ("daily", "/daily-dialin-webhook")
            assert rooms.refusal(Webhook(method="POST", url="https://x/", body=b"{}")) == "the signature is missing"
            daily_sdk.CallClient().release()  # ends the process if there is no engine


async def test_what_the_loop_cannot_keep_up_with_is_dropped_not_kept() -> None:
    async with desk() as it:
        client = await it.start()
        who = client.arrive()
        await it.call()
        await client.say(who, bytes(640))
        for _ in range(5000):
            client.sound(who, Sound(bytes(640)))
        while client.busy():
            pass  # the loop is held up
        client.leave_room(who)
        assert (await it.over()).cause == "caller_left"
