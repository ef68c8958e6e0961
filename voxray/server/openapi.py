"""The API's document, OpenAPI 2.0, made from the routes themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxray import __version__
from voxray.server.envelope import ErrorCode
from voxray.server.routes.endpoint import PREFIX, Doc, Endpoint

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "requestId"],
            "properties": {
                "code": {"type": "string", "enum": [code.name for code in ErrorCode]},
                "message": {"type": "string"},
                "requestId": {"type": "string"},
                "details": {
                    "type": "array",
                    "description": "Validation errors only",
                    "items": {
                        "type": "object",
                        "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
                    },
                },
            },
        },
        "info": {"type": "string", "description": "The message again; POST /start only"},
        "detail": {"type": "string", "description": "The same"},
    },
}
_META = {"type": "object", "properties": {"requestId": {"type": "string"}}}


def make_document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Paths below /api/v1 in `paths`; those without a version, which 2.0 cannot express beside a base path, in
    `x-unversioned-paths` with the same content."""
    versioned: dict[str, Any] = {}
    plain: dict[str, Any] = {}
    for endpoint in endpoints:
        item = {method.lower(): _operation(endpoint, method, doc) for method, doc in endpoint.docs.items()}
        if endpoint.versioned:
            versioned[endpoint.versioned] = item
        if endpoint.path:
            suffix = "Plain" if endpoint.versioned else ""
            plain[endpoint.path] = {
                method: {**operation, "operationId": operation["operationId"] + suffix}
                for method, operation in item.items()
            }
    return {
        "swagger": "2.0",
        "info": {
            "title": "Voxray",
            "version": __version__,
            "description": "Voice agents over HTTP and websockets. Paths without /api/v1 stay for older clients.",
        },
        "basePath": PREFIX,
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "securityDefinitions": {
            "bearer": {"type": "apiKey", "in": "header", "name": "Authorization", "description": "Bearer <key>"},
            "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            "query": {"type": "apiKey", "in": "query", "name": "api_key", "description": "websockets only"},
        },
        "definitions": {"Error": _ERROR, "Meta": _META},
        "paths": versioned,
        "x-unversioned-paths": plain,
    }


def _operation(endpoint: Endpoint, method: str, doc: Doc) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name + method.capitalize(),
        "summary": doc.summary,
        "tags": list(doc.tags),
        "produces": [doc.produces],
        "parameters": _parameters(endpoint, doc),
        "responses": {
            str(status): _response(status, *meaning, merged=doc.merged) for status, meaning in doc.responses.items()
        },
    }
    if doc.description:
        operation["description"] = doc.description
    if endpoint.keyed:
        operation["security"] = [{"bearer": []}, {"apiKey": []}, *([{"query": []}] if _is_socket(doc) else [])]
        operation["responses"].setdefault("401", _response(401, "Key missing or wrong", None))
    return operation


def _parameters(endpoint: Endpoint, doc: Doc) -> list[dict[str, Any]]:
    request_id = {"name": "X-Request-ID", "in": "header", "type": "string", "description": "Comes back, and is logged"}
    parameters: list[dict[str, Any]] = [request_id]
    parameters += [
        {"name": part.strip("{}"), "in": "path", "required": True, "type": "string"}
        for part in endpoint.path.split("/")
        if part.startswith("{")
    ]
    parameters += [
        {"name": name, "in": "query", "type": "string", "description": text} for name, text in doc.query.items()
    ]
    parameters += [
        {"name": name, "in": "header", "type": "string", "description": text} for name, text in doc.headers.items()
    ]
    if doc.request is not None:
        parameters.append({"name": "body", "in": "body", "schema": dict(doc.request)})
    return parameters


def _response(status: int, meaning: str, data: Mapping[str, Any] | None, *, merged: bool = False) -> dict[str, Any]:
    response: dict[str, Any] = {"description": meaning}
    if status >= 400:
        response["schema"] = {"$ref": "#/definitions/Error"}
    elif data is not None:
        own = data.get("properties", {}) if merged else {}
        properties = {**own, "data": dict(data), "meta": {"$ref": "#/definitions/Meta"}}
        response["schema"] = {"type": "object", "properties": properties}
    return response


def _is_socket(doc: Doc) -> bool:
    return 101 in doc.responses
