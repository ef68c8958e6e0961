"""Error bodies of the OpenAI simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voxray.testing.http_server import Exchange


def error_body(message: str, code: str, kind: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "code": code, "param": None}}


def refuse(exchange: Exchange, status: int, message: str, code: str) -> None:
    """Answer that the request is at fault."""
    exchange.json(status, error_body(message, code, "invalid_request_error"))
