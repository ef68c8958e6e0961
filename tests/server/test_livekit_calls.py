"""Calls in a LiveKit room: the real server and session, LiveKit's own sound; only the network between is missing."""

from __future__ import annotations

import asyncio
import json
import threading
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import voxray_livekit
from livekit import rtc

from tests.server.serving import Served, serving
from voxray.audio.format import PCM_16K
from voxray.builtin.call_control import CallControl
from voxray.chat import ToolCall
from voxray.config.load import load_settings
from voxray.config.settings import Settings
from voxray.errors import ProviderRefused
from voxray.protocols.call import CallInfo, Outcome
from voxray.registry import Registry, make
from voxray.server.calls import Hooks
from voxray.server.runtime import ListenerContext, open_runtime
from voxray.session.services import Services, SessionOptions
from voxray.specs import SerializerSpec
from voxray.testing.fakes import ScriptedLlm, ScriptedStt, services, speech
from voxray.testing.faults import Fault
from voxray.testing.livekit_api import LiveKitApi
from voxray.testing.livekit_room import FakeGuest, FakeRoom, FakeRtc

pytestmark = pytest.mark.anyio

(SPEC,) = voxray_livekit.voxray_register_transports()
WAIT_SECS = 10.0
READY = {"id": "1", "label": "rtvi-ai", "type": "client-ready", "data": {"version": "2.1.0"}}


@dataclass
class Desk:
    """A server whose agents meet people in LiveKit rooms."""

    server: Served
    api: LiveKitApi
    rtc: FakeRtc
    infos: list[CallInfo] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    answered: anyio.Event = field(default_factory=anyio.Event)

    def began(self, info: CallInfo) -> None:
        self.infos.append(info)
        self.answered.set()

    async def start(self) -> FakeRoom:
        """`POST /start`; the room once the agent is in it."""
        self.answer = await self.server.http.post("/start", json={"transport": "livekit", "body": {"a": 1}})
        with anyio.fail_after(WAIT_SECS):
            return await self.rtc.joined()

    async def over(self, room: FakeRoom) -> Outcome:
        """The record of the call, when nothing of it is left."""
        with anyio.fail_after(WAIT_SECS):
            await room.disconnected.wait()
            await self.api.emptied()
        return self.outcomes[0]


@asynccontextmanager
async def desk(
    parts: Services | None = None,
    *,
    refuses: str = "",
    hangs: bool = False,
    real: bool = False,
    faults: list[Fault] | None = None,
    session: SessionOptions | None = None,
    **options: Any,
) -> AsyncIterator[Desk]:
    fake = FakeRtc(rtc, refuses=refuses, hangs=hangs)
    tasks, threads = len(asyncio.all_tasks()), own_threads()
    async with LiveKitApi(faults=faults or ()) as api, httpx.AsyncClient() as http:
        secrets = {"api_key": api.key, "api_secret": api.secret}
        context = ListenerContext(
            "livekit",
            Settings(),
            Registry.load(only=["-"]).specs(SerializerSpec),
            http=http,
            base_url=api.base_url,
            secrets=secrets.__getitem__,
        )
        rooms = make(SPEC, context, {"leave_grace_secs": 0.2, "rtc": rtc if real else fake, **options})
        found = Desk(None, api, fake)  # type: ignore[arg-type]
        hooks = Hooks(started=(found.began,), ended=(lambda info, outcome: found.outcomes.append(outcome),))
        async with serving(parts=parts or services(), rooms=[rooms], hooks=hooks, options=session) as server:
            found.server = server
            yield found
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) <= tasks
    assert own_threads() <= threads + 1  # the loop's own for look-ups of names


def own_threads() -> int:
    """Those that Python started: the SDK's are there for as long as the process."""
    return sum(not thread.name.startswith("Dummy-") for thread in threading.enumerate())


class Ear:
    """What somebody in the room hears of the agent."""

    def __init__(self, room: FakeRoom) -> None:
        self._stream = room.local_participant.stream()
        self.levels: list[tuple[float, int]] = []  # per frame of 20 ms
        self._heard = anyio.Event()

    async def listen(self) -> None:
        async for event in self._stream:
            samples = array("h", bytes(event.frame.data))
            self.levels.append((anyio.current_time(), max(map(abs, samples))))
            self._heard.set()
            self._heard = anyio.Event()

    async def until(self, loud: bool, secs: float = 0.1) -> float:
        """Wait until it was loud, or quiet, for so long; the time it began."""
        with anyio.fail_after(WAIT_SECS):
            while True:
                frames = self.levels[-int(secs / 0.02) :]
                if len(frames) * 0.02 >= secs - 0.001 and all((level > 300) == loud for _, level in frames):
                    return frames[0][0]
                await self._heard.wait()

    async def close(self) -> None:
        await self._stream.aclose()


