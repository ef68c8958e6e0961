"""Genesys Cloud phone calls for Voxray: an Architect flow connects the call to the agent by AudioHook."""

from __future__ import annotations

from voxray.plugin import CarrierSpec, Secret, hookimpl

OPTIONS = {
    "organization_id": {
        "type": "string",
        "default": "",
        "description": "The only Genesys Cloud organization whose calls are taken. Empty: any that has the key.",
    },
    "transfer_variable": {
        "type": "string",
        "minLength": 1,
        "default": "transfer_to",
        "description": "Output variable that names the number to the flow when the agent hands the caller on.",
    },
}


@hookimpl
def voxray_register_transports() -> list[CarrierSpec]:
    return [
        CarrierSpec(
            name="genesys",
            title="Genesys Cloud (AudioHook)",
            factory="voxray_genesys.carrier:GenesysCarrier",
            options=OPTIONS,
            secrets=(
                Secret("GENESYS_API_KEY", config_key="genesys_api_key", required=False),
                Secret(
                    "GENESYS_CLIENT_SECRET", key="client_secret", config_key="genesys_client_secret", required=False
                ),
            ),
            docs_url="https://developer.genesys.cloud/devapps/audiohook/",
            note="8 kHz; no webhook: Genesys opens the media socket at once and proves itself there",
        )
    ]
