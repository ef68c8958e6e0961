"""Schemathesis against a whole server: what the API's documents promise holds for whatever a client sends."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from tests.server.everything import KEY, everything

pytestmark = pytest.mark.anyio

MOST_SECS = 100.0  # for one document; a few seconds are usual

# Sockets answer what HTTP cannot ask for: tests/fuzz/test_ws_fuzz.py sends them rubbish.
# A redirect is an answer of its own.
OPTIONS = f"""
seed = 1
continue-on-failure = true
max-redirects = 0
[generation]
deterministic = true
database = "none"
max-examples = 8
no-shrink = true
[phases.stateful]
enabled = false
[parameters]
"path.session_id" = "SESSION"
[auth.openapi]
apiKey = {{ api_key = "{KEY}" }}

[[operations]]
include-path-regex = "/ws(-client)?$"
enabled = false

# What carriers send is theirs to say: the document asks for an object only, and one that is no webhook is 400.
[[operations]]
include-path-regex = "^/(telephony/.*)?$"
[operations.checks.positive_data_acceptance]
enabled = false
[operations.checks.negative_data_rejection]
enabled = false

# A service that tries the address need not say more than that.
[[operations]]
include-path = "/daily-dialin-webhook"
[operations.checks.negative_data_rejection]
enabled = false

# The same Idempotency-Key gets the same answer, whatever the body.
[[operations]]
include-path = "/start"
[operations.checks.negative_data_rejection]
enabled = false

# Carriers cannot place calls without credentials.
[[operations]]
include-path = "/calls"
[operations.checks.positive_data_acceptance]
enabled = false

# 2.0 cannot say that 204 has no content where errors have some; and candidates that make no sense are skipped.
[[operations]]
include-method = "PATCH"
[operations.checks.content_type_conformance]
enabled = false
[operations.checks.negative_data_rejection]
enabled = false
"""


@pytest.mark.parametrize("document", ["doc.json", "unversioned.json"])
async def test_every_answer_is_one_that_the_document_promises(document: str, tmp_path: Path) -> None:
    async with everything() as server:
        started = await server.http.post("/start", headers={"X-API-Key": KEY})
        options = OPTIONS.replace("SESSION", started.json()["sessionId"])
        (tmp_path / "schemathesis.toml").write_text(options, encoding="utf-8")
        address = f"http://127.0.0.1:{server.port}/swagger/{document}"
        command = [sys.executable, "-m", "schemathesis.cli", "run", address, "--no-color"]
        with anyio.fail_after(MOST_SECS):
            ran = await anyio.run_process(command, cwd=tmp_path, check=False, stderr=subprocess.STDOUT)
        counted = (await server.http.get("/metrics")).text
    report = ran.stdout.decode()
    assert ran.returncode == 0, report
    generated = re.search(r"(\d+) generated", report)
    assert generated is not None, report
    assert int(generated[1]) > 300
    assert 'error_type="4xx"' in counted
    assert 'error_type="5xx"' not in counted
