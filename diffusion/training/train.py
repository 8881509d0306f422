"""Training: Algorithm 1 of Ho et al. 2020, with the target and the conditioning of our networks.

    repeat: x_0 from the data, t over 1 ... T, eps from N(0, I);
            take a gradient step on |target - network(sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps)|^2.

Everything random at step n is drawn from a generator seeded by (seed, n), so a run that was stopped goes on exactly as
if it had not been. With several processes (``accelerate launch``) each draws the whole batch and takes its share of it,
so the batch does not depend on how many there are.
"""

from __future__ import annotations

import copy
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm

from diffusion.data.draws import choose
from diffusion.data.sets import ImageSet
from diffusion.files import write_atomically
from diffusion.images import to_unit
from diffusion.losses.weightings import min_snr_weight
from diffusion.networks.card import Card
from diffusion.networks.model import save_model
from diffusion.networks.unet import UNet, UNetConfig
from diffusion.schedules.schedule import Array
from diffusion.training.conditions import drop_labels, parameter_groups
from diffusion.training.config import DivergenceError, TrainConfig, TrainError
from diffusion.training.errors import errors_of_batch, examples_of
from diffusion.training.history import LossHistory
from diffusion.training.preview import preview, preview_due, preview_path
from diffusion.training.state import TrainingState
from diffusion.training.stop import stop_requests, stopped


def draw_steps(batch: int, probability: Array, stratified: bool, generator: torch.Generator) -> Tensor:
    """Steps t in 1 ... T for a batch, (B,) int64, each with P(t) = probability[t - 1].

    Stratified, the i-th comes from the i-th of ``batch`` parts of equal probability: the loss then varies less.
    """
    u = torch.rand(batch, generator=generator, dtype=torch.float64)
    if stratified:
        u = (torch.arange(batch) + u) / batch
    cumulative = torch.from_numpy(probability).cumsum(0)
    return torch.searchsorted(cumulative, u, right=True).clamp(max=len(probability) - 1) + 1


LOG_HEADER = "step,images,loss,learning_rate,gradient_norm,seconds\n"


def begin_log(path: Path, step: int) -> None:
    """Start the log, or take out the rows that a run stopped hard had written after its last checkpoint."""
    rows = path.read_text().splitlines(keepends=True)[1:] if path.is_file() else []
    kept = [row for row in rows if row.endswith("\n") and int(row.split(",")[0]) <= step]
    write_atomically(path, "".join([LOG_HEADER, *kept]).encode())


