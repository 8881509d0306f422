"""`python -m benchmarks.crowd`: five browsers sample at once, and another drags the schedule meanwhile.

Each of the five presses Generate for a run of its own, with a seed of its own; two runs at a time call the network,
the others wait. A sixth, in a process of its own, moves the slider of beta_T on its Schedule tab, as
`benchmarks.schedule_drag` does, first with nobody else at work ("alone"), then beside the five ("crowd", for so many
"seconds"). All share this machine's cores: the network, the server and the painting of all six pages. "finished" counts
the runs that ended with the images of their own seed; "first" and "last" are when the first and the last of them did.
JSON on the last line, times of moves in milliseconds, of runs in seconds.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from playwright.sync_api import Browser, Page

from benchmarks.schedule_drag import measure, opened
from tests.chromium import chromium, launch
from ui.demo import build_demo, launch_options

BROWSERS = 5
RUN = "document.querySelector('.lab-reverse')?.dataset.run"


def visit(browser: Browser, url: str, seed: int) -> Page:
    """A browser of its own, with the Reverse tab open and its controls set."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(600_000)
    page.goto(url)
    page.get_by_role("tab", name="Reverse", exact=True).click()
    page.wait_for_function(RUN)
    page.fill("#lab-seed textarea, #lab-seed input", str(seed))
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100, help="of each run of 20 digits")
    parser.add_argument("--moves", type=int, default=60)
    args = parser.parse_args()
    moves = [500 + 3 * abs(k % 80 - 40) for k in range(args.moves)]
    drags = [list(range(500, 560))]
    demo = build_demo()
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    seeds = [1000 * k for k in range(1, BROWSERS + 1)]
    with chromium() as browser:
        dragging = opened(browser, f"{url}#tab=Schedule", "ours")
        result: dict[str, Any] = {"alone": measure(dragging, "ours", moves, drags)}
        crowd = launch(browser.browser_type)
        pages = [visit(crowd, url, seed) for seed in seeds]
        before = [page.evaluate(RUN) for page in pages]
        started = time.monotonic()
        for page in pages:
            page.fill("#lab-steps input", str(args.steps))
            page.click("#lab-generate")
        result["crowd"] = measure(dragging, "ours", moves, drags)
        result["crowd"]["seconds"] = round(time.monotonic() - started, 1)
        times = []
        for page, old in zip(pages, before, strict=True):
            page.wait_for_function(f"old => {RUN} !== old", arg=old)
            times.append(round(time.monotonic() - started, 1))
        own = [page.evaluate(RUN).startswith(f"{seed}-") for page, seed in zip(pages, seeds, strict=True)]
        result |= {"browsers": BROWSERS, "finished": sum(own), "first": min(times), "last": max(times)}
        crowd.close()
    demo.close()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
