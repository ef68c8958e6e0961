"""What a provider's factory receives first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection

from voxray.errors import ProviderRefused
from voxray.wire import http as wire_http, socket as wire_socket


class Context:
    """A `ProviderContext`: made by the server for each provider it builds, lives as long as the server.

    `secrets` is called with a secret's key ("api_key") and returns it, "" if it is optional and unset, or raises
    ProviderRefused. `settings` holds what `setting()` answers. `http` belongs to the caller.
    """

    def __init__(
        self,
        name: str,
        *,
        http: httpx.AsyncClient,
        secrets: Callable[[str], str] | None = None,
        base_url: str = "",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.http = http
        self.base_url = base_url.rstrip("/")
        self._secrets = secrets
        self._settings = dict(settings or {})
        self._given: set[str] = set()  # secrets handed out: errors must not quote them

    def __repr__(self) -> str:
        return f"Context({self.name!r})"

    def secret(self, key: str = "api_key") -> str:
        """The secret of this name; "" if it is optional and unset.

        Raises:
            ProviderRefused: it is required and missing; the text says how to set it.
        """
        if self._secrets is None:
            raise ProviderRefused(self.name, f"no {key}; set it in providers.{self.name}.{key} or api_keys.{self.name}")
        value = self._secrets(key)
        if value:
            self._given.add(value)
        return value

    def setting(self, name: str, default: str = "") -> str:
        """A non-secret setting such as a region; `default` if it is unset or empty."""
        return self._settings.get(name) or default

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
        """See `voxray.wire.http.stream`."""
        return wire_http.stream(
            self.http,
            self.name,
            method,
            url,
            json=json,
            content=content,
            files=files,
            data=data,
            headers=headers,
            first_byte_secs=first_byte_secs,
            idle_secs=idle_secs,
            hidden=tuple(self._given),
        )

    def connect(
        self, url: str, *, headers: Mapping[str, str] | None = None, max_size: int = wire_socket.MAX_MESSAGE_BYTES
    ) -> AbstractAsyncContextManager[ClientConnection]:
        """See `voxray.wire.socket.connect`."""
        return wire_socket.connect(self.name, url, headers=headers, max_size=max_size, hidden=tuple(self._given))
