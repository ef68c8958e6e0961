"""How Twilio signs its requests: an HMAC over the address and the form's fields.

Source: https://www.twilio.com/docs/usage/security
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit, urlunsplit

DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def signature(secret: str, url: str, form: Iterable[tuple[str, str]] = (), *, algorithm: str = "sha1") -> str:
    """The signature of a request, base64. Of a field that is repeated, each distinct value counts once."""
    fields = sorted(set(form), key=lambda field: (field[0].encode(), field[1].encode()))
    text = url + "".join(name + value for name, value in fields)
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), algorithm)).decode()


def accepted(
    secrets: Sequence[str],
    given: str,
    urls: Iterable[str],
    form: Iterable[tuple[str, str]] = (),
    *,
    algorithm: str = "sha1",
) -> bool:
    """Whether one of `secrets` made the signature `given` for one of `urls`. Takes the same time for all failures."""
    form = tuple(form)
    offered = given.encode()
    good = False
    for url in urls:
        for secret in secrets:
            expected = signature(secret, url, form, algorithm=algorithm)
            good |= hmac.compare_digest(expected.encode(), offered)
    return good


def spellings(url: str) -> tuple[str, ...]:
    """The ways Twilio may have written this address: as it is, without its port, with the default port."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or ""
    try:
        port = parts.port
    except ValueError:
        return (url,)
    default = DEFAULT_PORTS.get(parts.scheme)
    if port is None:
        return (url, urlunsplit(parts._replace(netloc=f"{host}:{default}"))) if default else (url,)
    return url, urlunsplit(parts._replace(netloc=host))


def body_hash(body: bytes) -> str:
    """What `bodySHA256` in the address of a request with another body than a form must be."""
    return hashlib.sha256(body).hexdigest()


def algorithm_of(settings: str) -> str:
    """The hash that `X-Twilio-Webhooks-Signature-Settings` names. Raises ValueError for one that is unknown."""
    pairs = (part.partition("=") for part in settings.split(","))
    named = {name.strip().lower(): value.strip().upper() for name, _, value in pairs}
    known = {"": "sha1", "HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}
    if named.get("algorithm", "") not in known:
        raise ValueError("unknown signature algorithm")
    return known[named.get("algorithm", "")]
