"""How many steps are enough for points of the plane? How far samples lie from fresh points, by sampler and calls.

Points need no judge (distances.py): what is drawn is held against points that nothing was drawn or taught with, where
there are any, and beside it stands how far as many more of these are by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from diffusion.denoiser import Denoiser
from diffusion.evaluation.distances import sliced_wasserstein
from diffusion.sampling.loop import sample
from diffusion.sampling.plan import SamplingPlan
from diffusion.schedules.schedule import Schedule

SETS = 8  # of fresh points, of which the floor is a mean


@dataclass(frozen=True)
class DrawnDistance:
    """What a sampler drew in so many steps.

    Args:
        calls: of the denoiser, as ``SamplingPlan.calls`` counts them.
        distance: of the samples from the reference, see ``sliced_wasserstein``, in the units of the points.
    """

    sampler: str
    steps: int
    calls: int
    distance: float


def drawn_distances(
    denoiser: Denoiser, schedule: Schedule, plans: Iterable[SamplingPlan], reference: Tensor
) -> Iterator[DrawnDistance]:
    """Draw by each of the plans, yielding how far that is.

    Args:
        reference: (M, 2, 1, 1).

    Raises:
        SamplingError: a plan that does not fit the schedule or the denoiser.
    """
    for plan in plans:
        *_, step = sample(denoiser, schedule, plan, (2, 1, 1))
        far = sliced_wasserstein(step.x_s, reference)
        yield DrawnDistance(plan.sampler, len(plan.steps), step.calls, far)


def chance_distance(draw: Callable[[int], Tensor], reference: Tensor, count: int) -> tuple[float, float]:
    """How far ``count`` fresh points are by chance: mean and standard deviation over ``SETS`` sets of them.

    Args:
        draw: gives so many, (N, 2, 1, 1), others every time.
    """
    far = [sliced_wasserstein(draw(count), reference) for _ in range(SETS)]
    return float(np.mean(far)), float(np.std(far, ddof=1))
