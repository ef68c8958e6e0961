import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from voxray.audio.resample import Resampler, resample_whole

INCOMING = [(8_000, 16_000), (24_000, 16_000), (48_000, 16_000)]
OUTGOING = [
    (22_050, 24_000),
    (24_000, 16_000),
    (24_000, 8_000),
    (16_000, 24_000),
    (22_050, 16_000),
    (22_050, 8_000),
    (16_000, 8_000),
]
RATES = sorted({*INCOMING, *OUTGOING})


def sine(freq_hz: float, rate_hz: int, *, secs: float = 0.5, amplitude: float = 20_000) -> bytes:
    count = int(rate_hz * secs)
    return np.rint(amplitude * np.sin(2 * np.pi * freq_hz * np.arange(count) / rate_hz)).astype("<i2").tobytes()


def convert(pcm: bytes, in_rate_hz: int, out_rate_hz: int) -> np.ndarray:
    resampler = Resampler(in_rate_hz, out_rate_hz)
    return np.frombuffer(resampler.process(pcm) + resampler.flush(), "<i2").astype(float)


def fit(samples: np.ndarray, freq_hz: float, rate_hz: int) -> tuple[float, float]:
    """Return the amplitude of a sine in the samples and the RMS of everything else, edges left out."""
    samples = samples[len(samples) // 10 : -len(samples) // 10]
    angle = 2 * np.pi * freq_hz * np.arange(len(samples)) / rate_hz
    waves = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    weights, *_ = np.linalg.lstsq(waves, samples, rcond=None)
    return float(np.hypot(*weights)), float(np.sqrt(np.mean((samples - waves @ weights) ** 2)))


@pytest.mark.parametrize(("in_rate_hz", "out_rate_hz"), RATES)
@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(0, 1500), max_size=30), seed=st.integers(0, 2**32 - 1))
def test_chunks_of_any_size_give_the_same_bytes_as_one(in_rate_hz, out_rate_hz, sizes, seed):
    pcm = np.random.default_rng(seed).integers(-32_768, 32_768, sum(sizes), dtype=np.int16).tobytes()
    whole, chunked = Resampler(in_rate_hz, out_rate_hz), Resampler(in_rate_hz, out_rate_hz)
    pieces, at = [], 0
    for size in sizes:
        pieces.append(chunked.process(pcm[at : at + 2 * size]))
        at += 2 * size
    assert b"".join([*pieces, chunked.flush()]) == whole.process(pcm) + whole.flush()


