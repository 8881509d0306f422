"""The page under a thumb: touch, a narrow screen, and what hands do to it by accident."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_journeys import SLIDER, open_tab, wait_for_run


@pytest.fixture
def phone(server: str, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(server)
    page.wait_for_selector(".lab-forward[data-state=ready]")
    yield page
    context.close()


def on_screen(page: Page, selector: str) -> bool:
    """Whether all of an element is in sight."""
    box = page.locator(selector).first.bounding_box()
    return box is not None and box["y"] >= 0 and box["y"] + box["height"] <= 844


def test_generate_and_its_pictures_lie_on_one_screen(phone: Page) -> None:
    open_tab(phone, "Reverse")
    before = wait_for_run(phone, None)
    seen = ("#lab-generate", "#lab-stop", ".lab-traj-xt", ".lab-traj-pred")
    assert all(on_screen(phone, selector) for selector in seen)
    # Down among the controls the button is still there, and pressing it brings the pictures back.
    phone.fill("#lab-steps input", "4")
    phone.locator("#lab-steps").evaluate("node => node.scrollIntoView({ block: 'center' })")
    assert on_screen(phone, "#lab-generate") and not on_screen(phone, ".lab-traj-xt")
    phone.click("#lab-generate")
    wait_for_run(phone, before)
    assert all(on_screen(phone, selector) for selector in seen)


def test_refusal_is_said_beside_the_button(phone: Page) -> None:
    open_tab(phone, "Reverse")
    wait_for_run(phone, None)
    phone.fill("#lab-steps input", "0")
    phone.click("#lab-generate")
    expect(phone.locator("#lab-steps-message")).to_contain_text("between 1 and T = 1000")
    assert on_screen(phone, "#lab-steps-message")


def swipe(page: Page, across: float, down: float) -> None:
    """A finger put down on the slider of t, three fifths along it, and moved."""
    slider = page.locator(SLIDER)
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box is not None
    x, y = box["x"] + 0.6 * box["width"], box["y"] + box["height"] / 2
    touch = page.context.new_cdp_session(page)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for i in range(1, 11):
        point = {"x": x + across * i / 10, "y": y + down * i / 10}
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
        page.wait_for_timeout(20)  # as a finger does
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_vertical_swipe_over_a_slider_scrolls_and_leaves_it(phone: Page) -> None:
    before = phone.evaluate("scrollY")
    swipe(phone, across=3, down=-150)
    phone.wait_for_function(f"scrollY > {before}")
    assert phone.input_value(SLIDER) == "300"
    phone.wait_for_selector(".lab-forward[data-t='300']")


def test_sideways_drag_moves_the_slider(phone: Page) -> None:
    swipe(phone, across=-40, down=0)
    phone.wait_for_function("+document.querySelector('.lab-forward').dataset.t < 300")
