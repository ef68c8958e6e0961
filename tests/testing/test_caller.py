from collections.abc import Awaitable, Callable

import anyio
import pytest
from websockets.asyncio.server import serve

from voxray.audio.format import PCM_16K, PCM_24K
from voxray.testing.call_account import CallAccount, Clip
from voxray.testing.caller import Caller, NoReplyError, NotConnectedError, is_loopback, socket_address
from voxray.testing.conversation import converse, converse_many
from voxray.testing.fake_agent import TONE, FakeAgent
from voxray.testing.fakes import quiet, speech
from voxray.testing.script import parse_script
from voxray.testing.virtual import run_virtual

HELLO = Clip.of(speech(PCM_16K, 1.0))
SHORT = Clip.of(speech(PCM_16K, 0.4))
CLIPS = {("say", "hello"): HELLO, ("say", "stop"): SHORT}


def call(agent: FakeAgent, held: Callable[[Caller], Awaitable[None]], **options: object) -> None:
    async def run() -> None:
        async with agent, Caller(agent.url, **options) as caller:  # type: ignore[arg-type]
            await held(caller)

    run_virtual(run)


def test_a_clip_ends_with_its_last_word() -> None:
    clip = Clip.of(quiet(PCM_16K, 0.1) + speech(PCM_16K, 0.5) + quiet(PCM_16K, 2))
    assert round(clip.secs, 3) == 0.6
    assert {len(frame) for frame in clip.frames} == {640}


def test_a_clip_at_another_rate_is_converted() -> None:
    assert Clip.of(speech(PCM_24K, 1.0), rate_hz=24_000).secs == pytest.approx(1.0, abs=0.03)


def test_the_greeting_is_heard_to_its_end() -> None:
    async def held(caller: Caller) -> None:
        reply = await caller.listen()
        assert (reply.text, reply.heard, reply.interrupted) == ("Good day.", "Good day.", False)
        assert caller.now() == pytest.approx(0.1 + 0.45, abs=0.05)

    call(FakeAgent(greeting="Good day."), held)


def test_latency_counts_from_the_last_word_to_the_first_sound() -> None:
    async def held(caller: Caller) -> None:
        await caller.say(HELLO)
        assert caller.said_until == pytest.approx(0.98, abs=0.001)
        reply = await caller.listen()
        assert reply.latency_secs == pytest.approx(0.3 + 0.1, abs=0.03)
        assert reply.stages["waited_secs"] == 0.3

    call(FakeAgent(), held)


def test_what_was_heard_is_recorded_on_the_callers_timeline() -> None:
    async def held(caller: Caller) -> None:
        await caller.say(SHORT)
        await caller.listen()
        pcm = caller.heard_pcm()
        silence = len(pcm) - len(pcm.lstrip(b"\0"))
        assert PCM_24K.secs(silence) == pytest.approx(0.4 + 0.3 + 0.1, abs=0.05)
        assert set(memoryview(pcm[silence:]).cast("h")) == {TONE}
        assert PCM_24K.secs(len(pcm) - silence) == pytest.approx(len("Answer 1.") * 0.05, abs=0.001)

    call(FakeAgent(), held, record=True)


def test_an_interruption_empties_the_ear() -> None:
    async def held(caller: Caller) -> None:
        first = await caller.listen_for(1.0)
        assert first.ended_at is None
        await caller.say(SHORT)
        assert first.interrupted
        assert PCM_24K.secs(len(caller.heard_pcm())) == pytest.approx(0.1 + 1.0 + 0.2, abs=0.08)
        second = await caller.listen()
        assert second.text == "Answer 1."

    call(FakeAgent(greeting="A very long greeting that nobody wants to hear to its very end."), held, record=True)


def test_marks_are_answered_when_the_ear_is_there() -> None:
    async def held(caller: Caller) -> None:
        await caller.listen()

    agent = FakeAgent(greeting="Good day.")
    call(agent, held)
    assert ("MarkFrame", {"name": "end of 1"}) in agent.received


def test_typed_turns_and_keys_are_sent_as_messages() -> None:
    async def held(caller: Caller) -> None:
        await caller.press("1#")
        await caller.type("hello")
        reply = await caller.listen()
        assert reply.text == "Answer 1."
        assert caller.turns[0][1] == "hello"

    agent = FakeAgent()
    call(agent, held)
    assert [data.get("digit") or data.get("text") for _, data in agent.received[:3]] == ["1", "#", "hello"]


def test_no_answer_is_an_error_of_its_own() -> None:
    async def held(caller: Caller) -> None:
        await caller.say(SHORT)
        with pytest.raises(NoReplyError, match="no answer within 5 s"):
            await caller.listen(5)

    call(FakeAgent(silent_turns=[1]), held)


def test_an_error_in_the_block_arrives_as_it_is() -> None:
    async def held(caller: Caller) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        call(FakeAgent(), held)


def test_a_call_that_the_agent_ends_is_over() -> None:
    async def held(caller: Caller) -> None:
        await caller.say(SHORT)
        await caller.listen()
        ended = await caller.goodbye()
        assert ended is not None
        assert (ended.reason, ended.code) == ("agent_ended", 1000)
        with pytest.raises(NoReplyError, match="the call ended"):
            await caller.listen()

    call(FakeAgent(hang_up_after=1), held)


async def connect(url: str, **options: object) -> None:
    async with Caller(url, connect_secs=2, **options):  # type: ignore[arg-type]
        raise AssertionError("it connected")


