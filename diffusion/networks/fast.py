"""The same network, prepared for sampling on a processor: in bfloat16 beforehand, and without PyTorch's slow paths.

Convolutions in bfloat16 take half of their time in float32, and then two thirds of the whole: what is left to gain is
the rest. Under autocast weights are copied at every call, and PyTorch's ``group_norm`` is slow in the order in which
convolutions are fast (channels last). Here weights are in bfloat16 beforehand, norms are sums and products in float32,
one product gives what noise level and class add in all blocks, and features are enlarged by convolutions of the small
ones. The convolutions at the entrance and the exit, which see x_t and make the prediction, stay in float32: they cost
little, and much of the rounding error would come from there. ``python -m benchmarks.sampling`` measures all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffusion.networks.unet import Attention, Level, ResidualBlock, UNet, attend

DTYPE = torch.bfloat16
# What noise level and class do in a block: added before its second norm (B, C), and its modulation (B, C or 2 C), if it
# has one.
_Condition = tuple[Tensor, Tensor | None]


@dataclass(frozen=True)
class _Conv:
    """A convolution with its weights in bfloat16 and channels last."""

    weight: Tensor
    bias: Tensor | None
    stride: tuple[int, ...]
    padding: tuple[int, ...]

    def __call__(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)


def _conv(module: nn.Module) -> _Conv:
    assert isinstance(module, nn.Conv2d) and isinstance(module.padding, tuple)
    weight = module.weight.detach().to(DTYPE, memory_format=torch.channels_last)
    bias = None if module.bias is None else module.bias.detach().to(DTYPE)
    return _Conv(weight, bias, module.stride, module.padding)


@dataclass(frozen=True)
class _Upsample:
    """Pixels made twice as large, then a 3 x 3 convolution with padding 1: as 2 x 2 convolutions of the small image.

    In an enlarged row two of the three pixels under the kernel (w_0, w_1, w_2) are one and the same: it is
    (w_0, w_1 + w_2) at even places and (w_0 + w_1, w_2) at odd ones. The same holds for columns, so that four kernels
    of four weights take the place of one of nine that is applied four times.
    """

    conv: _Conv

    def __call__(self, x: Tensor) -> Tensor:
        b, _, h, w = x.shape
        y = self.conv(x).unflatten(1, (2, 2, -1))
        out = torch.empty(b, y.shape[3], 2 * h, 2 * w, dtype=x.dtype, memory_format=torch.channels_last)
        for i in range(2):
            for j in range(2):
                out[:, :, i::2, j::2] = y[:, i, j, :, i : i + h, j : j + w]
        return out


def _upsample(module: nn.Module) -> _Upsample:
    assert isinstance(module, nn.Conv2d) and module.bias is not None
    kernels = _halves(_halves(module.weight.detach(), 2), 4)  # (columns 2, rows 2, out, in, 2, 2)
    weight = kernels.transpose(0, 1).flatten(0, 2).to(DTYPE, memory_format=torch.channels_last)
    return _Upsample(_Conv(weight, module.bias.detach().to(DTYPE).repeat(4), (1, 1), (1, 1)))


def _halves(kernel: Tensor, dim: int) -> Tensor:
    """A kernel of three along ``dim`` as two of two, for even places and odd ones, along a new first dimension."""
    w_0, w_1, w_2 = kernel.unbind(dim)
    return torch.stack([torch.stack([w_0, w_1 + w_2], dim), torch.stack([w_0 + w_1, w_2], dim)])


@dataclass(frozen=True)
class _Norm:
    """Group normalisation of x + shift, computed in float32."""

    groups: int
    eps: float
    weight: Tensor
    bias: Tensor

    def __call__(
        self, x: Tensor, shift: Tensor | None = None, modulation: Tensor | None = None, silu: bool = True
    ) -> Tensor:
        """(B, C, H, W) channels last, in any precision; float32 of the same shape and order.

        Args:
            shift: (B, C), added to x.
            modulation: (B, 2 C), the scale less one and the shift of what is normalised; (B, C) without a shift.
        """
        y = x.permute(0, 2, 3, 1).flatten(1, 2).float()  # (B, HW, C)
        if shift is not None:
            y = y + shift[:, None]
        count = y.shape[1] * y.shape[2] // self.groups
        mean, square = (
            total.unflatten(1, (self.groups, -1)).sum(2, keepdim=True) / count for total in (y.sum(1), (y * y).sum(1))
        )
        scale = (square - mean * mean + self.eps).rsqrt() * self.weight.unflatten(0, (self.groups, -1))
        offset, scale = self.bias - (mean * scale).flatten(1), scale.flatten(1)
        if modulation is not None:
            factor, *more = modulation.split(scale.shape[1], dim=1)
            scale, offset = scale * (1 + factor), offset * (1 + factor)
            offset = offset + more[0] if more else offset
        y = torch.mul(y, scale[:, None]).add_(offset[:, None])
        y = F.silu(y, inplace=True) if silu else y
        return y.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)


def _norm(module: nn.GroupNorm) -> _Norm:
    return _Norm(module.num_groups, module.eps, module.weight.detach(), module.bias.detach())


@dataclass(frozen=True)
class _Block:
    """ResidualBlock.forward, given what the embedding adds."""

    norm1: _Norm
    conv1: _Conv
    norm2: _Norm
    conv2: _Conv
    skip: _Conv | None

    def __call__(self, x: Tensor, condition: _Condition) -> Tensor:
        h = self.conv1(self.norm1(x).to(DTYPE))
        h = self.conv2(self.norm2(h, *condition).to(DTYPE))
        return h.add_(x if self.skip is None else self.skip(x))


def _block(module: ResidualBlock) -> _Block:
    skip = _conv(module.skip) if isinstance(module.skip, nn.Conv2d) else None
    return _Block(_norm(module.norm1), _conv(module.conv1), _norm(module.norm2), _conv(module.conv2), skip)


@dataclass(frozen=True)
class _Attention:
    """Attention.forward."""

    heads: int
    norm: _Norm
    qkv: _Conv
    out: _Conv

    def __call__(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        qkv = self.qkv(self.norm(x, silu=False).to(DTYPE))
        q, k, v = qkv.reshape(b, 3, self.heads, c // self.heads, h * w).transpose(-1, -2).unbind(1)
        mixed = attend(q, k, v)
        mixed = mixed.transpose(1, 2).reshape(b, h, w, c).permute(0, 3, 1, 2)  # channels last again
        return self.out(mixed).add_(x)


@dataclass(frozen=True)
class _Level:
    """Level.forward, given what the embedding adds."""

    block: _Block
    attention: _Attention | None

    def __call__(self, x: Tensor, condition: _Condition) -> Tensor:
        h = self.block(x, condition)
        return h if self.attention is None else self.attention(h)


def _level(module: nn.Module) -> _Level:
    assert isinstance(module, Level)
    block, attention = _block(module.block), module.attention
    if not isinstance(attention, Attention):
        return _Level(block, None)
    return _Level(block, _Attention(attention.heads, _norm(attention.norm), _conv(attention.qkv), _conv(attention.out)))


class FastUNet:
    """``UNet.forward`` of a trained network on the CPU, for sampling only.

    Its weights are copies in bfloat16: what is done to the network afterwards does not reach them.
    """

    def __init__(self, network: UNet) -> None:
        self._network = network
        self._down, self._up = [*map(_level, network.down)], [*map(_level, network.up)]
        self._middle1, self._middle2 = _level(network.middle1), _block(network.middle2)
        self._downsample, self._upsample = [*map(_conv, network.downsample)], [*map(_upsample, network.upsample)]
        self._exit_norm = _norm(network.exit_norm)
        # One product for what noise level and class add in all blocks; these are in the order in which they are run.
        blocks = [module for module in network.modules() if isinstance(module, ResidualBlock)]
        linears = [linear for block in blocks for linear in (block.condition, block.modulation) if linear is not None]
        self._weight = torch.cat([linear.weight.detach() for linear in linears])
        self._bias = torch.cat([linear.bias.detach() for linear in linears])
        self._widths = [linear.out_features for linear in linears]

    def __call__(
        self, x_t: Tensor, log_snr: Tensor, label: Tensor | None = None, guidance: Tensor | None = None
    ) -> Tensor:
        """As ``UNet.forward``: float32 in and out."""
        network, config = self._network, self._network.config
        embedding = network.embed(log_snr, label, guidance)
        parts = F.linear(embedding, self._weight, self._bias).split(self._widths, dim=1)
        conditions: Iterator[_Condition] = iter(
            zip(parts[::2], parts[1::2], strict=True) if config.modulate else ((part, None) for part in parts)
        )

        x = network.fold(x_t).contiguous(memory_format=torch.channels_last)
        h = network.enter(x).to(DTYPE)
        skips = [h]
        for i in range(len(config.widths)):
            for j in range(config.blocks):
                h = self._down[i * config.blocks + j](h, next(conditions))
                skips.append(h)
            if i < len(config.widths) - 1:
                h = self._downsample[i](h)
                skips.append(h)
        h = self._middle1(h, next(conditions))
        h = self._middle2(h, next(conditions))
        for i in range(len(config.widths)):
            for j in range(config.blocks + 1):
                h = torch.cat([h, skips.pop()], dim=1)
                h = self._up[i * (config.blocks + 1) + j](h, next(conditions))
            if i < len(config.widths) - 1:
                h = self._upsample[i](h)
        return network.unfold(network.exit(self._exit_norm(h)))
