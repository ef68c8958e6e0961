import numpy as np
import pytest

from voxray.audio.level import dbfs, loudness, rms


def constant(value: int, count: int = 320) -> bytes:
    return np.full(count, value, "<i2").tobytes()


def test_rms_goes_from_silence_to_full_scale():
    assert rms(constant(0)) == 0.0
    assert rms(constant(-32_768)) == pytest.approx(1.0)
    assert rms(constant(3_277)) == pytest.approx(0.1, rel=1e-3)
    assert rms(b"") == 0.0


def test_a_full_sine_is_three_decibels_down():
    sine = np.rint(32_767 * np.sin(np.arange(16_000) * 0.1)).astype("<i2").tobytes()
    assert dbfs(rms(sine)) == pytest.approx(-3.01, abs=0.05)


def test_silence_is_infinitely_far_below_full_scale():
    assert dbfs(0.0) == float("-inf")


@pytest.mark.parametrize(("level", "expected"), [(0.0, 0.0), (0.0001, 0.0), (0.001, 0.0), (0.0316, 0.5), (1.0, 1.0)])
def test_loudness_is_linear_in_decibels(level, expected):
    assert loudness(level) == pytest.approx(expected, abs=0.001)
