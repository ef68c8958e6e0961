"""Run a vendor's simulator as a process: `python -m voxray.testing openai --port 8900`."""

from __future__ import annotations

import signal
from typing import Any

import anyio
import click

from voxray.testing.anthropic_api import AnthropicApi
from voxray.testing.openai_api import OpenAiApi


@click.group()
def main() -> None:
    """Simulated vendors for development and load runs."""


def _shared(command: Any) -> Any:
    for option in (
        click.option("--token-ms", default=0.0, help="Delay between pieces of text; 0: all in one packet."),
        click.option("--first-token-ms", default=0.0, help="Delay before the first text."),
        click.option("--say", default="", help="Answer this to everything. Default: echo."),
        click.option("--key", default=None, help="Refuse every other key."),
        click.option("--port", default=0, help="0 chooses a free one."),
        click.option("--host", default="127.0.0.1", show_default=True),
    ):
        command = option(command)
    return command


@main.command()
@_shared
@click.option("--first-audio-ms", default=0.0, help="Delay before the first sound.")
@click.option("--transcription-ms", default=0.0, help="Delay before a transcript.")
@click.option("--ms-per-char", default=60.0, show_default=True, help="Length of speech for each character.")
@click.option("--paced", is_flag=True, help="Send speech not faster than real time.")
@click.option("--hear", default="hello", show_default=True, help="What every transcription hears.")
def openai(say: str, hear: str, ms_per_char: float, **options: Any) -> None:
    """Simulate OpenAI's HTTP API."""
    replies = [say] if say else None
    _run(OpenAiApi(replies=replies, transcripts=[hear], audio_ms_per_char=ms_per_char, keep_requests=0, **options))


@main.command()
@_shared
def anthropic(say: str, **options: Any) -> None:
    """Simulate Anthropic's Messages API."""
    _run(AnthropicApi(replies=[say] if say else None, keep_requests=0, **options))


def _run(api: OpenAiApi | AnthropicApi) -> None:
    try:
        import uvloop  # noqa: F401

        fast = True
    except ImportError:
        fast = False
    anyio.run(_serve, api, backend_options={"use_uvloop": fast})


async def _serve(api: OpenAiApi | AnthropicApi) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with api:
            click.echo(api.base_url)
            async for _ in signals:
                return


if __name__ == "__main__":
    main()
