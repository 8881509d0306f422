"""What the page is for, done in a real browser."""

from __future__ import annotations

import io
import itertools
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pillow_heif
import pytest
from PIL import Image
from PIL.GifImagePlugin import GifImageFile
from PIL.WebPImagePlugin import WebPImageFile
from playwright.sync_api import Browser, Page, expect

from diffusion.animation import FORMATS
from diffusion.chain import closed_form, levels
from diffusion.images import to_bytes, to_tensor
from diffusion.process import posterior_mean, posterior_variance
from diffusion.sampling.noise import first_noise
from diffusion.schedules.families import make_schedule

SLIDER = ".lab-forward .lab-player input[type=range]"
REVERSE_SLIDER = ".lab-reverse .lab-player input[type=range]"


def pixels(page: Page, canvas: str) -> np.ndarray:
    """The RGB of a canvas, (H, W, 3), as the browser holds it."""
    width, height, data = page.eval_on_selector(
        canvas,
        "c => [c.width, c.height, Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)]",
    )
    return np.array(data, dtype=np.uint8).reshape(height, width, 4)[..., :3].astype(int)


def move(page: Page, slider: str, value: int) -> None:
    """Move a range input as a hand does, with an input event."""
    page.eval_on_selector(
        slider, "(s, v) => { s.value = v; s.dispatchEvent(new Event('input', { bubbles: true })); }", value
    )


def go_to_step(page: Page, t: int) -> None:
    move(page, SLIDER, t)
    page.wait_for_selector(f".lab-forward[data-t='{t}']")


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def upload(page: Page, path: Path) -> None:
    page.set_input_files("#lab-picture input[type=file]", path)


def photo(path: Path) -> np.ndarray:
    """A small picture with both dark and light places, saved losslessly: (H, W, 3)."""
    y, x = np.mgrid[0:48, 0:64]
    array = np.stack([x * 4, y * 5, (x + y) * 2], axis=-1).astype(np.uint8)
    Image.fromarray(array).save(path)
    return array.astype(int)


def show_photo(page: Page, folder: Path) -> np.ndarray:
    """Such a picture, uploaded and shown."""
    pixels = photo(folder / "photo.png")
    first = page.get_attribute(".lab-forward", "data-picture")
    upload(page, folder / "photo.png")
    page.wait_for_function(f"document.querySelector('.lab-forward').dataset.picture !== {first!r}")
    return pixels


def wait_for_run(page: Page, before: str | None, state: str = "ready") -> str:
    """Wait until a run other than ``before`` is shown; its key."""
    page.wait_for_function(
        "([before, state]) => { const d = document.querySelector('.lab-reverse')?.dataset;"
        " return d && d.state === state && d.run && d.run !== before }",
        arg=[before, state],
    )
    return str(page.get_attribute(".lab-reverse", "data-run"))


def test_uploaded_photo_dissolves_without_asking_the_server(page: Page, tmp_path: Path) -> None:
    expected = show_photo(page, tmp_path)
    go_to_step(page, 0)
    assert np.array_equal(pixels(page, ".lab-xt"), expected)

    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    schedule = make_schedule("linear")
    seen = []
    for t in (100, 400, 1000):
        go_to_step(page, t)
        x_t, x_0, eps = (pixels(page, f".lab-{name}") for name in ("xt", "x0", "eps"))
        seen.append(x_t)
        # x_t is the sum of its two parts, wherever neither the sum nor a part was clipped to 0 ... 255.
        inside = np.all([(part > 0) & (part < 255) for part in (x_t, x_0, eps)], axis=0)
        assert inside.sum() > 1000
        assert np.abs((x_t - 127.5) - (x_0 - 127.5) - (eps - 127.5))[inside].max() <= 1.5
        assert np.abs((x_0 - 127.5) - schedule.signal[t] * (expected - 127.5)).max() <= 0.51
    assert all(np.abs(a - b).mean() > 5 for a, b in itertools.pairwise(seen))
    assert requests == []


def test_redrawing_the_noise_changes_the_noise_alone(page: Page) -> None:
    x_0, eps = pixels(page, ".lab-x0"), pixels(page, ".lab-eps")
    first = page.get_attribute(".lab-forward", "data-picture")
    page.click("#lab-redraw")
    page.wait_for_function(f"document.querySelector('.lab-forward').dataset.picture !== {first!r}")
    assert np.array_equal(pixels(page, ".lab-x0"), x_0)
    assert not np.array_equal(pixels(page, ".lab-eps"), eps)


def test_changed_schedule_moves_image_readings_and_curves(page: Page) -> None:
    before = pixels(page, ".lab-xt")
    line = page.get_attribute(".lab-curve .curve", "d")
    page.select_option("#lab-family", "cosine")
    page.wait_for_function(f"document.querySelector('.lab-curve .curve').getAttribute('d') !== {line!r}")
    schedule = make_schedule("cosine")
    expect(page.locator("[data-reading=snr]")).to_have_text(f"{schedule.snr_db[300]:.1f} dB".replace("-", "−"))
    assert np.abs(pixels(page, ".lab-xt") - before).mean() > 3

    open_tab(page, "Schedule")
    page.wait_for_selector(".lab-schedule [data-state=ready]")
    traces = page.evaluate(
        "Array.from(document.querySelector('.lab-schedule .lab-plot').data, d => [d.meta.y, d.x, d.y])"
    )
    curves = {name: (np.array(x, dtype=int), np.array(y, dtype=float)) for name, x, y in traces}
    at, drawn = curves["alpha_bar"]
    np.testing.assert_allclose(drawn, schedule.alpha_bar[at], rtol=1e-6)
    at, drawn = curves["beta"]
    np.testing.assert_allclose(drawn, schedule.beta[at], rtol=1e-6)
    assert page.get_attribute(".lab-schedule .lab-plot-frame", "data-t") == "300"


