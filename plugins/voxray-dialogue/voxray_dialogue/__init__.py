"""Scripted dialogues for Voxray: a flow in a YAML file instead of a language model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxray.plugin import LlmSpec, hookimpl

if TYPE_CHECKING:
    import click

OPTIONS = {
    "flow": {
        "type": "string",
        "minLength": 1,
        "description": "Path of the flow, a YAML file. `voxray dialogue check` tells what is wrong with it.",
    },
}


@hookimpl
def voxray_register_providers() -> list[LlmSpec]:
    return [
        LlmSpec(
            name="dialogue",
            title="Scripted dialogue",
            factory="voxray_dialogue.model:DialogueModel",
            options=OPTIONS,
            note="no model at all: follows a flow from a file, always in the same way; no key and no network",
        )
    ]


@hookimpl
def voxray_register_commands(cli: click.Group) -> None:
    from voxray_dialogue.commands import add

    add(cli)
