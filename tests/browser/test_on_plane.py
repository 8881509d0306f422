"""The plane, under a hand: points chosen, drawn and uploaded, scrubbed, followed, and samples of them."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_journeys import move, open_tab

CANVAS = ".lab-plane-canvas"
SLIDER = ".lab-planeview .lab-player input[type=range]"


@pytest.fixture
def plane(page: Page) -> Page:
    open_tab(page, "Plane")
    page.wait_for_selector(".lab-planeview[data-run=opening][data-state=ready]")
    return page


def picture(page: Page) -> np.ndarray:
    """What the plane shows when it has been drawn."""
    data = page.eval_on_selector(
        CANVAS,
        """async (canvas) => {
            for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame);
            const probe = new OffscreenCanvas(130, 130).getContext("2d");
            probe.drawImage(canvas, 0, 0, 130, 130);
            return [...probe.getImageData(0, 0, 130, 130).data];
        }""",
    )
    return np.array(data)


def go_to(page: Page, t: int) -> None:
    move(page, SLIDER, t)
    page.wait_for_selector(f".lab-planeview[data-t='{t}']")


def choose(page: Page, pattern: str) -> None:
    page.click(f"[data-pattern={pattern}]")
    page.wait_for_selector(f".lab-planeview[data-data^='{pattern}-']")


def stroke(page: Page, *places: tuple[float, float]) -> None:
    """The pointer pressed and moved over the plane, by shares of its sides."""
    page.locator(CANVAS).scroll_into_view_if_needed()
    box = page.locator(CANVAS).bounding_box()
    assert box is not None
    for k, (x, y) in enumerate(places):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
        if k == 0:
            page.mouse.down()
    page.mouse.up()


def test_points_are_scrubbed_without_asking_the_server(plane: Page) -> None:
    requests: list[str] = []
    plane.on("request", lambda request: requests.append(request.url))
    seen = []
    for t in (1000, 300, 60, 0):
        go_to(plane, t)
        seen.append(picture(plane))
    assert all(np.abs(a - b).mean() > 0.5 for a, b in itertools.pairwise(seen))
    assert requests == []
    for pattern in ("spiral", "clusters"):
        choose(plane, pattern)
        assert np.abs(picture(plane) - seen[-1]).mean() > 0.5
    # The samples were of the moons: those of other points are still to be drawn.
    expect(plane.locator("[data-layer=samples]")).to_be_disabled()


def test_layers_are_switched_and_stay_in_the_link(plane: Page) -> None:
    before = picture(plane)
    plane.click("[data-layer=eps]")
    arrows = picture(plane)
    plane.click("[data-layer=score]")  # one field at a time
    expect(plane.locator("[data-layer=eps]")).to_have_attribute("aria-pressed", "false")
    score = picture(plane)
    assert np.abs(arrows - before).mean() > 1 and np.abs(arrows - score).mean() > 1
    plane.wait_for_function("location.hash.includes('score')")
    plane.reload()
    plane.wait_for_selector(".lab-planeview[data-run=opening][data-state=ready]")
    expect(plane.locator("[data-layer=score]")).to_have_attribute("aria-pressed", "true")


def test_drawing_by_hand_comes_back_from_its_link(plane: Page) -> None:
    choose(plane, "sketch")
    expect(plane.locator(".lab-plane-empty")).to_be_visible()
    plane.click("#lab-plane-draw")
    expect(plane.locator("#lab-plane-message")).to_contain_text("There are no points yet")
    stroke(plane, (0.3, 0.3), (0.3, 0.7), (0.7, 0.7))
    expect(plane.locator(".lab-planedata")).to_have_attribute("data-count", "1000")
    stroke(plane, (0.6, 0.3), (0.65, 0.3))
    go_to(plane, 0)
    both = picture(plane)
    plane.click("[data-do=plane-undo]")
    one = picture(plane)
    assert np.abs(both - one).mean() > 0.3
    plane.wait_for_function("location.hash.includes('sketch=')")
    plane.wait_for_timeout(500)
    plane.reload()
    plane.wait_for_selector(".lab-planeview[data-state=ready][data-t='0']")
    plane.wait_for_selector(".lab-planeview[data-data^='sketch-']")
    assert np.abs(picture(plane) - one).mean() < 0.3
    plane.click("[data-do=plane-clear]")
    expect(plane.locator(".lab-plane-empty")).to_be_visible()


def test_samples_are_drawn_and_end_on_the_data(plane: Page) -> None:
    choose(plane, "ring")
    plane.click("#lab-plane-draw")
    plane.wait_for_function("document.querySelector('.lab-planeview').dataset.run !== 'opening'")
    plane.wait_for_selector(".lab-planeview[data-t='0']")
    expect(plane.locator(".lab-plane-drawn")).to_contain_text("400 samples, 30 of 30 steps")
    found = re.search(r"Wasserstein (\d\.\d+)", plane.inner_text(".lab-plane-drawn"))
    assert found is not None and float(found[1]) < 0.1
    plane.fill("#lab-plane-steps input", "0")
    plane.click("#lab-plane-draw")
    expect(plane.locator("#lab-plane-message")).to_contain_text("between 1 and T = 1000")
    expect(plane.locator("[data-layer=samples]")).to_be_enabled()


def test_a_followed_point_is_dragged_and_its_numbers_follow(plane: Page) -> None:
    number = plane.locator(".lab-plane-numbers dd").first
    stroke(plane, (0.5, 0.5), (0.8, 0.2))
    expect(number).to_have_text(re.compile(r"\(0\.9\d, 0\.9\d\)"))
    plane.focus(CANVAS)
    plane.keyboard.press("ArrowLeft")
    expect(number).to_have_text(re.compile(r"\(0\.9[0-3]|\(0\.8\d"))
    go_to(plane, 1)
    expect(plane.locator(".lab-plane-numbers dd").nth(3)).to_contain_text("hold 90 %")
    plane.focus(CANVAS)
    plane.keyboard.press("Escape")
    expect(plane.locator(".lab-planeview")).to_have_attribute("data-pinned", "0")


def test_a_finger_sets_a_point_down_takes_it_along_and_still_scrolls_the_page(page: Page) -> None:
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    phone = context.new_page()
    phone.goto(f"{page.url.partition('#')[0]}#tab=plane&t=600")
    phone.wait_for_selector(".lab-planeview[data-run=opening][data-state=ready]")
    canvas, number = phone.locator(CANVAS), phone.locator(".lab-plane-numbers dd").first
    canvas.scroll_into_view_if_needed()
    touch = context.new_cdp_session(phone)

    def finger(*places: tuple[float, float]) -> None:
        """Down at the first place, by shares of the plane's sides, on to the others, and up."""
        box = canvas.bounding_box()
        assert box is not None
        for k, (x, y) in enumerate(places):
            at = {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
            kind = "touchMove" if k else "touchStart"
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [at]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    finger((0.3, 0.3))
    expect(number).to_have_text(re.compile(r"\(−0\.6\d, 0\.6\d\)"))
    before = phone.evaluate("scrollY")
    finger((0.3, 0.3), (0.35, 0.4), (0.4, 0.6), (0.5, 0.7))
    expect(number).to_have_text(re.compile(r"\(−?0\.0\d, −0\.6\d\)"))
    assert phone.evaluate("scrollY") == before
    finger((0.2, 0.8), (0.2, 0.6), (0.2, 0.4), (0.2, 0.1))
    phone.wait_for_function(f"Math.abs(scrollY - {before}) > 30")
    expect(number).to_have_text(re.compile(r"\(−?0\.0\d, −0\.6\d\)"))
    context.close()


def test_what_a_step_adds_follows_the_sampler_the_hand_and_t(plane: Page) -> None:
    legend, rows = plane.locator(".lab-planewalk"), plane.locator(".lab-walk-rows b")
    expect(legend).to_be_hidden()
    before = picture(plane)
    plane.click("[data-layer=step]")
    plane.wait_for_selector(".lab-planewalk[data-state=ready]")
    assert np.abs(picture(plane) - before).mean() > 0.1
    expect(legend).to_contain_text("One step: DDIM, exact")
    expect(rows.nth(3)).to_have_text("–")  # no fresh noise

    def numbers() -> np.ndarray:
        return np.array([[float(v) for v in re.findall(r"[-\d.]+", text.replace("−", "-"))] or [0, 0]
                         for text in rows.all_inner_texts()])  # fmt: skip

    go_to(plane, 200)
    plane.wait_for_selector(".lab-planewalk[data-t='200'][data-s='167']")
    first = numbers()
    stroke(plane, (0.5, 0.5), (0.8, 0.2))
    expect(rows.first).not_to_have_text(f"({first[0][0]:.3f}, {first[0][1]:.3f})".replace("-", "−"))
    plane.fill("#lab-plane-steps input", "5")
    plane.wait_for_selector(".lab-planewalk[data-t='200'][data-s='0']")
    go_to(plane, 300)
    plane.wait_for_selector(".lab-planewalk[data-t='400'][data-s='200']")
    plane.click("#lab-plane-sampler input")
    plane.get_by_role("option", name="DDPM").click()
    expect(legend).to_contain_text("One step: DDPM, exact")
    whole, *parts = numbers()
    np.testing.assert_allclose(np.sum(parts, axis=0), whole, atol=0.003)
    assert np.abs(parts[2]).max() > 0.01
    inside = plane.locator(".lab-walk-rows").evaluate("e => e.scrollWidth <= e.clientWidth")
    assert inside
    plane.fill("#lab-plane-steps input", "0")
    expect(legend).to_contain_text("between 1 and T = 1000")


def test_steps_are_measured_and_the_choice_is_marked(plane: Page) -> None:
    shown, now = plane.locator(".lab-plane-enough"), plane.locator(".lab-plane-enough .lab-enough-now")
    expect(shown).to_have_attribute("data-state", "empty")  # nothing is computed because a page is opened
    plane.click("#lab-plane-measure")
    plane.wait_for_selector(".lab-plane-enough[data-state=live]")
    plane.wait_for_selector(".lab-plane-enough[data-state=done]", timeout=120_000)
    expect(now).to_contain_text("DDIM, 30 steps = 30 calls, exact: 0.0")
    far = float(shown.get_attribute("data-far") or 1)
    plane.fill("#lab-plane-steps input", "2")
    plane.wait_for_selector(".lab-plane-enough[data-calls='2']")
    assert float(shown.get_attribute("data-far") or 0) > 3 * far
    with plane.expect_download() as file:
        plane.click("[data-do=steps-csv]")
    assert file.value.suggested_filename == "plane-steps-moons.csv"
    lines = Path(file.value.path()).read_text().splitlines()
    assert lines[0] == "denoiser,sampler,steps,calls,wasserstein,floor,spread" and len(lines) > 50
    choose(plane, "ring")
    expect(shown).to_have_attribute("data-state", "stale")
    move(plane, ".lab-plane-many input", 1000)  # as many as there can be, of which measuring takes longer
    plane.wait_for_selector(".lab-planeview[data-data='ring-5000-0']")
    plane.click("#lab-plane-measure")
    plane.wait_for_selector(".lab-plane-enough[data-state=live]")
    plane.locator("#lab-plane-measure-stop:not([disabled])").dispatch_event("click")  # at once, wherever it is
    plane.wait_for_selector(".lab-plane-enough[data-state=done]")
    expect(now).to_contain_text("Stopped: ")


def test_the_bound_is_measured_once_and_follows_the_schedule_and_the_variance(plane: Page) -> None:
    shown = plane.locator(".lab-planeledger")

    def total(name: str) -> float:
        return float(shown.get_attribute(f"data-{name}") or "nan")

    expect(shown).to_have_attribute("data-state", "empty")
    plane.click("#lab-plane-bound-start")
    plane.wait_for_selector(".lab-planeledger[data-state=done]", timeout=60_000)
    entropy, best = total("entropy"), total("distribution")
    assert entropy - 0.05 < best < total("learned") < total("exact")
    expect(shown.locator("tbody tr")).to_have_count(4)
    heads, cells = shown.locator("th"), shown.locator("tbody tr").first.locator("td")
    for k, (head, value) in enumerate([("bits/dim", best), ("entropy", best - entropy)], 1):
        expect(heads.nth(k)).to_contain_text(head)
        expect(cells.nth(k)).to_have_text(f"{value:.3f}".replace("-", "−"))
    plane.click(".lab-planeledger [data-value=posterior]")
    assert total("distribution") > best + 0.5
    plane.wait_for_function("location.hash.includes('plane_sigma=posterior')")
    plane.click(".lab-planeledger [data-value=beta]")
    move(plane, "[data-field=T]", 20)
    plane.wait_for_function("b => +document.querySelector('.lab-planeledger').dataset.distribution > b + 0.1", arg=best)
    with plane.expect_download() as file:
        plane.click("[data-do=bound-csv]")
    assert Path(file.value.path()).read_text().startswith("variance,denoiser,L_T,L_mid,constant,L_0,total")
    choose(plane, "ring")
    expect(shown).to_have_attribute("data-state", "stale")


def test_files_of_points_are_taken_or_refused(plane: Page, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.csv", tmp_path / "good.csv"
    bad.write_text("x,y\n1,2\nnot,numbers\n")
    good.write_text("".join(f"{i},{i * i}\n" for i in range(50)))
    plane.set_input_files("#lab-plane-data-row input[type=file]", bad)
    expect(plane.locator("#lab-plane-data-message")).to_contain_text("Row 2 of this file")
    expect(plane.locator(".lab-planeview")).to_have_attribute("data-data", "moons-1000-0")
    plane.set_input_files("#lab-plane-data-row input[type=file]", good)
    plane.wait_for_selector(".lab-planeview[data-data='file-good.csv']")
    expect(plane.locator(".lab-planedata")).to_have_attribute("data-count", "50")
    expect(plane.locator("#lab-plane-data-message")).to_be_hidden()


def test_a_network_learns_the_plane_while_one_watches(plane: Page) -> None:
    expect(plane.locator("[data-layer=made]")).to_be_disabled()
    seen = [picture(plane)]
    for layer in ("learned", "difference"):  # of a network that was taught beforehand
        plane.click(f"[data-layer={layer}]")
        plane.wait_for_selector(".lab-learning[data-state=taught]")
        seen.append(picture(plane))
        assert np.abs(seen[-1] - seen[-2]).mean() > 0.3
    plane.click("#lab-train")
    plane.wait_for_selector(".lab-learning[data-state=live]")
    expect(plane.locator("[data-layer=made]")).to_have_attribute("aria-pressed", "true")
    plane.wait_for_function("+document.querySelector('.lab-learning').dataset.updates > 20")
    plane.click("#lab-train-stop")
    plane.wait_for_selector(".lab-learning[data-state=done]")
    learnt = int(plane.get_attribute(".lab-learning", "data-updates") or 0)
    plane.click("#lab-train-once")
    plane.wait_for_function("n => +document.querySelector('.lab-learning').dataset.updates === n", arg=learnt + 1)
    choose(plane, "ring")  # of which nothing has been learnt here
    plane.wait_for_selector(".lab-learning[data-state=empty], .lab-learning[data-state=taught]")
    expect(plane.locator("[data-layer=made]")).to_be_disabled()


def test_a_second_lesson_waits_for_its_turn_and_gets_it_when_the_first_page_is_closed(plane: Page) -> None:
    browser = plane.context.browser
    assert browser is not None
    first = browser.new_context().new_page()
    first.goto(plane.url.partition("#")[0] + "#tab=plane")  # its own address follows a moment later
    first.wait_for_selector(".lab-planeview[data-run=opening][data-state=ready]", timeout=60_000)
    first.click("#lab-train")
    first.wait_for_selector(".lab-learning[data-state=live]", timeout=60_000)
    plane.click("#lab-train-once")
    expect(plane.locator("#lab-train-waiting")).to_contain_text(re.compile(r"queue: 1/1"))
    expect(plane.locator(".lab-learning")).to_have_attribute("data-state", "empty")
    first.context.close()
    plane.wait_for_selector(".lab-learning[data-state=done]", timeout=30_000)  # a turn alone would last longer
    assert plane.get_attribute(".lab-learning", "data-updates") == "1"  # of a network of its own, not that of the first


def test_what_the_plane_shows_is_taken_away(plane: Page, tmp_path: Path) -> None:
    expect(plane.locator("#lab-plane [data-form=gif]")).to_be_enabled()  # of the run that the tab opens with
    with plane.expect_download() as points:
        plane.click("[data-do=plane-csv]")
    rows = np.loadtxt(points.value.path(), delimiter=",", skiprows=1)
    assert rows.shape == (1000, 3)  # moons have classes
    plane.click("#lab-plane-draw")
    plane.wait_for_selector(".lab-planeview[data-t='0']")
    for form, suffix in (("gif", ".gif"), ("samples", ".csv")):
        with plane.expect_download() as file:
            plane.click(f"#lab-plane [data-form={form}]")
        assert file.value.suggested_filename.endswith(suffix) and Path(file.value.path()).stat().st_size > 1000
    plane.click("#lab-plane [data-form=py]")
    expect(plane.locator("#lab-plane .lab-code")).to_contain_text("MixtureDenoiser(Mixture(points), labels)")
    # A file of points comes back as it was: what is uploaded once more is what was taken away.
    taken: list[str] = []
    for k in range(2):
        (tmp_path / f"{k}.csv").write_text("x,y\n0,1\n3,4.5\n-2,8\n" if k == 0 else taken[0])
        plane.set_input_files("#lab-plane-data-row input[type=file]", tmp_path / f"{k}.csv")
        plane.wait_for_selector(f".lab-planeview[data-data='file-{k}.csv']")
        with plane.expect_download() as points:
            plane.click("[data-do=plane-csv]")
        taken.append(Path(points.value.path()).read_text())
    assert taken[0] == taken[1] and taken[0].count("\n") == 4
