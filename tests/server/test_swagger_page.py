"""The page that shows the API's documents: complete without any other site, and usable."""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, async_playwright

from tests.demo.browser import CHROMIUM, need_chromium
from tests.server.serving import serving

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", ["/swagger/", "/swagger/index.html"])
async def test_the_page_is_served_with_a_policy_that_trusts_its_own_files_only(path: str) -> None:
    async with serving() as server:
        answer = await server.http.get(path)
        head = await server.http.head(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == answer.headers["content-length"]


async def test_without_its_slash_the_page_is_redirected_to_relatively() -> None:
    async with serving() as server:
        answer = await server.http.get("/swagger")
        followed = await server.http.get("/swagger", follow_redirects=True)
    assert (answer.status_code, answer.headers["location"]) == (308, "swagger/")
    assert followed.url.path == "/swagger/"
    assert followed.status_code == 200


@pytest.mark.parametrize("name", ["nothing.js", "..%2F__init__.py", "swagger-editor.js", "%2Fetc%2Fpasswd"])
async def test_the_page_has_no_other_files(name: str) -> None:
    async with serving() as server:
        answer = await server.http.get(f"/swagger/{name}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "NOT_FOUND"


async def test_both_documents_can_be_read_and_tried_in_a_browser() -> None:
    need_chromium()
    async with serving() as server, async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        try:
            page = await browser.new_page()
            asked, complaints = watched(page)
            await page.goto(f"http://127.0.0.1:{server.port}/swagger/")
            await page.wait_for_selector("#operations-health-healthGet")
            listed = await page.locator(".download-url-wrapper option").all_inner_texts()
            answer = await tried(page, "#operations-health-healthGet")
            await page.locator(".download-url-wrapper select").select_option(label=listed[1])
            await page.wait_for_selector("#operations-operations-metricsGet")
            metrics = await tried(page, "#operations-operations-metricsGet")
        finally:
            await browser.close()
    assert listed == ["/api/v1", "without a version"]
    assert '"status": "ok"' in answer
    assert "http_requests_total" in metrics
    assert complaints == []
    assert {urlsplit(url).hostname for url in asked if not url.startswith("data:")} == {"127.0.0.1"}


async def test_the_packages_files_are_served_without_importing_it() -> None:
    async with serving() as server:
        answer = await server.http.get("/swagger/swagger-ui-bundle.js")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "max-age=3600"
    assert len(answer.content) > 1_000_000
    assert "swagger_ui" not in sys.modules


def watched(page: Page) -> tuple[list[str], list[str]]:
    """The addresses that the page asks for, and what the browser complains about."""
    asked: list[str] = []
    complaints: list[str] = []

    def log(message: Any) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    page.on("request", lambda request: asked.append(request.url))
    page.on("console", log)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return asked, complaints


async def tried(page: Page, operation: str) -> str:
    """Open an operation, send its request, and return the answer's body as shown."""
    await page.locator(f"{operation} .opblock-summary-control").click()
    await page.locator(f"{operation} .try-out__btn").click()
    await page.locator(f"{operation} .execute").click()
    shown = page.locator(f"{operation} .live-responses-table .response-col_description .highlight-code").first
    return await shown.inner_text()
