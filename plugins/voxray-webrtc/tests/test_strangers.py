"""Datagrams from those who know a port and nothing else."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable

import anyio
import pytest
from voxray_webrtc.connection import WAITING_DATAGRAMS

from tests.webrtc_client import Client, calling
from tests.webrtc_desk import Desk, desk

pytestmark = pytest.mark.anyio

ODD = [b"", b"\0", b"\x16", b"\x80", b"\xff" * 40, b"\x16" * 1400, b"\x80\xc8" + bytes(30), b"\x90\x60" + bytes(30)]


async def throw(our: Desk, datagrams: Iterable[bytes]) -> None:
    port = our.transport.connection._ice._connection.local_candidates[0].port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for number, data in enumerate(datagrams):
            stranger.sendto(data, ("127.0.0.1", port))
            if number % 32 == 31:
                await anyio.sleep(0.001)  # or the system's buffer overflows


async def test_a_call_goes_on_whatever_strangers_send() -> None:
    chance = random.Random(1)
    async with desk() as our, calling(our.exchange) as client:
        await client.opened.wait()
        await client.until(lambda: bool(our.established))
        await throw(our, ODD + [chance.randbytes(chance.choice([1, 12, 20, 60, 1400])) for _ in range(2000)])
        client.ask("client-ready", {"version": "2.1.0"})
        await client.got("bot-ready")
        before = len(our.sound())
        await client.until(lambda: len(our.sound()) > before + 3000)
        assert our.transport.connection.connected


async def test_a_connection_comes_about_whatever_strangers_send() -> None:
    async with desk() as our:
        client = Client()
        answer = await our.exchange(await client.offer())
        await throw(our, ODD)
        await client.accept(answer)
        with anyio.fail_after(5):
            await client.opened.wait()
        await client.peer.close()


async def test_what_strangers_send_is_not_kept() -> None:
    async with desk() as our:
        client = Client()
        offer = await client.offer()
        await our.exchange("".join(f"{row}\r\n" for row in offer.splitlines() if "candidate" not in row))
        await throw(our, [bytes([first]) * 1400 for first in (22, 40, 100, 128, 200)] * 400)
        assert our.transport.connection._ice._connection._queue.qsize() <= WAITING_DATAGRAMS
        await client.peer.close()
