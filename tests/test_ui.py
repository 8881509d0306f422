"""The page's handlers, called without a browser."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.WebPImagePlugin import WebPImageFile

from diffusion import chain
from diffusion.images import to_bytes, to_unit
from diffusion.networks.model import available
from diffusion.schedules.families import FAMILIES, make_schedule
from diffusion.schedules.given import drawn_schedule, schedule_of_betas
from diffusion.schedules.schedule import Schedule
from ui import figures, forward_tab, sidebar
from ui.files import sample_name, sample_pictures
from ui.forward_tab import AskedNoising
from ui.models import shared_model
from ui.picture import EPS_UNIT
from ui.sidebar import AskedSchedule, Settings


def asked(**change: Any) -> AskedSchedule:
    """What the page asks of a schedule that differs in this from the one that it opens with."""
    return {"settings": cast(Settings, sidebar.default_settings() | change), "network": "digits"}


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
    eps = np.frombuffer(data[46:], "<i2") / EPS_UNIT
    expected = torch.randn(3, 5, 3, generator=torch.Generator().manual_seed(4)).numpy().ravel()
    assert np.abs(eps - expected).max() <= 0.5 / EPS_UNIT + 1e-7


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
    value, shown, given = forward_tab.open_forward_tab(link)
    assert (value["picture"], value["seed"], given) == (picture, seed, seed)
    assert Path(shown).stem == picture


def test_only_bundled_pictures_have_names_that_a_link_can_hold(tmp_path: Path) -> None:
    sample = sample_pictures()[1]
    copy, other = tmp_path / "copies" / sample.name, tmp_path / sample.name
    copy.parent.mkdir()
    copy.write_bytes(sample.read_bytes())
    Image.new("RGB", (4, 4)).save(other)
    assert sample_name(copy) == sample.stem
    assert sample_name(other) is None


def noising(path: Path, seed: int = 0, T: int = 1000) -> AskedNoising:
    """What the browser asks with, of a picture that it was sent."""
    value = forward_tab.forward_value(path, seed)
    return {"file": value["file"]["path"], "settings": asked(T=T)["settings"], "format": "webp"}


def test_sent_picture_and_noise_are_read_back(tmp_path: Path) -> None:
    pixels = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)
    Image.fromarray(pixels).save(tmp_path / "odd.png")
    x_0, eps = forward_tab.read_noising(noising(tmp_path / "odd.png", seed=4))
    assert np.array_equal(to_bytes(x_0), pixels)
    expected = torch.randn(3, 5, 3, generator=torch.Generator().manual_seed(4)).permute(2, 0, 1)
    torch.testing.assert_close(eps, expected, rtol=0, atol=0.51 / EPS_UNIT)


def test_no_other_file_can_be_asked_for(tmp_path: Path) -> None:
    (tmp_path / "secret.noising").write_bytes(bytes(100))
    Image.new("RGB", (4, 4)).save(tmp_path / "odd.png")
    known = noising(tmp_path / "odd.png")
    for file in (str(tmp_path / "secret.noising"), "/etc/passwd", "../app.py", ""):
        with pytest.raises((ValueError, FileNotFoundError)):
            forward_tab.read_noising({**known, "file": file})


@pytest.mark.parametrize(("T", "count"), [(1000, 60), (20, 21)])
def test_noising_goes_from_the_picture_to_its_noise(tmp_path: Path, T: int, count: int) -> None:
    Image.effect_noise((96, 64), 60).convert("RGB").save(tmp_path / "photo.png")
    asked_for = noising(tmp_path / "photo.png", T=T)
    x_0, eps = forward_tab.read_noising(asked_for)
    schedule = make_schedule("linear", T)
    frames = forward_tab.noising_frames(x_0, eps, schedule)
    assert len(frames) == count
    assert np.array_equal(np.asarray(frames[0]), to_bytes(x_0))
    assert np.array_equal(np.asarray(frames[-1]), to_bytes(schedule.signal[T] * x_0 + schedule.noise[T] * eps))
    file = forward_tab.export_noising(asked_for)
    assert file["name"] == f"noising-linear-T{T}.webp"
    with Image.open(file["path"]) as animation:
        assert isinstance(animation, WebPImageFile)
        assert animation.size == (192, 128)  # small pictures are enlarged
        assert animation.n_frames == count
        assert np.array_equal(np.asarray(animation.convert("RGB"))[::2, ::2], to_bytes(x_0))


def test_page_expects_of_a_picture_what_the_closed_form_says() -> None:
    x_0 = to_unit(torch.randint(0, 200, (3, 9, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)))
    counts = torch.bincount(torch.from_numpy(to_bytes(x_0)).flatten().long(), minlength=256).tolist()
    edges = np.linspace(-4, 4, 65)
    expected = chain.closed_form(*chain.levels(x_0), 0.3, edges)
    question: forward_tab.AskedBins = {"counts": counts, "alpha_bar_t": 0.3, "edges": edges.tolist()}
    found = json.loads(json.dumps(forward_tab.expected_distribution(question)))
    for name, value in found.items():
        np.testing.assert_allclose(value, getattr(expected, name), rtol=1e-9)


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
        at_home = asked(family=card.schedule.family, T=card.schedule.T, params={})
        for question, named in ((far, True), (at_home, False)):
            remarks = sidebar.bend_schedule({**question, "network": name})["remarks"]
            assert any(card.title in remark["text"] for remark in remarks) == named


def test_last_beta_is_solved_for_the_snr_that_is_asked_for() -> None:
    settings = asked(T=100, keep_shape_of=1000)["settings"]
    solved = sidebar.aim_schedule({"settings": settings, "snr_db": -25})
    answer = sidebar.bend_schedule({"settings": cast(Settings, settings | solved), "network": "digits"})
    assert answer["summary"]["terminal_snr_db"] == pytest.approx(-25)
    for asked_for, words in (("many", "must be a number"), (-9000, "between")):
        refused = sidebar.aim_schedule({"settings": settings, "snr_db": asked_for})
        assert refused["error"]["field"] == "terminal_snr" and words in refused["error"]["message"]
    drawn = sidebar.aim_schedule({"settings": asked(family="drawn", points=POINTS)["settings"], "snr_db": -25})
    assert "Only a family" in drawn["error"]["message"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("T", [2, 1000])
def test_curve_that_is_taken_up_is_a_schedule_near_to_what_it_was(family: str, T: int) -> None:
    settings = asked(family=family, T=T, params={})["settings"]
    points = sidebar.points_of_curve(settings)["points"]
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
