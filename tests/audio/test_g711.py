import hashlib

import numpy as np
import pytest

from voxray.audio import g711

ALL_SAMPLES = np.arange(-32_768, 32_768).astype("<i2").tobytes()
ALL_CODES = bytes(range(256))
LAWS = {"mulaw": (g711.encode_mulaw, g711.decode_mulaw), "alaw": (g711.encode_alaw, g711.decode_alaw)}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_every_code_decodes_as_the_standard_says():
    assert sha256(g711.decode_mulaw(ALL_CODES)) == "3dab54339e520bb2c924826e3b72a917a2b612e9fd12fc867500f1d983a75827"
    assert sha256(g711.decode_alaw(ALL_CODES)) == "e04788d110e58ff8c70c93b8480190d973e3b67876b6119abbaec766cc75c174"


def test_every_sample_encodes_as_the_standard_says():
    assert sha256(g711.encode_mulaw(ALL_SAMPLES)) == "5ee7cf5f273f842d2234121e4cb0c98d6b20a99ac29026f94e05b36955b195be"
    assert sha256(g711.encode_alaw(ALL_SAMPLES)) == "38488f6fd710f4686360edc4d38639f96c491595ef93f8eb8d62d5e07ca6ce7b"


def test_known_samples_have_known_codes():
    samples = np.array([-32768, -20000, -8031, -1000, -100, -33, -8, -1, 0, 8, 33, 100, 1000, 8031, 20000, 32767])
    pcm = samples.astype("<i2").tobytes()
    assert g711.encode_mulaw(pcm).hex(" ").upper() == "00 0C 20 4E 72 7B 7E 7F FF FE FB F2 CE A0 8C 80"
    assert g711.encode_alaw(pcm).hex(" ").upper() == "2A 26 0A 7A 53 57 55 55 D5 D5 D7 D3 FA 8A A6 AA"


@pytest.mark.parametrize("law", LAWS)
def test_a_tone_survives_the_round_trip(law):
    encode, decode = LAWS[law]
    tone = 8000 * np.sin(2 * np.pi * 300 / 8000 * np.arange(8000))
    heard = np.frombuffer(decode(encode(np.rint(tone).astype("<i2").tobytes())), "<i2")
    snr_db = 10 * np.log10(np.mean(tone**2) / np.mean((heard - tone) ** 2))
    assert snr_db > 35


@pytest.mark.parametrize("law", LAWS)
def test_decoded_codes_encode_to_themselves(law):
    encode, decode = LAWS[law]
    again = encode(decode(ALL_CODES))
    assert decode(again) == decode(ALL_CODES)  # μ-law has a positive and a negative zero


def test_silence_is_silent():
    assert g711.decode_mulaw(g711.MULAW_SILENCE) == b"\0\0"
    assert g711.encode_mulaw(b"\0\0") == g711.MULAW_SILENCE
    assert g711.encode_alaw(b"\0\0") == g711.ALAW_SILENCE


@pytest.mark.parametrize("law", LAWS)
def test_half_a_sample_cannot_be_encoded(law):
    encode, _ = LAWS[law]
    with pytest.raises(ValueError, match="multiple"):
        encode(b"\1\2\3")
