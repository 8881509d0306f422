"""What a step is made of: x_s is a sum of x_t, x_0, eps and what earlier steps found. With what factors?

terms(DDIM(), schedule, 500, 480)  ->  {"xt": 0.0, "x0": sqrt(alpha_bar_s), "eps": sqrt(1 - alpha_bar_s)}
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from diffusion.sampling.updates import Past, Update
from diffusion.schedules.schedule import Schedule


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
