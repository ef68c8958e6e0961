"""Shared by all test folders: the event loop of async tests."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
