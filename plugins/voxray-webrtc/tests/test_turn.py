"""A call that only a TURN server brings about: coturn, on this machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.webrtc_client import calling, tone
from tests.webrtc_desk import desk
from voxray.audio.format import PCM_16K
from voxray.audio.tone import tone as our_tone

pytestmark = pytest.mark.anyio

USER, PASSWORD = "voxray", "relayed"


@pytest.fixture
def turn(tmp_path: Path) -> Iterator[str]:
    """The address of a TURN server that wants a name and a password."""
    program = shutil.which("turnserver")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("coturn is needed: apt-get install coturn")
        pytest.skip("coturn is not installed")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", f"--listening-port={port}", "--allow-loopback-peers"]
    options += ["--lt-cred-mech", f"--user={USER}:{PASSWORD}", "--realm=voxray", "--no-tls", "--no-dtls", "--no-cli"]
    options += ["--log-file=stdout", f"--pidfile={tmp_path / 'pid'}", f"--userdb={tmp_path / 'users'}", "-v"]
    command = [program, "-n", *options]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout is not None
        try:
            for line in server.stdout:
                if "UDP listener opened on" in line:
                    break
            yield f"turn:127.0.0.1:{port}?transport=udp"
        finally:
            server.terminate()
            server.communicate(timeout=10)


async def test_a_call_goes_over_a_relay_with_a_name_and_a_password(turn: str) -> None:
    servers = [{"urls": [turn], "username": USER, "credential": PASSWORD}]
    # We are at an IPv6 address only and the client at one of IPv4: they cannot meet but at the relay.
    listening = {"ice_servers": servers}
    async with desk(listening=listening, addresses=["::1"]) as our, calling(our.exchange) as client:
        client.microphone.say(tone(440, 0.5))
        await client.until(lambda: len(our.sound()) > PCM_16K.size(0.5))
        our.voice.say(our_tone([500], 0.5, 24_000))
        await client.until(lambda: len(client.sound) > 20)
        (pair,) = client.ice._nominated.values()
        assert pair.remote_candidate.type == "relay"


async def test_a_wrong_password_costs_the_relay_and_nothing_else(turn: str, caplog: pytest.LogCaptureFixture) -> None:
    servers = [{"urls": [turn], "username": USER, "credential": "wrong-password"}]
    async with desk(listening={"ice_servers": servers}) as our, calling(our.exchange) as client:
        await client.until(lambda: bool(our.established))
        assert " typ relay " not in our.accepted[0].sdp
    assert "wrong-password" not in caplog.text
