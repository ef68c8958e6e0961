"""The ASGI application: a function of the runtime, so that tests build it with a fake one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from starlette.routing import BaseRoute, Route, Router, WebSocketRoute

from voxray.builtin.memory_store import MemoryStore
from voxray.server.arrivals import Arrivals
from voxray.server.envelope import ASGIApp, ErrorCode, Receive, Refusal, Scope, Send, refuse
from voxray.server.guard import BODY_SECS, Gate, Guarded, is_loopback
from voxray.server.middleware import Observed, Recovery, RequestIds
from voxray.server.offers import Offers
from voxray.server.openapi import make_document
from voxray.server.routes.console import console_endpoints
from voxray.server.routes.docs import docs_endpoints
from voxray.server.routes.endpoint import PREFIX, Endpoint
from voxray.server.routes.foreign import listener_docs, socket_endpoints
from voxray.server.routes.health import health, ready
from voxray.server.routes.metrics import metrics_endpoint
from voxray.server.routes.offers import offer_endpoints
from voxray.server.routes.rooms import dial_in_endpoints
from voxray.server.routes.sessions import SOCKET, Ways, start_endpoint
from voxray.server.runtime import Runtime
from voxray.server.sessions import Sessions
from voxray.server.telephony.address import public_origin
from voxray.server.telephony.lines import SOCKET_PATH
from voxray.server.telephony.routes import phone_endpoints
from voxray.server.telephony.socket import MediaSocket
from voxray.specs import SerializerSpec


def create_app(
    runtime: Runtime,
    *,
    about: Mapping[str, Any] | None = None,
    extra: Sequence[Endpoint] = (),
    body_secs: float = BODY_SECS,
) -> ASGIApp:
    """All routes of `runtime`'s server, inside recovery, metrics and request ids. `about` is what the console says of
    the agent: title, heading, text, sayings. `extra` adds endpoints; `body_secs` is the time for a request's body."""
    settings = runtime.settings
    gate = Gate(
        api_key=settings.server_api_key,
        origins=settings.cors_allowed_origins,
        loopback=is_loopback(settings.host),
        max_body_bytes=settings.max_request_body_bytes,
        body_secs=body_secs,
        refusal=runtime.calls.refusal,
    )
    origin = partial(public_origin, proxy_host=settings.proxy_host, trusted_proxies=settings.telephony.trusted_proxies)
    sessions = Sessions(runtime.session_store or MemoryStore(), ttl_secs=settings.session_ttl_secs)
    arrivals = Arrivals(runtime.calls, runtime.tasks, sessions) if runtime.tasks else None
    listening = [route for listener in runtime.listeners for route in listener.routes(runtime.calls.answer)]
    described = listener_docs(listening)  # before the gate takes their methods away
    ways = _ways(runtime, listening, origin, arrivals)
    console = console_endpoints(_told(runtime, ways, about or {})) if settings.console else []
    endpoints = [
        health(),
        ready(runtime.session_store.ping if runtime.session_store else None, lambda: runtime.calls.draining),
        metrics_endpoint(runtime.metrics),
        start_endpoint(sessions, ways),
        *extra,
    ]
    if runtime.peers is not None and arrivals is not None:
        endpoints += offer_endpoints(Offers(runtime.peers, arrivals, sessions))
    if settings.dialin and arrivals is not None:
        secret = settings.daily_dialin_webhook_secret
        endpoints += dial_in_endpoints(runtime.rooms, arrivals, secret=secret)
    if runtime.lines is not None:
        # Carriers call at `/`, too: their route shows the page to everybody else.
        index = console.pop(0).handlers["GET"] if console else None
        endpoints += phone_endpoints(runtime.lines, settings.proxy_host, settings.telephony.trusted_proxies, index)
    endpoints += console
    endpoints += socket_endpoints(listening, media=SOCKET_PATH if runtime.lines else "")
    endpoints += docs_endpoints(lambda: make_document([*endpoints, *described]))
    routes = [route for endpoint in endpoints for route in _routes(endpoint, gate)]
    routes += [_guarded(route, gate, sessions) for route in listening]
    if runtime.lines is not None:
        media = MediaSocket(runtime.lines, runtime.calls.answer, origin, idle_secs=settings.ws_idle_timeout_secs)
        routes.append(WebSocketRoute(SOCKET_PATH, Guarded(media, gate, name="telephony_ws", call=True)))
    router = Router(routes, redirect_slashes=False, default=_not_found)
    return RequestIds(Observed(Recovery(router), runtime.metrics))


def _routes(endpoint: Endpoint, gate: Gate) -> list[BaseRoute]:
    paths = [path for path in (endpoint.path, PREFIX + endpoint.versioned if endpoint.versioned else "") if path]
    app = Guarded(
        endpoint.app(),
        gate,
        name=endpoint.name,
        methods=endpoint.methods,
        keyed=endpoint.keyed,
        cors=endpoint.cors,
        plain_errors=endpoint.plain_errors,
    )
    return [Route(path, app, name=endpoint.name) for path in paths]


def _ways(
    runtime: Runtime,
    listening: Sequence[BaseRoute],
    origin: Callable[[Scope], tuple[str, str]],
    arrivals: Arrivals | None,
) -> Ways:
    specs = runtime.registry.specs(SerializerSpec) if runtime.registry else []
    return Ways(
        origin=origin,
        socket=any(isinstance(route, WebSocketRoute) and route.path == SOCKET for route in listening),
        formats=frozenset({"", *(spec.query for spec in specs)}),
        ice_servers=runtime.settings.ice_servers,
        lines=runtime.lines,
        rooms={rooms.name: rooms for rooms in runtime.rooms},
        arrivals=arrivals,
    )


def _told(runtime: Runtime, ways: Ways, about: Mapping[str, Any]) -> dict[str, Any]:
    """What the console is told of this server. WebRTC needs peers, and somebody to look after their calls."""
    offered = {"websocket": ways.socket, "webrtc": runtime.peers is not None and ways.arrivals is not None}
    transports = [name for name, is_on in offered.items() if is_on]
    return {**about, "transports": transports, "key": bool(runtime.settings.server_api_key)}


def _guarded(route: BaseRoute, gate: Gate, sessions: Sessions) -> BaseRoute:
    """A listener's route behind the gate: it needs the key or a token, and a call's socket needs admission."""
    if isinstance(route, WebSocketRoute):
        route.app = Guarded(route.app, gate, name=route.name, keyed=True, call=True, redeem=sessions.redeem)
    elif isinstance(route, Route):
        route.app = Guarded(route.app, gate, name=route.name, methods=route.methods, keyed=True, cors=True)
        route.methods = set()  # the gate answers wrong methods, in our envelope
    return route


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    await refuse(scope, receive, send, Refusal(ErrorCode.NOT_FOUND, "Not found"))
