"""A browser, the service, and pages opened in it; each page must end without an error or a word to anyone else."""

import os
import re
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.serve.page.service import Service

expect.set_options(timeout=120_000)  # what hangs is ended; nothing is measured by it
NAMES = ("chromium", "chromium-browser", "google-chrome")
STATUS = re.compile(r"Failed to load resource: (the server responded with a status of [45]\d\d|net::ERR_FAILED)")


@pytest.fixture(scope="module")  # while Playwright runs, nothing else in this thread can have an event loop
def browser() -> Iterator[object]:
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have Chromium: apt-get install chromium")
        pytest.skip("no Chromium here: apt-get install chromium, or set CHROMIUM to the program")
    with sync_playwright() as running:
        # Without its own sandbox, for the tests may run as root, and only our own pages are opened.
        opened = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def started(default_path) -> Iterator[Service]:
    import puna

    service = Service(puna.load(default_path))
    yield service
    service.shutdown()
    service.server_close()


@pytest.fixture
def service(started: Service) -> Service:
    started.reset()
    return started


@pytest.fixture
def visit(browser, service: Service) -> Iterator[Callable[..., object]]:
    """Open the page: `visit(path, refused=..., at=..., **context)`.

    `refused`: statuses of 400 and more are expected; `at`: of another service.
    """
    contexts, problems = [], []

    def opened(path: str = "?lang=en", *, context=None, refused: bool = False, at: str = "", **options):
        address = at or service.address
        if context is None:
            context = browser.new_context(
                **{"locale": "en-US", "viewport": {"width": 1280, "height": 860}, **options}
            )
            context.set_default_timeout(120_000)
            contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console",
            lambda said: (
                None
                if said.type not in ("error", "warning") or (refused and STATUS.match(said.text))
                else problems.append(said.text)
            ),
        )
        page.on(
            "request",
            lambda asked: (
                None
                if asked.url.startswith((address, f"blob:{address}"))
                else problems.append(f"asked for {asked.url}")
            ),
        )
        page.goto(address + path)
        page.locator("[data-language][aria-pressed=true]").wait_for()
        return page

    yield opened
    service.hold.set()
    for context in contexts:
        context.close()
    assert problems == []
