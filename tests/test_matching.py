"""Students that are matched to their teacher: where a critic sends their images, and that a run goes on exactly."""

from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from diffusion import process
from diffusion.networks.denoiser import NetworkDenoiser
from diffusion.networks.unet import UNet, UNetConfig
from diffusion.sampling.loop import sample
from diffusion.sampling.plan import SamplingPlan
from diffusion.sampling.steps import timesteps
from diffusion.schedules.families import make_schedule
from diffusion.training.batch import Batch
from diffusion.training.config import TrainConfig, TrainError
from diffusion.training.matching import Matching, make_matching
from diffusion.training.teacher import Teacher, make_teacher
from tests.test_distill import NOTHING, TOLD, distill, teacher  # noqa: F401
from tests.test_train import batch_of
from tests.tiny import trained

SCHEDULE = make_schedule("cosine", 100)


class Gaussian(nn.Module):
    """Knows all of N(mean, spread^2): the v of E[x_0 | x_t], in closed form."""

    def __init__(self, mean: float, spread: float) -> None:
        super().__init__()
        self.mean, self.variance = mean, spread**2

    def forward(self, x: Tensor, log_snr: Tensor, label: Tensor | None = None) -> Tensor:
        a = log_snr.double().sigmoid()[:, None, None, None]
        gain = a.sqrt() * self.variance / (a * self.variance + 1 - a)
        x_0 = self.mean + gain * (x.double() - a.sqrt() * self.mean)
        return process.v_from_x0_eps(x_0, process.eps_from_x0(x.double(), x_0, a), a).float()


def asked(count: int, side: int = 8, **fields: Tensor) -> Batch:
    eps = torch.randn((count, 1, side, side), generator=torch.Generator().manual_seed(3))
    return batch_of(eps, torch.arange(count) % 3, torch.zeros(count), eps, **fields)


def matched(config: UNetConfig, network: UNet, calls: int, critic_steps: int = 1) -> Matching:
    settings, accelerator = TrainConfig(calls=calls, critic_steps=critic_steps, weight_decay=0.0), Accelerator(cpu=True)
    return make_matching(make_teacher(network, SCHEDULE, settings, accelerator), trained(config).requires_grad_(),
                         SCHEDULE, settings, accelerator)  # fmt: skip


def between(wanted: nn.Module, now: nn.Module) -> Matching:
    """With networks that are known, and a critic that does not learn."""
    alpha_bar = torch.tensor(SCHEDULE.alpha_bar)
    config = TrainConfig(calls=1)
    network = UNet(NOTHING)
    return Matching(Teacher(wanted, NOTHING, alpha_bar), now, network, torch.optim.SGD(network.parameters()),
                    alpha_bar[[100, 0]], alpha_bar, config, Accelerator(cpu=True))  # fmt: skip


def moved(student: Gaussian, wanted: nn.Module, now: nn.Module) -> tuple[Tensor, Tensor]:
    """Images that a student draws in one call, and where they are to go."""
    matching, batch = between(wanted, now), asked(400, 4)
    x = matching.drawn(student, batch, batch.eps)
    out = torch.zeros_like(x, requires_grad=True)

    class Draws(nn.Module):
        """The same images, of which one can ask where they are sent."""

        def forward(self, x_T: Tensor, log_snr: Tensor, label: Tensor) -> Tensor:
            level = log_snr.double().sigmoid().float()[:, None, None, None]
            x_0 = x + out
            return process.v_from_x0_eps(x_0, process.eps_from_x0(x_T, x_0, level), level)

    matching.errors(Draws(), batch, seed=5).sum().backward()
    assert out.grad is not None
    return x, x - out.grad * out[0].numel() / 2


def test_where_the_student_draws_what_its_teacher_does_nothing_is_to_move() -> None:
    student = Gaussian(0.2, 0.1)
    x, aim = moved(student, Gaussian(0.2, 0.1), Gaussian(0.2, 0.1))
    torch.testing.assert_close(aim, x, atol=1e-4, rtol=0)


