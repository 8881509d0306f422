"""A network that learns while one watches: what is shown of it is true, and goes on where it was left."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from diffusion.data.points import patterns
from diffusion.denoiser import ExactDenoiser
from diffusion.evaluation.distances import kernel_distance
from diffusion.mixture import Mixture, MixtureDenoiser
from diffusion.networks.model import read_card
from ui import learning
from ui.learning import (
    DRAWN,
    FIELD,
    GROWTH,
    LEAST_DISTANCE,
    LOG_SNRS,
    NETWORKS,
    PROBES,
    REACH,
    LearnWish,
    Lesson,
    Track,
    distance_by_chance,
    field_of,
    learn,
    learned_before,
    make_probes,
)
from ui.models import StopFlag

pytestmark = pytest.mark.slow
MOONS = patterns()["moons"]
POINTS, _ = MOONS.draw(300, 0)
SMALL = LearnWish(width=32, depth=2, batch=128)


def last_of(lesson: Lesson, updates: int, **changed: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"points": POINTS, "labels": None, "behind": MOONS.mixture()} | changed
    *_, view = learn(lesson, given["points"], given["labels"], given["behind"], StopFlag(), updates)
    return view


def test_what_it_learns_is_held_against_what_is_known() -> None:
    lesson = Lesson(SMALL)
    before, after = last_of(lesson, 1), last_of(lesson, 250)
    assert (before["updates"], after["updates"], after["state"]) == (1, 251, "done")
    curves = {name: np.array(curve) for name, curve in after["curves"].items()}
    assert set(curves) == {"error", "floor", "memory", "pattern"} and all(
        len(c) == len(LOG_SNRS) for c in curves.values()
    )
    # No denoiser has a smaller error on the points than the exact one, but for what chance there is in the probes.
    assert (curves["error"] > 0.8 * curves["floor"]).all() and curves["error"].sum() > curves["floor"].sum()
    for name in ("memory", "pattern"):
        assert curves[name].sum() < 0.7 * np.sum(before["curves"][name])
    assert after["distance"] < before["distance"] / 2
    assert len(base64.b64decode(after["samples"])) == 4 * 2 * learning.DRAWN


def test_the_floor_is_the_error_of_the_exact_denoiser() -> None:
    probes = make_probes(POINTS, MOONS.mixture())
    assert torch.allclose(probes.exact, ExactDenoiser(POINTS)(probes.x_t, probes.alpha_bar), atol=1e-3)
    expected = (probes.exact - probes.eps).square().view(len(LOG_SNRS), PROBES, 2).mean((1, 2))
    np.testing.assert_allclose(probes.floor, expected.double(), rtol=1e-6)
    assert torch.equal(probes.x_t, make_probes(POINTS, None).x_t) and make_probes(POINTS, None).pattern is None


def test_what_is_followed_is_the_mean_of_the_curves_and_outlives_a_pause() -> None:
    lesson = Lesson(SMALL)
    first, last = last_of(lesson, 1), last_of(lesson, 120)
    history = last["history"]
    assert (history["updates"][0], history["updates"][-1], history["ends"]) == (1, 121, [1, 121])
    for name in ("memory", "pattern"):
        assert history[name][0] == pytest.approx(np.mean(first["curves"][name]))
        assert (
            history[name][-1] == pytest.approx(np.mean(last["curves"][name])) and history[name][-1] < history[name][0]
        )
    assert history["distance"][-1] == pytest.approx(max(LEAST_DISTANCE, last["distance"]))
    assert history["drawn"][0] == 1 and history["drawn"][-1] == 121
    # How far what it can come to is apart: of a network that were the one, that would be its distance from the other.
    probes = make_probes(POINTS, MOONS.mixture())
    assert probes.pattern is not None
    assert history["apart"][0] == pytest.approx(float((probes.exact - probes.pattern).square().mean()), rel=1e-5)
    assert last_of(lesson, 1, points=POINTS[:50])["history"]["updates"] == [1]  # of other points nothing is known


def test_few_points_are_learnt_by_heart_and_many_are_not() -> None:
    wish = replace(SMALL, width=64, depth=3)
    few = last_of(Lesson(wish), 900, points=MOONS.draw(4, 1)[0])["history"]
    many = last_of(Lesson(wish), 900, points=MOONS.draw(100, 1)[0])["history"]
    assert few["memory"][-1] < few["pattern"][-1] / 3 and few["memory"][-1] < few["apart"][-1] / 3
    assert many["pattern"][-1] < many["memory"][-1] / 3 and many["pattern"][-1] < many["apart"][-1] / 3


def test_of_points_that_come_from_nowhere_known_only_memory_is_followed() -> None:
    history = last_of(Lesson(SMALL), 2, behind=None)["history"]
    assert "memory" in history and not {"pattern", "apart"} & history.keys()


def test_a_track_stays_short_and_even_however_long_it_gets() -> None:
    track = Track()
    for updates in range(1, 100_000, 7):
        track.add(updates, {"twice": 2.0 * updates})
    kept = np.array(track.updates)
    assert kept[0] == 1 and kept[-1] == 99_996 and len(kept) < np.log(1e5) / np.log(GROWTH)
    growth = kept[1:-1] / kept[:-2]
    assert (growth >= GROWTH).all() and growth[kept[:-2] > 1000].max() < GROWTH + 0.02
    assert track.columns == {"twice": [2.0 * n for n in track.updates]}


def test_what_chance_makes_of_a_distance_is_that_of_samples_which_are_points() -> None:
    found = distance_by_chance(POINTS)
    generator = torch.Generator().manual_seed(7)
    again = [
        abs(kernel_distance(POINTS[torch.randint(len(POINTS), (DRAWN,), generator=generator)], POINTS))
        for _ in range(20)
    ]
    assert np.mean(again) / 3 < found < 3 * np.mean(again) and found < 0.01
    assert distance_by_chance(POINTS[:2]) >= LEAST_DISTANCE


def test_a_field_has_its_rows_from_the_top() -> None:
    point = torch.tensor([[0.4, 0.9]])[:, :, None, None]
    field = field_of(MixtureDenoiser(Mixture(point)))
    assert field.shape == (len(LOG_SNRS), FIELD, FIELD, 2)
    k = 3  # little noise: eps leads away from where the one point is now
    level = 1 / (1 + np.exp(-LOG_SNRS[k]))
    size = 2 * REACH / FIELD
    places = -REACH + (np.arange(FIELD) + 0.5) * size
    centre = np.sqrt(level) * np.array([0.4, 0.9])
    expected_x = (places[None, :] - centre[0]) / np.sqrt(1 - level)
    expected_y = (-places[:, None] - centre[1]) / np.sqrt(1 - level)
    np.testing.assert_allclose(field[k, :, :, 0], np.broadcast_to(expected_x, (FIELD, FIELD)), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(field[k, :, :, 1], np.broadcast_to(expected_y, (FIELD, FIELD)), rtol=1e-3, atol=1e-3)


def test_a_lesson_goes_on_or_begins_anew() -> None:
    lesson = Lesson(SMALL)
    assert last_of(lesson, 3)["updates"] == 3
    assert last_of(lesson, 2)["updates"] == 5
    lesson.wish = replace(SMALL, lr=1e-3, batch=64, weighting="min-snr")  # may change while it learns
    assert last_of(lesson, 1)["updates"] == 6
    lesson.wish = replace(SMALL, width=24)  # another network
    assert last_of(lesson, 1)["updates"] == 1
    assert last_of(lesson, 1, points=POINTS[:50])["updates"] == 1  # other points
    assert (
        last_of(lesson, 1, points=POINTS[:50], labels=torch.arange(50) % 2)["updates"] == 1
    )  # now it is told their class


def test_a_setting_that_is_changed_counts_from_the_next_step() -> None:
    lesson, flag, rates = Lesson(SMALL), StopFlag(), []
    for view in learn(lesson, POINTS, None, None, flag):
        assert lesson.run is not None and "pattern" not in view["curves"]
        rates.append(lesson.run.state.optimizer.param_groups[0]["lr"])
        lesson.wish = replace(SMALL, lr=1e-5)
        flag.up = len(rates) == 2
    assert rates[-1] <= 1e-5 < rates[0] or (len(rates) == 2 and rates[1] <= 1e-5)


def test_a_forgotten_page_does_not_learn_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "MOST_SECONDS", 0.3)
    *_, view = learn(Lesson(SMALL), POINTS, None, None, StopFlag())
    assert view["state"] == "done" and view["updates"] >= 1


@pytest.mark.parametrize("name", patterns())
def test_every_pattern_has_a_network_that_knows_it(name: str) -> None:
    """Nearer to the field of the pattern than a tenth of what its noise is; as the page shows it."""
    view, pattern = learned_before(name), patterns()[name]
    field = np.frombuffer(base64.b64decode(view["field"]), "<f4").reshape(len(LOG_SNRS), FIELD, FIELD, 2)
    exact = field_of(MixtureDenoiser(pattern.mixture(), pattern.labels()))
    middle = slice(FIELD // 4, -FIELD // 4)  # further out are no points to learn from
    off = np.square(field - exact)[8:, middle, middle].mean()
    assert off < 0.1 and view["updates"] == 3000
    card = read_card(NETWORKS / f"{name}.safetensors")
    assert card.title == pattern.title and card.command.startswith(f"python -m diffusion train --data plane:{name} ")


@pytest.mark.parametrize("prediction", ["v", "eps", "x0"])
def test_whatever_it_predicts_it_is_shown_as_eps(prediction: Any) -> None:
    view = last_of(Lesson(replace(SMALL, prediction=prediction)), 60)
    field = np.frombuffer(base64.b64decode(view["field"]), "<f4")
    assert np.isfinite(field).all() and np.sum(view["curves"]["error"]) > 0
