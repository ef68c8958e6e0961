"""Answers that are given again."""

from __future__ import annotations

import pytest

from voxray.server.idempotency import Idempotency

pytestmark = pytest.mark.anyio


class Counting:
    def __init__(self) -> None:
        self.made = 0

    async def __call__(self) -> bytes:
        self.made += 1
        return str(self.made).encode()


async def test_owners_do_not_see_each_others_answers() -> None:
    make, answers = Counting(), Idempotency()
    assert await answers.answer("one", "key", make) == b"1"
    assert await answers.answer("two", "key", make) == b"2"
    assert await answers.answer("one", "key", make) == b"1"
    assert await answers.answer("onek", "ey", make) == b"3"


async def test_answers_are_forgotten_when_their_time_is_over() -> None:
    make, answers = Counting(), Idempotency(keep_secs=0)
    await answers.answer("", "a", make)
    assert await answers.answer("", "a", make) == b"2"
    await answers.answer("", "b", make)
    assert len(answers) == 1


async def test_the_oldest_go_when_there_are_too_many() -> None:
    make, answers = Counting(), Idempotency(max_answers=3)
    for key in "abcd":
        await answers.answer("", key, make)
    assert len(answers) == 3
    assert await answers.answer("", "d", make) == b"4"
    assert await answers.answer("", "a", make) == b"5"


async def test_nothing_is_left_of_what_failed() -> None:
    answers = Idempotency()

    async def fail() -> bytes:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        await answers.answer("", "a", fail)
    assert len(answers) == 0
