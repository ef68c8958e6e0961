"""Several people as one stream."""

from __future__ import annotations

from array import array

import pytest

from voxray.audio.mix import Mixer

RATE_HZ = 16_000
FRAME = 320  # samples of 20 ms


def frame(value: int, samples: int = FRAME) -> bytes:
    return array("h", [value] * samples).tobytes()


def levels(pcm: bytes) -> list[int]:
    """The values that occur, in order."""
    return list(dict.fromkeys(array("h", pcm)))


def test_one_who_is_alone_passes_untouched_and_at_once() -> None:
    mixer = Mixer(RATE_HZ)
    for number in range(5):
        pcm = frame(number)
        assert mixer.add("a", pcm, number * 0.02) is pcm


def both(mixer: Mixer, a: int, b: int, frames: int) -> bytes:
    """What comes of two who speak at the same time, `b` always 5 ms after `a`."""
    heard = b""
    for number in range(frames):
        heard += mixer.add("a", frame(a), number * 0.02)
        heard += mixer.add("b", frame(b), number * 0.02 + 0.005)
    return heard


def test_two_are_added_up_without_loss_and_with_less_than_a_frame_of_delay() -> None:
    heard = both(Mixer(RATE_HZ), 100, 7, 50)
    assert len(heard) == 50 * FRAME * 2
    assert levels(heard) == [100, 107]  # the first frame came while nobody else spoke


@pytest.mark.parametrize(("value", "expected"), [(30_000, 32_767), (-30_000, -32_768)])
def test_louder_than_full_scale_is_clipped(value: int, expected: int) -> None:
    assert levels(both(Mixer(RATE_HZ), value, value, 3)) == [value, expected]


def test_one_who_falls_silent_holds_up_nobody_for_longer_than_60_ms() -> None:
    mixer = Mixer(RATE_HZ)
    both(mixer, 1, 2, 3)  # "b" waits for "a", who says nothing more
    given = [len(mixer.add("b", frame(2), 0.065 + number * 0.02)) for number in range(6)]
    assert given[:2] == [0, 0]
    assert given[-1] == FRAME * 2
    assert sum(given) == 7 * FRAME * 2


def test_one_who_left_holds_up_nobody() -> None:
    mixer = Mixer(RATE_HZ)
    both(mixer, 1, 2, 3)
    mixer.forget("a")
    assert len(mixer.add("b", frame(2), 0.065)) == 2 * FRAME * 2


def test_a_burst_is_bounded() -> None:
    mixer = Mixer(RATE_HZ)
    mixer.add("a", frame(1), 0.0)
    mixer.add("b", frame(2), 0.0)
    heard = b"".join(mixer.add("a", frame(1), 0.01) for _ in range(200))
    assert len(heard) >= (200 - 12) * FRAME * 2


def test_half_a_sample_is_an_error() -> None:
    with pytest.raises(ValueError, match="buffer"):
        Mixer(RATE_HZ).add("a", b"x", 0.0)
