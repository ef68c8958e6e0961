"""The console's routes: who gets them, with which headers, and that carriers keep their address."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

import voxray
from tests.server.serving import serving
from voxray.protocols.carrier import Carrier
from voxray.registry import Registry, make
from voxray.specs import CarrierSpec
from voxray.wire.context import Context

pytestmark = pytest.mark.anyio


def carrier(name: str, http: httpx.AsyncClient) -> Carrier:
    spec = Registry.load(only=[name]).get(CarrierSpec, name)
    made: Carrier = make(spec, Context(name, http=http, secrets=lambda key: ""), {})
    return made


async def test_every_server_shows_the_console_and_serves_the_client() -> None:
    async with serving(server_api_key="secret") as server:
        page = await server.http.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert page.headers["permissions-policy"] == "microphone=(self), speaker-selection=(self)"
        assert "access-control-allow-origin" not in page.headers
        about = (await server.http.get("/console/agent.json")).json()
        assert about == {"transports": ["websocket"], "key": True, "version": voxray.__version__}
        head = await server.http.head("/console/style.css")
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["content-length"]) > 1000


async def test_pages_of_other_sites_may_import_the_client() -> None:
    async with serving() as server:
        for name in ("index.js", "client.js", "worklets.js"):
            answer = await server.http.get(f"/client/{name}", headers={"origin": "https://example.com"})
            assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
            assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", ["/console/../agent.json", "/console/none.js", "/client/", "/client/package.json"])
async def test_nothing_but_the_files_is_served(path: str) -> None:
    async with serving() as server:
        assert (await server.http.get(path)).status_code == 404


@pytest.mark.parametrize("path", ["/", "/console/app.js", "/console/agent.json", "/client/index.js"])
async def test_the_console_can_be_switched_off(path: str) -> None:
    async with serving(console=False) as server:
        assert (await server.http.get(path)).status_code == 404


@pytest.mark.parametrize("console", [True, False])
async def test_carriers_are_answered_where_the_console_is(console: bool) -> None:
    async with httpx.AsyncClient() as http:
        async with serving(carriers=[carrier("exotel", http)], console=console) as server:
            shown = await server.http.get("/")
            if console:
                assert shown.headers["content-type"] == "text/html; charset=utf-8"
            else:
                assert shown.json()["data"] == {"status": "Bot started with exotel"}
            posted = await server.http.post("/", json={"nobody": "knows"})
            assert posted.status_code == 400
            claimed = await server.http.get("/", params=EXOTEL)
            assert claimed.headers["content-type"] != "text/html; charset=utf-8"
            assert claimed.json()["url"].startswith("ws")
            own = await server.http.get("/telephony/exotel")
            assert own.json()["data"] == {"status": "Bot started with exotel"}


EXOTEL: dict[str, Any] = {"CallSid": "c1", "CallFrom": "+911", "CallTo": "+912", "Direction": "incoming"}
