"""Speech ends where it gets quiet, not where a window does."""

from __future__ import annotations

import numpy as np
import pytest

from voxray.session.speech_end import SpeechEnd

RATE, WINDOW = 16_000, 512


def sound(secs: float, level: float, seed: int = 0) -> bytes:
    samples = np.random.default_rng(seed).normal(0.0, level, round(secs * RATE))
    return samples.clip(-32768, 32767).astype(np.int16).tobytes()


def heard(pcm: bytes, end: SpeechEnd, frame: int = 640) -> None:
    """Feed frames of 20 ms, and report windows as a detector that keeps up does."""
    fed = windows = 0
    for start in range(0, len(pcm), frame):
        end.feed(pcm[start : start + frame])
        fed += len(pcm[start : start + frame]) // 2
        while fed >= (windows + 1) * WINDOW:
            windows += 1
            end.reported()


@pytest.mark.parametrize("room", [0.0, 3.0, 60.0])
@pytest.mark.parametrize("quiet_secs", [0.24, 0.25, 0.2613])
@pytest.mark.parametrize("late_secs", [0.0, 0.02, 0.05, 0.08])
def test_a_late_detector_is_corrected(quiet_secs: float, late_secs: float, room: float) -> None:
    end = SpeechEnd(RATE, WINDOW, 0.2)
    pcm = sound(1.0, 3000.0) + sound(quiet_secs, room, 1)
    heard(pcm, end)
    behind = len(pcm) // 2 % WINDOW / RATE
    told = quiet_secs - behind - late_secs
    assert end.ago_secs(told) == pytest.approx(quiet_secs, abs=0.0075)


def test_words_that_fade_slowly_are_the_detectors_to_judge() -> None:
    end = SpeechEnd(RATE, WINDOW, 0.2)
    fading = sound(0.5, 3000.0) + sound(0.2, 100.0, 1) + sound(0.256, 1.0, 2)
    heard(fading, end)
    behind = len(fading) // 2 % WINDOW / RATE
    assert end.ago_secs(0.256 - behind) == pytest.approx(0.256, abs=0.006)


def test_in_loud_noise_the_detectors_word_stands() -> None:
    end = SpeechEnd(RATE, WINDOW, 0.2)
    noisy = sound(1.0, 3000.0) + sound(0.256, 2500.0, 1)
    heard(noisy, end)
    behind = len(noisy) // 2 % WINDOW / RATE
    assert end.ago_secs(0.256 - behind) == pytest.approx(0.256, abs=0.001)


def test_without_enough_sound_the_detectors_word_stands() -> None:
    end = SpeechEnd(RATE, WINDOW, 0.2)
    assert end.ago_secs(1.0) == pytest.approx(1.0)
