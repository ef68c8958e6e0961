"""The API's documents are valid, complete, and tell what really happens."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx
import pytest
from jsonschema import Draft4Validator
from openapi_spec_validator import OpenAPIV2SpecValidator
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, Router, WebSocketRoute

from tests.server.everything import KEY, everything
from tests.server.serving import Served, serving
from voxray.config.settings import Settings
from voxray.registry import Registry, make
from voxray.server.app import create_app
from voxray.server.runtime import ListenerContext
from voxray.specs import PeersSpec, SerializerSpec

pytestmark = pytest.mark.anyio


async def listed(request: Request) -> PlainTextResponse:
    """Names of the rooms

    In the order in which they were made.
    ---
    {"parameters": [{"name": "limit", "in": "query", "type": "integer"}],
     "produces": ["text/plain"],
     "responses": {"200": {"description": "One name a line"}}}
    """
    return PlainTextResponse(request.path_params["floor"])


async def untold(request: Request) -> PlainTextResponse:
    return PlainTextResponse("made")


async def slipped(request: Request) -> PlainTextResponse:
    """What is below is no JSON
    ---
    {"responses": {[
    """
    return PlainTextResponse("made")


async def talked(socket: Any) -> None:
    await socket.close()


class Rooms:
    """A plugin's listener with HTTP routes beside its socket."""

    def routes(self, answer: Callable[..., Awaitable[None]]) -> Sequence[Any]:
        return [
            Route("/rooms/{floor:path}", listed, methods=["GET"]),
            Route("/rooms", untold, methods=["POST", "DELETE"]),
            Route("/slipped", slipped),
            WebSocketRoute("/rooms/talk", talked, name="rooms"),
        ]


async def documents(server: Served) -> tuple[dict[str, Any], dict[str, Any]]:
    """The one below /api/v1, and that of paths without a version."""
    versioned = (await server.http.get("/swagger/doc.json")).json()
    return versioned, (await server.http.get("/swagger/unversioned.json")).json()


async def test_both_documents_are_valid() -> None:
    async with serving(listeners=[Rooms()]) as server:
        made = await documents(server)
    assert [document["basePath"] for document in made] == ["/api/v1", "/"]
    for document in made:
        assert list(OpenAPIV2SpecValidator(document).iter_errors()) == []


async def test_the_documents_tell_every_route() -> None:
    async with everything() as server:
        versioned, plain = await documents(server)
        app: Any = create_app(server.runtime)
        while not isinstance(app, Router):
            app = app._app
    told = {f"/api/v1{path}" for path in versioned["paths"]} | set(plain["paths"])
    served = {re.sub(r":\w+\}", "}", route.path) for route in app.routes}
    assert told <= served
    files = {path for path in served if path.startswith(("/console/", "/client/"))}  # of a page that is told
    assert served - told == files
    assert {
        "/",
        "/telephony/ws",
        "/telephony/telnyx",
        "/daily-dialin-webhook",
        "/api/v1/sessions/{session_id}/offer",
    } <= told


async def test_both_documents_of_a_whole_server_are_valid() -> None:
    async with everything() as server:
        made = await documents(server)
    for document in made:
        assert list(OpenAPIV2SpecValidator(document).iter_errors()) == []


async def test_examples_of_bodies_work() -> None:
    tried = {}
    secrets = {"telnyx": {"api_key": "KEY1"}}
    async with everything(secrets=secrets, options={"telnyx": {"connection_id": "1"}}) as server:
        session_id = (await server.http.post("/start", headers={"X-API-Key": KEY})).json()["sessionId"]
        for document in await documents(server):
            for path, item in document["paths"].items():
                for parameter in item.get("post", {}).get("parameters", ()):
                    if "example" in parameter.get("schema", {}):
                        url = document["basePath"].rstrip("/") + path.format(session_id=session_id)
                        body = parameter["schema"]["example"]
                        if url == "/api/v1/calls":
                            body = {**body, "carrier": "telnyx"}  # of these, the one with credentials
                        answer = await server.http.post(url, json=body, headers={"X-API-Key": KEY})
                        schema = item["post"]["responses"][str(answer.status_code)]["schema"]
                        Draft4Validator({**document, **schema}).validate(answer.json())
                        tried[url.replace(session_id, "ID")] = answer.status_code
    assert tried == {
        "/api/v1/start": 201,
        "/api/v1/webrtc/offer": 200,
        "/api/v1/sessions/ID/offer": 200,
        "/api/v1/calls": 201,
        "/start": 201,
        "/webrtc/offer": 200,
        "/api/offer": 200,
        "/sessions/ID/api/offer": 200,
        "/daily-dialin-webhook": 200,
    }


async def test_the_example_of_an_offer_is_one_that_webrtc_takes() -> None:
    registry = Registry.load(only=["webrtc"])
    async with httpx.AsyncClient() as http:
        context = ListenerContext("webrtc", Settings(), registry.specs(SerializerSpec), http=http)
        peers = make(registry.get(PeersSpec, "webrtc"), context, {"addresses": ["127.0.0.1"]})
        async with peers, serving(peers=peers) as server:
            post = (await documents(server))[0]["paths"]["/webrtc/offer"]["post"]
            answer = await server.http.post("/webrtc/offer", json=post["parameters"][-1]["schema"]["example"])
    assert answer.status_code == 200, answer.text
    assert "a=ice-ufrag" in answer.json()["answer"]


async def test_names_of_operations_are_unique() -> None:
    async with serving() as server:
        versioned, plain = await documents(server)
    items = [*versioned["paths"].values(), *plain["paths"].values()]
    names = [operation["operationId"] for item in items for operation in item.values()]
    assert len(names) == len(set(names))


async def test_listeners_routes_are_told_by_their_docstrings() -> None:
    async with serving(listeners=[Rooms()]) as server:
        paths = (await documents(server))[1]["paths"]
        answer = await server.http.get("/rooms/attic")
    assert answer.text == "attic"
    told = paths["/rooms/{floor}"]["get"]
    assert (told["summary"], told["description"]) == ("Names of the rooms", "In the order in which they were made.")
    assert told["produces"] == ["text/plain"]
    assert [it.get("name") for it in told["parameters"]] == [None, "floor", "limit"]
    assert told["responses"]["200"] == {"description": "One name a line"}
    assert {"401", "500"} < set(told["responses"])
    assert set(paths["/rooms"]) == {"post", "delete", "options"}
    assert "default" in paths["/rooms"]["post"]["responses"]
    assert paths["/slipped"]["get"]["summary"] == "What is below is no JSON"
    assert "101" in paths["/rooms/talk"]["get"]["responses"]


async def test_a_path_for_websockets_says_so_to_who_asks_for_none() -> None:
    async with serving() as server:
        got = await server.http.get("/api/v1/ws")
        posted = await server.http.post("/ws")
    assert got.status_code == 426
    assert got.headers["upgrade"] == "websocket"
    assert got.json()["error"]["message"] == "This path is for websockets"
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")
