"""Rows that answer what-if questions: each differs from the run in one thing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from diffusion.images import to_bytes
from diffusion.networks.model import Model, load_model
from diffusion.sampling.choices import SamplingError
from diffusion.sampling.recipe import Recipe, denoiser_of, draw, run
from diffusion.sampling.steps import timesteps
from diffusion.sampling.whatif import (
    ACROSS,
    Row,
    branch_points,
    comparison,
    denoised_back,
    filled_in,
    interpolation,
    one_sample,
)
from diffusion.schedules.families import make_schedule
from ui.models import bundled_picture

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("digits")


@pytest.fixture(scope="module")
def picture() -> torch.Tensor:
    return bundled_picture("digits")


def recipe_of(steps: int = 4, count: int = ACROSS, sampler: str = "ddim", **rest: Any) -> Recipe:
    """Threes, from seed 7 on."""
    schedule = make_schedule()
    return Recipe(timesteps(schedule, steps), range(7, 7 + count), sampler, labels=[3] * count, schedule=schedule,
                  model="digits", spacing="trailing", **rest)  # fmt: skip


def drawn(model: Model, row: Row) -> NDArray[np.int64]:
    denoiser, shape = denoiser_of(row.recipe, model)
    return draw(row.recipe, denoiser, shape, "cpu").astype(int)


def first_x_t(model: Model, row: Row) -> torch.Tensor:
    """What a row begins with."""
    denoiser, shape = denoiser_of(row.recipe, model)
    return next(run(row.recipe, denoiser, shape, "cpu")).x_t


def test_a_run_is_taken_up_at_the_frame_shown_or_at_moments_that_are_even_in_its_steps() -> None:
    recipe = recipe_of(10)
    assert branch_points(recipe, None) == [1000, 800, 600, 400, 200]
    assert branch_points(recipe, 550) == branch_points(recipe, 500) == [500]
    assert branch_points(recipe_of(2), None) == [1000, 500]
    with pytest.raises(SamplingError, match="nothing is left"):
        branch_points(recipe, 0)


def test_one_sample_keeps_its_seed_and_its_class() -> None:
    recipe = recipe_of(count=3)
    assert list(one_sample(recipe, 1).seeds) == [8] and list(one_sample(recipe, 1).labels or ()) == [3]
    assert list(one_sample(recipe, 10_000).seeds) == [9]


def test_samplers_are_compared_from_the_same_noise(model: Model) -> None:
    recipe = recipe_of()
    rows = comparison(recipe, {"ddpm": {"v": 0.5}, "dpmpp": {}}, [2, 5])
    assert [row.label for row in rows] == ["DDPM, 2", "DPM-Solver++(2M), 2", "DDPM, 5", "DPM-Solver++(2M), 5"]
    assert [len(row.recipe.steps) for row in rows] == [2, 2, 5, 5]
    assert [row.recipe.options for row in rows] == [{"v": 0.5}, {}] * 2
    assert all(torch.equal(first_x_t(model, row), first_x_t(model, rows[0])) for row in rows)
    refused: list[tuple[dict[str, dict[str, float]], list[int]]]
    refused = [({}, [5]), ({"ddim": {}}, [0]), ({"ddim": {}}, [1001])]
    for samplers, counts in refused:
        with pytest.raises(SamplingError):
            comparison(recipe, samplers, counts)


@pytest.mark.parametrize("sampler", ["ddpm", "dpmpp"])
def test_interpolation_leads_from_the_one_sample_to_the_other(model: Model, sampler: str) -> None:
    recipe = recipe_of(sampler=sampler)
    (row,) = interpolation(recipe, model.image_shape, (3, 12), {"3": 3})
    images = drawn(model, row)
    ends = Recipe(recipe.steps, [3, 12], row.recipe.sampler, {"eta": 0.0}, labels=[3, 3], schedule=recipe.schedule)
    for image, end in zip(images[[0, -1]], drawn(model, Row("", ends)), strict=True):
        assert np.abs(image - end).mean() < 3
    assert np.abs(images[0] - images[-1]).mean() > 10


def test_picture_that_was_hardly_noised_comes_back(model: Model, picture: torch.Tensor) -> None:
    rows = denoised_back(recipe_of(20), picture, [5, 90])
    assert [row.recipe.steps[0] for row in rows] == [50, 900]
    near, far = (np.abs(drawn(model, row) - to_bytes(picture)).mean() for row in rows)
    assert near < 8 < far
    with pytest.raises(SamplingError, match="not 101"):
        denoised_back(recipe_of(20), picture, [101])


def test_what_is_not_painted_over_stays_as_it_is(model: Model, picture: torch.Tensor) -> None:
    mask = torch.ones(32, 32)
    mask[8:, 4:28] = 0
    for row in filled_in(recipe_of(5), picture, mask, 3):
        images, kept = drawn(model, row), mask.bool().numpy()
        assert (images[:, kept] == to_bytes(picture)[kept]).all()
        assert np.abs(images[:, ~kept] - images[0, ~kept]).mean() > 1
    with pytest.raises(SamplingError, match="Paint over"):
        filled_in(recipe_of(5), picture, torch.ones(32, 32), 3)
