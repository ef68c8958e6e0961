"""What the package declares."""

import subprocess
import sys

import httpx
import pytest
import voxray_openai

from voxray.registry import make
from voxray.wire.context import Context

SPECS = voxray_openai.voxray_register_providers()


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.kind}-{spec.name}")
def test_each_spec_builds_its_provider(spec: object) -> None:
    context = Context("openai", http=httpx.AsyncClient(), secrets=lambda key: "k", base_url=spec.base_url)  # type: ignore[attr-defined]
    assert make(spec, context, {}) is not None  # type: ignore[arg-type]


def test_declaring_imports_no_sdk() -> None:
    code = (
        "import sys, voxray_openai; voxray_openai.voxray_register_providers();"
        "print({'openai', 'httpx', 'anyio', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_importing_a_provider_brings_the_sdk_along_before_the_first_call() -> None:
    code = (
        "import httpx, sys; from voxray.plugin import Quirks; from voxray.wire.context import Context;"
        "from voxray_openai.chat import ChatCompletions;"
        "c = Context('o', http=httpx.AsyncClient(), secrets=lambda k: 'k', base_url='http://127.0.0.1:9/v1');"
        "ChatCompletions(c, quirks=Quirks(), model='m'); print('openai.resources.chat.completions' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
