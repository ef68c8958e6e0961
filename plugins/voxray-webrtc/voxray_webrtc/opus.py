"""Opus both ways, mono, on the loop: a frame takes about a tenth of a millisecond, a thread's hand-over no less."""

from __future__ import annotations

from fractions import Fraction

from av import AudioFrame, CodecContext
from av.error import FFmpegError
from av.packet import Packet

from voxray.audio.convert import Converter
from voxray.audio.format import PCM_16K, PCM_24K, PCM_48K

FRAME_SECS = 0.02
MAX_PAYLOAD = 1500  # bytes; a frame at the highest bit rate has 1275
SAMPLES = PCM_24K.rate_hz // 50
FRAME_BYTES = 2 * SAMPLES


class OpusDecoder:
    """One stream of payloads to pcm16 at 16 kHz."""

    def __init__(self) -> None:
        self._codec = CodecContext.create("libopus", "r")
        self._codec.format = "s16"
        self._codec.layout = "mono"
        self._codec.sample_rate = PCM_48K.rate_hz
        self._converter = Converter(PCM_48K, PCM_16K)

    def decode(self, payload: bytes) -> bytes:
        """The sound of a payload, nothing for one that is none."""
        if not payload or len(payload) > MAX_PAYLOAD:
            return b""
        try:
            frames = self._codec.decode(Packet(payload))
        except FFmpegError:
            return b""
        pcm = b"".join(bytes(memoryview(frame.planes[0])[: 2 * frame.samples]) for frame in frames)
        return self._converter.process(pcm)


class OpusEncoder:
    """One stream of pcm16 at 24 kHz to payloads of 20 ms."""

    def __init__(self, bit_rate: int) -> None:
        """`bit_rate` in bit/s; speech takes up to 1.6 times as much, silence next to nothing."""
        self._codec = CodecContext.create("libopus", "w")
        self._codec.bit_rate = bit_rate
        self._codec.format = "s16"
        self._codec.layout = "mono"
        self._codec.sample_rate = PCM_24K.rate_hz
        self._codec.time_base = Fraction(1, PCM_24K.rate_hz)
        # Speech for telephones ("voip") takes three times as long to code and 4 ms more to come out; of the same
        # likeness to the original it is 6 kbit/s smaller.
        self._codec.options = {"application": "lowdelay", "compression_level": "5"}
        self._pts = 0

    def encode(self, pcm: bytes) -> list[bytes]:
        """The payloads for `FRAME_BYTES` of sound, in order: one, as a rule."""
        frame = AudioFrame(format="s16", layout="mono", samples=SAMPLES)
        frame.planes[0].update(pcm)
        frame.sample_rate = PCM_24K.rate_hz
        frame.pts = self._pts
        self._pts += SAMPLES
        return [bytes(packet) for packet in self._codec.encode(frame)]
