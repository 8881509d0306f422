"""The last losses at every t: whether a network learns, and where it does not yet, without measuring it anew.

The loss of a step is that of a few t, drawn at random; by t it says more, and t can be drawn where it is large.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from diffusion.schedules.schedule import Array


@dataclass
class LossHistory:
    """The last 10 losses at each t, for the plot, and for drawing t where the loss is large.

    Importance sampling (Nichol & Dhariwal 2021, arXiv 2102.09672, eq. 18) draws t with p_t ~ sqrt(E[L_t^2]) and divides
    the loss by T p_t, which leaves its expectation as it was; uniform until every t has its 10 losses, and with a
    uniform share of 0.001 for ever after, so that none is forgotten.

    Args:
        losses: (T, 10), the last ones at each t in no order.
        count: (T,) how many there have been.
    """

    losses: NDArray[np.float64]
    count: NDArray[np.int64]

    @staticmethod
    def empty(T: int) -> LossHistory:
        return LossHistory(np.zeros((T, 10)), np.zeros(T, np.int64))

    def add(self, t: Tensor, loss: Tensor) -> None:
        for i, value in zip((t - 1).tolist(), loss.tolist(), strict=True):
            self.losses[i, self.count[i] % 10] = value
            self.count[i] += 1

    def mean(self) -> Array:
        """Mean of the last losses at each t, (T,); nan where there are none."""
        kept = np.minimum(self.count, 10)
        return np.divide(self.losses.sum(1), kept, out=np.full(len(kept), np.nan), where=kept > 0)

    def probability(self) -> Array:
        """p_t, (T,)."""
        T = len(self.count)
        if self.count.min() < 10:
            return np.full(T, 1 / T)
        root = np.sqrt(np.square(self.losses).mean(1))
        return 0.999 * root / root.sum() + 0.001 / T


def history_plot(history: LossHistory) -> bytes:
    """PNG of the loss by t: each t faint, and the median over 50 parts of the axis."""
    from matplotlib.figure import Figure  # takes long to import, and a run that ends early draws nothing

    mean = history.mean()
    t = np.arange(1, len(mean) + 1)
    parts = [part for part in np.array_split(np.flatnonzero(np.isfinite(mean)), 50) if len(part)]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.semilogy(t, mean, ".", markersize=2, color="0.75")
    axes.semilogy([t[part].mean() for part in parts], [np.median(mean[part]) for part in parts], color="#4f46e5")
    axes.set(xlabel="t", ylabel="squared error a dimension, last 10 at each t", xlim=(0, len(mean)))
    axes.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def history_csv(history: LossHistory) -> str:
    rows = zip(history.count.tolist(), history.mean().tolist(), strict=True)
    return "t,images,loss\n" + "".join(f"{t},{count},{mean:.6g}\n" for t, (count, mean) in enumerate(rows, 1))
