"""The TwiML documents that we answer with."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree.ElementTree import Element, SubElement, tostring

MAX_PARAMETER = 500  # characters of a parameter's name and value together
MEDIA_TYPE = "text/xml; charset=utf-8"


def connect(url: str, parameters: Mapping[str, str], events_url: str) -> bytes:
    """Connect the call to our media socket, both ways; when the socket closes, nothing follows and the call ends.

    Raises:
        ValueError: a parameter is too long for Twilio.
    """
    response = Element("Response")
    attributes = {"url": url}
    if events_url:
        attributes |= {"statusCallback": events_url, "statusCallbackMethod": "POST"}
    stream = SubElement(SubElement(response, "Connect"), "Stream", attributes)
    for name, value in parameters.items():
        if len(name) + len(value) >= MAX_PARAMETER:
            raise ValueError(f'parameter "{name}" is too long: name and value may have {MAX_PARAMETER - 1} characters')
        SubElement(stream, "Parameter", {"name": name, "value": value})
    return _document(response)


def reject_busy() -> bytes:
    response = Element("Response")
    SubElement(response, "Reject", {"reason": "busy"})
    return _document(response)


def dial(to: str) -> bytes:
    """Connect the caller with a number, a `sip:` address or a `client:` name."""
    response = Element("Response")
    target = SubElement(response, "Dial")
    if to.startswith(("sip:", "sips:")):
        SubElement(target, "Sip").text = to
    elif to.startswith("client:"):
        SubElement(target, "Client").text = to.removeprefix("client:")
    else:
        target.text = to
    return _document(response)


def _document(response: Element) -> bytes:
    document: bytes = tostring(response, encoding="utf-8", xml_declaration=True)
    return document