def test_nobody_listening_is_no_connection() -> None:
    async def run() -> None:
        async with FakeAgent() as agent:
            pass
        await connect(agent.url)

    with pytest.raises(NotConnectedError, match=r"127\.0\.0\.1"):
        run_virtual(run)


def test_a_refused_key_and_a_full_server_say_so() -> None:
    async def run() -> None:
        async with FakeAgent(api_key="right") as agent:
            with pytest.raises(NotConnectedError, match="401; give the right --api-key"):
                await connect(agent.url, api_key="wrong")
        async with FakeAgent(close_code=1013) as agent:
            with pytest.raises(NotConnectedError, match="closed with 1013 no"):
                await connect(agent.url)

    run_virtual(run)


def test_a_server_that_never_starts_the_call_is_given_up() -> None:
    async def run() -> None:
        async with serve(lambda socket: socket.wait_closed(), "127.0.0.1", 0) as server:
            with pytest.raises(NotConnectedError, match="no StartFrame within 2 s"):
                await connect(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")

    run_virtual(run)


def test_a_server_that_sends_rubbish_ends_the_call() -> None:
    async def answer(socket: object) -> None:
        await socket.send('{"type": "StartFrame", "data": {}}')  # type: ignore[attr-defined]
        await socket.send("[]")  # type: ignore[attr-defined]
        await socket.wait_closed()  # type: ignore[attr-defined]

    async def run() -> None:
        async with serve(answer, "127.0.0.1", 0) as server:
            async with Caller(f"127.0.0.1:{server.sockets[0].getsockname()[1]}") as caller:
                with pytest.raises(NoReplyError, match="bad message"):
                    await caller.listen()

    run_virtual(run)


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("localhost:8080", "ws://localhost:8080/ws"),
        ("http://a.example", "ws://a.example/ws"),
        ("https://a.example/x?y=1", "wss://a.example/x?y=1"),
        ("ws://127.0.0.1:1/ws", "ws://127.0.0.1:1/ws"),
    ],
)
def test_short_addresses_are_completed(target: str, address: str) -> None:
    assert socket_address(target) == address


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="is not an address"):
        socket_address("ftp://x")


def test_loopback_is_known_without_looking_names_up() -> None:
    assert [is_loopback(host) for host in ("localhost:1", "127.9.9.9", "[::1]:80", "10.0.0.1", "a.example")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_frames_are_sent_without_drift() -> None:
    async def held(caller: Caller) -> None:
        await caller.silence(60)
        assert caller.late_secs < 1e-6

    call(FakeAgent(), held)


def test_a_script_that_holds() -> None:
    script = parse_script("""
        expect_greeting: day
        expect_end: agent_ended
        expect_tools: {look_up: 1}
        turns:
          - say: hello
            expect: [one, two]
            expect_tool: look_up
            expect_understood: "1.00 s"
            max_latency_ms: 500
          - say: stop
            barge_in_after: 0.5
            expect: {all: [three], none: [four]}
          - text: bye
    """)
    agent = FakeAgent(
        ["This is one long answer.", "Three.", "Goodbye."],
        greeting="Good day.",
        tools={1: ["look_up"]},
        hang_up_after=3,
    )

    async def run() -> None:
        async with agent:
            result = await converse(agent.url, script, CLIPS)
        assert result.as_json()["turns"][1]["interrupted"]
        assert [turn.problems for turn in result.turns] == [[], [], [], []]
        assert result.problems == []
        assert result.ok
        assert result.end == "agent_ended"

    run_virtual(run)


def test_a_script_that_does_not_hold_says_where() -> None:
    script = parse_script("""
        greeting: false
        expect_tools: {look_up: 2}
        turns:
          - say: hello
            expect: elephant
            expect_tool: {look_up: 0}
            max_latency_ms: 100
          - say: stop
            barge_in_after: 5
            timeout: 3
          - text: never said
    """)

    async def run() -> list[list[str]]:
        async with FakeAgent(["One."], tools={1: ["look_up"]}, silent_turns=[2]) as agent:
            result = await converse(agent.url, script, CLIPS)
        assert not result.ok
        return [result.problems, *[turn.problems for turn in result.turns]]

    whole, first, second = run_virtual(run)
    assert whole == ['expect_tools: "look_up" was called 1 times, not 2']
    assert first[0] == 'expect: "elephant" is not in "One."'
    assert first[1] == 'expect_tool: "look_up" was called 1 times, not 0'
    assert first[2].startswith("max_latency_ms: the answer's latency was")
    assert second == ["no answer was being spoken 5 s after its start", "no answer within 3 s"]


def test_many_calls_run_side_by_side_within_the_limit() -> None:
    script = parse_script("turns: [{say: hello}]")

    async def run() -> float:
        started = anyio.current_time()
        async with FakeAgent() as agent:
            results = await converse_many(agent.url, script, CLIPS, count=6, concurrency=3)
        assert [result.number for result in results] == [1, 2, 3, 4, 5, 6]
        assert all(result.ok for result in results)
        return anyio.current_time() - started

    assert run_virtual(run) < 2 * 5


def test_sound_before_its_announcement_belongs_to_the_reply() -> None:
    async def run() -> None:
        account = CallAccount()
        account._hear(bytes(4800))
        await anyio.sleep(0.1)
        account._on_frame("BotStartedSpeakingFrame", {"reply": 1})
        assert account.replies[1].first_audio_at == 0.0

    run_virtual(run)
