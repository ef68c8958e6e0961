"""What can be asked of Daily's own SDK without a network."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import daily
import pytest
from voxray_daily import sdk
from voxray_daily.line import AUDIO_OUT, PUBLISHING, SUBSCRIPTIONS, _events, microphone

WAIT_SECS = 5.0


@pytest.fixture
def engine() -> Iterator[sdk.Engine]:
    found = sdk.engine(daily)
    found.use()
    yield found
    found.release()


def answer(ask: Callable[[Callable[..., None]], Any]) -> tuple[Any, ...]:
    """What the SDK completes a request with."""
    results: list[tuple[Any, ...]] = []
    done = threading.Event()

    def completed(*values: Any) -> None:
        results.append(values)
        done.set()

    ask(completed)
    assert done.wait(WAIT_SECS)
    return results[0]


@pytest.fixture
def client(engine: sdk.Engine) -> Iterator[Any]:
    made = daily.CallClient()
    yield made
    made.release()


def test_our_settings_are_understood(client: Any) -> None:
    source = daily.CustomAudioSource(AUDIO_OUT.rate_hz, 1)
    track = daily.CustomAudioTrack(source)
    assert answer(lambda done: client.update_inputs(microphone(track.id), completion=done)) == (None,)
    assert answer(lambda done: client.update_publishing(PUBLISHING, completion=done)) == (None,)
    assert answer(lambda done: client.update_subscription_profiles(SUBSCRIPTIONS, completion=done)) == (None,)
    assert client.inputs()["microphone"]["settings"] == {"customTrack": {"id": track.id}}


@pytest.mark.parametrize(
    "ask",
    [
        lambda client, done: client.update_inputs({"microphone": {"settings": {"customTrak": {}}}}, completion=done),
        lambda client, done: client.update_publishing({"microphone": {"sendSettings": 7}}, completion=done),
        lambda client, done: client.send_app_message({"a": 1}, completion=done),
        lambda client, done: client.sip_refer({"sessionId": "x", "toEndPoint": "sip:a@b"}, completion=done),
        lambda client, done: client.sip_call_transfer({"sessionId": "x", "toEndPoint": "+1"}, completion=done),
    ],
)
def test_what_the_sdk_cannot_do_is_answered_with_an_error(client: Any, ask: Any) -> None:
    (error,) = answer(lambda done: ask(client, done))
    assert isinstance(error, str)


@pytest.mark.parametrize("value", ["\ud83d", 10**30])
def test_the_sdk_cannot_write_all_that_json_can(client: Any, value: Any) -> None:
    with pytest.raises(Exception, match=r"surrogates|out of range"):
        client.send_app_message({"a": value})


def test_sound_is_played_at_its_pace(engine: sdk.Engine) -> None:
    source = daily.CustomAudioSource(AUDIO_OUT.rate_hz, 1)
    _track = daily.CustomAudioTrack(source)
    began = time.monotonic()
    for _ in range(3):
        piece = bytes(AUDIO_OUT.size(0.1))
        assert answer(lambda done, piece=piece: source.write_frames(piece, completion=done)) == (2400,)
    assert 0.2 < time.monotonic() - began < 1.0


def test_our_handler_is_one_of_the_sdks_with_its_names(engine: sdk.Engine) -> None:
    handler = _events(daily, None)
    known = {name for name in dir(daily.EventHandler) if name.startswith("on_")}
    assert isinstance(handler, daily.EventHandler)
    assert {name for name in vars(type(handler)) if name.startswith("on_")} <= known
    client = daily.CallClient(event_handler=handler)
    client.release()


class CountedSdk:
    """An SDK whose engine ends the process if it is started or stopped at the wrong time."""

    class Daily:
        running = 0

        @classmethod
        def init(cls) -> None:
            assert not cls.running
            cls.running = 1

        @classmethod
        def deinit(cls) -> None:
            assert cls.running
            cls.running = 0


def test_the_engine_is_started_once_and_never_stopped_under_a_client() -> None:
    found = sdk.Engine(CountedSdk)
    found.use()
    found.use()
    found.entered()
    found.release()
    found.release()
    assert CountedSdk.Daily.running  # somebody is in a room still
    found.use()
    found.left()
    found.release()
    assert not CountedSdk.Daily.running


def test_the_real_engine_may_be_started_again(engine: sdk.Engine) -> None:
    engine.release()
    engine.use()
    daily.CallClient().release()
