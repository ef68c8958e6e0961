"""What a refusal means."""

import json

import pytest

from voxray.errors import ProviderRefused, ProviderUnavailable
from voxray.wire.status import excerpt, from_status, retry_after_secs, sdk_transport_errors


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_passing_trouble_is_unavailable(status: int) -> None:
    assert isinstance(from_status("acme", status), ProviderUnavailable)


@pytest.mark.parametrize("status", [301, 400, 401, 402, 403, 404, 413, 422])
def test_our_own_fault_is_refused(status: int) -> None:
    error = from_status("acme", status)
    assert isinstance(error, ProviderRefused)
    assert error.status == status


@pytest.mark.parametrize("code", ["insufficient_quota", "quota_exceeded", "Insufficient balance"])
def test_a_429_for_want_of_money_is_refused(code: str) -> None:
    body = json.dumps({"error": {"message": "You are out.", "code": code}})
    error = from_status("acme", 429, body)
    assert isinstance(error, ProviderRefused)
    assert str(error) == "acme: answered 429: You are out.; the account's quota or balance is used up"


def test_the_vendors_message_is_quoted_short_and_without_keys() -> None:
    body = json.dumps({"detail": "Bad key sk-proj-abcd****wxyz and my secret " + "x y " * 200})
    text = str(from_status("acme", 401, body, hidden=("my secret",)))
    assert "abcd" not in text
    assert "my secret" not in text
    assert len(text) < 380


def test_an_excerpt_is_one_line_of_at_most_300_characters() -> None:
    assert excerpt("a\n b\tBearer abcdefgh") == "a b [key]"
    assert len(excerpt("word " * 200)) == 300


@pytest.mark.parametrize(
    ("headers", "secs"),
    [
        ({"Retry-After": "2"}, 2),
        ({"retry-after": "9", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Fri, 20 Nov 2026 10:00:05 GMT", "date": "Fri, 20 Nov 2026 10:00:00 GMT"}, 5),
        ({"retry-after": "Fri, 20 Nov 2020 10:00:05 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_retry_after_in_all_its_forms(headers: dict[str, str], secs: float | None) -> None:
    assert retry_after_secs(headers) == secs


def test_sdks_may_raise_either_generation_of_httpx() -> None:
    assert [error.__module__.split(".")[0] for error in sdk_transport_errors()] == ["httpx", "httpx2"]
