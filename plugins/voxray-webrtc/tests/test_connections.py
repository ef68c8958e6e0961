"""How calls begin, go on over other connections, and end."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from typing import Any

import anyio
import pytest
from voxray_webrtc.connection import Connection
from voxray_webrtc.limits import Limits

from tests.webrtc_client import Client, calling, tone
from tests.webrtc_desk import Desk, desk
from voxray.audio.format import PCM_16K
from voxray.audio.tone import tone as our_tone
from voxray.errors import ClientIdleError, ProviderUnavailable, TransportFailedError
from voxray.events import ClientReady, TextReceived
from voxray.protocols.peers import Candidate, Offer

pytestmark = pytest.mark.anyio


async def test_a_peer_without_a_data_channel_is_ready_when_it_is_connected() -> None:
    async with desk() as our, calling(our.exchange, channel=False) as client:
        await client.until(lambda: our.heard[:1] == [ClientReady()])


async def test_a_peer_without_sound_talks_by_messages() -> None:
    async with desk() as our, calling(our.exchange, audio="") as client:
        await client.opened.wait()
        our.voice.say(our_tone([500], 0.2, 24_000))
        client.ask("send-text", {"content": "hello"})
        await client.until(lambda: TextReceived("hello", run=True, speak=True) in our.heard)
        await client.until(lambda: our.voice.taken == 9600)


@pytest.mark.parametrize("audio", ["sendonly", "recvonly"])
async def test_sound_may_go_one_way(audio: str) -> None:
    async with desk() as our, calling(our.exchange, audio=audio) as client:
        await client.until(lambda: bool(our.established))
        our.voice.say(our_tone([500], 0.5, 24_000))
        if audio == "sendonly":
            client.microphone.say(tone(440, 0.5))
            await client.until(lambda: len(our.sound()) > PCM_16K.size(0.5))
            await client.until(lambda: our.voice.taken == 24_000)
            assert not client.sound
        else:
            await client.until(lambda: len(client.sound) > 20)
            assert not our.sound()


async def test_a_video_line_costs_no_task_and_no_thread() -> None:
    async with desk() as our:
        async with calling(our.exchange, video=True) as client:
            await client.until(lambda: bool(our.established))
            assert not [it for it in client.tracks if it.kind == "video" and it.readyState != "live"]
        with_video = our.accepted[0].sdp
    assert with_video.count("a=inactive") == 1


async def test_candidates_may_come_after_the_answer() -> None:
    async with desk() as our:
        client = Client()
        given: list[str] = []

        async def trickled(sdp: str) -> str:
            rows = sdp.splitlines()
            given.extend(row.removeprefix("a=") for row in rows if row.startswith("a=candidate"))
            return await our.exchange("\r\n".join(row for row in rows if "candidate" not in row) + "\r\n")

        # The answer without candidates: only ours may begin.
        answer = await trickled(await client.offer())
        await client.accept("\r\n".join(row for row in answer.splitlines() if "candidate" not in row) + "\r\n")
        with anyio.move_on_after(0.3):
            await client.opened.wait()
        assert not client.opened.is_set()
        pc_id = our.accepted[0].pc_id
        odd = ["", "nonsense", "candidate:1 1 udp 1 x.local 9 typ host", "candidate:1 1 tcp 1 127.0.0.1 9 typ host"]
        candidates = [Candidate(candidate=text, sdp_mid="0", sdp_mline_index=0) for text in [*odd, *given]]
        assert await our.peers.add_candidates(pc_id, "", candidates)
        with anyio.fail_after(5):
            await client.opened.wait()
        await client.peer.close()


async def test_connections_of_others_are_unknown() -> None:
    async with desk() as our, calling(lambda sdp: our.exchange(sdp, owner="a")) as client:
        await client.opened.wait()
        pc_id = our.accepted[0].pc_id
        assert our.peers.knows(pc_id, "a")
        assert not our.peers.knows(pc_id, "b")
        assert not our.peers.knows("", "")
        assert not await our.peers.add_candidates(pc_id, "", [])
        other = Client()
        await our.peers.accept(Offer(sdp=await other.offer(), pc_id=pc_id, owner="b"))
        assert len(our.peers._transports) == 2
        await other.peer.close()


async def test_a_goodbye_of_the_peer_ends_the_call() -> None:
    async with desk(grace_secs=0.0) as our:
        async with calling(our.exchange) as client:
            await client.opened.wait()
            await client.until(lambda: bool(our.established))
        with anyio.fail_after(4):
            await our.over.wait()
        assert isinstance(our.failures[0], anyio.EndOfStream)
        assert not our.peers._transports


async def test_our_goodbye_reaches_the_peer() -> None:
    async with desk() as our, calling(our.exchange) as client:
        await client.opened.wait()
        await client.until(lambda: bool(our.established))
        await our.transport.close("client_asked", "")
        assert (await client.got("signalling"))["message"] == {"type": "peerLeft"}
        await client.until(lambda: client.peer.connectionState == "closed")


@pytest.mark.parametrize("channel", [True, False])
async def test_a_peer_that_vanishes_is_noticed(channel: bool) -> None:
    limits = Limits(check_secs=0.1, silent_secs=0.6)
    async with desk(limits=limits, grace_secs=0.5) as our, calling(our.exchange, channel=channel) as client:
        await client.until(lambda: len(our.sound()) > 3000)
        client.vanish()
        with anyio.fail_after(4):
            await our.over.wait()
        assert isinstance(our.failures[0], TransportFailedError)


async def test_a_peer_whose_pings_stop_is_lost_although_its_sound_goes_on() -> None:
    limits = Limits(check_secs=0.1, ping_secs=0.4)
    async with desk(limits=limits, grace_secs=60.0) as our, calling(our.exchange) as client:
        await client.opened.wait()
        await client.until(lambda: bool(our.established))
        client.send("ping: 1")
        await client.until(lambda: our.transport._messages.pinged_at is not None)
        our.voice.say(our_tone([500], 0.1, 24_000))
        await client.until(lambda: our.voice.taken == 4800)
        await client.until(lambda: our.transport._live is None)
        our.voice.say(our_tone([500], 0.1, 24_000))
        client.send("ping: 2")
        await client.until(lambda: our.voice.taken == 9600)


async def test_a_silent_client_is_idle() -> None:
    async with (
        desk(listening={"idle_secs": 0.5}, limits=Limits(check_secs=0.1)) as our,
        calling(our.exchange, audio="recvonly"),
    ):
        with anyio.fail_after(4):
            await our.over.wait()
        assert isinstance(our.failures[0], ClientIdleError)


async def test_a_restart_goes_on_with_the_same_call() -> None:
    async with desk() as our:
        async with calling(our.exchange) as first:
            await first.opened.wait()
            first.ask("client-ready", {"version": "2.1.0"})
            await first.got("bot-ready")
            await first.until(lambda: our.events().count(ClientReady()) == 1)
            pc_id = our.accepted[0].pc_id
            again = lambda sdp: our.exchange(sdp, pc_id=pc_id, restart=True)  # noqa: E731
            async with calling(again) as second:
                await second.opened.wait()
                assert our.accepted[1].transport is None
                assert our.accepted[1].pc_id == pc_id
                second.ask("client-ready", {"version": "2.1.0"})
                await second.got("bot-ready")
                our.voice.say(our_tone([500], 0.5, 24_000))
                before = len(our.sound())
                await second.until(lambda: len(second.sound) > 20 and len(our.sound()) > before + 6000)
                await first.until(lambda: first.peer.connectionState == "closed")
                assert "signalling" not in first.kinds()
                assert not our.over.is_set()
                assert len(our.established) == 1


async def test_a_restart_after_the_peer_was_lost_goes_on_where_it_stopped() -> None:
    limits = Limits(check_secs=0.1, silent_secs=0.5)
    async with desk(limits=limits) as our:
        first = Client()
        await first.connect(our.exchange)
        await first.until(lambda: len(our.sound()) > 3000)
        first.vanish()
        await first.until(lambda: our.transport._live is None)
        our.voice.say(our_tone([500], 0.5, 24_000))
        pc_id = our.accepted[0].pc_id
        async with calling(lambda sdp: our.exchange(sdp, pc_id=pc_id, restart=True)) as second:
            await second.until(lambda: our.voice.taken == 24_000)
        await first.peer.close()


async def test_a_restart_does_not_wait_for_the_channel_of_the_old_connection() -> None:
    async def deaf(data: bytes) -> None: ...

    async with desk() as our:
        first = Client()
        first.peer.sctp._handle_data = deaf
        await first.connect(our.exchange)
        await first.until(lambda: our.transport.connection.connected)
        assert not our.established
        pc_id = our.accepted[0].pc_id
        async with calling(lambda sdp: our.exchange(sdp, pc_id=pc_id, restart=True), protocol="json") as second:
            await second.until(lambda: our.events() == [ClientReady()], 5)
        await first.peer.close()


async def test_a_channel_that_does_not_open_is_not_waited_for_for_ever() -> None:
    async def deaf(data: bytes) -> None: ...

    async with desk(limits=Limits(channel_secs=0.3)) as our:
        client = Client()
        client.peer.sctp._handle_data = deaf
        await client.connect(our.exchange)
        await client.until(lambda: our.events() == [ClientReady()], 5)
        await client.peer.close()


async def test_a_restart_that_never_connects_ends_the_call_after_the_grace() -> None:
    limits = Limits(check_secs=0.1, connect_secs=0.5)
    async with desk(limits=limits, grace_secs=0.3) as our, calling(our.exchange) as client:
        await client.until(lambda: bool(our.established))
        await client.opened.wait()
        other = Client()
        await our.exchange(await other.offer(), pc_id=our.accepted[0].pc_id, restart=True)
        with anyio.fail_after(4):
            await our.over.wait()
        assert isinstance(our.failures[0], TransportFailedError)
        await other.peer.close()


async def test_the_same_connection_can_be_negotiated_again() -> None:
    async with desk() as our, calling(our.exchange) as client:
        await client.opened.wait()
        await client.until(lambda: bool(our.established))
        again = lambda sdp: our.exchange(sdp, pc_id=our.accepted[0].pc_id)  # noqa: E731
        client.peer.getTransceivers()[0].direction = "sendonly"
        await client.connect(again)
        assert "a=recvonly" in our.accepted[1].sdp
        await client.until(lambda: our.transport._speaking.payload_type is None)
        client.peer.getTransceivers()[0].direction = "sendrecv"
        await client.connect(again)
        assert "a=sendrecv" in our.accepted[2].sdp
        before = len(our.sound())
        await client.until(lambda: len(our.sound()) > before + 3000)
        assert [it.pc_id for it in our.accepted] == [our.accepted[0].pc_id] * 3


async def test_an_offer_of_another_connection_is_no_renegotiation() -> None:
    async with desk() as our, calling(our.exchange) as client:
        await client.opened.wait()
        other = Client()
        with pytest.raises(ValueError, match="restart_pc"):
            await our.exchange(await other.offer(), pc_id=our.accepted[0].pc_id)
        await other.peer.close()
        await client.until(lambda: len(our.sound()) > 3000)


async def test_a_peer_that_never_comes_makes_no_call() -> None:
    limits = Limits(check_secs=0.1, connect_secs=0.4)
    async with desk(limits=limits) as our:
        client = Client()
        await our.exchange(await client.offer())
        with anyio.fail_after(4):
            await our.over.wait()
        assert our.established == [False]
        assert not our.peers._transports
        await client.peer.close()


async def test_a_peer_with_another_certificate_makes_no_call() -> None:
    async with desk() as our:
        client = Client()
        forged = ":".join(["00"] * 32)
        sdp = await client.offer()
        rows = [
            row if not row.startswith("a=fingerprint:sha-256") else f"a=fingerprint:sha-256 {forged}"
            for row in sdp.splitlines()
        ]
        await client.accept(await our.exchange("\r\n".join(rows) + "\r\n"))
        with anyio.fail_after(5):
            await our.over.wait()
        assert our.established == [False]
        await client.peer.close()


async def test_connections_on_their_way_are_bounded() -> None:
    limits = Limits(check_secs=0.1, unfinished=3)
    async with desk(limits=limits) as our:
        client = Client()
        sdp = await client.offer()
        for _ in range(3):
            await our.exchange(sdp)
        with pytest.raises(ProviderUnavailable, match="too many"):
            await our.exchange(sdp)
        await client.peer.close()


async def test_nothing_can_be_offered_without_an_address() -> None:
    async with desk(addresses=["192.0.2.1"]) as our:
        client = Client()
        with pytest.raises(ProviderUnavailable):
            await our.exchange(await client.offer())
        await client.peer.close()


async def test_peers_that_are_left_say_goodbye_to_all() -> None:
    async with desk() as our:
        client = Client()
        await client.connect(our.exchange)
        await client.opened.wait()
        await client.until(lambda: bool(our.established))
        waiting = Client()
        await our.exchange(await waiting.offer())
        our.tasks.cancel_scope.cancel()
    await client.until(lambda: client.peer.connectionState == "closed")
    await client.peer.close()
    await waiting.peer.close()


def held() -> dict[str, Any]:
    gc.collect()
    return {
        "tasks": len(asyncio.all_tasks()),
        # The clients code in the loop's pool, which grows up to its size; ours must not be in it.
        "threads": sum(not it.name.startswith("asyncio_") for it in threading.enumerate()),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "connections": sum(isinstance(it, Connection) for it in gc.get_objects()),
    }


async def test_fifty_calls_leave_nothing_behind() -> None:
    async with desk() as our:
        async with calling(our.exchange) as client:  # whatever is made once is made now
            await client.until(lambda: len(our.sound()) > 0)
            await our.transport.close("", "")
        before = await settled(our, {"connections": 0})
        for number in range(50):
            async with calling(our.exchange, video=number % 2 == 0) as client:
                await client.until(lambda calls=number + 2: len(our.established) == calls)
                if number % 3:
                    await our.transport.close("", "")
            our.forget()
        assert await settled(our, before) == before


async def settled(our: Desk, expected: dict[str, int]) -> dict[str, int]:
    """What is held when goodbyes have run their course, of which nothing tells."""
    with anyio.move_on_after(8):
        while not expected.items() <= held().items():
            await anyio.sleep(0.1)
            our.forget()
    return held()
