"""Students: what a teacher shows them, that they are told their guidance, and the command that makes them."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from diffusion import process
from diffusion.cli.main import main
from diffusion.denoiser import Denoiser, Guided
from diffusion.networks.denoiser import NetworkDenoiser
from diffusion.networks.fast import FastUNet
from diffusion.networks.model import load_model, read_card
from diffusion.networks.unet import UNetConfig, grow
from diffusion.sampling.choices import SamplingError
from diffusion.sampling.loop import guided, sample
from diffusion.sampling.plan import SamplingPlan
from diffusion.sampling.steps import timesteps
from diffusion.sampling.updates import DDIM
from diffusion.schedules.families import make_schedule
from diffusion.training.batch import Batch, draw_batch, even_steps
from diffusion.training.config import TrainConfig, TrainError
from diffusion.training.history import LossHistory
from diffusion.training.teacher import make_teacher
from tests.test_train import batch_of, toy_set
from tests.tiny import inputs, save_tiny, trained

PLAIN = UNetConfig(8, 1, (2,), widths=(12, 24), blocks=1, attention=(0,))
TOLD = dataclasses.replace(PLAIN, guidance=(1.0, 4.0))
NOTHING = dataclasses.replace(PLAIN, conditions=())


def test_the_x_0_of_a_step_is_the_one_that_ddim_takes_there() -> None:
    generator = torch.Generator().manual_seed(0)
    x_t, x_0 = (torch.randn((2, 1, 4, 4), generator=generator, dtype=torch.float64) for _ in range(2))
    for alpha_bar_t, alpha_bar_s in ((1e-9, 0.2), (0.3, 0.31), (0.5, 0.999), (0.9, 1.0)):
        eps = process.eps_from_x0(x_t, x_0, alpha_bar_t)
        x_s = DDIM().mean(x_t, x_0, eps, alpha_bar_t, alpha_bar_s, (), lambda x, a: (x, x))
        torch.testing.assert_close(process.x0_from_step(x_t, x_s, alpha_bar_t, alpha_bar_s), x_0, rtol=1e-6, atol=1e-6)


def drawn_by(denoiser: Denoiser, x_t: Tensor, label: Tensor | None, way: list[int], scale: float) -> Tensor:
    """Where the sampling loop gets from x_t at way[0], at the last of its steps."""
    schedule = make_schedule("cosine", 100)
    labels = None if label is None else label.tolist()
    steps = SamplingPlan(way[:-1], range(len(x_t)), "ddim", labels=labels, guidance=scale, start=x_t)
    if way[-1]:
        steps = dataclasses.replace(steps, steps=way)
    return [step.x_s for step in sample(denoiser, schedule, steps, (1, 8, 8))][len(way) - 2]


@pytest.mark.parametrize("config", [PLAIN, TOLD, NOTHING, dataclasses.replace(PLAIN, prediction="eps")])
def test_a_teacher_shows_where_its_own_sampling_leads(config: UNetConfig) -> None:
    """By the loop that draws images, for each step of a student of 4 calls and several scales in one batch."""
    schedule, network, generator = make_schedule("cosine", 100), trained(config), torch.Generator().manual_seed(1)
    teacher = make_teacher(network, schedule, TrainConfig(calls=4, substeps=5), Accelerator(cpu=True))
    steps = timesteps(schedule, 20)
    t = torch.tensor(steps[::5]).repeat_interleave(3)
    scale = torch.tensor([1.0, 2.0, 3.5]).repeat(4) if config.conditions else torch.ones(12)
    x_t, label = torch.randn((12, 1, 8, 8), generator=generator), torch.arange(12) % 3
    batch = batch_of(x_t, label, torch.tensor(schedule.alpha_bar)[t], x_t, t=t, guidance=scale)
    found = teacher(batch, x_t)
    for i in range(12):
        way = [*steps, 0][(i // 3) * 5 : (i // 3) * 5 + 6]
        labels = label[i : i + 1] if config.conditions else None
        x_s = drawn_by(NetworkDenoiser(network), x_t[i : i + 1], labels, way, float(scale[i]))
        alpha_bar_t, alpha_bar_s = (float(schedule.alpha_bar[step]) for step in (way[0], way[-1]))
        eps = process.eps_from_x0(x_t[i], found[i], alpha_bar_t)
        torch.testing.assert_close(process.q_sample(found[i], alpha_bar_s, eps), x_s[0], rtol=1e-3, atol=2e-3)


def test_more_steps_than_there_are_cannot_be_shown() -> None:
    with pytest.raises(TrainError, match="more than the T = 100 steps"):
        make_teacher(trained(PLAIN), make_schedule("cosine", 100), TrainConfig(calls=11, substeps=10),
                     Accelerator(cpu=True))  # fmt: skip


def batches(config: TrainConfig, network: UNetConfig, count: int) -> list[Batch]:
    schedule = make_schedule("cosine", 100)
    return [draw_batch(toy_set(), network, config, schedule, LossHistory.empty(100), step) for step in range(count)]


def test_a_student_meets_its_own_steps_equally_often_and_every_scale() -> None:
    made = batches(TrainConfig(calls=4, batch=16), TOLD, 50)
    t, scale = torch.cat([b.t for b in made]), torch.cat([b.guidance for b in made])
    values, counts = t.unique(return_counts=True)
    assert values.tolist() == [25, 50, 75, 100] and counts.tolist() == [200] * 4  # stratified: exactly
    assert all((b.weight == 1).all() for b in made)
    assert scale.min() == 1 and 3.9 < scale.max() <= 4
    assert 0.2 < (scale == 1).double().mean() < 0.3
    assert 1.6 < scale[scale > 1].median() < 1.9  # 1 + 3 u^2
    for plain in batches(TrainConfig(batch=16), PLAIN, 3):
        assert (plain.guidance == 1).all()
    np.testing.assert_allclose(even_steps(make_schedule("cosine", 100)), 0.01)


def test_a_network_that_is_given_guidance_computes_what_it_did_until_it_learns() -> None:
    network = trained(PLAIN)
    grown = grow(network, TOLD)
    x, log_snr, label = inputs(PLAIN)
    scale = torch.linspace(1, 4, len(x))
    torch.testing.assert_close(grown(x, log_snr, label, scale), network(x, log_snr, label))
    with pytest.raises(ValueError, match="goes on taking it"):
        grow(grown, PLAIN)


@pytest.mark.parametrize("given", [(1.0,), (4.0, 1.0), (1.0, float("nan")), (-1.0, 2.0), (0.0, 1e9), ("a", "b")])
def test_scales_that_are_no_range_are_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="two rising numbers from 0 to 100"):
        dataclasses.replace(PLAIN, guidance=given)
    with pytest.raises(ValueError, match="nothing to be guided to"):
        dataclasses.replace(NOTHING, guidance=(1.0, 4.0))


def test_a_network_that_takes_guidance_is_told_it_and_asked_once() -> None:
    network = trained(TOLD)
    denoiser, calls = NetworkDenoiser(network), []
    network.register_forward_hook(lambda *_: calls.append(1))
    x, _, label = inputs(TOLD)
    assert label is not None
    told = guided(denoiser, 3.0)
    assert isinstance(told, NetworkDenoiser) and not isinstance(told, Guided)
    found = told(x, 0.4, label[:, 0])
    assert len(calls) == 1
    level = torch.full((len(x),), 0.4, dtype=torch.float64).logit().float()
    out = network(x, level, label, torch.full((len(x),), 3.0))
    torch.testing.assert_close(found, process.eps_from_v(x, out, 0.4))
    assert not torch.allclose(found, denoiser(x, 0.4, label[:, 0]), atol=1e-3)
    with pytest.raises(SamplingError, match="taught guidance from 1 to 4, not 6"):
        guided(denoiser, 6.0)
    assert isinstance(guided(NetworkDenoiser(trained(PLAIN)), 3.0), Guided)


def test_the_prepared_network_is_told_guidance_too() -> None:
    network = trained(TOLD)
    x, log_snr, label = inputs(TOLD)
    scale = torch.linspace(1, 4, len(x))
    with torch.inference_mode():
        found, exact = FastUNet(network, torch.float32)(x, log_snr, label, scale), network(x, log_snr, label, scale)
        torch.testing.assert_close(found, exact, rtol=1e-3, atol=1e-4)
        assert not torch.allclose(exact, network(x, log_snr, label), atol=1e-3)


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    save_tiny(tmp_path / "tiny.safetensors", ["dark", "light"])
    images = toy_set().images.permute(0, 2, 3, 1).numpy()
    np.savez(tmp_path / "toy.npz", images=images, labels=np.arange(20) % 2)
    return tmp_path / "tiny.safetensors"


def distill(folder: Path, model: Path, name: str, calls: int, *more: str) -> int:
    settings = ["--images", "64", "--batch", "16", "--warmup", "2", "--log-every", "1", "--preview-every", "64"]
    return main(["distill", "--model", str(model), "--data", str(folder / "toy.npz"), "--calls", str(calls),
                 "--run", str(folder / name), "--name", name, *settings,
                 "--device", "cpu", "--precision", "no", *more])  # fmt: skip


@pytest.mark.slow
def test_a_student_of_a_student(teacher: Path) -> None:
    folder = teacher.parent
    assert distill(folder, teacher, "four", 4, "--substeps", "5", "--guidance", "1", "3") == 0
    path = folder / "four" / "four.safetensors"
    four, alpha_bar = read_card(path), make_schedule("cosine", 100).alpha_bar
    assert (four.teacher, four.levels) == ("tiny", [alpha_bar[t] for t in (100, 75, 50, 25)])
    assert four.network == dataclasses.replace(read_card(teacher).network, guidance=(1.0, 3.0))  # type: ignore[type-var]
    assert four.images_seen == 64 and four.command.endswith("--guidance 1 3")
    assert distill(folder, path, "two", 2) == 0
    two = read_card(folder / "two" / "two.safetensors")
    assert (two.teacher, two.levels) == ("tiny", [alpha_bar[t] for t in (100, 50)])
    assert two.images_seen == 128 and two.command.count("python -m diffusion distill") == 2
    assert (folder / "two" / "samples" / "step-00000004.png").is_file()
    model = load_model(str(folder / "two" / "two.safetensors"))
    plan = SamplingPlan([100, 50], range(2), "ddim", labels=[0, 1], guidance=2.0)
    *_, last = sample(model.denoiser, two.training_schedule(), plan, (1, 8, 8))
    assert last.calls == 2 and last.x_s.isfinite().all()


@pytest.mark.slow
def test_a_stopped_student_goes_on_as_if_it_had_not_been(teacher: Path) -> None:
    folder = teacher.parent
    assert distill(folder, teacher, "whole", 2, "--decay", "constant") == 0
    assert distill(folder, teacher, "halves", 2, "--decay", "constant", "--images", "32") == 0
    assert distill(folder, teacher, "halves", 2, "--decay", "constant") == 0
    whole, halves = (torch.load(folder / name / "state.pt") for name in ("whole", "halves"))
    for key, value in whole["average"].items():
        assert torch.equal(value, halves["average"][key]), key
    assert whole["average"]["guidance.mlp.2.weight"].abs().max() > 0  # it learns what it is told


@pytest.mark.slow
def test_a_student_comes_nearer_to_its_teacher(teacher: Path) -> None:
    folder = teacher.parent
    assert distill(folder, teacher, "s", 2, "--images", "3200", "--lr", "2e-3", "--preview-every", "3200") == 0
    losses = [float(row.split(",")[2]) for row in (folder / "s" / "log.csv").read_text().splitlines()[1:]]
    assert np.mean(losses[-20:]) < 0.7 * np.mean(losses[:5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--calls", "0"], "--calls must be at least 1"),
        (["--calls", "60", "--substeps", "2"], "more than the T = 100 steps"),
        (["--calls", "2", "--guidance", "4", "1"], "two rising numbers"),
        (["--calls", "2", "--name", "a/b"], "--name is what the files"),
        (["--calls", "2", "--data", "emoji"], "emoji"),
    ],
)
def test_what_cannot_be_is_refused(
    teacher: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert distill(teacher.parent, teacher, "s", 4, *arguments) == 1
    assert message in capsys.readouterr().err
    assert not (teacher.parent / "s" / "state.pt").exists()


def test_a_student_of_a_student_takes_a_part_of_its_calls(teacher: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = teacher.with_suffix(".json")
    card.write_text(json.dumps(json.loads(card.read_text()) | {"teacher": "big", "levels": [1e-5, 0.1, 0.5, 0.9]}))
    for calls, more, message in (
        (3, (), "must take a part of them"),
        (4, (), "must take a part of them"),
        (2, ("--substeps", "3"), "leave --substeps out"),
    ):
        assert distill(teacher.parent, teacher, "s", calls, *more) == 1
        assert message in capsys.readouterr().err


def test_a_network_without_classes_is_told_no_guidance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_tiny(tmp_path / "tiny.safetensors", [])
    np.savez(tmp_path / "toy.npz", images=toy_set().images.permute(0, 2, 3, 1).numpy())
    assert distill(tmp_path, tmp_path / "tiny.safetensors", "s", 2, "--guidance", "1", "2") == 1
    assert "has no classes; leave --guidance out" in capsys.readouterr().err
    assert distill(tmp_path, tmp_path / "tiny.safetensors", "s", 2) == 0
    network = read_card(tmp_path / "s" / "s.safetensors").network
    assert isinstance(network, UNetConfig) and network.guidance is None
