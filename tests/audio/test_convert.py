import struct

import numpy as np
import pytest
from hypothesis import given, strategies as st

from voxray.audio.convert import Converter, PcmReader
from voxray.audio.format import ALAW_8K, MULAW_8K, PCM_8K, PCM_16K, PCM_22K, PCM_24K
from voxray.audio.g711 import encode_mulaw
from voxray.audio.tone import tone
from voxray.audio.wav import wav_bytes

FORMATS = [PCM_8K, PCM_16K, PCM_22K, PCM_24K, MULAW_8K, ALAW_8K]


def in_pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    """Cut `data` by these sizes over and over."""
    pieces, at = [], 0
    while at < len(data):
        for size in sizes:
            pieces.append(data[at : at + size])
            at += size
    return pieces


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("sizes", [[1], [1, 2, 3, 5], [160], [999]])
def test_chunks_of_hostile_lengths_give_the_same_bytes_as_one(source, target, sizes):
    data = Converter(PCM_16K, source).process(tone((440,), 0.1, 16_000))
    whole, chunked = Converter(source, target), Converter(source, target)
    heard = b"".join(chunked.process(piece) for piece in in_pieces(data, sizes)) + chunked.flush()
    assert heard == whole.process(data) + whole.flush()


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_only_whole_samples_come_out(source, target):
    converter = Converter(source, target)
    for size in (1, 3, 7, 160, 321, 0, 5):
        assert len(converter.process(bytes(size))) % target.sample_bytes == 0


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_format_costs_nothing(kind):
    chunk = bytes(320)
    assert Converter(kind, kind).process(chunk) is chunk


def test_a_tone_goes_through_the_telephone_and_back():
    sent = tone((440,), 0.5, 24_000)
    out, back = Converter(PCM_24K, MULAW_8K), Converter(MULAW_8K, PCM_24K)
    heard = back.process(out.process(sent) + out.flush()) + back.flush()
    was, now = np.frombuffer(sent, "<i2").astype(float), np.frombuffer(heard, "<i2").astype(float)
    assert len(was) == len(now)
    assert 10 * np.log10(np.mean(was**2) / np.mean((was - now) ** 2)) > 35


def test_a_reset_forgets_the_stream():
    converter = Converter(PCM_24K, MULAW_8K)
    fresh = converter.process(tone((440,), 0.1, 24_000))
    converter.process(b"\1")
    converter.reset()
    assert converter.process(tone((440,), 0.1, 24_000)) == fresh


SPEECH = tone((300, 700), 0.05, 24_000)


def chunk(name: bytes, data: bytes, *, size: int | None = None) -> bytes:
    size = len(data) if size is None else size
    return name + struct.pack("<I", size) + data + (b"\0" if len(data) % 2 else b"")


def wav(
    audio: bytes,
    *,
    tag: int = 1,
    channels: int = 1,
    rate_hz: int = 24_000,
    bits: int = 16,
    size: int | None = None,
    before: bytes = b"",
    magic: bytes = b"RIFF",
) -> bytes:
    frame_bytes = channels * bits // 8
    form = chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * frame_bytes, frame_bytes, bits))
    return magic + b"\xff\xff\xff\xffWAVE" + form + before + chunk(b"data", audio, size=size)


def read(data: bytes, sizes: list[int], expected=PCM_24K) -> tuple[bytes, int]:
    reader = PcmReader(expected)
    return b"".join(reader.feed(piece) for piece in in_pieces(data, sizes)), reader.format.rate_hz


@pytest.mark.parametrize("sizes", [[1], [2, 3], [7], [43], [44], [45], [4096]])
def test_plain_audio_passes_in_whole_samples(sizes):
    assert read(SPEECH, sizes) == (SPEECH, 24_000)


@pytest.mark.parametrize("sizes", [[1], [2, 3], [7], [43], [44], [45], [4096]])
@pytest.mark.parametrize("size", [None, 0, 0xFFFFFFFF, 0x7FFFFFFF])
@pytest.mark.parametrize("before", [b"", chunk(b"LIST", b"INFOISFT\x05\0\0\0Lavf5")])
def test_a_wav_header_is_taken_off_and_its_rate_believed(sizes, size, before):
    assert read(wav(SPEECH, size=size, before=before, rate_hz=22_050), sizes) == (SPEECH, 22_050)


def test_what_follows_the_audio_of_a_wav_is_not_heard():
    assert read(wav(SPEECH) + chunk(b"LIST", b"INFO"), [100])[0] == SPEECH


def test_our_own_wav_is_understood():
    assert read(wav_bytes(SPEECH, 16_000), [33]) == (SPEECH, 16_000)


def test_two_channels_are_mixed():
    left, right = np.array([100, -200, 32_767], "<i2"), np.array([300, -400, 32_767], "<i2")
    stereo = np.stack([left, right], axis=1).tobytes()
    mixed = np.array([200, -300, 32_767], "<i2").tobytes()
    assert read(wav(stereo, channels=2), [1])[0] == mixed


def test_the_extensible_format_is_looked_through():
    form = struct.pack("<HHIIHHHHIH14s", 0xFFFE, 1, 16_000, 32_000, 2, 16, 22, 16, 4, 1, bytes(14))
    data = b"RIFF\0\0\0\0WAVE" + chunk(b"fmt ", form) + chunk(b"data", SPEECH)
    assert read(data, [9]) == (SPEECH, 16_000)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (wav(SPEECH, bits=8), "WAV of 8 bit PCM: only 16 bit PCM can be read"),
        (wav(SPEECH, tag=3, bits=32), "WAV of 32 bit floating point: only 16 bit PCM can be read"),
        (wav(SPEECH, tag=7, bits=8), "WAV of 8 bit μ-law: only 16 bit PCM can be read"),
        (wav(SPEECH, tag=85), "WAV of 16 bit MP3: only 16 bit PCM can be read"),
        (wav(SPEECH, channels=0), "WAV of 0 channels"),
        (wav(SPEECH, rate_hz=0), "0 Hz"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"data", SPEECH), "without a format"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"junk", b"", size=0xFFFFFFF0) + bytes(2_000_000), "without audio"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"fmt ", b"\1\0"), "format chunk of 2 bytes"),
        (b"ID3\x04" + SPEECH, "the audio is MP3, not PCM"),
        (b"OggS" + SPEECH, "the audio is Ogg, not PCM"),
    ],
)
@pytest.mark.parametrize("sizes", [[1000], [1, 7]])
def test_what_is_not_pcm_is_refused_in_plain_words(data, complaint, sizes):
    with pytest.raises(ValueError, match=complaint):
        read(data[:5000] if sizes == [1, 7] and b"junk" not in data else data, [65_536] if b"junk" in data else sizes)


def test_audio_that_only_starts_like_a_wav_passes():
    audio = b"RIFF" + SPEECH
    assert read(audio, [3])[0] == audio


def test_companded_audio_is_decoded():
    codes = encode_mulaw(tone((440,), 0.1, 8_000))
    heard, rate_hz = read(codes, [7], MULAW_8K)
    assert heard == Converter(MULAW_8K, PCM_8K).process(codes)
    assert rate_hz == 8_000


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_any_bytes_give_whole_samples_or_a_clear_refusal(pieces):
    reader = PcmReader(PCM_24K)
    refusal = ""
    try:
        heard = [reader.feed(piece) for piece in pieces]
    except ValueError as error:
        heard, refusal = [], str(error)
    assert all(len(audio) % 2 == 0 for audio in heard)
    assert not refusal or "PCM" in refusal or "WAV" in refusal
