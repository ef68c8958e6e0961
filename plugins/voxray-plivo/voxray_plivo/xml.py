"""The Plivo XML documents that we answer with, and the parameters that a stream carries in `extraHeaders`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from xml.etree.ElementTree import Element, SubElement, tostring

MAX_EXTRA_HEADERS = 512  # bytes
ESCAPED = "Hex"  # ending of the name of a value that is written in hexadecimal
MEDIA_TYPE = "application/xml; charset=utf-8"


def stream(url: str, content_type: str, parameters: Mapping[str, str], events_url: str) -> bytes:
    """Stay in a stream both ways until our socket closes; nothing follows, so the call ends then.

    Raises:
        ValueError: the parameters have no room.
    """
    attributes = {"bidirectional": "true", "keepCallAlive": "true", "contentType": content_type}
    if events_url:
        attributes |= {"statusCallbackUrl": events_url, "statusCallbackMethod": "POST"}
    if parameters:
        attributes["extraHeaders"] = extra_headers(parameters)
    response = Element("Response")
    SubElement(response, "Stream", attributes).text = url
    return _document(response)


def hang_up_busy() -> bytes:
    response = Element("Response")
    SubElement(response, "Hangup", {"reason": "busy"})
    return _document(response)


def dial(to: str) -> bytes:
    """Connect the caller with a number or a `sip:` address."""
    response = Element("Response")
    kind = "User" if to.startswith("sip:") else "Number"
    SubElement(SubElement(response, "Dial"), kind).text = to
    return _document(response)


def extra_headers(parameters: Mapping[str, str]) -> str:
    """Parameters as Plivo carries them: letters and digits only, so that other values are written in hexadecimal.

    Raises:
        ValueError: a name has other characters, or all together are too long.
    """
    pairs = []
    for name, value in parameters.items():
        if not _plain(name):
            raise ValueError(f'parameter "{name}": Plivo carries names of letters and digits only')
        plain = _plain(value) and not name.endswith(ESCAPED)
        pairs.append(f"{name}={value}" if plain else f"{name}{ESCAPED}={value.encode().hex()}")
    text = ",".join(pairs)
    if len(text) > MAX_EXTRA_HEADERS:
        raise ValueError(f"the parameters take {len(text)} bytes; Plivo carries {MAX_EXTRA_HEADERS}")
    return text


def read_extra_headers(text: str) -> dict[str, str]:
    """The parameters in a stream's `extra_headers`, which is seen as `{X-PH-k: v}`, `k=v;k2=v2` and `{}`."""
    parameters = {}
    for pair in text.strip().strip("{}").replace(";", ",").split(","):
        at = min((at for at in (pair.find("="), pair.find(":")) if at >= 0), default=-1)
        if at < 0:
            continue
        name, value = pair[:at].strip(), pair[at + 1 :].strip()
        name = name[5:] if name[:5].lower() == "x-ph-" else name
        if name.lower().endswith(ESCAPED.lower()):
            with suppress(ValueError):
                value, name = bytes.fromhex(value).decode(), name[: -len(ESCAPED)]
        if name:
            parameters[name] = value
    return parameters


def _plain(text: str) -> bool:
    return text.isascii() and text.isalnum()


def _document(response: Element) -> bytes:
    document: bytes = tostring(response, encoding="utf-8", xml_declaration=True)
    return document
