"""The reverse tab, without a browser: its runs, its questions, and what is taken away."""

from __future__ import annotations

import base64
import io
import math
import re
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image
from PIL.GifImagePlugin import GifImageFile
from PIL.WebPImagePlugin import WebPImageFile

from diffusion.data.folders import load_data
from diffusion.images import ImageError, to_bytes, to_unit
from diffusion.networks.model import available, save_model
from diffusion.networks.unet import UNetConfig
from diffusion.sampling import archive
from diffusion.sampling import recipe as recipes
from diffusion.sampling.choices import SamplingError
from diffusion.sampling.recipe import Recipe, denoiser_of
from diffusion.sampling.statistics import Moments, distance
from diffusion.sampling.updates import SAMPLERS, option_parameters
from diffusion.sampling.whatif import ACROSS, Row, comparison
from diffusion.sampling.wishes import IN_TURN
from tests.tiny import save_tiny, trained
from ui import frames as frame_files
from ui import reverse_tab, sampling, sidebar, whatif, whatif_tab
from ui.card import quality
from ui.link import controls_from_link
from ui.models import EXACT, OWN, Source, StopFlag, find_source, shared_model, sources

pytestmark = pytest.mark.slow

CONTROLS = sampling.Controls(network="digits", label="3", count=2, steps=4, seed="7")


def recipe_of(controls: sampling.Controls) -> Recipe:
    """What the page would sample with the schedule that it opens with."""
    return sampling.read_recipe(find_source(controls.network), sidebar.default_settings(), controls)


def test_run_keeps_every_step_and_packs_what_it_saw() -> None:
    *_, done = sampling.run_for_view(find_source("digits"), recipe_of(CONTROLS), StopFlag())
    assert [frame["t"] for frame in done["frames"]] == [1000, 750, 500, 250, 0]
    frames = frame_files.read_frames(Path(done["file"]["path"]))
    assert frames.shape == (5, 3, 2, 32, 32, 1)  # DDIM adds no noise: x_t, x_0 and eps
    assert np.array_equal(frames[-1, 0], frames[-1, 1])  # x_0 itself, twice


def test_frames_hold_x_t_both_predictions_and_the_noise_that_went_in() -> None:
    source, recipe = find_source("digits"), recipe_of(replace(CONTROLS, sampler="ddpm"))
    *_, done = sampling.run_for_view(source, recipe, StopFlag())
    frames = frame_files.read_frames(Path(done["file"]["path"]))
    assert frames.shape == (5, 4, 2, 32, 32, 1)
    denoiser, shape = denoiser_of(recipe, source.model)
    taken = recipes.run(recipe, denoiser, shape, source.device)
    for frame, told, step in zip(frames[:-1], done["frames"][:-1], taken, strict=True):
        assert told["numbers"]["moved"] == pytest.approx(distance(step.x_s, step.x_t))
        assert np.array_equal(frame[:2], to_bytes(torch.stack([step.x_t, step.x_0])))
        for seen, noise in zip(frame[2:], (step.eps, step.z), strict=True):
            assert np.array_equal(seen, to_bytes((torch.zeros_like(step.x_t) if noise is None else noise) / 3))
    assert (frames[-2, 3] == 128).all() and (frames[-1, 3] == 128).all()  # no noise in the last step


def test_stopped_run_ends_after_the_step_in_hand() -> None:
    *_, done = sampling.run_for_view(find_source("digits"), recipe_of(CONTROLS), StopFlag(up=True))
    assert done["stopped"]
    assert "let a run end" in reverse_tab.take_away({"file": done["file"]["path"], "form": "npz"})["error"]
    assert [frame["t"] for frame in done["frames"]] == [1000, 750]


