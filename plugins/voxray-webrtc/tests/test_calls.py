"""Two peers on loopback: sound and messages both ways."""

from __future__ import annotations

import numpy as np
import pytest

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


def level(samples: np.ndarray, rate_hz: int = 0) -> tuple[float, float]:
    """Pitch in Hz and amplitude (0..1) of the half second in the middle of what is loud."""
    rate_hz = rate_hz or (PCM_16K.rate_hz if samples.dtype == float else RATE_HZ)
    loud = np.flatnonzero(np.abs(samples) > 1000)
    middle = int(loud[0] + loud[-1]) // 2
    part = samples[middle - rate_hz // 4 : middle + rate_hz // 4].astype(float)
    return pitch(part, rate_hz), float(np.sqrt(2 * np.mean(part**2))) / 32_767
