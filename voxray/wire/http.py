"""One streamed HTTP exchange with a vendor."""

from __future__ import annotations

import json as jsons
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx

from voxray.errors import ProviderError, ProviderProtocolError, ProviderUnavailable
from voxray.wire.status import from_status

CONNECT_SECS = 5.0
WRITE_SECS = 10.0
ERROR_BODY_BYTES = 64 * 1024  # of a refusal's body that is read, to quote from
ERROR_BODY_SECS = 2.0
ANSWER_BYTES = 256 * 1024  # of an answer that is read as a whole
ANSWER_SECS = 10.0


@asynccontextmanager
async def stream(
    client: httpx.AsyncClient,
    provider: str,
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
    hidden: Iterable[str] = (),
) -> AsyncIterator[httpx.Response]:
    """Send one request and yield its response once the status is known to be good; leaving closes it at once.

    The head and the first byte of the body must come within `first_byte_secs`, connecting included, later pieces
    within `idle_secs` of the piece before. `hidden` are secrets that errors must not quote.

    Raises:
        ProviderError: on entering and while the body is read. Refused by status, timed out, reset, cut short.
    """
    deadline = anyio.current_time() + first_byte_secs
    timeout = httpx.Timeout(None, connect=CONNECT_SECS, write=WRITE_SECS, pool=CONNECT_SECS)
    request = client.build_request(
        method,
        url,
        json=json,
        content=content,
        files=files,
        data=dict(data) if data else None,
        headers=headers,
        timeout=timeout,
    )
    try:
        with anyio.fail_after(first_byte_secs):
            response = await client.send(request, stream=True)
    except TimeoutError as error:
        raise ProviderUnavailable(provider, f"no answer within {first_byte_secs:g} s") from error
    except httpx.HTTPError as error:
        raise transport_error(provider, error) from error
    try:
        if not response.is_success:
            raise from_status(
                provider, response.status_code, await _error_body(response), response.headers, hidden=hidden
            )
        response.stream = _Watched(response.stream, provider, deadline, idle_secs)
        yield response
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(1):
            await response.aclose()


async def read_json(response: httpx.Response, provider: str, *, secs: float = ANSWER_SECS) -> Any:
    """A whole answer of at most 256 KiB, within `secs`; nothing is an empty object. Raises ProviderError."""
    answer = bytearray()
    try:
        with anyio.fail_after(secs):
            async for piece in response.aiter_bytes():
                answer += piece
                if len(answer) > ANSWER_BYTES:
                    raise ProviderProtocolError(provider, f"answered more than {ANSWER_BYTES} bytes")
    except TimeoutError:
        raise ProviderUnavailable(provider, f"did not end its answer within {secs:g} s") from None
    try:
        return jsons.loads(answer) if answer.strip() else {}
    except (ValueError, RecursionError):
        raise ProviderProtocolError(provider, "answered something else than JSON") from None


def transport_error(provider: str, error: Exception) -> ProviderError:
    """The ProviderError for an exception of httpx (or its successor, which uses the same names)."""
    kind = type(error).__name__
    if kind in ("DecodingError", "TooManyRedirects"):
        return ProviderProtocolError(provider, f"answer cannot be read ({kind})")
    if "Timeout" in kind:
        return ProviderUnavailable(provider, f"timed out ({kind})")
    if kind == "ConnectError":
        return ProviderUnavailable(provider, "cannot connect; check base_url and the network")
    return ProviderUnavailable(provider, f"connection lost ({kind})")


async def _error_body(response: httpx.Response) -> str:
    body = b""
    try:
        with anyio.move_on_after(ERROR_BODY_SECS):
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) >= ERROR_BODY_BYTES:
                    break
    except httpx.HTTPError:
        pass  # the status alone says enough
    return body[:ERROR_BODY_BYTES].decode("utf-8", "replace")


class _Watched(httpx.AsyncByteStream):
    """A response body under a first-byte deadline and an idle limit."""

    def __init__(self, inner: Any, provider: str, deadline: float, idle_secs: float) -> None:
        self._inner = inner
        self._provider = provider
        self._deadline = deadline
        self._idle_secs = idle_secs

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = aiter(self._inner)
        wait = self._deadline - anyio.current_time()
        while True:
            try:
                with anyio.fail_after(max(0.0, wait)):
                    piece = await anext(pieces)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise ProviderUnavailable(self._provider, "stopped in the middle of its answer") from error
            except httpx.HTTPError as error:
                raise transport_error(self._provider, error) from error
            yield piece
            wait = self._idle_secs

    async def aclose(self) -> None:
        await self._inner.aclose()
