"""What every provider's factory receives first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import httpx
    from websockets.asyncio.client import ClientConnection

    from voxray.protocols.serializer import Serializer


class ProviderContext(Protocol):
    """Made by the server for each provider it builds; lives as long as the server."""

    name: str  # the provider's name in the configuration
    base_url: str  # from the configuration, the environment or the spec; "" if none was said
    http: httpx.AsyncClient  # pooled, shared by the process

    def secret(self, key: str = "api_key") -> str:
        """The secret of this name. Raises ProviderRefused with the remedy if it is missing."""

    def setting(self, name: str, default: str = "") -> str:
        """A non-secret setting that comes from `api_keys` or the environment, such as a region."""

    def stream(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        files: Any = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        first_byte_secs: float = 10.0,
        idle_secs: float = 20.0,
    ) -> AbstractAsyncContextManager[httpx.Response]:
        """One HTTP exchange with its body streamed. Refusals, network faults and timeouts raise ProviderError."""

    def connect(
        self, url: str, *, headers: Mapping[str, str] | None = None, max_size: int = 16 * 1024 * 1024
    ) -> AbstractAsyncContextManager[ClientConnection]:
        """A websocket, handshake within 10 s. Refusals raise ProviderError."""


class ListenerContext(ProviderContext, Protocol):
    """What a listener's factory receives: besides the rest, how its sockets are to behave."""

    idle_secs: float  # nothing from the client for so long ends the call
    write_coalesce_ms: float
    write_coalesce_max_frames: int
    ice_servers: Sequence[Mapping[str, Any]]  # as browsers take them: urls (a list), username, credential

    def serializer(self, query: Mapping[str, str]) -> Serializer:
        """A new serializer for a connection whose address had this query. What it raises for a format that is not
        installed is the server's to answer: let it pass, before accepting."""
