"""Is a webhook from Telnyx? Ed25519 over time and raw body."""

from __future__ import annotations

import base64

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from voxray.protocols.carrier import Webhook

WINDOW_SECS = 300
KEY_BYTES = 32


def public_key(written: str) -> Ed25519PublicKey:
    """The key as the portal shows it: base64 of 32 bytes. Raises ValueError."""
    try:
        raw = base64.b64decode(written.strip(), validate=True)
    except ValueError as error:
        raise ValueError("is not base64") from error
    if len(raw) != KEY_BYTES:
        raise ValueError(f"has {len(raw)} bytes instead of {KEY_BYTES}")
    return Ed25519PublicKey.from_public_bytes(raw)


def refusal(webhook: Webhook, key: Ed25519PublicKey) -> str:
    """Why the signature does not hold; "" if it does."""
    stamp = webhook.headers.get("telnyx-timestamp", "")
    signature = webhook.headers.get("telnyx-signature-ed25519", "")
    if not stamp or not signature:
        return "the signature is missing"
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        return "the time of the signature cannot be read"
    try:
        raw = base64.b64decode(signature, validate=True)
        key.verify(raw, f"{stamp}|".encode() + webhook.body)
    except (ValueError, InvalidSignature):
        return "the signature is wrong"
    if abs(webhook.at - int(stamp)) > WINDOW_SECS:
        return "the signature is too old, or a clock is wrong"
    return ""
