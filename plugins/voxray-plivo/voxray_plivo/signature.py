"""How Plivo signs its requests, version 3: an HMAC over the address, the sorted fields and a nonce.

Source: https://www.plivo.com/docs/voice/concepts/signature-validation
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit, urlunsplit

Fields = Iterable[tuple[str, str]]

MAX_CANDIDATES = 10


def signature(secret: str, url: str, query: Fields, form: Fields, nonce: str) -> str:
    """The signature of a request to `url` (its own query is ignored), base64."""
    text = f"{signed_text(url, query, form)}.{nonce}"
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha256")).decode()


def signed_text(url: str, query: Fields, form: Fields) -> str:
    """What is signed, but for the nonce."""
    text = urlunsplit(urlsplit(url)._replace(query="", fragment=""))
    asked, posted = "&".join(map("=".join, sorted(query))), "".join(map("".join, sorted(form)))
    if asked or posted:
        text += f"?{asked}"
    return f"{text}.{posted}" if asked and posted else text + posted


def accepted(secrets: Sequence[str], given: str, url: str, query: Fields, form: Fields, nonce: str) -> bool:
    """Whether one of the comma-separated candidates in `given` was made with one of `secrets`. Takes the same time for
    all failures with as many candidates."""
    decoded = tuple(query)
    as_sent = tuple((name, value) for name, _, value in (pair.partition("=") for pair in _pairs(url)))
    form = tuple(form)
    good = False
    for candidate in given.split(",")[:MAX_CANDIDATES]:
        offered = candidate.strip().encode()
        for secret in secrets:
            for asked in (decoded, as_sent):  # reports disagree on whether escapes in the query are undone first
                good |= hmac.compare_digest(signature(secret, url, asked, form, nonce).encode(), offered)
    return good


def _pairs(url: str) -> list[str]:
    return [pair for pair in urlsplit(url).query.split("&") if pair]
