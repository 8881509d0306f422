"""Training: Algorithm 1 of Ho et al. 2020, with the target and the conditioning of our networks.

    repeat: x_0 from the data, t over 1 ... T, eps from N(0, I);
            take a gradient step on |target - network(sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps)|^2.

Everything random at step n is drawn from a generator seeded by (seed, n), so a run that was stopped goes on exactly as
if it had not been. With several processes (``accelerate launch``) each draws the whole batch and takes its share of it,
so the batch does not depend on how many there are.
"""

from __future__ import annotations

import copy
import io
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from diffusion import process
from diffusion.checks import is_number, is_whole, shown
from diffusion.data.sets import ImageSet
from diffusion.denoiser import ExactDenoiser, Guided, NetworkDenoiser
from diffusion.device import best_precision
from diffusion.images import encode, grid, to_bytes, to_pil, to_unit
from diffusion.losses.weightings import min_snr_weight
from diffusion.networks.checkpoint import Card, save_model, write_atomically
from diffusion.networks.fast import FastUNet
from diffusion.networks.unet import Prediction, UNet, UNetConfig, fields_of_today
from diffusion.sampling.updates import DDIM, sample, timesteps
from diffusion.schedules.schedule import Array, Schedule, make_schedule

TimeSampling = Literal["stratified", "uniform", "importance"]
Weighting = Literal["simple", "min-snr"]
Target = Literal["sample", "mean"]
Decay = Literal["cosine", "constant"]


class TrainError(ValueError):
    """A run that cannot begin or go on, said in one sentence."""


