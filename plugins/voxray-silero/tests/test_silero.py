"""Silero against speech from espeak-ng, on a virtual clock."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import anyio
import numpy as np
import pytest
from voxray_silero.detector import FORGET_SECS, SileroVad
from voxray_silero.model import bundled_model, load_session

from voxray.audio.level import rms
from voxray.audio.resample import resample_whole
from voxray.audio.tone import silence, tone
from voxray.errors import ProviderRefused
from voxray.testing import VIRTUAL_BACKEND, run_virtual

pytestmark = pytest.mark.anyio
CONTEXT = SimpleNamespace(name="silero")
WINDOW_SECS = 0.032
PHRASES = ["Hello, I would like to book a table for two.", "Yes please.", "Thank you very much, goodbye."]

# In a process of its own: espeak-ng is a singleton, and other tests of this run may be using it.
SPEAK = """
import ctypes, sys, espeakng_loader
lib = ctypes.CDLL(espeakng_loader.get_library_path())
lib.espeak_Initialize(2, 0, espeakng_loader.get_data_path().encode(), 0)
def heard(samples, count, events):
    sys.stdout.buffer.write(ctypes.string_at(samples, 2 * count) if samples else b"")
    return 0
callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(heard)
lib.espeak_SetSynthCallback(callback)
lib.espeak_SetVoiceByName(b"en-us")
text = sys.argv[1].encode()
lib.espeak_Synth(text, len(text) + 1, 0, 1, 0, 1, None, None)
"""


@pytest.fixture
def anyio_backend():
    return VIRTUAL_BACKEND


@pytest.fixture(scope="module")
def utterances() -> list[bytes]:
    """pcm16 at 22 050 Hz, cut to where the speech is."""
    pytest.importorskip("espeakng_loader")
    return [_trim(subprocess.run([sys.executable, "-c", SPEAK, phrase], capture_output=True, check=True).stdout)
            for phrase in PHRASES]  # fmt: skip


def _trim(pcm: bytes) -> bytes:
    samples = np.frombuffer(pcm, "<i2")
    loud = np.nonzero(np.abs(samples.astype(int)) > 250)[0]
    return samples[loud[0] : loud[-1] + 1].tobytes()


def conversation(
    utterances: list[bytes], rate_hz: int, *, gap_secs: float, noise: float
) -> tuple[bytes, list[tuple[float, float]]]:
    """Return a call's audio, and from when to when somebody speaks in it."""
    parts, times, at = [], [], 0.0
    for utterance in [*utterances, b""]:
        speech = resample_whole(utterance, 22_050, rate_hz)
        parts += [silence(gap_secs, rate_hz), speech]
        times.append((at + gap_secs, at := at + gap_secs + len(speech) / 2 / rate_hz))
    samples = np.frombuffer(b"".join(parts), "<i2") + np.random.default_rng(0).normal(
        0, noise, len(b"".join(parts)) // 2
    )
    return np.clip(np.rint(samples), -32_768, 32_767).astype("<i2").tobytes(), times[:-1]


async def detect(vad: SileroVad, pcm: bytes, rate_hz: int, *, frame_secs: float = 0.02) -> list[tuple[float, float]]:
    """Feed a call in real time; return its reports."""
    reports: list[tuple[float, float]] = []
    with vad.open(rate_hz, lambda probability, rms: reports.append((probability, rms))) as stream:
        step = 2 * int(frame_secs * rate_hz)
        for at in range(0, len(pcm), step):
            stream.feed(pcm[at : at + step])
            await anyio.sleep(frame_secs)
        await anyio.sleep(0.1)
    return reports


@pytest.mark.parametrize("rate_hz", [16_000, 8_000])
@pytest.mark.parametrize("gap_secs", [1.0, 30.0])
@pytest.mark.parametrize("noise", [0, 30, 300])
async def test_speech_is_found_where_it_is(utterances, rate_hz, gap_secs, noise):
    pcm, times = conversation(utterances, rate_hz, gap_secs=gap_secs, noise=noise)
    reports = await detect(SileroVad(CONTEXT), pcm, rate_hz)
    heard = [(number + 1) * WINDOW_SECS for number, (probability, _) in enumerate(reports) if probability >= 0.5]
    for start, end in times:
        within = [at for at in heard if start - 0.1 <= at <= end + 0.5]
        assert within, f"nothing heard from {start} to {end} s"
        assert within[0] - start < 0.13
        assert -0.1 < within[-1] - end < 0.2
    assert all(any(start <= at <= end + 0.5 for start, end in times) for at in heard)


async def test_the_level_of_each_window_is_reported_with_it():
    vad = SileroVad(CONTEXT)
    pcm = tone((440,), 0.32, 16_000) + silence(0.32, 16_000)
    reports = await detect(vad, pcm, 16_000)
    assert len(reports) == 20
    assert [level for _, level in reports] == pytest.approx([rms(pcm[at : at + 1024]) for at in range(0, 20_480, 1024)])


async def test_calls_that_run_together_hear_what_they_would_hear_alone(utterances):
    vad = SileroVad(CONTEXT)
    calls = [conversation(utterances, 16_000, gap_secs=0.5 + 0.07 * n, noise=20)[0] for n in range(5)]
    alone = [await detect(vad, pcm, 16_000) for pcm in calls]
    together: list[list[tuple[float, float]]] = [[] for _ in calls]

    async def listen(number: int) -> None:
        await anyio.sleep(0.003 * number)
        together[number] = await detect(vad, calls[number], 16_000)

    async with anyio.create_task_group() as tasks:
        for number in range(len(calls)):
            tasks.start_soon(listen, number)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("frame_secs", [0.001, 0.01, 0.06, 0.5])
