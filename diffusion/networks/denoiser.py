"""Networks are asked by log-SNR and predict eps, x_0 or v; samplers and losses ask every denoiser by alpha_bar for eps.

``NetworkDenoiser`` stands between, and is where both are converted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from diffusion import process
from diffusion.denoiser import per_image
from diffusion.networks.network import Network

# Beyond these the noise (or the signal) is below float32's resolution of an image; an infinite log-SNR has no sinusoid.
LOG_SNR_MIN, LOG_SNR_MAX = -20.0, 20.0


def log_snr_of(alpha_bar: Tensor) -> Tensor:
    """What a network is told of noise levels (B,) float64: their log-SNR, (B,) float32, within -20 ... 20."""
    return alpha_bar.logit().clamp(LOG_SNR_MIN, LOG_SNR_MAX).float()


@dataclass(frozen=True)
class NetworkDenoiser:
    """A trained network as a denoiser: log-SNR in, its own prediction turned into eps in closed form.

    Args:
        network: in float32.
        precision: what its convolutions and products are computed in, float32 or bfloat16.
        fast: the same network prepared for that precision; asked in its place if there is one, but where its answer
            is to be differentiated.
        guidance: the scale that the network is told, if it takes one.
    """

    network: Network
    precision: torch.dtype = torch.float32
    fast: Callable[..., Tensor] | None = None
    guidance: float = 1.0

    @property
    def empty(self) -> tuple[int, ...]:
        """The label that leaves all conditions out, for guidance; () if there is none."""
        return self.network.config.empty

    @property
    def takes_guidance(self) -> tuple[float, float] | None:
        """The least and the largest scale of guidance that it can be told, in place of being asked twice."""
        return self.network.config.guidance

    def guided_by(self, scale: float) -> NetworkDenoiser:
        """The same, told another scale of guidance."""
        return replace(self, guidance=scale)

    def __call__(self, x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
        if isinstance(alpha_bar, float):
            level = math.log(max(alpha_bar, 1e-30)) - math.log(max(1 - alpha_bar, 1e-30))
            # Filled where it is used: a copy to a GPU would wait for all that it still has to do.
            log_snr = torch.full(x_t.shape[:1], min(max(level, LOG_SNR_MIN), LOG_SNR_MAX), device=x_t.device)
        else:
            log_snr = log_snr_of(alpha_bar).to(x_t.device)
        said = [] if self.takes_guidance is None else [torch.full_like(log_snr, self.guidance)]
        if self.fast is not None and not (x_t.requires_grad and torch.is_grad_enabled()):
            out = self.fast(x_t, log_snr, label, *said)
        else:
            plain = self.precision == torch.float32
            with nullcontext() if plain else torch.autocast(x_t.device.type, self.precision):
                out = self.network(x_t, log_snr, label, *said)
            # A copy in any case: a network compiled into CUDA graphs writes into the same memory at its next call.
            out = out.to(torch.float32, copy=True)
        return process.eps_of(self.network.config.prediction, x_t, out, per_image(alpha_bar, x_t))
