"""Training: Algorithm 1 of Ho et al. 2020, with the target and the conditioning of our networks.

    repeat: x_0 from the data, t even over 1 ... T, eps from N(0, I);
            take a gradient step on |target - network(sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps)|^2.

Everything random at step n is drawn from a generator seeded by (seed, n), so a run that was stopped goes on exactly as
if it had not been.
"""

from __future__ import annotations

import copy
import io
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from diffusion import process
from diffusion.checkpoint import Card, save_model, write_atomically
from diffusion.data import ImageSet
from diffusion.images import to_unit
from diffusion.schedule import Schedule, make_schedule
from diffusion.unet import UNet, UNetConfig


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Args:
        images: how many images the network sees in all.
        batch: images a step.
        lr: peak learning rate, reached after ``warmup`` steps and lowered to zero along a half cosine.
        drop_label: probability that an image is shown with the empty class (for guidance).
        ema: decay of the averaged weights a step.
        clip: largest gradient norm.
        seed: of everything random.
        save_every: seconds between checkpoints.
    """

    images: int = 320_000
    batch: int = 32
    lr: float = 5e-4
    warmup: int = 300
    drop_label: float = 0.1
    ema: float = 0.999
    clip: float = 1.0
    seed: int = 0
    save_every: float = 120.0

    @property
    def steps(self) -> int:
        return self.images // self.batch

    def lr_at(self, step: int) -> float:
        ramp = min(1.0, (step + 1) / self.warmup)
        fall = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * step / self.steps)).item())
        return self.lr * ramp * fall


def batch_indices(n: int, step: int, batch: int, seed: int) -> Tensor:
    """Which images step ``step`` sees: every epoch a new order, batches running on across the epochs' ends."""
    first = step * batch
    parts = []
    for epoch in range(first // n, (first + batch - 1) // n + 1):
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
        parts.append(order[max(first - epoch * n, 0) : first + batch - epoch * n])
    return torch.cat(parts)


def choose(data: ImageSet, step: int, batch: int, seed: int, generator: torch.Generator) -> Tensor:
    """Which images step ``step`` sees: every one once an epoch, or one member of every group."""
    if data.groups is None:
        return batch_indices(len(data), step, batch, seed)
    members = torch.argsort(data.groups, stable=True)
    counts = torch.unique(data.groups, return_counts=True)[1]
    group = batch_indices(len(counts), step, batch, seed)
    member = (torch.rand(batch, generator=generator) * counts[group]).long()
    return members[(counts.cumsum(0) - counts)[group] + member]


def loss_of_batch(network: nn.Module, config: UNetConfig, x_0: Tensor, label: Tensor, t: Tensor, eps: Tensor,
                  schedule: Schedule) -> Tensor:  # fmt: skip
    """Mean squared error of the network's prediction at steps t, (B,); a scalar."""
    alpha_bar = torch.tensor(schedule.alpha_bar)[t]
    level = alpha_bar.to(x_0.device, x_0.dtype)[:, None, None, None]
    x_t = process.q_sample(x_0, level, eps)
    target = {"eps": eps, "x0": x_0, "v": process.v_from_x0_eps(x_0, eps, level)}[config.prediction]
    out = network(x_t, alpha_bar.logit().float().to(x_0.device), label)
    return (out - target).square().mean()


def stratified_steps(batch: int, T: int, generator: torch.Generator) -> Tensor:
    """Steps for a batch, each uniform over 1 ... T, one from each of ``batch`` equal parts: the loss varies less."""
    u = (torch.arange(batch) + torch.rand(batch, generator=generator)) / batch
    return (u * T).long().clamp(max=T - 1) + 1


def train(data: ImageSet, network_config: UNetConfig, config: TrainConfig, run: Path, card: Card,
          device: torch.device) -> Path:  # fmt: skip
    """Train, or go on with the run in ``run``; returns the path of the averaged weights.

    Raises:
        RuntimeError: the gradient is no longer finite.
    """
    run.mkdir(parents=True, exist_ok=True)
    schedule = make_schedule(**card.schedule)
    torch.manual_seed(config.seed)
    network = UNet(network_config).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network).requires_grad_(False)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.lr, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    state_path, weights_path = run / "state.pt", run / f"{card.name}.safetensors"
    step, seconds = 0, 0.0
    if state_path.is_file():
        state = torch.load(state_path, map_location=device, weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step, seconds = state["step"], state["seconds"]

    def save(seconds: float) -> None:
        buffer = io.BytesIO()
        torch.save({"network": network.state_dict(), "average": average.state_dict(),
                    "optimizer": optimizer.state_dict(), "step": step, "seconds": seconds}, buffer)  # fmt: skip
        write_atomically(state_path, buffer.getvalue())
        done = {"images_seen": step * config.batch, "seconds": round(seconds), "network": network_config,
                "command": "python -m diffusion " + shlex.join(sys.argv[1:])}  # fmt: skip
        save_model(weights_path, average, Card(**(vars(card) | done)))

    started = saved = time.monotonic()
    before = seconds
    network.train()
    bar = tqdm(total=config.steps * config.batch, initial=step * config.batch, unit=" images", smoothing=0.02)
    running = None
    try:
        while step < config.steps:
            generator = torch.Generator().manual_seed(config.seed * 2**32 + step)
            batch = data[choose(data, step, config.batch, config.seed, generator)]
            t = stratified_steps(config.batch, schedule.T, generator)
            x_0 = to_unit(batch.images)
            eps = torch.randn(x_0.shape, generator=generator)
            drop = torch.rand(len(x_0), generator=generator) < config.drop_label
            label = torch.where(drop, network_config.num_classes, batch.labels)
            for group in optimizer.param_groups:
                group["lr"] = config.lr_at(step)
            # Dropout draws from the global generator; another seed than above, or its masks would repeat those numbers.
            torch.manual_seed(config.seed * 2**32 + 2**31 + step)
            loss = loss_of_batch(network, network_config, x_0.to(device, memory_format=torch.channels_last),
                                 label.to(device), t, eps.to(device), schedule)  # fmt: skip
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), config.clip, error_if_nonfinite=True)
            optimizer.step()
            # Early on the weights move fast, and a long average would remember the start.
            decay = min(config.ema, (1 + step) / (10 + step))
            with torch.no_grad():
                torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
            step += 1
            bar.update(config.batch)
            if step % 20 == 0:
                value = loss.item()
                running = value if running is None else 0.95 * running + 0.05 * value
                bar.set_postfix(loss=f"{running:.4f}", refresh=False)
            now = time.monotonic()
            if now - saved > config.save_every:
                save(before + now - started)
                saved = now
    except KeyboardInterrupt:
        print(f"Stopped at step {step} of {config.steps}; the same command goes on from there.")
    finally:
        bar.close()
        save(before + time.monotonic() - started)
    return weights_path