async def test_how_the_stream_is_cut_makes_no_difference(utterances, frame_secs):
    vad = SileroVad(CONTEXT)
    pcm, _ = conversation(utterances[:1], 8_000, gap_secs=0.4, noise=20)
    np.testing.assert_allclose(
        await detect(vad, pcm, 8_000, frame_secs=frame_secs), await detect(vad, pcm, 8_000), atol=1e-4
    )


@pytest.mark.parametrize(("calls", "longest_secs"), [(1, 0.0), (4, 0.005), (50, 0.0101)])
async def test_windows_wait_for_each_other_only_where_there_are_others(calls, longest_secs):
    vad = SileroVad(CONTEXT)
    waits: list[float] = []
    fed = 0.0
    with ExitStack() as stack:
        streams = [
            stack.enter_context(vad.open(16_000, lambda *_: waits.append(anyio.current_time() - fed)))
            for _ in range(calls)
        ]
        for _ in range(5):
            fed = anyio.current_time()
            for stream in streams:
                stream.feed(tone((440,), WINDOW_SECS, 16_000))
            await anyio.sleep(WINDOW_SECS)
    assert len(waits) == 5 * calls
    assert max(waits) <= longest_secs


async def test_nothing_is_reported_after_the_call():
    reports = []
    vad = SileroVad(CONTEXT)
    with vad.open(16_000, lambda *report: reports.append(report)) as stream:
        stream.feed(tone((440,), 0.5, 16_000))
    stream.feed(tone((440,), 0.5, 16_000))
    await anyio.sleep(1)
    assert reports == []


async def test_a_call_that_ends_while_it_is_told_something_hears_no_more():
    vad = SileroVad(CONTEXT)
    reports = []
    with ExitStack() as stack:

        def hang_up(*report: float) -> None:
            reports.append(report)
            stack.close()

        stream = stack.enter_context(vad.open(16_000, hang_up))
        stream.feed(tone((440,), 0.5, 16_000))
        await anyio.sleep(1)
    assert len(reports) == 1


async def test_a_new_call_does_not_inherit_the_memory_of_an_old_one(utterances):
    vad = SileroVad(CONTEXT)
    pcm, _ = conversation(utterances, 16_000, gap_secs=0.3, noise=20)
    first = await detect(vad, pcm, 16_000)
    assert await detect(vad, pcm, 16_000) == first


async def test_a_failing_listener_does_not_cost_the_others_their_reports():
    vad = SileroVad(CONTEXT)
    reports = []
    failures = []

    def fail(*report: float) -> None:
        raise RuntimeError("this call is broken")

    asyncio.get_running_loop().set_exception_handler(lambda loop, info: failures.append(info["exception"]))
    with vad.open(16_000, fail) as broken, vad.open(16_000, lambda *report: reports.append(report)) as sound:
        broken.feed(tone((440,), 0.32, 16_000))
        sound.feed(tone((440,), 0.32, 16_000))
        await anyio.sleep(1)
    asyncio.get_running_loop().set_exception_handler(None)
    assert len(reports) == 10
    assert [str(error) for error in failures] == ["this call is broken"] * 10


async def test_digital_silence_is_not_worth_asking_the_network():
    vad = SileroVad(CONTEXT)
    reports = []
    with vad.open(8_000, lambda *report: reports.append(report)) as stream:
        stream.feed(silence(0.032, 8_000))
        await anyio.sleep(0.1)
        stream.feed(silence(FORGET_SECS, 8_000))
        assert len(reports) == 1 + int(FORGET_SECS * 8_000) // 256
        assert all(probability < 0.1 for probability, _ in reports)


async def test_without_calls_nothing_ticks():
    vad = SileroVad(CONTEXT)
    with vad.open(16_000, lambda *_: None) as stream:
        stream.feed(tone((440,), 1.0, 16_000))
        await anyio.sleep(0.1)
        assert not [handle for handle in asyncio.get_running_loop()._scheduled if "_tick" in repr(handle)]


def test_one_detector_serves_one_event_loop_after_another(utterances):
    vad = SileroVad(CONTEXT)
    pcm, _ = conversation(utterances[:1], 16_000, gap_secs=0.2, noise=20)

    async def interrupted() -> None:
        with vad.open(16_000, lambda *_: None) as stream:
            stream.feed(pcm)  # and the loop ends before the network is asked

    async def whole() -> list[tuple[float, float]]:
        return await detect(vad, pcm, 16_000)

    first = run_virtual(whole)
    run_virtual(interrupted)
    assert run_virtual(whole) == first
    gc.collect()
    assert len(vad._batchers) == 0


def test_the_network_is_loaded_once():
    SileroVad(CONTEXT)
    assert load_session(bundled_model()) is SileroVad(CONTEXT)._session


def test_windows_are_of_32_milliseconds():
    vad = SileroVad(CONTEXT)
    assert [vad.window_samples(rate_hz) for rate_hz in vad.rates_hz] == [512, 256]


@pytest.mark.parametrize("content", [None, b"", b"not a model"])
def test_a_model_that_cannot_be_loaded_is_named(tmp_path: Path, content):
    path = tmp_path / "other.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ProviderRefused, match=r"silero: cannot load the model: .*other\.onnx"):
        SileroVad(CONTEXT, model_path=str(path))
