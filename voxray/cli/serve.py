"""`voxray serve`: answer calls."""

from __future__ import annotations

import gc
import os
import socket
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from voxray.config.settings import Settings
    from voxray.registry import Registry

OWN_TRANSPORTS = ("websocket", "smallwebrtc", "both")  # values of `transport`; all others are of `runner_transport`


@click.command("serve", context_settings={"show_default": True})
@click.argument("config", required=False, type=click.Path(dir_okay=False))
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.")
@click.option("--transport", help="How calls arrive: websocket, smallwebrtc, both, or a carrier's name.")
@click.option("--proxy-host", help="Public name of this server, without scheme, for carriers to call back.")
@click.option("--insecure", is_flag=True, help="Listen on a public address although there is no key.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warn", "error"]), help="How much to log.")
@click.option("--json-logs", is_flag=True, help="One JSON object per line.")
@click.option("--check", is_flag=True, help="Check the configuration, and do not start.")
@click.option("--fd", type=int, hidden=True)
@click.option("--parent-fd", type=int, hidden=True)
def command(
    config: str | None,
    port: int | None,
    transport: str | None,
    insecure: bool,
    json_logs: bool,
    check: bool,
    fd: int | None,
    parent_fd: int | None,
    **flat: str | None,
) -> None:
    """Answer calls as CONFIG says.

    CONFIG is VOXRAY_CONFIG or config.json unless given. Ends on SIGTERM or Ctrl-C when the calls have ended or
    drain_secs are over; a second signal ends it at once.
    """
    overrides: dict[str, Any] = {name: value for name, value in flat.items() if value is not None}
    if port:
        overrides["port"] = port
    if json_logs:
        overrides["json_logs"] = True
    if transport:
        overrides["transport" if transport in OWN_TRANSPORTS else "runner_transport"] = transport
    path = config or os.environ.get("VOXRAY_CONFIG") or "config.json"
    gc.disable()  # until calls are answered: what is made while starting stays, and looking through it takes 0.1 s
    try:
        registry, settings = _prepare(path, overrides, insecure=insecure)
        if check:
            click.echo(f"{path}: ready to serve")
        elif fd is not None:
            _serve(settings, registry, socket.socket(fileno=fd), parent_fd=parent_fd)
        elif settings.workers > 1:
            _serve_with_workers(settings, port)
        else:
            from voxray.server.run import listen

            with listen(settings, port) as listener:
                _serve(settings, registry, listener)
    finally:
        gc.enable()


def _prepare(path: str, overrides: dict[str, Any], *, insecure: bool) -> tuple[Registry, Settings]:
    from voxray.cli import logging as log
    from voxray.config.load import load_settings
    from voxray.registry import Registry
    from voxray.server.run import check_exposure, tls_context

    registry = Registry.load()
    settings = load_settings(path, registry, overrides=overrides)
    log.configure(settings.log_level, as_json=settings.json_logs)
    check_exposure(settings, insecure=insecure)
    tls_context(settings)
    return registry, settings


def _serve(settings: Settings, registry: Registry, listener: socket.socket, parent_fd: int | None = None) -> None:
    import anyio

    from voxray.server.run import run

    def announce() -> None:
        gc.freeze()  # what lives as long as the server need not be looked through while people talk
        gc.enable()
        if parent_fd is None:
            _announce(settings, listener)
        else:
            os.write(parent_fd, b"1")

    listener.setblocking(False)
    anyio.run(
        partial(run, settings, registry, listener, announce=announce, parent=parent_fd),
        backend_options={"use_uvloop": _has_uvloop()},
    )


def _serve_with_workers(settings: Settings, port: int | None) -> None:
    import anyio

    from voxray.server.run import BACKLOG, listen
    from voxray.server.workers import Workers

    with listen(settings, port) as listener:
        listener.listen(BACKLOG)
        workers = Workers([sys.executable, "-m", "voxray.cli.main", *sys.argv[1:]], settings.workers, listener)
        anyio.run(workers.run, lambda: _announce(settings, listener))


def _announce(settings: Settings, listener: socket.socket) -> None:
    from voxray.server.run import address

    click.echo(f"Voxray is ready at {address(settings, listener)}")
    sys.stdout.flush()


def _has_uvloop() -> bool:
    from importlib.util import find_spec

    return find_spec("uvloop") is not None
