"""The HTTP message signature of AudioHook's handshake.

Source: draft-ietf-httpbis-message-signatures, in the form that Genesys documents: one HMAC-SHA256 over named headers.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping

SKEW_SECS = 3  # how far the clocks may differ
NONCE_CHARS = 22
REQUIRED = (
    "@request-target",
    "@authority",
    "audiohook-organization-id",
    "audiohook-session-id",
    "audiohook-correlation-id",
    "x-api-key",
)
_LABEL = r"[a-z*][a-z0-9_.*-]*"
_INPUT = re.compile(
    rf'({_LABEL})=(\(\s*((?:"[^"\\\s]+"\s*)*)\)((?:\s*;\s*{_LABEL}=(?:"[^"\\]*"|[0-9]{{1,15}}))*))\s*(?:,\s*|$)'
)
_PARAMETER = re.compile(rf'({_LABEL})=(?:"([^"\\]*)"|([0-9]+))')
_SIGNATURE = re.compile(rf"({_LABEL})=:([A-Za-z0-9+/=]*):\s*(?:,\s*|$)")


def refusal(headers: Mapping[str, str], key: bytes, *, at: float) -> str:
    """Why the signature of a handshake does not hold at UNIX time `at`; "" if it does.

    `headers` have lower-case names, with the entries "@request-target" and "@authority" for what is no header.
    """
    signed = _SIGNATURE.match(headers.get("signature", "").strip())
    described = _INPUT.match(headers.get("signature-input", "").strip())
    if signed is None or described is None or signed[1] != described[1]:
        return "there is no signature that can be read"
    components = re.findall(r'"([^"]+)"', described[3])
    parameters = {name: text or number for name, text, number in _PARAMETER.findall(described[4])}
    problem = _unfit(components, parameters, headers, at)
    if problem:
        return problem
    lines = [f'"{name}": {_value(headers, name)}' for name in components]
    base = "\n".join([*lines, f'"@signature-params": {described[2]}'])
    try:
        found = base64.b64decode(signed[2], validate=True)
    except (binascii.Error, ValueError):
        return "the signature is not base64"
    if not hmac.compare_digest(found, hmac.digest(key, base.encode("latin-1", "replace"), hashlib.sha256)):
        return "the signature is wrong"
    return ""


def _unfit(components: list[str], parameters: Mapping[str, str], headers: Mapping[str, str], at: float) -> str:
    """What makes the signature worthless, whatever it says."""
    if len(set(components)) != len(components) or not set(REQUIRED) <= set(components):
        return "the signature does not cover what it must"
    if not all(name in headers for name in components):
        return "the signature covers a header that is missing"
    if parameters.get("alg", "hmac-sha256") != "hmac-sha256":
        return "the signature's algorithm is not hmac-sha256"
    if parameters.get("keyid") != headers["x-api-key"]:
        return "the signature's key is not the API key"
    if len(parameters.get("nonce", "")) < NONCE_CHARS:
        return "the signature's nonce is too short"
    if int(parameters.get("created") or 0) > at + SKEW_SECS:
        return "the signature is from the future"
    if int(parameters.get("expires") or 0) < at - SKEW_SECS:
        return "the signature has expired"
    return ""


def _value(headers: Mapping[str, str], name: str) -> str:
    value = headers[name].strip()
    return value.lower() if name == "@authority" else value
