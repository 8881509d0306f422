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
from diffusion.mixture import Mixture, MixtureDenoiser
from diffusion.networks.model import read_card
from ui import learning
from ui.learning import (
    FIELD,
    LOG_SNRS,
    NETWORKS,
    PROBES,
    REACH,
    LearnWish,
    Lesson,
    field_of,
    learn,
    learned_before,
    make_probes,
)
from ui.models import StopFlag

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fresh_accelerate")]
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