def test_last_value_of_a_drag_wins(page: Page) -> None:
    values = page.evaluate(
        """() => {
          const slider = document.querySelector('[data-field=beta_end]');
          for (let v = 300; v <= 900; v += 5) {
            slider.value = v;
            slider.dispatchEvent(new Event('input', { bubbles: true }));
          }
          return document.querySelector('[data-number=beta_end]').value;
        }"""
    )
    schedule = make_schedule("linear", beta_end=float(values))
    page.wait_for_function(
        "expected => { const text = document.querySelector('[data-reading=ab]').textContent;"
        " return Math.abs(text.replace(/−/g, '-') / expected - 1) < 1e-3 }",
        arg=schedule.alpha_bar[300],
    )


def test_picture_follows_while_the_hand_is_still_moving(page: Page) -> None:
    page.evaluate(
        """() => {
          const seen = window.seen = new Set(), slider = document.querySelector('[data-field=beta_end]');
          let v = 300;
          const drag = () => {
            slider.value = v;
            slider.dispatchEvent(new Event('input', { bubbles: true }));
            seen.add(document.querySelector('[data-reading=ab]').textContent);
            if ((v += 4) < 900) setTimeout(drag, 4); // quicker than the server answers
            else window.dragged = seen.size;
          };
          drag();
        }"""
    )
    page.wait_for_function("window.dragged > 0")
    assert page.evaluate("window.dragged") >= 5


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("T", "1", "whole number from 2 to 4000"),
        ("T", "10.5", "whole number"),
        ("T", "many", "must be a number"),
        ("beta_start", "0.03", "must be smaller than β_T"),
        ("beta_end", "2", "must lie between"),
        ("beta_end", "", "must be a number"),
    ],
)
def test_impossible_schedule_is_refused_beside_its_control(page: Page, field: str, value: str, words: str) -> None:
    reading = page.inner_text("[data-reading=ab]")
    page.fill(f"[data-number={field}]", value)
    page.press(f"[data-number={field}]", "Tab")
    expect(page.locator(f"[data-error={field}]")).to_contain_text(words)
    assert page.inner_text("[data-reading=ab]") == reading
    go_to_step(page, 500)  # the last good schedule still draws


def test_player_answers_keys_and_speaks(page: Page) -> None:
    go_to_step(page, 300)
    page.focus(SLIDER)
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".lab-forward[data-t='301']")
    page.keyboard.press("Shift+ArrowLeft")
    page.wait_for_selector(".lab-forward[data-t='291']")
    assert page.get_attribute(SLIDER, "aria-valuetext") == "t 291 of 1000, SNR minus 1 decibel"
    page.keyboard.press("End")
    page.wait_for_selector(".lab-forward[data-t='1000']")
    page.keyboard.press("Space")  # plays from the start, having been at the end
    page.wait_for_function(
        "(() => { const t = +document.querySelector('.lab-forward').dataset.t; return t > 5 && t < 900 })()"
    )
    page.keyboard.press("Space")
    expect(page.locator(".lab-forward .lab-player button").nth(1)).to_have_attribute("aria-label", "play (space)")


@pytest.mark.parametrize("kind", ["text", "truncated", "one pixel", "huge"])
def test_file_that_is_no_picture_is_refused_in_a_sentence(page: Page, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bad.png"
    if kind == "text":
        path.write_text("not a picture")
    elif kind == "huge":
        Image.new("1", (20_000, 20_000)).save(path)  # 400 megapixels in 50 kB
    elif kind == "one pixel":
        Image.new("RGB", (1, 1)).save(path)
    else:
        whole = io.BytesIO()
        Image.effect_noise((200, 200), 60).save(whole, "PNG")
        path.write_bytes(whole.getvalue()[:5000])
    picture = page.get_attribute(".lab-forward", "data-picture")
    upload(page, path)
    message = page.locator("#lab-picture-message")
    expect(message).to_contain_text("picture")
    assert "Traceback" not in message.inner_text()
    assert page.get_attribute(".lab-forward", "data-picture") == picture
    go_to_step(page, 700)


@pytest.mark.parametrize("suffix", ["tiff", "pgm", "heic"])
def test_picture_that_browsers_cannot_show_is_shown_in_the_box_and_on_the_canvas(
    page: Page, tmp_path: Path, suffix: str
) -> None:
    image = Image.effect_noise((60, 40), 60).convert("L" if suffix == "pgm" else "RGB")
    path = tmp_path / f"photo.{suffix}"
    pillow_heif.from_pillow(image).save(path, quality=-1) if suffix == "heic" else image.save(path)
    first = page.get_attribute(".lab-forward", "data-picture")
    upload(page, path)
    page.wait_for_function(f"document.querySelector('.lab-forward').dataset.picture !== {first!r}")
    page.wait_for_function("document.querySelector('#lab-picture img')?.naturalWidth === 60")
    go_to_step(page, 0)
    off = pixels(page, ".lab-figure-xt canvas") - np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(off).max() <= (3 if suffix == "heic" else 0)  # HEVC rounds colours


def test_values_of_more_than_8_bits_are_scaled_and_that_is_said(page: Page, tmp_path: Path) -> None:
    Image.fromarray(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) % 1024).save(tmp_path / "ten.png")
    first = page.get_attribute(".lab-forward", "data-picture")
    upload(page, tmp_path / "ten.png")
    page.wait_for_function(f"document.querySelector('.lab-forward').dataset.picture !== {first!r}")
    expect(page.locator("#lab-picture-message")).to_contain_text("with 10 bits")
    go_to_step(page, 0)
    assert pixels(page, ".lab-figure-xt canvas").max() == 255


