"""`python -m benchmarks.opening`: from `python app.py` to a server that answers, and from an address to a picture.

Three times in turns: the app is started, beside a bare import of the packages that it needs, and a browser that has
never been there opens its first tab, then the Reverse tab by its link. "picture" is when the first has drawn its
photo, "run" when the second has drawn the run that it opens with, after the address was entered. JSON on the last
line, times in seconds; medians.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from typing import Any

from playwright.sync_api import Browser

from benchmarks.load import print_result
from tests.chromium import chromium
from tests.serving import free_port, wait_until_served
from ui.files import ASSETS

IMPORTS = "import torch, gradio, plotly.graph_objects"
# When a canvas first shows something, in milliseconds since the address was entered.
WATCH = """(() => {
  const look = () => {
    for (const [name, selector] of Object.entries({ picture: '.lab-forward .lab-figure-xt canvas',
                                                    run: '.lab-reverse[data-run=opening] canvas' })) {
      const canvas = document.querySelector(selector);
      if (name in window.seen || !canvas?.checkVisibility()) continue;
      const { width, height } = canvas;
      const [, , , alpha] = canvas.getContext('2d').getImageData(width >> 1, height >> 1, 1, 1).data;
      if (alpha) window.seen[name] = performance.now();
    }
    requestAnimationFrame(look);
  };
  window.seen = {};
  look();
})()"""


def seconds_to_import() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
    return time.perf_counter() - started


def seconds_to_see(browser: Browser, url: str, name: str) -> float:
    """In a browser that was never there."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(url)
    page.wait_for_function("name => window.seen[name]", arg=name)
    found = float(page.evaluate("name => window.seen[name]", name)) / 1000
    context.close()
    return found


def open_once(browser: Browser) -> dict[str, float]:
    """One start of the app, and the first visits of both tabs."""
    found, port = {"imports": seconds_to_import()}, free_port()
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, ASSETS.parent / "app.py", "--port", str(port)], stdout=subprocess.DEVNULL
    ) as app:
        try:
            url = f"http://127.0.0.1:{port}/"
            wait_until_served(url, app)
            found["start"] = time.perf_counter() - started
            found["picture"] = seconds_to_see(browser, url, "picture")
            found["run"] = seconds_to_see(browser, f"{url}#tab=reverse", "run")
        finally:
            app.terminate()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="(default: %(default)s)")
    args = parser.parse_args()
    with chromium() as browser:
        rounds = [open_once(browser) for _ in range(args.repeats)]
    result: dict[str, Any] = {name: round(statistics.median(r[name] for r in rounds), 2) for name in rounds[0]}
    result["start_to_imports"] = round(statistics.median(r["start"] / r["imports"] for r in rounds), 2)
    print_result(result)


if __name__ == "__main__":
    main()
