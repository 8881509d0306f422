"""A student whose images, taken together, are to be like its teacher's: from the same distribution, not one by one.

Learning its teacher's steps (``Teacher``) a student of one or two calls stays a little off everywhere: squared error
makes do with what lies between several answers. Here it is shown where more images like its own should be, and where
fewer (distribution matching distillation, Yin et al. 2024, arXiv 2311.18828). A third network, the critic, learns by
Algorithm 1 what the student draws now; then at any noise level

    x_tau = sqrt(alpha_bar_tau) x + sqrt(1 - alpha_bar_tau) eps        an image x of the student's, noised
    mu_teacher(x_tau), mu_critic(x_tau)                                E[x | x_tau] for either's images
    x - (mu_critic - mu_teacher) / mean|x - mu_teacher|                where x is to go (eq. 7 and 8)

for the gradient of the Kullback-Leibler divergence between both distributions of x_tau is, but for a factor, the
difference of their scores, and a score is (sqrt(alpha_bar_tau) mu - x_tau) / (1 - alpha_bar_tau). The student learns
through all of its calls from noise, as it draws.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from diffusion import process
from diffusion.networks.network import TrainableNetwork
from diffusion.sampling.steps import timesteps
from diffusion.schedules.schedule import Schedule
from diffusion.training.batch import Batch, draw_steps
from diffusion.training.config import TrainConfig
from diffusion.training.errors import errors_of_batch
from diffusion.training.teacher import Teacher, predicted_x_0, walked

# Of T: nearer to the ends both agree on next to everything, or on nothing.
MATCHED = (0.02, 0.98)


@dataclass(frozen=True)
class Matching:
    """What the student is matched to, and the critic that says how.

    Args:
        critic: as ``accelerator`` calls it; of the student's architecture.
        levels: (calls + 1,) float64, alpha_bar of the student's steps, and of its images, which is 1.
        alpha_bar: (T + 1,) float64, of the schedule.
    """

    teacher: Teacher
    critic: nn.Module
    critic_network: TrainableNetwork
    optimizer: torch.optim.Optimizer
    levels: Tensor
    alpha_bar: Tensor
    config: TrainConfig
    accelerator: Accelerator

    def errors(self, student: nn.Module, batch: Batch, seed: int) -> Tensor:
        """Squared error of each image that the student draws against where it is to go, (B,); the critic learns first.

        ``batch`` says what is asked for and from which noise; its images are not looked at.
        """
        generator = torch.Generator().manual_seed(seed)
        for _ in range(self.config.critic_steps):
            self._teach_critic(student, batch, generator)
        x_0 = self.drawn(student, batch, batch.eps)
        with torch.no_grad():
            x = x_0.clamp(-1, 1)
            alpha_bar, eps = self._noise(x, generator)
            x_tau = process.q_sample(x, alpha_bar.to(x.device, x.dtype)[:, None, None, None], eps)
            wanted = predicted_x_0(self.teacher.model, self.teacher.config, x_tau, alpha_bar, batch).clamp(-1, 1)
            found = predicted_x_0(self.critic, self.critic_network.config, x_tau, alpha_bar, batch)
            scale = (x - wanted).abs().mean((1, 2, 3), keepdim=True).clamp(min=1e-3)
            aim = x - (found - wanted) / scale
        return (x_0 - aim).square().flatten(1).mean(1)

    def drawn(self, student: nn.Module, batch: Batch, x_T: Tensor) -> Tensor:
        """The x_0 of the student's last call on its way from x_T by DDIM (eta = 0), before it is clipped."""
        way = self.levels.expand(len(x_T), -1)
        return walked(student, self.critic_network.config, x_T, way, batch)[1]

    def _teach_critic(self, student: nn.Module, batch: Batch, generator: torch.Generator) -> None:
        """One step of Algorithm 1 on images that the student draws now."""
        with torch.no_grad():
            x_T = torch.randn(batch.eps.shape, generator=generator).to(batch.eps.device)
            x = self.drawn(student, batch, x_T).clamp(-1, 1)
        alpha_bar, eps = self._noise(x, generator)
        seen = replace(batch, x_0=x, eps=eps, alpha_bar=alpha_bar)
        loss = errors_of_batch(self.critic, self.critic_network.config, seen).mean()
        self.optimizer.zero_grad()
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.critic.parameters(), self.config.clip)
        self.optimizer.step()

    def _noise(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(alpha_bar_tau (B,) on the processor, eps) for images x, the levels evenly over the steps of the schedule."""
        T = len(self.alpha_bar) - 1
        t = torch.arange(1, T + 1)
        allowed = (t >= MATCHED[0] * T) & (t <= MATCHED[1] * T)
        tau = draw_steps(len(x), (allowed / allowed.sum()).double().numpy(), True, generator)
        tau = tau[torch.randperm(len(x), generator=generator)]
        alpha_bar = self.alpha_bar[tau]
        return alpha_bar, torch.randn(x.shape, generator=generator).to(x.device)


def make_matching(
    teacher: Teacher, critic: TrainableNetwork, schedule: Schedule, config: TrainConfig, accelerator: Accelerator
) -> Matching:
    """Match students of ``config.calls`` steps to a teacher; ``critic`` begins as it is given."""
    critic = critic.to(accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(
        critic.parameters(),
        lr=config.critic_lr,
        betas=(0.9, config.beta2),
        weight_decay=config.weight_decay,
        fused=True,
    )
    model, optimizer = accelerator.prepare(critic.train(), optimizer)
    steps = [*timesteps(schedule, config.calls), 0]
    alpha_bar = torch.tensor(schedule.alpha_bar)
    return Matching(teacher, model, critic, optimizer, alpha_bar[steps], alpha_bar, config, accelerator)
