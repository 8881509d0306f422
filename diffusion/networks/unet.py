"""The network: a U-Net with residual blocks and self-attention, told the noise level and what is in the image.

The shape follows Ho et al. 2020 (arXiv 2006.11239, appendix B). Two things differ: it is conditioned on log-SNR instead
of a step index, so that it runs under any schedule; and it may fold ``patch`` x ``patch`` pixels into channels at the
entrance (and unfold them at the exit), so that a CPU never computes at full resolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffusion.checks import is_number, is_whole, shown
from diffusion.networks.embeddings import GuidanceEmbedding, Labels, NoiseLevelEmbedding, zeroed
from diffusion.networks.network import TrainableNetwork, check_conditions, check_prediction, config_from
from diffusion.process import Prediction

Modulation = bool | Literal["scale"]


@dataclass(frozen=True)
class UNetConfig:
    """Everything needed to build the network anew.

    Args:
        image_size, channels: the images, (channels, image_size, image_size).
        conditions: how many values each condition can have, besides the empty one; one number where images have a
            class each, none for an unconditional network.
        patch: pixels folded into channels along each side; 1 folds none.
        widths: channels at each level; each level after the first has half the resolution.
        blocks: residual blocks a level on the way down (one more on the way up).
        attention: levels with self-attention, 0 being the finest.
        dropout: probability, inside the residual blocks.
        modulate: noise level and conditions also scale and shift the features behind the second norm of each block
            (adaptive group normalisation, Dhariwal & Nichol 2021, arXiv 2105.05233, section 3), besides what they add
            before it; "scale" leaves the shift to that, for half of the weights.
        prediction: what the output means: eps, v or x0.
        guidance: the least and the largest scale of classifier-free guidance that it takes as an input, in place of
            being asked twice (Meng et al. 2022, arXiv 2210.03142, section 3.1); None if it takes none.
    """

    image_size: int
    channels: int
    conditions: tuple[int, ...]
    patch: int = 2
    widths: tuple[int, ...] = (64, 128, 256)
    blocks: int = 2
    attention: tuple[int, ...] = (1, 2)
    dropout: float = 0.0
    modulate: Modulation = False
    prediction: Prediction = "v"
    guidance: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Raises ValueError: no network can be built of these."""
        if not is_whole(self.blocks) or self.blocks < 1:
            raise ValueError(f"A network needs at least one block a level, not {shown(self.blocks)}.")
        most = {"image_size": 1024, "channels": 1024, "patch": 64, "blocks": 64}
        for name, high in most.items():
            value = getattr(self, name)
            if not is_whole(value) or not 1 <= value <= high:
                raise ValueError(f"{name} must be a whole number from 1 to {high}, not {shown(value)}.")
        check_conditions(self.conditions)
        if not 1 <= len(self.widths) <= 8 or not all(is_whole(width) and 1 <= width <= 8192 for width in self.widths):
            raise ValueError(f"Widths must be 1 to 8 whole numbers from 1 to 8192, not {shown(self.widths)}.")
        if self.widths[0] % 2:  # sines and cosines
            raise ValueError(f"The first of the widths must be even, not {self.widths[0]}.")
        if not is_number(self.dropout) or not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie between 0 and 1, and below 1, not {shown(self.dropout)}.")
        if self.modulate not in (False, True, "scale"):
            raise ValueError(f"modulate must be true, false or scale, not {shown(self.modulate)}.")
        check_prediction(self.prediction)
        if self.guidance is not None:
            self._check_guidance(self.guidance)
        fold = self.patch * 2 ** (len(self.widths) - 1)
        if self.image_size % fold:
            raise ValueError(f"{len(self.widths)} levels and patches of {self.patch} need an image size divisible by "
                             f"{fold}, not {self.image_size}.")  # fmt: skip

    def _check_guidance(self, given: tuple[float, float]) -> None:
        if len(given) != 2 or not all(is_number(scale) for scale in given) or not 0 <= given[0] < given[1] <= 100:
            raise ValueError(f"guidance must be two rising numbers from 0 to 100, not {shown(given)}.")
        if not self.conditions:
            raise ValueError("A network without conditions has nothing to be guided to; leave guidance out.")

    @property
    def empty(self) -> tuple[int, ...]:
        return self.conditions

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.channels, self.image_size, self.image_size

    def describe(self, parameters: int) -> str:
        told = " by noise level and class" if self.modulate else ""
        sides = ", ".join(f"{self.image_size // self.patch >> i} px" for i in self.attention)
        return (
            f"U-Net, {parameters / 1e6:.1f} M parameters, channels {' - '.join(map(str, self.widths))}, "
            f"{self.blocks} blocks a level{', modulated' + told if told else ''}, attention at {sides}, "
            f"patches of {self.patch} x {self.patch}, predicts {self.prediction}"
        )


def read_config(values: dict[str, Any]) -> UNetConfig:
    """The configuration of a card."""
    return config_from(UNetConfig, fields_of_today(values))


