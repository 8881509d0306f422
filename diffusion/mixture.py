"""Where data is a mixture of Gaussians, all that diffusion makes of it is one too, in closed form.

    data       p(x_0)        ->  weights w_i, centres mu_i, deviation s
    forward    p_t(x_t)      ->  the same weights, sqrt(alpha_bar_t) mu_i, sqrt(alpha_bar_t s^2 + 1 - alpha_bar_t)
    one step   q(x_s | x_t)  ->  weights by how likely each component made x_t, other centres, a smaller deviation

Points alone are the mixture with s = 0. So densities, fields and the true way back can be drawn beside what a network
has learnt of them, and beside the Gaussian that a sampler takes for the last (Ho et al. 2020, arXiv 2006.11239, eq. 1).
It serves images too; a point of the plane is an image of one pixel, (2, 1, 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from diffusion import process
from diffusion.denoiser import per_image


@dataclass(frozen=True)
class Mixture:
    """x ~ sum_i w_i N(mu_i, s^2 I).

    Args:
        centres: (M, C, H, W), mu_i.
        std: s >= 0, of every component.
        weights: (M,), w_i, with a sum of 1; None if all are alike.
    """

    centres: Tensor
    std: float = 0.0
    weights: Tensor | None = None

    @property
    def dimensions(self) -> int:
        """D, of one x."""
        return self.centres[0].numel()

    @property
    def prior(self) -> Tensor:
        """w_i, (M,), also where all are alike."""
        count = len(self.centres)
        return self.centres.new_full((count,), 1 / count) if self.weights is None else self.weights.to(self.centres)

    def noised(self, alpha_bar: float) -> Mixture:
        """p_t: what the forward process makes of it at a noise level."""
        std = math.sqrt(alpha_bar * self.std**2 + 1 - alpha_bar)
        return replace(self, centres=alpha_bar**0.5 * self.centres, std=std)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(count, C, H, W) samples, and which component each is of, (count,)."""
        which = torch.multinomial(self.prior, count, replacement=True, generator=generator)
        chosen = self.centres[which]
        return chosen + self.std * torch.randn(chosen.shape, generator=generator), which

    def log_density(self, x: Tensor) -> Tensor:
        """ln p(x), (B,), in nats; s > 0."""
        return torch.logsumexp(self._exponents(x), 1) - self.dimensions * math.log(self.std * math.sqrt(2 * math.pi))

    def shares(self, x: Tensor, among: Tensor | None = None) -> Tensor:
        """P(i | x), how likely each component made x, (B, M); s > 0.

        Args:
            among: (B, M), which components it can have been; None for all.
        """
        exponents = self._exponents(x)
        return torch.softmax(exponents if among is None else exponents.where(among, -torch.inf), 1)

    def score(self, x: Tensor) -> Tensor:
        """grad ln p(x) = sum_i P(i | x) (mu_i - x) / s^2, shaped like x; s > 0."""
        mean = (self.shares(x) @ self.centres.flatten(1)).view_as(x)
        return (mean - x) / self.std**2

    def reverse(self, x_t: Tensor, alpha_bar_t: float, alpha_bar_s: float) -> Mixture:
        """q(x_s | x_t) of one x_t, (1, C, H, W), for s < t, of data like this.

        Of component i, x_s ~ N(sqrt(alpha_bar_s) mu_i, v_s) with v_s = alpha_bar_s s^2 + 1 - alpha_bar_s, and x_t is
        sqrt(alpha_{t|s}) x_s with noise of variance beta_{t|s} (see process.py). By Bayes' rule that is a Gaussian of
        variance 1 / (1 / v_s + alpha_{t|s} / beta_{t|s}), and its weight is P(i | x_t).
        """
        alpha_ts = alpha_bar_t / alpha_bar_s
        there = self.noised(alpha_bar_s)
        if there.std == 0:  # points alone, at s = 0: nothing is left to be added
            variance, centres = 0.0, there.centres
        else:
            variance = 1 / (1 / there.std**2 + alpha_ts / (1 - alpha_ts))
            centres = variance * (there.centres / there.std**2 + alpha_ts**0.5 / (1 - alpha_ts) * x_t)
        return Mixture(centres, math.sqrt(variance), self.noised(alpha_bar_t).shares(x_t)[0])

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean (C, H, W) and variance of each value, (C, H, W)."""
        centres, weights = self.centres, self.prior[:, None, None, None]
        mean = (weights * centres).sum(0)
        return mean, (weights * (centres - mean).square()).sum(0) + self.std**2

    def _exponents(self, x: Tensor) -> Tensor:
        """ln w_i - |x - mu_i|^2 / (2 s^2), (B, M).

        The squares are of differences, not multiplied out: next to a centre, where s is small, rounding would be all
        that is left.
        """
        distance = torch.cdist(x.flatten(1), self.centres.flatten(1), compute_mode="donot_use_mm_for_euclid_dist")
        exponents = -distance.square() / (2 * self.std**2)
        return exponents + self.prior.to(x).log()


@dataclass(frozen=True)
class MixtureDenoiser:
    """The best denoiser there is for data that is a mixture of Gaussians: a ``Denoiser``.

        E[x_0 | x_t] = sum_i P(i | x_t) (mu_i + g (x_t - sqrt(alpha_bar_t) mu_i)),
        g = sqrt(alpha_bar_t) s^2 / (alpha_bar_t s^2 + 1 - alpha_bar_t).

    With s = 0 it says what ``ExactDenoiser`` says of the centres.

    Args:
        labels: (M,) int64, the class of each component: told a class, x_0 is of its components alone; of all for any
            label that none has. None if there are no classes.
    """

    mixture: Mixture
    labels: Tensor | None = None

    @property
    def empty(self) -> tuple[int, ...]:
        """The label that says nothing, for guidance."""
        return () if self.labels is None else (int(self.labels.max()) + 1,)

    def __call__(self, x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
        return process.eps_from_x0(x_t, self.mean(x_t, alpha_bar, label), per_image(alpha_bar, x_t))

    def mean(self, x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
        """E[x_0 | x_t], shaped like x_t; arguments as of a ``Denoiser``."""
        if not isinstance(alpha_bar, float):
            return self._by_level(x_t, alpha_bar, label)
        mixture = self.mixture
        noised = mixture.noised(alpha_bar)
        among = None
        if self.labels is not None and label is not None:
            known, asked = self.labels.to(x_t.device), label.reshape(-1, 1)
            among = (known == asked) | ~torch.isin(asked, known)
        centre = (noised.shares(x_t, among) @ mixture.centres.flatten(1)).view_as(x_t)
        gain = alpha_bar**0.5 * mixture.std**2 / noised.std**2
        return centre + gain * (x_t - alpha_bar**0.5 * centre)

    def variance(self, x_t: Tensor, alpha_bar: float) -> Tensor:
        """E[|x_0 - E[x_0 | x_t]|^2 | x_t], how much of x_0 nothing can tell from x_t, (B,), classes left out:

            sum_i P(i | x_t) |(1 - g sqrt(alpha_bar_t)) (mu_i - mu)|^2 + D s^2 (1 - alpha_bar_t) / (alpha_bar_t s^2 +
            1 - alpha_bar_t),    mu = sum_i P(i | x_t) mu_i.

        A difference of squares: near the data it has digits in float64 alone.
        """
        mixture = self.mixture
        noised, centres = mixture.noised(alpha_bar), mixture.centres.flatten(1)
        shares = noised.shares(x_t)
        kept = (1 - alpha_bar) / noised.std**2  # 1 - g sqrt(alpha_bar_t)
        between = shares @ centres.square().sum(1) - (shares @ centres).square().sum(1)
        return kept**2 * between.clamp(min=0) + mixture.dimensions * mixture.std**2 * kept

    def _by_level(self, x_t: Tensor, alpha_bar: Tensor, label: Tensor | None) -> Tensor:
        """The same where each x_t has a level of its own."""
        mean = torch.empty_like(x_t)
        for level in alpha_bar.unique().tolist():
            at = (alpha_bar == level).nonzero()[:, 0].to(x_t.device)
            mean[at] = self.mean(x_t[at], level, None if label is None else label[at])
        return mean


def kl_to_gaussian(mixture: Mixture, mean: Tensor, std: float, *, nodes: int = 5, most: int = 256) -> float:
    """KL(mixture || N(mean, std^2 I)) in the plane, in nats: how wrong a sampler is that draws from the Gaussian.

    E[ln p - ln N] over each component by Gauss-Hermite quadrature. Both logarithms are taken at the same places, so a
    small distance is not the difference of two large ones.

    Args:
        mixture: of points (2, 1, 1), with a deviation above 0.
        mean: (2, 1, 1).
        nodes: of the quadrature, along each axis.
        most: components over which the mean is taken; of more, so many at even strides of their weights.

    Raises:
        ValueError: no points of the plane, or a deviation of 0, from which the distance is infinite.
    """
    if mixture.dimensions != 2 or mixture.std <= 0 or std <= 0:
        raise ValueError("The distance is found for points of the plane, and deviations above 0.")
    share = mixture.prior.double()
    exact = Mixture(mixture.centres.double(), mixture.std, share)
    chosen, outer = exact.centres, share
    if len(share) > most:
        middle = (torch.arange(most) + 0.5).double() / most
        index = torch.searchsorted(share.cumsum(0) / share.sum(), middle).clamp(max=len(share) - 1)
        chosen, outer = exact.centres[index], torch.full((most,), 1 / most).double()
    place, weight = (torch.from_numpy(values) for values in np.polynomial.hermite_e.hermegauss(nodes))
    z, inner = torch.cartesian_prod(place, place), torch.cartesian_prod(weight, weight).prod(1) / (2 * math.pi)
    x = (chosen.flatten(1)[:, None] + exact.std * z).flatten(0, 1)[:, :, None, None]
    gaussian = Mixture(mean[None].double(), std)
    difference = (exact.log_density(x) - gaussian.log_density(x)).view(len(chosen), -1)
    return float((outer[:, None] * inner * difference).sum())
