"""Sound of clients that say with each message what rate it has, made into what we hear."""

from __future__ import annotations

from voxray.audio.convert import Converter
from voxray.audio.format import PCM_16K, AudioFormat, Encoding
from voxray.audio.wav import mix_to_mono

RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


class ClientSound:
    """One client's stream. While its rate stays the same, the pieces are one stream without seams."""

    def __init__(self) -> None:
        self._converter = Converter(PCM_16K, PCM_16K)

    def heard(self, pcm: bytes, rate_hz: object, channels: object) -> bytes:
        """`pcm` (16 bit, interleaved if there are two channels) as pcm16 mono at 16 kHz.

        Raises:
            ValueError: no rate or number of channels that we take, or stereo with half a sample; safe to send back.
        """
        if isinstance(rate_hz, bool) or not isinstance(rate_hz, int) or rate_hz not in RATES_HZ:
            raise ValueError(f"the sample rate must be one of {', '.join(map(str, RATES_HZ))}")
        if isinstance(channels, bool) or channels not in (1, 2):
            raise ValueError("audio must have one channel or two")
        if channels == 2:
            if len(pcm) % 4:
                raise ValueError("audio of two channels must hold whole samples")
            pcm = mix_to_mono(pcm, 2)
        if rate_hz == PCM_16K.rate_hz:
            return pcm  # half a sample, if there is one, is the call's to notice
        if self._converter.source.rate_hz != rate_hz:
            self._converter = Converter(AudioFormat(Encoding.PCM16, rate_hz), PCM_16K)
        return self._converter.process(pcm)
