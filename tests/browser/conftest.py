"""A running app and a browser for the journeys."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.chromium import chromium

ROOT = Path(__file__).parents[2]
START_SECONDS = 120


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


def wait_until_served(url: str, process: subprocess.Popen[bytes]) -> None:
    """Until the app answers."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.URLError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail("the app did not start")
            time.sleep(0.2)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of the app, started as a user starts it."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "app.py", "--port", str(port)], cwd=ROOT)
    url = f"http://127.0.0.1:{port}/"
    try:
        wait_until_served(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(server: str, browser: Browser) -> Iterator[Page]:
    """The page, loaded and ready. A script error, or a request to anywhere else, fails the test that caused it."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(60_000)
    errors: list[str] = []
    outside: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith((server, "data:", "blob:")) else outside.append(request.url),
    )
    page.goto(server)
    page.wait_for_selector(".lab-sidebar[data-state=ready]")
    page.wait_for_selector(".lab-forward[data-state=ready]")
    yield page
    context.close()
    assert errors == []
    assert outside == []