def test_numbers_of_a_run_begin_with_noise_and_end_with_its_images() -> None:
    *_, done = sampling.run_for_view(
        find_source("digits"), recipe_of(replace(CONTROLS, count=20, label="all in turn")), StopFlag()
    )
    first, *_, last = (frame["numbers"] for frame in done["frames"])
    images = frame_files.read_frames(Path(done["file"]["path"]))[-1, 0] / 127.5 - 1
    assert (last["mean"], last["std"]) == pytest.approx((images.mean(), images.std()), abs=0.01)
    assert last["moved"] is None
    assert (first["mean"], first["std"]) == pytest.approx((0, 1), abs=0.05)
    assert (first["expected_mean"], first["expected_std"]) == pytest.approx((0, 1), abs=0.01)
    held_out = to_unit(load_data("digits", "test", 32).images)
    assert last["expected_mean"] == pytest.approx(held_out.mean().item(), abs=1e-6)
    assert abs(last["mean"] - last["expected_mean"]) < 0.15


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("option", [0.0, 0.7])
def test_numbers_beside_a_frame_are_the_step_that_was_taken(sampler: str, option: float) -> None:
    source = find_source("digits")
    recipe = recipe_of(
        replace(CONTROLS, sampler=sampler, options=dict.fromkeys(option_parameters(), option), clip="none")
    )
    denoiser, shape = denoiser_of(recipe, source.model)
    before: list[torch.Tensor] = []
    for step in recipes.run(recipe, denoiser, shape, source.device):
        frame = sampling.frame_of_step(step, recipe, Moments(0, 1))
        parts = {"xt": step.x_t, "x0": step.x_0, "eps": step.eps, "eps_s": step.eps_s, "z": step.z}
        parts |= dict(zip(("x0_before", "x0_before2"), before[::-1], strict=False))
        total = sum(frame.terms[name] * part for name, part in parts.items() if part is not None)
        torch.testing.assert_close(step.x_s, total, atol=2e-4, rtol=1e-4)
        assert (frame.t, frame.s) == (step.t, step.s)
        before = [*before, step.x_0][-2:]


@pytest.mark.parametrize(
    ("count", "keep_all", "frames"),
    [(1, False, 1), (250, False, 250), (251, False, 126), (1000, False, 250), (1000, True, 1000)],
)
def test_at_most_250_frames_unless_all_are_asked_for(count: int, keep_all: bool, frames: int) -> None:
    every = frame_files.stride(count, 4 * 20 * 32 * 32, keep_all)
    assert len(range(0, count, every)) == frames


@pytest.mark.parametrize("keep_all", [False, True])
def test_a_thousand_steps_of_64_samples_stay_below_250_megabytes(tmp_path: Path, keep_all: bool) -> None:
    shape = (64, 32, 32, 3)
    x = torch.zeros(64, 3, 32, 32)
    frame = frame_files.Frame(1, 0, 0, {}, {})
    tracemalloc.start()
    with (tmp_path / "run.frames").open("wb") as file:
        recorder = frame_files.Recorder(file, shape, 4, every=frame_files.stride(1000, 4 * math.prod(shape), keep_all))
        for step in filter(recorder.wants, range(1000)):
            recorder.add(frame, x, x, x, x)
            assert step % recorder.every == 0
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "run.frames").stat().st_size < 250e6  # what the browser holds
    assert held < 10e6  # what the server does
    assert len(frame_files.read_frames(tmp_path / "run.frames")) == len(recorder.frames) >= 80


@pytest.mark.parametrize(
    ("change", "field"),
    [({"seed": "1.5"}, "seed"), ({"seed": ""}, "seed"), ({"seed": "-1"}, "seed"), ({"seed": "9" * 30}, "seed"),
     ({"steps": 2000}, "steps"), ({"steps": 2.5}, "steps"), ({"steps": None}, "steps"),
     ({"sampler": "ddim", "options": {"eta": 2.0}}, "eta")],
)  # fmt: skip
def test_impossible_run_names_its_control(change: dict[str, Any], field: str) -> None:
    with pytest.raises(SamplingError) as error:
        recipe_of(replace(CONTROLS, **change))
    assert error.value.field == field


def test_exports_hold_the_frames_that_were_packed(tmp_path: Path) -> None:
    path = tmp_path / "run.frames"
    with path.open("wb") as file:
        recorder = frame_files.Recorder(file, (4, 8, 8, 1), 4)
        for step in range(5):
            x = torch.full((4, 1, 8, 8), -1.0 + step / 2)
            recorder.add(frame_files.Frame(5 - step, step, None, {}, {}), x, -x, x, None)
    for form in ("gif", "webp"):
        with Image.open(io.BytesIO(frame_files.export_animation(path, form))) as animation:
            assert isinstance(animation, GifImageFile | WebPImageFile) and animation.n_frames == 5
            animation.seek(4)
            assert animation.convert("L").getpixel((0, 0)) == 255
            assert animation.convert("L").getpixel((animation.width - 1, 0)) == 0
    with Image.open(io.BytesIO(frame_files.export_png(path))) as picture:
        assert picture.convert("L").getpixel((0, 0)) == 255


