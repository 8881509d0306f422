"""The page's handlers, called without a browser."""

from __future__ import annotations

import base64
import io
import json
import math
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from diffusion import chain
from diffusion.checkpoint import available
from diffusion.denoiser import ExactDenoiser
from diffusion.images import to_bytes, to_unit
from diffusion.likelihood import kl_extra, loss_weight
from diffusion.measure import measure_errors
from diffusion.sampler import SAMPLERS, SamplingError, sample
from diffusion.schedule import FAMILIES, Schedule, drawn_schedule, make_schedule, schedule_of_betas
from ui import figures, forward_tab, loss_tab, player, reverse_tab, sampling, sidebar
from ui.card import quality
from ui.models import StopFlag, choices, shared_model

CONTROLS = sampling.Controls(network="digits", label="3", count=2, steps=4, seed="7")


def asked(**change: Any) -> dict[str, Any]:
    """What the page asks of a schedule that differs in this from the one that it opens with."""
    return {"settings": sidebar.default_settings() | change, "network": "digits"}


def decode(column: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(column), dtype=np.float64)


@pytest.mark.parametrize("family", FAMILIES)
def test_browser_gets_the_schedule_to_the_last_digit(family: str) -> None:
    params = {name: p.default for name, p in FAMILIES[family].parameters.items()}
    answer = json.loads(json.dumps(sidebar.bend_schedule(asked(family=family, T=50, params=params))))
    schedule = make_schedule(family, 50)
    columns = {name: decode(column) for name, column in answer["columns"].items()}
    assert np.array_equal(columns["beta"], schedule.beta)
    assert np.array_equal(columns["alpha_bar"], schedule.alpha_bar)
    # The posterior's two coefficients, from eq. 7 as it stands in the paper.
    a, b = schedule.alpha_bar[1:], schedule.alpha_bar[:-1]
    np.testing.assert_allclose(columns["posterior_x0"][1:], np.sqrt(b) * schedule.beta[1:] / (1 - a), rtol=1e-9)
    np.testing.assert_allclose(
        columns["posterior_xt"][1:], np.sqrt(schedule.alpha[1:]) * (1 - b) / (1 - a), rtol=1e-9, atol=1e-15
    )


def test_chart_columns_are_thin_and_reach_both_ends() -> None:
    chart = sidebar.bend_schedule(asked())["chart"]
    assert chart["t"][0] == 1
    assert chart["t"][-1] == 1000
    assert len(chart["t"]) <= sidebar.CHART_POINTS
    assert {len(column) for column in chart.values()} == {len(chart["t"])}
    assert chart["weight_posterior"][0] is None  # infinite at t = 1


def test_every_trace_of_a_figure_names_columns_that_are_sent() -> None:
    chart = sidebar.bend_schedule(asked())["chart"]
    for figure in (figures.schedule_figure(), figures.schedule_figure(across=1)):
        assert all(trace["meta"]["x"] in chart and trace["meta"]["y"] in chart for trace in figure["data"])
    *_, curve = measure_errors(ExactDenoiser(torch.zeros((1, 1, 2, 2))), torch.ones((2, 1, 2, 2)), [0.9, 0.1])
    columns = loss_tab.weigh({"curve": curve.to_json(), "variance": "beta", "settings": sidebar.default_settings()})[
        "columns"
    ]
    for trace in figures.loss_figure()["data"]:
        assert set(trace["meta"].values()) <= set(columns)


@pytest.mark.parametrize(
    ("change", "field"),
    [({"T": "ten"}, "T"), ({"T": 1}, "T"), ({"T": float("nan")}, "T"), ({"T": True}, "T")],
)
def test_schedule_that_cannot_be_is_an_answer_not_a_crash(change: dict[str, object], field: str) -> None:
    answer = sidebar.bend_schedule(asked(**change))
    assert answer.keys() == {"error"}
    assert answer["error"]["field"] == field


