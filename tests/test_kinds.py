"""A kind of network that the library does not know, made here, goes wherever a U-Net does."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diffusion.cli.main import main
from diffusion.denoiser import ExactDenoiser
from diffusion.losses.measure import measure_errors, measuring_levels
from diffusion.networks.card import Card
from diffusion.networks.checkpoint import CheckpointError
from diffusion.networks.kinds import KINDS
from diffusion.networks.model import load_model, read_card, save_model
from diffusion.networks.network import Kind, config_from
from diffusion.process import Prediction
from diffusion.sampling.archive import read, save
from diffusion.sampling.recipe import Recipe, denoiser_of, draw, load_model_of, run
from diffusion.sampling.snippet import snippet
from diffusion.sampling.steps import timesteps
from diffusion.schedules.spec import ScheduleSpec
from tests.tiny import save_tiny
from ui.card import card_table, describe_model


@dataclass(frozen=True)
class PointsConfig:
    """Points of the plane, of so many groups."""

    width: int
    groups: int = 0
    prediction: Prediction = "eps"
    guidance: tuple[float, float] | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return 2, 1, 1

    @property
    def conditions(self) -> tuple[int, ...]:
        return (self.groups,) if self.groups else ()

    @property
    def empty(self) -> tuple[int, ...]:
        return self.conditions

    def describe(self, parameters: int) -> str:
        return f"two layers of {self.width}, {parameters:,} parameters, for points"


class Points(nn.Module):
    def __init__(self, config: PointsConfig) -> None:
        super().__init__()
        self.config = config
        self.group = nn.Embedding(config.groups + 1, config.width)
        self.enter, self.exit = nn.Linear(3, config.width), nn.Linear(config.width, 2)

    def forward(self, x_t: Tensor, log_snr: Tensor, label: Tensor | None = None) -> Tensor:
        label = torch.full(x_t.shape[:1], self.config.groups, device=x_t.device) if label is None else label
        h = self.enter(torch.cat([x_t.flatten(1), log_snr[:, None] / 10], 1)) + self.group(label)
        return self.exit(torch.tanh(h)).view_as(x_t)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network of points on disk, and its kind in the table."""
    monkeypatch.setitem(KINDS, "points", Kind(lambda values: config_from(PointsConfig, values), Points))
    torch.manual_seed(0)
    config, path = PointsConfig(16, groups=3), tmp_path / "moons.safetensors"
    schedule = ScheduleSpec("cosine", 100)
    card = Card("moons", "Moons", ["a", "b", "c"], config, schedule, "made up", "none", "none", 64, 1.0, kind="points")
    save_model(path, Points(config), card)
    return path


def recipe_of(path: Path, **changes: Any) -> Recipe:
    schedule = read_card(path).training_schedule()
    fields: dict[str, Any] = {"labels": [0, 1, 2, 3], "guidance": 2.0, "sampler": "dpmpp", "clip": "none"} | changes
    return Recipe(
        timesteps(schedule, 8), range(4), schedule=schedule, model=str(path), sha256=read_card(path).sha256, **fields
    )


def test_its_card_says_its_kind_and_a_card_that_says_none_is_of_a_unet(path: Path, tmp_path: Path) -> None:
    assert json.loads(path.with_suffix(".json").read_text())["kind"] == "points"
    model = load_model(str(path))
    assert model.card.network == PointsConfig(16, groups=3) and model.image_shape == (2, 1, 1)
    unet = tmp_path / "tiny.safetensors"
    save_tiny(unet, ["a"])
    content = json.loads(unet.with_suffix(".json").read_text())
    assert content.pop("kind") == "unet"
    unet.with_suffix(".json").write_text(json.dumps(content))
    assert load_model(str(unet)).card.kind == "unet"


@pytest.mark.parametrize("kind", ["transformer", None, ["unet"]])
def test_a_kind_that_is_none_is_refused(path: Path, kind: Any) -> None:
    card = path.with_suffix(".json")
    card.write_text(json.dumps(json.loads(card.read_text()) | {"kind": kind}))
    with pytest.raises(CheckpointError, match=r"there is no kind of network .*, only unet, points"):
        read_card(path)


def test_it_draws_the_same_by_its_recipe_its_snippet_and_its_file(path: Path, tmp_path: Path) -> None:
    recipe = recipe_of(path)
    denoiser, shape = denoiser_of(recipe, load_model_of(recipe, "cpu"))
    *_, last = run(recipe, denoiser, shape, "cpu")
    assert last.x_s.shape == (4, 2, 1, 1) and last.x_s.isfinite().all() and last.x_s.std() > 0
    images = draw(recipe, denoiser, shape, "cpu")
    assert images.shape == (4, 1, 1, 2)
    found: dict[str, Any] = {}
    exec(snippet(recipe), found)
    np.testing.assert_array_equal(found["images"], images)
    save(tmp_path / "a.npz", recipe, images)
    again = read(tmp_path / "a.npz")
    np.testing.assert_array_equal(draw(again, denoiser, shape, "cpu"), images)
    assert main(["sample", "--like", str(tmp_path / "a.npz"), "--out", str(tmp_path / "b.npz"), "--device", "cpu"]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "b.npz")["images"], images)


def test_its_errors_are_measured_as_those_of_any_other(path: Path) -> None:
    model = load_model(
        str(path), precision=torch.bfloat16
    )  # which it is not prepared for, and computes in all the same
    points = torch.rand((16, 2, 1, 1), generator=torch.Generator().manual_seed(0)) * 2 - 1
    levels, labels = measuring_levels(model.card.training_schedule(), 9), torch.arange(16) % 3
    *_, curve = measure_errors(model.denoiser, points, levels, labels=labels)
    *_, best = measure_errors(ExactDenoiser(points, labels), points, levels, labels=labels)
    assert curve.dimensions == 2 and np.isfinite(curve.mean).all()
    assert (best.mean < curve.mean).all()  # nobody can know these points better


def test_the_page_says_what_it_is(path: Path) -> None:
    model = load_model(str(path))
    parameters = 3 * 16 + 16 + 4 * 16 + 16 * 2 + 2
    assert f"| network | two layers of 16, {parameters} parameters, for points |" in card_table(model)
    assert "| images | 1 x 1, 2 channels |" in card_table(model) and "| classes | a, b, c |" in card_table(model)
    assert "3 classes" in describe_model(model)
