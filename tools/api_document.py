"""The API's document as a file: of a server with everything that this repository has switched on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from typing import Any

import anyio
import httpx

from tools.http_pages import HTTP_ERRORS, HTTP_INTRODUCTION
from tools.reference_pages import table
from tools.source import plugin_folders

PLACEHOLDER = "x"  # for secrets without which a part does not begin


def openapi() -> str:
    """What `/swagger/doc.json` answers there: the paths below /api/v1, and in `x-unversioned-paths` the others."""
    return json.dumps(document(), indent=2, ensure_ascii=False)


@cache
def document() -> Any:
    return anyio.run(_served)


def http() -> str:
    """The page about all routes."""
    made = document()
    parts = [HTTP_INTRODUCTION]
    for tag in made["tags"]:
        rows = [row for row in _rows(made) if row[0] == tag["name"]]
        if rows:
            parts.append(f"## {tag['name'].capitalize()}\n\n{tag['description']}.\n")
            parts.append(table(("route", "what for", "key", "answers"), [row[1:] for row in rows]))
    parts.append("## Errors\n")
    parts.append(HTTP_ERRORS + table(("code", "status"), _codes()))
    return "\n".join(parts)


def _rows(made: Any) -> Iterator[tuple[str, ...]]:
    """Tag, route with its other names, summary, key and statuses of each operation, once."""
    found: dict[tuple[str, str], tuple[list[str], Any]] = {}
    for prefix, paths in ((made["basePath"], made["paths"]), ("", made["x-unversioned-paths"])):
        for path, item in paths.items():
            for method, operation in item.items():
                if method != "options":
                    key = (method, operation["operationId"].removesuffix("Plain"))
                    found.setdefault(key, ([], operation))[0].append(prefix + path)
    for (method, _), (paths, operation) in found.items():
        routes = "<br>".join(f"`{method.upper()} {path}`" for path in paths)
        answers = ", ".join(status for status in operation["responses"] if status not in ("408", "500"))
        yield operation["tags"][0], routes, operation["summary"], "yes" if "security" in operation else "", answers


def _codes() -> Iterator[tuple[str, str]]:
    from voxray.server.envelope import ErrorCode

    return ((f"`{code.name}`", str(code.status)) for code in ErrorCode)


async def _served() -> Any:
    from voxray.config.settings import Settings
    from voxray.registry import Registry
    from voxray.server.app import create_app
    from voxray.server.runtime import open_runtime
    from voxray.specs import CarrierSpec, RoomsSpec

    own = {folder.name.removeprefix("voxray-").replace("-", "_") for folder in plugin_folders()}
    entries = sorted((it for it in entry_points(group="voxray") if it.name in own), key=lambda it: it.name)
    registry = Registry.load(only=[], entries=entries)
    rooms = registry.specs(RoomsSpec)
    needed = {secret.env for spec in rooms for secret in spec.secrets if secret.required}
    carriers = sorted(spec.name for spec in registry.specs(CarrierSpec))
    settings = replace(
        Settings(),
        transport="both",
        runner_transport=(*carriers, *sorted({name for spec in rooms for name in spec.enabled_by})),
        dialin=True,
    )

    def lookup(name: str) -> str | None:
        return PLACEHOLDER if name in needed else None

    async with open_runtime(settings, registry, env={}, lookup=lookup) as runtime:
        transport = httpx.ASGITransport(create_app(runtime))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            return (await http.get("/swagger/doc.json")).raise_for_status().json()
