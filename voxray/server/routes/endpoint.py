"""A route of the core: what answers it, who may ask, and what the API document says of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from voxray.server.envelope import ASGIApp, Receive, Scope, Send

PREFIX = "/api/v1"

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


Told = str | Mapping[str, Any]
"""A parameter: its description, or all that OpenAPI 2.0 knows of it. A string that may be left out, unless it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doc:
    """One operation for people: `request` is the JSON Schema of the body, `responses` maps a status to its meaning and
    the schema of `data` (None: no JSON body; for errors: the usual envelope).

    What every route may answer is added by itself: 401 where a key is needed, 400 and 408 where there is a body, 500.
    """

    summary: str
    tags: tuple[str, ...]
    description: str = ""
    request: Mapping[str, Any] | None = None
    consumes: tuple[str, ...] = ("application/json",)
    path: Mapping[str, Told] = field(default_factory=dict)  # by the parameter's name
    query: Mapping[str, Told] = field(default_factory=dict)
    headers: Mapping[str, Told] = field(default_factory=dict)
    form: Mapping[str, Told] = field(default_factory=dict)  # fields of a form, where the body is one
    responses: Mapping[int, tuple[str, Mapping[str, Any] | None]] = field(default_factory=dict)
    produces: str | tuple[str, ...] = "application/json"
    enveloped: bool = True  # False: the answer is `data` itself
    merged: bool = False  # the fields of `data` stand at the top as well
    operation: Mapping[str, Any] = field(default_factory=dict)  # further parts, as OpenAPI 2.0 has them


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """`path` is the plain path; `versioned` its twin below /api/v1, "" if it has none. `handlers` by method."""

    name: str  # the metrics' label
    path: str
    handlers: Mapping[str, Handler]
    docs: Mapping[str, Doc]
    versioned: str = ""
    keyed: bool = False
    cors: bool = False
    plain_errors: bool = False  # `info` and `detail` beside `error`, which RTVI clients show

    @property
    def methods(self) -> frozenset[str]:
        """Those it answers; HEAD comes with GET."""
        return frozenset({*self.handlers, *({"HEAD"} if "GET" in self.handlers else ())})

    def app(self) -> ASGIApp:
        async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
            method = "GET" if scope["method"] == "HEAD" else scope["method"]
            await self.handlers[method](scope, receive, send)

        return dispatch


def optional(properties: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Fields of a body that may be null, which is as good as left out."""
    return {name: _nullable(schema) for name, schema in properties.items()}


def _nullable(schema: Mapping[str, Any]) -> dict[str, Any]:
    values = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, **values, "x-nullable": True}
