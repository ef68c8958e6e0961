"""Two peers on loopback: sound and messages both ways."""

from __future__ import annotations

import time

import anyio
import numpy as np
import pytest
from voxray_webrtc.rtp import Outgoing
from voxray_webrtc.speaking import SILENCE

from tests.webrtc_client import RATE_HZ, calling, pitch, tone
from tests.webrtc_desk import desk
from voxray.audio.format import PCM_16K
from voxray.audio.tone import tone as our_tone

pytestmark = pytest.mark.anyio


async def test_sound_goes_both_ways_at_its_pitch_and_level() -> None:
    async with desk() as our, calling(our.exchange) as client:
        await client.until(lambda: bool(our.established))
        client.microphone.say(tone(440, 1.0))
        our.voice.say(our_tone([660], 1.0, 24_000, level=0.3))
        await client.until(lambda: len(our.sound()) > PCM_16K.size(1.2))
        await client.until(lambda: len(client.sound) > 60)
    heard = np.frombuffer(our.sound(), "<i2").astype(float)
    assert level(heard) == pytest.approx((440, 0.3), rel=0.05)
    assert level(np.concatenate([part for _, _, part in client.sound])) == pytest.approx((660, 0.3), rel=0.05)


async def test_what_is_heard_is_not_held_back() -> None:
    at: list[float] = []

    def note(item: object) -> None:
        if isinstance(item, bytes) and np.abs(np.frombuffer(item, "<i2").astype(int)).max() > 1000:
            at.append(time.monotonic())

    async with desk() as our, calling(our.exchange) as client:
        await client.until(lambda: bool(our.established))
        our.on_item = note
        client.microphone.say(tone(440, 0.5))
        await client.until(lambda: len(at) > 20)
        # aiortc's receivers would need 80 ms more.
        assert at[0] - client.microphone.spoken_at < 0.07


async def test_frames_that_a_peer_leaves_out_while_it_is_silent_are_heard_as_silence() -> None:
    async with desk() as our, calling(our.exchange, muted=True) as client:
        await client.opened.wait()
        await client.until(lambda: bool(our.established))
        payload_type = our.transport.connection.offer.payload_type
        assert payload_type is not None
        outgoing, began = Outgoing(7, 1, 0, "them"), time.monotonic()
        for number in (*range(10), 29, 49):  # two frames of silence tell of 0.8 s
            await anyio.sleep(max(0.0, began + number * 0.02 - time.monotonic()))
            packet = outgoing.packet(payload_type, number * 960, SILENCE, marker=False)
            await client.peer.sctp.transport._send_rtp(packet)
        await client.until(lambda: len(our.sound()) >= PCM_16K.size(0.99))
        assert len(our.sound()) == pytest.approx(PCM_16K.size(1.0), abs=PCM_16K.size(0.011))


async def test_nothing_of_an_interrupted_answer_is_sent() -> None:
    async with desk() as our, calling(our.exchange) as client:
        await client.until(lambda: bool(our.established))
        our.voice.say(our_tone([660], 5.0, 24_000, level=0.3))
        await client.until(lambda: len(client.sound) > 30)
        our.voice.clear()
        sent = our.voice.taken // 960
        await client.until(lambda: not client.sound[-1][2].any())
        heard = sum(bool(np.abs(part).max() > 1000) for _, _, part in client.sound)
        assert heard <= sent + 1  # the last frame fades into the next


async def test_frames_leave_on_time_and_silence_too() -> None:
    async with desk() as our, calling(our.exchange) as client:
        await client.until(lambda: bool(our.established))
        for _ in range(3):
            our.voice.say(our_tone([660], 0.2, 24_000, level=0.3))
            frames = len(client.sound)
            await client.until(lambda count=frames + 20: len(client.sound) > count)
        stamps = np.diff([pts for _, pts, _ in client.sound])
        assert set(stamps) == {960}


def level(samples: np.ndarray, rate_hz: int = 0) -> tuple[float, float]:
    """Pitch in Hz and amplitude (0..1) of the half second in the middle of what is loud."""
    rate_hz = rate_hz or (PCM_16K.rate_hz if samples.dtype == float else RATE_HZ)
    loud = np.flatnonzero(np.abs(samples) > 1000)
    middle = int(loud[0] + loud[-1]) // 2
    part = samples[middle - rate_hz // 4 : middle + rate_hz // 4].astype(float)
    return pitch(part, rate_hz), float(np.sqrt(2 * np.mean(part**2))) / 32_767