def test_forward_file_holds_x0_exactly_and_eps_to_a_rounding(tmp_path: Path) -> None:
    pixels = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)  # an odd number of bytes
    Image.fromarray(pixels).save(tmp_path / "odd.png")
    value = forward_tab.forward_value(tmp_path / "odd.png", seed=4)
    data = Path(value["file"]["path"]).read_bytes()
    assert (value["height"], value["width"], value["channels"]) == (3, 5, 3)
    assert np.array_equal(np.frombuffer(data[:45], np.uint8).reshape(3, 5, 3), pixels)
    eps = np.frombuffer(data[46:], "<i2") / forward_tab.EPS_UNIT
    expected = torch.randn(3, 5, 3, generator=torch.Generator().manual_seed(4)).numpy().ravel()
    assert np.abs(eps - expected).max() <= 0.5 / forward_tab.EPS_UNIT + 1e-7


def test_bad_picture_keeps_the_one_that_is_shown(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    _, shown, message, box = forward_tab.show_picture(str(tmp_path / "bad.png"), "before.png", 0)
    assert (shown, box) == ("before.png", None)
    assert message.startswith("This file is not a picture")


@pytest.mark.parametrize(
    ("link", "picture", "seed"),
    [
        ({}, "cat", 0),
        ({"picture": "coffee", "noise": "12"}, "coffee", 12),
        ({"picture": "../secret", "noise": "-1"}, "cat", 0),
        ({"picture": "cat.jpg", "noise": "9" * 40}, "cat", 0),
        ({"noise": "many"}, "cat", 0),
    ],
)
def test_forward_tab_opens_with_what_a_link_names(link: dict[str, str], picture: str, seed: int) -> None:
    value, shown, given = forward_tab.open_tab(link)
    assert (value["picture"], value["seed"], given) == (picture, seed, seed)
    assert Path(shown).stem == picture


def test_only_bundled_pictures_have_names_that_a_link_can_hold(tmp_path: Path) -> None:
    sample = forward_tab.sample_pictures()[1]
    copy, other = tmp_path / "copies" / sample.name, tmp_path / sample.name
    copy.parent.mkdir()
    copy.write_bytes(sample.read_bytes())
    Image.new("RGB", (4, 4)).save(other)
    assert forward_tab.sample_name(copy) == sample.stem
    assert forward_tab.sample_name(other) is None


def noising(path: Path, seed: int = 0) -> dict[str, Any]:
    """What the browser asks with, of a picture that it was sent."""
    value = forward_tab.forward_value(path, seed)
    return {"file": value["file"]["path"]} | {key: value[key] for key in ("width", "height", "channels")}


def test_sent_picture_and_noise_are_read_back(tmp_path: Path) -> None:
    pixels = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)
    Image.fromarray(pixels).save(tmp_path / "odd.png")
    x_0, eps = forward_tab.read_noising(noising(tmp_path / "odd.png", seed=4))
    assert np.array_equal(to_bytes(x_0), pixels)
    expected = torch.randn(3, 5, 3, generator=torch.Generator().manual_seed(4)).permute(2, 0, 1)
    torch.testing.assert_close(eps, expected, rtol=0, atol=0.51 / forward_tab.EPS_UNIT)


def test_no_other_file_can_be_asked_for(tmp_path: Path) -> None:
    (tmp_path / "secret.noising").write_bytes(bytes(100))
    size = {"width": 2, "height": 2, "channels": 3}
    for file in (str(tmp_path / "secret.noising"), "/etc/passwd", "../app.py", ""):
        with pytest.raises((ValueError, FileNotFoundError)):
            forward_tab.read_noising(size | {"file": file})


@pytest.mark.parametrize(("T", "count"), [(1000, 60), (20, 21)])
def test_noising_goes_from_the_picture_to_its_noise(tmp_path: Path, T: int, count: int) -> None:
    Image.effect_noise((96, 64), 60).convert("RGB").save(tmp_path / "photo.png")
    asked_for = noising(tmp_path / "photo.png") | {"settings": asked(T=T)["settings"]}
    x_0, eps = forward_tab.read_noising(asked_for)
    schedule = make_schedule("linear", T)
    frames = forward_tab.noising_frames(x_0, eps, schedule)
    assert len(frames) == count
    assert np.array_equal(np.asarray(frames[0]), to_bytes(x_0))
    assert np.array_equal(np.asarray(frames[-1]), to_bytes(schedule.signal[T] * x_0 + schedule.noise[T] * eps))
    file = forward_tab.export_noising(asked_for | {"format": "webp"})
    assert file["name"] == f"noising-linear-T{T}.webp"
    with Image.open(file["path"]) as animation:
        assert animation.size == (192, 128)  # small pictures are enlarged
        assert animation.n_frames == count
        assert np.array_equal(np.asarray(animation.convert("RGB"))[::2, ::2], to_bytes(x_0))