def test_picture_is_pasted_from_any_tab(page: Page) -> None:
    open_tab(page, "Schedule")
    first = page.get_attribute(".lab-forward", "data-picture")
    page.evaluate(
        """async () => {
          const canvas = Object.assign(document.createElement('canvas'), { width: 40, height: 30 });
          canvas.getContext('2d').fillRect(0, 0, 20, 30);
          const files = new DataTransfer();
          files.items.add(new File([await new Promise((r) => canvas.toBlob(r))], 'pasted.png', { type: 'image/png' }));
          const paste = new ClipboardEvent('paste', { clipboardData: files, bubbles: true, cancelable: true });
          document.body.dispatchEvent(paste);
        }"""
    )
    page.wait_for_function(f"document.querySelector('.lab-forward').dataset.picture !== {first!r}")
    open_tab(page, "Forward")
    page.wait_for_function("document.querySelector('.lab-forward .lab-figure-xt canvas').width === 40")


def test_files_that_are_too_many_to_be_sent_are_refused_before_that(page: Page) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "upload" in request.url else None)
    page.evaluate(
        """() => {
          const files = new DataTransfer();
          files.items.add(new File(['x'], 'large.png', { type: 'image/png' }));
          const input = document.querySelector('#lab-picture input[type=file]');
          input.files = files.files;
          Object.defineProperty(input.files[0], 'size', { value: 600 * 2 ** 20 }); // instead of making such files
          input.dispatchEvent(new Event('change', { bubbles: true }));
        }"""
    )
    expect(page.locator(".lab-toast")).to_have_text("This file is 600 MB; choose less than 512 MB at once.")
    assert sent == []


def test_icon_that_holds_a_huge_picture_is_refused_and_the_box_can_be_used_again(page: Page, tmp_path: Path) -> None:
    inside = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(inside, "PNG")
    header = struct.pack("<HHHBBBBHHII", 0, 1, 1, 0, 0, 0, 0, 1, 32, len(inside.getvalue()), 22)
    (tmp_path / "bomb.ico").write_bytes(header + inside.getvalue())
    upload(page, tmp_path / "bomb.ico")
    expect(page.locator("#lab-picture-message")).to_contain_text("This picture has more than 50 megapixels")
    show_photo(page, tmp_path)


def test_reason_why_a_link_cannot_be_opened_stays_to_be_read(page: Page, server: str) -> None:
    page.goto(f"{server}#family=linear&T=1&beta_start=0.0001&beta_end=0.02&noise={'9' * 5000}")  # opens it anew
    error = page.locator("[data-error=family]")
    expect(error).to_contain_text("The link's schedule cannot be opened: T must be a whole number")
    page.wait_for_selector(".lab-forward[data-state=ready]")
    move(page, "[data-field=T]", 400)  # a change of one's own
    expect(error).to_be_empty()


def number(text: str) -> float:
    return float(text.replace("−", "-").replace(",", ""))


def test_chain_is_walked_to_t_and_agrees_with_the_closed_form(page: Page, tmp_path: Path) -> None:
    x_0 = to_tensor(Image.fromarray(show_photo(page, tmp_path).astype(np.uint8)))
    page.click("#lab-chain summary")
    schedule, edges = make_schedule("linear"), np.linspace(-4, 4, 65)
    for t in (400, 399, 1000):  # on, one back, and on from there
        go_to_step(page, t)
        page.wait_for_selector(f"#lab-chain[data-t='{t}']")
        expected = closed_form(*levels(x_0), float(schedule.alpha_bar[t]), edges)
        mean, variance, bins = page.locator("#lab-chain tbody tr").all()
        for row, value, error in (
            (mean, expected.mean, expected.mean_error),
            (variance, expected.variance, expected.variance_error),
        ):
            _, found, said, _ = row.locator("td").all_inner_texts()
            assert [number(part) for part in said.split(" ± ")] == pytest.approx([value, error], abs=6e-4)
            assert abs(number(found) - value) < 4.5 * error
            assert number(found) != number(said.split(" ± ")[0])
        within, of = bins.locator("td").nth(1).inner_text().split(" of ")
        assert int(within) / int(of) > 0.8
    walked = pixels(page, "#lab-chain canvas")
    assert np.abs(walked - pixels(page, ".lab-xt")).mean() > 40  # noise of its own
    page.click("#lab-chain [data-do=walk-seed]")
    page.wait_for_function("location.hash.includes('walk=1')")


def test_posterior_of_the_pixel_that_is_clicked(page: Page, tmp_path: Path) -> None:
    array = show_photo(page, tmp_path)
    go_to_step(page, 200)
    width, height = page.eval_on_selector(".lab-xt", "c => [c.clientWidth, c.clientHeight]")
    page.locator(".lab-xt").click(position={"x": width * 40.5 / 64, "y": height * 10.5 / 48})
    panel = page.locator("#lab-posterior[data-t='200']")
    expect(panel.get_by_label("column of the pixel")).to_have_value("40")
    expect(panel.get_by_label("row of the pixel")).to_have_value("10")
    panel.get_by_label("channel").select_option("green")

    def shown(name: str) -> float:
        return number(panel.locator(f".katex-html .num-{name} .mord").first.inner_text())

    page.wait_for_function("location.hash.includes('pixel=40+10+1')")
    schedule, x_0 = make_schedule("linear"), array[10, 40, 1] / 127.5 - 1
    assert shown("x0") == pytest.approx(x_0, abs=1e-4)
    pair = float(schedule.alpha_bar[200]), float(schedule.alpha_bar[199])
    mean = posterior_mean(np.array(x_0), np.array(shown("xt")), *pair)
    assert shown("mean") == pytest.approx(float(mean), abs=3e-4)
    assert shown("bt") == pytest.approx(posterior_variance(*pair), rel=1e-3)
    assert shown("beta") == pytest.approx(schedule.beta[200], rel=1e-3)
    go_to_step(page, 1)  # nothing is left to know: a line at x_0
    expect(panel.page.locator("#lab-posterior [role=status]")).to_contain_text("x₀ itself")
    go_to_step(page, 0)
    expect(panel.page.locator("#lab-posterior [role=status]")).to_contain_text("No step leads to t = 0")


