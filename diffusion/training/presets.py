"""Networks that are known to train well, with their schedule and their settings, by name."""

from __future__ import annotations

from dataclasses import dataclass

from diffusion.networks.kinds import DEFAULT_KIND
from diffusion.networks.points import PointsConfig
from diffusion.networks.unet import UNetConfig
from diffusion.schedules.spec import ScheduleSpec
from diffusion.training.config import TrainConfig


@dataclass(frozen=True)
class Preset:
    """A network, a schedule and a way to train it; channels and number of classes are then those of the data.

    Args:
        kind: of the network, in ``KINDS``.
    """

    network: UNetConfig | PointsConfig
    schedule: ScheduleSpec
    train: TrainConfig
    kind: str = DEFAULT_KIND


PRESETS = {
    "digits": Preset(
        UNetConfig(32, 1, (10,), widths=(48, 96, 128)),
        ScheduleSpec("cosine", 1000),
        TrainConfig(images=1_000_000, ema=0.9995),
    ),
    "emoji": Preset(
        UNetConfig(32, 3, (9,), widths=(48, 96, 192), dropout=0.1),
        ScheduleSpec("cosine", 1000),
        TrainConfig(images=1_280_000, ema=0.9995),
    ),
    # Concept, kind and style: 1,825, 98 and 9 values. A concept is mostly said together with its style, a kind too if
    # the concept is not.
    "emoji-sets": Preset(
        UNetConfig(32, 3, (1, 1, 1), widths=(48, 96, 192), dropout=0.05, modulate="scale"),
        ScheduleSpec("cosine", 1000),
        TrainConfig(images=6_400_000, lr=4e-4, decay="constant", drop_label=(0.25, 0.3, 0.1), drop_all=0.08,
                    table_lr=5.0, ema=0.9995, preview_every=60_000),
    ),
    # Points of the plane: seconds a thousand steps.
    "points": Preset(
        PointsConfig(width=96),
        ScheduleSpec("cosine", 1000),
        TrainConfig(images=1_536_000, batch=512, lr=2e-3, warmup=50, weight_decay=0.0, ema=0.995,
                    preview_every=512_000),
        kind="points",
    ),
    # Ho et al. 2020, appendix B: 35.7 M parameters, 800,000 steps, unconditional.
    "cifar10": Preset(
        UNetConfig(32, 3, (), patch=1, widths=(128, 256, 256, 256), attention=(1,), dropout=0.1, prediction="eps"),
        ScheduleSpec("linear", 1000),
        TrainConfig(images=102_400_000, batch=128, lr=2e-4, warmup=5000, decay="constant", weight_decay=0.0,
                    beta2=0.999, flip=True, ema=0.9999, t="uniform", preview_every=1_280_000),
    ),
}  # fmt: skip