def test_page_expects_of_a_picture_what_the_closed_form_says() -> None:
    x_0 = to_unit(torch.randint(0, 200, (3, 9, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)))
    counts = torch.bincount(torch.from_numpy(to_bytes(x_0)).flatten().long(), minlength=256).tolist()
    edges = np.linspace(-4, 4, 65)
    expected = chain.closed_form(*chain.levels(x_0), 0.3, edges)
    found = json.loads(json.dumps(forward_tab.expect({"counts": counts, "alpha_bar_t": 0.3, "edges": edges.tolist()})))
    for name, value in found.items():
        np.testing.assert_allclose(value, getattr(expected, name), rtol=1e-9)


def test_run_keeps_every_step_and_packs_what_it_saw() -> None:
    model = shared_model()
    wish = sampling.read_wish(model, sidebar.default_settings(), CONTROLS)
    *_, done = sampling.run(model, wish, StopFlag())
    assert [frame["t"] for frame in done["frames"]] == [1000, 750, 500, 250, 0]
    frames = player.read_frames(Path(done["file"]["path"]))
    assert frames.shape == (5, 3, 2, 32, 32, 1)  # DDIM adds no noise: x_t, x_0 and eps
    assert np.array_equal(frames[-1, 0], frames[-1, 1])  # x_0 itself, twice


def test_frames_hold_x_t_both_predictions_and_the_noise_that_went_in() -> None:
    model = shared_model()
    wish = sampling.read_wish(model, sidebar.default_settings(), replace(CONTROLS, sampler="ddpm"))
    *_, done = sampling.run(model, wish, StopFlag())
    frames = player.read_frames(Path(done["file"]["path"]))
    assert frames.shape == (5, 4, 2, 32, 32, 1)
    taken = sample(
        model.denoiser, wish.schedule, model.image_shape, steps=wish.steps, seeds=wish.seeds, labels=wish.labels,
        update=wish.update,
    )  # fmt: skip
    for frame, step in zip(frames[:-1], taken, strict=True):
        assert np.array_equal(frame[:2], to_bytes(torch.stack([step.x_t, step.x_0])))
        for seen, noise in zip(frame[2:], (step.eps, step.z), strict=True):
            assert np.array_equal(seen, to_bytes((torch.zeros_like(step.x_t) if noise is None else noise) / 3))
    assert (frames[-2, 3] == 128).all() and (frames[-1, 3] == 128).all()  # no noise in the last step


def test_stopped_run_ends_after_the_step_in_hand() -> None:
    model = shared_model()
    wish = sampling.read_wish(model, sidebar.default_settings(), CONTROLS)
    *_, done = sampling.run(model, wish, StopFlag(up=True))
    assert done["stopped"]
    assert [frame["t"] for frame in done["frames"]] == [1000, 750]


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("option", [0.0, 0.7])
def test_numbers_beside_a_frame_are_the_step_that_was_taken(sampler: str, option: float) -> None:
    model = shared_model()
    controls = replace(CONTROLS, sampler=sampler, v=option, eta=option, clip="none")
    wish = sampling.read_wish(model, sidebar.default_settings(), controls)
    before: list[torch.Tensor] = []
    for step in sample(
        model.denoiser, wish.schedule, model.image_shape, steps=wish.steps, seeds=wish.seeds, update=wish.update,
        clip="none",
    ):  # fmt: skip
        frame = sampling.describe(step, wish)
        parts = {"xt": step.x_t, "x0": step.x_0, "eps": step.eps, "z": step.z}
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
    every = player.stride(count, 4 * 20 * 32 * 32, keep_all)
    assert len(range(0, count, every)) == frames