@pytest.mark.parametrize(("in_rate_hz", "out_rate_hz"), RATES)
@pytest.mark.parametrize("count", [0, 1, 7, 160, 441, 5000])
def test_the_length_is_that_of_the_input(in_rate_hz, out_rate_hz, count):
    assert len(convert(bytes(2 * count), in_rate_hz, out_rate_hz)) == -(-count * out_rate_hz // in_rate_hz)


@pytest.mark.parametrize(("in_rate_hz", "out_rate_hz"), RATES)
def test_the_band_of_speech_passes_unchanged(in_rate_hz, out_rate_hz):
    for fraction in np.linspace(0.01, 0.42, 15):
        freq_hz = fraction * min(in_rate_hz, out_rate_hz)
        amplitude, rest = fit(convert(sine(freq_hz, in_rate_hz), in_rate_hz, out_rate_hz), freq_hz, out_rate_hz)
        assert abs(20 * np.log10(amplitude / 20_000)) < 0.01
        assert 20 * np.log10(rest / 20_000) < -70


@pytest.mark.parametrize(("in_rate_hz", "out_rate_hz"), [pair for pair in RATES if pair[0] > pair[1]])
def test_what_lies_above_the_band_does_not_fold_into_it(in_rate_hz, out_rate_hz):
    for freq_hz in np.linspace(0.57 * out_rate_hz, 0.49 * in_rate_hz, 10):
        heard = convert(sine(freq_hz, in_rate_hz), in_rate_hz, out_rate_hz)[200:-200]
        assert 20 * np.log10(max(1.0, np.abs(heard).max()) / 20_000) < -60


@pytest.mark.parametrize(("in_rate_hz", "out_rate_hz"), RATES)
def test_no_click_at_a_chunk_border(in_rate_hz, out_rate_hz):
    freq_hz = 440.0
    pcm = sine(freq_hz, in_rate_hz, secs=1.0)
    resampler = Resampler(in_rate_hz, out_rate_hz)
    step = in_rate_hz // 50 * 2
    chunks = [resampler.process(pcm[at : at + step]) for at in range(0, len(pcm), step)]
    samples = np.frombuffer(b"".join(chunks), "<i2").astype(float)[200:]
    steepest = 20_000 * 2 * np.pi * freq_hz / out_rate_hz
    assert np.abs(np.diff(samples)).max() <= steepest + 2


@pytest.mark.parametrize(("in_rate_hz", "out_rate_hz"), INCOMING)
def test_the_way_in_is_delayed_by_two_milliseconds_at_most(in_rate_hz, out_rate_hz):
    resampler = Resampler(in_rate_hz, out_rate_hz)
    given_secs = len(resampler.process(bytes(2 * in_rate_hz))) / 2 / out_rate_hz
    assert resampler.delay_secs <= 0.002
    assert given_secs >= 1.0 - resampler.delay_secs


@pytest.mark.parametrize(("in_rate_hz", "out_rate_hz"), RATES)
def test_full_scale_is_clipped_and_never_wraps(in_rate_hz, out_rate_hz):
    square = np.where(np.arange(in_rate_hz) // (in_rate_hz // 200) % 2, 32_767, -32_768).astype("<i2")
    heard = convert(square.tobytes(), in_rate_hz, out_rate_hz)[100:-100]
    middles = heard.reshape(-1)[np.abs(heard) > 20_000]
    assert heard.max() == 32_767
    assert heard.min() == -32_768
    assert len(middles) > 0.9 * len(heard)
    signs = np.sign(heard[np.abs(heard) > 20_000])
    assert np.count_nonzero(np.diff(signs)) <= 205  # a wrapped sample would be two more sign changes


def test_equal_rates_pass_the_same_object():
    pcm = sine(300, 16_000)
    resampler = Resampler(16_000, 16_000)
    assert resampler.process(pcm) is pcm
    assert resampler.flush() == b""
    assert resampler.delay_secs == 0.0


def test_after_a_flush_nothing_of_the_old_stream_is_left():
    resampler = Resampler(24_000, 16_000)
    first = resampler.process(sine(500, 24_000)) + resampler.flush()
    assert resampler.process(sine(500, 24_000)) + resampler.flush() == first


@pytest.mark.parametrize("rates", [(44_101, 16_000), (16_000, 44_101), (0, 16_000), (16_000, -1), (192_000, 1)])
def test_rates_without_a_usable_ratio_are_refused(rates):
    with pytest.raises(ValueError, match="rate"):
        Resampler(*rates)


def test_half_a_sample_is_refused():
    with pytest.raises(ValueError, match="even"):
        Resampler(8_000, 16_000).process(b"\0\0\0")


@pytest.mark.parametrize(("in_rate_hz", "out_rate_hz"), [*RATES, (44_100, 16_000), (48_000, 44_100)])
def test_a_whole_recording_keeps_length_and_tone(in_rate_hz, out_rate_hz):
    freq_hz = 0.3 * min(in_rate_hz, out_rate_hz)
    pcm = resample_whole(sine(freq_hz, in_rate_hz), in_rate_hz, out_rate_hz)
    amplitude, rest = fit(np.frombuffer(pcm, "<i2").astype(float), freq_hz, out_rate_hz)
    assert abs(len(pcm) // 2 - out_rate_hz // 2) <= 1
    assert abs(20 * np.log10(amplitude / 20_000)) < 0.1
    assert 20 * np.log10(rest / 20_000) < -70
