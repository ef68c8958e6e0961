"""News that carriers tell of their calls, in the log and the numbers."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import httpx
import pytest

from voxray.builtin.memory_store import MemoryStore
from voxray.config.settings import TelephonySettings
from voxray.protocols.carrier import CallEvent, StreamOffer, Webhook, WebhookAnswer
from voxray.server.metrics import Metrics
from voxray.server.telephony.lines import Lines, Origin

pytestmark = pytest.mark.anyio


class Talkative:
    """A carrier whose webhooks are all news."""

    name = "talkative"

    def __init__(self, event: CallEvent) -> None:
        self._event = event

    def refusal(self, webhook: Webhook) -> str:
        return ""

    def answer(self, webhook: Webhook, offer: StreamOffer) -> WebhookAnswer:
        return WebhookAnswer(event=self._event)


@pytest.mark.parametrize(
    ("kind", "counted"),
    [
        ("status", "status"),
        ("machine", "machine"),
        ("stream", "stream"),
        ("ended", "ended"),
        ("made-up-7", "other"),
        ("", "other"),
    ],
)
async def test_kinds_of_news_are_counted_under_known_names(
    kind: str, counted: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    metrics = Metrics()
    carrier: Any = Talkative(CallEvent(call_id="c" * 5000, kind=kind, value="v" * 5000))
    async with httpx.AsyncClient() as http, anyio.create_task_group() as tasks:
        store = MemoryStore(None)
        lines = Lines([carrier], TelephonySettings(), store, http, metrics, tasks, refusal=lambda: "")
        await lines.answer(carrier, Webhook(method="POST", url="https://x/"), Origin("https", "x"))
    assert f'carrier_events_total{{carrier="talkative",kind="{counted}"}} 1' in metrics.expose().decode()
    (news,) = [record for record in caplog.records if record.getMessage() == "news of a phone call"]
    assert news.__dict__["kind"] == counted
    assert len(news.__dict__["call_id"]) == len(news.__dict__["value"]) == 100
