"""Daily's SDK with its network cut off: sound goes into their real sources at real pace, signals come from the test."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio

from voxray.audio.format import PCM_16K

FRAME_SECS = 0.02
Work = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Sound:
    """The SDK's `AudioData`."""

    audio_frames: bytes
    sample_rate: int = PCM_16K.rate_hz
    num_channels: int = 1
    bits_per_sample: int = 16


class FakeDaily:
    """Stands in for the module `daily`, given as `sdk`: the engine, sources, tracks and event handlers are the real
    ones, `CallClient` is not.

    `clients` are those that were made, newest last. `refuses`: joining fails with this text; `hangs`: it never ends.
    """

    def __init__(self, sdk: Any, *, refuses: str = "", hangs: bool = False) -> None:
        self._sdk = sdk
        self.refuses = refuses
        self.hangs = hangs
        self.clients: list[FakeClient] = []
        self.sources: list[RecordedSource] = []
        self.waiting: list[str] = []  # in the room before the agent
        self._joined = anyio.Event()
        self._asked = anyio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sdk, name)

    def CallClient(self, event_handler: Any) -> FakeClient:  # noqa: N802  as the SDK has it
        self.clients.append(FakeClient(self, event_handler))
        return self.clients[-1]

    def CustomAudioSource(self, sample_rate: int, channels: int) -> RecordedSource:  # noqa: N802
        self.sources.append(RecordedSource(self._sdk.CustomAudioSource(sample_rate, channels)))
        return self.sources[-1]

    def CustomAudioTrack(self, source: RecordedSource) -> Any:  # noqa: N802
        return self._sdk.CustomAudioTrack(source.real)

    async def asked(self) -> FakeClient:
        """The client of the agent, as soon as it wants to join."""
        await self._asked.wait()
        return self.clients[-1]

    async def joined(self) -> FakeClient:
        """The client of the agent, as soon as it is in its room."""
        await self._joined.wait()
        return self.clients[-1]

    def note_asked(self) -> None:
        self._asked.set()

    def note_joined(self) -> None:
        self._joined.set()


class RecordedSource:
    """A real source that keeps what it has played, with the time of each piece's end."""

    def __init__(self, real: Any) -> None:
        self.real = real
        self.written: list[bytes] = []
        self.played: list[tuple[float, bytes]] = []
        self.stalled = False  # nothing is played any more
        self._now = asyncio.get_running_loop().time
        self._news = anyio.Event()
        self._call_soon = _call_soon()

    def write_frames(self, frames: bytes, completion: Callable[[int], None]) -> int:
        self.written.append(frames)
        if self.stalled:
            return 0

        def done(count: int) -> None:
            self._call_soon(partial(self._note, frames))
            completion(count)

        written: int = self.real.write_frames(frames, completion=done)
        return written

    def _note(self, frames: bytes) -> None:
        self.played.append((self._now(), frames))
        self._news.set()
        self._news = anyio.Event()

    async def news(self) -> None:
        """Wait until another piece was played."""
        await self._news.wait()


