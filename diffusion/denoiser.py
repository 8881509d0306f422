"""Which noise is in x_t? Whatever answers that is a denoiser: a trained network, or an exact formula over known images.

It is asked by noise level, not by step: x_t depends on the schedule only through alpha_bar, so one network runs under
any schedule and any number of steps. The exact one is the best there is for a finite set of images; ``Guided`` pushes
any of them towards what it is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from diffusion import process
from diffusion.images import to_unit


class Denoiser(Protocol):
    """Anything that estimates the noise in x_t."""

    def __call__(self, x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
        """The estimate of eps, shaped like x_t.

        Args:
            x_t: (B, C, H, W) float32.
            alpha_bar: noise level in [0, 1), one float for all, or a (B,) float64 tensor on the CPU.
            label: (B,) int64 class of each image, or (B, conditions), see ``embeddings.Labels``; None says nothing.
        """
        ...


def per_image(alpha_bar: float | Tensor, x: Tensor) -> float | Tensor:
    """alpha_bar shaped to broadcast against x (B, C, H, W), in x's precision and on its device."""
    if isinstance(alpha_bar, float):
        return alpha_bar
    # In float32 a level next to one rounds to one, and 1 - alpha_bar, which is divided by, to zero.
    return alpha_bar.to(x.device, x.dtype).clamp(max=1 - torch.finfo(x.dtype).eps)[:, None, None, None]


@dataclass(frozen=True)
class ExactDenoiser:
    """The best denoiser there is for a finite set of images: no network can have a smaller error on them.

    If x_0 is drawn evenly from images x_1 ... x_N, then

        E[x_0 | x_t] = sum_i w_i x_i,    w = softmax_i(-|x_t - sqrt(alpha_bar_t) x_i|^2 / (2 (1 - alpha_bar_t))),

    and eps follows from eq. 4. What it samples are the images themselves. Given a label, x_0 is drawn from the images
    of that class; from all for the empty class, or one that no image has.

    Args:
        images: (N, C, H, W) float32 in [-1, 1], or uint8, a quarter of the memory.
        labels: (N,) int64; None if there are no classes.
        chunk: images compared at a time; bounds the memory, changes nothing else.
    """

    images: Tensor
    labels: Tensor | None = None
    chunk: int = 2048

    def __call__(self, x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
        return process.eps_from_x0(x_t, self.mean(x_t, alpha_bar, label), per_image(alpha_bar, x_t))

    def mean(self, x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
        """E[x_0 | x_t], shaped like x_t; arguments as of a ``Denoiser``."""
        level = per_image(alpha_bar, x_t)
        query = x_t.flatten(1)
        ab = level if isinstance(level, float) else level.reshape(-1, 1)
        # A running softmax: total weight and weighted sum, both relative to the largest exponent so far.
        top = torch.full((len(query), 1), -torch.inf, device=x_t.device)
        total, mean = torch.zeros_like(top), torch.zeros_like(query)
        classes = None if self.labels is None or label is None else self.labels.to(x_t.device)
        if classes is not None and label is not None:
            without = ~torch.isin(label, classes)[:, None]
        for start in range(0, len(self.images), self.chunk):
            images = self.images[start : start + self.chunk].flatten(1)
            images = (to_unit(images) if images.dtype == torch.uint8 else images).to(query)
            # -|x_t - sqrt(ab) x_i|^2 without the |x_t|^2, which is the same for every image.
            exponent = (ab**0.5 * (query @ images.T) - ab / 2 * images.square().sum(1)) / (1 - ab)
            if classes is not None and label is not None:
                same = without | (label[:, None] == classes[start : start + self.chunk])
                exponent = exponent.where(same, -torch.inf)
            # Finite even where no image so far is of the class: the difference of two infinities is no number.
            new_top = torch.maximum(top, exponent.amax(1, keepdim=True)).clamp(min=torch.finfo(top.dtype).min)
            weight, shrink = (exponent - new_top).exp(), (top - new_top).exp()
            total = total * shrink + weight.sum(1, keepdim=True)
            mean = mean * shrink + weight @ images
            top = new_top
        return (mean / total).view_as(x_t)


@dataclass(frozen=True)
class Guided:
    """Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598, with w = scale - 1):

        eps = eps(empty) + scale (eps(label) - eps(empty)).

    scale 1 is the plain conditional denoiser and costs one call; any other costs two, made as one batch.

    Args:
        empty: the label that says nothing; one of each condition, where there are several.
    """

    denoiser: Denoiser
    scale: float
    empty: int | tuple[int, ...]

    def __call__(self, x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
        if self.scale == 1 or label is None:
            return self.denoiser(x_t, alpha_bar, label)
        both = alpha_bar if isinstance(alpha_bar, float) else alpha_bar.repeat(2)
        labels = torch.cat([label, self._empty_like(label)])
        with_label, without = self.denoiser(x_t.repeat(2, 1, 1, 1), both, labels).chunk(2)
        return without + self.scale * (with_label - without)

    def _empty_like(self, label: Tensor) -> Tensor:
        # Filled where they are used: a copy to a GPU would wait for all that it still has to do.
        empty = (self.empty,) if isinstance(self.empty, int) else self.empty
        columns = label.reshape(len(label), -1).unbind(1)
        filled = [torch.full_like(column, value) for column, value in zip(columns, empty, strict=True)]
        return torch.stack(filled, dim=1).reshape(label.shape)
