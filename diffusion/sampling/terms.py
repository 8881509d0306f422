"""What a step is made of: x_s is a sum of x_t, x_0, eps and what earlier steps found. With what factors?

terms(DDIM(), schedule, 500, 480)  ->  {"xt": 0.0, "x0": sqrt(alpha_bar_s), "eps": sqrt(1 - alpha_bar_s)}

And what a step adds, x_s - x_t, in three parts: towards the predicted data, along the predicted noise, and fresh noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from diffusion.sampling.updates import Past, Update
from diffusion.schedules.schedule import Schedule

# What is predicted data, and what predicted noise, of the names that ``terms`` gives.
DATA, NOISE = ("x0", "x0_before", "x0_before2"), ("eps", "eps_s")


def terms(update: Update, schedule: Schedule, t: int, s: int, before: Sequence[int] = ()) -> dict[str, float]:
    """What x_t, x_0, eps, the x_0 of the steps ``before``, the latest first, and the eps that is found at s, if it is
    asked for, are multiplied by in the step to x_s.

    A step is linear in them, so these are the means of unit vectors.
    """
    alpha_bar, asked = schedule.alpha_bar, []
    names = ("xt", "x0", "eps", "eps_s", "x0_before", "x0_before2")[: 4 + len(before)]
    x_t, x_0, eps, eps_s, *earlier = torch.eye(len(names), dtype=torch.float64)

    def ask(x: Tensor, alpha_bar_s: float) -> tuple[Tensor, Tensor]:
        asked.append(alpha_bar_s)
        return torch.zeros_like(x), eps_s

    past = [Past(float(alpha_bar[r]), torch.zeros_like(x_t), x) for r, x in zip(before, earlier, strict=False)]
    mean = update.mean(x_t, x_0, eps, float(alpha_bar[t]), float(alpha_bar[s]), past, ask)
    return {name: value for name, value in zip(names, mean.tolist(), strict=True) if name != "eps_s" or asked}


def change_terms(factors: Mapping[str, float], alpha_bar_t: float) -> dict[str, float]:
    """What x_s - x_t is made of: the factors that ``terms`` gives, without x_t, which is sqrt(alpha_bar_t) x_0 +
    sqrt(1 - alpha_bar_t) eps (Ho et al. 2020, eq. 4).

    Of DDIM (Song et al. 2021, arXiv 2010.02502, eq. 12), and of DDPM with beta~ for sigma^2 whatever it adds,

        x_s - x_t = (sqrt(alpha_bar_s) - sqrt(alpha_bar_t)) x_0
                    + (sqrt(1 - alpha_bar_s - sigma^2) - sqrt(1 - alpha_bar_t)) eps + noise.
    """
    kept = factors["xt"] - 1
    change = {name: factor for name, factor in factors.items() if name != "xt"}
    change["x0"] += kept * alpha_bar_t**0.5
    change["eps"] += kept * (1 - alpha_bar_t) ** 0.5
    return change


def change_parts(change: Mapping[str, float], found: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """x_s - x_t without the fresh noise, as two parts: (towards the predicted data, along the predicted noise).

    Args:
        change: what ``change_terms`` gives.
        found: what its names stand for, tensors of one shape, which the parts have too.
    """
    data, noise = (
        torch.stack([factor * found[name] for name, factor in change.items() if name in names]).sum(0)
        for names in (DATA, NOISE)
    )
    return data, noise