def test_noising_is_saved_as_animation(page: Page, tmp_path: Path) -> None:
    array = show_photo(page, tmp_path)
    page.click("#lab-saving summary")
    for format in FORMATS:
        with page.expect_download() as download:
            page.click(f"[data-do=noising-{format}]")
        assert download.value.suggested_filename == f"noising-linear-T1000.{format}"
        download.value.save_as(tmp_path / f"noising.{format}")
    for format in ("gif", "webp"):
        with Image.open(tmp_path / f"noising.{format}") as animation:
            assert isinstance(animation, GifImageFile | WebPImageFile)
            assert animation.n_frames == 60
            off = np.abs(np.asarray(animation.convert("RGB"))[::4, ::4].astype(int) - array)
            assert off.max() == 0 if format == "webp" else off.mean() < 10
    with av.open(tmp_path / "noising.mp4") as film:
        decoded = next(film.decode(video=0)).to_ndarray(format="rgb24")
    assert np.abs(decoded[::4, ::4].astype(int) - array).mean() < 6


def test_generate_preview_scrub_and_download(page: Page, tmp_path: Path) -> None:
    open_tab(page, "Reverse")
    opening = wait_for_run(page, None)
    page.fill("#lab-steps input", "20")
    page.click("#lab-generate")
    page.wait_for_selector(".lab-reverse[data-state=live]")
    run = wait_for_run(page, opening)
    assert int(page.get_attribute(".lab-reverse", "data-previews") or 0) >= 2

    assert page.get_attribute(REVERSE_SLIDER, "max") == "20"
    last = pixels(page, ".lab-traj-xt")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    for frame in (0, 10):
        move(page, REVERSE_SLIDER, frame)
        page.wait_for_selector(f".lab-reverse[data-frame='{frame}']")
        assert np.abs(pixels(page, ".lab-traj-xt") - last).mean() > 5
    # Half-way the guess of the end is closer to it than the samples are.
    guess, now = pixels(page, ".lab-traj-pred"), pixels(page, ".lab-traj-xt")
    assert np.abs(guess - last).mean() < np.abs(now - last).mean()
    assert [url for url in requests if not url.startswith("blob:")] == []

    # The curves under the player move it, and t with it, as it moves their cursor.
    page.wait_for_selector(".lab-numbers [data-state=ready][data-t='500']")
    page.locator(".lab-numbers .nsewdrag").first.hover(position={"x": 20, "y": 20})
    page.wait_for_function("+document.querySelector('.lab-reverse').dataset.frame < 5")

    # Enlarged, one sample is shown alone in all four; Escape brings the others back.
    page.locator(".lab-traj-xt").click(position={"x": 5, "y": 5})
    page.wait_for_selector(".lab-reverse[data-only='0']")
    alone = pixels(page, ".lab-traj-xt")
    assert alone.shape == (32, 32, 3)
    page.keyboard.press("Escape")
    page.wait_for_selector(".lab-reverse[data-only='']")
    assert np.array_equal(pixels(page, ".lab-traj-xt")[:32, :32], alone)

    assert run == page.get_attribute(".lab-reverse", "data-run")
    for form in ("gif", "png", "npz"):
        with page.expect_download() as download:
            page.click(f".lab-away [data-form={form}]")
        download.value.save_as(tmp_path / f"run.{form}")
    with Image.open(tmp_path / "run.gif") as animation:
        assert isinstance(animation, GifImageFile)
        assert animation.n_frames == 21
    with Image.open(tmp_path / "run.png") as picture:
        assert picture.size[0] >= 400
    with np.load(tmp_path / "run.npz") as file:
        assert len(file["t"]) == 20
    page.click(".lab-away [data-form=py]")
    expect(page.locator(".lab-code")).to_contain_text("timesteps(schedule, 20")


def test_link_keeps_what_is_to_be_sampled(page: Page) -> None:
    open_tab(page, "Reverse")
    wait_for_run(page, None)
    page.locator("#lab-network input").click()
    page.get_by_role("option", name="Emoji", exact=True).click()
    page.fill("#lab-steps input", "7")
    page.locator("#lab-sampler input").click()
    page.get_by_role("option", name="DDPM").click()
    page.wait_for_function("['network=emoji', 'steps=7', 'sampler=ddpm'].every((part) => location.hash.includes(part))")
    assert "guidance" not in page.url
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.locator("#lab-network-line")).to_contain_text("Emoji", timeout=60_000)
    expect(other.locator("#lab-steps input")).to_have_value("7")
    expect(other.locator("#lab-sampler input")).to_have_value("DDPM")
    other.close()


