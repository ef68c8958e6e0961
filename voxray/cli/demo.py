"""`voxray demo`: talk to a finished agent, offline."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from voxray.config.settings import Settings
    from voxray.registry import Registry

FAILED = 1


@click.command("demo", context_settings={"show_default": True})
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=3042, type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.")
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
@click.option("--insecure", is_flag=True, help="Listen on a public address; everybody may talk to the demo then.")
@click.option("--text", is_flag=True, help="Talk in the terminal, in writing. Reads a pipe, too.")
@click.option("--check", is_flag=True, help="Let a synthetic caller speak ten dialogues, and count what is understood.")
@click.option("--dialogue", "wanted", multiple=True, metavar="NAME", help="With --check: only those so called.")
@click.option("--json", "as_json", is_flag=True, help="With --check: print the results as JSON.")
@click.option(
    "--log-level", default="warn", type=click.Choice(["debug", "info", "warn", "error"]), help="How much to log."
)
def command(
    *,
    host: str,
    port: int,
    open_page: bool,
    insecure: bool,
    text: bool,
    check: bool,
    wanted: tuple[str, ...],
    as_json: bool,
    log_level: str,
) -> None:
    """Talk to the desk of a hotel: a finished agent that needs no key and no network.

    Serves a page where one talks by microphone or keyboard. The desk books rooms, changes and cancels bookings, and
    knows the opening hours.

    \b
    Exit status: 0, or with --check 1 if less than 95 % of the turns were understood.
    """
    from voxray.cli import logging as log

    if text and check:
        raise click.UsageError("--text and --check exclude each other")
    if (wanted or as_json) and not check:
        raise click.UsageError("--dialogue and --json belong to --check")
    log.configure(log_level)
    if check:
        _check(wanted, as_json)
    elif text:
        _talk()
    else:
        _serve(host, port, open_page, insecure)


def _agent(host: str = "127.0.0.1", port: int = 3042) -> tuple[Settings, Registry]:
    """Raises VoxrayError, saying what is missing."""
    from voxray.demo.agent import demo_registry, demo_settings

    registry = demo_registry()
    return demo_settings(registry, host=host, port=port or 3042), registry


def _serve(host: str, port: int, open_page: bool, insecure: bool) -> None:
    import anyio

    from voxray.demo.agent import ABOUT
    from voxray.server.run import address, check_exposure, listen, run

    settings, registry = _agent(host, port)
    check_exposure(settings, insecure=insecure)
    with listen(settings, port) as listener:

        def announce() -> None:
            url = address(settings, listener)
            click.echo(_welcome(url, ABOUT["sayings"]))
            sys.stdout.flush()
            if open_page:
                click.launch(url)

        serving = partial(run, announce=announce, about=ABOUT)
        anyio.run(serving, settings, registry, listener)


def _welcome(url: str, sayings: Any) -> str:
    lines = [f"The demo is ready at {url}", "Open it in a browser and talk, or type. You can say:"]
    lines += [f"  {saying}" for saying in sayings]
    return "\n".join([*lines, "Ctrl-C ends it."])


def _talk() -> None:
    import anyio

    from voxray.demo.text import talk

    anyio.run(talk, *_agent())


def _check(wanted: tuple[str, ...], as_json: bool) -> None:
    import anyio

    from voxray.cli.demo_report import progress_shown, report
    from voxray.demo.check import GOAL, check, dialogues

    scripts = dialogues(wanted)
    if not scripts:
        raise click.UsageError("no dialogue of that name")
    with progress_shown(len(scripts), quiet=as_json) as progress:
        results = anyio.run(partial(check, *_agent(), scripts, progress=progress))
    report(results, as_json=as_json)
    if results.share < GOAL:
        sys.exit(FAILED)
