"""Websockets to vendors, over `websockets`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
from websockets.asyncio.client import ClientConnection, connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from voxray.errors import ProviderError, ProviderProtocolError, ProviderRefused, ProviderUnavailable
from voxray.wire.status import excerpt, from_status

HANDSHAKE_SECS = 10.0
CLOSE_SECS = 1.0
MAX_MESSAGE_BYTES = 16 * 1024 * 1024  # base64 audio can exceed the library's 1 MiB


@asynccontextmanager
async def connect(
    provider: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    max_size: int = MAX_MESSAGE_BYTES,
    handshake_secs: float = HANDSHAKE_SECS,
    hidden: Iterable[str] = (),
) -> AsyncIterator[ClientConnection]:
    """An open websocket; leaving the block closes it.

    Raises:
        ProviderError: on entering, for every way in which a handshake can fail. Later closes are
            `websockets.ConnectionClosed`; see `closed`.
    """
    try:
        with anyio.fail_after(handshake_secs):
            socket = await open_socket(
                url,
                additional_headers=dict(headers or {}),
                max_size=max_size,
                open_timeout=None,
                close_timeout=CLOSE_SECS,
                compression=None,
            )
    except InvalidStatus as error:
        answer = error.response
        body = (answer.body or b"").decode("utf-8", "replace")
        raise from_status(
            provider, answer.status_code, body, dict(answer.headers.raw_items()), hidden=hidden
        ) from error
    except TimeoutError as error:
        raise ProviderUnavailable(provider, f"no websocket within {handshake_secs:g} s") from error
    except InvalidURI as error:
        raise ProviderRefused(provider, "not a websocket address; check base_url") from error
    except InvalidHandshake as error:
        raise ProviderProtocolError(provider, f"handshake not understood ({type(error).__name__})") from error
    except (OSError, EOFError) as error:
        raise ProviderUnavailable(provider, "cannot connect; check base_url and the network") from error
    try:
        yield socket
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_SECS):
            await socket.close()


def closed(provider: str, error: ConnectionClosed, *, hidden: Iterable[str] = ()) -> ProviderError:
    """The ProviderError for a connection that closed when it should not have. 1008 is policy: refused."""
    frame = error.rcvd
    code = frame.code if frame else 1006
    reason = excerpt(frame.reason, hidden) if frame else ""
    text = f"closed the connection with {code}" + (f": {reason}" if reason else "")
    if code == 1008:
        return ProviderRefused(provider, text, status=code)
    if code in (1002, 1003, 1007, 1009):
        return ProviderProtocolError(provider, text, status=code)
    return ProviderUnavailable(provider, text, status=code)


def message(provider: str, raw: str | bytes) -> dict[str, Any]:
    """A JSON object from the wire. Raises ProviderProtocolError for anything else."""
    try:
        parsed = json.loads(raw)
    except ValueError as error:
        raise ProviderProtocolError(provider, "sent a message that is not JSON") from error
    if not isinstance(parsed, dict):
        raise ProviderProtocolError(provider, "sent a message that is no JSON object")
    return parsed


def socket_url(base_url: str) -> str:
    """The websocket twin of an HTTP address: https→wss, http→ws, same host and path."""
    for plain, twin in (("https://", "wss://"), ("http://", "ws://")):
        if base_url.lower().startswith(plain):
            return twin + base_url[len(plain) :]
    return base_url
