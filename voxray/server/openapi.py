"""The API's document, OpenAPI 2.0, made from the routes themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from voxray import __version__
from voxray.server.openapi_parts import (
    DEFINITIONS,
    GENERAL,
    INTRODUCTION,
    MORE_HEADERS,
    OPTIONS_HEADERS,
    PARAMETERS,
    REQUEST_ID,
    SECURITY,
    TAGS,
)
from voxray.server.routes.endpoint import PREFIX, Doc, Endpoint, Told

JSON = "application/json"
PLAIN_PATHS = "x-unversioned-paths"
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


def make_document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Paths below /api/v1 in `paths`; those without a version, which 2.0 cannot express beside a base path, in
    `x-unversioned-paths` with the same content."""
    versioned: dict[str, Any] = {}
    plain: dict[str, Any] = {}
    for endpoint in endpoints:
        if endpoint.versioned and endpoint.docs:
            versioned[plain_braces(endpoint.versioned)] = _operations(endpoint, endpoint.versioned, "")
        if endpoint.path and endpoint.docs:
            suffix = "Plain" if endpoint.versioned else ""
            plain[plain_braces(endpoint.path)] = _operations(endpoint, endpoint.path, suffix)
    return {
        "swagger": "2.0",
        "info": {
            "title": "Voxray",
            "version": __version__,
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0"},
        },
        "basePath": PREFIX,
        "tags": TAGS,
        "securityDefinitions": SECURITY,
        "definitions": DEFINITIONS,
        "parameters": PARAMETERS,
        "responses": GENERAL,
        "paths": versioned,
        PLAIN_PATHS: plain,
    }


def unversioned(document: Mapping[str, Any]) -> dict[str, Any]:
    """`make_document`'s paths without a version, as a document of their own."""
    return {
        **{name: part for name, part in document.items() if name != PLAIN_PATHS},
        "basePath": "/",
        "paths": document[PLAIN_PATHS],
    }


def plain_braces(path: str) -> str:
    """A path as documents write it: `{rest:path}` is `{rest}`."""
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", path)


def _operations(endpoint: Endpoint, path: str, suffix: str) -> dict[str, Any]:
    item = {method.lower(): _operation(endpoint, path, method, doc) for method, doc in endpoint.docs.items()}
    if endpoint.cors:
        item["options"] = _preflight(endpoint, path)
    for operation in item.values():
        operation["operationId"] += suffix
    return item


def _operation(endpoint: Endpoint, path: str, method: str, doc: Doc) -> dict[str, Any]:
    takes_body = method in WITH_BODY
    produces = [doc.produces] if isinstance(doc.produces, str) else doc.produces
    operation: dict[str, Any] = {
        "operationId": endpoint.name + method.capitalize(),
        "summary": doc.summary,
        "tags": list(doc.tags),
        # Errors are JSON everywhere, and 2.0 cannot name media types by status.
        "produces": [*produces, *([JSON] if JSON not in produces else [])],
        "parameters": _parameters(path, doc, takes_body),
        "responses": {
            str(status): _response(endpoint, doc, status, told) for status, told in _answers(endpoint, doc, takes_body)
        },
    }
    if doc.description:
        operation["description"] = doc.description
    if takes_body:
        operation["consumes"] = list(doc.consumes)
    if is_socket(doc):
        operation["x-websocket"] = True
    if endpoint.keyed:
        operation["security"] = [{"bearer": []}, {"apiKey": []}, *([{"query": []}] if is_socket(doc) else [])]
    added = dict(doc.operation)
    operation["parameters"] += added.pop("parameters", [])
    operation["responses"] |= added.pop("responses", {})
    return {**operation, **added}


def _answers(endpoint: Endpoint, doc: Doc, takes_body: bool) -> list[tuple[int, tuple[str, Mapping[str, Any] | None]]]:
    """The statuses of an operation in order, with those that nobody writes down each time."""
    found = {500: ("A fault of the server; its log has it", None)}
    if endpoint.keyed:
        found[401] = ("The key is missing or wrong", None)
    if takes_body:
        found[400] = ("The body cannot be read, or is too large", None)
        found[408] = ("The body did not arrive in time", None)
    return sorted({**found, **doc.responses}.items())


def _response(endpoint: Endpoint, doc: Doc, status: int, told: tuple[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    meaning, data = told
    headers = {"X-Request-ID": REQUEST_ID, **MORE_HEADERS.get(status, {})}
    response: dict[str, Any] = {"description": meaning or HTTPStatus(status).phrase, "headers": headers}
    if status >= 400 and data is None:
        response["schema"] = {"$ref": "#/definitions/" + ("PlainError" if endpoint.plain_errors else "Error")}
    elif data is not None and status < 400 and doc.enveloped:
        response["schema"] = _enveloped(data, merged=doc.merged)
    elif data is not None:
        response["schema"] = dict(data)
    return response


def _enveloped(data: Mapping[str, Any], *, merged: bool) -> dict[str, Any]:
    own = {"data": dict(data), "meta": {"$ref": "#/definitions/Meta"}}
    if merged:  # some of these answers are bare
        required = {"required": data["required"]} if "required" in data else {}
        return {"type": "object", **required, "properties": {**data.get("properties", {}), **own}}
    return {"type": "object", "required": ["data", "meta"], "properties": own}


def _parameters(path: str, doc: Doc, takes_body: bool) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [{"$ref": "#/parameters/RequestId"}]
    parameters += _path_parameters(path, doc.path)
    parameters += [_parameter(name, "query", told) for name, told in doc.query.items()]
    parameters += [_parameter(name, "header", told) for name, told in doc.headers.items()]
    if takes_body:
        parameters += [_parameter(name, "formData", told) for name, told in doc.form.items()]
    if doc.request is not None:
        required = bool(doc.request.get("required"))
        parameters.append({"name": "body", "in": "body", "required": required, "schema": dict(doc.request)})
    return parameters


def _path_parameters(path: str, told: Mapping[str, Told]) -> list[dict[str, Any]]:
    names = re.findall(r"\{(\w+)\}", plain_braces(path))
    return [{**_parameter(name, "path", told.get(name, "")), "required": True} for name in names]


def _parameter(name: str, place: str, told: Told) -> dict[str, Any]:
    facts = {"description": told} if isinstance(told, str) else dict(told)
    return {"name": name, "in": place, "type": "string", **{key: value for key, value in facts.items() if value != ""}}


def _preflight(endpoint: Endpoint, path: str) -> dict[str, Any]:
    doc = next(iter(endpoint.docs.values()))
    headers = {"X-Request-ID": REQUEST_ID, **OPTIONS_HEADERS}
    return {
        "operationId": endpoint.name + "Options",
        "summary": "What browsers ask first",
        "description": "Answered without a key. Which origins may read answers is said by `cors_allowed_origins`.",
        "tags": list(doc.tags),
        "parameters": [{"$ref": "#/parameters/RequestId"}, *_path_parameters(path, {})],
        "responses": {"204": {"description": "What is allowed", "headers": headers}},
    }


def is_socket(doc: Doc) -> bool:
    return 101 in doc.responses
