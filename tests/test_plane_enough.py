"""How many steps are enough on the plane: what is measured when it is asked for, shown line by line, and refused."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import pytest
import torch

from diffusion.evaluation.distances import sliced_wasserstein
from diffusion.evaluation.quality import calls_by_steps
from diffusion.sampling.loop import sample
from diffusion.sampling.updates import SAMPLERS
from ui import plane_enough
from ui.figures import quality_figure
from ui.learning import Lesson
from ui.models import StopFlag
from ui.plane import PlaneData, PlaneWish, find_denoiser, pattern_points, plan_on_plane, read_plane_data
from ui.plane_enough import PANELS, held_against, press_measure_steps
from ui.sampling import values_of
from ui.sidebar import default_settings, read_schedule

DATA = pattern_points({"pattern": "moons", "count": 150, "seed": 0})
SKETCHED: PlaneData = {**DATA, "labels": "", "key": "sketch-1"}
MARK = {"calls_mark", "exact_mark", "learned_mark"}  # which the browser adds


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plane_enough, "SAMPLES", 40)
    monkeypatch.setattr(plane_enough, "SHOWN_CALLS", (1, 4, 9))
    monkeypatch.setattr(plane_enough, "DRAW_SECONDS", 0.0)


def press(data: PlaneData | None, wish: PlaneWish, flag: StopFlag | None = None) -> list[tuple[Any, ...]]:
    return list(press_measure_steps(default_settings(), data, flag or StopFlag(), Lesson(), *values_of(wish).values()))


def test_every_sampler_is_measured_by_both_denoisers_line_by_line() -> None:
    *live, (value, message, start, halt) = press(DATA, PlaneWish())
    assert message == "" and (start["interactive"], halt["interactive"]) == (True, False)
    assert value["state"] == "done" and value["key"] == "moons-150-0" and value["part"] == 1
    columns = value["columns"]
    for name in SAMPLERS:
        assert columns[f"calls_{name}"][0] == 1 and columns[f"calls_{name}"][-1] <= 9
        for denoiser in PANELS:
            line = columns[f"{denoiser}_{name}"]
            assert len(line) == len(columns[f"calls_{name}"]) and line[0] > 1.5 * line[-1] > 0
    counts = [sum(len(line) for name, line in each[0]["columns"].items() if name.startswith(("exact_", "learned_")))
              for each in live]  # fmt: skip
    assert counts == sorted(counts) and len(set(counts)) == len(counts)
    assert [each[0]["part"] for each in live] == sorted(each[0]["part"] for each in live)
    assert all(each[0]["state"] == "live" and each[0]["status"].endswith("left.") for each in live)


def test_the_numbers_are_those_of_a_run_of_the_page() -> None:
    wish = PlaneWish(seed="7", spacing="quadratic", options={"eta": 0.5})
    *_, (value, *_) = press(DATA, wish)
    points, labels = read_plane_data(DATA)
    schedule, fresh = read_schedule(default_settings()), held_against(DATA, points)
    by = find_denoiser("learned", DATA, points, labels, Lesson()).denoiser
    plan = plan_on_plane(labels, schedule, replace(wish, sampler="ddim", steps=4, count=40))
    *_, step = sample(by, schedule, plan, (2, 1, 1))
    assert value["columns"]["calls_ddim"][1] == 4
    assert value["columns"]["learned_ddim"][1] == pytest.approx(sliced_wasserstein(step.x_s, fresh.points), rel=1e-5)
    assert value["calls"] == {name: calls_by_steps(name, schedule, "quadratic") for name in SAMPLERS}
    assert "fresh points of the distribution behind" in value["note"] and "3,000 updates" in value["note"]


def test_every_trace_of_the_figure_names_columns_that_are_sent() -> None:
    *_, (value, *_) = press(DATA, PlaneWish())
    for across in (1, 2):
        traces = quality_figure(dict.fromkeys(SAMPLERS, ""), PANELS, logarithmic=PANELS, across=across)["data"]
        assert {trace["meta"][axis] for trace in traces for axis in "xy"} == value["columns"].keys() | MARK


def test_it_is_taken_away_as_a_table() -> None:
    *_, (value, *_) = press(DATA, PlaneWish())
    rows = list(csv.DictReader(io.StringIO(value["csv"])))
    assert {row["denoiser"] for row in rows} == set(PANELS) and {row["sampler"] for row in rows} == set(SAMPLERS)
    for row in rows:
        place = value["columns"][f"calls_{row['sampler']}"].index(int(row["calls"]))
        line = value["columns"][f"{row['denoiser']}_{row['sampler']}"]
        assert float(row["wasserstein"]) == pytest.approx(line[place], rel=1e-5)
        assert [float(row["floor"]), float(row["spread"])] == pytest.approx(value["floor"], rel=1e-5)


def test_points_of_no_known_distribution_are_held_against_themselves() -> None:
    points, _ = read_plane_data(SKETCHED)
    against = held_against(SKETCHED, points)
    torch.testing.assert_close(against.points, points)
    *_, (value, message, *_) = press(SKETCHED, PlaneWish())
    assert message == "" and "the 150 points themselves" in value["note"]
    # Nothing has learnt them, which is said, and the exact denoiser was measured all the same.
    assert "Nothing has learnt these points yet" in value["note"]
    assert value["columns"]["learned_ddim"] == [] and len(value["columns"]["exact_ddim"]) == 3


def test_fresh_points_are_none_of_those_that_are_shown() -> None:
    points, _ = read_plane_data(DATA)
    against = held_against(DATA, points)
    assert torch.cdist(points.flatten(1), against.points.flatten(1)).min() > 0
    assert 0 < against.floor < 0.2 and 0 < against.spread < against.floor


def test_stop_keeps_the_lines_that_there_are() -> None:
    flag = StopFlag()
    run = press_measure_steps(default_settings(), DATA, flag, Lesson(), *values_of(PlaneWish()).values())
    first = next(run)
    assert first[0]["state"] == "live" and first[3]["interactive"]
    flag.up = True
    *_, (value, _, start, _) = run
    assert value["status"].startswith("Stopped: ") and start["interactive"]
    assert 1 <= sum(map(len, (value["columns"][f"exact_{name}"] for name in SAMPLERS))) <= 3


@pytest.mark.parametrize(
    ("data", "wish", "sentence"),
    [
        (None, PlaneWish(), "There are no points yet"),
        (pattern_points({"pattern": "ring", "count": 1, "seed": 0}), PlaneWish(), "two are the least"),
        (DATA, PlaneWish(seed="x"), "The seed must be a whole number"),
        (DATA, PlaneWish(options={"eta": 2}), "eta must lie between 0 and 1"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_sentence(data: PlaneData | None, wish: PlaneWish, sentence: str) -> None:
    ((_, message, start, halt),) = press(data, wish)
    assert sentence in message and message.endswith(".")
    assert (start["interactive"], halt["interactive"]) == (True, False)


def test_a_class_that_is_asked_for_is_left_out() -> None:
    *_, (asked, message, *_) = press(DATA, PlaneWish(told="in-turn", guidance=3.0))
    *_, (plain, *_) = press(DATA, PlaneWish())
    assert message == "" and asked["columns"] == plain["columns"]
