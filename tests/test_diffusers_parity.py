"""Whole trajectories against diffusers' schedulers, on the same noise and a denoiser that bends.

diffusers counts steps from 0 to T - 1, so its step i is our t = i + 1 and its -1 our t = 0. Its plain configuration is
used, with one thing changed: it keeps alphas_cumprod in float32, and that alone moves some trajectories by 2e-5. It is
therefore given our float64 one, which test_schedule.py compares with diffusers' own.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    HeunDiscreteScheduler,
    RePaintScheduler,
    UniPCMultistepScheduler,
)
from diffusers.schedulers import scheduling_ddpm
from torch import Tensor

from diffusion.sampling.clips import DYNAMIC_PERCENTILE, Clip, clipped
from diffusion.sampling.loop import sample
from diffusion.sampling.noise import NoiseSource
from diffusion.sampling.steps import Spacing, resampled, timesteps
from diffusion.sampling.updates import DDIM, DDPM, DPMSolver2M, Heun, UniPC, Update
from diffusion.schedules.families import make_schedule
from diffusion.schedules.schedule import Schedule
from tests.tiny import plan

SEEDS, SHAPE = [0, 7], (3, 8, 8)
TOLERANCE = 1e-5

FAMILIES: list[tuple[str, str, dict[str, Any]]] = [
    ("linear", "linear", {}),
    ("scaled_linear", "scaled_linear", {"beta_start": 0.00085, "beta_end": 0.012}),
    ("cosine", "squaredcos_cap_v2", {}),
]
every_family = pytest.mark.parametrize(("family", "name", "params"), FAMILIES, ids=[f[0] for f in FAMILIES])
every_spacing = pytest.mark.parametrize("spacing", ["trailing", "linspace", "leading"])  # those that diffusers has
# A multistep solver sees the spacing as steps of unequal length only.
uneven_spacing = pytest.mark.parametrize("spacing", ["trailing", "log_snr", "karras"])
every_clip = pytest.mark.parametrize("clip", ["static", "none"])
# A divisor of T, a number that is none, and every step there is.
# Its DPM-Solver turns torch tensors into NumPy arrays in a way that NumPy warns of.
dpm_solver_warns = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
every_count = pytest.mark.parametrize(("T", "count"), [(1000, 10), (1000, 37), (100, 100)])


def bent(x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
    """What finds x_0 = 0.2 + tanh of a mix of pixels and channels: bounded, and beyond [-1, 1] in places."""
    a = cast(float, alpha_bar)
    x_0 = 0.2 + torch.tanh(a**0.5 * x_t + 0.5 * x_t.roll(1, -1) - 0.3 * x_t.flip(1))
    return (x_t - a**0.5 * x_0) / (1 - a) ** 0.5


def ours(schedule: Schedule, steps: Sequence[int], update: Update, clip: Clip) -> list[Tensor]:
    """Every x_s."""
    run = sample(bent, schedule, plan(steps=steps, seeds=SEEDS, update=update, clip=clip), SHAPE)
    return [step.x_s for step in run]


def theirs(scheduler: Any, schedule: Schedule, steps: Sequence[int], advance: Callable[..., Tensor]) -> list[Tensor]:
    """Every x_s by ``advance(eps, t, s, x, z)``, with the noise that ``sample`` draws: none in the last step."""
    scheduler.alphas_cumprod = torch.from_numpy(schedule.alpha_bar[1:].copy())
    noise = NoiseSource(SEEDS, SHAPE, torch.device("cpu"))
    x, found = noise.draw(), []
    for t, s in zip(steps, [*steps[1:], 0], strict=True):
        z = noise.draw() if s > 0 else torch.zeros_like(x)
        x = advance(bent(x, float(schedule.alpha_bar[t])), t, s, x, z)
        found.append(x)
    return found


def assert_same(found: list[Tensor], expected: list[Tensor]) -> None:
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b.float(), rtol=0, atol=TOLERANCE)


@every_family
@every_spacing
@every_clip
@every_count
@pytest.mark.parametrize(("v", "variance_type"), [(0, "fixed_small"), (1, "fixed_large"), (0.3, "learned_range")])
def test_ddpm_is_that_of_diffusers(
    family: str, name: str, params: dict[str, Any], spacing: Spacing, clip: Clip, T: int, count: int,
    v: float, variance_type: Literal["fixed_small", "fixed_large", "learned_range"], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """diffusers looks the next step up in its own list, so its steps chain for every spacing.

    With "trailing" its last step (to t = 0) still draws noise, which the paper leaves away: there it gets zeros.
    A variance in between is what it takes from a network that learns v, given as 2 v - 1 behind eps.
    """
    schedule = make_schedule(family, T, **params)
    steps = timesteps(schedule, count, spacing)
    scheduler = DDPMScheduler(
        T,
        beta_schedule=name,
        variance_type=variance_type,
        clip_sample=clip == "static",
        timestep_spacing=spacing,
        **params,
    )
    scheduler.set_timesteps(count)
    assert [int(t) + 1 for t in scheduler.timesteps] == steps

    def advance(eps: Tensor, t: int, s: int, x: Tensor, z: Tensor) -> Tensor:
        monkeypatch.setattr(scheduling_ddpm, "randn_tensor", lambda *args, **kwargs: z)
        learned = [torch.full_like(eps, 2 * v - 1)] if variance_type == "learned_range" else []
        return scheduler.step(torch.cat([eps, *learned], dim=1), t - 1, x).prev_sample

    assert_same(ours(schedule, steps, DDPM(v), clip), theirs(scheduler, schedule, steps, advance))


@every_family
@every_spacing
@every_clip
@every_count
@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_ddim_is_that_of_diffusers(
    family: str, name: str, params: dict[str, Any], spacing: Spacing, clip: Clip, T: int, count: int, eta: float
) -> None:
    """diffusers steps from t to t - T // n whatever the spacing. With "leading", and with "trailing" when n divides T,
    that is the next step; otherwise its steps do not chain, and it is told the distance to the one that comes next.
    use_clipped_model_output because ours makes eps agree with the clipped x_0.
    """
    schedule = make_schedule(family, T, **params)
    steps = timesteps(schedule, count, spacing)
    scheduler = DDIMScheduler(T, beta_schedule=name, clip_sample=clip == "static", timestep_spacing=spacing, **params)
    scheduler.set_timesteps(count)
    assert [int(t) + 1 for t in scheduler.timesteps] == steps
    chains = spacing == "leading" or (spacing == "trailing" and T % count == 0)

    def advance(eps: Tensor, t: int, s: int, x: Tensor, z: Tensor) -> Tensor:
        if not chains:  # the distance is num_train_timesteps // num_inference_steps, and used for nothing else
            scheduler.register_to_config(num_train_timesteps=t - s)
            scheduler.num_inference_steps = 1
        return scheduler.step(
            eps, t - 1, x, eta=eta, use_clipped_model_output=True, variance_noise=z if eta > 0 else None
        ).prev_sample

    assert_same(ours(schedule, steps, DDIM(eta), clip), theirs(scheduler, schedule, steps, advance))


@dpm_solver_warns
@every_family
@uneven_spacing
@every_clip
@every_count
@pytest.mark.parametrize(("eta", "algorithm"), [(0.0, "dpmsolver++"), (1.0, "sde-dpmsolver++")])
def test_dpm_solver_is_that_of_diffusers(
    family: str, name: str, params: dict[str, Any], spacing: Spacing, clip: Clip, T: int, count: int, eta: float,
    algorithm: Literal["dpmsolver++", "sde-dpmsolver++"],
) -> None:  # fmt: skip
    """diffusers spaces the steps of this scheduler in its own way, so it is given ours. It knows no clipping but the
    dynamic threshold, which with a largest value of 1 clips. Of its rules for the last steps it is given the one for
    runs of 15 steps and more, which are ours.
    """
    schedule = make_schedule(family, T, **params)
    steps = timesteps(schedule, count, spacing)
    scheduler = DPMSolverMultistepScheduler(
        T,
        beta_schedule=name,
        algorithm_type=algorithm,
        thresholding=clip == "static",
        lower_order_final=False,
        **params,
    )
    scheduler.alphas_cumprod = torch.from_numpy(schedule.alpha_bar[1:].copy())
    scheduler.set_timesteps(timesteps=[t - 1 for t in steps])
    scheduler.sigmas = torch.tensor([((1 - a) / a) ** 0.5 for a in schedule.alpha_bar[[*steps, 0]]])

    def advance(eps: Tensor, t: int, s: int, x: Tensor, z: Tensor) -> Tensor:
        return scheduler.step(eps, t - 1, x, variance_noise=z if eta > 0 else None).prev_sample

    assert_same(ours(schedule, steps, DPMSolver2M(eta), clip), theirs(scheduler, schedule, steps, advance))


@dpm_solver_warns
@every_family
@uneven_spacing
@every_clip
@every_count
def test_unipc_is_that_of_diffusers(
    family: str, name: str, params: dict[str, Any], spacing: Spacing, clip: Clip, T: int, count: int
) -> None:
    """Told the same as its DPM-Solver. It corrects at the beginning of a step, so where its steps end is the same."""
    schedule = make_schedule(family, T, **params)
    steps = timesteps(schedule, count, spacing)
    scheduler = UniPCMultistepScheduler(T, beta_schedule=name, thresholding=clip == "static", **params)
    scheduler.alphas_cumprod = torch.from_numpy(schedule.alpha_bar[1:].copy())
    scheduler.set_timesteps(count)
    scheduler.timesteps = torch.tensor([t - 1 for t in steps])
    scheduler.sigmas = torch.tensor([((1 - a) / a) ** 0.5 for a in schedule.alpha_bar[[*steps, 0]]])

    def advance(eps: Tensor, t: int, s: int, x: Tensor, z: Tensor) -> Tensor:
        return scheduler.step(eps, t - 1, x).prev_sample

    assert_same(ours(schedule, steps, UniPC(), clip), theirs(scheduler, schedule, steps, advance))


@dpm_solver_warns
@every_family
@pytest.mark.parametrize("count", [1, 5, 30])
def test_heun_is_that_of_diffusers(family: str, name: str, params: dict[str, Any], count: int) -> None:
    """Which computes in x / sqrt(alpha_bar), and knows no clipping."""
    schedule = make_schedule(family, 1000, **params)
    steps = timesteps(schedule, count, "karras", start=900)  # in less signal rounding is all there is
    scheduler = HeunDiscreteScheduler(1000, beta_schedule=name, **params)
    scheduler.alphas_cumprod = torch.from_numpy(schedule.alpha_bar[1:].copy())
    scheduler.set_timesteps(timesteps=[t - 1 for t in steps])
    # In float64, and each level but the ends twice, as it has them: x / sqrt(alpha_bar) is large at T, and x_0 what is
    # left of a difference.
    sigma = torch.from_numpy(((1 - schedule.alpha_bar) / schedule.alpha_bar) ** 0.5)[[*steps, 0]]
    scheduler.sigmas = torch.cat([sigma[:1], sigma[1:-1].repeat_interleave(2), sigma[-1:]])
    x = NoiseSource(SEEDS, SHAPE, torch.device("cpu")).draw().double() / schedule.alpha_bar[steps[0]] ** 0.5
    for t, level in zip(scheduler.timesteps, scheduler.sigmas, strict=False):
        x = scheduler.step(bent(scheduler.scale_model_input(x, t), 1 / (1 + float(level) ** 2)), t, x).prev_sample
    torch.testing.assert_close(ours(schedule, steps, Heun(), "none")[-1], x.float(), rtol=0, atol=TOLERANCE)


def test_the_dynamic_threshold_is_that_of_diffusers() -> None:
    x_0 = 2 * torch.randn(5, *SHAPE, generator=torch.Generator().manual_seed(0))
    scheduler = DDPMScheduler(thresholding=True, dynamic_thresholding_ratio=DYNAMIC_PERCENTILE, sample_max_value=1e6)
    torch.testing.assert_close(clipped(x_0, "dynamic"), scheduler._threshold_sample(x_0))


@dpm_solver_warns
@pytest.mark.parametrize("count", [5, 10, 25])
@pytest.mark.parametrize(("family", "name", "params"), FAMILIES[:2], ids=[f[0] for f in FAMILIES[:2]])
def test_timesteps_even_in_log_snr_are_those_of_diffusers(
    family: str, name: str, params: dict[str, Any], count: int
) -> None:
    """Where all levels can be seen, and no two of the steps, which it leaves as they are, fall together."""
    schedule = make_schedule(family, 1000, **params)
    scheduler = DPMSolverMultistepScheduler(1000, beta_schedule=name, use_lu_lambdas=True, **params)
    scheduler.set_timesteps(count)
    assert timesteps(schedule, count, "log_snr") == [int(t) + 1 for t in scheduler.timesteps]


@pytest.mark.parametrize(("count", "jump", "repeats"), [(250, 10, 10), (20, 3, 2), (10, 10, 5), (7, 1, 4)])
def test_the_path_of_repaint_is_that_of_diffusers(count: int, jump: int, repeats: int) -> None:
    """diffusers rises in steps of one, ours at once."""
    scheduler = RePaintScheduler(1000)
    scheduler.set_timesteps(count, jump_length=jump, jump_n_sample=repeats)
    path, rising = resampled(range(count, 0, -1), jump, repeats), []
    for a, b in zip(path, [*path[1:], 0], strict=True):
        rising += [a, *range(a + 1, b)]
    assert [int(t) // (1000 // count) + 1 for t in scheduler.timesteps] == rising
