"""eSpeak NG for Voxray: an offline voice for a hundred languages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxray.plugin import TtsSpec, hookimpl

if TYPE_CHECKING:
    import click

OPTIONS = {
    "voice": {
        "type": "string",
        "default": "",
        "description": "Voice by name, with a variant if you like (en-us+f3); empty: the voice of `language`. "
        "`voxray espeak voices` lists them.",
    },
    "language": {
        "type": "string",
        "default": "en-us",
        "description": "Language tag of the voice, used when `voice` is empty.",
    },
    "rate_wpm": {
        "type": "integer",
        "default": 165,
        "minimum": 80,
        "maximum": 450,
        "description": "Words per minute.",
    },
    "pitch": {
        "type": "integer",
        "default": 50,
        "minimum": 0,
        "maximum": 100,
        "description": "Base pitch, 50 is normal.",
    },
    "volume": {
        "type": "integer",
        "default": 100,
        "minimum": 0,
        "maximum": 200,
        "description": "Loudness in percent; above 100 loud voices may clip.",
    },
}


@hookimpl
def voxray_register_providers() -> list[TtsSpec]:
    return [
        TtsSpec(
            name="espeak",
            title="eSpeak NG",
            factory="voxray_espeak.engine:EspeakTts",
            options=OPTIONS,
            docs_url="https://github.com/espeak-ng/espeak-ng",
            note="runs in this process, no key and no network; espeak-ng itself is GPL-3",
        )
    ]


@hookimpl
def voxray_register_commands(cli: click.Group) -> None:
    import click as ui

    @cli.group(name="espeak")
    def espeak() -> None:
        """Look into the eSpeak voice."""

    @espeak.command(name="voices")
    @ui.option("--language", default="", help="Only languages that begin with this, e.g. en.")
    def voices(language: str) -> None:
        """List the voices: language tag and name."""
        from voxray_espeak.library import voices as listed

        for voice in listed():
            if voice.language.startswith(language.lower()):
                ui.echo(f"{voice.language:<16} {voice.name}")
