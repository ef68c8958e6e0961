"""Speech against the simulator."""

from typing import Any

import anyio
import pytest
from voxray_openai.client import Timeouts
from voxray_openai.speech import split_text

from voxray.audio.format import PCM_16K, PCM_24K
from voxray.errors import ProviderError, ProviderRefused, ProviderUnavailable
from voxray.testing.faults import Fault
from voxray.testing.openai_api import OpenAiApi

pytestmark = pytest.mark.anyio

SOON = Timeouts(first=0.1, idle=0.1)


async def spoken(voice: Any, text: str = "Good day.") -> bytes:
    with anyio.fail_after(5):
        async with voice.synthesize(text) as pieces:
            return b"".join([piece async for piece in pieces])


async def test_a_sentence_becomes_sound_of_its_length(made: Any) -> None:
    async with OpenAiApi() as api:
        voice = made.speech(api, instructions="kindly")
        sound = await spoken(voice)
        body = api.requests[0].json()
    assert PCM_24K.secs(len(sound)) == pytest.approx(9 * 0.06)
    assert voice.audio == PCM_24K
    assert body == {
        "input": "Good day.", "model": "m", "voice": "v", "response_format": "pcm", "instructions": "kindly"
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "   ", "...", "**\n"])
async def test_nothing_to_say_is_not_sent(made: Any, text: str) -> None:
    async with OpenAiApi() as api:
        assert await spoken(made.speech(api), text) == b""
        assert not api.requests


async def test_a_wav_header_is_taken_out_asked_for_or_not(made: Any) -> None:
    async with OpenAiApi(faults=[Fault("wav")]) as api:
        plain = made.speech(api)
        unasked, pcm = await spoken(plain), await spoken(plain)
        asked = await spoken(made.speech(api, wav=True, extra_body={"sample_rate": 24000}))
        assert api.requests[2].json()["sample_rate"] == 24000
    assert unasked == pcm == asked


async def test_a_wav_of_another_rate_is_converted(made: Any) -> None:
    async with OpenAiApi() as api:
        sound = await spoken(made.speech(api, wav=True, audio=PCM_16K))
    assert PCM_16K.secs(len(sound)) == pytest.approx(9 * 0.06, abs=0.001)


async def test_odd_pieces_lose_no_byte(made: Any) -> None:
    async with OpenAiApi(faults=[Fault("odd")]) as api:
        voice = made.speech(api)
        assert await spoken(voice) == await spoken(voice)


async def test_empty_audio_is_an_error_that_may_be_tried_again(made: Any) -> None:
    async with OpenAiApi(faults=[Fault("empty")]) as api:
        with pytest.raises(ProviderUnavailable, match="without a sound"):
            await spoken(made.speech(api))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(status=401), ProviderRefused),
        (Fault(status=429, retry_after=2), ProviderUnavailable),
        (Fault(status=500), ProviderUnavailable),
        (Fault("reset", after=2), ProviderUnavailable),
        (Fault("half", after=2), ProviderUnavailable),
        (Fault("stall", after=2), ProviderUnavailable),
        (Fault("nothing"), ProviderUnavailable),
    ],
)
async def test_each_fault_has_its_error(made: Any, fault: Fault, kind: type[ProviderError]) -> None:
    async with OpenAiApi(faults=[fault]) as api:
        with pytest.raises(ProviderError) as caught:
            await spoken(made.speech(api, timeouts=SOON))
    assert type(caught.value) is kind


async def test_leaving_early_closes_the_request_at_the_vendor(made: Any) -> None:
    async with OpenAiApi(paced=True) as api:
        with anyio.fail_after(5):
            async with made.speech(api).synthesize("a long sentence " * 20) as pieces:
                async for _ in pieces:
                    break
            await api.requests[0].finished.wait()
        assert api.requests[0].client_closed


async def test_long_text_goes_in_several_requests(made: Any) -> None:
    text = "One sentence here. Another one there, with a clause. End."
    async with OpenAiApi() as api:
        await spoken(made.speech(api, max_chars=40), text)
        sent = [request.json()["input"] for request in api.requests]
    assert sent == ["One sentence here.", "Another one there, with a clause. End."]


@pytest.mark.parametrize("size", [1, 7, 20, 1000])
async def test_split_text_keeps_every_word(size: int) -> None:
    text = "Hello, dear guest. Supercalifragilistic words; and 東京。more"
    parts = list(split_text(text, size))
    assert all(0 < len(part) <= size for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())
