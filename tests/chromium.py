"""The browser that tests and benchmarks drive."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserType, sync_playwright


def launch(kind: BrowserType) -> Browser:
    """Headless Chromium, a process of its own: the system's if there is one, else Playwright's."""
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next((path for path in map(shutil.which, names) if path), None)
    return kind.launch(
        executable_path=executable, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    )


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser for as long as it is needed."""
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        yield browser
        browser.close()
