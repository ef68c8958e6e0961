"""When another try is worth the caller's time."""

from __future__ import annotations

import pytest

from voxray.errors import ProviderProtocolError, ProviderRefused, ProviderUnavailable
from voxray.session.retry import LONGEST_WAIT_SECS, retry_delay


def test_tries_are_few_and_soon() -> None:
    error = ProviderUnavailable("acme", "503")
    assert [retry_delay(error, attempt) for attempt in (1, 2, 3, 4)] == [0.1, 0.4, None, None]


@pytest.mark.parametrize("kind", [ProviderRefused, ProviderProtocolError])
def test_what_cannot_help_is_not_tried(kind: type[ProviderRefused]) -> None:
    assert retry_delay(kind("acme", "no"), 1) is None


@pytest.mark.parametrize(("asked", "secs"), [(0.0, 0.0), (LONGEST_WAIT_SECS, LONGEST_WAIT_SECS), (3.1, None)])
def test_a_wait_the_vendor_asks_for_is_honoured_if_a_caller_can_bear_it(asked: float, secs: float | None) -> None:
    assert retry_delay(ProviderUnavailable("acme", "429", retry_after_secs=asked), 1) == secs
