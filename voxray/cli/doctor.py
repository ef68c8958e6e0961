"""`voxray doctor`: what is installed, what is missing, and with `--online` whether the vendors can be reached."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from voxray.registry import Registry

if TYPE_CHECKING:
    from voxray.config.resolve import Choice
    from voxray.config.secrets import Secrets
    from voxray.config.settings import Settings

OK, NOTE, PROBLEM = "ok", "note", "problem"
STYLES = {OK: "green", NOTE: "yellow", PROBLEM: "red"}
ONLINE_SECS = 10.0
ASKED = ("stt", "llm", "tts", "realtime")  # kinds whose vendors are asked


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. A note is worth knowing and no reason to fail."""

    topic: str
    state: str
    detail: str


@click.command("doctor")
@click.argument("config", required=False, type=click.Path())
@click.option("--online", is_flag=True, help="Ask the vendors that the configuration names, with its keys.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(config: str | None, online: bool, as_json: bool) -> None:
    """Find out what is wrong with this installation, and with CONFIG.

    CONFIG defaults to the file that VOXRAY_CONFIG names, else config.json, if there is one.

    Exit status: 0 good, 1 something is wrong.
    """
    registry = Registry.load()
    checks = [*installed(), *plugins(registry), *configuration(config, registry, online=online)]
    bad = sum(check.state == PROBLEM for check in checks)
    if as_json:
        click.echo(json.dumps({"good": not bad, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        for check in checks:
            click.echo(f"{click.style(check.state.ljust(7), STYLES[check.state])}  {check.topic}: {check.detail}")
        click.echo(f"\n{bad} problem{'' if bad == 1 else 's'}" if bad else "\nnothing wrong")
    sys.exit(1 if bad else 0)


def installed() -> Iterator[Check]:
    """The interpreter and what the core needs."""
    from importlib.metadata import PackageNotFoundError, requires, version

    from voxray import __version__

    python = ".".join(map(str, sys.version_info[:3]))
    yield Check("python", OK if sys.version_info >= (3, 11) else PROBLEM, f"{python} at {sys.executable}")
    yield Check("voxray", OK, __version__)
    found, missing = [], []
    for name in _names(requires("voxray") or ()):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    yield Check("dependencies", OK, ", ".join(found))
    if missing:
        yield Check("dependencies", PROBLEM, f"missing: {', '.join(missing)}; try: pip install {' '.join(missing)}")
    try:
        yield Check("uvloop", OK, version("uvloop"))
    except PackageNotFoundError:
        yield Check("uvloop", NOTE, "not installed; with it a server holds more calls: pip install 'voxray[fast]'")


def _names(requirements: Iterable[str]) -> list[str]:
    """The packages' names, without those of extras."""
    import re

    plain = [it for it in requirements if "extra ==" not in it]
    return sorted(re.split(r"[^A-Za-z0-9._-]", it, maxsplit=1)[0] for it in plain)


def plugins(registry: Registry) -> Iterator[Check]:
    """What loads, what does not, and which keys the environment has."""
    from voxray.cli.providers import one_line, present

    names = sorted({it.plugin for it in registry.registered()} - {"voxray"})
    yield Check(
        "plugins", OK if names else NOTE, ", ".join(names) or "none is installed; try: pip install voxray-openai"
    )
    for broken in registry.broken:
        yield Check("plugins", PROBLEM, f"{broken.name} ({broken.distribution}) is broken: {one_line(broken.error)}")
    secrets = {secret.env: secret for it in registry.registered() for secret in it.spec.secrets}
    found = sorted(name for name, secret in secrets.items() if present(secret))
    yield Check("keys", OK if found or not secrets else NOTE, ", ".join(found) or "none in the environment")


def configuration(path: str | None, registry: Registry, *, online: bool) -> Iterator[Check]:
    """The configuration's problems, and what it needs of the machine."""
    from voxray.config.load import check, default_path

    file = path or default_path(os.environ)
    if path is None and not os.path.exists(file):
        yield Check("config", NOTE, f"no {file} here; name one to have it checked")
        return
    try:
        settings, problems = check(file, registry, os.environ)
    except OSError as error:
        yield Check("config", PROBLEM, f"{file}: cannot be read: {error.strerror or error}")
        return
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors or settings is None:
        yield Check("config", PROBLEM, f"{file}: {len(errors)} errors; see: voxray validate {file}")
        return
    yield Check("config", OK, f"{file}, {len(problems)} warnings" if problems else file)
    yield from machine(settings)
    yield from vendors(settings, registry, online=online)


def machine(settings: Settings) -> Iterator[Check]:
    """The port and the files of TLS."""
    yield _port(settings.host, settings.port)
    if settings.tls_enable:
        yield _tls(settings.tls_cert_file, settings.tls_key_file)


def _port(host: str, port: int) -> Check:
    import socket

    address = "127.0.0.1" if host in ("", "localhost") else host
    try:
        family, kind, _, _, where = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        return Check("port", PROBLEM, f"{address}:{port}: {error.strerror or error}; is a server running already?")
    return Check("port", OK, f"{address}:{port} is free")


def _tls(certificate: str, key: str) -> Check:
    import ssl

    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        return Check("tls", PROBLEM, f"{certificate} and {key} are no certificate and its key: {error.reason}")
    except OSError as error:
        return Check("tls", PROBLEM, f"{error.filename or certificate}: {error.strerror or error}")
    return Check("tls", OK, certificate)


def vendors(settings: Settings, registry: Registry, *, online: bool) -> Iterator[Check]:
    """Whether everybody the configuration names has a key, and with `online` takes it."""
    from voxray.config.resolve import resolve
    from voxray.config.secrets import Secrets

    secrets = Secrets(settings, registry)
    asked = set()
    for choice in resolve(settings, registry, os.environ).all():
        missing = [it.env for it in choice.spec.secrets if it.required and not secrets.find(choice.name, it)]
        name = f"{choice.spec.kind} {choice.name}"
        if missing:
            yield Check(name, PROBLEM, f"no key; set {' and '.join(missing)}")
        elif online and choice.base_url.startswith("http") and choice.spec.kind in ASKED:
            if (choice.name, choice.base_url) not in asked:
                asked.add((choice.name, choice.base_url))
                yield _asked(name, choice, secrets)
        else:
            yield Check(name, OK, choice.spec.title)


def _asked(name: str, choice: Choice[Any], secrets: Secrets) -> Check:
    """Ask for the list of models: cheap, and most vendors have it."""
    import httpx

    url = f"{choice.base_url.rstrip('/')}/models"
    try:
        status = httpx.get(url, headers=_headers(choice, secrets), timeout=ONLINE_SECS).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Check(name, PROBLEM, f"{url}: {type(error).__name__}: {error}")
    if status in (401, 403):
        return Check(name, PROBLEM, f"{url}: the key is refused ({status})")
    if status >= 500:
        return Check(name, PROBLEM, f"{url}: {status}")
    if status >= 400:
        return Check(name, NOTE, f"{url}: reachable, but the key could not be checked ({status})")
    return Check(name, OK, f"{url}: {status}")


def _headers(choice: Choice[Any], secrets: Secrets) -> Mapping[str, str]:
    """The key in the two headers that vendors read it from."""
    key = next((it for it in choice.spec.secrets if it.key == "api_key"), None)
    value = secrets.find(choice.name, key) if key else None
    return {"Authorization": f"Bearer {value.reveal()}", "X-API-Key": value.reveal()} if value else {}
