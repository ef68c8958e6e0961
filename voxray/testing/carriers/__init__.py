"""Simulated carriers, by name. Imported when one is asked for."""

from __future__ import annotations

from importlib import import_module

from voxray.testing.phone_wire import PhoneFacts, PhoneWire

WIRES = {
    "twilio": "voxray.testing.carriers.twilio:TwilioWire",
    "telnyx": "voxray.testing.carriers.telnyx:TelnyxWire",
    "plivo": "voxray.testing.carriers.plivo:PlivoWire",
    "exotel": "voxray.testing.carriers.exotel:ExotelWire",
    "vonage": "voxray.testing.carriers.vonage:VonageWire",
    "genesys": "voxray.testing.carriers.genesys:GenesysWire",
}


def make_wire(carrier: str, facts: PhoneFacts, *, secret: str = "") -> PhoneWire:
    """One call of the carrier of this name; `secret` "" leaves its requests unsigned.

    Raises:
        ValueError: there is no such simulator.
    """
    if carrier not in WIRES:
        raise ValueError(f'no simulated carrier "{carrier}"; known are {", ".join(WIRES)}')
    module, _, name = WIRES[carrier].partition(":")
    wire: PhoneWire = getattr(import_module(module), name)(facts, secret=secret)
    return wire