def test_questions_are_answered_with_rows_of_samples(page: Page) -> None:
    open_tab(page, "Reverse")
    wait_for_run(page, None)
    move(page, REVERSE_SLIDER, 5)  # of 10
    page.wait_for_selector(".lab-reverse[data-t='500']")
    page.get_by_label("the frame shown").check()
    page.wait_for_selector("#lab-branch-view [data-state=done][data-rows='5']")  # of the run that the page opens with
    page.click("#lab-branch")
    page.wait_for_selector("#lab-branch-view [data-state=done][data-rows='1']")
    expect(page.locator("#lab-branch-view .lab-samples b")).to_have_text(["t = 500"])
    expect(page.locator("#lab-branch-view canvas")).to_have_count(10)

    page.fill("#lab-steps input", "4")
    page.locator("#lab-whatif").get_by_role("tab", name="Fill in").click()
    page.wait_for_selector(".lab-mask[data-state=ready]")
    page.click("[data-mask=Clear]")
    page.click("#lab-fill")
    expect(page.locator("#lab-fill-message")).to_contain_text("Paint over")
    box = page.locator(".lab-mask canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 150, box["y"] + 150, steps=12)
    page.mouse.up()
    assert 50 < int(page.get_attribute(".lab-mask", "data-painted") or 0) < 700
    page.click("#lab-fill")
    page.wait_for_selector("#lab-fill-view [data-state=done]")
    given, _, *made = (pixels(page, f"#lab-fill-view .lab-samples:last-child canvas >> nth={k}") for k in range(10))
    for image in made:
        changed = (image != given).any(axis=-1)
        assert changed.any() and not changed[0].any() and not changed[:, -1].any()


@pytest.fixture
def pages(server: str, browser: Browser) -> Iterator[list[Page]]:
    """The reverse tab in five browsers that know nothing of one another."""
    contexts = [browser.new_context() for _ in range(5)]
    opened = []
    for context in contexts:
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(server)
        page.wait_for_selector(".lab-sidebar[data-state=ready]")
        open_tab(page, "Reverse")
        wait_for_run(page, None)
        opened.append(page)
    yield opened
    for context in contexts:
        context.close()


def test_five_visitors_at_once_get_their_own_images(pages: list[Page]) -> None:
    for k, page in enumerate(pages):
        page.fill("#lab-steps input", "5")
        page.fill("#lab-seed textarea, #lab-seed input", str(1000 * k))
    opening = [page.get_attribute(".lab-reverse", "data-run") for page in pages]
    for page in pages:
        page.click("#lab-generate")
    for k, (page, before) in enumerate(zip(pages, opening, strict=True)):
        assert wait_for_run(page, before).startswith(f"{1000 * k}-")
    for k, page in enumerate(pages):
        move(page, REVERSE_SLIDER, 0)
        page.wait_for_selector(".lab-reverse[data-frame='0']")
        noise = to_bytes(first_noise([1000 * k], (1, 32, 32)))[0]
        assert np.array_equal(pixels(page, ".lab-traj-xt")[:32, :32, :1], noise)


def test_closed_page_stops_its_run_and_lets_the_next_visitor_in(pages: list[Page]) -> None:
    *busy, waiting = pages[:3]
    for page in busy:
        page.fill("#lab-steps input", "1000")
        page.click("#lab-generate")
        page.wait_for_selector(".lab-reverse[data-state=live]")
    opening = waiting.get_attribute(".lab-reverse", "data-run")
    waiting.fill("#lab-steps input", "3")
    waiting.click("#lab-generate")
    expect(waiting.locator("#lab-generate-waiting")).to_contain_text("queue: 1/1")
    for page in busy:
        page.close()
    wait_for_run(waiting, opening)


def test_stop_keeps_what_there_is(page: Page) -> None:
    open_tab(page, "Reverse")
    opening = wait_for_run(page, None)
    page.fill("#lab-steps input", "1000")
    page.click("#lab-generate")
    page.wait_for_selector(".lab-reverse[data-state=live]")
    page.click("#lab-stop")
    wait_for_run(page, opening, state="stopped")
    assert "Stopped" in page.inner_text(".lab-reverse .lab-status")
    assert int(page.get_attribute(REVERSE_SLIDER, "max") or 0) >= 1
    expect(page.locator("#lab-generate")).to_be_enabled()


@pytest.mark.parametrize(
    ("control", "value", "message", "words"),
    [
        ("#lab-steps input", "1001", "#lab-steps-message", "between 1 and T = 1000"),
        ("#lab-steps input", "0", "#lab-steps-message", "between 1 and T = 1000"),
        ("#lab-seed textarea, #lab-seed input", "lucky", "#lab-seed-message", "whole number"),
        ("#lab-seed textarea, #lab-seed input", "", "#lab-seed-message", "whole number"),
    ],
)
def test_impossible_run_is_refused_beside_its_control(
    page: Page, control: str, value: str, message: str, words: str
) -> None:
    open_tab(page, "Reverse")
    opening = wait_for_run(page, None)
    page.fill(control, value)
    page.click("#lab-generate")
    expect(page.locator(message)).to_contain_text(words)
    assert page.get_attribute(".lab-reverse", "data-run") == opening
    assert page.get_attribute(".lab-reverse", "data-state") == "ready"


def test_sampling_follows_the_schedule_of_the_sidebar(page: Page) -> None:
    page.fill("[data-number=T]", "100")
    page.press("[data-number=T]", "Tab")
    expect(page.locator("[data-reading=t]")).to_have_text("30 of 100")
    open_tab(page, "Reverse")
    opening = wait_for_run(page, None)
    page.fill("#lab-steps input", "101")
    page.click("#lab-generate")
    expect(page.locator("#lab-steps-message")).to_contain_text("between 1 and T = 100")
    page.fill("#lab-steps input", "10")
    page.click("#lab-generate")
    wait_for_run(page, opening)
    expect(page.locator("#lab-steps-message")).to_be_hidden()
    move(page, REVERSE_SLIDER, 0)
    expect(page.locator(".lab-reverse .lab-readout")).to_have_text("t = 100 → 90")
    expect(page.locator("[data-reading=t]")).to_have_text("100 of 100")  # one t for the whole page


def drawn(page: Page) -> dict[str, list[list[float]]]:
    """What the chart of the loss tab shows: {name of a curve: [x, y]}."""
    traces = page.evaluate(
        "Array.from(document.querySelector('.lab-loss .lab-plot').data,"
        " d => d.visible !== false && d.name ? [d.name, [d.x, d.y]] : null).filter(Boolean)"
    )
    return dict(traces)


def test_loss_is_measured_stopped_half_way_and_weighed_anew_without_a_request(page: Page) -> None:
    open_tab(page, "Loss")
    page.wait_for_selector(".lab-loss [data-state=ready]")
    assert "exact denoiser of all images" in drawn(page)
    page.click("#lab-measure")
    page.wait_for_selector(".lab-loss[data-state=running]")
    page.click("#lab-measure-stop")
    expect(page.locator(".lab-loss .lab-status")).to_contain_text("Stopped")
    page.wait_for_selector(".lab-loss[data-state=ready]")
    points = page.get_attribute(".lab-loss", "data-points")
    assert 1 <= int(points or 0) < 40

    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.click(".lab-loss [data-value=term]")
    page.click("[data-loss=beta]")
    page.wait_for_function(
        "document.querySelector('.lab-loss .lab-plot').data.some(d => d.visible && d.name === 'P2') === false"
    )
    page.click("[data-loss=p2]")
    page.wait_for_function("document.querySelector('.lab-loss .lab-plot').data.some(d => d.visible && d.name === 'P2')")
    curves = drawn(page)
    simple, p2 = (np.array(curves[name][1], dtype=float) for name in ("L<sub>simple</sub>", "P2"))
    t = np.array(curves["P2"][0], dtype=int)
    there = np.isfinite(simple)
    np.testing.assert_allclose((p2 / simple)[there], 1 - make_schedule("linear").alpha_bar[t][there], rtol=1e-4)
    page.click(".lab-loss [data-value=ledger]")
    expect(page.locator(".lab-ledger tbody tr")).to_have_count(3)
    page.click(".lab-loss [data-value=rate]")
    page.wait_for_selector(".lab-loss[data-strip=ready]")
    assert requests == []
    assert page.get_attribute(".lab-loss", "data-points") == points


def test_what_the_network_sees_follows_t_without_a_request(page: Page) -> None:
    open_tab(page, "Loss")
    page.wait_for_selector(".lab-seen[data-state=ready]")
    page.wait_for_selector(".lab-loss [data-state=ready]")
    slider = ".lab-seen .lab-player input[type=range]"
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    guesses = []
    for t in (950, 600, 50):
        move(page, slider, t)
        page.wait_for_selector(f".lab-seen[data-t='{t}']")
        guesses.append(pixels(page, ".lab-seen-guess"))
        x_t, eps, found = (pixels(page, f".lab-seen-{name}") for name in ("xt", "eps", "found"))
        assert np.corrcoef(eps.ravel(), found.ravel())[0, 1] > 0.9
    assert requests == []
    assert np.abs(x_t - guesses[-1]).mean() < np.abs(guesses[0] - guesses[-1]).mean()  # near t = 0 it sees the image
    expect(page.locator("[data-reading=t]")).to_have_text("50 of 1000")


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_nothing_sticks_out_sideways(page: Page, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.reload()
    page.wait_for_selector(".lab-forward[data-state=ready]")
    for tab in ("Forward", "Schedule", "Reverse", "Loss", "Plane", "Train"):
        open_tab(page, tab)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_another_network_brings_its_classes_its_card_and_its_colours(page: Page) -> None:
    open_tab(page, "Reverse")
    opening = wait_for_run(page, None)
    page.locator("#lab-network input").click()
    page.get_by_role("option", name="Emoji", exact=True).click()
    expect(page.locator("#lab-network-line")).to_contain_text("Emoji")
    page.locator("#lab-steps input").fill("3")
    page.locator("#lab-generate").click()
    wait_for_run(page, opening)
    red, _, blue = pixels(page, ".lab-reverse canvas >> nth=0").transpose(2, 0, 1)
    assert (red != blue).mean() > 0.2
    page.locator("#lab-card button").first.click()
    expect(page.locator("#lab-card")).to_contain_text("Apache-2.0")


def open_schedule_tab(page: Page) -> None:
    open_tab(page, "Schedule")
    page.wait_for_selector(".lab-schedule [data-state=ready]")


def test_the_picture_of_steps_follows_the_controls(page: Page) -> None:
    """The mark moves along the lines that were measured; what calls take here stands below once something is chosen."""
    open_tab(page, "Reverse")
    page.locator(".lab-enough").scroll_into_view_if_needed()
    page.wait_for_selector(".lab-enough .lab-plot-frame[data-state=ready]")
    expect(page.locator(".lab-enough")).to_have_attribute("data-calls", "10")
    expect(page.locator(".lab-enough-now")).to_contain_text("UniPC, 10 steps = 10 calls: class found in 98")
    assert page.get_attribute(".lab-enough", "data-timed") == ""
    page.locator("#lab-sampler input").click()
    page.get_by_role("option", name="Heun").click()
    page.fill("#lab-steps input", "3")
    expect(page.locator(".lab-enough")).to_have_attribute("data-calls", "4")
    page.wait_for_function(
        "Array.from(document.querySelector('.lab-enough .lab-plot').data)"
        ".filter(d => d.meta.x === 'calls_mark' && d.x[0] === 4).length === 2"
    )
    expect(page.locator(".lab-enough-now")).to_contain_text("s for 20 images", timeout=30_000)
    page.locator("#lab-network input").click()
    page.get_by_role("option", name="Exact: bundled digits").click()
    expect(page.locator("#lab-enough-fold")).to_be_hidden()


def choose_family(page: Page, name: str) -> None:
    line = page.get_attribute(".lab-curve .curve", "d")
    page.select_option("#lab-family", name)
    page.wait_for_function(f"document.querySelector('.lab-curve .curve').getAttribute('d') !== {line!r}")


def test_drawing_a_schedule_bends_curve_and_picture(page: Page) -> None:
    open_schedule_tab(page)
    choose_family(page, "drawn")
    handles = page.locator(".lab-handles circle")
    expect(handles).to_have_count(18)  # nine points, in two panels
    reading = page.inner_text("[data-reading=ab]")
    picture = pixels(page, ".lab-compare canvas >> nth=0")
    box = handles.nth(3).bounding_box()  # at t/T = 0.3, in the panel of alpha-bar
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 5, box["y"] - 30, steps=4)
    page.mouse.up()
    expect(page.locator("[data-reading=ab]")).not_to_have_text(reading)
    now = [float(page.inner_text("[data-reading=ab]").replace("−", "-")), float(reading.replace("−", "-"))]
    assert now[0] > now[1]
    assert np.abs(pixels(page, ".lab-compare canvas >> nth=0") - picture).mean() > 1
    # Dragged below its neighbour, a point stops above it: what is drawn is a schedule whatever is done.
    page.mouse.move(box["x"] + 5, box["y"] - 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 5, box["y"] + 600, steps=4)
    page.mouse.up()
    expect(page.locator("[data-reading=ab]")).not_to_have_text(f"{now[0]:.4g}")
    expect(page.locator("[data-error=points]")).to_be_empty()
    heights = handles.evaluate_all("all => all.slice(0, 9).map(c => +c.getAttribute('cy'))")
    assert heights == sorted(heights)


def test_curves_follow_a_drag_of_the_number_of_steps_and_end_on_it(page: Page) -> None:
    open_schedule_tab(page)
    page.evaluate(
        """async () => {
          const slider = document.querySelector('[data-field=T]');
          const seen = new Set();
          for (let v = 700; v <= 900; v += 5) { // far beyond the end of the axis that it began with
            slider.value = v;
            slider.dispatchEvent(new Event('input', { bubbles: true }));
            await new Promise((resolve) => setTimeout(resolve, 30));
            seen.add(document.querySelectorAll('.lab-schedule .trace path.js-line')[1].getAttribute('d'));
          }
          window.dragged = seen.size;
        }"""
    )
    assert page.evaluate("window.dragged") >= 5
    T = int(page.input_value("[data-number=T]"))
    page.wait_for_function(
        "T => { const plot = document.querySelector('.lab-schedule .lab-plot');"
        " return plot._fullLayout.xaxis.range[1] === T && plot.data[1].x.at(-1) === T }",
        arg=T,
    )
    drawn = page.evaluate("document.querySelector('.lab-schedule .lab-plot').data[1].y.at(-1)")
    assert drawn == pytest.approx(make_schedule("linear", T).alpha_bar[-1], rel=1e-6)


def test_pinned_schedules_are_compared_at_one_t_and_at_one_snr(page: Page) -> None:
    open_schedule_tab(page)
    page.click("[data-do=pin]")
    choose_family(page, "cosine")
    expect(page.locator(".lab-table tbody tr")).to_have_count(2)
    linear, cosine = make_schedule("linear"), make_schedule("cosine")
    figures = page.locator(".lab-compare figure")
    expect(figures.nth(0)).to_contain_text(f"{cosine.snr_db[300]:.1f} dB")
    expect(figures.nth(1)).to_contain_text(f"{linear.snr_db[300]:.1f} dB".replace("-", "−"))
    page.click("[data-value=snr]")
    nearest = int(np.abs(linear.snr_db - cosine.snr_db[300]).argmin())
    expect(figures.nth(1)).to_have_attribute("data-t", str(nearest))
    for k in range(5):
        page.click("[data-do=pin]")
        expect(page.locator(".lab-table tbody tr")).to_have_count(3 + k)
    expect(page.locator("[data-do=pin]")).to_be_disabled()
    page.locator(".lab-table").get_by_role("button", name="unpin linear").click()
    expect(page.locator(".lab-table tbody tr")).to_have_count(6)


def test_cursor_follows_the_pointer_through_any_panel_and_axis(page: Page) -> None:
    open_schedule_tab(page)
    plots = page.locator(".lab-schedule .lab-plot .nsewdrag")
    for choice, panel, title in (("t", 0, "t"), ("u", 1, "t/T"), ("log_snr", 3, "log SNR (noise grows to the right)")):
        page.locator(f".lab-choice button[data-value={choice}]").last.click()
        page.wait_for_function(
            "title => document.querySelector('.lab-schedule .lab-plot')._fullLayout.xaxis3.title.text === title",
            arg=title,
        )
        box = plots.nth(panel).bounding_box()
        assert box is not None
        if choice == "log_snr":
            low, high = -15, 10
            wanted = int(np.abs(make_schedule().log_snr[1:] - (high + 0.6 * (low - high))).argmin()) + 1
        else:
            wanted = 600
        page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 20)
        page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 40)
        page.wait_for_function(
            "t => Math.abs(document.querySelector('.lab-schedule .lab-plot-frame').dataset.t - t) <= 8", arg=wanted
        )
        t = int(page.get_attribute(".lab-schedule .lab-plot-frame", "data-t") or 0)
        assert abs(t - wanted) <= 8
        expect(page.locator("[data-reading=t]")).to_have_text(f"{t} of 1000")


