"""The public address of a request: what the carrier asked for, whatever proxies stand between."""

from __future__ import annotations

from collections.abc import Collection

from voxray.server.envelope import Scope
from voxray.server.guard import header


def public_origin(scope: Scope, proxy_host: str, trusted_proxies: Collection[str]) -> tuple[str, str]:
    """Scheme ("http" or "https") and host (with port, if any) under which the world reaches this server.

    `proxy_host` wins, and means TLS. Else `X-Forwarded-Proto` and `X-Forwarded-Host`, if the peer is one of
    `trusted_proxies` ("*": every peer); else what the request itself says.
    """
    if proxy_host:
        return "https", proxy_host
    secure = scope["scheme"] in ("https", "wss")
    host = header(scope, b"host")
    client = scope.get("client")
    if "*" in trusted_proxies or (client and client[0] in trusted_proxies):
        forwarded = header(scope, b"x-forwarded-proto").split(",")[0].strip().lower()
        secure = forwarded in ("https", "wss") if forwarded else secure
        host = header(scope, b"x-forwarded-host").split(",")[0].strip() or host
    return ("https" if secure else "http"), host


def public_url(scope: Scope, origin: tuple[str, str]) -> str:
    """The address that was asked for, query included; `wss://` for a websocket."""
    scheme, host = origin
    if scope["type"] == "websocket":
        scheme = {"http": "ws", "https": "wss"}[scheme]
    path = scope.get("raw_path", scope["path"].encode()).split(b"?")[0].decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    return f"{scheme}://{host}{path}" + (f"?{query}" if query else "")
