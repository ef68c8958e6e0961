"""When somebody starts and stops speaking, window by window."""

from __future__ import annotations

import pytest

from voxray.events import SpeechStarted, SpeechStopped
from voxray.session.speech_gate import SpeechGate

LOUD, QUIET = (1.0, 0.3), (0.0, 0.0)


class Gate:
    """A gate with windows of 20 ms that needs 100 ms to start and 200 ms to stop, and what it said."""

    def __init__(self, **kwargs: float) -> None:
        self.events: list[SpeechStarted | SpeechStopped | float] = []
        options = {"confidence": 0.7, "min_volume": 0.0, "start_secs": 0.1, "stop_secs": 0.2, **kwargs}
        self.gate = SpeechGate(
            options.pop("window_secs", 0.02),
            **options,
            on_change=self.events.append,
            on_speaking=lambda secs: self.events.append(round(secs, 3)),
        )

    def windows(self, number: int, window: tuple[float, float]) -> None:
        for _ in range(number):
            self.gate.window(*window)

    @property
    def changes(self) -> list[SpeechStarted | SpeechStopped]:
        return [event for event in self.events if not isinstance(event, float)]


def test_speech_starts_when_it_has_lasted_long_enough() -> None:
    gate = Gate()
    gate.windows(4, LOUD)
    assert gate.changes == []
    assert gate.gate.starting
    gate.windows(1, LOUD)
    assert gate.changes == [SpeechStarted(pytest.approx(0.1))]
    assert gate.gate.speaking
    assert not gate.gate.starting


def test_a_click_is_no_speech() -> None:
    gate = Gate()
    for _ in range(20):
        gate.windows(4, LOUD)
        gate.windows(1, QUIET)
    assert gate.changes == []


def test_speech_stops_when_silence_has_lasted_long_enough() -> None:
    gate = Gate()
    gate.windows(10, LOUD)
    gate.windows(9, QUIET)
    assert len(gate.changes) == 1
    gate.windows(1, QUIET)
    assert gate.changes[1] == SpeechStopped(pytest.approx(0.2))
    assert not gate.gate.speaking


def test_a_short_gap_does_not_stop_it() -> None:
    gate = Gate()
    for _ in range(10):
        gate.windows(5, LOUD)
        gate.windows(9, QUIET)
    assert len(gate.changes) == 1
    assert gate.gate.speaking


def test_while_they_speak_it_says_for_how_long() -> None:
    gate = Gate()
    gate.windows(8, LOUD)
    gate.windows(3, QUIET)
    gate.windows(2, LOUD)
    assert gate.events[1:] == [0.12, 0.14, 0.16, 0.26]


def test_speech_can_start_again() -> None:
    gate = Gate()
    for _ in range(3):
        gate.windows(5, LOUD)
        gate.windows(10, QUIET)
    assert gate.changes == [SpeechStarted(pytest.approx(0.1)), SpeechStopped(pytest.approx(0.2))] * 3


@pytest.mark.parametrize(
    ("min_volume", "rms", "starts"),
    [
        (0.2, 0.004, True),
        (0.2, 0.003, False),
        (0.6, 0.07, True),
        (0.6, 0.06, False),
        (1.0, 1.0, True),
        (0.0, 0.0, True),
    ],
)
def test_soft_sound_is_no_speech_whatever_the_detector_says(min_volume: float, rms: float, starts: bool) -> None:
    """0 is -60 dBFS, 1 is full scale; 0.2 is -48 dBFS, an RMS of 0.004."""
    gate = Gate(min_volume=min_volume)
    gate.windows(5, (1.0, rms))
    assert gate.gate.speaking is starts


def test_volume_rises_at_once_and_falls_slowly() -> None:
    gate = Gate(min_volume=0.5)
    gate.windows(5, (1.0, 0.5))
    assert gate.gate.speaking
    gate.windows(2, (1.0, 0.001))  # a soft consonant in the middle of a word
    assert isinstance(gate.events[-1], float)
    gate.windows(30, (1.0, 0.001))
    assert not gate.gate.speaking


@pytest.mark.parametrize("probability", [0.0, 0.69, 0.7, 1.0])
def test_confidence_is_a_threshold(probability: float) -> None:
    gate = Gate()
    gate.windows(5, (probability, 0.3))
    assert gate.gate.speaking is (probability >= 0.7)


def test_times_shorter_than_a_window_are_one_window() -> None:
    gate = Gate(start_secs=0.0, stop_secs=0.0)
    gate.windows(1, LOUD)
    gate.windows(1, QUIET)
    assert gate.changes == [SpeechStarted(0.02), SpeechStopped(0.02)]


@pytest.mark.parametrize("window_secs", [0.01, 0.02, 0.032, 0.064])
def test_times_are_rounded_to_windows(window_secs: float) -> None:
    gate = Gate(window_secs=window_secs, start_secs=0.2)
    for number in range(1, 100):
        gate.windows(1, LOUD)
        if gate.changes:
            assert number * window_secs == pytest.approx(0.2, abs=window_secs / 2 + 1e-9)
            return
    raise AssertionError("never started")


def test_the_client_may_change_the_times() -> None:
    gate = Gate()
    gate.gate.update(stop_secs=0.4)
    gate.gate.update(start_secs=0.04)
    gate.windows(2, LOUD)
    gate.windows(19, QUIET)
    assert len(gate.changes) == 1
    gate.windows(1, QUIET)
    assert gate.changes[1] == SpeechStopped(pytest.approx(0.4))


def test_sound_that_stops_coming_ends_speech() -> None:
    gate = Gate()
    gate.windows(5, LOUD)
    gate.gate.stalled(1.5)
    gate.gate.stalled(2.5)
    assert gate.changes[1:] == [SpeechStopped(1.5)]
    gate.windows(5, LOUD)
    assert gate.gate.speaking


def test_sound_that_stops_coming_in_silence_is_nothing() -> None:
    gate = Gate()
    gate.windows(3, LOUD)
    gate.gate.stalled(1.5)
    assert gate.events == []
    assert not gate.gate.starting
