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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from tqdm import tqdm

from diffusion.data.sets import ImageSet
from diffusion.files import write_atomically
from diffusion.networks.card import Card
from diffusion.networks.kinds import find_kind
from diffusion.networks.model import save_model
from diffusion.networks.network import TrainableNetwork
from diffusion.networks.unet import UNet, UNetConfig, grow
from diffusion.schedules.schedule import Schedule
from diffusion.training.batch import Batch, draw_batch
from diffusion.training.conditions import parameter_groups
from diffusion.training.config import DivergenceError, TrainConfig, TrainError
from diffusion.training.errors import Aim, errors_of_batch, expected_of
from diffusion.training.history import LossHistory
from diffusion.training.matching import Matching, make_matching
from diffusion.training.preview import PreviewClock, preview, preview_due, preview_path
from diffusion.training.state import TrainingState
from diffusion.training.stop import stop_requests, stopped
from diffusion.training.teacher import make_teacher

LOG_HEADER = "step,images,loss,learning_rate,gradient_norm,seconds\n"


@dataclass(frozen=True)
class Training:
    """A run while it goes: what it is made of, besides the data.

    Args:
        model: the network as ``accelerator`` calls it.
        state: what changes from step to step, and is saved.
        aim: what the network is to find, if not the image that was noised.
        matching: what else it learns from, if it is a student whose images are matched to its teacher's.
    """

    config: TrainConfig
    card: Card
    folder: Path
    accelerator: Accelerator
    schedule: Schedule
    model: nn.Module
    state: TrainingState
    aim: Aim | None
    matching: Matching | None = None

    @property
    def weights_path(self) -> Path:
        return self.folder / f"{self.card.name}.safetensors"

    def save(self) -> None:
        """The checkpoint and the averaged weights with their card."""
        state, card = self.state, self.card
        if not self.accelerator.is_main_process:
            return
        write_atomically(self.folder / "state.pt", state.to_bytes(self.config))
        save_model(self.weights_path, state.average, replace(
            card, images_seen=card.images_seen + state.step * self.config.batch,
            seconds=round(card.seconds + state.seconds), network=state.network.config,
        ))  # fmt: skip


def train(data: ImageSet, config: TrainConfig, folder: Path, card: Card,
          accelerator: Accelerator, start: TrainableNetwork | None = None, labels: Tensor | None = None,
          teacher: UNet | None = None) -> Path:  # fmt: skip
    """Train the network of ``card``, or go on with the run in ``folder``; returns the path of the averaged weights.

    ``start`` is a network of the same architecture whose weights a new run begins with; ``card`` then counts the images
    and seconds of its own training, and those of this run are added. ``labels`` are those of the 64 samples of each
    preview, where there are several conditions; ``teacher`` is whose student it is, with ``config.calls``.

    Written as it goes: state.pt (all that is needed to go on), NAME.safetensors and its card, log.csv, loss_by_t.csv
    and .png, samples/step-STEP.png.

    Raises:
        TrainError: a batch that the processes cannot share evenly, or a run that was begun with other settings.
        DivergenceError: the gradient is no longer finite.
    """
    run = begin(data, config, folder, card, accelerator, start, teacher)
    state, main = run.state, accelerator.is_main_process
    saved = started = time.monotonic()
    before, clock = state.seconds - started, PreviewClock(config.preview_seconds)
    bar = tqdm(total=config.steps * config.batch, initial=state.step * config.batch, unit=" images", smoothing=0.02,
               disable=not main)  # fmt: skip
    with stop_requests() as asked, bar:
        try:
            due = preview_due(config, state.step) or clock.rings(started)
            if main and due and not preview_path(folder, state.step).is_file():
                draw_preview(run, clock, asked, labels)  # the first, or one that a stop cut short
            for batch in batches(run, data):
                if 0 < config.stop_after < time.monotonic() - started:
                    asked.append(0)
                if stopped(accelerator, asked):
                    break
                norm = take_step(run, batch)
                state.seconds = before + time.monotonic()
                log_step(run, norm, bar)
                if time.monotonic() - saved > config.save_every:
                    run.save()
                    saved = time.monotonic()
                if main and (preview_due(config, state.step) or clock.rings(time.monotonic())):
                    draw_preview(run, clock, asked, labels)
        finally:
            # An error inside the update leaves it half done; the checkpoint before it is whole.
            if state.whole:
                run.save()
    if main and state.step < config.steps:
        print(f"Stopped at step {state.step} of {config.steps}; the same command goes on from there.")
    accelerator.wait_for_everyone()
    weights_path = run.weights_path
    # The accelerator keeps the model, and that the threads of the process group: they would live until the interpreter
    # ends, and now and then abort it.
    del run, state
    accelerator.free_memory()
    return weights_path


def draw_preview(run: Training, clock: PreviewClock, asked: list[int], labels: Tensor | None) -> None:
    """Samples for whoever watches, unless the run is ``asked`` to stop meanwhile."""
    began = time.monotonic()
    preview(run.state, run.config, run.schedule, run.card, run.folder, run.accelerator.device, asked, labels)
    clock.drawn(began, time.monotonic())


def begin(data: ImageSet, config: TrainConfig, folder: Path, card: Card, accelerator: Accelerator,
          start: TrainableNetwork | None, teacher: UNet | None) -> Training:  # fmt: skip
    """A run that begins, or the one in ``folder`` as it was left."""
    run = assemble(data, config, card, accelerator, folder=folder, start=start, teacher=teacher)
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "state.pt").is_file():
        run.state.load(folder / "state.pt", config, card.kind)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        begin_log(folder / "log.csv", run.state.step)
    return run


