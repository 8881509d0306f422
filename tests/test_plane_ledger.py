"""The bound of the plane in bits: what is measured when it is asked for, and what a schedule makes of it."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

import pytest

from diffusion.data.points import patterns
from diffusion.losses.curve import CurveError, ErrorCurve
from diffusion.losses.rate import ledger
from diffusion.mixture import Mixture
from diffusion.schedules.schedule import EXPONENTS
from ui import plane_ledger
from ui.learning import Lesson, learn
from ui.models import StopFlag
from ui.plane import PlaneData, pattern_points, read_plane_data
from ui.plane_ledger import AskedBound, entropy_bits, press_bound, weigh_points
from ui.sidebar import default_settings, read_schedule

DATA = pattern_points({"pattern": "clusters", "count": 200, "seed": 0})
SKETCHED: PlaneData = {**DATA, "labels": "", "key": "sketch-1"}


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plane_ledger, "DRAWS", 500)
    monkeypatch.setattr(plane_ledger, "TELL_SECONDS", 0.0)


def press(data: PlaneData | None, flag: StopFlag | None = None, lesson: Lesson | None = None) -> list[tuple[Any, ...]]:
    return list(press_bound(data, flag or StopFlag(), lesson or Lesson()))


def weighed(value: dict[str, Any], **settings: Any) -> dict[str, Any]:
    asked: AskedBound = {"curves": value["curves"], "settings": {**default_settings(), **settings}}  # type: ignore[typeddict-item]
    return weigh_points(asked)


def test_the_distribution_is_next_to_its_entropy_then_the_network_then_what_knows_points_by_heart() -> None:
    *live, (value, message, start, halt) = press(DATA)
    assert message == "" and (start["interactive"], halt["interactive"]) == (True, False)
    assert (value["state"], value["key"], value["part"]) == ("done", "clusters-200-0", 1)
    assert len(live) > 20 and all(each[0]["state"] == "live" for each in live)
    assert value["titles"]["exact"] == "exact, of the 200 points"
    entropy, error = value["entropy"]
    found = weighed(value)["ledger"]["beta"]
    best, learned, by_heart = (found[name] for name in ("distribution", "learned", "exact"))
    assert entropy - best["standard_error"] - 4 * error < best["total"] < entropy + 0.1
    assert best["total"] < learned["total"] < by_heart["total"] - 1
    assert all(parts["missing"] == 0 for parts in found.values())


def test_fewer_steps_cost_more_and_no_network_is_asked_again() -> None:
    *_, (value, *_) = press(DATA)
    totals = [weighed(value, family="cosine", params={}, T=T)["ledger"]["beta"]["distribution"]["total"]
              for T in (5, 20, 100, 1000)]  # fmt: skip
    assert totals == sorted(totals, reverse=True) and totals[0] > totals[-1] + 0.3


def test_parts_are_those_of_the_library_for_every_variance() -> None:
    *_, (value, *_) = press(DATA)
    found, schedule = weighed(value), read_schedule(default_settings())
    assert set(found["ledger"]) == set(EXPONENTS)
    rows = list(csv.DictReader(io.StringIO(found["csv"])))
    assert len(rows) == len(EXPONENTS) * len(value["curves"])
    for row in rows:
        curve = ErrorCurve.from_json(value["curves"][row["denoiser"]])
        expected = ledger(curve, schedule, row["variance"], continuous=True)  # type: ignore[arg-type]
        parts = found["ledger"][row["variance"]][row["denoiser"]]
        for name in ("L_T", "L_mid", "L_0", "constant", "total"):
            assert parts[name] == pytest.approx(getattr(expected, name))
            assert float(row[name]) == pytest.approx(parts[name], rel=1e-5)


def test_the_entropy_is_that_of_the_density() -> None:
    gaussian = Mixture(patterns()["eight"].mixture().centres[:1], 0.2)
    entropy, error = entropy_bits(gaussian)
    assert entropy == pytest.approx(math.log2(2 * math.pi * math.e * 0.04) / 2, abs=4 * error) and error < 0.01
    # Eight Gaussians that hardly meet: that of one, and which one it is.
    eight = patterns()["eight"].mixture()
    expected = math.log2(2 * math.pi * math.e * eight.std**2) / 2 + math.log2(8) / 2
    assert entropy_bits(eight)[0] == pytest.approx(expected, abs=0.02)


def test_points_of_no_known_distribution_have_a_bound_and_no_entropy() -> None:
    *_, (value, message, *_) = press(SKETCHED)
    assert message == "" and value["entropy"] is None and set(value["curves"]) == {"exact"}
    assert "the 200 points themselves" in value["note"] and "Nothing has learnt these points yet" in value["note"]
    # The exact denoiser knows them all: with a finer first step there is no end to it.
    totals = [weighed(value, params={"beta_start": beta, "beta_end": 0.02})["ledger"]["posterior"]["exact"]["total"]
              for beta in (1e-3, 1e-4, 1e-5)]  # fmt: skip
    assert totals[0] > totals[1] + 0.5 > totals[2] + 1


def test_ones_own_network_is_the_one_that_is_measured() -> None:
    points, labels = read_plane_data(DATA)
    lesson = Lesson()
    for _ in learn(lesson, points, labels, None, StopFlag(), updates=1):
        pass
    *_, (value, *_) = press(DATA, lesson=lesson)
    assert "your network after 1 updates" in value["note"]
    *_, (ready, *_) = press(DATA)
    own, taught = (weighed(each)["ledger"]["beta"]["learned"]["total"] for each in (value, ready))
    assert own > taught + 1  # it knows next to nothing


def test_stop_keeps_what_was_measured_on_fewer_levels() -> None:
    flag = StopFlag()
    run = press_bound(DATA, flag, Lesson())
    next(run)
    flag.up = True
    *_, (value, _, start, _) = run
    assert value["status"].startswith("Stopped: ") and start["interactive"]
    assert 2 <= len(value["curves"]["exact"]["mean"]) < 6
    assert math.isfinite(weighed(value)["ledger"]["beta"]["exact"]["total"])


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (None, "There are no points yet"),
        (pattern_points({"pattern": "ring", "count": 1, "seed": 0}), "two are the least"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_sentence(data: PlaneData | None, sentence: str) -> None:
    ((_, message, start, halt),) = press(data)
    assert sentence in message and message.endswith(".")
    assert (start["interactive"], halt["interactive"]) == (True, False)


def test_what_is_no_curve_is_refused() -> None:
    with pytest.raises(CurveError, match="not a curve"):
        weigh_points({"curves": {"exact": {"log_snr": [1]}}, "settings": default_settings()})  # type: ignore[typeddict-item]