@pytest.mark.parametrize("keep_all", [False, True])
def test_a_thousand_steps_of_64_samples_stay_below_250_megabytes(tmp_path: Path, keep_all: bool) -> None:
    shape = (64, 32, 32, 3)
    x = torch.zeros(64, 3, 32, 32)
    frame = player.Frame(1, 0, 0, {})
    tracemalloc.start()
    with (tmp_path / "run.frames").open("wb") as file:
        recorder = player.Recorder(file, shape, 4, every=player.stride(1000, 4 * math.prod(shape), keep_all))
        for step in filter(recorder.wants, range(1000)):
            recorder.add(frame, x, x, x, x)
            assert step % recorder.every == 0
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "run.frames").stat().st_size < 250e6  # what the browser holds
    assert held < 10e6  # what the server does
    assert len(player.read_frames(tmp_path / "run.frames")) == len(recorder.frames) >= 80


@pytest.mark.parametrize(
    ("change", "field"),
    [({"seed": "1.5"}, "seed"), ({"seed": ""}, "seed"), ({"seed": "-1"}, "seed"), ({"seed": "9" * 30}, "seed"),
     ({"steps": 2000}, "steps"), ({"steps": 2.5}, "steps"), ({"steps": None}, "steps"), ({"eta": 2.0}, "eta")],
)  # fmt: skip
def test_impossible_run_names_its_control(change: dict[str, Any], field: str) -> None:
    with pytest.raises(SamplingError) as error:
        sampling.read_wish(shared_model(), sidebar.default_settings(), replace(CONTROLS, **change))
    assert error.value.field == field


def test_exports_hold_the_frames_that_were_packed(tmp_path: Path) -> None:
    path = tmp_path / "run.frames"
    with path.open("wb") as file:
        recorder = player.Recorder(file, (4, 8, 8, 1), 4)
        for step in range(5):
            x = torch.full((4, 1, 8, 8), -1.0 + step / 2)
            recorder.add(player.Frame(5 - step, step, None, {}), x, -x, x, None)
    for form in ("gif", "webp"):
        with Image.open(io.BytesIO(player.export_animation(path, form))) as animation:
            assert animation.n_frames == 5
            animation.seek(4)
            assert animation.convert("L").getpixel((0, 0)) == 255
            assert animation.convert("L").getpixel((animation.width - 1, 0)) == 0
    with Image.open(io.BytesIO(player.export_png(path))) as picture:
        assert picture.convert("L").getpixel((0, 0)) == 255


def test_only_a_run_of_the_page_can_be_taken_away(tmp_path: Path) -> None:
    for name in ("/etc/passwd", str(tmp_path / "run.frames"), "../app.py"):
        answer = reverse_tab.take_away({"file": name, "form": "png"})
        assert "press Generate again" in answer["error"]
    value = reverse_tab.open_tab()
    answer = reverse_tab.take_away({"file": value["file"]["path"], "form": "png"})
    assert answer["name"] == "ddpm-lab.png"


def test_loss_weighs_measured_errors_by_the_paper_s_formula() -> None:
    images = torch.linspace(-1, 1, 32).reshape(8, 1, 2, 2)
    levels = make_schedule("linear", 30).alpha_bar[1:]
    *_, curve = measure_errors(ExactDenoiser(images), images, levels, seed=1)
    settings = {"family": "linear", "T": 30, "params": {"beta_start": 1e-4, "beta_end": 0.02}}
    weighed = loss_tab.weigh({"curve": curve.to_json(), "variance": "beta", "settings": settings})
    schedule = make_schedule("linear", 30)
    error = dict(zip(np.argsort(-curve.log_snr) + 1, curve.mean, strict=True))
    t = 17
    nats = loss_weight(schedule)[t] * error[t] + kl_extra(schedule)[t]
    at = weighed["columns"]["t"].index(t)
    assert weighed["columns"]["bound"][at] == pytest.approx(nats / np.log(2), rel=1e-4)


