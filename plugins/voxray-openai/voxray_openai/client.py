"""The `openai` SDK, as every part of this package uses it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import openai

from voxray.errors import ProviderError, ProviderProtocolError, ProviderRefused, ProviderUnavailable
from voxray.protocols.context import ProviderContext
from voxray.wire.http import transport_error
from voxray.wire.status import excerpt, from_status, sdk_transport_errors

CONNECT_SECS = 5.0
_TRANSPORT_ERRORS = sdk_transport_errors()


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `first`: from the request to the first payload; `idle`: between pieces; `total`: a whole upload."""

    first: float = 10.0
    idle: float = 20.0
    total: float = 30.0


def make_client(context: ProviderContext) -> openai.AsyncOpenAI:
    """One client for the life of the server, on the process's connection pool.

    The SDK retries nothing, and its own read timeout is off: this package measures to the first payload itself. What
    the SDK would read from the environment (organisation, project) is left out: other vendors get these requests too.
    """
    options: dict[str, Any] = {  # untyped: the SDK takes either httpx, its annotations name the newer
        "http_client": context.http,
        "timeout": httpx.Timeout(None, connect=CONNECT_SECS, pool=CONNECT_SECS),
        "default_headers": {"OpenAI-Organization": openai.Omit(), "OpenAI-Project": openai.Omit()},
    }
    key = context.secret() or context.name  # local servers want none, the SDK wants one
    return openai.AsyncOpenAI(api_key=key, base_url=context.base_url, max_retries=0, **options)


@contextmanager
def mapped(provider: str, hidden: str) -> Iterator[None]:
    """Turn everything the SDK raises into ProviderError; `hidden` is the key, which errors must not quote."""
    try:
        yield
    except ProviderError:
        raise
    except openai.APIStatusError as error:
        raise from_status(
            provider, error.status_code, _body(error), error.response.headers, hidden=(hidden,)
        ) from error
    except openai.APITimeoutError as error:
        raise ProviderUnavailable(provider, "timed out") from error
    except openai.APIConnectionError as error:
        cause = error.__cause__
        raise transport_error(provider, cause if isinstance(cause, Exception) else error) from error
    except openai.OpenAIError as error:
        raise ProviderProtocolError(provider, f"answer not understood ({type(error).__name__})") from error
    except TimeoutError as error:
        raise ProviderUnavailable(provider, "no answer in time") from error
    except _TRANSPORT_ERRORS as error:
        raise transport_error(provider, error) from error


def from_object(provider: str, problem: Any, hidden: str) -> ProviderError:
    """The ProviderError for an `error` object inside an answer that began well."""
    if not isinstance(problem, Mapping):
        return ProviderUnavailable(provider, excerpt(f"error in the stream: {problem}", (hidden,)))
    code = problem.get("code")
    if isinstance(code, int) and 400 <= code < 600:  # OpenRouter puts the HTTP status there
        return from_status(provider, code, str(problem.get("message", "")), hidden=(hidden,))
    kinds = f"{problem.get('type')} {code}".lower()
    text = excerpt(f"error in the stream: {problem.get('message') or kinds}", (hidden,))
    if any(word in kinds for word in _REFUSALS):
        return ProviderRefused(provider, text)
    return ProviderUnavailable(provider, text)


_REFUSALS = (
    "insufficient_quota",
    "invalid_request",
    "invalid_api_key",
    "authentication",
    "permission",
    "not_found",
    "context_length",
    "content_filter",
    "content_policy",
)


def _body(error: openai.APIStatusError) -> str:
    try:
        return error.response.text
    except (httpx.ResponseNotRead, UnicodeDecodeError):
        return error.message
