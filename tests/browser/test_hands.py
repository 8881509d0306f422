"""A fox in OpenMoji's hand, asked for on the page as a person would, and a thing in a hand that never drew it."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.test_journeys import open_tab, pixels, wait_for_run


def choose_nine_hands(page: Page) -> str:
    """Choose the network; the key of the run that is shown."""
    open_tab(page, "Reverse")
    opening = wait_for_run(page, None)
    page.locator("#lab-network input").click()
    page.get_by_role("option", name="Emoji in nine hands", exact=True).click()
    page.wait_for_selector(".lab-told[data-network=emoji-sets]")
    return opening


def test_a_fox_is_found_by_typing_and_drawn_in_the_hand_that_its_picture_shows(page: Page) -> None:
    opening = choose_nine_hands(page)
    concept = page.get_by_role("combobox", name="concept")
    concept.fill("fo")
    first = page.get_by_role("listbox", name="concept").get_by_role("option").first
    expect(first).to_have_text(re.compile("^fox"))
    concept.press("Enter")
    expect(concept).to_have_value("fox")
    kind = page.get_by_role("combobox", name="kind")
    expect(kind).to_be_disabled()
    expect(kind).to_have_value("animal mammal")
    openmoji = page.get_by_role("radio", name="openmoji")
    page.locator(".lab-told-grid label", has=openmoji).locator("img").click()
    expect(openmoji).to_be_checked()
    page.wait_for_function("decodeURIComponent(location.hash).includes('class=concept=fox,+style=openmoji')")
    page.fill("#lab-steps input", "4")
    assert page.get_attribute(".lab-reverse", "data-run") == opening  # nothing was drawn before this
    page.click("#lab-generate")
    wait_for_run(page, opening)
    red, _, blue = pixels(page, ".lab-traj-xt").transpose(2, 0, 1)
    assert (red > blue + 40).mean() > 0.1  # foxes, on white
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.locator("#lab-pick-concept")).to_have_value("fox", timeout=60_000)
    expect(other.get_by_role("radio", name="openmoji")).to_be_checked()
    other.close()


def test_lists_are_used_by_keys_alone(page: Page) -> None:
    choose_nine_hands(page)
    concept = page.get_by_role("combobox", name="concept")
    concept.focus()
    page.keyboard.press("ArrowDown")  # opens it where it stands, at "all in turn"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(concept).to_have_value("any")
    concept.fill("no such thing")
    expect(page.locator(".lab-pick-more:visible")).to_contain_text("No concept has “no such thing”")
    page.keyboard.press("Escape")
    expect(concept).to_have_value("any")
    concept.fill("Pizza")
    page.keyboard.press("Tab")  # a name that was typed whole is meant
    expect(concept).to_have_value("pizza")
    page.get_by_role("radio", name="any").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="all in turn")).to_be_checked()
    page.wait_for_function("decodeURIComponent(location.hash).includes('concept=pizza,+style=all+in+turn')")


def test_a_pair_that_it_never_saw_is_drawn_beside_the_real_one(page: Page) -> None:
    choose_nine_hands(page)
    root = page.locator(".lab-composing")
    expect(root).to_have_attribute("data-state", "done")  # drawn beforehand
    expect(root.get_by_role("status")).to_contain_text("Drawn beforehand")
    root.get_by_role("button", name="automobile by openmoji").click()
    expect(root).to_have_attribute("data-state", "blank")
    expect(root.locator(".lab-composing-seen figure")).to_have_count(8)
    page.click("#lab-compose")
    expect(root).to_have_attribute("data-state", "done", timeout=60_000)
    expect(root.get_by_role("status")).to_contain_text("DDIM, 50 steps, guidance 2")
    assert pixels(page, ".lab-composing canvas >> nth=0").std() > 20
    expect(root.get_by_role("row")).to_have_count(3)
    page.locator("#lab-network input").click()
    page.get_by_role("option", name="Handwritten digits", exact=True).click()
    expect(root).to_be_hidden()
    expect(page.locator(".lab-told select")).to_be_visible()
