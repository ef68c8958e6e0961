"""What Prometheus comes for."""

from __future__ import annotations

import anyio

from voxray.server.envelope import Receive, Scope, Send
from voxray.server.metrics import CONTENT_TYPE, Metrics
from voxray.server.routes.endpoint import Doc, Endpoint


def metrics_endpoint(metrics: Metrics) -> Endpoint:
    async def get(scope: Scope, receive: Receive, send: Send) -> None:
        # Counted when somebody asks: walking all tasks takes milliseconds at a hundred calls.
        metrics.set("event_loop_tasks", float(len(anyio.get_running_tasks())))
        body = metrics.expose() if metrics.enabled else b""
        headers = [(b"content-type", CONTENT_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        if not metrics.enabled:
            headers = []
        await send({"type": "http.response.start", "status": 200 if metrics.enabled else 204, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    doc = Doc(
        summary="Metrics in Prometheus' text format",
        tags=("operations",),
        responses={200: ("The metrics", {"type": "string"}), 204: ("Metrics are switched off", None)},
        produces="text/plain",
        enveloped=False,
    )
    return Endpoint(name="metrics", path="/metrics", handlers={"GET": get}, docs={"GET": doc})