class DivergenceError(TrainError, RuntimeError):
    """A run whose gradient is no longer finite."""


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Args:
        images: how many images the network sees in all.
        batch: images a step, over all processes.
        lr: peak learning rate, reached after ``warmup`` steps.
        decay: the rate falls to zero along a half cosine, or stays constant.
        weight_decay, beta2: of AdamW.
        drop_label: probability that an image is shown with the empty class (for guidance); where there are several
            conditions, that each by itself is left out, one number for all or one for each.
        drop_all: that all are left out, besides.
        table_lr: the learning rate of what is learnt of each value of the conditions, relative to that of the rest: a
            value is seen in few batches.
        flip: show every image mirrored half of the time.
        ema: decay of the averaged weights a step.
        clip: largest gradient norm.
        t: each step t of a batch uniform over 1 ... T; stratified, one from each of ``batch`` equal parts; or by
            importance, see ``LossHistory``.
        weighting: of the squared error, see ``weights.min_snr_weight``.
        target: what x_0 the network is to find in x_t: the image that was noised, or the mean of all that it can have
            been, see ``expect``.
        seed: of everything random.
        save_every: seconds between checkpoints.
        log_every: steps a row of log.csv.
        preview_every: images between two sample grids.
    """

    images: int = 320_000
    batch: int = 32
    lr: float = 5e-4
    warmup: int = 300
    decay: Decay = "cosine"
    weight_decay: float = 0.01
    beta2: float = 0.99
    drop_label: float | tuple[float, ...] = 0.1
    drop_all: float = 0.0
    table_lr: float = 1.0
    flip: bool = False
    ema: float = 0.999
    clip: float = 1.0
    t: TimeSampling = "stratified"
    weighting: Weighting = "simple"
    target: Target = "sample"
    seed: int = 0
    save_every: float = 120.0
    log_every: int = 50
    preview_every: int = 32_000

    def __post_init__(self) -> None:
        bounds: dict[str, tuple[float, float]] = {
                  "batch": (1, 2**20), "images": (self.batch, 10**15), "lr": (1e-12, 1e3), "warmup": (1, 2**31),
                  "weight_decay": (0, 1e3), "beta2": (0, 0.9999999), "drop_label": (0, 1), "drop_all": (0, 1),
                  "table_lr": (1e-12, 1e3), "ema": (0, 0.9999999), "clip": (1e-12, 1e12), "seed": (0, 2**20),
                  "save_every": (0, 1e12), "log_every": (1, 10**15), "preview_every": (1, 10**15)}  # fmt: skip
        for name, (low, high) in bounds.items():
            given, option = getattr(self, name), "--" + name.replace("_", "-")
            for value in given if name == "drop_label" and isinstance(given, tuple) else (given,):
                if isinstance(getattr(TrainConfig, name), int) and not is_whole(value):
                    raise TrainError(f"{option} must be a whole number, not {shown(value)}.")
                if not is_number(value) or not low <= value <= high:
                    low_text, high_text = (f"{x:,}" if isinstance(x, int) else f"{x:g}" for x in (low, high))
                    raise TrainError(f"{option} must lie between {low_text} and {high_text}, not {shown(value)}.")
        for name, kind in (("decay", Decay), ("t", TimeSampling), ("weighting", Weighting), ("target", Target)):
            if getattr(self, name) not in get_args(kind):
                raise TrainError(f"--{name} must be one of {', '.join(get_args(kind))}, not "
                                 f"{shown(getattr(self, name))}.")  # fmt: skip
        if self.target == "mean" and self.flip:
            raise TrainError("--target mean and --flip cannot be had together: mirrored images are not compared.")

    @property
    def steps(self) -> int:
        return self.images // self.batch

    def lr_at(self, step: int) -> float:
        ramp = min(1.0, (step + 1) / self.warmup)
        fall = 0.5 * (1 + np.cos(np.pi * step / self.steps)) if self.decay == "cosine" else 1.0
        return float(self.lr * ramp * fall)


# What may be changed when a run goes on: how long it is, and what it writes as it goes.
MAY_CHANGE = ("images", "save_every", "log_every", "preview_every")


@dataclass(frozen=True)
class Recipe:
    """A network, a schedule and a way to train it; channels and number of classes are then those of the data."""

    network: UNetConfig
    schedule: dict[str, Any]
    train: TrainConfig


RECIPES = {
    "digits": Recipe(
        UNetConfig(32, 1, (10,), widths=(48, 96, 128)),
        {"family": "cosine", "T": 1000},
        TrainConfig(images=1_000_000, ema=0.9995),
    ),
    "emoji": Recipe(
        UNetConfig(32, 3, (9,), widths=(48, 96, 192), dropout=0.1),
        {"family": "cosine", "T": 1000},
        TrainConfig(images=1_280_000, ema=0.9995),
    ),
    # Concept, kind and style: 1,825, 98 and 9 values. A concept is mostly said together with its style, a kind too if
    # the concept is not.
    "emoji-sets": Recipe(
        UNetConfig(32, 3, (1, 1, 1), widths=(48, 96, 192), dropout=0.05, modulate="scale"),
        {"family": "cosine", "T": 1000},
        TrainConfig(images=6_400_000, lr=4e-4, decay="constant", drop_label=(0.25, 0.3, 0.1), drop_all=0.08,
                    table_lr=5.0, ema=0.9995, preview_every=60_000),
    ),
    # Ho et al. 2020, appendix B: 35.7 M parameters, 800,000 steps, unconditional.
    "cifar10": Recipe(
        UNetConfig(32, 3, (), patch=1, widths=(128, 256, 256, 256), attention=(1,), dropout=0.1, prediction="eps"),
        {"family": "linear", "T": 1000},
        TrainConfig(images=102_400_000, batch=128, lr=2e-4, warmup=5000, decay="constant", weight_decay=0.0,
                    beta2=0.999, flip=True, ema=0.9999, t="uniform", preview_every=1_280_000),
    ),
}  # fmt: skip


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


def draw_steps(batch: int, probability: Array, stratified: bool, generator: torch.Generator) -> Tensor:
    """Steps t in 1 ... T for a batch, (B,) int64, each with P(t) = probability[t - 1].

    Stratified, the i-th comes from the i-th of ``batch`` parts of equal probability: the loss then varies less.
    """
    u = torch.rand(batch, generator=generator, dtype=torch.float64)
    if stratified:
        u = (torch.arange(batch) + u) / batch
    cumulative = torch.from_numpy(probability).cumsum(0)
    return torch.searchsorted(cumulative, u, right=True).clamp(max=len(probability) - 1) + 1


def drop_labels(labels: Tensor, empty: Tensor, config: TrainConfig, generator: torch.Generator) -> Tensor:
    """Labels with some conditions left out, (B, conditions): each by itself, and now and then all.

    Args:
        labels: (B,) or (B, conditions).
        empty: (conditions,), what stands for a condition that is left out.
    """
    labels = labels.reshape(len(labels), -1)
    drop = torch.rand(labels.shape, generator=generator) < torch.tensor(config.drop_label)
    if config.drop_all:
        drop |= torch.rand((len(labels), 1), generator=generator) < config.drop_all
    return torch.where(drop, empty, labels)


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


# Above this level, a log-SNR of -1.4, hardly another image than the one that was noised is likely.
EXPECT_BELOW = 0.2


def examples_of(data: ImageSet, device: torch.device) -> dict[int, ExactDenoiser]:
    """The images of each class, for ``expect``.

    Raises:
        TrainError: images that are not drawn evenly.
    """
    if data.groups is not None or data.labels.ndim > 1:
        raise TrainError("--target mean needs one class an image, and images that are drawn evenly, not in groups.")
    images = to_unit(data.images).to(device)
    return {int(k): ExactDenoiser(images[data.labels == k]) for k in data.labels.unique()}


def expect(examples: Mapping[int, ExactDenoiser], x_0: Tensor, x_t: Tensor, label: Tensor, alpha_bar: Tensor) -> Tensor:
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


def errors_of_batch(
    network: nn.Module, prediction: Prediction, x_0: Tensor, label: Tensor, alpha_bar: Tensor, eps: Tensor,
    examples: Mapping[int, ExactDenoiser] | None = None,
) -> Tensor:  # fmt: skip
    """Mean squared error of the network's prediction for each image, (B,), at levels alpha_bar, (B,) float64.

    With ``examples`` the target is that of the mean, see ``expect``.
    """
    level = alpha_bar.to(x_0.device, x_0.dtype)[:, None, None, None]
    x_t = process.q_sample(x_0, level, eps)
    if examples is not None:
        x_0 = expect(examples, x_0, x_t, label, alpha_bar)
        eps = process.eps_from_x0(x_t, x_0, level)
    target = {"eps": eps, "x0": x_0, "v": process.v_from_x0_eps(x_0, eps, level)}[prediction]
    out = network(x_t, alpha_bar.logit().float().to(x_0.device), label)
    return (out.float() - target).square().flatten(1).mean(1)


@dataclass
class Run:
    """A run as it stands between two steps: all that is needed to go on exactly."""

    network: UNet
    average: UNet
    optimizer: Any
    scaler: Any
    history: LossHistory
    step: int = 0
    seconds: float = 0.0
    # Of the steps since the last row of the log.
    losses: list[float] = field(default_factory=list)

    def to_bytes(self, config: TrainConfig) -> bytes:
        buffer = io.BytesIO()
        torch.save({"network": self.network.state_dict(), "average": self.average.state_dict(),
                    "optimizer": self.optimizer.state_dict(), "scaler": self.scaler and self.scaler.state_dict(),
                    "history": [torch.from_numpy(self.history.losses), torch.from_numpy(self.history.count)],
                    "step": self.step, "seconds": self.seconds, "losses": self.losses,
                    "config": asdict(config), "architecture": asdict(self.network.config)}, buffer)  # fmt: skip
        return buffer.getvalue()

    def load(self, path: Path, config: TrainConfig) -> None:
        """Take everything from a checkpoint.

        Raises:
            TrainError: it was made with other settings.
        """
        # Loading copies to where each parameter is, which may be another device than in the run that was stopped.
        state = torch.load(path, map_location="cpu", weights_only=True)
        before, now = (
            {"network": asdict(network)} | {k: v for k, v in train.items() if k not in MAY_CHANGE}
            for network, train in ((UNetConfig(**fields_of_today(state["architecture"])), state["config"]),
                                   (self.network.config, asdict(config)))
        )  # fmt: skip
        for name, value in now.items():
            # What the run does not say was not yet to be chosen when it began.
            if before.get(name, asdict(TrainConfig())[name] if name != "network" else None) != value:
                raise TrainError(f"The run in {path.parent} began with {name} = {before[name]}, not {value}; "
                                 "go on with that, or choose another folder.")  # fmt: skip
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler is not None and state["scaler"] is not None:
            self.scaler.load_state_dict(state["scaler"])
        self.history = LossHistory(*(array.numpy() for array in state["history"]))
        self.step, self.seconds, self.losses = state["step"], state["seconds"], state["losses"]


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """A list that fills when Ctrl-C or SIGTERM ask to stop, instead of an exception in the middle of a step.

    The second Ctrl-C is the exception again.
    """
    asked: list[int] = []

    def ask(number: int, _frame: object) -> None:
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.append(number)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


PREVIEW, PREVIEW_BATCH = 64, 16  # samples, and how many at a time: between two steps of them a run can stop
LOG_HEADER = "step,images,loss,learning_rate,gradient_norm,seconds\n"


def begin_log(path: Path, step: int) -> None:
    """Start the log, or take out the rows that a run stopped hard had written after its last checkpoint."""
    rows = path.read_text().splitlines(keepends=True)[1:] if path.is_file() else []
    kept = [row for row in rows if row.endswith("\n") and int(row.split(",")[0]) <= step]
    write_atomically(path, "".join([LOG_HEADER, *kept]).encode())


def loss_plot(history: LossHistory) -> bytes:
    """PNG of the loss by t: each t faint, and the median over 50 parts of the axis."""
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


def loss_csv(history: LossHistory) -> str:
    rows = zip(history.count.tolist(), history.mean().tolist(), strict=True)
    return "t,images,loss\n" + "".join(f"{t},{count},{mean:.6g}\n" for t, (count, mean) in enumerate(rows, 1))


@torch.no_grad()
def begin_labels(network: UNet, data: ImageSet) -> None:
    """Let what the network is told of each value of a condition begin with what the value's images are on average.

    A value that few images have would else stay noise for long. With the mean images of a condition's values, less
    their own mean, as M = U S V^T, the rows of its values are those of U S^(1/2), as far as they fit: between the
    images' own distances (U S), where light and dark would be almost all, and every component as large as any other
    (U). They are turned at random, since two conditions have nothing to do with each other, and scaled to 0.5 on
    average, about half of what the noise level's embedding has. Not said is zero.
    """
    table = network.label
    if table is None:
        return
    width, pixels = table.embedding_dim, to_unit(data.images).flatten(1)
    for c, (first, size) in enumerate(zip(table.first.tolist(), table.empty.tolist(), strict=True)):
        labels = data.labels.reshape(len(data), -1)[:, c]
        count = labels.bincount(minlength=size).clamp(min=1)
        mean = torch.zeros(size, pixels.shape[1]).index_add_(0, labels, pixels) / count[:, None]
        u, s, _ = torch.linalg.svd(mean - mean.mean(0), full_matrices=False)
        rows = (u * s.sqrt())[:, :width]
        turn = torch.linalg.qr(torch.randn(width, width)).Q[: rows.shape[1]]
        scale = 0.5 / rows.square().sum(1).div(width).mean().sqrt().clamp(min=1e-6)
        table.weight[first : first + size + 1] = F.pad(rows @ turn * scale, (0, 0, 0, 1))


def asked(data: ImageSet, unseen: ImageSet, folder: Path) -> Tensor:
    """The labels of the 64 samples of a preview, (64, conditions), for images with several conditions.

    24 of training images and 24 of ``unseen`` ones, by all conditions but the second, which the first implies; then 16
    of training images by all but the first. Writes the images that have these labels into ``folder``, as asked.png.
    """
    empty = data.labels.amax(0) + 1
    parts = []
    for part, count, left_out in ((data, 24, 1), (unseen, 24, 1), (data, 17, 0)):
        groups = torch.arange(len(part)) if part.groups is None else part.groups
        order = groups.argsort(stable=True)
        firsts = order[torch.cat([torch.ones(1, dtype=torch.bool), groups[order].diff() > 0])].sort().values
        chosen = part[firsts].spread(count)[: 24 if left_out else 16]
        labels = chosen.labels.clone()
        labels[:, left_out] = empty[left_out]
        parts.append((chosen.images, labels))
    images, labels = (torch.cat(column) for column in zip(*parts, strict=True))
    folder.mkdir(parents=True, exist_ok=True)
    pictures = images.permute(0, 2, 3, 1).numpy()
    write_atomically(folder / "asked.png", encode(to_pil(grid(pictures, gap=2)), "PNG"))
    return labels


def parameter_groups(network: UNet, config: TrainConfig) -> list[dict[str, Any]]:
    """What AdamW gets: the network, and the table of its conditions if that learns faster.

    What decays a step is the product of rate and decay: it is the same in both.
    """
    table = [] if network.label is None or config.table_lr == 1 else list(network.label.parameters())
    rest = [parameter for parameter in network.parameters() if all(parameter is not other for other in table)]
    groups = [{"params": rest, "relative_lr": 1.0, "weight_decay": config.weight_decay}]
    if table:
        groups.append({"params": table, "relative_lr": config.table_lr,
                       "weight_decay": config.weight_decay / config.table_lr})  # fmt: skip
    return groups


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
    schedule = make_schedule(**card.schedule)
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
    run = Run(network, average, optimizer, accelerator.scaler, LossHistory.empty(schedule.T))
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


def stopped(accelerator: Accelerator, asked: list[int]) -> bool:
    """Whether any process was asked to stop: all must leave after the same step, or the others would wait for it."""
    if accelerator.num_processes == 1:
        return bool(asked)
    return bool(accelerator.reduce(torch.tensor(float(bool(asked)), device=accelerator.device)).item())


def preview_due(config: TrainConfig, step: int) -> bool:
    """Whether a preview follows on this step."""
    seen = step * config.batch
    return seen // config.preview_every > max(seen - config.batch, 0) // config.preview_every


def preview_path(folder: Path, step: int) -> Path:
    return folder / "samples" / f"step-{step:08d}.png"


def preview(
    run: Run, schedule: Schedule, card: Card, folder: Path, device: torch.device, asked: list[int],
    labels: Tensor | None = None,
) -> None:  # fmt: skip
    """A grid of 64 samples of the averaged weights, from the same seeds each time, and the loss by t.

    Of given labels in half of the steps and with a guidance of 2: the same number of calls. It takes longer than
    anybody waits for a run to stop: nothing comes of it once ``asked`` to.
    """
    config, made, guided = run.network.config, [], labels is not None
    shape, steps = (config.channels, config.image_size, config.image_size), 25 if guided else 50
    if labels is None and card.classes:
        labels = card.labels(PREVIEW)
    fast = FastUNet(run.average) if device.type == "cpu" and best_precision(device) == "bf16" else None
    denoiser = Guided(NetworkDenoiser(run.average, fast=fast), 2.0 if guided else 1.0, config.conditions)
    count = PREVIEW if labels is None else len(labels)
    for first in range(0, count, PREVIEW_BATCH):
        part = slice(first, first + PREVIEW_BATCH)
        for step in sample(denoiser, schedule, shape, steps=timesteps(schedule, min(schedule.T, steps)),
                           seeds=range(count)[part], labels=None if labels is None else labels[part], update=DDIM(),
                           device=device):  # fmt: skip
            if asked:
                return
            x = step.x_s
        made.append(to_bytes(x))
    path = preview_path(folder, run.step)
    path.parent.mkdir(exist_ok=True)
    write_atomically(folder / "loss_by_t.png", loss_plot(run.history))
    write_atomically(folder / "loss_by_t.csv", loss_csv(run.history).encode())
    write_atomically(path, encode(to_pil(grid(np.concatenate(made), gap=2)), "PNG"))
