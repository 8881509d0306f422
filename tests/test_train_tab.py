"""The train tab: images as they are dropped, what is asked for, and what is watched of a run."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import secrets
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from diffusion.data.sets import DataError, ImageSet
from diffusion.images import encode, grid, to_pil
from diffusion.networks.model import load_model
from tests.tiny import save_tiny
from ui import cost, drafts, loss_tab, models, reverse_tab, runs, sampling, seen, train_tab, turn, watching
from ui.asked import AskedError
from ui.runs import RunBounds, RunWish
from ui.sidebar import default_settings

pytestmark = pytest.mark.slow
MORE = (30, 16, None, 0.995, "stratified", 0)


def save_image(path: Path, seed: int = 0, mode: str = "RGB") -> str:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 52, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path)
    return str(path)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "runs"
    monkeypatch.setenv(runs.PLACE, str(folder))
    yield folder
    for run in runs.all_runs():
        runs.remove_run(run.name)


def draft_of(count: int, channels: int = 3, **said: Any) -> drafts.Draft:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, channels, 32, 32), generator=generator, dtype=torch.uint8)
    return drafts.Draft(ImageSet(pixels, torch.zeros(count, dtype=torch.int64), **said))


def test_a_broken_image_among_good_ones_is_left_out_and_named(tmp_path: Path) -> None:
    good = [save_image(tmp_path / str(i) / "same.png", i) for i in range(3)]
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG nothing")
    draft, shown, message, begin, classes, expected = train_tab.drop_files([*good, str(broken)])
    assert len(draft.data) == 3 and draft.channels == 3 and message == "" and begin == "emoji"
    assert shown["remarks"] == ["1 of 4 images in your files cannot be read and are left out: broken.png."]
    assert str(tmp_path) not in json.dumps(shown) and classes["value"] is False
    assert "**3 images** are learnt by heart" in expected
    pixels = np.frombuffer(base64.b64decode(shown["data"]), np.uint8).reshape(shown["shape"])
    assert np.array_equal(pixels, draft.data.images.movedim(1, -1).numpy())


def test_folders_of_a_zip_are_classes_and_its_test_images_are_held_out(tmp_path: Path) -> None:
    path = tmp_path / "mine.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for split, count in (("train", 3), ("test", 1)):
            for name in ("cat", "dog"):
                for i in range(count):
                    image = save_image(tmp_path / "i.png", i + len(name), "L")
                    archive.write(image, f"{split}/{name}/{i}.png")
        archive.writestr("train/cat/notes.exe", b"x")
    draft = drafts.read_dropped([str(path)])
    assert draft.data.classes == ("cat", "dog") and draft.channels == 1
    assert draft.held_out is not None and len(draft.held_out) == 2
    assert draft.remarks == ("1 file in mine.zip of kinds that are not read (.exe) left out.",)
    assert drafts.show_draft(draft)["classes"] == [["cat", 3], ["dog", 3]]
    assert drafts.nearest_beginning(draft) == "digits"
    suited = drafts.suited_to(draft, "emoji", classes=False)
    assert suited.channels == 3 and suited.data.classes == () and not suited.data.labels.any()
    assert suited.held_out is not None and suited.held_out.images.shape[1] == 3
    assert torch.equal(suited.data.images[:, :1], draft.data.images)


def test_what_cannot_be_learnt_from_is_refused_in_a_sentence(tmp_path: Path) -> None:
    image, other = save_image(tmp_path / "a.png"), save_image(tmp_path / "b.png", 1)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(image, "a.png")
        archive.write(other, "b.png")
    broken = tmp_path / "b.zip"
    broken.write_bytes(b"PK nothing")
    few, small = RunBounds(images=1), RunBounds(unpacked=100)
    for paths, bounds, message in (
        ([], RunBounds(), "Choose some images first"),
        ([str(path), image], RunBounds(), "A zip is read by itself"),
        ([image, other], few, "2 images are too many here; choose at most 1."),
        ([str(path)], few, "a.zip has 2 images, more than the 1"),
        ([str(path)], small, "a.zip holds more than 0 MB"),
        ([str(broken)], RunBounds(), "b.zip is not a zip file that can be read."),
    ):
        with pytest.raises(DataError, match=message):
            drafts.read_dropped(paths, bounds)
    kept = train_tab.drop_files([str(broken)])
    assert kept[2] == "b.zip is not a zip file that can be read." and kept[0] == gr.skip()


def test_grey_is_what_pillow_makes_of_colours() -> None:
    images = draft_of(3).data.images
    theirs = [np.asarray(Image.fromarray(image.movedim(0, -1).numpy()).convert("L")) for image in images]
    ours = drafts.in_channels(images, 1)[:, 0].numpy()
    assert np.abs(ours.astype(int) - np.stack(theirs)).max() <= 1


@pytest.mark.parametrize("name", [*drafts.BUNDLED_SETS])
def test_bundled_images_are_learnt_from(name: str) -> None:
    draft = drafts.read_bundled(name)
    assert drafts.nearest_beginning(draft) == name and draft.licence and draft.about
    assert draft.held_out is None or len(draft.data.without(draft.held_out)) > 0.98 * len(draft.data)
    with pytest.raises(AskedError, match="no bundled images"):
        drafts.read_bundled("../emoji")


def test_what_is_asked_for_is_checked() -> None:
    draft = draft_of(2)
    wish = train_tab.read_run_wish(draft, "emoji", True, " mine,\n CC0 ", MORE)
    assert wish == RunWish(
        mirror=True, title="2 images of one's own", about="mine, CC0", licence="mine, CC0", begin="emoji"
    )  # fmt: skip
    for place_of, value in ((0, 0), (0, 61), (0, 1e9), (1, 0), (2, -1.0), (3, 1.0), (4, "often"), (5, -1), (0, "x")):
        more = [*MORE]
        more[place_of] = value
        with pytest.raises(AskedError):
            train_tab.read_run_wish(draft, "emoji", False, "", tuple(more))
    for begin in ("../emoji", "emoji-4", "nothing"):
        with pytest.raises(AskedError, match="cannot begin with"):
            drafts.suited_to(draft, begin, classes=False)
    assert train_tab.press_begin(None, "emoji", False, False, "", *MORE)[1].startswith("There is nothing to learn from")


@pytest.mark.parametrize("begin", [name for _, name in drafts.beginnings()])
def test_whatever_a_run_can_begin_with_fits_its_images(begin: str) -> None:
    for channels in (1, 3):
        suited = drafts.suited_to(draft_of(2, channels), begin, classes=False)
        assert suited.channels == drafts.network_of(begin, channels).channels


def test_what_to_expect_is_honest_about_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_tab, "seconds_a_thousand", lambda begin, batch: 50.0)
    assert "One image" in train_tab.say_expectation(draft_of(1), "emoji")
    assert train_tab.say_expectation(None, "emoji") == train_tab.NOT_YET
    said = train_tab.measure_speed(draft_of(30), "emoji", 16)
    assert "about 50 s" in said and "after 1 minute (1,200 seen, each about 40 times)" in said
    with pytest.raises(AskedError):
        train_tab.measure_speed(None, "nothing", 16)


def test_a_machine_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "TIMED_SECONDS", 0.0)
    monkeypatch.setitem(runs.NOTHING, "small", (8, 8, 8))
    assert drafts._measure(drafts.network_of("small", 3), 2) > 0


def finished(place: Path, data: ImageSet, held_out: ImageSet | None = None, **wish: Any) -> Path:
    """A run as it looks when it has ended."""
    folder = place / secrets.token_urlsafe(16)
    folder.mkdir(parents=True)
    runs.write_data(folder / runs.DATA, data, held_out)
    said = {"wish": dataclasses.asdict(RunWish(**wish)), "images": len(data), "shape": list(data.images.shape[1:]),
            "held_out": 0 if held_out is None else len(held_out)}  # fmt: skip
    (folder / turn.RUN).write_text(json.dumps(said))
    (folder / turn.OUTPUT).write_text("Stopped at step 10 of 99; the same command goes on from there.\n")
    (folder / "log.csv").write_text(
        "step,images,loss,learning_rate,gradient_norm,seconds\n5,80,0.5,0.1,1,2\n10,160,0.2,0.1,1,4\n"
    )
    (folder / "samples").mkdir()
    return folder


def save_grid(folder: Path, step: int, samples: Tensor) -> None:
    image = to_pil(grid(samples.movedim(1, -1).numpy(), gap=2))
    (folder / "samples" / f"step-{step:08d}.png").write_bytes(encode(image, "PNG"))


def ask(folder: Path, **more: Any) -> dict[str, Any]:
    return watching.watch_run({"run": folder.name, "go": 0, "after": 0, "step": -1, **more})  # type: ignore[typeddict-item]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid_is_sent_with_the_nearest_images(place: Path, channels: int) -> None:
    data = draft_of(20, channels).data
    folder = finished(place, data)
    samples = data.images[[3] * 15 + [7]].clone()
    samples[15] = 255 - data.images[7]
    save_grid(folder, 4, samples)
    news = ask(folder)
    (frame,) = news["frames"]
    planes = np.frombuffer(base64.b64decode(frame["data"]), np.uint8).reshape(2, *news["shape"])
    assert np.array_equal(planes[0], samples.movedim(1, -1).numpy())
    assert np.array_equal(planes[1][:15], samples[:15].movedim(1, -1).numpy())
    assert frame["images"] == 64 and frame["near"] == 15 and frame["distance"][:15] == [0.0] * 15
    assert news["state"] == "over" and news["sentence"].startswith("Its 30 minutes are over")


def test_only_what_is_new_is_sent(place: Path) -> None:
    data = draft_of(4).data
    folder = finished(place, data)
    for step in range(0, 12):
        save_grid(folder, step, data.images[[0] * 16])
    first = ask(folder)
    assert first["rows"] == [[80, 0.5], [160, 0.2]] and first["more"]
    assert [frame["step"] for frame in first["frames"]] == list(range(8))
    then = ask(folder, after=80, step=7)
    assert then["rows"] == [[160, 0.2]] and [frame["step"] for frame in then["frames"]] == [8, 9, 10, 11]
    assert not then["more"] and ask(folder, after=160, step=11)["frames"] == []
    # It was started again: its log may be another, and whoever looks gets all of it.
    assert ask(folder, after=160, step=11, go=5)["rows"] == [[80, 0.5], [160, 0.2]]
    assert len(watching.thinned(list(range(1000)))) <= watching.MOST_FRAMES


def test_two_that_look_at_a_run_see_the_same(place: Path) -> None:
    data = draft_of(4).data
    folder = finished(place, data)
    save_grid(folder, 4, data.images[[0] * 16])
    assert ask(folder) == ask(folder)
    assert watching.bracket_run({"run": folder.name}) == watching.bracket_run({"run": folder.name})


def test_too_near_is_nearer_than_images_are_to_each_other_or_held_out_ones(place: Path) -> None:
    base = torch.zeros(11, 3, 32, 32, dtype=torch.uint8)
    base += (torch.arange(11) ** 2)[:, None, None, None].to(torch.uint8)  # the nearest lies 1, 1, 3, 5, ... away
    data = ImageSet(base, torch.zeros(11, dtype=torch.int64))
    folder = finished(place, data)
    limit, what = watching.near_limit(folder)
    assert limit == pytest.approx(np.percentile([1, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19], 10)) and "each other" in what
    runs.remove_run(folder.name)
    folder = finished(place, data, data[:3])
    assert watching.near_limit(folder) == (0.0, "held-out images are to a training image")
    runs.remove_run(folder.name)
    assert watching.near_limit(finished(place, data[:1])) == (watching.ALIKE, "16 grey levels, where they can hardly "
                                                              "be told apart")  # fmt: skip


@pytest.mark.parametrize("mirror", [False, True])
def test_a_mirrored_image_is_shown_where_the_run_is_shown_it(place: Path, mirror: bool) -> None:
    data = draft_of(12).data
    folder = finished(place, data, mirror=mirror)
    save_grid(folder, 1, data.images[[5] * 16].flip(-1))
    assert ask(folder)["frames"][0]["near"] == (16 if mirror else 0)


def test_the_loss_stands_between_two_that_know_images_by_heart(place: Path) -> None:
    """An exact denoiser of all the images, asked as the trainer asks a network that predicts v, is the floor itself."""
    from diffusion import process
    from diffusion.denoiser import ExactDenoiser
    from diffusion.images import to_unit

    data = draft_of(8).data
    folder = finished(place, data)
    found = watching.measure_bracket(folder)
    heart, others, levels = (np.array(found[name]) for name in ("heart", "others", "log_snr"))
    assert (heart <= others * (1 + 1e-6)).all() and others[0] > 1e3 * heart[0] and found["heart_mean"] > 0
    i = len(levels) - 3
    level, generator = 1 / (1 + np.exp(-levels[i])), torch.Generator().manual_seed(1)
    x_0 = to_unit(data.images).repeat(200, 1, 1, 1)
    eps = torch.randn(x_0.shape, generator=generator)
    x_t = process.q_sample(x_0, level, eps)
    exact = ExactDenoiser(data.images)(x_t, level)
    x_found = process.x0_from_eps(x_t, exact, level)
    off = process.v_from_x0_eps(x_found, exact, level) - process.v_from_x0_eps(x_0, eps, level)
    assert heart[i] == pytest.approx(float(off.square().mean()), rel=0.1)


def test_the_loss_by_level_is_that_of_the_log(place: Path) -> None:
    folder = finished(place, draft_of(2).data)
    assert watching.loss_by_level(folder) is None
    rows = [f"{t},3,{t / 1000 if t % 2 else 'nan'}" for t in range(1, 1001)]
    (folder / "loss_by_t.csv").write_text("t,images,loss\n" + "\n".join(rows) + "\n")
    found = watching.loss_by_level(folder)
    assert found is not None and np.mean(found["loss"]) == pytest.approx(0.5, abs=0.01)
    assert found["log_snr"] == sorted(found["log_snr"], reverse=True) and found["loss"] == sorted(found["loss"])


def test_images_a_second_are_counted_over_the_last_rows() -> None:
    rows = [{"images": 10.0 * i, "seconds": float(i)} for i in range(100)]
    assert watching.speed_of(rows) == pytest.approx(10) and watching.speed_of(rows[:1]) is None


def test_a_network_is_taken_away_and_opens_again(place: Path, tmp_path: Path) -> None:
    folder = finished(place, draft_of(3).data)
    with pytest.raises(AskedError, match="saved no network yet"):
        watching.take_network({"run": folder.name})
    save_tiny(folder / f"{runs.NAME}.safetensors", [])
    taken = watching.take_network({"run": folder.name})
    file = Path(taken["url"].partition("file=")[2])
    with zipfile.ZipFile(io.BytesIO(file.read_bytes())) as archive:
        archive.extractall(tmp_path / "out")
        text = archive.read("network/README.md").decode()
    model = load_model(str(tmp_path / "out" / "network" / "network.safetensors"))
    assert model.card.title == "Tiny" and "--init network.safetensors --data data.npz" in text
    assert folder.name not in text


def test_a_run_is_drawn_from_as_it_was_saved_last(place: Path) -> None:
    data = draft_of(3, 1).data
    folder = finished(place, ImageSet(data.images[..., :8, :8], data.labels))
    name = models.RUN + folder.name
    assert train_tab.press_draw_from({"run": ""})[-1] == "There is no run yet to draw from."
    assert "saved no network yet" in train_tab.press_draw_from({"run": folder.name})[-1]
    save_tiny(folder / f"{runs.NAME}.safetensors", [])
    network, measured, tabs, message = train_tab.press_draw_from({"run": folder.name})
    assert network["value"] == name and network["choices"][0] == ("Trained here: Tiny", name) and message == ""
    assert tabs.selected == "reverse" and measured["choices"][0][1] == name and "value" not in measured
    source = models.find_source(name)
    assert source.model is not None and source.kind == "digits" and not source.is_told
    recipe = sampling.read_recipe(source, default_settings(), sampling.Controls(network=name))
    assert recipe.model == "network.safetensors" and folder.name not in sampling.run_name(name, recipe)
    assert "about" in cost.words(source, recipe, cost.seconds_of(source.model, recipe, name))
    assert reverse_tab.rounding_of(name) == ""
    first = models.shared_model(name)
    assert models.shared_model(name) is first
    time.sleep(0.01)
    save_tiny(folder / f"{runs.NAME}.safetensors", [])
    assert models.shared_model(name) is not first
    assert models.data_moments(source) != models.data_moments(models.find_source("digits"))


def test_a_link_names_a_run_that_is_here(place: Path) -> None:
    assert train_tab.open_train_tab({}) == ({"run": ""}, "")
    value, message = train_tab.open_train_tab({"run": "b" * 22})
    assert value == {"run": ""} and "may have been removed" in message
    folder = finished(place, draft_of(2).data)
    assert train_tab.open_train_tab({"run": folder.name}) == ({"run": folder.name}, "")


@pytest.mark.parametrize("held", [0, 3])
def test_a_network_of_ones_own_is_measured_and_looked_at(place: Path, held: int) -> None:
    pixels = draft_of(12, 1).data.images[..., :8, :8]
    data = ImageSet(pixels, torch.zeros(12, dtype=torch.int64))
    folder = finished(place, data, data[:held] if held else None)
    save_tiny(folder / f"{runs.NAME}.safetensors", [])
    name = models.RUN + folder.name
    loss = [*loss_tab.press_measure(name, loss_tab.THEIRS, "", 4, 1, 10, 0, models.StopFlag())][-1]
    value, message = loss[:2]
    assert message == "" and value["part"] == 1 and value["held_out"] is bool(held)
    assert value["count"] == (held or 4) and value["others"] == 12 - value["count"]
    assert set(value["references"]) == {"known", "others"}
    seen_value, message = loss_tab.show_images(name, loss_tab.THEIRS, "")
    assert len(seen_value["images"]) == (held or 10) and message == ""
    assert seen.predictions_of({"network": name, "index": 1})["width"] == 8
    with pytest.raises(AskedError, match="no such image"):
        seen.predictions_of({"network": name, "index": held or 10})
    assert loss_tab.show_measured(name) == gr.skip()
    gone = models.RUN + "b" * 22
    assert "not here" in [*loss_tab.press_measure(gone, loss_tab.THEIRS, "", 4, 1, 10, 0, models.StopFlag())][-1][1]


def test_a_refusal_reaches_whoever_watches_as_a_sentence(place: Path) -> None:
    watch = watching.with_reason(watching.watch_run)
    gone: Any = {"run": "b" * 22, "go": 0, "after": 0, "step": -1}
    assert watch.__name__ == "watch_run" and "not here" in watch(gone)["error"]
    folder = finished(place, draft_of(2).data)
    assert watching.with_reason(watching.keep_run_here)({"run": folder.name, "kept": True}) == {}
    assert watch(gone | {"run": folder.name})["kept"] is True
