"""The x_0 that a network predicts may lie where no image does, beyond [-1, 1]; a step from there leads astray.

``CLIPS`` are the ways to keep it within.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from diffusion.sampling.choices import Choice, check_choice

if TYPE_CHECKING:  # torch takes seconds to import, and the tables do not need it
    from torch import Tensor

Clip = Literal["static", "dynamic", "none"]
# "a certain percentile absolute pixel value": the one that diffusers takes too.
DYNAMIC_PERCENTILE = 0.995


CLIPS: dict[Clip, Choice] = {
    "static": Choice(
        "clip to [−1, 1]",
        r"\hat x_0 \leftarrow \min(\max(\hat x_0, -1), 1)",
        "Ho et al. 2020, released code",
        "Pixels end there in any case. Right for small images and little guidance.",
    ),
    "dynamic": Choice(
        "dynamic threshold",
        r"\hat x_0 \leftarrow \mathrm{clip}(\hat x_0, -s, s)/s,\; s = \max(1, P_{99.5}|\hat x_0|)",
        "Saharia et al. 2022, section 2.3",
        "With strong guidance: contrast shrinks instead of burning out.",
    ),
    "none": Choice("off", r"\hat x_0", "", "To see what the network says, or when x_0 may leave [−1, 1]."),
}


def clipped(x_0: Tensor, clip: Clip) -> Tensor:
    """The predicted x_0 (B, C, H, W) kept within [-1, 1].

    static:  clipped, as the code of Ho et al. 2020 does.
    dynamic: clipped to [-s, s] and divided by s, the 99.5th percentile of |x_0| in each image, if that is above 1
             (Saharia et al. 2022, arXiv 2205.11487, section 2.3).
    none:    left as it is.

    Raises:
        SamplingError: any other.
    """
    check_choice("clip", clip, CLIPS)
    if clip == "none":
        return x_0
    if clip == "static":
        return x_0.clamp(-1, 1)
    s = x_0.abs().flatten(1).quantile(DYNAMIC_PERCENTILE, dim=1).clamp(min=1)[:, None, None, None]
    return x_0.minimum(s).maximum(-s) / s
