import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from voxray.audio.tone import tone
from voxray.audio.wav import WavWriter, parse_wav, read_wav, wav_bytes

SPEECH = tone((440,), 0.1, 16_000)


def test_a_written_file_is_read_by_others(tmp_path: Path):
    path = tmp_path / "call.wav"
    with WavWriter(path, 16_000) as writer:
        writer.write(SPEECH[:100])
        writer.write(SPEECH[100:])
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
        assert file.readframes(10**6) == SPEECH


def test_sizes_are_zero_until_the_file_is_closed(tmp_path: Path):
    path = tmp_path / "call.wav"
    writer = WavWriter(path, 16_000)
    writer.write(bytes(1_000_000))
    before = path.read_bytes()[:44]
    writer.close()
    writer.close()
    after = path.read_bytes()[:44]
    assert struct.unpack_from("<I", before, 4) == struct.unpack_from("<I", before, 40) == (0,)
    assert struct.unpack_from("<I", after, 4) == (1_000_036,)
    assert struct.unpack_from("<I", after, 40) == (1_000_000,)


def test_a_file_that_was_never_closed_can_still_be_read(tmp_path: Path):
    path = tmp_path / "lost.wav"
    writer = WavWriter(path, 16_000)
    writer.write(SPEECH)
    writer._file.flush()
    assert read_wav(path) == (SPEECH, 16_000)
    writer.close()


def test_bytes_for_an_upload_are_a_whole_file():
    data = wav_bytes(SPEECH, 24_000)
    assert len(data) == 44 + len(SPEECH)
    assert parse_wav(data) == (SPEECH, 24_000)


def test_two_channels_become_one(tmp_path: Path):
    path = tmp_path / "stereo.wav"
    with WavWriter(path, 8_000, channels=2) as writer:
        writer.write(np.array([1000, 3000, -2, -4], "<i2").tobytes())
    assert read_wav(path) == (np.array([2000, -3], "<i2").tobytes(), 8_000)


def test_a_file_cut_short_gives_what_there_is():
    data = wav_bytes(SPEECH, 16_000)
    assert parse_wav(data[:101]) == (SPEECH[:56], 16_000)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"hello, I am not a recording", wav_bytes(SPEECH, 16_000)[:30]])
def test_what_is_no_recording_is_refused(data):
    with pytest.raises(ValueError, match="WAV"):
        parse_wav(data)