def test_own_picture_becomes_what_the_network_knows(tmp_path: Path) -> None:
    Image.new("RGB", (90, 40), (255, 0, 0)).save(tmp_path / "red.png")
    images, labels = loss_tab.own_picture(str(tmp_path / "red.png"), shared_model(), 3)
    assert images.shape == (3, 1, 32, 32)
    assert labels is None


@pytest.mark.parametrize("name", available())
def test_every_network_runs_with_its_classes_and_shows_its_card(name: str) -> None:
    model = shared_model(name)
    assert (model.card.title, name) in choices()
    update, line, card = reverse_tab.choose_network(name)
    assert update["choices"] == [sampling.ALL_CLASSES, *model.card.classes]
    assert model.card.title in line
    for fact in (model.card.sha256, model.card.licence, model.card.command, f"{model.card.images_seen:,}"):
        assert fact in card
    controls = sampling.Controls(network=name, label=model.card.classes[-1], count=2, steps=2)
    wish = sampling.read_wish(model, sidebar.default_settings(), controls)
    *_, done = sampling.run(model, wish, StopFlag())
    frames = player.read_frames(Path(done["file"]["path"]))
    assert frames.shape[-1] == model.image_shape[0]


def test_a_class_of_another_network_is_refused() -> None:
    controls = replace(CONTROLS, label="Flags")
    with pytest.raises(SamplingError, match="no class Flags"):
        sampling.read_wish(shared_model("digits"), sidebar.default_settings(), controls)


@pytest.mark.parametrize("name", available())
def test_the_loss_of_every_network_is_measured_on_its_own_kind_of_image(name: str) -> None:
    model = shared_model(name)
    images, labels = loss_tab.bundled_images(model, 9)
    assert images.shape == (9, *model.image_shape)
    assert len(labels.unique()) >= 5
    shown = loss_tab.show_measured(name, "beta")
    assert shown["variance"] == "beta" and f"bundled {name}" in shown["status"]


def test_the_figures_of_a_card_are_told_with_the_command_that_made_them() -> None:
    run = {"sampler": "ddim", "steps": 50, "images": 1000, "accuracy": 0.987, "frechet": 1.234, "frechet_held_out": 0.5,
           "nearest_median": 20.0, "copied": 0.015}  # fmt: skip
    held = {"images": 190, "accuracy": 0.72, "nearest_median": 30.0}
    likelihood = {"bits_per_dim": 3.21, "standard_error": 0.02, "images": 190, "L_T": 0.0001, "L_mid": 3.0, "L_0": 0.21}
    text = quality(likelihood | {"command": "python -m diffusion evaluate", "runs": [run], "held_out": held})
    for part in ("3.210 ± 0.020 bits/dim", "| DDIM | 50 | 1,000 | 98.7% | 1.23 | 0.50 | 20.0 | 1.5% |", "evaluate"):
        assert part in text
    assert quality({}) == ""


def test_every_panel_says_how_its_range_is_set() -> None:
    for across in (1, 2):
        figure = figures.schedule_figure(across=across)
        axes = {panel["axis"] for panel in figure["layout"]["meta"].values()}
        assert axes == {key for key in figure["layout"] if key.startswith("yaxis")}


POINTS = [[0, 9.0], [0.4, 1.0], [1, -12.0]]
BETAS = base64.b64encode(np.linspace(0.01, 0.2, 30).tobytes()).decode()