def test_only_a_run_of_the_page_can_be_taken_away(tmp_path: Path) -> None:
    for name in ("/etc/passwd", str(tmp_path / "run.frames"), "../app.py"):
        answer = reverse_tab.take_away({"file": name, "form": "png"})
        assert "press Generate again" in answer["error"]
    value, *_ = reverse_tab.open_reverse_tab({})
    answer = reverse_tab.take_away({"file": value["file"]["path"], "form": "png"})
    assert answer["name"] == "ddpm-lab-digits-unipc10-seed0.png"


def taken_away(value: dict[str, Any]) -> Path:
    """The file of numbers that a button below a run hands to the browser."""
    answer = reverse_tab.take_away({"file": value["file"]["path"], "form": "npz"})
    return Path(answer["url"].removeprefix("gradio_api/file="))


def test_run_is_drawn_again_bit_for_bit_from_the_file_that_is_taken_away() -> None:
    source, recipe = find_source("digits"), recipe_of(replace(CONTROLS, sampler="ddpm"))
    *_, done = sampling.run_for_view(source, recipe, StopFlag())
    path = taken_away(done)
    with np.load(path) as file:
        images, t, x_0 = file["images"], file["t"], file["x_0"]
    frames = frame_files.read_frames(Path(done["file"]["path"]))
    assert np.array_equal(images, frames[-1, 0])
    assert t.tolist() == [1000, 750, 500, 250]
    assert np.array_equal(x_0, frames[:-1, 1])
    again = archive.read(path)
    denoiser, shape = denoiser_of(again, recipes.load_model_of(again, source.device))
    assert np.array_equal(recipes.draw(again, denoiser, shape, source.device), images)


def test_python_that_is_taken_away_draws_the_same() -> None:
    *_, done = sampling.run_for_view(find_source("digits"), recipe_of(CONTROLS), StopFlag())
    names: dict[str, Any] = {}
    exec(reverse_tab.take_away({"file": done["file"]["path"], "form": "py"})["text"], names)
    assert np.array_equal(names["images"], frame_files.read_frames(Path(done["file"]["path"]))[-1, 0])


@pytest.mark.parametrize("name", available())
def test_every_network_runs_with_its_classes_and_shows_its_card(name: str) -> None:
    model = shared_model(name)
    assert (model.card.title, name) in sources()
    value, guidance, own, line, card = reverse_tab.choose_network(name)
    assert not own["visible"]
    lists = {each["name"]: each["values"] for each in value["lists"]}
    assert lists == (model.card.conditions or {"class": model.card.classes})
    assert guidance["value"] == (model.card.guidance or (1.5 if model.card.conditions else 1))
    assert model.card.title in line
    for fact in (model.card.sha256, model.card.licence, model.card.command, f"{model.card.images_seen:,}"):
        assert fact in card
    controls = sampling.Controls(network=name, label=next(iter(lists.values()))[-1], count=2, steps=2)
    *_, done = sampling.run_for_view(find_source(name), recipe_of(controls), StopFlag())
    frames = frame_files.read_frames(Path(done["file"]["path"]))
    assert frames.shape[-1] == model.image_shape[0]