def assemble(data: ImageSet, config: TrainConfig, card: Card, accelerator: Accelerator, *, folder: Path = Path(),
             start: TrainableNetwork | None = None, teacher: UNet | None = None) -> Training:  # fmt: skip
    """A run before its first step; nothing is read or written.

    Raises:
        TrainError: a batch that the processes cannot share evenly, shares of conditions that there are not, or a kind
            of network that cannot be trained here.
    """
    if config.batch % accelerator.num_processes:
        raise TrainError(f"A batch of {config.batch} cannot be shared evenly by {accelerator.num_processes} processes.")
    shares = config.drop_label if isinstance(config.drop_label, tuple) else ()
    if shares and len(shares) != len(card.network.conditions):
        raise TrainError(f"--drop-label has {len(shares)} shares for {len(card.network.conditions)} conditions.")
    aim: Aim | None = expected_of(data, accelerator.device) if config.target == "mean" else None
    schedule = card.training_schedule()
    matching = None
    if teacher is not None:
        shown = make_teacher(teacher, schedule, config, accelerator)
        if config.critic_steps:
            critic = grow(copy.deepcopy(teacher), cast(UNetConfig, card.network)).requires_grad_()
            matching = make_matching(shown, critic, schedule, config, accelerator)
        else:
            aim = shown
    torch.manual_seed(config.seed)
    network = find_kind(card.kind).build(card.network)
    if not isinstance(network, TrainableNetwork):
        raise TrainError(f"Networks of the kind {card.kind} cannot be trained here.")
    network = network.to(accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if start is not None:
        network.load_state_dict(start.state_dict())
    average = copy.deepcopy(network).requires_grad_(False).eval()
    model, optimizer = accelerator.prepare(network, torch.optim.AdamW(
        parameter_groups(network, config), lr=config.lr, betas=(0.9, config.beta2), fused=True
    ))  # fmt: skip
    state = TrainingState(network, average, optimizer, accelerator.scaler, LossHistory.empty(schedule.T))
    if matching is not None:
        state.critic, state.critic_optimizer = matching.critic_network, matching.optimizer
    network.train()
    return Training(config, card, folder, accelerator, schedule, model, state, aim, matching)


def batches(run: Training, data: ImageSet) -> Iterator[Batch]:
    """The batches of the steps that are left.

    Beside a GPU the processor draws the next while the network learns from one; not where what it learns decides what
    is drawn.
    """
    config, state, network = run.config, run.state, run.state.network.config

    def draw(step: int) -> Batch:
        return draw_batch(data, network, config, run.schedule, state.history, step)

    if run.accelerator.device.type == "cpu" or config.t == "importance":
        for step in range(state.step, config.steps):
            yield draw(step)
        return
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(draw, state.step)
        for step in range(state.step, config.steps):
            batch = ahead.result()
            if step + 1 < config.steps:
                ahead = pool.submit(draw, step + 1)
            yield batch


def take_step(run: Training, batch: Batch) -> float:
    """Follow the gradient of a batch, of which every process has its share; returns its norm."""
    config, state, accelerator = run.config, run.state, run.accelerator
    rank, processes, device = accelerator.process_index, accelerator.num_processes, accelerator.device
    mine = batch[slice(rank * config.batch // processes, (rank + 1) * config.batch // processes)]
    for group in state.optimizer.param_groups:
        group["lr"] = config.lr_at(state.step) * group.get("relative_lr", 1.0)
    # Dropout draws from the global generator; other seeds than the batch, or its masks would repeat those numbers, and
    # than in the other processes, or theirs would be the same.
    seed = config.seed * 2**32 + 2**31 + state.step + rank * 2**40
    torch.manual_seed(seed)
    if run.matching is not None:
        errors = run.matching.errors(run.model, mine.to(device), seed + 2**30)
    else:
        errors = errors_of_batch(run.model, state.network.config, mine.to(device), run.aim)
    errors = errors * mine.fair.to(device, torch.float32)
    state.optimizer.zero_grad()
    accelerator.backward((errors * mine.weight.to(device, torch.float32)).mean())
    norm = float(accelerator.clip_grad_norm_(state.network.parameters(), config.clip).item())
    # A scaler expects infinities now and then: it leaves the step out and lowers its scale.
    if accelerator.scaler is None and not np.isfinite(norm):
        raise DivergenceError(f"The gradient at step {state.step} is non-finite; lower the learning rate.")
    losses = accelerator.gather(errors.detach()).double().cpu()
    state.whole = False
    state.optimizer.step()
    # Early on the weights move fast, and a long average would remember the start.
    decay = min(config.ema, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        torch._foreach_lerp_(list(state.average.parameters()), list(state.network.parameters()), 1 - decay)
    state.history.add(batch.t, losses)
    state.losses.append((losses * batch.weight).mean().item())
    state.step += 1
    state.whole = True
    return norm


def log_step(run: Training, norm: float, bar: tqdm[Any]) -> None:
    """Tell of the step that was taken, and write a row of the log where one is due."""
    config, state = run.config, run.state
    bar.update(config.batch)
    if state.step % config.log_every:
        return
    if run.accelerator.is_main_process:
        loss = float(np.mean(state.losses))
        with (run.folder / "log.csv").open("a") as log:
            log.write(f"{state.step},{state.step * config.batch},{loss:.8g},{config.lr_at(state.step - 1):.6g},"
                      f"{norm:.6g},{state.seconds:.1f}\n")  # fmt: skip
        bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
    state.losses.clear()


def begin_log(path: Path, step: int) -> None:
    """Start the log, or take out the rows that a run stopped hard had written after its last checkpoint."""
    rows = path.read_text().splitlines(keepends=True)[1:] if path.is_file() else []
    kept = [row for row in rows if row.endswith("\n") and int(row.split(",")[0]) <= step]
    write_atomically(path, "".join([LOG_HEADER, *kept]).encode())
