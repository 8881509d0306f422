"""A small network for points of the plane: a residual perceptron, quick enough to be trained while one watches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from diffusion.checks import is_whole, shown
from diffusion.networks.embeddings import Labels, NoiseLevelEmbedding, zeroed
from diffusion.networks.network import TrainableNetwork, check_conditions, check_prediction, config_from
from diffusion.process import Prediction

SINUSOIDS = 32  # of the noise level, and as many of x
FINEST, COARSEST = 0.1, 4.0  # periods of those of x, in its units


@dataclass(frozen=True)
class PointsConfig:
    """Everything needed to build the network anew.

    Args:
        conditions: how many values each condition can have, besides the empty one; () if it is told nothing.
        width: of its layers.
        depth: residual blocks of two layers each.
        sinusoids: whether it sees sines and cosines of x besides x. A perceptron learns slow changes first (Rahaman et
            al. 2019, arXiv 1806.08734); with them it finds fine ones as soon (Tancik et al. 2020, arXiv 2006.10739).
        prediction: what the output means: eps, v or x0.
    """

    conditions: tuple[int, ...] = ()
    width: int = 128
    depth: int = 3
    sinusoids: bool = True
    prediction: Prediction = "v"

    def __post_init__(self) -> None:
        """Raises ValueError: no network can be built of these."""
        for name, high in (("width", 1024), ("depth", 16)):
            value = getattr(self, name)
            if not is_whole(value) or not 1 <= value <= high:
                raise ValueError(f"{name} must be a whole number from 1 to {high}, not {shown(value)}.")
        check_conditions(self.conditions)
        check_prediction(self.prediction)

    @property
    def empty(self) -> tuple[int, ...]:
        return self.conditions

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return 2, 1, 1

    @property
    def guidance(self) -> tuple[float, float] | None:
        return None

    def describe(self, parameters: int) -> str:
        seen = " of x and its sinusoids" if self.sinusoids else ""
        return (
            f"perceptron{seen}, {parameters:,} parameters, {self.depth} residual blocks of width {self.width}, "
            f"predicts {self.prediction}"
        )


def read_points_config(values: dict[str, Any]) -> PointsConfig:
    """The configuration of a card."""
    return config_from(PointsConfig, values)


class Block(nn.Module):
    """h + W_2 silu(W_1 silu(h) + told): begins as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), zeroed(nn.Linear(width, width))

    def forward(self, h: Tensor, told: Tensor) -> Tensor:
        out: Tensor = self.second(nn.functional.silu(self.first(nn.functional.silu(h)) + told))
        return h + out


class PointsNetwork(TrainableNetwork):
    """x_t, log-SNR and class in, its prediction out: a ``Network``."""

    config: PointsConfig
    frequencies: Tensor

    def __init__(self, config: PointsConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        periods = torch.logspace(math.log10(FINEST), math.log10(COARSEST), SINUSOIDS // 4)
        self.register_buffer("frequencies", 2 * math.pi / periods, persistent=False)
        self.enter = nn.Linear(2 + (SINUSOIDS if config.sinusoids else 0), width)
        self.noise_level = NoiseLevelEmbedding(SINUSOIDS, width)
        self.label = Labels(config.conditions, width) if config.conditions else None
        self.blocks = nn.ModuleList(Block(width) for _ in range(config.depth))
        self.exit = zeroed(nn.Linear(width, 2))

    def forward(self, x_t: Tensor, log_snr: Tensor, label: Tensor | None = None) -> Tensor:
        """x_t (B, 2, 1, 1); the rest as a ``Network`` takes it."""
        x = x_t.flatten(1)
        seen = [x]
        if self.config.sinusoids:
            angle = (x[:, :, None] * self.frequencies).flatten(1)
            seen += [angle.sin(), angle.cos()]
        told = self.noise_level(log_snr)
        if self.label is not None:
            told = told + self.label(label)
        h = self.enter(torch.cat(seen, 1)) + told
        for block in self.blocks:
            h = block(h, told)
        out: Tensor = self.exit(nn.functional.silu(h))
        return out.view_as(x_t)