def test_link_reopens_what_it_was_taken_from(page: Page) -> None:
    page.locator("#lab-samples img").last.click()
    first = page.get_attribute(".lab-forward", "data-picture")
    page.wait_for_function(f"document.querySelector('.lab-forward').dataset.picture !== {first!r}")
    page.click("#lab-redraw")
    page.wait_for_selector(".lab-forward[data-picture$='-1']")
    open_schedule_tab(page)
    page.click("[data-do=pin]")
    choose_family(page, "sigmoid")
    page.fill("[data-number=T]", "400")
    page.press("[data-number=T]", "Tab")
    expect(page.locator("[data-reading=t]")).to_have_text("120 of 400")
    page.locator(".lab-choice button[data-value=u]").click()
    page.wait_for_function("location.hash.includes('T=400') && location.hash.includes('axis=u')")
    url, alpha_bar = page.url, page.inner_text("[data-reading=ab]")
    other = page.context.new_page()
    other.goto(url)
    expect(other.locator("[data-reading=t]")).to_have_text("120 of 400", timeout=60_000)
    expect(other.locator("[data-reading=ab]")).to_have_text(alpha_bar)
    expect(other.get_by_role("tab", name="Schedule")).to_have_attribute("aria-selected", "true")
    expect(other.locator(".lab-table tbody tr")).to_have_count(2)
    for opened in (page, other):
        open_tab(opened, "Forward")
        opened.wait_for_selector(".lab-forward[data-t='120']")
    assert np.array_equal(pixels(other, ".lab-xt"), pixels(page, ".lab-xt"))
    # Another link put into the address of the open page is followed too.
    other.evaluate("location.hash = 'tab=Forward&family=cosine&T=50&t=10'")
    expect(other.locator("[data-reading=t]")).to_have_text("10 of 50", timeout=60_000)
    other.close()


