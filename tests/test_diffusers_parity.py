"""Whole trajectories against diffusers' schedulers, on the same noise and a denoiser that bends.

diffusers counts steps from 0 to T - 1, so its step i is our t = i + 1 and its -1 our t = 0. Its plain configuration is
used, with one thing changed: it keeps alphas_cumprod in float32, and that alone moves some trajectories by 2e-5. It is
therefore given our float64 one, which test_schedule.py compares with diffusers' own.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from diffusers.schedulers import scheduling_ddpm
from torch import Tensor

from diffusion.sampler import DDIM, DDPM, SPACINGS, NoiseSource, Spacing, Update, sample, timesteps
from diffusion.schedule import Schedule, Variance, make_schedule

SEEDS, SHAPE = [0, 7], (3, 8, 8)
TOLERANCE = 1e-5

FAMILIES: list[tuple[str, str, dict[str, float]]] = [
    ("linear", "linear", {}),
    ("scaled_linear", "scaled_linear", {"beta_start": 0.00085, "beta_end": 0.012}),
    ("cosine", "squaredcos_cap_v2", {}),
]
every_family = pytest.mark.parametrize(("family", "name", "params"), FAMILIES, ids=[f[0] for f in FAMILIES])
every_spacing = pytest.mark.parametrize("spacing", SPACINGS)
every_clip = pytest.mark.parametrize("clip", [True, False], ids=["clip", "free"])
# A divisor of T, a number that is none, and every step there is.
every_count = pytest.mark.parametrize(("T", "count"), [(1000, 10), (1000, 37), (100, 100)])


def bent(x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
    """What finds x_0 = 0.2 + tanh of a mix of pixels and channels: bounded, and beyond [-1, 1] in places."""
    a = cast(float, alpha_bar)
    x_0 = 0.2 + torch.tanh(a**0.5 * x_t + 0.5 * x_t.roll(1, -1) - 0.3 * x_t.flip(1))
    return (x_t - a**0.5 * x_0) / (1 - a) ** 0.5


def ours(schedule: Schedule, steps: Sequence[int], update: Update, clip: bool) -> list[Tensor]:
    """Every x_s."""
    run = sample(bent, schedule, SHAPE, steps=steps, seeds=SEEDS, update=update, clip=clip)
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
@pytest.mark.parametrize(("variance", "variance_type"), [("posterior", "fixed_small"), ("beta", "fixed_large")])
def test_ddpm_is_that_of_diffusers(
    family: str, name: str, params: dict[str, float], spacing: Spacing, clip: bool, T: int, count: int,
    variance: Variance, variance_type: Literal["fixed_small", "fixed_large"], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """diffusers looks the next step up in its own list, so its steps chain for every spacing.

    With "trailing" its last step (to t = 0) still draws noise, which the paper leaves away: there it gets zeros.
    """
    schedule, steps = make_schedule(family, T, **params), timesteps(T, count, spacing)
    scheduler = DDPMScheduler(
        T, beta_schedule=name, variance_type=variance_type, clip_sample=clip, timestep_spacing=spacing, **params
    )
    scheduler.set_timesteps(count)
    assert [int(t) + 1 for t in scheduler.timesteps] == steps

    def advance(eps: Tensor, t: int, s: int, x: Tensor, z: Tensor) -> Tensor:
        monkeypatch.setattr(scheduling_ddpm, "randn_tensor", lambda *args, **kwargs: z)
        return scheduler.step(eps, t - 1, x).prev_sample

    assert_same(ours(schedule, steps, DDPM(variance), clip), theirs(scheduler, schedule, steps, advance))


@every_family
@every_spacing
@every_clip
@every_count
@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_ddim_is_that_of_diffusers(
    family: str, name: str, params: dict[str, float], spacing: Spacing, clip: bool, T: int, count: int, eta: float
) -> None:
    """diffusers steps from t to t - T // n whatever the spacing. With "leading", and with "trailing" when n divides T,
    that is the next step; otherwise its steps do not chain, and it is told the distance to the one that comes next.
    use_clipped_model_output because ours makes eps agree with the clipped x_0.
    """
    schedule, steps = make_schedule(family, T, **params), timesteps(T, count, spacing)
    scheduler = DDIMScheduler(T, beta_schedule=name, clip_sample=clip, timestep_spacing=spacing, **params)
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
