"""The two kinds of JSON web token: webhooks' proofs, which we check, and the REST API's, which we make."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from typing import Any

WINDOW_SECS = 300  # how old a proof may be, and how far the clocks may differ
TOKEN_SECS = 300  # what we make is sent within seconds, retries included


def refusal(token: str, secret: str, *, body: bytes, at: float, application_id: str = "") -> str:
    """Why the proof `token` of a webhook does not hold at UNIX time `at`; "" if it does.

    The hash of the body is required where there is a body. `application_id`, if known, must be the token's own.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return "no token" if not token else "the token has not three parts"
    expected = hmac.new(secret.encode(), f"{parts[0]}.{parts[1]}".encode(), hashlib.sha256).digest()
    try:
        header, claims, signature = _object(parts[0]), _object(parts[1]), _decoded(parts[2])
    except ValueError:
        return "the token cannot be read"
    if header.get("alg") != "HS256":
        return "the token is not signed with HS256"
    if not hmac.compare_digest(signature, expected):
        return "the signature is wrong"
    return _stale(claims, at) or _foreign(claims, body, application_id)


def _stale(claims: dict[str, Any], at: float) -> str:
    if abs(at - _time(claims.get("iat"))) > WINDOW_SECS:
        return "the token is not from now"
    if "exp" in claims and at > _time(claims["exp"]):
        return "the token has expired"
    return ""


def _foreign(claims: dict[str, Any], body: bytes, application_id: str) -> str:
    if claims.get("iss") != "Vonage":
        return "the token was not issued by Vonage"
    if application_id and claims.get("application_id", application_id) != application_id:
        return "the token is of another application"
    claimed = claims.get("payload_hash", "")
    if not body and not claimed:
        return ""
    found = hashlib.sha256(body).hexdigest()
    if not isinstance(claimed, str) or not hmac.compare_digest(claimed.lower().encode(), found.encode()):
        return "the token is of another body"
    return ""


class Signer:
    """Makes tokens for the REST API.

    Raises:
        ValueError: `pem` is not a private RSA key in PEM.
    """

    def __init__(self, application_id: str, pem: str) -> None:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        self._application_id = application_id
        try:
            key = load_pem_private_key(pem.replace("\\n", "\n").encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ValueError("the private key cannot be read; it must be PEM without a password") from error
        if not isinstance(key, RSAPrivateKey):
            raise ValueError("the private key is not an RSA key")
        self._key = key

    def token(self, at: float) -> str:
        """A token issued at UNIX time `at`, good for five minutes."""
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        issued = int(at)
        claims = {
            "application_id": self._application_id,
            "iat": issued,
            "jti": secrets.token_urlsafe(18),
            "exp": issued + TOKEN_SECS,
        }
        signed = f"{_encoded({'alg': 'RS256', 'typ': 'JWT'})}.{_encoded(claims)}"
        signature = self._key.sign(signed.encode(), PKCS1v15(), SHA256())
        return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _time(value: object) -> float:
    """UNIX time; 0 for what is none."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12
    return float(value) if good else 0.0  # type: ignore[arg-type]


def _encoded(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).rstrip(b"=").decode()


def _decoded(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("bad base64") from error


def _object(part: str) -> dict[str, Any]:
    try:
        value = json.loads(_decoded(part))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value
