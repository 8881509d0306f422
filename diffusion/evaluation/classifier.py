"""A small classifier of the same images, for measuring: its features and classes judge what a network draws.

Its penultimate features take the place that Inception's have in the usual Fréchet distance (Heusel et al. 2017,
arXiv 1706.08500), which was trained on photographs of another size. It has no part in training a network or in choosing
what is shown.

NAME.safetensors holds the weights in float16; NAME.json says what they are, with their SHA-256, checked before use.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from diffusion.checks import is_number, is_whole, shown
from diffusion.data.draws import images_of_step
from diffusion.data.sets import DataError, ImageSet
from diffusion.files import ASSETS
from diffusion.images import to_unit
from diffusion.networks.checkpoint import CheckpointError, find_weights, read_card_as, read_weights, write_weights
from diffusion.networks.network import config_from

CLASSIFIERS = ASSETS / "classifiers"


@dataclass(frozen=True)
class ClassifierConfig:
    """Everything needed to build the classifier anew.

    Args:
        channels, num_classes: of the images.
        widths: channels at each level; the first is at half the image's resolution, each further one at half of the
            one before. The last is the number of features.
        dropout: probability, of each feature.
    """

    channels: int
    num_classes: int
    widths: tuple[int, ...] = (32, 64, 96)
    dropout: float = 0.5

    def __post_init__(self) -> None:
        """Raises ValueError: no network can be built of these."""
        if not self.widths or not all(is_whole(width) and 1 <= width <= 8192 for width in self.widths):
            raise ValueError(f"Widths must be whole numbers from 1 to 8192, not {shown(self.widths)}.")
        if not is_number(self.dropout) or not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie between 0 and 1, and below 1, not {shown(self.dropout)}.")


@dataclass(frozen=True)
class ClassifierTraining:
    """How to train it.

    Args:
        images: how many images it sees in all.
        batch: images a step.
        lr: peak learning rate, reached after a tenth of the steps and lowered to zero along a half cosine.
        weight_decay: of AdamW.
        smoothing: share of the target that is spread over all classes.
        degrees, stretch, shift: largest rotation, change of size (0.2: from 0.8 to 1.2) and shift (pixels).
        noise: largest deviation of the noise that is added, in grey levels: a judge should see what people see, and not
            tell a drawn image from a real one by what nobody does.
        mirror: whether half of the images are mirrored; changes what a digit is, but not an emoji's category.
        seed: of everything random.
    """

    images: int = 200_000
    batch: int = 64
    lr: float = 3e-3
    weight_decay: float = 0.05
    smoothing: float = 0.1
    degrees: float = 15.0
    stretch: float = 0.2
    shift: float = 3.0
    noise: float = 0.0
    mirror: bool = False
    seed: int = 0

    @property
    def steps(self) -> int:
        return self.images // self.batch

    def lr_at(self, step: int) -> float:
        ramp = min(1.0, 10 * (step + 1) / self.steps)
        return self.lr * ramp * 0.5 * (1 + math.cos(math.pi * step / self.steps))


@dataclass(frozen=True)
class ClassifierCard:
    """What a classifier is, what it was trained on and how often it is right on held-out images.

    Args:
        test_accuracy, test_images: share that is right of that many images: those that are not training images too, one
            of every group where there are groups.
        condition: what it judges, of images that have several labels; "" of those that have a class.
        tested_on: which images those are, in words; "" for the held-out ones of the data.
        classes: the names of what it tells apart, where they are known.
    """

    name: str
    network: ClassifierConfig
    data: str
    command: str
    images_seen: int
    seconds: float
    test_accuracy: float
    test_images: int
    sha256: str = ""
    condition: str = ""
    tested_on: str = ""
    classes: tuple[str, ...] = ()


def _unit(c_in: int, c_out: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(c_out), nn.ReLU(inplace=True))


class Classifier(nn.Module):
    """Two convolutions a level, an average over the pixels, one linear layer."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        # 2 x 2 pixels folded into channels: a CPU never computes at full resolution.
        inputs = [4 * config.channels, *config.widths[:-1]]
        self.body = nn.Sequential(
            nn.PixelUnshuffle(2),
            *(
                nn.Sequential(_unit(c_in, c_out, 1 if i == 0 else 2), _unit(c_out, c_out, 1))
                for i, (c_in, c_out) in enumerate(zip(inputs, config.widths, strict=True))
            ),
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.widths[-1], config.num_classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, C, H, W) in [-1, 1] to features (B, widths[-1]) and logits (B, num_classes)."""
        features = self.body(x).mean((2, 3))
        return features, self.head(self.dropout(features))


def augment(x: Tensor, training: ClassifierTraining, generator: torch.Generator) -> Tensor:
    """Each image of x (B, C, H, W) turned, resized, shifted, noised and perhaps mirrored at random, edges continued.

    One that is neither turned nor resized keeps its pixels as they are, for what can be told by them alone, as a style.
    """
    turn, size, dx, dy = torch.rand((4, len(x)), generator=generator) * 2 - 1
    angle, scale = turn * math.radians(training.degrees), 1 + size * training.stretch
    across = torch.ones(len(x))
    if training.mirror:
        across = torch.randint(2, (len(x),), generator=generator) * 2.0 - 1
    cos, sin = angle.cos() * scale, angle.sin() * scale
    dx, dy = dx * training.shift, dy * training.shift
    if training.degrees == training.stretch == 0:  # by whole pixels: what lies between them would blur the image
        dx, dy = dx.round(), dy.round()
    # affine_grid measures in half widths: a pixel is 2 / width.
    shift_x, shift_y = dx * 2 / x.shape[3], dy * 2 / x.shape[2]
    rows = [torch.stack([cos * across, -sin, shift_x], 1), torch.stack([sin * across, cos, shift_y], 1)]
    where = F.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    moved = F.grid_sample(x, where, padding_mode="border", align_corners=False)
    if training.noise:
        sigma = torch.rand((len(x), 1, 1, 1), generator=generator) * training.noise / 127.5
        moved = moved + sigma * torch.randn(x.shape, generator=generator)
    return moved


def train_classifier(data: ImageSet, config: ClassifierConfig, training: ClassifierTraining) -> Classifier:
    """Train on the CPU by cross-entropy; data with groups shows every group equally often."""
    torch.manual_seed(training.seed)  # of the first weights
    network = Classifier(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), lr=training.lr, weight_decay=training.weight_decay)
    network.train()
    for step in tqdm(range(training.steps), unit=" steps"):
        # Dropout draws from the global generator; another seed than below, or its masks would repeat those numbers.
        torch.manual_seed(training.seed * 2**32 + 2**31 + step)
        generator = torch.Generator().manual_seed(training.seed * 2**32 + step)
        batch = data[images_of_step(data, step, training.batch, training.seed, generator)]
        x = augment(to_unit(batch.images), training, generator)
        for group in optimizer.param_groups:
            group["lr"] = training.lr_at(step)
        logits = network(x.contiguous(memory_format=torch.channels_last))[1]
        loss = F.cross_entropy(logits, batch.labels, label_smoothing=training.smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval().requires_grad_(False)


@torch.inference_mode()
def classify(network: Classifier, images: Tensor, batch: int = 500) -> tuple[Tensor, Tensor]:
    """Features (N, F) float32 and the likeliest class (N,) int64 of images (N, C, H, W) uint8."""
    parts = [network(to_unit(part)) for part in images.split(batch)]
    return torch.cat([features for features, _ in parts]), torch.cat([logits.argmax(1) for _, logits in parts])


def accuracy(found: Tensor, labels: Tensor) -> float:
    """Share of the classes (N,) that are the labels (N,)."""
    return (found == labels).double().mean().item()


def once_each(data: ImageSet, seed: int = 0) -> ImageSet:
    """Every image once, or one member of every group, drawn at random as in training; in random order."""
    count = len(data) if data.groups is None else len(data.groups.unique())
    return data[images_of_step(data, 0, count, seed, torch.Generator().manual_seed(seed))] if count else data


def hold_out_variants(data: ImageSet, seed: int = 0) -> tuple[ImageSet, ImageSet]:
    """Images to learn from and others to be tested on: of every group of several one member, drawn at random.

    What knows every concept in every style cannot be tested on any that is new to it; but on a skin tone that is.

    Raises:
        DataError: no group of several.
    """
    chosen: dict[int, int] = {}
    for i in torch.randperm(len(data), generator=torch.Generator().manual_seed(seed)).tolist():
        chosen.setdefault(i if data.groups is None else int(data.groups[i]), i)
    out = torch.zeros(len(data), dtype=torch.bool)
    out[list(chosen.values())] = True
    if data.groups is not None:
        values, counts = data.groups.unique(return_counts=True)
        out &= counts[torch.searchsorted(values, data.groups)] > 1
    if data.groups is None or not out.any():
        raise DataError("No image is a variation of another, so that none can be held out to be tested on.")
    return data[(~out).nonzero()[:, 0]], data[out.nonzero()[:, 0]]


def make_classifier(path: Path, train: ImageSet, test: ImageSet, config: ClassifierConfig, training: ClassifierTraining,
                    *, about_data: str, command: str, **said: Any) -> ClassifierCard:  # fmt: skip
    """Train a classifier, test it on held-out images and write it to ``path`` (NAME.safetensors).

    Args:
        said: more for its card: condition, tested_on, classes.

    Raises:
        DataError: no test image that is not a training image too.
    """
    chosen = once_each(test.without(train))
    if not len(chosen):
        raise DataError("Every test image is a training image too.")
    started = time.monotonic()
    network = train_classifier(train, config, training)
    seconds = round(time.monotonic() - started)
    right = accuracy(classify(network, chosen.images)[1], chosen.labels)
    seen = training.steps * training.batch
    card = ClassifierCard(path.stem, config, about_data, command, seen, seconds, round(right, 4), len(chosen), **said)
    return save_classifier(path, network, card)


def save_classifier(path: Path, network: Classifier, card: ClassifierCard) -> ClassifierCard:
    """Write the weights (float16) and the card beside them; returns the card with the hash filled in."""
    write_weights(path, network, asdict(card))
    return read_classifier_card(path)


def read_classifier_card(path: Path) -> ClassifierCard:
    """The card of the classifier at ``path``.

    Raises:
        CheckpointError: no card, or one with fields missing or unknown.
    """

    def from_json(content: dict[str, Any]) -> ClassifierCard:
        network, classes = config_from(ClassifierConfig, content["network"]), tuple(content.get("classes", ()))
        return ClassifierCard(**(content | {"network": network, "classes": classes}))

    return read_card_as(path, from_json)


def load_classifier(name: str) -> tuple[Classifier, ClassifierCard]:
    """Load a shipped classifier by name, or one from a path to its .safetensors, onto the CPU.

    Raises:
        CheckpointError: not found, no readable card, a hash that does not match, or weights of another architecture.
    """
    path = find_weights(name, CLASSIFIERS)
    if path is None:
        raise CheckpointError(f"There is no classifier {name!r}.")
    card = read_classifier_card(path)
    network = Classifier(card.network)
    read_weights(path, card.sha256, network)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval().requires_grad_(False), card