def test_images_are_sent_to_where_more_of_them_should_be() -> None:
    """N(-0.3, 0.1^2) is drawn, and N(0.3, 0.1^2) is wanted; the other way round they go back."""
    low, high = Gaussian(-0.3, 0.1), Gaussian(0.3, 0.1)
    x, aim = moved(low, wanted=high, now=low)
    assert (aim - x).mean() > 0.3 and ((aim - x) > 0).double().mean() > 0.99
    x, aim = moved(high, wanted=low, now=high)
    assert (aim - x).mean() < -0.3


def test_images_that_are_too_alike_are_sent_apart() -> None:
    """And too different ones towards the mean: a squared error alone knows only the second."""
    for drawn, wanted, sign in ((0.1, 0.4, 1), (0.4, 0.1, -1)):
        narrow = Gaussian(0.0, drawn)
        # One call of a Gaussian's exact denoiser from pure noise gives its mean: draw its spread by hand.
        matching, batch = between(Gaussian(0.0, wanted), narrow), asked(400, 4)
        spread = batch.eps * drawn
        alpha_bar, eps = matching._noise(spread, torch.Generator().manual_seed(0))
        x_tau = process.q_sample(spread, alpha_bar.float()[:, None, None, None], eps)
        step = narrow(x_tau, alpha_bar.logit()) - Gaussian(0.0, wanted)(x_tau, alpha_bar.logit())
        # v differs from x_0 by a negative factor, so that -(critic - teacher) in x_0 is this in v.
        assert sign * (step * spread).mean() > 0


@pytest.mark.parametrize("config", [TOLD, NOTHING])
@pytest.mark.parametrize("calls", [1, 2, 4])
def test_the_student_is_taught_on_what_it_draws(config: UNetConfig, calls: int) -> None:
    """By the loop that draws images, to its last prediction of x_0."""
    network = trained(config)
    matching = matched(config, network, calls)
    scale = torch.full((3,), 2.0) if config.conditions else torch.ones(3)
    batch = asked(3, guidance=scale)
    labels = batch.label.tolist() if config.conditions else None
    plan = SamplingPlan(timesteps(SCHEDULE, calls), range(3), "ddim", labels=labels, guidance=float(scale[0]),
                        start=batch.eps)  # fmt: skip
    *_, last = sample(NetworkDenoiser(network), SCHEDULE, plan, (1, 8, 8))
    found = matching.drawn(network, batch, batch.eps).clamp(-1, 1)
    torch.testing.assert_close(found, last.x_s.clamp(-1, 1), rtol=1e-3, atol=1e-3)


def test_the_critic_learns_what_the_student_draws_and_the_student_from_it() -> None:
    network = trained(TOLD).requires_grad_()
    matching = matched(TOLD, trained(TOLD), 2)
    before = [p.clone() for p in matching.critic_network.parameters()]
    errors = matching.errors(network, asked(6, guidance=torch.full((6,), 1.5)), seed=1)
    errors.mean().backward()
    assert errors.shape == (6,) and errors.isfinite().all()
    assert any(not torch.equal(a, b) for a, b in zip(before, matching.critic_network.parameters(), strict=True))
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert gradients and all(g.isfinite().all() for g in gradients)
    assert all(p.grad is None for p in matching.teacher.model.parameters())


def test_a_critic_needs_a_student() -> None:
    with pytest.raises(TrainError, match="--critic-steps is for a student"):
        TrainConfig(critic_steps=1)


@pytest.mark.slow
def test_a_stopped_matching_goes_on_as_if_it_had_not_been(teacher: Path) -> None:  # noqa: F811
    folder, more = teacher.parent, ("--critic-steps", "2", "--decay", "constant")
    assert distill(folder, teacher, "whole", 2, *more) == 0
    assert distill(folder, teacher, "halves", 2, *more, "--images", "32") == 0
    assert distill(folder, teacher, "halves", 2, *more) == 0
    whole, halves = (torch.load(folder / name / "state.pt") for name in ("whole", "halves"))
    for part in ("average", "critic"):
        for key, value in whole[part].items():
            assert torch.equal(value, halves[part][key]), key


def test_a_student_is_no_teacher_to_match(teacher: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    assert distill(teacher.parent, teacher, "two", 2) == 0
    path = teacher.parent / "two" / "two.safetensors"
    assert distill(teacher.parent, path, "one", 1, "--critic-steps", "1") == 1
    assert "match to its teacher" in capsys.readouterr().err