def fields_of_today(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of a configuration that may be of the time when images had one class or none, or before guidance."""
    values = {"guidance": None} | values
    if "num_classes" not in values:
        return values
    count = values["num_classes"]
    return {k: v for k, v in values.items() if k != "num_classes"} | {"conditions": (count,) if count else ()}


class Norm(nn.GroupNorm):
    """Group normalisation, in float32 under autocast too, as on a GPU: in bfloat16 a processor is slower at it."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float())


def _norm(channels: int) -> Norm:
    """32 groups, or as many as divide the channels; never one for each channel.

    A channel normalised alone forgets any constant added to it, and that is how noise level and class come in.
    """
    groups = math.gcd(32, channels)
    return Norm(groups if groups < channels else max(1, channels // 4), channels)


class ResidualBlock(nn.Module):
    def __init__(self, c_in: int, c_out: int, embedding: int, dropout: float, modulate: Modulation) -> None:
        super().__init__()
        self.norm1, self.conv1 = _norm(c_in), nn.Conv2d(c_in, c_out, 3, padding=1)
        self.condition = nn.Linear(embedding, c_out)
        parts = 1 if modulate == "scale" else 2
        self.modulation = zeroed(nn.Linear(embedding, parts * c_out)) if modulate else None
        self.norm2, self.dropout = _norm(c_out), nn.Dropout(dropout)
        self.conv2 = zeroed(nn.Conv2d(c_out, c_out, 3, padding=1))
        self.skip = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.norm2(h + self.condition(embedding)[:, :, None, None])
        if self.modulation is not None:
            scale, *shift = self.modulation(embedding)[:, :, None, None].split(h.shape[1], dim=1)
            h = h * (1 + scale)
            h = h + shift[0] if shift else h
        h = self.conv2(self.dropout(F.silu(h)))
        return self.skip(x) + h


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d)) v over (..., tokens, d)."""
    if q.device.type == "cpu":
        # So few tokens that the kernel below, which is for many, takes longer, above all backwards.
        return (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1) @ v
    return F.scaled_dot_product_attention(q, k, v)


class Attention(nn.Module):
    """Self-attention over the pixels of a feature map, one head for every 64 channels, or fewer that divide them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = next(heads for heads in range(max(1, channels // 64), 0, -1) if channels % heads == 0)
        self.norm = _norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        qkv = self.qkv(self.norm(x)).reshape(b, 3, self.heads, c // self.heads, h * w).transpose(-1, -2)
        q, k, v = qkv.unbind(1)
        mixed = attend(q, k, v)
        return x + self.out(mixed.transpose(-1, -2).reshape(b, c, h, w))


class Level(nn.Module):
    """A residual block, with attention behind it where the level has it."""

    def __init__(
        self, c_in: int, c_out: int, embedding: int, dropout: float, modulate: Modulation, attend: bool
    ) -> None:
        super().__init__()
        self.block = ResidualBlock(c_in, c_out, embedding, dropout, modulate)
        self.attention = Attention(c_out) if attend else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        return self.attention(self.block(x, embedding))


class UNet(TrainableNetwork):
    """(B, C, H, W) in, (B, C, H, W) out; what the output means is ``config.prediction``."""

    config: UNetConfig

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        widths, folded = config.widths, config.channels * config.patch**2
        embedding = 4 * widths[0]
        self.noise_level = NoiseLevelEmbedding(widths[0], embedding)
        self.label = Labels(config.conditions, embedding) if config.conditions else None
        self.guidance = GuidanceEmbedding(embedding) if config.guidance else None
        self.fold, self.unfold = nn.PixelUnshuffle(config.patch), nn.PixelShuffle(config.patch)
        self.enter = nn.Conv2d(folded, widths[0], 3, padding=1)

        def level(c_in: int, i: int) -> Level:
            return Level(c_in, widths[i], embedding, config.dropout, config.modulate, i in config.attention)

        self.down, self.downsample = nn.ModuleList(), nn.ModuleList()
        skips = [widths[0]]
        c = widths[0]
        for i, width in enumerate(widths):
            for _ in range(config.blocks):
                self.down.append(level(c, i))
                c = width
                skips.append(c)
            if i < len(widths) - 1:
                self.downsample.append(nn.Conv2d(c, c, 3, stride=2, padding=1))
                skips.append(c)
        self.middle1 = Level(c, c, embedding, config.dropout, config.modulate, attend=True)
        self.middle2 = ResidualBlock(c, c, embedding, config.dropout, config.modulate)
        self.up, self.upsample = nn.ModuleList(), nn.ModuleList()
        for i in reversed(range(len(widths))):
            for _ in range(config.blocks + 1):
                self.up.append(level(c + skips.pop(), i))
                c = widths[i]
            if i > 0:
                self.upsample.append(nn.Conv2d(c, c, 3, padding=1))
        self.exit_norm = _norm(c)
        self.exit = zeroed(nn.Conv2d(c, folded, 3, padding=1))

    def embed(self, log_snr: Tensor, label: Tensor | None, guidance: Tensor | None) -> Tensor:
        """What every block is told, (B, width): noise level, conditions and scale of guidance."""
        embedding = self.noise_level(log_snr)
        if self.label is not None:
            embedding = embedding + self.label(label)
        if self.guidance is not None:
            embedding = embedding + self.guidance(torch.ones_like(log_snr) if guidance is None else guidance)
        return F.silu(embedding)

    def forward(
        self, x_t: Tensor, log_snr: Tensor, label: Tensor | None = None, guidance: Tensor | None = None
    ) -> Tensor:
        """x_t (B, C, H, W); log_snr (B,) natural; label as ``Labels`` takes it, None for nothing said; guidance (B,), 1
        if it is None.
        """
        config = self.config
        embedding = self.embed(log_snr, label, guidance)

        h = self.enter(self.fold(x_t))
        skips = [h]
        for i in range(len(config.widths)):
            for j in range(config.blocks):
                h = self.down[i * config.blocks + j](h, embedding)
                skips.append(h)
            if i < len(config.widths) - 1:
                h = self.downsample[i](h)
                skips.append(h)
        h = self.middle2(self.middle1(h, embedding), embedding)
        for i in range(len(config.widths)):
            for j in range(config.blocks + 1):
                h = self.up[i * (config.blocks + 1) + j](torch.cat([h, skips.pop()], dim=1), embedding)
            if i < len(config.widths) - 1:
                h = self.upsample[i](F.interpolate(h, scale_factor=2.0, mode="nearest"))
        return self.unfold(self.exit(F.silu(self.exit_norm(h))))


@torch.no_grad()
def grow(start: UNet, config: UNetConfig, *, same_classes: bool = True) -> UNet:
    """A network of ``config`` that computes what ``start`` does, to go on training from (Chen et al. 2016, Net2Net,
    arXiv 1511.05641).

    With other classes, more or fewer of them, or none, it computes for every one what ``start`` does for the empty one.
    With several other conditions it does so where nothing is said, and nearly so where they are: they begin small.

    Args:
        config: that of ``start``, but with as many blocks a level or more, with modulation or not, with guidance as
            an input or not, and any dropout, image size and conditions.
        same_classes: whether as many classes, or conditions of as many values, are the same ones.

    Raises:
        ValueError: anything else differs, or blocks or the modulation would be lost.
    """
    old = start.config
    alike = replace(old, blocks=config.blocks, modulate=config.modulate, dropout=config.dropout,
                    image_size=config.image_size, conditions=config.conditions,
                    guidance=config.guidance)  # fmt: skip
    modulation_lost = bool(old.modulate) and old.modulate != config.modulate
    if config != alike or config.blocks < old.blocks or modulation_lost:
        names = [field.name for field in fields(old) if getattr(config, field.name) != getattr(alike, field.name)]
        names += ["blocks"] * (config.blocks < old.blocks) + ["modulate"] * modulation_lost
        changes = (f"{name} {shown(getattr(old, name))} to {shown(getattr(config, name))}" for name in names)
        raise ValueError(f"A network can only grow in blocks a level and modulation, not from {', '.join(changes)}.")
    if old.guidance and not config.guidance:
        raise ValueError("A network that takes guidance as an input goes on taking it.")
    network, added = UNet(config), config.blocks - old.blocks
    # On the way down blocks are added last: they pass on what they get, since their last layers are zero.
    down = [i * config.blocks + j for i in range(len(config.widths)) for j in range(old.blocks)]
    # On the way up they are added behind the first of a level, which may change the channels.
    levels = [range(i * (config.blocks + 1), (i + 1) * (config.blocks + 1)) for i in range(len(config.widths))]
    up = [k for level in levels for k in (level[0], *level[1 + added :])]
    apart = ("down", "up", "label")
    pairs = [(getattr(network, name), part) for name, part in start.named_children() if name not in apart]
    pairs += [(network.down[k], part) for k, part in zip(down, start.down, strict=True)]
    pairs += [(network.up[k], part) for k, part in zip(up, start.up, strict=True)]
    for part, before in pairs:
        part.load_state_dict(part.state_dict() | before.state_dict())  # the modulation may be new
    empty = torch.zeros(4 * config.widths[0]) if start.label is None else start.label(None)[0]
    if network.label is not None and start.label is not None and same_classes and config.conditions == old.conditions:
        network.label.load_state_dict(start.label.state_dict())
    elif network.label is not None and len(config.conditions) == 1:
        network.label.weight[:] = empty
    else:
        cast(nn.Linear, network.noise_level.mlp[-1]).bias.add_(empty)  # what it is added to
        if network.label is not None:
            nn.init.normal_(network.label.weight, std=0.3)  # the noise level's embedding has about 1
            network.label.weight[network.label.first + network.label.empty] = 0
    for k in (k for level in levels for k in level[1 : 1 + added]):
        skip = cast(Level, network.up[k]).block.skip
        assert isinstance(skip, nn.Conv2d) and skip.bias is not None
        nn.init.dirac_(skip.weight)  # the first half of the channels: not what comes from the way down
        nn.init.zeros_(skip.bias)
    return network
