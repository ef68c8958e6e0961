import numpy as np
import pytest

from voxray.audio.level import dbfs, rms
from voxray.audio.tone import DTMF_HZ, dtmf, earcon, silence, tone


def strongest_hz(pcm: bytes, rate_hz: int, count: int) -> list[int]:
    samples = np.frombuffer(pcm, "<i2").astype(float)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), rate_hz))
    found = []
    for _ in range(count):
        peak = int(spectrum.argmax())
        found.append(peak)
        spectrum[max(0, peak - 20) : peak + 20] = 0
    return sorted(found)


def test_every_key_of_a_telephone_has_its_two_tones():
    assert sorted(DTMF_HZ) == sorted("0123456789*#ABCD")
    for key, pair in DTMF_HZ.items():
        assert strongest_hz(dtmf(key, 0.3, 8_000), 8_000, 2) == pytest.approx(pair, abs=2)


def test_five_is_770_and_1336_hertz():
    assert DTMF_HZ["5"] == (770, 1336)


def test_what_is_on_no_telephone_is_refused():
    with pytest.raises(ValueError, match='"x"'):
        dtmf("x", 0.1, 8_000)


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 24_000])
def test_a_tone_has_its_length_and_level_and_soft_edges(rate_hz):
    pcm = tone((1000,), 0.25, rate_hz, level=0.5)
    samples = np.frombuffer(pcm, "<i2")
    assert len(samples) == int(0.25 * rate_hz)
    assert abs(samples).max() == pytest.approx(0.5 * 32_767, rel=0.01)
    assert abs(samples[: rate_hz // 2000]).max() < 0.03 * 32_767
    assert abs(samples[-rate_hz // 2000 :]).max() < 0.03 * 32_767


def test_tones_together_are_no_louder_than_asked():
    samples = np.frombuffer(tone((500, 501, 502), 1.0, 16_000, level=1.0), "<i2").astype(int)
    assert abs(samples).max() <= 32_767


def test_nothing_is_the_shortest_tone():
    assert tone((440,), 0.0, 16_000) == b""
    assert tone((), 0.001, 8_000) == bytes(16)


def test_silence_has_its_length():
    assert silence(0.5, 8_000) == bytes(8_000)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000])
def test_the_earcon_is_half_a_second_of_something_audible(rate_hz):
    pcm = earcon(rate_hz)
    assert len(pcm) / 2 / rate_hz == pytest.approx(0.5, abs=0.001)
    assert dbfs(rms(pcm)) > -20
    assert earcon(rate_hz) is pcm
