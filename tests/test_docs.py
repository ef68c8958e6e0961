"""The documentation tells the truth: generated pages are fresh, links lead somewhere, examples work."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from tools.reference import PAGES, stale
from tools.source import ROOT, hidden, shown
from voxray.cli.main import cli

CONFIG_KEYS = set(json.loads((ROOT / "schemas" / "config.schema.json").read_text(encoding="utf-8"))["properties"])


def tracked_files() -> list[Path]:
    """Every text file of the repository that is, or may be, committed."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = listing.stdout.splitlines() if listing.returncode == 0 else [shown(path) for path in ROOT.rglob("*")]
    return [path for name in names if (path := ROOT / name).is_file()]


def pages() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.md") if not hidden(path) and "templates" not in path.parts)


def test_the_generated_pages_are_fresh() -> None:
    assert stale() == [], "run: python -m tools.reference"


def test_every_page_of_the_reference_is_generated() -> None:
    found = {path.stem for path in (ROOT / "docs" / "reference").glob("*.md")}
    assert found - {"README"} == set(PAGES)


@pytest.mark.parametrize("page", pages(), ids=shown)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            wrong.append(target)
    assert not wrong


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def configurations(page: Path) -> list[str]:
    """The ```json and ```yaml blocks that are configurations: objects with at least one key of ours."""
    blocks = re.findall(r"^ *```json\n(.*?)^ *```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    found = []
    for block in blocks:
        data = json.loads(block)
        if isinstance(data, dict) and CONFIG_KEYS & set(data):
            found.append(block)
    return found


# The READMEs of plugins are tested with them; the page of providers shows parts of configurations.
WHOLE = [it for it in pages() if "plugins" not in it.parts and it != ROOT / "docs" / "reference" / "providers.md"]


@pytest.mark.parametrize("page", WHOLE, ids=shown)
def test_examples_are_json_and_configurations_validate(page: Path, tmp_path: Path) -> None:
    for number, example in enumerate(configurations(page)):
        config = tmp_path / f"{number}.json"
        config.write_text(example, encoding="utf-8")
        result = CliRunner().invoke(cli, ["validate", str(config)])
        assert result.exit_code == 0, f"{example}\n{result.output}"


# Written in pieces, so that this file does not name them itself.
FOREIGN = (
    *("py" + "pi.org", "pythonhosted" + ".org", "npm" + "js.org", "deb.debian" + ".org"),
    *("/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "/op" + "t/wheels"),
)


def test_no_file_names_a_registry_or_a_place_on_somebodys_machine() -> None:
    wrong = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        wrong += [f"{shown(path)}: {name}" for name in FOREIGN if name in text]
    assert not wrong, "\n".join(wrong)
