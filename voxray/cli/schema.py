"""`voxray schema`: the JSON Schema of the configuration, with the options of everything installed."""

from __future__ import annotations

from typing import TextIO

import click


def schema_text() -> str:
    """The composed schema as JSON, ending in a newline."""
    import json

    from voxray.config.schema import compose
    from voxray.registry import Registry

    return json.dumps(compose(Registry.load()), indent=2, ensure_ascii=False, default=str) + "\n"


@click.command("schema")
@click.option("--output", type=click.File("w", encoding="utf-8", lazy=True), default="-", help="File to write to.")
def command(output: TextIO) -> None:
    """Print the JSON Schema of the configuration, for editors.

    It knows the options of the plugins that are installed. Name it in a configuration as "$schema".
    """
    output.write(schema_text())
