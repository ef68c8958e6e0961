"""How Telnyx is asked for a media stream: as TeXML, and as fields of a Call Control command."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from voxray.protocols.carrier import StreamOffer
from voxray_telnyx.codecs import G711_RATE

DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'
NOT_XML = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def texml_stream(offer: StreamOffer, codec: str, rate_hz: int) -> bytes:
    """The document that connects a call with our socket."""
    response = ET.Element("Response")
    attributes = {
        "url": offer.url,
        "bidirectionalMode": "rtp",  # without it we would have to send MP3 files
        "bidirectionalCodec": codec,
        "bidirectionalSamplingRate": str(rate_hz),
    }
    if offer.events_url:
        attributes |= {"statusCallback": offer.events_url, "statusCallbackMethod": "POST"}
    stream = ET.SubElement(ET.SubElement(response, "Connect"), "Stream", attributes)
    for name, value in parameters(offer).items():
        ET.SubElement(stream, "Parameter", {"name": _clean(name), "value": _clean(value)})
    return document(response)


def document(root: ET.Element) -> bytes:
    written: bytes = ET.tostring(root, encoding="utf-8")
    return DECLARATION + written


def command_stream(offer: StreamOffer, codec: str, rate_hz: int) -> dict[str, object]:
    """The fields of `answer` and of placing a call."""
    fields: dict[str, object] = {
        "stream_url": offer.url,
        "stream_track": "inbound_track",
        "stream_bidirectional_mode": "rtp",
        "stream_bidirectional_codec": codec,
        "stream_bidirectional_sampling_rate": rate_hz,
        "stream_bidirectional_target_legs": "self",
        "stream_auth_token": offer.token,
        "custom_parameters": [{"name": name, "value": value} for name, value in parameters(offer).items()],
    }
    if rate_hz != G711_RATE or codec == "L16":
        fields["stream_codec"] = codec  # G.711 comes as the leg has it: transcoding would only lose
    return fields


def parameters(offer: StreamOffer) -> dict[str, str]:
    return {**offer.parameters, "token": offer.token}


def _clean(value: str) -> str:
    return NOT_XML.sub("", value)
