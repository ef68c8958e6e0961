from types import SimpleNamespace

import numpy as np
import pytest

from voxray.audio.tone import silence, tone
from voxray.builtin.energy_vad import EnergyVad

CONTEXT = SimpleNamespace(name="energy")


def detect(
    pcm: bytes, sizes: list[int], *, rate_hz: int = 16_000, threshold: float = 0.02
) -> list[tuple[float, float]]:
    vad = EnergyVad(CONTEXT, threshold=threshold)
    reports: list[tuple[float, float]] = []
    with vad.open(rate_hz, lambda probability, rms: reports.append((probability, rms))) as stream:
        at = 0
        while at < len(pcm):
            for size in sizes:
                stream.feed(pcm[at : at + size])
                at += size
    return reports


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 24_000, 48_000])
def test_a_window_of_ten_milliseconds_is_reported_at_any_rate(rate_hz):
    assert len(detect(silence(1.0, rate_hz), [rate_hz // 50 * 2], rate_hz=rate_hz)) == 100


def test_silence_is_surely_no_speech_and_loud_sound_surely_is():
    assert detect(silence(0.02, 16_000), [640]) == [(0.0, 0.0)] * 2
    loud = detect(tone((400,), 0.1, 16_000, level=0.5), [640])[1:-1]
    assert all(probability == 1.0 for probability, _ in loud)
    assert all(rms == pytest.approx(0.354, abs=0.01) for _, rms in loud)


def test_the_probability_grows_with_the_level_up_to_the_threshold():
    half = np.full(160, round(0.01 * 32_768), "<i2").tobytes()
    ((probability, rms),) = detect(half, [320], threshold=0.02)
    assert probability == pytest.approx(0.5, abs=0.01)
    assert rms == pytest.approx(0.01, abs=0.0001)


@pytest.mark.parametrize("sizes", [[2], [10, 318, 2], [320], [642], [6400]])
def test_how_the_stream_is_cut_makes_no_difference(sizes):
    noise = np.random.default_rng(1).integers(-5000, 5000, 3200, dtype=np.int16).tobytes()
    np.testing.assert_allclose(detect(noise, sizes), detect(noise, [640]), rtol=1e-6)


def test_nothing_is_reported_after_the_call():
    reports = []
    vad = EnergyVad(CONTEXT, threshold=0.02)
    with vad.open(16_000, lambda *report: reports.append(report)) as stream:
        stream.feed(bytes(320))
    stream.feed(bytes(3200))
    assert len(reports) == 1


def test_a_threshold_of_zero_hears_everything_but_silence():
    assert detect(silence(0.01, 16_000), [320], threshold=0.0) == [(0.0, 0.0)]
    assert detect(np.full(160, 1, "<i2").tobytes(), [320], threshold=0.0)[0][0] == 1.0
