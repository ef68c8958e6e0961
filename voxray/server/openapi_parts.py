"""The parts of the API's document that all operations share."""

from __future__ import annotations

from typing import Any

from voxray.server.envelope import ErrorCode

INTRODUCTION = (
    "Voice agents over HTTP and websockets.\n\n"
    "Answers are `{data, meta}` or `{error}`; both hold the request's id, which the header `X-Request-ID` repeats. "
    "Where `server_api_key` is set, routes with a lock need it. HEAD is answered wherever GET is. A path that does not "
    "exist is 404, a method that a path does not have 405, with the same envelope. Answers are not to be cached.\n\n"
    "The same routes without `/api/v1` stay for older clients; some have no version at all."
)
TAGS = [
    {"name": "health", "description": "For load balancers"},
    {"name": "calls", "description": "Starting and holding calls"},
    {"name": "telephony", "description": "Telephone carriers"},
    {"name": "plugins", "description": "What plugins serve"},
    {"name": "operations", "description": "Watching the server, and this document"},
]
SECURITY = {
    "bearer": {"type": "apiKey", "in": "header", "name": "Authorization", "description": "Bearer <key>"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "query": {"type": "apiKey", "in": "query", "name": "api_key", "description": "websockets only"},
}
PARAMETERS = {
    "RequestId": {
        "name": "X-Request-ID",
        "in": "header",
        "type": "string",
        "description": "Comes back, and is logged. At most 128 printable ASCII characters; without it the server makes "
        "one.",
    }
}

_DETAIL = {
    "type": "object",
    "required": ["field", "message"],
    "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
}
_ERROR = {
    "type": "object",
    "required": ["code", "message", "requestId"],
    "properties": {
        "code": {"type": "string", "enum": [code.name for code in ErrorCode]},
        "message": {"type": "string"},
        "requestId": {"type": "string"},
        "details": {"type": "array", "description": "What is wrong, field by field", "items": _DETAIL},
    },
}
DEFINITIONS: dict[str, Any] = {
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {"error": _ERROR},
        "example": {
            "error": {
                "code": "BAD_REQUEST",
                "message": "Invalid JSON",
                "requestId": "0f5d7a5e-8f2c-4b52-9d3f-6f1f4b7b9c11",
            }
        },
    },
    "PlainError": {
        "description": "With its message at the top as well, where RTVI clients look",
        "type": "object",
        "required": ["error", "info", "detail"],
        "properties": {"error": _ERROR, "info": {"type": "string"}, "detail": {"type": "string"}},
    },
    "Meta": {"type": "object", "required": ["requestId"], "properties": {"requestId": {"type": "string"}}},
}

REQUEST_ID = {"type": "string", "description": "The request's id"}
MORE_HEADERS: dict[int, dict[str, Any]] = {
    308: {"Location": {"type": "string"}},
    401: {"WWW-Authenticate": {"type": "string", "description": "Bearer"}},
    405: {"Allow": {"type": "string", "description": "The methods of this path"}},
    426: {"Upgrade": {"type": "string", "description": "websocket"}},
    503: {"Retry-After": {"type": "string", "description": "Seconds to wait, where that is known"}},
}
OPTIONS_HEADERS = {
    "Access-Control-Allow-Origin": {"type": "string", "description": "The origin, if it may read answers"},
    "Access-Control-Allow-Methods": {"type": "string"},
    "Access-Control-Allow-Headers": {"type": "string"},
    "Vary": {"type": "string"},
}
# Answers of paths and methods that have no operation.
GENERAL = {
    "NotFound": {
        "description": "There is no such path",
        "headers": {"X-Request-ID": REQUEST_ID},
        "schema": {"$ref": "#/definitions/Error"},
    },
    "MethodNotAllowed": {
        "description": "The path has no such method",
        "headers": {"X-Request-ID": REQUEST_ID, **MORE_HEADERS[405]},
        "schema": {"$ref": "#/definitions/Error"},
    },
}