@pytest.mark.parametrize(
    ("change", "expected", "name"),
    [
        (
            {"T": 50, "keep_shape_of": 1000},
            make_schedule("linear", 50, keep_shape_of=1000),
            "linear, shape of T 1000, T 50",
        ),
        ({"zero_terminal_snr": True}, make_schedule(zero_terminal_snr=True), "linear, zero SNR"),
        ({"params": {"beta_start": 1e-4, "beta_end": 0.01}}, make_schedule(beta_end=0.01), "linear, βT 0.01"),
        ({"family": "drawn", "points": POINTS}, drawn_schedule(1000, [(u, log_snr) for u, log_snr in POINTS]), "drawn"),
        ({"family": "given", "T": 30, "betas": BETAS}, schedule_of_betas(np.linspace(0.01, 0.2, 30)), "from CSV, T 30"),
    ],
)  # fmt: skip
def test_settings_of_every_kind_become_the_schedule_they_say(
    change: dict[str, Any], expected: Schedule, name: str
) -> None:
    answer = sidebar.bend_schedule(asked(**change))
    assert np.array_equal(decode(answer["columns"]["beta"]), expected.beta)
    assert answer["name"] == name


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"family": "drawn"}, "family"),
        ({"family": "drawn", "points": [[0, 1, 2]]}, "family"),
        ({"family": "drawn", "points": [[0, 1], [1, 2]]}, "points"),
        ({"family": "given", "betas": "?"}, "family"),
        ({"family": "given", "betas": "AAAA"}, "family"),
        ({"family": "given", "betas": base64.b64encode(np.full(9, 2.0).tobytes()).decode()}, "beta"),
        ({"family": "nowhere"}, "family"),
        ({"keep_shape_of": "many"}, "T"),
    ],
)
def test_settings_of_a_broken_link_are_refused(change: dict[str, Any], field: str) -> None:
    assert sidebar.bend_schedule(asked(**change))["error"]["field"] == field


def test_remarks_are_about_the_network_that_is_chosen() -> None:
    far = asked(family="constant", T=100, params={"beta": 0.3})
    for name in available():
        card = shared_model(name).card
        at_home = asked(family=card.schedule["family"], T=card.schedule["T"], params={})
        for question, named in ((far, True), (at_home, False)):
            remarks = sidebar.bend_schedule(question | {"network": name})["remarks"]
            assert any(card.title in remark["text"] for remark in remarks) == named


def test_last_beta_is_solved_for_the_snr_that_is_asked_for() -> None:
    settings = sidebar.default_settings() | {"T": 100, "keep_shape_of": 1000}
    solved = sidebar.aim_schedule({"settings": settings, "snr_db": -25})
    answer = sidebar.bend_schedule({"settings": settings | solved, "network": "digits"})
    assert answer["summary"]["terminal_snr_db"] == pytest.approx(-25)
    for asked_for, words in (("many", "must be a number"), (-9000, "between")):
        refused = sidebar.aim_schedule({"settings": settings, "snr_db": asked_for})
        assert refused["error"]["field"] == "terminal_snr" and words in refused["error"]["message"]
    drawn = sidebar.aim_schedule({"settings": settings | {"family": "drawn", "points": POINTS}, "snr_db": -25})
    assert "Only a family" in drawn["error"]["message"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("T", [2, 1000])
def test_curve_that_is_taken_up_is_a_schedule_near_to_what_it_was(family: str, T: int) -> None:
    settings = asked(family=family, T=T, params={})["settings"]
    points = sidebar.take_up(settings)["points"]
    drawn = sidebar.read_schedule(settings | {"family": "drawn", "points": points})
    if T == 1000:
        # Of the ends of the Laplace schedule, which are all but vertical, nine points leave out most.
        assert np.abs(drawn.alpha_bar - make_schedule(family, T).alpha_bar).max() < (
            0.12 if family == "laplace" else 0.05
        )


def test_upload_goes_in_and_comes_out() -> None:
    schedule = make_schedule("sigmoid", 40)
    text = sidebar.export_schedule({"settings": asked(family="sigmoid", T=40, params={})["settings"], "form": "csv"})
    read = sidebar.read_upload(base64.b64encode(text["text"].encode()).decode())
    assert np.array_equal(sidebar.read_schedule(read["settings"]).beta, schedule.beta)
    bad = sidebar.read_upload(base64.b64encode(b"beta\n0.1\nnan\n").decode())
    assert bad["error"] == {"field": "csv", "message": "Row 3: beta = nan is outside (0, 1)."}


def test_schedule_goes_out_as_json_and_for_diffusers() -> None:
    settings = sidebar.default_settings()
    content = json.loads(sidebar.export_schedule({"settings": settings, "form": "json"})["text"])
    assert content["settings"] == settings
    assert content["alpha_bar"] == make_schedule().alpha_bar.tolist()
    config = json.loads(sidebar.export_schedule({"settings": settings, "form": "diffusers"})["text"])
    assert config["beta_schedule"] == "linear" and config["num_train_timesteps"] == 1000
