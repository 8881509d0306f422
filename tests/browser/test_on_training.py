"""One's own network: images dropped, a run watched from two pages, paused, outliving its server, and drawn from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.serving import free_port, wait_until_served
from ui import runs
from ui.turn import living

ROOT = Path(__file__).parents[2]
RUN = ".lab-training"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "runs"
    monkeypatch.setenv(runs.PLACE, str(folder))
    yield folder
    for run in runs.all_runs():
        runs.remove_run(run.name)


def serve(port: int, place: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "app.py", "--port", str(port), "--runs", str(place), *options]
    process = subprocess.Popen(command, cwd=ROOT)
    wait_until_served(f"http://127.0.0.1:{port}/", process)
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(timeout=20)


def opened(browser: Browser, url: str) -> Page:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(90_000)
    page.goto(url)
    page.wait_for_selector(".lab-sidebar[data-state=ready]")
    page.wait_for_selector(RUN)
    return page


def small_images(folder: Path) -> list[Path]:
    paths = [folder / f"{i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    (folder / "broken.png").write_bytes(b"\x89PNG nothing")
    return [*paths, folder / "broken.png"]


def test_a_network_of_ones_own_from_the_first_image_to_a_sample(browser: Browser, place: Path, tmp_path: Path) -> None:
    port = free_port()
    url, server = f"http://127.0.0.1:{port}/", serve(port, place)
    try:
        page = opened(browser, f"{url}#tab=train")
        page.click("#lab-train-begin-run")
        expect(page.locator("#lab-train-run-message")).to_contain_text("There is nothing to learn from yet")
        page.set_input_files("#lab-train-files input[type=file]", small_images(tmp_path))
        page.wait_for_selector(".lab-dropped[data-count='3']")
        expect(page.locator(".lab-dropped-remarks")).to_contain_text("1 of 4 images in your files cannot be read")
        expect(page.locator("#lab-train-expected")).to_contain_text("3 images are learnt by heart")
        page.click("#lab-train-begin-run")
        page.wait_for_selector(f"{RUN}[data-state=running]")
        page.wait_for_selector(f"{RUN}[data-near]")
        page.wait_for_function("+document.querySelector('.lab-training').dataset.seen > 0")
        (folder,) = runs.all_runs()
        address = f"{url}#tab=train&run={folder.name}"
        page.wait_for_function("run => location.hash.includes(run)", arg=folder.name)

        # The server is killed: the run goes on, and a second page of the next server finds it.
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        assert living(folder)
        page.close()
        server = serve(port, place)
        page, second = opened(browser, address), opened(browser, address)
        for each in (page, second):
            each.wait_for_selector(f"{RUN}[data-state=running]")
        second.click("[data-do=run-pause]")
        page.wait_for_selector(f"{RUN}[data-state=paused]")
        page.click("[data-do=run-keep]")
        expect(page.locator("[data-do=run-keep]")).to_have_text("Kept")
        grids = int(page.get_attribute(RUN, "data-grids") or 0)
        page.focus(f"{RUN} .lab-player input")
        page.keyboard.press("Home")
        page.wait_for_selector(f"{RUN}[data-grid='0']")
        page.click("[data-do=run-go-on]")
        page.wait_for_selector(f"{RUN}[data-state=running]")
        second.close()
        page.click("[data-do=run-pause]")
        page.wait_for_selector(f"{RUN}[data-state=paused]")
        assert grids >= 1

        page.click("[data-do=run-draw]")
        page.wait_for_selector(".lab-reverse[data-run=opening]")
        expect(page.locator("#lab-network input")).to_have_value("Trained here: 3 images of one's own")
        page.click("#lab-generate")
        page.wait_for_selector(".lab-reverse[data-state=ready]:not([data-run=opening])")
        expect(page.locator(".lab-reverse .lab-status")).to_contain_text("20 images")

        page.get_by_role("tab", name="Train").click()
        with page.expect_download() as download:
            page.click("[data-do=run-take]")
        assert download.value.suggested_filename == "network.zip"
        page.click("[data-do=run-remove]")
        page.click("[data-do=run-remove]")
        page.wait_for_selector(f"{RUN}[data-state=empty]")
        assert not folder.exists()
        page.close()
        page = opened(browser, address)
        expect(page.locator("#lab-train-run-message")).to_contain_text("This run is not here")
        page.close()
    finally:
        end(server)


def test_an_operator_may_let_nobody_train(browser: Browser, place: Path) -> None:
    port = free_port()
    server = serve(port, place, "--no-training")
    try:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/#tab=train")
        page.wait_for_selector(".lab-sidebar[data-state=ready]")
        assert page.get_by_role("tab", name="Train").count() == 0
        page.close()
    finally:
        end(server)
