"""The synthetic caller against the real server, its parts replaced by fakes."""

import anyio
import pytest

from tests.server.serving import serving
from voxray.audio.format import PCM_16K
from voxray.session.services import SessionOptions
from voxray.testing.call_account import Clip
from voxray.testing.conversation import converse
from voxray.testing.fakes import ScriptedLlm, ScriptedStt, ScriptedTts, services, speech
from voxray.testing.script import parse_script

pytestmark = pytest.mark.anyio

SCRIPT = """
expect_greeting: good day
turns:
  - say: hello
    expect: all is well
    expect_understood: hello there
    expect_heard: {none: [rather]}
    max_latency_ms: 2000
  - say: stop
    barge_in_after: 0.5
    expect: goodbye
"""


async def test_a_script_holds_against_the_real_server() -> None:
    parts = services(
        stt=ScriptedStt(["hello there", "stop"], delay_secs=0.01),
        llm=ScriptedLlm(["All is well. " + "And it will be for a rather long time. " * 3, "Goodbye."]),
        tts=ScriptedTts(secs_per_char=0.03),
    )
    options = SessionOptions(greeting="Good day.", turn_stop_secs=0.3, interrupt_min_speech_ms=100)
    clips = {
        ("say", "hello"): Clip.of(speech(PCM_16K, 0.4)),
        ("say", "stop"): Clip.of(speech(PCM_16K, 0.6)),
    }
    with anyio.fail_after(30):
        async with serving(parts=parts, options=options) as server:
            result = await converse(f"127.0.0.1:{server.port}", parse_script(SCRIPT), clips, record=True)
            await server.emptied()
    assert [turn.problems for turn in result.turns] == [[], [], []]
    assert result.ok
    assert result.end == "client_asked"
    first = result.turns[1].reply
    assert first is not None
    assert first.interrupted
    assert first.stages["waited_secs"] == pytest.approx(0.3, abs=0.2)
    assert 0.3 <= (first.latency_secs or 0) < 2
    assert len(result.pcm) > 24_000
