"""Uploads and the live socket against the simulator."""

import json
from typing import Any

import anyio
import pytest
from voxray_openai.client import Timeouts

from voxray.audio.format import PCM_16K
from voxray.audio.tone import tone
from voxray.audio.wav import parse_wav
from voxray.chat import Usage
from voxray.errors import ProviderError, ProviderProtocolError, ProviderRefused, ProviderUnavailable
from voxray.protocols.stt import Flushed, Transcript
from voxray.testing.faults import Fault
from voxray.testing.openai_api import OpenAiApi

pytestmark = pytest.mark.anyio

SPEECH = tone((300,), 0.5, 16_000)
SOON = Timeouts(total=0.1)


async def test_an_utterance_goes_up_as_wav_and_comes_back_as_text(made: Any) -> None:
    heard: list[bytes] = []

    def listen(wav: bytes) -> str:
        heard.append(wav)
        return " a room please "

    async with OpenAiApi(transcripts=listen) as api:
        result = await made.ears(api, language="de", prompt="Voxray").recognize(SPEECH, language="en-GB")
        form = api.requests[0].form()
    assert result == Transcript("a room please", final=True, language="en-GB")
    assert parse_wav(heard[0]) == (SPEECH, 16_000)
    assert {name: part.text for name, part in form.items() if name != "file"} == {
        "model": "m", "prompt": "Voxray", "language": "en", "response_format": "json"
    }  # fmt: skip


async def test_less_than_a_tenth_of_a_second_is_silence_and_not_sent(made: Any) -> None:
    async with OpenAiApi() as api:
        assert (await made.ears(api).recognize(SPEECH[: PCM_16K.size(0.09)])).text == ""
        assert not api.requests


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(status=401), ProviderRefused),
        (Fault(status=429), ProviderUnavailable),
        (Fault(status=500), ProviderUnavailable),
        (Fault("reset"), ProviderUnavailable),
        (Fault("half"), ProviderUnavailable),
        (Fault("stall"), ProviderUnavailable),
        (Fault("nothing"), ProviderUnavailable),
        (Fault("malformed"), ProviderProtocolError),
    ],
)
async def test_each_fault_of_an_upload_has_its_error(made: Any, fault: Fault, kind: type[ProviderError]) -> None:
    async with OpenAiApi(faults=[fault]) as api:
        with anyio.fail_after(5), pytest.raises(ProviderError) as caught:
            await made.ears(api, timeouts=SOON).recognize(SPEECH)
    assert type(caught.value) is kind


async def results(stream: Any, until_flushed: int = 1) -> list[Any]:
    found: list[Any] = []
    with anyio.fail_after(5):
        async for result in stream:
            found.append(result)
            if sum(isinstance(one, Flushed) for one in found) == until_flushed:
                return found
    return found


async def test_a_flush_brings_partial_words_the_final_ones_and_flushed(made: Any) -> None:
    async with OpenAiApi(transcripts=["two nights please"]) as api, made.live(api, language="en-US").open() as stream:
        await stream.send(SPEECH)
        await stream.flush()
        found = await results(stream)
        setup = json.loads(api.requests[0].messages[0])["session"]["audio"]["input"]
    assert found == [
        Transcript("two", final=False),
        Transcript("two nights", final=False),
        Transcript("two nights please", final=False),
        Transcript("two nights please", final=True),
        Usage(audio_secs=0.5, model="m"),
        Flushed(),
    ]
    assert setup["format"] == {"type": "audio/pcm", "rate": 24000}
    assert setup["transcription"] == {"model": "m", "language": "en"}
    assert setup["turn_detection"] is None


async def test_audio_reaches_the_vendor_at_24_khz(made: Any) -> None:
    lengths: list[float] = []

    def listen(wav: bytes) -> str:
        pcm, rate_hz = parse_wav(wav)
        lengths.append(len(pcm) / 2 / rate_hz)
        return "x"

    async with OpenAiApi(transcripts=listen) as api, made.live(api).open() as stream:
        for at in range(0, len(SPEECH), 640):
            await stream.send(SPEECH[at : at + 640])
        await stream.flush()
        await results(stream)
    assert lengths == [pytest.approx(0.5)]


async def test_a_flush_after_next_to_nothing_is_answered_at_once(made: Any) -> None:
    async with OpenAiApi() as api, made.live(api).open() as stream, anyio.create_task_group() as tasks:

        async def flush_soon() -> None:
            await stream.send(SPEECH[:1600])
            await stream.flush()

        tasks.start_soon(flush_soon)  # while the iterator already waits for the vendor
        assert await results(stream) == [Flushed()]
        assert not [raw for raw in api.requests[0].messages if "commit" in str(raw)]


async def test_every_flush_is_answered_once_and_in_order(made: Any) -> None:
    async with OpenAiApi(transcripts=["one", "two"]) as api, made.live(api).open() as stream:
        await stream.send(SPEECH)
        await stream.flush()
        await stream.flush()
        await stream.send(SPEECH)
        await stream.flush()
        found = await results(stream, until_flushed=3)
    kept = [
        one.text if isinstance(one, Transcript) else "-" for one in found if one != Usage(audio_secs=0.5, model="m")
    ]
    assert kept == ["one", "one", "-", "-", "two", "two", "-"]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(status=401), ProviderRefused),
        (Fault(status=503), ProviderUnavailable),
        (Fault("malformed", after=0), ProviderProtocolError),
    ],
)
async def test_a_socket_that_does_not_open_has_its_error(made: Any, fault: Fault, kind: type[ProviderError]) -> None:
    async with OpenAiApi(faults=[fault]) as api:
        with anyio.fail_after(5), pytest.raises(ProviderError) as caught:
            async with made.live(api).open():
                pass
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("reset", after=3), ProviderUnavailable),
        (Fault("half", after=3), ProviderUnavailable),
        (Fault("error", after=3), ProviderUnavailable),
        (Fault("malformed", after=3), ProviderProtocolError),
    ],
)
async def test_a_socket_that_breaks_has_its_error(made: Any, fault: Fault, kind: type[ProviderError]) -> None:
    async with OpenAiApi(faults=[fault]) as api, made.live(api).open() as stream:
        await stream.send(SPEECH)
        await stream.flush()
        with pytest.raises(ProviderError) as caught:
            await results(stream)
        assert type(caught.value) is kind


async def test_leaving_the_stream_closes_the_socket(made: Any) -> None:
    async with OpenAiApi() as api:
        async with made.live(api).open() as stream:
            await stream.send(SPEECH)
        with anyio.fail_after(5):
            await api.requests[0].finished.wait()
        assert api.requests[0].close_code == 1000
