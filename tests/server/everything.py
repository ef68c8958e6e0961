"""A real server with everything switched on: peers, rooms, every carrier, the console."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx

from tests.server.serving import Served, serving
from tests.server.test_offers import FakePeers
from tests.server.test_rooms import FakeRooms
from voxray.builtin.memory_store import MemoryStore
from voxray.config.settings import TelephonySettings
from voxray.protocols.carrier import Carrier
from voxray.registry import Registry, make
from voxray.specs import CarrierSpec
from voxray.testing.carriers import WIRES, make_wire, new_facts
from voxray.testing.phone_rest import PhoneExchange
from voxray.wire.context import Context

KEY = "the key"


@asynccontextmanager
async def everything(
    *, secrets: Mapping[str, Mapping[str, str]] = {}, options: Mapping[str, Mapping[str, Any]] = {}
) -> AsyncIterator[Served]:
    """Carriers, whose REST APIs are simulated, ask for no signatures unless `secrets` has one for them."""
    registry = Registry.load(only=list(WIRES))
    carriers: list[Carrier] = []
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient())
        for name in WIRES:
            wire = make_wire(name, new_facts(name))
            url = (await stack.enter_async_context(PhoneExchange(wire))).url if hasattr(wire, "rest") else ""
            own = secrets.get(name, {})
            context = Context(name, http=http, secrets=lambda key, own=own: own.get(key, ""), base_url=url)
            carriers.append(make(registry.get(CarrierSpec, name), context, dict(options.get(name, {}))))
        server = serving(
            carriers=carriers,
            peers=FakePeers(),
            rooms=[FakeRooms()],
            dialin=True,
            session_store=MemoryStore(),
            server_api_key=KEY,
            telephony=TelephonySettings(caller_id="+15005550001"),
        )
        yield await stack.enter_async_context(server)
