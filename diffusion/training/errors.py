"""What the network is to find in x_t, and by how much it fails to: the error that a gradient step makes smaller."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from diffusion import process
from diffusion.data.sets import ImageSet
from diffusion.denoiser import ExactDenoiser
from diffusion.images import to_unit
from diffusion.networks.denoiser import log_snr_of
from diffusion.networks.network import NetworkConfig
from diffusion.training.batch import Batch
from diffusion.training.config import TrainError

# The x_0 (B, C, H, W) that a network is to find in the x_t of a batch.
Aim = Callable[[Batch, Tensor], Tensor]

# Above this level, a log-SNR of -1.4, hardly another image than the one that was noised is likely.
EXPECT_BELOW = 0.2


def examples_of(data: ImageSet, device: torch.device) -> dict[int, ExactDenoiser]:
    """The images of each class, for ``expected_x_0``.

    Raises:
        TrainError: images that are not drawn evenly.
    """
    if data.groups is not None or data.labels.ndim > 1:
        raise TrainError("--target mean needs one class an image, and images that are drawn evenly, not in groups.")
    images = to_unit(data.images).to(device)
    return {int(k): ExactDenoiser(images[data.labels == k]) for k in data.labels.unique()}


def expected_x_0(
    examples: Mapping[int, ExactDenoiser], x_0: Tensor, x_t: Tensor, label: Tensor, alpha_bar: Tensor
) -> Tensor:
    """x_0 where alpha_bar >= 0.2, below it E[x_0 | x_t] over the training images of the class.

    The squared error against either has the same gradient in expectation, but against the mean it varies far less: what
    no network could know of x_0 is no longer in it. (Xu, Tong & Jaakkola 2023, arXiv 2302.00670, take the mean over a
    part of the data.) Images shown with the empty class keep their x_0: comparing them with all others takes long.
    """
    expected, classes = x_0.clone(), label.flatten().cpu()
    for k, denoiser in examples.items():
        chosen = (classes == k) & (alpha_bar < EXPECT_BELOW)
        if chosen.any():
            expected[chosen] = denoiser.mean(x_t[chosen], alpha_bar[chosen])
    return expected


def expected_of(data: ImageSet, device: torch.device) -> Aim:
    """The mean as what is to be found, see ``expected_x_0``.

    Raises:
        TrainError: as ``examples_of``.
    """
    examples = examples_of(data, device)
    return lambda batch, x_t: expected_x_0(examples, batch.x_0, x_t, batch.label, batch.alpha_bar)


def errors_of_batch(network: nn.Module, config: NetworkConfig, batch: Batch, aim: Aim | None = None) -> Tensor:
    """Mean squared error of the network's prediction for each image, (B,).

    Args:
        aim: the x_0 that the network is to find; without, that of the batch.
    """
    x_0, eps = batch.x_0, batch.eps
    level = batch.alpha_bar.to(x_0.device, x_0.dtype)[:, None, None, None]
    x_t = process.q_sample(x_0, level, eps)
    if aim is not None:
        x_0 = aim(batch, x_t)
        eps = process.eps_from_x0(x_t, x_0, level)
    target = {"eps": eps, "x0": x_0, "v": process.v_from_x0_eps(x_0, eps, level)}[config.prediction]
    told = [] if config.guidance is None else [batch.guidance]
    out = network(x_t, log_snr_of(batch.alpha_bar).to(x_0.device), batch.label, *told)
    return (out.float() - target).square().flatten(1).mean(1)
