"""What Telnyx calls its encodings, and which of them we understand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxray.audio.format import AudioFormat, Encoding
from voxray_telnyx.fields import number, text

ENCODINGS = {"PCMU": Encoding.MULAW, "PCMA": Encoding.ALAW, "L16": Encoding.PCM16}
G711_RATE = 8000
RATES = (8000, 16000, 22050, 24000, 48000)


def audio_of(codec: str, rate_hz: int) -> AudioFormat:
    """The format of a codec that we understand."""
    return AudioFormat(ENCODINGS[codec], rate_hz)


def announced_audio(media_format: Mapping[str, Any]) -> AudioFormat:
    """What a start message announces; PCMU at 8000 Hz where it says nothing.

    Raises:
        ValueError: a codec or rate that cannot be decoded.
    """
    codec = text(media_format, "encoding").upper() or "PCMU"
    if codec not in ENCODINGS:
        known = ", ".join(ENCODINGS)
        raise ValueError(
            f'the call is encoded in "{codec[:20]}"; only {known} can be decoded, so allow no other codecs'
        )
    rate = number(media_format, "sample_rate") or G711_RATE
    if rate not in RATES:
        raise ValueError(f"a sample rate of {rate} Hz is not among those of Telnyx")
    channels = number(media_format, "channels") or 1
    if channels != 1:
        raise ValueError(f"{channels} channels, but a call has one")
    return audio_of(codec, rate)
