"""How to train: every setting of a run but its network and its schedule, checked where it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from diffusion.checks import is_number, is_whole, shown

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
            been, see ``expected_x_0``.
        calls: of a student, how many steps it is to take in place of its teacher, see ``Teacher``; 0 for a network that
            learns from images alone.
        substeps: in how many steps its teacher does one of its own.
        critic_steps: how often a critic learns for each step of a student whose images are matched to its teacher's,
            see ``Matching``; 0 for one that learns its teacher's steps.
        critic_lr: the learning rate of the critic, which stays.
        seed: of everything random.
        save_every: seconds between checkpoints.
        log_every: steps a row of log.csv.
        preview_every: images between two sample grids.
        preview_seconds: seconds between two of them, besides, and one before the first step; longer where drawing them
            would take more than a tenth of the time. 0 for none.
        preview_count: samples of a grid.
        preview_steps: calls of the network for each of them.
        stop_after: seconds after which it stops as if it had been asked to; 0 for never.
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
    calls: int = 0
    substeps: int = 1
    critic_steps: int = 0
    critic_lr: float = 2e-4
    seed: int = 0
    save_every: float = 120.0
    log_every: int = 50
    preview_every: int = 32_000
    preview_seconds: float = 0.0
    preview_count: int = 64
    preview_steps: int = 50
    stop_after: float = 0.0

    def __post_init__(self) -> None:
        bounds: dict[str, tuple[float, float]] = {
                  "batch": (1, 2**20), "images": (self.batch, 10**15), "lr": (1e-12, 1e3), "warmup": (1, 2**31),
                  "weight_decay": (0, 1e3), "beta2": (0, 0.9999999), "drop_label": (0, 1), "drop_all": (0, 1),
                  "table_lr": (1e-12, 1e3), "ema": (0, 0.9999999), "clip": (1e-12, 1e12), "seed": (0, 2**20),
                  "save_every": (0, 1e12), "log_every": (1, 10**15), "preview_every": (1, 10**15),
                  "preview_seconds": (0, 1e12), "preview_count": (1, 1024), "preview_steps": (1, 1000),
                  "stop_after": (0, 1e12),
                  "calls": (0, 100), "substeps": (1, 1000), "critic_steps": (0, 100),
                  "critic_lr": (1e-12, 1e3)}  # fmt: skip
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
        if self.calls and (self.target == "mean" or self.t == "importance"):
            raise TrainError("A student learns from its teacher, at each of its steps equally often: neither from "
                             "--target mean nor by --t importance.")  # fmt: skip
        if self.critic_steps and not self.calls:
            raise TrainError("--critic-steps is for a student, which has a number of calls.")
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
MAY_CHANGE = (
    "images", "save_every", "log_every", "preview_every", "preview_seconds", "preview_count", "preview_steps",
    "stop_after",
)  # fmt: skip