@pytest.fixture
def student(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A student of the digits network, of two calls, that the page has; its weights are any."""
    path = tmp_path / "student.safetensors"
    unet = UNetConfig(8, 1, (2,), widths=(12, 24), blocks=1, attention=(), guidance=(1.0, 4.0))
    card = replace(save_tiny(path, ["0", "1"]), network=unet, teacher="digits", levels=[1e-9, 0.5], guidance=1.2)
    save_model(path, trained(unet), card)
    for module in (reverse_tab, whatif):
        monkeypatch.setattr(module, "student_calls", lambda: {str(path): 2})
    return str(path)


def test_a_student_is_drawn_in_its_own_steps_and_told_its_guidance(student: str) -> None:
    source = find_source(student)
    assert (source.levels, source.kind) == ([1e-9, 0.5], "digits")
    assert reverse_tab.suit_network(student, "unipc", 12) == ("ddim", 2)
    controls = sampling.Controls(network=student, count=4, sampler="ddim", steps=2, guidance=2.0)
    recipe = sampling.read_recipe(source, sidebar.default_settings(), controls)
    # Under the page's schedule, which is not that of its training, the steps that have its levels.
    T, middle = recipe.steps
    assert T == recipe.schedule.T and recipe.spacing is None
    assert abs(np.abs(recipe.schedule.alpha_bar - 0.5).argmin() - middle) <= 1
    denoiser, shape = denoiser_of(recipe, source.model)
    *_, last = recipes.run(recipe, denoiser, shape, "cpu")
    assert last.calls == 2
    assert sampling.remark_on(source, recipe) == ""
    other = sampling.read_recipe(source, sidebar.default_settings(), replace(controls, steps=3))
    assert "is a student and was taught" in sampling.remark_on(source, other)
    far = sampling.read_recipe(source, sidebar.default_settings(), replace(controls, guidance=6.0))
    with pytest.raises(SamplingError, match="taught guidance from 1 to 4, not 6"):
        next(recipes.run(far, denoiser, shape, "cpu"))
    _, guidance, *_ = reverse_tab.choose_network(student)
    assert (guidance["minimum"], guidance["maximum"], guidance["value"]) == (1.0, 4.0, 1.2)


def test_teacher_and_student_are_compared_from_the_same_noise(student: str) -> None:
    settings, controls = sidebar.default_settings(), sampling.Controls(count=ACROSS, seed="5", label="1")
    values = sampling.values_of(controls).values()
    asked = whatif_tab.ask_comparison(settings, StopFlag(), ["ddim"], "3", [student], *values)
    *_, (view, message, _, _) = asked
    assert message == "" and [row["note"].split(",")[0] for row in view["rows"]] == ["3 calls", "2 calls"]
    teacher = sampling.read_recipe(find_source("digits"), settings, controls)
    (row,) = whatif.beside(find_source("digits"), settings, controls, [student])
    assert (row.network, row.recipe.model, len(row.recipe.steps)) == (student, student, 2)
    assert (row.recipe.seeds, row.recipe.labels) == (teacher.seeds, teacher.labels)
    # Guidance is what each is the better for, until the visitor chooses it.
    assert row.recipe.guidance == 1.2
    (row,) = whatif.beside(find_source("digits"), settings, replace(controls, guidance=3.0), [student])
    assert row.recipe.guidance == 3.0
    (row,) = whatif.beside(find_source(student), settings, replace(controls, network=student, guidance=1.2), ["digits"])
    assert (row.label, len(row.recipe.steps), row.recipe.guidance) == ("Handwritten digits, DDIM 50", 50, 1.0)


def test_what_suits_a_student_does_not_stay_for_other_networks(student: str) -> None:
    usual = sampling.Controls()
    assert student and reverse_tab.suit_network("digits", "ddim", 2) == (usual.sampler, usual.steps)
    for chosen in (("ddim", 50), ("unipc", 12), ("ddpm", 2)):
        assert all("value" not in update for update in reverse_tab.suit_network("emoji", *chosen))


def test_a_class_of_another_network_is_refused() -> None:
    controls = replace(CONTROLS, label="Flags")
    with pytest.raises(SamplingError, match="no class 'Flags'"):
        recipe_of(controls)


def test_the_figures_of_a_card_are_told_with_the_command_that_made_them() -> None:
    run = {"sampler": "ddim", "steps": 50, "images": 1000, "accuracy": 0.987, "frechet": 1.234, "frechet_held_out": 0.5,
           "nearest_median": 20.0, "copied": 0.015}  # fmt: skip
    held = {"images": 190, "accuracy": 0.72, "nearest_median": 30.0}
    likelihood = {"bits_per_dim": 3.21, "standard_error": 0.02, "images": 190, "L_T": 0.0001, "L_mid": 3.0, "L_0": 0.21}
    text = quality(likelihood | {"command": "python -m diffusion evaluate", "runs": [run], "held_out": held})
    for part in ("3.210 ± 0.020 bits/dim", "| DDIM | 50 | 1,000 | 98.7% | 1.23 (0.500) | 20.0 | 1.5% |", "evaluate"):
        assert part in text
    assert quality({}) == ""


def test_link_sets_the_controls_and_what_cannot_be_in_it_is_left_out() -> None:
    usual = sampling.Controls()
    link = {
        "network": "emoji",
        "class": "Flags",
        "images": "9",
        "sampler": "dpmpp",
        "steps": "12",
        "seed": "3",
        "eta": "0.5",
    }
    assert controls_from_link(link) == replace(
        usual, network="emoji", label="Flags", count=9, sampler="dpmpp", steps=12, seed="3", options={"eta": 0.5}
    )
    wrong = {
        "network": "cats",
        "class": "Flags",
        "images": "900",
        "sampler": "x",
        "steps": "-1",
        "seed": "?",
        "v": "nan",
    }
    assert controls_from_link(wrong | {"v": "nan", "eta": "much"}) == usual


@pytest.mark.skipif(find_source("digits").precision == "float32", reason="this processor has no bfloat16")
def test_page_says_what_lower_precision_changes() -> None:
    found = re.search(r"differ by ([0-9.]+) of 255 .* at most ([0-9]+)\.", reverse_tab.rounding_of("digits"))
    assert found is not None
    assert 0 < float(found[1]) < 3 and 0 < int(found[2]) < 100
    assert reverse_tab.rounding_of("exact-digits") == ""


# What if


def first_x_t(row: Row) -> torch.Tensor:
    """What a row begins with."""
    source = find_source("digits")
    denoiser, shape = denoiser_of(row.recipe, source.model)
    return next(recipes.run(row.recipe, denoiser, shape, source.device)).x_t


def samples_of(source: Source, rows: list[Row]) -> list[np.ndarray]:
    """The samples of each row as the browser gets them, (N, H, W, C), without the pictures before them."""
    *_, done = whatif.run_rows(source, rows, StopFlag())
    images = [np.frombuffer(base64.b64decode(row["data"]), np.uint8).reshape(row["shape"]) for row in done["rows"]]
    return [image[len(row["lead"]) :].astype(int) for image, row in zip(images, done["rows"], strict=True)]


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_branches_go_on_from_what_the_run_was_and_the_later_the_more_alike(sampler: str) -> None:
    source, recipe = find_source("digits"), recipe_of(replace(CONTROLS, sampler=sampler, steps=10))
    denoiser, shape = denoiser_of(recipe, source.model)
    second = [step.x_t[1] for step in recipes.run(recipe, denoiser, shape, source.device)]
    rows = whatif.branches(source, recipe, 1, None, StopFlag())
    assert [row.label for row in rows] == ["t = 1000", "t = 800", "t = 600", "t = 400", "t = 200"]
    for row, x_t in zip(rows, second[::2], strict=True):
        torch.testing.assert_close(row.lead[0][2], x_t, atol=0.05, rtol=0)  # rounded otherwise in another batch
        assert torch.equal(first_x_t(row), row.lead[0][2].expand(ACROSS, *shape))
    spread = [images.std(axis=0).mean() for images in samples_of(source, rows)]
    assert spread[0] > 5
    assert spread[0] > spread[2] > spread[4]


def test_a_sample_branches_from_the_frame_that_is_shown() -> None:
    source, recipe = find_source("digits"), recipe_of(CONTROLS)
    (row,) = whatif.branches(source, recipe, 0, 500, StopFlag())
    assert row.recipe.steps == [500, 250]
    with pytest.raises(SamplingError, match="nothing is left"):
        whatif.branches(source, recipe, 0, 0, StopFlag())


@pytest.mark.parametrize(
    ("label", "plain", "guided"),
    [(IN_TURN, None, list(range(ACROSS))), ("3", [3] * ACROSS, [3] * ACROSS)],
)
@pytest.mark.parametrize("ask", ["denoised", "filled"])
def test_rows_that_begin_with_a_picture_are_guided_whatever_class_is_chosen(
    ask: str, label: str, plain: list[int] | None, guided: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[Row] = []

    def run_rows(_source: Source, asked: list[Row], _flag: StopFlag) -> list[dict[str, str]]:
        rows.append(asked[0])
        return [{"state": "done"}]

    monkeypatch.setattr(whatif_tab, "run_rows", run_rows)
    for guidance in (1.0, 4.0):
        values = sampling.values_of(replace(CONTROLS, label=label, guidance=guidance)).values()
        asked = sidebar.default_settings(), StopFlag(), whatif_tab.BUNDLED, None, ""
        if ask == "denoised":
            answers = whatif_tab.ask_denoised(*asked, "80", *values)
        else:
            answers = whatif_tab.ask_filled(*asked, {"mask": "10" * 512}, 2, *values)
        assert [message for _, message, *_ in answers] == ["", ""]
    assert [row.recipe.labels for row in rows] == [plain, guided]
    images, led = samples_of(find_source("digits"), rows)
    assert np.abs(images - led).mean() > 1


@pytest.mark.parametrize("text", ["", "5, x", "-3", "2.5"])
def test_list_of_numbers_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SamplingError, match="commas"):
        whatif.read_numbers(text, "steps")


def test_list_of_numbers_has_no_more_rows_than_can_be_seen() -> None:
    assert whatif.read_numbers("5; 10,20,", "steps") == [5, 10, 20]
    with pytest.raises(SamplingError, match="at most 8"):
        whatif.read_numbers("1,2,3,4,5,6,7,8,9", "steps")


def test_question_about_a_run_waits_until_there_is_one() -> None:
    *_, (_, message, _, _) = whatif_tab.ask_branches({"t": 0, "sample": 0}, StopFlag(), None, whatif_tab.FIVE)
    assert message == "Wait until the first run is there."


def test_question_that_cannot_be_answered_keeps_the_last_answer() -> None:
    values = sampling.values_of(CONTROLS).values()
    asked = whatif_tab.ask_comparison(sidebar.default_settings(), StopFlag(), [], "5", [], *values)
    *_, (view, message, start, halt) = asked
    assert view == gr.skip()
    assert message == "Choose at least one sampler."
    assert start["interactive"] and not halt["interactive"]


def test_stop_ends_a_question_after_the_step_in_hand() -> None:
    source, recipe = find_source("digits"), recipe_of(replace(CONTROLS, count=ACROSS))
    rows = comparison(recipe, {"ddim": {}}, [5, 10])
    *_, done = whatif.run_rows(source, rows, StopFlag(up=True))
    assert done["rows"][0]["note"].startswith("stopped: 1 call,")
    assert done["rows"][1]["note"] == ""


# No network


def test_exact_denoiser_of_one_s_own_images_ends_at_one_of_them(tmp_path: Path) -> None:
    for k, colour in enumerate(("red", "green", "blue")):
        Image.new("RGB", (50, 40), colour).save(tmp_path / f"{k}.png")
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    source = find_source(OWN, paths)
    controls = sampling.Controls(network=OWN, count=6, steps=10, own=paths)
    recipe = sampling.read_recipe(source, sidebar.default_settings(), controls)
    *_, done = sampling.run_for_view(source, recipe, StopFlag())
    made = frame_files.read_frames(Path(done["file"]["path"]))[-1, 0]
    assert source.examples is not None
    known = source.examples.movedim(1, -1).numpy().astype(int)
    nearest = np.abs(made[:, None].astype(int) - known).max(axis=(2, 3, 4)).min(axis=1)
    assert nearest.max() <= 2


@pytest.mark.parametrize(("paths", "words"), [([], "Choose some images"), (["x.png"] * 501, "at most 500")])
def test_images_of_one_s_own_are_neither_none_nor_too_many(paths: list[str], words: str) -> None:
    *_, last = reverse_tab.press_generate(
        sidebar.default_settings(), StopFlag(), *sampling.values_of(replace(CONTROLS, network=OWN, own=paths)).values()
    )
    assert words in last[1]


def test_damaged_one_of_several_images_is_named(tmp_path: Path) -> None:
    Image.effect_noise((8, 8), 60).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_text("no picture")
    with pytest.raises(ImageError, match=r"^bad\.png: This file is not a picture"):
        find_source(OWN, [str(tmp_path / "good.png"), str(tmp_path / "bad.png")])


@pytest.mark.parametrize("name", [name for _, name in sources() if name.startswith(EXACT)])
def test_an_exact_denoiser_has_no_classes_and_says_what_it_is(name: str) -> None:
    value, guidance, own, line, _ = reverse_tab.choose_network(name)
    assert value["lists"] == [] and not guidance["visible"]
    assert own["visible"] == (name == OWN)
    assert "memorise" in line
