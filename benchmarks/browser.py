"""The browser that tests and benchmarks drive, and how long it takes to follow a hand."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from playwright.sync_api import Browser, BrowserType, Page, sync_playwright


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


def figures_of(values: np.ndarray, name: str) -> dict[str, float]:
    """Median and 95th percentile."""
    median, p95 = np.percentile(values, [50, 95])
    return {f"{name}_median": round(float(median), 1), f"{name}_p95": round(float(p95), 1)}


def time_moves(page: Page, moves: list[int], script: str) -> dict[str, Any]:
    """Milliseconds of all moves, each begun at a random moment between two frames.

    ``script`` is called with the move and answers [pixel, painted], two NaN where nothing followed.
    """
    rng = np.random.default_rng(1)
    times = []
    for move in moves:
        page.wait_for_timeout(40 + 30 * rng.random())
        times.append(page.evaluate(script, move))
    seen_at = np.array(times)
    kept = seen_at[~np.isnan(seen_at[:, 0])]
    row: dict[str, Any] = {"moves": len(moves), "lost": len(moves) - len(kept)}
    return row | figures_of(kept[:, 0], "pixel") | figures_of(kept[:, 1], "painted")
