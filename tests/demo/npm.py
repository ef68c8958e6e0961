"""Packages from npm for tests in the browser: installed once, in exactly the versions of a lock file."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "voxray-tests"
INSTALL = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]


def bundled(folder: Path, script: str) -> str:
    """`script` with all it imports from the packages of `folder`, as one script for a page."""
    packages = installed(folder)
    with tempfile.TemporaryDirectory(dir=packages) as work:  # beside node_modules, where imports are looked up
        source, made = Path(work) / "source.js", Path(work) / "bundle.js"
        source.write_text(script, encoding="utf-8")
        command = ["node_modules/.bin/esbuild", str(source), "--bundle", f"--outfile={made}"]
        subprocess.run([*command, "--log-level=error"], cwd=packages, check=True)
        return made.read_text(encoding="utf-8")


def installed(folder: Path) -> Path:
    """Where the packages of `folder` are."""
    lock = (folder / "package-lock.json").read_bytes()
    target = CACHE / hashlib.sha256(lock).hexdigest()[:16]
    if target.exists():
        return target
    if shutil.which("npm") is None:
        _missing("npm is needed: apt-get install npm")
    CACHE.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=CACHE))
    for name in ("package.json", "package-lock.json"):
        shutil.copy(folder / name, work)
    done = subprocess.run(INSTALL, cwd=work, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        shutil.rmtree(work)
        _missing(f"npm could not install the packages: {done.stderr[-500:]}")
    try:
        work.rename(target)
    except OSError:  # another run was faster
        shutil.rmtree(work)
    return target


def _missing(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