@asynccontextmanager
async def listening(room: FakeRoom) -> AsyncIterator[Ear]:
    ear = Ear(room)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ear.listen)
        yield ear
        await ear.close()


def rtvi(room: FakeRoom, kind: str) -> Any:
    return room.local_participant.sent(lambda data: json.loads(data)["type"] == kind)


async def test_somebody_is_greeted_asks_and_is_answered_through_livekits_sound() -> None:
    parts = services(
        stt=ScriptedStt(["when is breakfast"]), llm=ScriptedLlm(["At seven o'clock, on the ground floor."])
    )
    async with desk(parts, session=SessionOptions(greeting="Hello there.", turn_stop_secs=0.3)) as it:
        room = await it.start()
        answer = it.answer.json()
        assert (room.url, room.options.auto_subscribe) == (answer["url"], False)
        assert it.api.claims(room.token)["video"]["agent"] is True
        assert it.api.claims(answer["token"])["video"].get("agent") is not True
        async with listening(room) as ear:
            guest = room.arrive(FakeGuest(it.rtc, video=True))
            room.send(guest, json.dumps(READY).encode())
            with anyio.fail_after(WAIT_SECS):
                await rtvi(room, "bot-ready")
            await ear.until(loud=True)
            await ear.until(loud=False)
            await guest.say(speech(PCM_16K, 0.6) + bytes(PCM_16K.size(1.0)))
            await ear.until(loud=True)
            with anyio.fail_after(WAIT_SECS):
                await room.local_participant.sent(lambda data: b"when is breakfast" in data)
            await ear.until(loud=False)
            await room.leave(guest)
            outcome = await it.over(room)
        assert room.local_participant.topics == {"rtvi"}
        assert guest.microphone.subscribed
        assert not guest.track_publications["camera"].subscribed
        (info,) = it.infos
        assert (info.transport, info.session_id, info.body) == ("livekit", answer["sessionId"], {"a": 1})
        assert (outcome.cause, outcome.turns, outcome.replies) == ("caller_left", 1, 2)
        assert not it.api.rejected


async def test_who_mutes_the_microphone_after_a_question_is_answered() -> None:
    parts = services(stt=ScriptedStt(["when is breakfast"]), llm=ScriptedLlm(["At seven."]))
    async with desk(parts, session=SessionOptions(turn_stop_secs=0.3)) as it:
        room = await it.start()
        async with listening(room) as ear:
            guest = room.arrive(FakeGuest(it.rtc))
            room.send(guest, json.dumps(READY).encode())
            await guest.say(speech(PCM_16K, 0.6))
            await ear.until(loud=True)
            await room.leave(guest)
            outcome = await it.over(room)
    assert outcome.turns == 1


async def test_speaking_into_a_reply_silences_it_at_once() -> None:
    parts = services(stt=ScriptedStt(["stop"]), llm=ScriptedLlm(["x" * 200, "All right."]))
    options = SessionOptions(greeting="y" * 200, turn_stop_secs=0.3)
    async with desk(parts, session=options) as it:
        room = await it.start()
        async with listening(room) as ear:
            guest = room.arrive(FakeGuest(it.rtc))
            room.send(guest, json.dumps(READY).encode())
            await ear.until(loud=True, secs=0.5)
            began = anyio.current_time()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(guest.say, speech(PCM_16K, 0.8))
                silent = await ear.until(loud=False)
            await room.leave(guest)
            outcome = await it.over(room)
    assert silent - began < 0.6  # the detector's 0.2 s, and what is under way
    assert outcome.interruptions >= 1


async def test_somebody_who_speaks_no_rtvi_is_greeted_after_two_seconds() -> None:
    async with desk(session=SessionOptions(greeting="Hello there.")) as it:
        room = await it.start()
        async with listening(room) as ear:
            arrived = anyio.current_time()
            guest = room.arrive(FakeGuest(it.rtc))
            greeted = await ear.until(loud=True)
            await room.leave(guest)
            await it.over(room)
    assert 1.9 < greeted - arrived < 3.5


