"""RTVI through real sockets, as text and inside protobuf."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from tests.server.serving import WAIT_SECS, closing, serving
from voxray.audio.format import PCM_24K
from voxray.builtin.protobuf import field, fields
from voxray.builtin.protobuf_frames import AUDIO, MESSAGE
from voxray.chat import ToolCall
from voxray.errors import ProviderRefused
from voxray.events import ClientMessage, ServerMessage, SessionEvent
from voxray.protocols.call import SessionHandle
from voxray.protocols.pipeline import Tap
from voxray.session.services import SessionOptions
from voxray.testing.fakes import ScriptedLlm, ScriptedTts, services

pytestmark = pytest.mark.anyio

READY = {"version": "2.1.0", "about": {"library": "test"}}


def quick() -> Any:
    return services(
        llm=ScriptedLlm(["One two three."], first_token_secs=0, token_secs=0),
        tts=ScriptedTts(audio=PCM_24K, first_audio_secs=0, secs_per_char=0.01),
    )


class Client:
    """One end of a socket, in text or in protobuf."""

    def __init__(self, socket: Any, *, protobuf: bool) -> None:
        self.socket = socket
        self._protobuf = protobuf

    async def ask(self, kind: str, data: Any = None, name: str = "q1") -> None:
        text = json.dumps({"id": name, "label": "rtvi-ai", "type": kind, "data": data})
        await self.socket.send(field(MESSAGE, field(1, text)) if self._protobuf else text)

    async def until(self, kind: str) -> list[Any]:
        """Messages up to one of this type; audio as bytes."""
        found: list[Any] = []
        with anyio.fail_after(WAIT_SECS):
            while not (found and isinstance(found[-1], dict) and found[-1]["type"] == kind):
                found += self._read(await self.socket.recv())
        return found

    def _read(self, message: Any) -> list[Any]:
        if not self._protobuf:
            return [message if isinstance(message, bytes) else json.loads(message)]
        [(number, body)] = fields(message)
        values: dict[int, Any] = dict(fields(body))  # type: ignore[arg-type]
        return [json.loads(values[1])] if number == MESSAGE else [values[3]] if number == AUDIO else []


class Desk(Tap):
    """Answers each message of the client, and shows it something."""

    def __init__(self, session: SessionHandle) -> None:
        self._session = session

    def event(self, event: SessionEvent) -> None:
        if isinstance(event, ClientMessage):
            self._session.send(ServerMessage("ui-command", {"command": "toast", "payload": event.data}))
            self._session.send(ServerMessage("done", {"seen": event.kind}, event.id))


class DeskPlugin:
    def open(self, session: SessionHandle) -> Tap:
        return Desk(session)


FORMATS = pytest.mark.parametrize(
    ("path", "protobuf"),
    [("/ws?rtvi=1", False), ("/ws?rtvi=1&format=protobuf", True), ("/ws-client?format=protobuf", True)],
)


@FORMATS
async def test_a_call_in_rtvi(path: str, protobuf: bool) -> None:
    options = SessionOptions(greeting="Hi.")
    async with serving(parts=quick(), options=options) as server, server.ws(path) as socket:
        client = Client(socket, protobuf=protobuf)
        await client.ask("client-ready", READY, "r1")
        greeted = await client.until("bot-stopped-speaking")
        assert (greeted[0]["type"], greeted[0]["id"]) == ("bot-ready", "r1")
        assert [it for it in greeted if isinstance(it, bytes)]
        await client.ask("send-text", {"content": "hello"})
        seen = await client.until("bot-stopped-speaking")
        sound = b"".join(it for it in seen if isinstance(it, bytes))
        assert PCM_24K.secs(len(sound)) == pytest.approx(0.14, abs=0.02)
        [done] = [
            it["data"] for it in seen if isinstance(it, dict) and it.get("data", {}).get("spoken_status") == "completed"
        ]
        assert done["text"] == "One two three."
        await client.ask("client-message", {"t": "what"}, "q7")
        refused = (await client.until("error-response"))[-1]
        assert (refused["id"], refused["data"]) == ("q7", {"error": "this agent takes no messages"})
        await client.ask("no-such-thing", {}, "q8")
        assert (await client.until("error-response"))[-1]["id"] == "q8"
        await client.ask("disconnect-bot")
        assert await closing(socket) == (1000, "client_asked: client asked")


async def test_a_message_that_is_not_protobuf_is_an_error_and_the_call_goes_on() -> None:
    async with serving(parts=quick()) as server, server.ws("/ws?format=protobuf") as socket:
        client = Client(socket, protobuf=True)
        for message in ("text", b"\xff\xff\xff"):
            await socket.send(message)
            assert (await client.until("error"))[-1]["data"]["fatal"] is False
        await client.ask("client-ready", READY)
        await client.until("bot-ready")


async def test_a_tool_that_the_client_runs() -> None:
    call = ToolCall("c1", "show_map", {"place": "here"})
    llm = ScriptedLlm([[call], "Look at the map."], first_token_secs=0, token_secs=0)
    parts = services(llm=llm, tts=ScriptedTts(audio=PCM_24K, first_audio_secs=0, secs_per_char=0.01))
    async with serving(parts=parts) as server, server.ws("/ws?rtvi=1") as socket:
        client = Client(socket, protobuf=False)
        await client.ask("client-ready", READY)
        await client.ask("client-message", {"t": "voxray-set-tools", "d": {"tools": [{"name": "show_map"}]}})
        await client.until("server-response")
        await client.ask("send-text", {"content": "Where are you?"})
        wanted = (await client.until("llm-function-call-in-progress"))[-1]["data"]
        assert wanted == {"tool_call_id": "c1", "function_name": "show_map", "arguments": {"place": "here"}}
        await client.ask("llm-function-call-result", {**wanted, "result": {"shown": True}})
        assert (await client.until("llm-function-call-stopped"))[-1]["data"] == {
            "tool_call_id": "c1",
            "cancelled": False,
            "function_name": "show_map",
            "result": {"shown": True},
        }
        assert (await client.until("bot-output"))[-1]["data"]["text"] == "Look at the map."


async def test_a_plugin_answers_a_request_and_commands_the_page() -> None:
    parts = services(llm=ScriptedLlm(), plugins=[DeskPlugin()])
    async with serving(parts=parts) as server, server.ws("/ws?rtvi=1") as socket:
        client = Client(socket, protobuf=False)
        await client.ask("client-ready", READY)
        await client.ask("client-message", {"t": "what", "d": 7}, "q2")
        [*_, command, answer] = await client.until("server-response")
        assert (command["type"], command["data"]) == ("ui-command", {"command": "toast", "payload": 7})
        assert (answer["id"], answer["data"]) == ("q2", {"t": "what", "d": {"seen": "what"}})
        await client.ask("ui-event", {"event": "clicked"})
        assert (await client.until("ui-command"))[-1]["data"]["payload"] == {"event": "clicked"}


async def test_a_client_of_version_1() -> None:
    async with serving(parts=quick()) as server, server.ws("/ws?rtvi=1") as socket:
        client = Client(socket, protobuf=False)
        await client.ask("client-ready", {"version": "1.2.0"})
        assert (await client.until("bot-ready"))[-1]["data"]["version"] == "1.2.0"
        await client.ask("send-text", {"content": "hello"})
        seen = [it for it in await client.until("bot-stopped-speaking") if isinstance(it, dict)]
        outputs = [it["data"] for it in seen if it["type"] == "bot-output"]
        assert outputs[0] == {"text": "One two three.", "spoken": False, "aggregated_by": "sentence"}
        assert "".join(it["text"] for it in outputs if it["spoken"]) == "One two three."
        assert not any("segment_id" in it for it in outputs)
        await client.ask("dtmf", {"button": "1"})
        await client.ask("dtmf", {"button": "#"})
        assert (await client.until("user-llm-text"))[-1]["data"]["text"] == "DTMF: 1#"


async def test_a_second_client_ready_is_answered_and_not_greeted() -> None:
    async with serving(parts=quick(), options=SessionOptions(greeting="Hi.")) as server:
        async with server.ws("/ws?rtvi=1") as socket:
            client = Client(socket, protobuf=False)
            await client.ask("client-ready", READY, "r1")
            await client.until("bot-stopped-speaking")
            await client.ask("client-ready", {"version": "nine"}, "r2")
            [warning, ready] = await client.until("bot-ready")
            assert [(it["type"], it["id"]) for it in (warning, ready)] == [
                ("error-response", "r2"),
                ("bot-ready", "r2"),
            ]
            await client.ask("send-text", {"content": "hello"})
            seen = [it for it in await client.until("bot-output") if isinstance(it, dict)]
            assert seen[-1]["data"]["text"] == "One two three."


async def test_a_model_that_fails_is_told_and_time_and_again_it_is_the_end() -> None:
    def refuse(prompt: Any) -> Any:
        return [ProviderRefused("llm", "no such model", status=404)]

    parts = services(llm=ScriptedLlm(refuse, first_token_secs=0))
    async with serving(parts=parts, options=SessionOptions(max_failures=2)) as server:
        async with server.ws("/ws?rtvi=1") as socket:
            client = Client(socket, protobuf=False)
            await client.ask("client-ready", READY)
            await client.ask("send-text", {"content": "hello"})
            seen = [it for it in await client.until("bot-llm-stopped") if isinstance(it, dict)]
            [failure] = [it["data"] for it in seen if it["type"] == "error"]
            assert failure == {"error": "llm: no such model", "fatal": False}
            await client.ask("send-text", {"content": "hello?"})
            ends = [(await client.until("error"))[-1]["data"] for _ in range(2)]
            assert [it["fatal"] for it in ends] == [False, True]
            assert ends[1]["error"] == "the call is over: provider failed"
            assert (await closing(socket))[0] == 1011


async def test_a_limit_of_the_call_is_told_before_the_normal_end() -> None:
    options = SessionOptions(greeting="Hi.", max_duration_secs=0.2)
    async with serving(parts=quick(), options=options) as server, server.ws("/ws?rtvi=1") as socket:
        client = Client(socket, protobuf=False)
        await client.ask("client-ready", READY)
        await client.until("bot-started-speaking")
        await socket.send(bytes(640))
        seen = await client.until("error")
        assert seen[-1]["data"] == {"error": "the call is over: max duration", "fatal": False}
        assert (await closing(socket))[0] == 1000


async def test_a_client_that_says_nothing_is_told_why_the_call_ends() -> None:
    async with serving(parts=quick(), ws_idle_timeout_secs=0.3) as server, server.ws("/ws?rtvi=1") as socket:
        client = Client(socket, protobuf=False)
        await client.ask("client-ready", READY)
        assert (await client.until("error"))[-1]["data"] == {"error": "the call is over: idle", "fatal": False}
        assert (await closing(socket))[0] == 1000


async def test_a_server_that_stops_says_so() -> None:
    async with serving(parts=quick()) as server, server.ws("/ws?rtvi=1") as socket:
        client = Client(socket, protobuf=False)
        await client.ask("client-ready", READY)
        await client.until("bot-ready")
        await server.calls.drain(0.01)
        assert (await client.until("error"))[-1]["data"] == {"error": "the call is over: drained", "fatal": False}
        assert (await closing(socket))[0] == 1001


async def test_a_call_that_ends_before_the_client_is_ready_lets_it_not_wait() -> None:
    async with serving(parts=quick()) as server, server.ws("/ws?rtvi=1") as socket:
        await server.calls.drain(0.01)
        error = (await Client(socket, protobuf=False).until("error"))[-1]["data"]
        assert error == {"error": "the call could not begin: drained", "fatal": True}
