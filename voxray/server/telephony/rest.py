"""Requests to carriers' REST APIs: sent in the background, tried again, reported when they fail."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

import anyio
import httpx

from voxray.errors import ProviderProtocolError, ProviderUnavailable
from voxray.protocols.carrier import CarrierRequest
from voxray.server.metrics import Metrics

logger = logging.getLogger(__name__)

TRIES = 4
FIRST_WAIT_SECS = 0.5
REQUEST_SECS = 10.0
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class CarrierApi:
    """One carrier's REST API."""

    def __init__(self, carrier: str, http: httpx.AsyncClient, metrics: Metrics) -> None:
        self._carrier = carrier
        self._http = http
        self._metrics = metrics

    async def send(self, request: CarrierRequest, *, purpose: str) -> Mapping[str, object]:
        """Send until it succeeds; returns the answer's JSON object, {} if there is none.

        Raises:
            ProviderUnavailable: it did not succeed in four tries.
            ProviderProtocolError: refused.
        """
        wait = FIRST_WAIT_SECS
        for attempt in range(1, TRIES + 1):
            try:
                with anyio.fail_after(REQUEST_SECS):
                    answer = await self._http.request(
                        request.method,
                        request.url,
                        headers={**request.headers, **(FORM if request.form else {})},
                        content=urlencode(request.form).encode() if request.form else None,
                        json=request.json,
                    )
            except (httpx.HTTPError, TimeoutError) as error:
                problem = f"{urlsplit(request.url).hostname}: {type(error).__name__}"
            else:
                if answer.is_success or answer.status_code in request.gone:
                    self._metrics.count("carrier_requests_total", self._carrier, purpose, "success")
                    return _object(answer)
                problem = f"HTTP {answer.status_code}"
                if answer.status_code < 500 and answer.status_code not in (408, 409, 425, 429):
                    self._metrics.count("carrier_requests_total", self._carrier, purpose, "refused")
                    raise ProviderProtocolError(self._carrier, f"{purpose} was refused: {problem}")
            if attempt < TRIES:
                await anyio.sleep(wait)
                wait *= 2
        self._metrics.count("carrier_requests_total", self._carrier, purpose, "failed")
        raise ProviderUnavailable(self._carrier, f"{purpose} failed {TRIES} times: {problem}")

    async def try_send(self, request: CarrierRequest, *, purpose: str, call_id: str) -> None:
        """The same in the background: a failure is logged."""
        try:
            await self.send(request, purpose=purpose)
        except (ProviderUnavailable, ProviderProtocolError) as error:
            logger.error("a carrier request failed", extra={"error": str(error), "call_id": call_id})


def _object(answer: httpx.Response) -> Mapping[str, object]:
    try:
        parsed = answer.json()
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
