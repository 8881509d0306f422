"""The network of points: that it is told what it should be, is kept on disk, and learns the field that is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor

from diffusion import process
from diffusion.cli.main import main
from diffusion.data.points import Pattern, patterns
from diffusion.data.sets import ImageSet
from diffusion.evaluation.distances import kernel_distance
from diffusion.mixture import MixtureDenoiser
from diffusion.networks.card import Card
from diffusion.networks.denoiser import NetworkDenoiser
from diffusion.networks.model import load_model, save_model
from diffusion.networks.points import PointsConfig, PointsNetwork
from diffusion.process import Prediction
from diffusion.sampling.loop import sample
from diffusion.sampling.plan import SamplingPlan
from diffusion.sampling.steps import timesteps
from diffusion.schedules.families import make_schedule
from diffusion.schedules.spec import ScheduleSpec
from diffusion.training.config import TrainConfig
from diffusion.training.train import train

pytestmark = pytest.mark.slow
SCHEDULE = make_schedule("cosine", 1000)


def trained(pattern: Pattern, config: PointsConfig, updates: int, folder: Path) -> PointsNetwork:
    """By the trainer of all networks, from 2,000 points."""
    points, labels = pattern.draw(2000, 0)
    data = ImageSet(points, torch.zeros(2000, dtype=torch.int64) if labels is None else labels)
    card = Card("p", "P", list(pattern.names), config, ScheduleSpec("cosine", 1000), "d", "l", "c", 0, 0, kind="points")
    settings = TrainConfig(256 * updates, 256, lr=2e-3, warmup=20, drop_label=0.0, preview_every=10**9)
    weights = train(data, settings, folder, card, Accelerator(cpu=True))
    network = load_model(str(weights)).denoiser.network
    assert isinstance(network, PointsNetwork)
    return network


def off(
    network: PointsNetwork, pattern: Pattern, label: Tensor | None = None, other: Tensor | None = None
) -> float:  # fmt: skip
    """Mean squared distance of its eps from the exact one, or that of another label, over noise levels."""
    x_0, _ = pattern.draw(500, 9)
    exact, found = MixtureDenoiser(pattern.mixture(), pattern.labels()), []
    for t in range(50, 1000, 100):
        alpha_bar = float(SCHEDULE.alpha_bar[t])
        eps = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(t))
        x_t = process.q_sample(x_0, alpha_bar, eps)
        difference = NetworkDenoiser(network)(x_t, alpha_bar, label) - exact(
            x_t, alpha_bar, label if other is None else other
        )
        found.append(float(difference.square().mean()))
    return sum(found) / len(found)


@pytest.mark.parametrize("prediction", ["v", "eps", "x0"])
@pytest.mark.parametrize("sinusoids", [True, False])
def test_it_learns_the_field_that_is_known(prediction: Prediction, sinusoids: bool, tmp_path: Path) -> None:
    pattern, config = patterns()["moons"], PointsConfig(width=64, prediction=prediction, sinusoids=sinusoids)
    before, after = (off(trained(pattern, config, n, tmp_path / f"{n}"), pattern) for n in (1, 300))
    assert after < 0.08 < 0.14 < before


def test_told_a_class_it_learns_the_field_of_the_class(tmp_path: Path) -> None:
    pattern = patterns()["clusters"]
    network = trained(pattern, PointsConfig(conditions=(3,), width=64), 400, tmp_path)
    for label in range(3):
        told = torch.full((500,), label)
        assert off(network, pattern, told) < 0.12 < 0.3 < off(network, pattern, told, (told + 1) % 3)
    x = torch.zeros(1, 2, 1, 1)
    said = [network(x, torch.zeros(1), None if k is None else torch.tensor([k])) for k in (0, 1, 2, 3, None)]
    assert torch.equal(said[3], said[4]) and not torch.equal(said[0], said[1])  # 3 leaves the class out


def test_what_it_draws_is_as_the_data_is(tmp_path: Path) -> None:
    pattern = patterns()["moons"]
    network = trained(pattern, PointsConfig(width=64), 400, tmp_path)
    plan = SamplingPlan(timesteps(SCHEDULE, 12), range(500), "unipc", clip="none")
    *_, last = sample(NetworkDenoiser(network), SCHEDULE, plan, (2, 1, 1))
    fresh, _ = pattern.draw(500, 7)
    assert kernel_distance(last.x_s, fresh) < 0.02


def test_it_is_kept_on_disk_as_any_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = PointsConfig(conditions=(3,), width=24, depth=2, sinusoids=False, prediction="eps")
    network = PointsNetwork(config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    card = Card("p", "P", ["a", "b", "c"], config, ScheduleSpec("cosine", 100), "d", "l", "c", 1, 1.0, kind="points")
    save_model(tmp_path / "p.safetensors", network, card)
    model = load_model(str(tmp_path / "p.safetensors"))
    assert model.card.network == config and model.image_shape == (2, 1, 1)
    x, label = torch.randn(5, 2, 1, 1), torch.tensor([0, 1, 2, 3, 0])
    expected = NetworkDenoiser(network.half().float())(x, 0.5, label)
    torch.testing.assert_close(model.denoiser(x, 0.5, label), expected)
    assert "2 residual blocks of width 24" in config.describe(10) and "sinusoids" not in config.describe(10)


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"width": 0}, "width"), ({"depth": 2.5}, "depth"), ({"conditions": (2, 1.5)}, "whole number of values"),
     ({"conditions": (0,)}, "at least one value"), ({"prediction": "score"}, "predicts one of")],
)  # fmt: skip
def test_what_no_network_can_be_built_of_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(PointsConfig(), **changed)


def run_train(folder: Path, *more: str) -> int:
    return main(["train", "--run", str(folder), "--name", "p", "--images", "512", "--batch", "64", "--device", "cpu",
                 "--preview-every", "512", *more])  # fmt: skip


def test_the_command_trains_points_and_goes_on(tmp_path: Path) -> None:
    assert run_train(tmp_path, "--data", "plane:clusters", "--width", "16", "--depth", "1", "--no-sinusoids") == 0
    card = load_model(str(tmp_path / "p.safetensors")).card
    assert card.network == PointsConfig(conditions=(3,), width=16, depth=1, sinusoids=False)
    assert (card.kind, card.classes, card.images_seen) == ("points", ["60 %", "30 %", "10 %"], 512)
    with Image.open(tmp_path / "samples" / "step-00000008.png") as picture:
        assert picture.size == (480, 480)
    arguments = "--data", "plane:clusters", "--width", "16", "--depth", "1", "--no-sinusoids"
    assert run_train(tmp_path, *arguments, "--images", "1024") == 0
    assert load_model(str(tmp_path / "p.safetensors")).card.images_seen == 1024


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "plane:moon"], "There is no pattern plane:moon; there are plane:moons, "),
        (["--data", "plane:moons", "--config", "emoji"], "--config emoji is for images, and plane:moons has points."),
        (["--data", "digits", "--config", "points"], "--config points is for points, and digits has images."),
        (["--data", "plane:moons", "--widths", "12"], "is of another kind; leave --widths out."),
        (["--data", "digits", "--depth", "2"], "is of another kind; leave --depth out."),
        (["--data", "plane:moons", "--width", "0"], "width must be a whole number from 1 to 1024, not 0."),
    ],
)
def test_what_does_not_go_together_is_refused(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_train(tmp_path / "run", *arguments) == 1
    assert said in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_a_checkpoint_says_what_it_was_begun_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_train(tmp_path, "--data", "plane:ring", "--width", "16") == 0
    assert run_train(tmp_path, "--data", "plane:ring", "--width", "24") == 1
    assert "began with network" in capsys.readouterr().err