class FakeClient:
    """The agent's end, as the SDK's `CallClient`, and what tests do and see from the other end.

    As in the SDK, completions and events come on another thread.
    """

    def __init__(self, daily: FakeDaily, handler: Any) -> None:
        self.daily = daily
        self.handler = handler
        self.url = self.token = self.name = ""
        self.settings: Any = None
        self.profiles: Any = None
        self.people: dict[str, Mapping[str, Any]] = {}
        self.messages: list[Any] = []
        self.transfers: list[tuple[str, Mapping[str, str]]] = []
        self.refuses = ""  # messages and transfers fail with this text
        self.left = self.released = 0
        self.gone = anyio.Event()  # when it is released
        self._renderers: dict[str, Callable[..., None]] = {}
        self._news = anyio.Event()
        self._call_soon = _call_soon()
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="fake-daily", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()

    def _later(self, function: Callable[..., None] | None, *values: Any) -> None:
        if function is not None:
            self._work.put(partial(function, *values))

    # ── the SDK's ──

    def set_user_name(self, user_name: str) -> None:
        self.name = user_name

    def update_subscription_profiles(self, profile_settings: Mapping[str, Any]) -> None:
        self.profiles = profile_settings

    def join(self, url: str, token: str, client_settings: Any, completion: Callable[..., None]) -> None:
        self.url, self.token, self.settings = url, token, client_settings
        self.daily.note_asked()
        if self.daily.hangs:
            return
        if self.daily.refuses:
            self._later(self.handler.on_error, self.daily.refuses)
            self._later(completion, None, self.daily.refuses)
            return
        for who in self.daily.waiting:
            self.people[who] = _person(who)
        self._later(completion, {}, None)

    def participants(self) -> Mapping[str, Any]:
        self.daily.note_joined()
        return {"local": {"id": str(uuid.uuid4()), "info": {"isLocal": True}}, **self.people}

    def set_audio_renderer(
        self, participant_id: str, callback: Callable[..., None], audio_source: str, sample_rate: int, interval_ms: int
    ) -> None:
        uuid.UUID(participant_id)
        self._renderers[participant_id] = callback
        self._tell()

    def send_app_message(self, message: Any, completion: Callable[..., None]) -> None:
        if not self.refuses:
            json.dumps(message, ensure_ascii=False).encode()  # which fails at half characters, as the SDK does
            self.messages.append(message)
            self._tell()
        self._later(completion, self.refuses or None)

    def sip_refer(self, settings: Mapping[str, str], completion: Callable[..., None]) -> None:
        self._transfer("refer", settings, completion)

    def sip_call_transfer(self, settings: Mapping[str, str], completion: Callable[..., None]) -> None:
        self._transfer("transfer", settings, completion)

    def _transfer(self, how: str, settings: Mapping[str, str], completion: Callable[..., None]) -> None:
        self._later(completion, self.refuses or None)
        if not self.refuses:
            self.transfers.append((how, settings))
            self.leave_room(settings["sessionId"])

    def leave(self, completion: Callable[..., None]) -> None:
        self.left += 1
        self._later(self.handler.on_call_state_updated, "left")
        self._later(completion, None)

    def release(self) -> None:
        self.released += 1
        if self.released > 1:
            raise RuntimeError("this object has already been released")
        self._work.put(None)
        self._thread.join()
        self._call_soon(self.gone.set)

    # ── the other end ──

    def event(self, name: str, *values: Any) -> None:
        """Let the SDK say that something happened: the name of a handler's method without "on_"."""
        self._later(getattr(self.handler, f"on_{name}"), *values)

    def busy(self) -> bool:
        """Whether the SDK's thread has something to tell yet."""
        return not self._work.empty()

    def arrive(self, who: str = "") -> str:
        """Somebody joins; their id."""
        who = who or str(uuid.uuid4())
        self.people[who] = _person(who)
        self.event("participant_joined", self.people[who])
        return who

    def leave_room(self, who: str) -> None:
        """They are gone."""
        self._renderers.pop(who, None)
        person = self.people.pop(who, None)
        if person is not None:
            self.event("participant_left", person, "leftCall")

    def sound(self, who: str, sound: Any) -> None:
        """What comes from a microphone, at once."""
        self._later(self._renderers[who], who, sound, "microphone")

    async def say(self, who: str, pcm: bytes) -> None:
        """Speak at the pace of speech, pcm16 mono at 16 kHz."""
        while who not in self._renderers:
            await self._told()
        size, start = PCM_16K.size(FRAME_SECS), anyio.current_time()
        for number, at in enumerate(range(0, len(pcm), size), 1):
            await anyio.sleep_until(start + number * FRAME_SECS)
            self.sound(who, Sound(pcm[at : at + size]))

    async def sent(self, wanted: Callable[[Any], bool]) -> Any:
        """The first message that was sent, or will be, which `wanted` accepts."""
        seen = 0
        while True:
            for message in self.messages[seen:]:
                if wanted(message):
                    return message
            seen = len(self.messages)
            await self._told()

    async def _told(self) -> None:
        await self._news.wait()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()


def _person(who: str) -> dict[str, Any]:
    return {"id": who, "info": {"isLocal": False, "isOwner": False}}


def _call_soon() -> Callable[[Work], None]:
    """A way back to this loop for other threads."""
    loop = asyncio.get_running_loop()

    def call_soon(work: Work) -> None:
        with suppress(RuntimeError):  # the test is over, and a source still plays what it was given
            loop.call_soon_threadsafe(work)

    return call_soon