def test_link_holds_whatever_a_view_lets_choose(page: Page) -> None:
    open_schedule_tab(page)
    open_tab(page, "Loss")
    page.wait_for_selector(".lab-loss[data-state=ready]")
    table = json.loads(page.get_attribute("meta[name=lab-constants]", "content") or "")["link"]
    names = {"pictures at the same": "match", "curves over": "axis", "show": "part", "variance σ²": "sigma",
             "curve": "show", "over": "axis"}  # fmt: skip
    for label, name in names.items():
        choice = page.locator(f".lab-choice[aria-label='{label}']").first
        values = choice.locator("button").evaluate_all("nodes => nodes.map((node) => node.dataset.value)")
        assert sorted(values) == sorted(table[name]["choices"]), name
        for value in [*values, table[name]["default"]]:
            choice.locator(f"button[data-value={value}]").evaluate("node => node.click()")
            said = f"{name}={value}" if value != table[name]["default"] else ""
            page.wait_for_function(
                "([name, said]) => said ? location.hash.includes(said) : !location.hash.includes(`&${name}=`)",
                arg=[name, said],
            )
    chips = page.locator(".lab-chip").evaluate_all("nodes => nodes.map((node) => node.dataset.loss)")
    assert sorted(chips) == sorted(table["losses"]["choices"])
    panels = page.locator(".lab-details[id]").evaluate_all("nodes => nodes.map((node) => node.id.replace('lab-', ''))")
    assert set(table["open"]["choices"]) <= set(panels)