async def test_who_is_in_the_room_before_the_agent_is_heard_too() -> None:
    parts = services(stt=ScriptedStt(["hello"]), llm=ScriptedLlm(["Good day."]))
    async with desk(parts, session=SessionOptions(turn_stop_secs=0.3)) as it:
        guest = FakeGuest(it.rtc)
        it.rtc.waiting.append(guest)
        room = await it.start()
        async with listening(room) as ear:
            await guest.say(speech(PCM_16K, 0.6) + bytes(PCM_16K.size(1.0)))
            await ear.until(loud=True)
            await room.leave(guest)
            outcome = await it.over(room)
    assert outcome.turns == 1


async def test_the_call_goes_on_when_somebody_comes_back_within_the_grace() -> None:
    async with desk(leave_grace_secs=5) as it:
        room = await it.start()
        first, second = FakeGuest(it.rtc), FakeGuest(it.rtc)
        room.arrive(first)
        await room.leave(first)
        room.arrive(second)
        room.send(second, json.dumps(READY).encode())
        with anyio.fail_after(WAIT_SECS):
            await rtvi(room, "bot-ready")
        room.emit("disconnected", rtc.DisconnectReason.ROOM_DELETED)
        outcome = await it.over(room)
        await second.close()
    assert outcome.cause == "caller_left"


async def test_other_agents_and_recorders_are_nobody() -> None:
    kinds = rtc.ParticipantKind
    async with desk(wait_secs=0.3) as it:
        room = await it.start()
        for kind in (kinds.PARTICIPANT_KIND_AGENT, kinds.PARTICIPANT_KIND_EGRESS):
            room.arrive(FakeGuest(it.rtc, kind=kind))
        with anyio.fail_after(WAIT_SECS):
            await room.disconnected.wait()
        assert not any(guest.microphone.subscribed for guest in room.remote_participants.values())
    assert it.infos == []
    assert len(it.api.deleted) == 1


async def test_a_telephone_is_greeted_at_once_presses_keys_and_is_handed_on() -> None:
    transfer = ToolCall("1", "transfer_call", {"to": "+15005550009"})
    parts = services(llm=ScriptedLlm([[transfer], "One moment."]), tools=[CallControl(tools=("transfer_call",))])
    async with desk(parts, session=SessionOptions(greeting="Hello.", dtmf_timeout_secs=0.3)) as it:
        room = await it.start()
        phone = FakeGuest(it.rtc, "sip_1", kind=rtc.ParticipantKind.PARTICIPANT_KIND_SIP)
        it.api.phones.add((next(iter(it.api.rooms)), "sip_1"))
        gone: list[str] = []

        def hand_on(moved: Any) -> None:
            gone.append(moved.to)
            del room.remote_participants["sip_1"]
            room.emit("participant_disconnected", phone)

        it.api.on_transfer = hand_on
        async with listening(room) as ear:
            arrived = anyio.current_time()
            room.arrive(phone)
            assert await ear.until(loud=True) - arrived < 1.5
            await ear.until(loud=False)
            room.press(phone, "x")
            room.press(phone, "0")
            outcome = await it.over(room)
        await phone.close()
    assert gone == ["tel:+15005550009"]
    assert (outcome.cause, it.api.rejected) == ("transferred", [])


@pytest.mark.parametrize("reason", ["SERVER_SHUTDOWN", "PARTICIPANT_REMOVED", "DUPLICATE_IDENTITY"])
async def test_an_agent_that_is_thrown_out_ends_the_call_with_the_reason(reason: str) -> None:
    async with desk() as it:
        room = await it.start()
        room.arrive(FakeGuest(it.rtc))
        with anyio.fail_after(WAIT_SECS):
            await it.answered.wait()
        room.emit("disconnected", rtc.DisconnectReason.Value(reason))
        outcome = await it.over(room)
    assert outcome.cause == "transport_failed"
    assert reason.lower() in outcome.detail


async def test_a_room_that_cannot_be_joined_is_deleted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with desk(refuses="engine: signal failure: invalid token eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.abc.def") as it:
        answer = await it.server.http.post("/start", json={"transport": "livekit"})
        assert answer.status_code == 201
        with anyio.fail_after(WAIT_SECS):
            await it.api.emptied()
    (line,) = [row for row in caplog.records if row.levelname == "ERROR" and row.name.startswith("voxray")]
    assert "cannot join" in line.__dict__["error"]
    assert "eyJ" not in line.__dict__["error"]


