"""A visitor who opens every tab, and presses nothing, has no network asked."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.serving import free_port, wait_until_served

# The app with networks that cannot be asked.
SERVE = """
import sys
from diffusion.networks.denoiser import NetworkDenoiser
def ask(*_): raise RuntimeError("a network was asked")
NetworkDenoiser.__call__ = ask
import app
sys.argv = ["app.py", "--port", sys.argv[1]]
app.main()
"""


@pytest.fixture
def unasked(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of the app, and what it complains of."""
    port, log = free_port(), tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen([sys.executable, "-c", SERVE, str(port)], stderr=file)
    url = f"http://127.0.0.1:{port}/"
    try:
        wait_until_served(url, process)
        yield url, log
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_opening_every_tab_asks_no_network(unasked: tuple[str, Path], browser: Browser) -> None:
    url, log = unasked
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(url)
    page.wait_for_selector(".lab-sidebar[data-state=ready]")
    names = page.get_by_role("tab").all_inner_texts()
    for name in [*names, "Reverse"]:
        page.get_by_role("tab", name=name, exact=True).first.click()
    page.wait_for_selector(".lab-reverse[data-state=ready][data-run=opening]")
    # One t: the player stands at the frame that is nearest to the page's.
    expect(page.locator("[data-reading=t]")).to_have_text("300 of 1000")
    expect(page.locator(".lab-reverse .lab-readout")).to_have_text("t = 300 → 200")
    page.wait_for_selector("#lab-branch-view .lab-whatif[data-state=done]")
    page.get_by_role("tab", name="Loss").click()
    page.wait_for_selector(".lab-seen[data-state=ready]")
    page.close()
    # Nor does a link, and a choice of what is to be drawn.
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{url}#tab=reverse&network=emoji-sets")
    page.wait_for_selector(".lab-composing[data-state=done]")
    page.get_by_role("combobox", name="concept").fill("fox")
    page.keyboard.press("Enter")
    page.locator(".lab-told-grid img").nth(3).click()
    page.locator(".lab-composing .lab-face").nth(1).click()
    expect(page.locator(".lab-composing-seen figure")).to_have_count(8)
    expect(page.locator(".lab-composing")).to_have_attribute("data-state", "blank")
    page.close()
    assert "a network was asked" not in log.read_text()
