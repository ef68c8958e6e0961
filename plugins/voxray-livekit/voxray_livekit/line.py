"""The agent in one of LiveKit's rooms: their SDK as a `RoomLine`."""

from __future__ import annotations

import logging
from collections import deque
from typing import Any

import anyio

from voxray.audio.format import PCM_24K
from voxray.errors import ProviderUnavailable, TransportFailedError
from voxray.wire.room_transport import RoomTransport
from voxray.wire.status import excerpt
from voxray_livekit.rest import LiveKitRest

logger = logging.getLogger(__name__)

AUDIO_OUT = PCM_24K
HEARD_HZ = 16_000
FRAME_MS = 20
FRAMES_KEPT = 50  # of a track that is not listened to fast enough
QUEUE_MS = 200
JOIN_SECS = 20.0
LEAVE_SECS = 4.0
CLOSE_SECS = 1.0
SEND_SECS = 5.0
TOPIC = "rtvi"  # of our messages; clients may leave it out
KEYS = "0123456789*#"  # the places are their codes


class LiveKitLine:
    """One connection of the SDK. What it has queued can be dropped, so it may be 200 ms ahead."""

    lead_secs = QUEUE_MS / 1000
    audio_out = AUDIO_OUT
    sends_keys = True

    def __init__(self, rtc: Any, rest: LiveKitRest, room: str, provider: str) -> None:
        self._rtc = rtc
        self._rest = rest
        self._name = room
        self._provider = provider
        self._token = ""
        self._room: Any = None
        self._source: Any = None
        self._transport: RoomTransport
        self._tracks: deque[tuple[str, Any]] = deque()  # not listened to yet
        self._track_came = anyio.Event()
        self._leaving = False

    # ── coming and going ──

    async def join(self, transport: RoomTransport, url: str, token: str) -> None:
        """Enter the room and publish a microphone. Raises ProviderUnavailable; `leave` is due in any case."""
        rtc, self._transport, self._token = self._rtc, transport, token
        room = self._room = rtc.Room()
        for event, handler in (
            ("participant_connected", self._joined),
            ("participant_disconnected", self._left),
            ("track_published", self._published),
            ("track_subscribed", self._subscribed),
            ("data_received", self._data),
            ("sip_dtmf_received", self._key),
            ("disconnected", self._disconnected),
        ):
            room.on(event, handler)
        self._source = rtc.AudioSource(AUDIO_OUT.rate_hz, 1, queue_size_ms=QUEUE_MS)
        track = rtc.LocalAudioTrack.create_audio_track("agent", self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        try:
            with anyio.fail_after(JOIN_SECS):
                # Pictures are not subscribed to: they would be decoded for nobody.
                await room.connect(url, token, rtc.RoomOptions(auto_subscribe=False))
                await room.local_participant.publish_track(track, options)
        except TimeoutError:
            raise ProviderUnavailable(self._provider, f"did not join within {JOIN_SECS:g} s") from None
        except (rtc.ConnectError, rtc.participant.PublishTrackError) as error:
            raise ProviderUnavailable(self._provider, f"cannot join the room: {self._said(error)}") from None
        for participant in list(room.remote_participants.values()):
            self._joined(participant)
            for publication in list(participant.track_publications.values()):
                self._published(publication, participant)

    async def leave(self) -> None:
        """Leave the room and let go of everything in it. Bounded."""
        self._leaving = True
        room, self._room = self._room, None
        if room is None:
            return
        with anyio.move_on_after(LEAVE_SECS) as patience:
            await room.disconnect()
        if patience.cancelled_caught:
            logger.warning("a room was not left in good order", extra={"error": f"nothing within {LEAVE_SECS:g} s"})
        await self._source.aclose()

    def _said(self, error: Any) -> str:
        return excerpt(str(getattr(error, "message", error)), (self._token,))

    # ── for the transport ──

    async def run(self) -> None:
        """Listen to every microphone."""
        async with anyio.create_task_group() as tasks:
            while True:
                while self._tracks:
                    tasks.start_soon(self._listen, *self._tracks.popleft())
                self._track_came = anyio.Event()
                await self._track_came.wait()

    async def _listen(self, who: str, track: Any) -> None:
        stream = self._rtc.AudioStream(
            track, capacity=FRAMES_KEPT, sample_rate=HEARD_HZ, num_channels=1, frame_size_ms=FRAME_MS
        )
        try:
            async for event in stream:
                self._transport.heard(who, bytes(event.frame.data))
        finally:
            with anyio.move_on_after(CLOSE_SECS, shield=True):
                await stream.aclose()

    async def write(self, pcm: bytes) -> None:
        frame = self._rtc.AudioFrame(pcm, AUDIO_OUT.rate_hz, 1, len(pcm) // AUDIO_OUT.sample_bytes)
        try:
            with anyio.fail_after(SEND_SECS):
                await self._source.capture_frame(frame)
        except TimeoutError:
            raise TransportFailedError(f"{self._provider}: the room takes no more sound") from None
        except Exception as error:  # the SDK has no narrower one here
            raise TransportFailedError(f"{self._provider}: {self._said(error)}") from error

    def clear(self) -> None:
        self._source.clear_queue()

    async def send_text(self, text: str) -> None:
        await self._published_in_time(self._room.local_participant.publish_data(text, reliable=True, topic=TOPIC))

    async def send_key(self, who: str, digit: str) -> None:
        await self._published_in_time(self._room.local_participant.publish_dtmf(code=KEYS.index(digit), digit=digit))

    async def _published_in_time(self, sending: Any) -> None:
        errors = self._rtc.participant
        try:
            with anyio.fail_after(SEND_SECS):
                await sending
        except (TimeoutError, errors.PublishDataError, errors.PublishDTMFError) as error:
            raise ProviderUnavailable(self._provider, f"a message was not sent: {self._said(error)}") from None

    async def transfer(self, who: str, to: str) -> None:
        await self._rest.transfer(self._name, who, to)

    # ── from the SDK ──

    def _joined(self, participant: Any) -> None:
        if self._is_person(participant):
            phone = participant.kind == self._rtc.ParticipantKind.PARTICIPANT_KIND_SIP
            self._transport.joined(participant.identity, phone=phone)

    def _left(self, participant: Any) -> None:
        self._transport.left(participant.identity)

    def _published(self, publication: Any, participant: Any) -> None:
        rtc = self._rtc
        microphone = publication.kind == rtc.TrackKind.KIND_AUDIO and (
            publication.source != rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO
        )
        if microphone and self._is_person(participant):
            publication.set_subscribed(True)

    def _subscribed(self, track: Any, publication: Any, participant: Any) -> None:
        self._tracks.append((participant.identity, track))
        self._track_came.set()

    def _data(self, packet: Any) -> None:
        if (packet.topic or TOPIC) == TOPIC:
            self._transport.said(packet.data.decode(errors="replace"))

    def _key(self, key: Any) -> None:
        self._transport.pressed(key.digit)

    def _disconnected(self, reason: Any) -> None:
        reasons = self._rtc.DisconnectReason
        if self._leaving:
            return
        if reason in (reasons.ROOM_DELETED, reasons.ROOM_CLOSED):
            self._transport.closed()
        else:
            self._transport.failed(f"{self._provider}: the agent left the room: {reasons.Name(reason).lower()}")

    def _is_person(self, participant: Any) -> bool:
        kinds = self._rtc.ParticipantKind
        machines = (kinds.PARTICIPANT_KIND_AGENT, kinds.PARTICIPANT_KIND_EGRESS, kinds.PARTICIPANT_KIND_INGRESS)
        return participant.kind not in machines
