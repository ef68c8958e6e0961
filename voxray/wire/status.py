"""What a vendor's refusal means: HTTP status and body to the error classes of the core."""

from __future__ import annotations

import importlib
import json
import re
import time
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime

import httpx

from voxray.errors import ProviderError, ProviderRefused, ProviderUnavailable

EXCERPT_CHARS = 300
_RETRYABLE = frozenset({408, 409, 425, 429, 529})
# Codes that come with 429 (some vendors: 403) when money, not time, is missing.
_QUOTA = re.compile(
    r"insufficient_quota|quota[_ ]exceeded|insufficient[_ ](?:balance|credit|fund)"
    r"|billing_(?:hard_limit|not_active)|credit balance|payment_required",
    re.IGNORECASE,
)
# Anything shaped like a key: vendors quote (parts of) it in their 401.
_KEY = re.compile(r"(?i)\b(?:bearer\s+\S{6,}|(?:sk|pk|gsk|xai|key|token)[-_][A-Za-z0-9*._-]{4,})|[A-Za-z0-9_*+/-]{32,}")


def from_status(
    provider: str,
    status: int,
    body_text: str = "",
    headers: Mapping[str, str] | None = None,
    *,
    hidden: Iterable[str] = (),
) -> ProviderError:
    """The error for a refusal with this HTTP status.

    408, 409, 425, 429, 529 and 5xx: ProviderUnavailable with what `retry-after(-ms)` asked for; a 429 that says that
    quota or money is gone, and every other status: ProviderRefused. The text holds at most 300 characters of the
    vendor's message, without keys; `hidden` are secrets that must not be in it whatever they look like.
    """
    said = excerpt(_message(body_text), hidden)
    text = f"answered {status}" + (f": {said}" if said else "")
    if status == 402 or (status in (403, 429) and _QUOTA.search(body_text)):
        return ProviderRefused(provider, f"{text}; the account's quota or balance is used up", status=status)
    if status in (401, 403):
        return ProviderRefused(provider, f"{text}; check the key and what it may do", status=status)
    if status in _RETRYABLE or status >= 500:
        return ProviderUnavailable(provider, text, status=status, retry_after_secs=retry_after_secs(headers or {}))
    return ProviderRefused(provider, text, status=status)


def excerpt(text: str, hidden: Iterable[str] = ()) -> str:
    """`text` on one line, at most 300 characters, with everything that looks like a key replaced."""
    for secret in hidden:
        if secret:
            text = text.replace(secret, "[key]")
    text = _KEY.sub("[key]", " ".join(text.split()))
    return text if len(text) <= EXCERPT_CHARS else text[: EXCERPT_CHARS - 1] + "…"


def retry_after_secs(headers: Mapping[str, str]) -> float | None:
    """Seconds that `retry-after-ms` or `retry-after` (seconds or an HTTP date) ask for; None without either."""
    lowered = {name.lower(): value for name, value in headers.items()}
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            secs = float(lowered[name]) / scale
        except (KeyError, ValueError):
            continue
        return secs if 0 <= secs < float("inf") else None
    try:
        until = parsedate_to_datetime(lowered["retry-after"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return None
    try:  # the vendor's own clock, where it tells it
        now = parsedate_to_datetime(lowered["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        now = time.time()
    return max(0.0, until - now)


def sdk_transport_errors() -> tuple[type[Exception], ...]:
    """What vendors' SDKs let through from below: httpx.HTTPError, and httpx2.HTTPError where that is installed."""
    try:
        newer: type[Exception] = importlib.import_module("httpx2").HTTPError
    except ImportError:
        return (httpx.HTTPError,)
    return (httpx.HTTPError, newer)


def _message(body_text: str) -> str:
    """The human part of an error body: `error.message`, `message`, `detail`; else the body itself."""
    try:
        body = json.loads(body_text)
    except ValueError:
        return body_text
    if isinstance(body, dict):
        inner = body.get("error", body)
        found = inner if isinstance(inner, str) else None
        if isinstance(inner, dict):
            found = inner.get("message") or inner.get("detail") or inner.get("code") or inner.get("type")
        if isinstance(found, str) and found:
            return found
    return body_text