async def test_a_server_that_does_not_let_the_real_sdk_in_loses_its_room(caplog: pytest.LogCaptureFixture) -> None:
    async with desk(real=True) as it:
        answer = await it.server.http.post("/start", json={"transport": "livekit"})
        assert answer.status_code == 201
        with anyio.fail_after(WAIT_SECS):
            await it.api.emptied()
        asked = {request.path for request in it.api.requests}
    (line,) = [row for row in caplog.records if row.levelname == "ERROR" and row.name.startswith("voxray")]
    assert "cannot join the room" in line.__dict__["error"]
    assert [path for path in asked if path.startswith("/rtc")]
    assert answer.json()["token"] not in caplog.text
    assert it.infos == []


async def test_a_server_that_stops_while_an_agent_joins_deletes_the_room() -> None:
    async with desk(hangs=True) as it:
        await it.server.http.post("/start", json={"transport": "livekit"})
        with anyio.fail_after(WAIT_SECS):
            await it.rtc.asked()
    assert (it.api.rooms, len(it.api.deleted)) == ({}, 1)


async def test_a_room_that_cannot_be_made_is_an_error_of_the_request() -> None:
    async with desk(faults=[Fault("status", path="/CreateRoom", status=401)]) as it:
        answer = await it.server.http.post("/start", json={"transport": "livekit"})
    assert answer.status_code == 500
    assert it.rtc.rooms == []


async def test_an_agent_that_hangs_up_leaves_and_deletes_the_room() -> None:
    hang_up = ToolCall("1", "end_call", {})
    parts = services(stt=ScriptedStt(["bye"]), llm=ScriptedLlm([[hang_up], "Goodbye."]), tools=[CallControl()])
    async with desk(parts, session=SessionOptions(turn_stop_secs=0.3)) as it:
        room = await it.start()
        guest = room.arrive(FakeGuest(it.rtc))
        room.send(guest, json.dumps(READY).encode())
        await guest.say(speech(PCM_16K, 0.6) + bytes(PCM_16K.size(1.0)))
        outcome = await it.over(room)
        assert list(it.api.rooms) == []
    assert outcome.cause == "agent_ended"


async def test_a_server_that_stops_leaves_its_rooms() -> None:
    async with desk() as it:
        room = await it.start()
        room.arrive(FakeGuest(it.rtc))
        with anyio.fail_after(WAIT_SECS):
            await it.answered.wait()
    assert room.disconnected.is_set()
    assert it.outcomes[0].cause == "drained"


async def test_messages_that_do_not_leave_cost_nobody_the_call(caplog: pytest.LogCaptureFixture) -> None:
    async with desk(session=SessionOptions(greeting="Hello there.")) as it:
        room = await it.start()
        room.local_participant.refuses = "too large"
        async with listening(room) as ear:
            guest = room.arrive(FakeGuest(it.rtc))
            room.send(guest, json.dumps(READY).encode())
            await ear.until(loud=True)
            await room.leave(guest)
            outcome = await it.over(room)
    assert outcome.cause == "caller_left"
    assert len([row for row in caplog.records if row.levelname == "WARNING" and row.name.startswith("voxray")]) == 1


async def test_nonsense_on_the_data_channel_is_answered_and_then_ignored() -> None:
    async with desk() as it:
        room = await it.start()
        guest = room.arrive(FakeGuest(it.rtc))
        for data in (b"", b"\xff\xfe", b"[" * 5000, b"x" * 100_000, json.dumps({**READY, "data": 7}).encode()):
            room.send(guest, data)
            room.send(None, data, topic=None)
        room.send(guest, json.dumps(READY).encode(), topic="lk.chat")
        for _ in range(300):
            room.send(guest, b"y" * 70_000)
        with anyio.fail_after(WAIT_SECS):
            await it.answered.wait()
        await room.leave(guest)
        outcome = await it.over(room)
    assert outcome.cause == "caller_left"
    assert len(room.local_participant.data) < 150


async def test_a_configuration_brings_its_rooms(tmp_path: Path) -> None:
    registry = Registry.load(only=["openai", "livekit"])
    file = tmp_path / "config.json"
    config = {
        "provider": "openai",
        "runner_transport": "livekit",
        "api_keys": {"openai": "sk", "livekit_api_key": "devkey"},
    }
    file.write_text(json.dumps(config))
    env = {"LIVEKIT_API_SECRET": "secretsecretsecretsecretsecret12", "LIVEKIT_URL": "wss://a.livekit.cloud"}
    settings = load_settings(file, registry, env={})
    async with open_runtime(settings, registry, env=env, lookup=env.get) as runtime:
        (rooms,) = runtime.rooms
        assert rooms.name == "livekit"
    with pytest.raises(ProviderRefused, match="LIVEKIT_API_SECRET"):
        async with open_runtime(settings, registry, env={}, lookup=lambda name: None):
            pass
