"""Connections to vendors for a whole process, cheap however many there are.

httpcore's pool looks at every connection it has, with a system call each, whenever a request begins or ends; at fifty
calls that was a tenth of the processor. Several small pools in turn cost what a small pool costs.
"""

from __future__ import annotations

from itertools import cycle
from types import TracebackType
from typing import Self
from urllib.request import getproxies

import httpx

POOLS = 16
LIMITS = httpx.Limits(max_connections=1000 // POOLS, max_keepalive_connections=16, keepalive_expiry=60)
TIMEOUT = httpx.Timeout(30, connect=5, pool=2)


class PooledTransport(httpx.AsyncBaseTransport):
    """Sixteen `AsyncHTTPTransport`s, used in turn."""

    def __init__(self) -> None:
        # One TLS context for all: making it reads the certificate store.
        verify = httpx.create_ssl_context()
        self._pools = [httpx.AsyncHTTPTransport(limits=LIMITS, verify=verify) for _ in range(POOLS)]
        self._next = cycle(self._pools)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await next(self._next).handle_async_request(request)

    async def __aenter__(self) -> Self:
        for pool in self._pools:
            await pool.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        for pool in self._pools:
            await pool.__aexit__(kind, error, trace)


def vendor_client() -> httpx.AsyncClient:
    """The HTTP client that all providers of a process share; it obeys HTTPS_PROXY and its kin."""
    if getproxies():
        return httpx.AsyncClient(limits=httpx.Limits(max_connections=1000, keepalive_expiry=60), timeout=TIMEOUT)
    return httpx.AsyncClient(transport=PooledTransport(), timeout=TIMEOUT)
