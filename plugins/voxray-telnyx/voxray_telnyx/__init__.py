"""Telnyx for Voxray: phone calls by TeXML and by Call Control."""

from collections.abc import Iterable

from voxray.plugin import CarrierSpec, Secret, hookimpl

OPTIONS = {
    "codec": {
        "type": "string",
        "enum": ["PCMU", "PCMA", "L16"],
        "default": "PCMU",
        "description": "How our sound travels to Telnyx; what comes back is whatever the start message names.",
    },
    "l16_sample_rate": {
        "type": "integer",
        "enum": [8000, 16000, 24000],
        "default": 16000,
        "description": "Samples per second with the codec L16; the others have 8000.",
    },
    "l16_byte_order": {
        "type": "string",
        "enum": ["auto", "big", "little"],
        "default": "auto",
        "description": "Byte order of L16 samples; auto finds it in the first half second of sound.",
    },
    "dial_by": {
        "type": "string",
        "enum": ["call_control", "texml"],
        "default": "call_control",
        "description": "Which interface places calls.",
    },
    "connection_id": {
        "type": "string",
        "default": "",
        "description": "Id of the Call Control application that places calls.",
    },
    "texml_account_sid": {
        "type": "string",
        "default": "",
        "description": "Account that places calls by TeXML.",
    },
    "texml_application_sid": {
        "type": "string",
        "default": "",
        "description": "TeXML application that places calls by TeXML.",
    },
    "machine_detection": {
        "type": "string",
        "enum": ["detect", "detect_beep", "detect_words", "greeting_end", "premium"],
        "default": "detect",
        "description": "The kind of verdict asked for when telephony.machine_detection is on; premium costs more.",
    },
}


@hookimpl
def voxray_register_transports() -> Iterable[CarrierSpec]:
    return [
        CarrierSpec(
            name="telnyx",
            title="Telnyx",
            factory="voxray_telnyx.carrier:TelnyxCarrier",
            secrets=(
                Secret("TELNYX_API_KEY", config_key="telnyx_api_key", required=False),
                Secret("TELNYX_PUBLIC_KEY", key="public_key", config_key="telnyx_public_key", required=False),
            ),
            options=OPTIONS,
            base_url="https://api.telnyx.com/v2",
            base_url_env="TELNYX_BASE_URL",
            docs_url="https://developers.telnyx.com/docs/voice/programmable-voice/media-streaming",
        )
    ]
