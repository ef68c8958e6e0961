"""LiveKit's SDK with its network cut off: sound goes through their real sources, tracks and streams, signals do not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import anyio

FRAME_SECS = 0.02
HEARD_HZ = 16_000


class FakeRtc:
    """Stands in for the module `livekit.rtc`, given as `rtc`: all of it is the real one but `Room`.

    `rooms` are those that were made, newest last. `refuses`: connecting fails with this text; `hangs`: it never ends.
    """

    def __init__(self, rtc: Any, *, refuses: str = "", hangs: bool = False) -> None:
        self._rtc = rtc
        self.refuses = refuses
        self.hangs = hangs
        self.rooms: list[FakeRoom] = []
        self.waiting: list[FakeGuest] = []  # in the room before the agent
        self._joined = anyio.Event()
        self._asked = anyio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rtc, name)

    def Room(self) -> FakeRoom:  # noqa: N802  as the SDK has it
        self.rooms.append(FakeRoom(self))
        return self.rooms[-1]

    async def asked(self) -> FakeRoom:
        """The room that the agent wants to join, as soon as it does."""
        await self._asked.wait()
        return self.rooms[-1]

    async def joined(self) -> FakeRoom:
        """The room that the agent has joined and speaks into, as soon as it does."""
        await self._joined.wait()
        return self.rooms[-1]

    def note_asked(self) -> None:
        self._asked.set()

    def note_joined(self) -> None:
        self._joined.set()


class FakeRoom:
    """The agent's end, as the SDK's `Room`, and what tests do and see from the other end."""

    def __init__(self, rtc: FakeRtc) -> None:
        self.rtc = rtc
        self.url = self.token = ""
        self.options: Any = None
        self.local_participant = FakeAgent(self)
        self.remote_participants: dict[str, FakeGuest] = {}
        self.disconnected = anyio.Event()
        self._handlers: dict[str, Callable[..., None]] = {}

    # ── the SDK's ──

    def on(self, event: str, handler: Callable[..., None]) -> None:
        self._handlers[event] = handler

    async def connect(self, url: str, token: str, options: Any) -> None:
        self.url, self.token, self.options = url, token, options
        self.rtc.note_asked()
        if self.rtc.hangs:
            await anyio.sleep_forever()
        if self.rtc.refuses:
            raise self.rtc.ConnectError(self.rtc.refuses)
        for guest in self.rtc.waiting:
            guest.room = self
            self.remote_participants[guest.identity] = guest

    async def disconnect(self) -> None:
        self.disconnected.set()
        for guest in list(self.remote_participants.values()):
            await guest.close()

    # ── the other end ──

    def emit(self, event: str, *values: Any) -> None:
        """Let the SDK say that something happened."""
        self._handlers[event](*values)

    def arrive(self, guest: FakeGuest) -> FakeGuest:
        """Somebody joins, and publishes a microphone."""
        guest.room = self
        self.remote_participants[guest.identity] = guest
        self.emit("participant_connected", guest)
        for publication in guest.track_publications.values():
            self.emit("track_published", publication, guest)
        return guest

    async def leave(self, guest: FakeGuest) -> None:
        """They are gone."""
        del self.remote_participants[guest.identity]
        await guest.close()
        self.emit("participant_disconnected", guest)

    def send(self, guest: FakeGuest | None, data: bytes, topic: str | None = "rtvi") -> None:
        """A data packet from somebody, or from the vendor's API."""
        self.emit("data_received", self.rtc.DataPacket(data, 0, guest, topic))

    def press(self, guest: FakeGuest, digit: str) -> None:
        """A key on a telephone."""
        self.emit("sip_dtmf_received", self.rtc.SipDTMF(0, digit, guest))


class FakeAgent:
    """The SDK's `LocalParticipant`: keeps what was published."""

    def __init__(self, room: FakeRoom) -> None:
        self._room = room
        self.track: Any = None
        self.data: list[bytes] = []
        self.topics: set[str] = set()
        self.keys: list[tuple[int, str]] = []
        self.refuses = ""  # publishing data fails with this text
        self._news = anyio.Event()

    async def publish_track(self, track: Any, options: Any) -> None:
        self.track = track
        self._room.rtc.note_joined()

    async def publish_data(self, payload: str | bytes, *, reliable: bool, topic: str) -> None:
        if self.refuses:
            raise self._room.rtc.participant.PublishDataError(self.refuses)
        self.data.append(payload.encode() if isinstance(payload, str) else payload)
        self.topics.add(topic)
        self._news.set()
        self._news = anyio.Event()

    async def publish_dtmf(self, *, code: int, digit: str) -> None:
        self.keys.append((code, digit))

    async def sent(self, wanted: Callable[[bytes], bool]) -> bytes:
        """The first message that was sent, or will be, which `wanted` accepts."""
        seen = 0
        while True:
            for message in self.data[seen:]:
                if wanted(message):
                    return message
            seen = len(self.data)
            await self._news.wait()

    def stream(self) -> Any:
        """What the others hear of the agent: an `AudioStream` at 16 kHz in frames of 20 ms."""
        return self._room.rtc.AudioStream(self.track, sample_rate=HEARD_HZ, num_channels=1, frame_size_ms=20)


class FakeGuest:
    """The SDK's `RemoteParticipant`: somebody with a microphone, who speaks through a real track."""

    _numbers = itertools.count(1)

    def __init__(self, rtc: FakeRtc, identity: str = "", *, kind: int = 0, video: bool = False) -> None:
        self._rtc = rtc
        self.identity = identity or f"guest-{next(self._numbers)}"
        self.kind = kind
        self.room: FakeRoom | None = None
        self._source = rtc.AudioSource(HEARD_HZ, 1, queue_size_ms=100)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        self.microphone = FakePublication(self, track, rtc.TrackKind.KIND_AUDIO, rtc.TrackSource.SOURCE_MICROPHONE)
        self.track_publications: dict[str, FakePublication] = {"microphone": self.microphone}
        if video:
            camera = FakePublication(self, None, rtc.TrackKind.KIND_VIDEO, rtc.TrackSource.SOURCE_CAMERA)
            self.track_publications["camera"] = camera
        self.attributes: Mapping[str, str] = {}

    async def say(self, pcm: bytes) -> None:
        """Speak, pcm16 mono at 16 kHz; returns when nearly all of it was said."""
        size = int(HEARD_HZ * FRAME_SECS) * 2
        for start in range(0, len(pcm), size):
            piece = pcm[start : start + size]
            await self._source.capture_frame(self._rtc.AudioFrame(piece, HEARD_HZ, 1, len(piece) // 2))

    async def close(self) -> None:
        await self._source.aclose()


class FakePublication:
    """The SDK's `RemoteTrackPublication`."""

    def __init__(self, guest: FakeGuest, track: Any, kind: int, source: int) -> None:
        self._guest = guest
        self._track = track
        self.kind = kind
        self.source = source
        self.subscribed = False

    def set_subscribed(self, subscribed: bool) -> None:
        self.subscribed = subscribed
        room = self._guest.room
        if subscribed and room is not None:
            room.emit("track_subscribed", self._track, self, self._guest)
