"""The agent in one of Daily's rooms: their SDK as a `RoomLine`.

The SDK calls back on threads of its own; everything hops to the event loop before it touches anything.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import anyio

from voxray.audio.format import PCM_24K
from voxray.errors import ProviderRefused, ProviderUnavailable, TransportFailedError
from voxray.wire.fields import text_of
from voxray.wire.room_transport import RoomTransport
from voxray.wire.status import excerpt
from voxray_daily.sdk import Engine

logger = logging.getLogger(__name__)

AUDIO_OUT = PCM_24K
HEARD_HZ = 16_000
JOIN_SECS = 30.0
LEAVE_SECS = 4.0
RELEASE_SECS = 4.0
ANSWER_SECS = 5.0  # for the SDK to say what became of a message
STALLED_SECS = 2.0  # of sound that the SDK does not play
ARRIVED = 250  # sounds and messages that the loop has not seen yet: 5 s of sound
SIP = ("sip:", "sips:")
UNHEARD = ("camera", "screenVideo", "screenAudio")  # would be decoded for nobody
SUBSCRIPTIONS = {"base": dict.fromkeys(UNHEARD, "unsubscribed")}
PUBLISHING = {"microphone": {"isPublishing": True, "sendSettings": {"channelConfig": "mono", "bitrate": 96_000}}}


def microphone(track_id: str) -> dict[str, Any]:
    """The SDK's settings for speaking through a track of ours."""
    return {"camera": False, "microphone": {"isEnabled": True, "settings": {"customTrack": {"id": track_id}}}}


