"""What the `anthropic` SDK raises, as errors of the core."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import anthropic

from voxray.errors import ProviderError, ProviderProtocolError, ProviderUnavailable
from voxray.wire.http import transport_error
from voxray.wire.status import from_status, sdk_transport_errors

_TRANSPORT_ERRORS = sdk_transport_errors()
# An error event comes with HTTP status 200: its type says which status it would have had.
_STATUS_OF = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


@contextmanager
def mapped(provider: str, key: str) -> Iterator[None]:
    """Turn everything the SDK raises, and what it lets through, into ProviderError; none quotes `key`."""
    try:
        yield
    except ProviderError:
        raise
    except anthropic.APIStatusError as error:
        raise _refusal(provider, error, key) from error
    except anthropic.APITimeoutError as error:
        raise ProviderUnavailable(provider, "timed out") from error
    except anthropic.APIConnectionError as error:
        cause = error.__cause__
        raise transport_error(provider, cause if isinstance(cause, Exception) else error) from error
    except anthropic.AnthropicError as error:
        raise ProviderProtocolError(provider, f"answer not understood ({type(error).__name__})") from error
    except TimeoutError as error:
        raise ProviderUnavailable(provider, "stopped answering") from error
    except ValueError as error:  # JSON or UTF-8 of an event
        raise ProviderProtocolError(provider, "sent an event that is not JSON") from error
    except _TRANSPORT_ERRORS as error:  # resets in mid-stream are not wrapped by the SDK
        raise transport_error(provider, error) from error


def _refusal(provider: str, error: anthropic.APIStatusError, key: str) -> ProviderError:
    problem = error.body.get("error") if isinstance(error.body, Mapping) else None
    kind = str(problem.get("type", "")) if isinstance(problem, Mapping) else ""
    said = str(problem.get("message") or kind) if isinstance(problem, Mapping) else error.message
    status = error.status_code if error.status_code >= 400 else _STATUS_OF.get(kind, 500)
    return from_status(provider, status, said, error.response.headers, hidden=(key,))
