"""The forward process, its posterior, and the ways to say the same thing: x_0, eps or v.

Every function takes noise levels as ``alpha_bar`` (a float, or a tensor or array that broadcasts against x) and is
plain arithmetic, so it serves torch tensors and numpy arrays alike. A pair s < t of steps need not be adjacent: with

    alpha_{t|s} = alpha_bar_t / alpha_bar_s,     beta_{t|s} = 1 - alpha_{t|s}

the formulas for (t, t-1) hold for (t, s) as they stand (Song et al. 2021, arXiv 2010.02502; Kingma et al. 2021,
arXiv 2107.00630, appendix A). Equation numbers without a source are those of Ho et al. 2020, arXiv 2006.11239.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

if TYPE_CHECKING:  # torch takes seconds to import, and plain arithmetic does not need it
    from torch import Tensor

X = TypeVar("X", "Tensor", np.ndarray)
# A float, or a tensor or array that broadcasts against x. A union would not say that the result is again an X.
Level = Any
# What a network's output means; the conversions below say each in terms of the others.
Prediction = Literal["eps", "v", "x0"]


def q_step(x_prev: X, beta_t: Level, noise: X) -> X:
    """One step of the chain, x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) noise (eq. 2)."""
    return (1 - beta_t) ** 0.5 * x_prev + beta_t**0.5 * noise


def q_sample(x_0: X, alpha_bar_t: Level, eps: X) -> X:
    """All steps at once, x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps (eq. 4)."""
    return alpha_bar_t**0.5 * x_0 + (1 - alpha_bar_t) ** 0.5 * eps


def posterior_mean(x_0: X, x_t: X, alpha_bar_t: Level, alpha_bar_s: Level) -> X:
    """Mean of q(x_s | x_t, x_0), s < t (eq. 7):

    sqrt(alpha_{t|s}) (1 - alpha_bar_s) / (1 - alpha_bar_t) x_t + sqrt(alpha_bar_s) beta_{t|s} / (1 - alpha_bar_t) x_0.
    """
    alpha_ts = alpha_bar_t / alpha_bar_s
    c_t = alpha_ts**0.5 * (1 - alpha_bar_s) / (1 - alpha_bar_t)
    c_0 = alpha_bar_s**0.5 * (1 - alpha_ts) / (1 - alpha_bar_t)
    return c_t * x_t + c_0 * x_0


def posterior_mean_from_eps(eps: X, x_t: X, alpha_bar_t: Level, alpha_bar_s: Level) -> X:
    """The same mean written in eps (eq. 11): (x_t - beta_{t|s} / sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_{t|s})."""
    alpha_ts = alpha_bar_t / alpha_bar_s
    return (x_t - (1 - alpha_ts) / (1 - alpha_bar_t) ** 0.5 * eps) / alpha_ts**0.5


def posterior_variance(alpha_bar_t: Level, alpha_bar_s: Level) -> Level:
    """Variance of q(x_s | x_t, x_0), beta~_{t|s} = (1 - alpha_bar_s) / (1 - alpha_bar_t) beta_{t|s} (eq. 7)."""
    return (1 - alpha_bar_s) / (1 - alpha_bar_t) * (1 - alpha_bar_t / alpha_bar_s)


def reverse_variance(alpha_bar_t: Level, alpha_bar_s: Level, v: float) -> Level:
    """Variance of p(x_s | x_t) between the two that section 3.2 names, beta_{t|s}^v beta~_{t|s}^(1-v), 0 <= v <= 1.

    v = 1 is beta_{t|s}, v = 0 is beta~_{t|s}; between them on a logarithmic scale, as a network that learns v does
    (Nichol & Dhariwal 2021, arXiv 2102.09672, eq. 15).
    """
    return (1 - alpha_bar_t / alpha_bar_s) ** v * posterior_variance(alpha_bar_t, alpha_bar_s) ** (1 - v)


def x0_from_eps(x_t: X, eps: X, alpha_bar_t: Level) -> X:
    """x_0 = (x_t - sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_bar_t) (eq. 4 solved for x_0; alpha_bar_t > 0)."""
    return (x_t - (1 - alpha_bar_t) ** 0.5 * eps) / alpha_bar_t**0.5


def eps_from_x0(x_t: X, x_0: X, alpha_bar_t: Level) -> X:
    """eps = (x_t - sqrt(alpha_bar_t) x_0) / sqrt(1 - alpha_bar_t) (eq. 4 solved for eps; alpha_bar_t < 1)."""
    return (x_t - alpha_bar_t**0.5 * x_0) / (1 - alpha_bar_t) ** 0.5


def x0_from_step(x_t: X, x_s: X, alpha_bar_t: Level, alpha_bar_s: Level) -> X:
    """The x_0 with which one DDIM step (eta = 0) leads from x_t to x_s, s < t (Salimans & Ho 2022, appendix G):

    x_0 = (x_s - r x_t) / (sqrt(alpha_bar_s) - r sqrt(alpha_bar_t)),  r = sqrt((1 - alpha_bar_s) / (1 - alpha_bar_t)).
    """
    r = ((1 - alpha_bar_s) / (1 - alpha_bar_t)) ** 0.5
    return (x_s - r * x_t) / (alpha_bar_s**0.5 - r * alpha_bar_t**0.5)


def v_from_x0_eps(x_0: X, eps: X, alpha_bar_t: Level) -> X:
    """v = sqrt(alpha_bar_t) eps - sqrt(1 - alpha_bar_t) x_0 (Salimans & Ho 2022, arXiv 2202.00512)."""
    return alpha_bar_t**0.5 * eps - (1 - alpha_bar_t) ** 0.5 * x_0


def x0_from_v(x_t: X, v: X, alpha_bar_t: Level) -> X:
    """x_0 = sqrt(alpha_bar_t) x_t - sqrt(1 - alpha_bar_t) v."""
    return alpha_bar_t**0.5 * x_t - (1 - alpha_bar_t) ** 0.5 * v


def eps_from_v(x_t: X, v: X, alpha_bar_t: Level) -> X:
    """eps = sqrt(1 - alpha_bar_t) x_t + sqrt(alpha_bar_t) v."""
    return (1 - alpha_bar_t) ** 0.5 * x_t + alpha_bar_t**0.5 * v


def eps_of(prediction: Prediction, x_t: X, out: X, alpha_bar_t: Level) -> X:
    """The eps in what a network says of x_t: eps, x_0 or v."""
    match prediction:
        case "eps":
            return out
        case "v":
            return eps_from_v(x_t, out, alpha_bar_t)
        case "x0":
            return eps_from_x0(x_t, out, alpha_bar_t)


def x0_of(prediction: Prediction, x_t: X, out: X, alpha_bar_t: Level) -> X:
    """The x_0 in what a network says of x_t: eps, x_0 or v."""
    match prediction:
        case "eps":
            return x0_from_eps(x_t, out, alpha_bar_t)
        case "v":
            return x0_from_v(x_t, out, alpha_bar_t)
        case "x0":
            return out