class DailyLine:
    """One client of the SDK. What was handed over cannot be taken back, so little is: 120 ms."""

    lead_secs = 0.12
    audio_out = AUDIO_OUT
    sends_keys = False  # only to phones that were called from the room

    def __init__(self, daily: Any, engine: Engine, provider: str) -> None:
        self._daily = daily
        self._engine = engine
        self._provider = provider
        self._loop = asyncio.get_running_loop()
        self._client: Any = None
        self._source: Any = None
        self._track: Any = None
        self._token = ""
        self._transport: RoomTransport
        self._listened_to: set[str] = set()
        self._unplayed = 0  # samples handed over
        self._played = anyio.Event()
        self._endpoint = ""
        self._endpoint_known = anyio.Event()
        self._arrived: deque[Callable[[], None]] = deque(maxlen=ARRIVED)
        self._arrived_lock = threading.Lock()

    # ── coming and going ──

    async def join(self, transport: RoomTransport, url: str, token: str, name: str) -> None:
        """Enter the room. Raises ProviderUnavailable; `leave` is due in any case."""
        self._transport = transport
        self._token = token
        self._engine.entered()
        self._source = self._daily.CustomAudioSource(AUDIO_OUT.rate_hz, 1)
        self._track = self._daily.CustomAudioTrack(self._source)
        client = self._client = self._daily.CallClient(event_handler=_events(self._daily, self))
        client.set_user_name(name)
        client.update_subscription_profiles(SUBSCRIPTIONS)
        settings = {"inputs": microphone(self._track.id), "publishing": PUBLISHING}
        _, error = await self._asked(
            lambda done: client.join(url, token, client_settings=settings, completion=done), JOIN_SECS, "join"
        )
        if error:
            raise ProviderUnavailable(self._provider, f"cannot join the room: {self._said(error)}")
        for who, participant in dict(client.participants()).items():
            if who != "local":
                self.on_joined(participant)

    async def leave(self) -> None:
        """Leave the room and let go of everything in it. Bounded; the second call does nothing."""
        client, self._client = self._client, None
        if client is None:
            return
        try:
            await self._asked(lambda done: client.leave(completion=done), LEAVE_SECS, "leave")
        except ProviderUnavailable as error:
            logger.warning("a room was not left in good order", extra={"error": str(error)})
        try:
            with anyio.fail_after(RELEASE_SECS):
                # It waits for what the SDK is doing, a look-up of names for example.
                await anyio.to_thread.run_sync(client.release, abandon_on_cancel=True)
        except TimeoutError:
            logger.warning("a room was not left in good order", extra={"error": "the SDK is still busy"})
            return  # and the engine must not be stopped
        self._source = self._track = None
        self._engine.left()

    async def _asked(self, ask: Callable[[Callable[..., None]], None], secs: float, what: str) -> tuple[Any, ...]:
        """What a request of the SDK completes with."""
        results: list[tuple[Any, ...]] = []
        done = anyio.Event()

        def completed(*result: Any) -> None:
            results.append(result)
            done.set()

        ask(lambda *result: self.hop(lambda: completed(*result)))
        try:
            with anyio.fail_after(secs):
                await done.wait()
        except TimeoutError:
            raise ProviderUnavailable(self._provider, f"did not {what} within {secs:g} s") from None
        return results[0]

    def _said(self, error: Any) -> str:
        return excerpt(str(error), (self._token,))

    # ── for the transport ──

    async def run(self) -> None:
        """Nothing: the SDK has threads of its own."""

    async def write(self, pcm: bytes) -> None:
        most = int(STALLED_SECS * AUDIO_OUT.rate_hz)
        self._unplayed += len(pcm) // 2
        self._source.write_frames(pcm, lambda frames: self.hop(lambda: self._was_played(frames)))
        if self._unplayed <= most:
            return
        try:
            with anyio.fail_after(STALLED_SECS):
                while self._unplayed > most:
                    self._played = anyio.Event()
                    await self._played.wait()
        except TimeoutError:
            raise TransportFailedError(f"{self._provider}: the room takes no more sound") from None

    def _was_played(self, frames: int) -> None:
        self._unplayed -= frames
        self._played.set()

    def clear(self) -> None:
        """The SDK has no way; what is under way lasts a tenth of a second."""

    async def send_text(self, text: str) -> None:
        client, message = self._client, json.loads(text)

        def send(done: Callable[..., None]) -> None:
            try:
                client.send_app_message(message, completion=done)
            except Exception as error:  # half characters and large numbers; the SDK has no narrower one
                raise ProviderRefused(self._provider, f"a message was not sent: {self._said(error)}") from error

        (error,) = await self._asked(send, ANSWER_SECS, "take a message")
        if error:
            raise ProviderRefused(self._provider, f"a message was not sent: {self._said(error)}")

    async def send_key(self, who: str, digit: str) -> None:
        raise ProviderRefused(self._provider, "keys can be sent only to phones that were called from the room")

    async def transfer(self, who: str, to: str) -> None:
        settings = {"sessionId": who, "toEndPoint": to}
        # Out of Daily by REFER; to a number through Daily's own telephony.
        move = self._client.sip_refer if to.startswith(SIP) else self._client.sip_call_transfer
        (error,) = await self._asked(lambda done: move(settings, completion=done), JOIN_SECS, "transfer")
        if error:
            raise ProviderRefused(self._provider, f"the call was not transferred: {self._said(error)}")

    async def dial_in_ready(self) -> str:
        """Wait until phone calls can be sent to this room, and to which SIP address."""
        await self._endpoint_known.wait()
        return self._endpoint if self._endpoint.startswith(SIP) else f"sip:{self._endpoint}"

    # ── from the SDK, on the loop ──

    def on_joined(self, participant: Any) -> None:
        who = _id(participant)
        if who and self._client is not None:
            self._transport.joined(who)
            if who not in self._listened_to:
                self._listened_to.add(who)
                self._client.set_audio_renderer(who, self._sound, "microphone", HEARD_HZ, 20)

    def on_phone(self, data: Any) -> None:
        who = _session(data)
        if who:
            self._transport.by_phone(who)

    def on_phone_gone(self, data: Any) -> None:
        self._transport.left(_session(data))

    def on_left(self, participant: Any) -> None:
        who = _id(participant)
        self._listened_to.discard(who)
        self._transport.left(who)

    def on_message(self, text: str) -> None:
        self._transport.said(text)

    def on_keys(self, data: Any) -> None:
        names = ("tone", "tones", "digit", "digits")
        keys = next((text_of(data[name]) for name in names if name in data), "") if isinstance(data, Mapping) else ""
        for key in keys[:20]:
            self._transport.pressed(key)

    def on_endpoint(self, endpoint: Any) -> None:
        if isinstance(endpoint, str) and endpoint and not self._endpoint:
            self._endpoint = endpoint
            self._endpoint_known.set()

    def on_trouble(self, message: Any) -> None:
        self._transport.failed(f"{self._provider}: {self._said(message)}")

    def on_state(self, state: str) -> None:
        if state == "left" and self._client is not None:
            self._transport.failed(f"{self._provider}: the agent is no longer in the room")

    # ── from the SDK, on its threads ──

    def hop(self, work: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(work)
        except RuntimeError:
            logger.debug("the SDK spoke to a loop that is closed")

    def arrive(self, work: Callable[[], None]) -> None:
        """Sound and messages: of those that the loop cannot keep up with, the oldest are dropped."""
        with self._arrived_lock:
            idle = not self._arrived
            self._arrived.append(work)
        if idle:
            self.hop(self._take_arrived)

    def _take_arrived(self) -> None:
        with self._arrived_lock:
            arrived = list(self._arrived)
            self._arrived.clear()
        if self._client is not None:
            for work in arrived:
                work()

    def _sound(self, who: str, audio: Any, source: str) -> None:
        if (audio.sample_rate, audio.num_channels, audio.bits_per_sample) == (HEARD_HZ, 1, 16):
            pcm = bytes(audio.audio_frames)
            self.arrive(lambda: self._transport.heard(who, pcm))


def _session(data: Any) -> str:
    """Which participant an event of telephones is about."""
    return text_of(data.get("sessionId")) if isinstance(data, Mapping) else ""


def _id(participant: Any) -> str:
    """Of somebody else than the agent."""
    if not isinstance(participant, Mapping):
        return ""
    info = participant.get("info")
    local = isinstance(info, Mapping) and info.get("isLocal")
    return "" if local else text_of(participant.get("id"))


def _events(daily: Any, line: DailyLine) -> Any:
    """The SDK's handler of events: a subclass, which can be made only where there is an SDK."""

    class Events(daily.EventHandler):  # type: ignore[misc]
        def on_participant_joined(self, participant: Any) -> None:
            line.hop(lambda: line.on_joined(participant))

        def on_participant_left(self, participant: Any, reason: str) -> None:
            line.hop(lambda: line.on_left(participant))

        def on_app_message(self, message: Any, sender: str) -> None:
            text = json.dumps(message)
            line.arrive(lambda: line.on_message(text))

        def on_dialin_ready(self, sip_endpoint: str) -> None:
            line.hop(lambda: line.on_endpoint(sip_endpoint))

        def on_dialin_connected(self, data: Any) -> None:
            line.hop(lambda: line.on_phone(data))

        def on_dialin_stopped(self, data: Any) -> None:
            line.hop(lambda: line.on_phone_gone(data))

        def on_dialin_error(self, data: Any) -> None:
            line.hop(lambda: line.on_trouble(data))

        def on_dtmf_event(self, data: Any) -> None:
            line.hop(lambda: line.on_keys(data))

        def on_call_state_updated(self, state: str) -> None:
            line.hop(lambda: line.on_state(state))

        def on_error(self, message: str) -> None:
            line.hop(lambda: line.on_trouble(message))

    return Events()