def train(data: ImageSet, network_config: UNetConfig, config: TrainConfig, folder: Path, card: Card,
          accelerator: Accelerator, start: UNet | None = None, labels: Tensor | None = None) -> Path:  # fmt: skip
    """Train, or go on with the run in ``folder``; returns the path of the averaged weights.

    ``start`` is a network of the same architecture whose weights a new run begins with; ``card`` then counts the images
    and seconds of its own training, and those of this run are added. ``labels`` are those of the 64 samples of each
    preview, where there are several conditions.

    Written as it goes: state.pt (all that is needed to go on), NAME.safetensors and its card, log.csv, loss_by_t.csv
    and .png, samples/step-STEP.png.

    Raises:
        TrainError: a batch that the processes cannot share evenly, or a run that was begun with other settings.
        DivergenceError: the gradient is no longer finite.
    """
    processes, rank, main = accelerator.num_processes, accelerator.process_index, accelerator.is_main_process
    if config.batch % processes:
        raise TrainError(f"A batch of {config.batch} cannot be shared evenly by {processes} processes.")
    shares = config.drop_label if isinstance(config.drop_label, tuple) else ()
    if shares and len(shares) != len(network_config.conditions):
        raise TrainError(f"--drop-label has {len(shares)} shares for {len(network_config.conditions)} conditions.")
    share = slice(rank * config.batch // processes, (rank + 1) * config.batch // processes)
    device = accelerator.device
    examples = examples_of(data, device) if config.target == "mean" else None
    schedule = card.training_schedule()
    alpha_bars = torch.tensor(schedule.alpha_bar)
    folder.mkdir(parents=True, exist_ok=True)
    state_path, weights_path = folder / "state.pt", folder / f"{card.name}.safetensors"

    torch.manual_seed(config.seed)
    network = UNet(network_config).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if start is not None:
        network.load_state_dict(start.state_dict())
    average = copy.deepcopy(network).requires_grad_(False).eval()
    model, optimizer = accelerator.prepare(network, torch.optim.AdamW(
        parameter_groups(network, config), lr=config.lr, betas=(0.9, config.beta2), fused=True
    ))  # fmt: skip
    run = TrainingState(network, average, optimizer, accelerator.scaler, LossHistory.empty(schedule.T))
    if state_path.is_file():
        run.load(state_path, config)
    accelerator.wait_for_everyone()

    def save() -> None:
        if not main:
            return
        write_atomically(state_path, run.to_bytes(config))
        save_model(weights_path, average, replace(
            card, images_seen=card.images_seen + run.step * config.batch, seconds=round(card.seconds + run.seconds),
            network=network_config,
        ))  # fmt: skip

    def gradient_norm() -> float:
        norm = accelerator.clip_grad_norm_(network.parameters(), config.clip).item()
        # A scaler expects infinities now and then: it leaves the step out and lowers its scale.
        if accelerator.scaler is None and not np.isfinite(norm):
            raise DivergenceError(f"The gradient at step {run.step} is non-finite; lower the learning rate.")
        return float(norm)

    if main:
        begin_log(folder / "log.csv", run.step)
    network.train()
    started = saved = time.monotonic()
    before = run.seconds
    whole = True
    bar = tqdm(total=config.steps * config.batch, initial=run.step * config.batch, unit=" images", smoothing=0.02,
               disable=not main)  # fmt: skip
    with stop_requests() as asked, bar:
        try:
            if main and preview_due(config, run.step) and not preview_path(folder, run.step).is_file():
                preview(run, schedule, card, folder, device, asked, labels)  # that a stop cut short
            while run.step < config.steps and not stopped(accelerator, asked):
                step = run.step
                generator = torch.Generator().manual_seed(config.seed * 2**32 + step)
                chosen = data[choose(data, step, config.batch, config.seed, generator)]
                importance = config.t == "importance"
                p = run.history.probability() if importance else np.full(schedule.T, 1 / schedule.T)
                t = draw_steps(config.batch, p, config.t != "uniform", generator)
                alpha_bar = alpha_bars[t]
                weight = 1 / torch.from_numpy(p * schedule.T)[t - 1]
                fair = torch.ones_like(weight)  # the weight of the loss itself, without that of the draw
                if config.weighting == "min-snr":
                    fair = min_snr_weight(alpha_bar, network_config.prediction)
                x_0 = to_unit(chosen.images)
                eps = torch.randn(x_0.shape, generator=generator)
                label = chosen.labels
                if network_config.conditions:
                    label = drop_labels(label, torch.tensor(network_config.conditions), config, generator)
                if config.flip:
                    mirrored = torch.rand(config.batch, generator=generator) < 0.5
                    x_0 = torch.where(mirrored[:, None, None, None], x_0.flip(-1), x_0)
                for group in optimizer.param_groups:
                    group["lr"] = config.lr_at(step) * group.get("relative_lr", 1.0)
                # Dropout draws from the global generator; other seeds than above, or its masks would repeat those
                # numbers, and than in the other processes, or theirs would be the same.
                torch.manual_seed(config.seed * 2**32 + 2**31 + step + rank * 2**40)
                errors = errors_of_batch(
                    model, network_config.prediction, x_0[share].to(device, memory_format=torch.channels_last),
                    label[share].to(device), alpha_bar[share], eps[share].to(device), examples,
                ) * fair[share].to(device, torch.float32)  # fmt: skip
                optimizer.zero_grad()
                accelerator.backward((errors * weight[share].to(device, torch.float32)).mean())
                norm = gradient_norm()
                losses = accelerator.gather(errors.detach()).double().cpu()
                whole = False
                optimizer.step()
                # Early on the weights move fast, and a long average would remember the start.
                decay = min(config.ema, (1 + step) / (10 + step))
                with torch.no_grad():
                    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
                run.history.add(t, losses)
                run.losses.append((losses * weight).mean().item())
                run.step += 1
                now = time.monotonic()
                run.seconds = before + now - started
                whole = True
                bar.update(config.batch)
                seen = run.step * config.batch
                if main and run.step % config.log_every == 0:
                    loss = float(np.mean(run.losses))
                    with (folder / "log.csv").open("a") as log:
                        log.write(f"{run.step},{seen},{loss:.8g},{config.lr_at(step):.6g},"
                                  f"{norm:.6g},{run.seconds:.1f}\n")  # fmt: skip
                    bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
                if run.step % config.log_every == 0:
                    run.losses.clear()
                if now - saved > config.save_every:
                    save()
                    saved = now
                if main and preview_due(config, run.step):
                    preview(run, schedule, card, folder, device, asked, labels)
        finally:
            # An error inside the update leaves it half done; the checkpoint before it is whole.
            if whole:
                save()
    if main and run.step < config.steps:
        print(f"Stopped at step {run.step} of {config.steps}; the same command goes on from there.")
    return weights_path
