"""One stream's audio into another format, and vendors' audio into clean pcm16."""

from __future__ import annotations

from collections.abc import Callable

from voxray.audio import g711
from voxray.audio.format import AudioFormat, Encoding
from voxray.audio.resample import Resampler
from voxray.audio.wav import WavHeader, mix_to_mono

_DECODERS: dict[Encoding, Callable[[bytes], bytes]] = {
    Encoding.MULAW: g711.decode_mulaw,
    Encoding.ALAW: g711.decode_alaw,
}
_ENCODERS: dict[Encoding, Callable[[bytes], bytes]] = {
    Encoding.MULAW: g711.encode_mulaw,
    Encoding.ALAW: g711.encode_alaw,
}


class Converter:
    """Converts one live stream from `source` to `target`, encoding and rate, in chunks of any length.

    Half a pcm16 sample waits for its other half. If nothing needs to be done, chunks pass through untouched.
    `delay_secs` is how much of the stream is held back at any time; `flush()` gives it up.

    Raises:
        ValueError: the rates have no usable ratio.
    """

    def __init__(self, source: AudioFormat, target: AudioFormat) -> None:
        self.source = source
        self.target = target
        same = source == target
        self._carry = b""
        self._pcm_in = source.encoding is Encoding.PCM16
        self._decode = None if same else _DECODERS.get(source.encoding)
        self._encode = None if same else _ENCODERS.get(target.encoding)
        self._resampler = None if source.rate_hz == target.rate_hz else Resampler(source.rate_hz, target.rate_hz)
        self.delay_secs = self._resampler.delay_secs if self._resampler else 0.0

    def process(self, data: bytes) -> bytes:
        """Return what can be made of the stream up to here: whole samples, perhaps none."""
        if self._pcm_in and (self._carry or len(data) & 1):
            data = self._carry + data
            whole = len(data) & ~1
            data, self._carry = data[:whole], data[whole:]
        if self._decode is not None:
            data = self._decode(data)
        if self._resampler is not None:
            data = self._resampler.process(data)
        if self._encode is not None:
            data = self._encode(data)
        return data

    def flush(self) -> bytes:
        """Return the end of the stream, then start afresh; half a sample is dropped."""
        self._carry = b""
        if self._resampler is None:
            return b""
        rest = self._resampler.flush()
        return rest if self._encode is None else self._encode(rest)

    def reset(self) -> None:
        """Forget the stream: what is held back will not be heard."""
        self._carry = b""
        if self._resampler is not None:
            self._resampler.reset()


_FOREIGN = {b"ID3": "MP3", b"OggS": "Ogg", b"fLaC": "FLAC"}


class PcmReader:
    """Makes clean pcm16 mono of the bytes a vendor streams: whole samples, without a WAV header.

    `expected` says what the bytes are if no header announces something else. `format` is what `feed()` returns: it may
    change once, with the first audio, to the rate a header announces. More channels than one are mixed.
    """

    def __init__(self, expected: AudioFormat) -> None:
        self.format = AudioFormat(Encoding.PCM16, expected.rate_hz)
        self._decode = _DECODERS.get(expected.encoding)
        self._header: WavHeader | None = None
        self._opening: bytes | None = b""  # first bytes, kept until it is clear what they are
        self._carry = b""
        self._channels = 1

    def feed(self, data: bytes) -> bytes:
        """Return the audio that is complete.

        Raises:
            ValueError: the bytes are a WAV that is not 16-bit PCM, or plainly some other kind of file.
        """
        if self._opening is not None:
            data = self._opening + data
            if not self._recognise(data):
                self._opening = data
                return b""
            self._opening = None
        if self._header is not None:
            data = self._header.feed(data)
            if not data or self._header.format is None:
                return b""
            self.format = AudioFormat(Encoding.PCM16, self._header.format.rate_hz)
            self._channels = self._header.format.channels
        elif self._decode is not None:
            return self._decode(data)
        data = self._carry + data if self._carry else data
        rest = len(data) % (2 * self._channels)
        if rest:
            data, self._carry = data[:-rest], data[-rest:]
        else:
            self._carry = b""
        return mix_to_mono(data, self._channels)

    def _recognise(self, opening: bytes) -> bool:
        """Tell what the stream is from its first bytes; False if there are too few."""
        for magic, kind in _FOREIGN.items():
            if opening.startswith(magic):
                raise ValueError(f"the audio is {kind}, not PCM")
        if opening.startswith((b"RIFF", b"RF64")):
            if len(opening) < 12:
                return False
            if opening[8:12] == b"WAVE":
                self._header = WavHeader()
            return True
        return not any(magic.startswith(opening) for magic in (b"RIFF", b"RF64", *_FOREIGN))
