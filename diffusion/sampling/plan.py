"""All that decides what a denoiser draws under a schedule, as one thing that can be kept, changed in part and sent on.

plan = SamplingPlan(timesteps(schedule, 20), range(16), "dpmpp", {"eta": 1.0}, guidance=2.0, labels=[3] * 16)
for step in sample(denoiser, schedule, plan, (1, 32, 32)):
    ...
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from diffusion.checks import is_number, shown
from diffusion.sampling.choices import SamplingError, check_choice
from diffusion.sampling.clips import CLIPS, Clip
from diffusion.sampling.noise import check_seeds
from diffusion.sampling.steps import SPACINGS, Spacing, check_steps
from diffusion.sampling.updates import Update, make_update

if TYPE_CHECKING:
    from torch import Tensor

    from diffusion.schedules.schedule import Schedule

MOST_GUIDANCE = 1000
Shape = tuple[int, int, int]  # (C, H, W)


@dataclass(frozen=True)
class Known:
    """What is given of the images that are to be made (inpainting).

    Args:
        image: (1 or B, C, H, W) in [-1, 1].
        mask: broadcasts against it; 1 where the image is kept, 0 where it is to be made up.
    """

    image: Tensor
    mask: Tensor


@dataclass(frozen=True, eq=False)
class SamplingPlan:
    """All that decides what a denoiser draws under a schedule.

    Args:
        steps: descending steps t in 1 ... T, see ``timesteps``; 0 is reached after the last. With ``known`` they may
            rise in between, see ``resampled``: there noise is added (eq. 2) and no step is told of.
        seeds: one for each sample; the sample depends on its seed alone. The first noise of a seed is its x_T.
        sampler, options: as in ``make_update``.
        labels: of each sample its class, int, or a list of its values of several conditions; None leaves all out.
        guidance: scale of classifier-free guidance, see ``Guided``; 1 is none.
        clip: how the predicted x_0 is kept in [-1, 1], see ``clipped``; eps is then made to agree with it.
        start: x_t at t = steps[0], (B, C, H, W) or (1, C, H, W), instead of pure noise: ``noised`` images, a
            ``noise_between`` two, or the x_t of an earlier step, to go on from there with other seeds (its later
            steps are ``[t for t in steps if t <= step.t]``).
        known: parts of the images that are given. At each s they are noised to s and take the place of what was
            drawn there (RePaint, Lugmayr et al. 2022, arXiv 2201.09865, eq. 8).
        spacing: what made the steps, where something did.
    """

    steps: Sequence[int]
    seeds: Sequence[int]
    sampler: str = "ddpm"
    options: Mapping[str, float] = field(default_factory=dict)
    labels: Sequence[Any] | None = None
    guidance: float = 1.0
    clip: Clip = "static"
    start: Tensor | None = None
    known: Known | None = None
    spacing: Spacing | None = None

    def __post_init__(self) -> None:
        """Raises SamplingError: a field that is not as above, as far as that can be said without a schedule."""
        check_seeds(self.seeds)
        check_choice("clip", self.clip, CLIPS)
        if self.spacing is not None:
            check_choice("spacing", self.spacing, SPACINGS)
        if not isinstance(self.options, Mapping):
            raise SamplingError("options", f"The options of a sampler are numbers by name, not {shown(self.options)}.")
        make_update(self.sampler, **self.options)
        if not is_number(self.guidance) or abs(self.guidance) > MOST_GUIDANCE:
            raise SamplingError("guidance", f"Guidance must be a number from -{MOST_GUIDANCE} to {MOST_GUIDANCE}, not "
                                            f"{shown(self.guidance)}.")  # fmt: skip

    @property
    def update(self) -> Update:
        """The sampler, with its options."""
        return make_update(self.sampler, **self.options)

    def calls(self, schedule: Schedule) -> int:
        """How often the denoiser will be asked for a batch: ``Step.calls`` of the last step."""
        update, levels = self.update, schedule.alpha_bar.tolist()
        return sum(update.calls(levels[t], levels[s]) for t, s in pairwise([*self.steps, 0]) if s < t)

    def check(self, schedule: Schedule, shape: Shape) -> None:
        """Raises SamplingError: steps that the schedule does not have, or something given that does not fit images of
        ``shape``.
        """
        check_steps(self.steps, schedule, rising=self.known is not None)
        self.check_shape(shape)

    def check_shape(self, shape: Shape) -> None:
        """Raises SamplingError: what is given besides the seeds does not fit images of ``shape`` (C, H, W)."""
        count, labels, start, known = len(self.seeds), self.labels, self.start, self.known
        if labels is not None and len(labels) != count:
            raise SamplingError("label", f"There must be a class for each of the {count} images, not {len(labels)}.")
        if start is not None and (start.ndim != 4 or start.shape[0] not in (1, count) or start.shape[1:] != shape):
            raise SamplingError("start", f"x_t to start from must be 1 or {count} images of {_size(shape)}, not of "
                                         f"{_size(start.shape[1:])}.")  # fmt: skip
        if known is None:
            return
        image, mask = known.image.shape, known.mask.shape
        if len(image) != 4 or image[0] not in (1, count) or image[1:] != shape:
            raise SamplingError("known", f"Known parts must be of 1 or {count} images of {_size(shape)}, not of "
                                         f"{_size(image[1:])}.")  # fmt: skip
        if len(mask) != 4 or any(side not in (1, whole) for side, whole in zip(mask, (count, *shape), strict=True)):
            raise SamplingError("mask", f"The mask must be of {_size(shape)} as the images are, not of "
                                        f"{_size(mask[1:])}.")  # fmt: skip

    def part(self, chosen: slice) -> SamplingPlan:
        """Some of the samples, by their place: to draw them in batches."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(SamplingPlan)}
        known = self.known and Known(_part(self.known.image, chosen), _part(self.known.mask, chosen))
        values |= {"seeds": self.seeds[chosen], "known": known}
        values |= {"labels": None if self.labels is None else self.labels[chosen]}
        values |= {"start": None if self.start is None else _part(self.start, chosen)}
        return SamplingPlan(**values)


def _part(x: Tensor, chosen: slice) -> Tensor:
    """Some of a batch; all of what is one for all."""
    return x if len(x) == 1 else x[chosen]


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
