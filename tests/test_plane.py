"""The plane tab's handlers, without a page: points in, samples out, and what is refused."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from diffusion.data.points import patterns
from diffusion.evaluation.distances import kernel_distance
from diffusion.sampling.updates import SAMPLERS
from ui import plane, plane_tab
from ui.asked import AskedError
from ui.learning import Lesson, learn
from ui.link import plane_controls_in_link, plane_wish_from_link
from ui.make_opening import make_plane_opening
from ui.models import StopFlag
from ui.picture import EPS_UNIT
from ui.sampling import control_names, values_of
from ui.sidebar import default_settings

USUAL = plane.PlaneWish(steps=8, count=50)


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))


def data_of(pattern: str = "moons", count: int = 300) -> plane.PlaneData:
    return plane.pattern_points({"pattern": pattern, "count": count, "seed": 0})


def press(data: plane.PlaneData | None, *controls: Any) -> list[tuple[Any, ...]]:
    return list(plane_tab.press_draw(default_settings(), data, StopFlag(), Lesson(), *controls))


def read_trails(content: bytes) -> tuple[list[float], np.ndarray]:
    """Levels, and places (frames, samples, 2)."""
    line, _, rest = content.partition(b"\n")
    head = json.loads(line)
    return head["levels"], np.frombuffer(rest, "<i2").reshape(-1, head["count"], 2) / EPS_UNIT


def controls(wish: plane.PlaneWish) -> list[Any]:
    return list(values_of(wish).values())


@pytest.mark.parametrize("pattern", patterns())
def test_points_of_a_pattern_are_its_own(pattern: str) -> None:
    points, labels = plane.read_plane_data(data_of(pattern))
    expected, classes = patterns()[pattern].draw(300, 0)
    torch.testing.assert_close(points, expected)
    assert (labels is None) == (classes is None)
    if labels is not None:
        torch.testing.assert_close(labels, classes)


def test_no_other_pattern_is_known() -> None:
    with pytest.raises(AskedError, match="no pattern 'cubes'; there are moons"):
        plane.pattern_points({"pattern": "cubes", "count": 3, "seed": 0})


def test_of_many_points_some_are_used_evenly() -> None:
    points, _ = plane.read_plane_data(data_of(count=5000))
    everything, _ = patterns()["moons"].draw(5000, 0)
    assert len(points) == plane.MIXED
    torch.testing.assert_close(points, everything[plane.evenly(5000, plane.MIXED)])
    assert plane.evenly(3, 5).tolist() == [0, 1, 2] and plane.evenly(5, 2).tolist() == [0, 2]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samples_are_of_the_points(sampler: str) -> None:
    *_, (value, message, start, halt) = press(data_of(), *controls(plane.PlaneWish(sampler, 40, count=100)))
    assert (value["state"], value["data"], message) == ("done", "moons-300-0", "")
    assert (start["interactive"], halt["interactive"]) == (True, False)
    levels, places = read_trails(Path(value["runs"][0]["file"]["path"]).read_bytes())
    assert levels == sorted(levels) and levels[-1] == 1 and places.shape == (41, 100, 2)
    assert abs(places[0].std() - 1) < 0.15  # x_T
    points = patterns()["moons"].draw(300, 0)[0]
    end = torch.from_numpy(places[-1]).float()[:, :, None, None]
    assert kernel_distance(end, points) < 0.02 < 0.06 < kernel_distance(torch.from_numpy(places[0]).float(), points)
    assert 0 <= value["runs"][0]["numbers"]["wasserstein"] < 0.1


def test_a_class_is_drawn_where_it_is_asked_for() -> None:
    wish = plane.PlaneWish(steps=20, count=40, told="in-turn", guidance=1.5)
    *_, (value, *_) = press(data_of(), *controls(wish))
    end = read_trails(Path(value["runs"][0]["file"]["path"]).read_bytes())[1][-1]
    points, labels = plane.read_plane_data(data_of())
    assert labels is not None
    nearest = torch.cdist(torch.from_numpy(end).float(), points.flatten(1)).argmin(1)
    assert labels[nearest].tolist() == [0, 1] * 20


@pytest.mark.parametrize("pattern", ["moons", "ring"])
def test_what_a_network_has_learnt_is_drawn(pattern: str) -> None:
    wish = plane.PlaneWish("dpmpp", 20, "learned", count=300)
    *_, (value, message, *_) = press(data_of(pattern, 1000), *controls(wish))
    assert message == "" and "Learned: the network that was taught" in value["status"]
    end = torch.from_numpy(read_trails(Path(value["runs"][0]["file"]["path"]).read_bytes())[1][-1])
    points, labels = plane.read_plane_data(data_of(pattern, 1000))
    assert kernel_distance(end.float(), points) < 0.02
    # The exact denoiser ends on its points; a network does not know them by heart.
    assert torch.cdist(end.float(), points.flatten(1)).amin(1).median() > 0.003
    wish = replace(wish, told="in-turn", guidance=2.0, count=60)
    *_, (value, message, *_) = press(data_of(pattern, 1000), *controls(wish))
    if labels is None:
        assert "have no classes" in message
    else:
        end = torch.from_numpy(read_trails(Path(value["runs"][0]["file"]["path"]).read_bytes())[1][-1]).float()
        nearest = labels[torch.cdist(end, points.flatten(1)).argmin(1)]
        assert (nearest == torch.tensor([0, 1]).repeat(30)).float().mean() > 0.95


def test_ones_own_network_draws_once_it_has_learnt() -> None:
    points, labels = plane.read_plane_data(data_of())
    lesson = Lesson()
    for _ in learn(lesson, points, labels, None, StopFlag(), updates=2):
        pass
    assert lesson.run is not None
    found = plane.find_denoiser("learned", data_of(), points, labels, lesson)
    assert found.about == "Learned: your network after 2 updates."
    x = torch.randn(5, 2, 1, 1)
    before = found.denoiser(x, 0.5)
    for parameter in lesson.run.state.average.parameters():
        parameter.data.add_(1)
    torch.testing.assert_close(found.denoiser(x, 0.5), before)  # the lesson goes on; the run keeps what it began with
    other = plane.find_denoiser("learned", data_of("ring"), plane.read_plane_data(data_of("ring"))[0], None, lesson)
    assert "Ring" in other.about  # of other points it has learnt nothing
    unknown: plane.PlaneData = {**data_of(), "key": "sketch-1"}
    with pytest.raises(AskedError, match="Nothing has learnt these points yet"):
        plane.find_denoiser("learned", unknown, points[:9], None, lesson)


def test_a_second_run_may_differ_by_its_denoiser_alone() -> None:
    wish = plane.PlaneWish("ddim", 10, "learned", "ddim", "exact", count=20)
    *_, (value, *_) = press(data_of(), *controls(wish))
    (_, learned), (_, exact) = (read_trails(Path(run["file"]["path"]).read_bytes()) for run in value["runs"])
    np.testing.assert_array_equal(learned[0], exact[0])
    assert 0 < np.abs(learned - exact).max() and [run["denoiser"] for run in value["runs"]] == ["learned", "exact"]
    assert [run["title"] for run in value["runs"]] == ["DDIM, learned", "DDIM, exact"]


def test_each_sampler_takes_its_options_and_no_others() -> None:
    ends = {}
    for eta, v in ((0.0, 1.0), (1.0, 1.0), (1.0, 0.0)):
        wish = plane.PlaneWish("ddim", 50, beside="ddpm", count=10, options={"eta": eta, "v": v})
        *_, (value, *_) = press(data_of(), *controls(wish))
        ends[eta, v] = [read_trails(Path(run["file"]["path"]).read_bytes())[1] for run in value["runs"]]
    assert np.abs(ends[0.0, 1.0][0] - ends[1.0, 1.0][0]).max() > 0.3
    np.testing.assert_array_equal(ends[0.0, 1.0][1], ends[1.0, 1.0][1])  # eta is none of DDPM's
    # With eta = 1, DDIM is DDPM with the variance beta-tilde.
    np.testing.assert_allclose(ends[1.0, 0.0][0], ends[1.0, 0.0][1], atol=0.01)
    assert value["runs"][0]["title"] == "DDIM, η = 1, exact" and value["runs"][1]["title"] == "DDPM, v = 0, exact"


def test_options_are_seen_where_one_of_the_samplers_has_them() -> None:
    for beside, seen in (("", [False, True]), ("ddpm", [True, True]), ("heun", [False, True])):
        *options, about = plane_tab.show_plane_options("ddim", beside)
        assert [update["visible"] for update in options] == seen and "Song et al." in about


def test_a_link_says_what_is_drawn() -> None:
    wish = plane.PlaneWish(
        "ddpm", 12, "learned", "ddim", "exact", 33, "7", "quadratic", "static", "in-turn", 2.5, {"v": 0.5}
    )
    names, values = plane_controls_in_link(), values_of(wish)
    said = {name: str(values[of]) for name, of in names.items()}
    assert set(names.values()) == set(control_names(plane.PlaneWish))
    assert plane_wish_from_link(said) == wish
    assert plane_wish_from_link({}) == plane_wish_from_link({"sampler": "ddpm", "steps": "3"}) == plane.PlaneWish()
    about, *updates = plane_tab.open_plane_tab(said)
    assert "Ho et al." in about and [update["value"] for update in updates] == list(values.values())


def test_two_samplers_begin_at_the_same_noise() -> None:
    *_, (value, *_) = press(data_of(), *controls(plane.PlaneWish("ddim", 10, beside="ddpm", count=20)))
    (_, ode), (_, ddpm) = (read_trails(Path(run["file"]["path"]).read_bytes()) for run in value["runs"])
    np.testing.assert_array_equal(ode[0], ddpm[0])
    assert np.abs(ode[-1] - ddpm[-1]).max() > 0.3
    assert [run["sampler"] for run in value["runs"]] == ["ddim", "ddpm"]
    assert value["status"].startswith("20 samples, 20 of 20 steps in ")


def test_long_runs_keep_some_frames_and_the_end() -> None:
    *_, (value, *_) = press(data_of(count=5), *controls(plane.PlaneWish(steps=500, count=2)))
    levels, places = read_trails(Path(value["runs"][0]["file"]["path"]).read_bytes())
    assert len(levels) == len(places) == 101 and levels[-1] == 1


def test_one_point_is_enough_for_samples() -> None:
    *_, (value, *_) = press(data_of(count=1), *controls(USUAL))
    assert value["state"] == "done" and value["runs"][0]["numbers"] is None


def test_stop_keeps_what_there_is() -> None:
    flag = StopFlag()
    run = plane_tab.press_draw(
        default_settings(), data_of(), flag, Lesson(), *controls(plane.PlaneWish(steps=900, count=3))
    )
    live = next(run)
    assert live[0]["state"] == "live" and live[0]["status"].startswith("Step 1 of 900, ")
    flag.up = True
    *_, (value, _, _, _) = run
    assert value["status"].startswith("Stopped: 3 samples, ") and value["runs"][0]["numbers"] is None
    levels, _ = read_trails(Path(value["runs"][0]["file"]["path"]).read_bytes())
    assert 0 < levels[-1] < 1


NONE: plane.PlaneData = {"points": "", "labels": "", "key": ""}
BROKEN: plane.PlaneData = {"points": "AAAA", "labels": "", "key": ""}
NOT_FINITE: plane.PlaneData = {
    "points": base64.b64encode(np.array([np.nan, 0], "<f4").tobytes()).decode(), "labels": "", "key": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("data", "wish", "sentence"),
    [
        (None, USUAL, "There are no points yet"),
        (NONE, USUAL, "There are no points yet"),
        (BROKEN, USUAL, "cannot be read"),
        (NOT_FINITE, USUAL, "cannot be read"),
        (data_of(), plane.PlaneWish(steps=None), "must be a whole number"),
        (data_of(), plane.PlaneWish(steps=0), "between 1 and T = 1000"),
        (data_of(), plane.PlaneWish(seed="x"), "The seed must be a whole number"),
        (data_of(), plane.PlaneWish(denoiser="best"), "no denoiser 'best'; choose one of exact, learned"),
        (data_of(), plane.PlaneWish(told="cats"), "no condition 'cats'"),
        (data_of(), plane.PlaneWish(options={"eta": 2}), "eta must lie between 0 and 1"),
        (data_of("ring"), plane.PlaneWish(told="in-turn"), "have no classes"),
        (data_of(), plane.PlaneWish(guidance=3), "Guidance leads to a class"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_sentence(
    data: plane.PlaneData | None, wish: plane.PlaneWish, sentence: str
) -> None:
    ((_, message, start, halt),) = press(data, *controls(wish))
    assert sentence in message and message.endswith(".")
    assert (start["interactive"], halt["interactive"]) == (True, False)


def test_points_come_from_a_table_or_a_picture(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("x,y\n0,0\n10,0\n10,20\n")
    value, message = plane_tab.upload_points(str(tmp_path / "p.csv"))
    assert message == "" and value["uploaded"]
    points, labels = plane.read_plane_data(value)
    assert points[:, :, 0, 0].tolist() == [[-0.5, -1], [0.5, -1], [0.5, 1]] and labels is None
    picture = Image.new("RGB", (60, 60), "white")
    picture.paste("black", (10, 10, 50, 20))
    picture.save(tmp_path / "p.png")
    value, message = plane_tab.upload_points(str(tmp_path / "p.png"))
    points, _ = plane.read_plane_data(value)
    assert message == "" and len(points) == plane.MIXED
    width, height = np.ptp(points.flatten(1).numpy(), axis=0)
    assert width == pytest.approx(2, abs=0.01) and height < 0.6


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", b"", "no points in this file"),
        ("a.csv", b"x,y\n1,2", "At least two different points"),
        ("a.csv", b"1,1\n1,1\n1,1\n", "At least two different points"),
        ("a.csv", b"0,0\n1,1\nmany,words", "Row 3 of this file"),
        ("a.csv", b"x,y\n1,2\nnan,3\n4,5\n", "Row 2 of this file"),
        ("a.csv", b"1\n2\n3\n", "Row 1 of this file does not begin with two numbers"),
        ("a.csv", b"1e999,0\n1,1\n2,2\n", "of at most 1e+12"),
        ("a.csv", b"1e308,0\n-1e308,1\n", "of at most 1e+12"),
        ("a.csv", b"1 2\n3 4\n5 6\n", "Row 1 of this file"),
        ("a.csv", b"\xff\xfe\x00", "no CSV that can be read"),
        ("a.csv", b"1,2\n3,4\n" * 10**5, "are too many; there can be 5,000"),
        ("a.csv", b"1.25,2.5\n3.5,4.75\n" * 10**6, "may have 4 MB"),
        ("a.png", b"none", ""),
        ("white.png", None, "dark nowhere"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_in_a_sentence(tmp_path: Path, name: str, content: bytes | None, sentence: str) -> None:
    path = tmp_path / name
    if content is None:
        Image.new("RGB", (20, 20), "white").save(path)
    else:
        path.write_bytes(content)
    value, message = plane_tab.upload_points(str(path))
    assert "points" not in value and sentence in message and message.endswith(".")


@pytest.mark.parametrize("content", [
    b"1.5,2.5\n3.5,4\n0,0\n", b"x,y\n1.5,2.5\n3.5,4\n0,0", b"x;y\n1,5;2,5\n3,5;4\n0;0\n", b"1.5\t2.5\n3.5\t4\n0\t0\n",
    b"1.5,2.5,a\n\n3.5,4,b\n0,0,c\n", "\ufeffx,y\n1.5,2.5\n3.5,4\n0,0\n".encode(),
])  # fmt: skip
def test_a_table_is_read_however_it_is_written(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.csv").write_bytes(content)
    value, message = plane_tab.upload_points(str(tmp_path / "p.csv"))
    expected = (np.array([[1.5, 2.5], [3.5, 4], [0, 0]]) - [1.75, 2]) / 2
    assert message == ""
    np.testing.assert_allclose(plane.read_plane_data(value)[0].flatten(1), expected, atol=1e-6)


def test_a_picture_that_is_all_width_has_its_points_too(tmp_path: Path) -> None:
    Image.new("L", (20_000, 10), 0).save(tmp_path / "wide.png")
    value, message = plane_tab.upload_points(str(tmp_path / "wide.png"))
    points, _ = plane.read_plane_data(value)
    assert message == "" and points.abs().max() <= 1.001 and np.ptp(points.flatten(1).numpy()[:, 1]) < 0.1


def test_no_file_is_nothing() -> None:
    assert plane_tab.upload_points(None)[1] == ""


def test_the_tab_opens_with_the_run_that_its_controls_say() -> None:
    kept, made = (read_trails(content) for content in (plane.PLANE_OPENING.read_bytes(), make_plane_opening()))
    assert kept[0] == pytest.approx(made[0])
    np.testing.assert_allclose(kept[1], made[1], atol=0.01)
    assert kept[1].shape[1] == plane.PlaneWish().count


def test_every_pattern_has_a_button_with_its_picture() -> None:
    buttons = plane.pattern_buttons()
    assert [button["name"] for button in buttons] == list(patterns())
    assert all(len(button["points"]) == 2 * plane.MANY for button in buttons)