def test_remarks_are_about_the_network_that_is_chosen(page: Page) -> None:
    page.fill("[data-number=T]", "4000")  # far more noise than either has seen
    page.press("[data-number=T]", "Tab")
    open_schedule_tab(page)
    remark = page.locator(".lab-remark", has_text="was trained on")
    expect(remark).to_contain_text("Handwritten digits")
    open_tab(page, "Reverse")
    wait_for_run(page, None)
    page.locator("#lab-network input").click()
    page.get_by_role("option", name="Emoji", exact=True).click()
    open_tab(page, "Schedule")
    expect(remark).to_contain_text("Emoji")


def test_tool_bar_of_a_plot_lies_over_no_title(page: Page) -> None:
    open_schedule_tab(page)
    plot = page.locator(".lab-plot:visible").first
    plot.hover()
    bar = plot.locator(".modebar").first.bounding_box()
    titles = [title.bounding_box() for title in plot.locator(".annotation-text").all()]
    assert bar is not None and titles
    assert all(title is not None and title["y"] >= bar["y"] + bar["height"] for title in titles)


def test_tilde_is_set_over_its_letter_and_is_no_character_of_the_font(page: Page) -> None:
    open_tab(page, "Loss")
    button = page.locator(".lab-loss .lab-choice button[data-value=posterior]").first
    expect(button.locator(".lab-tilde")).to_have_text("β˜")
    assert "\u0303" not in button.inner_text()


def test_figure_is_saved_as_png_and_svg_on_white(page: Page, tmp_path: Path) -> None:
    page.goto(page.url.split("#")[0] + "?__theme=dark#tab=Schedule")
    page.wait_for_selector(".lab-schedule [data-state=ready]")
    page.click("[data-do=pin]")
    choose_family(page, "cosine")
    for form in ("png", "svg"):
        with page.expect_download() as download:
            page.click(f"[data-do={form}]")
        assert download.value.suggested_filename == f"ddpm-lab-schedule.{form}"
        download.value.save_as(tmp_path / f"figure.{form}")
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.width > 1000
        assert picture.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
        assert np.asarray(picture.convert("L")).min() < 100
    drawing = (tmp_path / "figure.svg").read_text()
    assert drawing.startswith("<svg") and drawing.count("trace scatter") == 7 + 4  # of both schedules
    for name in ("linear", "cosine"):
        assert f">{name}<" in drawing

    open_tab(page, "Forward")
    page.click("#lab-posterior summary")
    with page.expect_download() as download:
        page.click("[data-do=lab-posterior-drawing-svg]")
    download.value.save_as(tmp_path / "posterior.svg")
    drawing = (tmp_path / "posterior.svg").read_text()
    assert 'fill="#ffffff"' in drawing and "variance β̃ₜ" in drawing
    assert 'stroke="rgb(142, 91, 181)"' in drawing  # x_t's colour on a light page


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"hello\nworld\n", "Row 2: 'world' is not a number"),
        (b"0.1\nnan\n", "Row 2: beta = nan is outside (0, 1)"),
        (b"0.1\n0.2\n1.5\n", "Row 3: beta = 1.5 is outside (0, 1)"),
        (b"beta\n" + b"0.001\n" * 1_000_000, "Row 4002 is one too many"),
    ],
    ids=["text", "nan", "above one", "a million rows"],
)
def test_hostile_csv_is_refused_with_its_row(page: Page, content: bytes, words: str) -> None:
    reading = page.inner_text("[data-reading=ab]")
    page.set_input_files("#lab-csv", {"name": "bad.csv", "mimeType": "text/csv", "buffer": content})
    expect(page.locator("[data-error=csv]")).to_contain_text(words)
    assert page.inner_text("[data-reading=ab]") == reading


def test_csv_of_betas_becomes_the_schedule_and_goes_out_again(page: Page, tmp_path: Path) -> None:
    betas = "\n".join(str(0.01 + 0.002 * i) for i in range(50))
    page.set_input_files("#lab-csv", {"name": "mine.csv", "mimeType": "text/csv", "buffer": betas.encode()})
    expect(page.locator("[data-reading=t]")).to_have_text("15 of 50")
    open_schedule_tab(page)
    with page.expect_download() as download:
        page.click("[data-do=csv]")
    download.value.save_as(tmp_path / "out.csv")
    rows = (tmp_path / "out.csv").read_text().splitlines()
    assert len(rows) == 51
    assert float(rows[50].split(",")[1]) == 0.01 + 0.002 * 49
