"""The same network, prepared for sampling on a processor: in its precision beforehand, without PyTorch's slow paths.

In float32 five sixths of the time are multiplications in convolutions, which run about as fast as the cores multiply;
in bfloat16, where a processor computes in it, they take half of that. What is left to gain is the rest:

- weights are in the precision and in the order (channels last) in which convolutions are fast, and so are features;
- every operation is a pass over the features, and a place where threads wait for one another: they are few, and in
  place where that can be. In bfloat16 PyTorch's ``group_norm`` is slow in this order, and norms are sums and products
  in float32, with what noise level and class add in their factors;
- one product gives what noise level and class do in all blocks;
- features are enlarged by convolutions of the small ones.

The convolutions at the entrance and the exit, which see x_t and make the prediction, stay in float32: they cost
little, and much of the rounding error would come from there. ``python -m benchmarks.sampling`` measures all of it.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffusion.networks.unet import Attention, Level, ResidualBlock, UNet, attend

# What noise level and class do in a block: added before its second norm (B, C), and its modulation (B, C or 2 C), if it
# has one.
_Condition = tuple[Tensor, Tensor | None]
# Numbers from which on PyTorch's ``group_norm`` takes longer, channels last, than a dozen operations that do the same.
LARGE = 2**17
KEPT = 2  # shapes, for which each convolution keeps its weights: two may be sampling


@cache
def can_order(dtype: torch.dtype) -> bool:
    """Whether PyTorch has oneDNN's convolutions apart, as its own compiler calls them, here and in this precision."""
    if platform.machine().lower() not in ("x86_64", "amd64") or not torch.backends.mkldnn.is_available():
        return False
    names = ("_convolution_pointwise", "_reorder_convolution_weight", "_is_mkldnn_bf16_supported")
    if not all(hasattr(torch.ops.mkldnn, name) for name in names):
        return False
    return dtype == torch.float32 or torch.ops.mkldnn._is_mkldnn_bf16_supported()


@dataclass(frozen=True)
class _Conv:
    """A convolution, channels last, in the precision of its weights.

    oneDNN wants weights in an order that depends on the shape of what it is given and on the number of threads, and
    brings them into it at every call, which for a few small images takes as long as the convolution. Those of the last
    shapes are kept.
    """

    weight: Tensor
    bias: Tensor | None
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    ordered: dict[tuple[int, ...], Tensor] = field(default_factory=dict)

    def __call__(self, x: Tensor) -> Tensor:
        if not can_order(self.weight.dtype) or self.weight.shape[2:] == (1, 1):  # which are as fast in any order
            return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)
        shape = (*x.shape, torch.get_num_threads())
        weight = self.ordered.get(shape)
        if weight is None:
            weight = torch.ops.mkldnn._reorder_convolution_weight(
                self.weight, self.padding, self.stride, (1, 1), 1, x.shape
            )
            if len(self.ordered) >= KEPT:
                self.ordered.pop(next(iter(self.ordered), shape), None)
            self.ordered[shape] = weight
        return torch.ops.mkldnn._convolution_pointwise.default(
            x, weight, self.bias, self.padding, self.stride, (1, 1), 1, "none", [], ""
        )


def _conv(module: nn.Module, dtype: torch.dtype) -> _Conv:
    assert isinstance(module, nn.Conv2d) and isinstance(module.padding, tuple)
    weight = module.weight.detach().to(dtype, copy=True, memory_format=torch.channels_last)
    bias = None if module.bias is None else module.bias.detach().to(dtype, copy=True)
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


def _upsample(module: nn.Module, dtype: torch.dtype) -> _Upsample:
    assert isinstance(module, nn.Conv2d) and module.bias is not None
    kernels = _halves(_halves(module.weight.detach(), 2), 4)  # (columns 2, rows 2, out, in, 2, 2)
    weight = kernels.transpose(0, 1).flatten(0, 2).to(dtype, memory_format=torch.channels_last)
    return _Upsample(_Conv(weight, module.bias.detach().to(dtype).repeat(4), (1, 1), (1, 1)))


def _halves(kernel: Tensor, dim: int) -> Tensor:
    """A kernel of three along ``dim`` as two of two, for even places and odd ones, along a new first dimension."""
    w_0, w_1, w_2 = kernel.unbind(dim)
    return torch.stack([torch.stack([w_0, w_1 + w_2], dim), torch.stack([w_0 + w_1, w_2], dim)])


@dataclass(frozen=True)
class _Norm:
    """Group normalisation of x + shift, computed in float32, then SiLU; given in the precision of what follows."""

    groups: int
    eps: float
    weight: Tensor
    bias: Tensor
    dtype: torch.dtype

    def __call__(
        self, x: Tensor, shift: Tensor | None = None, modulation: Tensor | None = None, silu: bool = True
    ) -> Tensor:
        """(B, C, H, W) channels last, in the precision of what came before; of the same shape and order.

        Args:
            shift: (B, C), added to x, which is overwritten.
            modulation: (B, 2 C), the scale and the shift of what is normalised; (B, C) without a shift.
        """
        if x.dtype == torch.bfloat16 or x.numel() >= LARGE:
            return self._from_sums(x, shift, modulation, silu)
        if shift is not None:
            x = x.add_(shift[:, :, None, None])
        y = F.group_norm(x, self.groups, self.weight, self.bias, self.eps)
        if modulation is not None:
            scale, *more = modulation[:, :, None, None].split(y.shape[1], dim=1)
            y = torch.addcmul(more[0], y, scale) if more else y.mul_(scale)
        return (F.silu(y, inplace=True) if silu else y).to(self.dtype)

    def _from_sums(self, x: Tensor, shift: Tensor | None, modulation: Tensor | None, silu: bool) -> Tensor:
        """The same: with the sums over its pixels, of a channel and of its squares, those of what is shifted are known
        too, and all that a channel goes through is one product and one sum.
        """
        y = x.permute(0, 2, 3, 1).flatten(1, 2).float()  # (B, HW, C)
        pixels, channels = y.shape[1:]
        total, square = y.sum(1), (y * y).sum(1)
        if shift is not None:
            square = square + shift * (2 * total + pixels * shift)
            total = total + pixels * shift
        count = pixels * channels // self.groups
        mean, square = (of.unflatten(1, (self.groups, -1)).sum(2, keepdim=True) / count for of in (total, square))
        scale = (square - mean * mean + self.eps).rsqrt() * self.weight.unflatten(0, (self.groups, -1))
        offset, scale = self.bias - (mean * scale).flatten(1), scale.flatten(1)
        if shift is not None:
            offset = offset + shift * scale
        if modulation is not None:
            factor, *more = modulation.split(channels, dim=1)
            scale, offset = scale * factor, offset * factor
            offset = offset + more[0] if more else offset
        y = torch.addcmul(offset[:, None], y, scale[:, None])
        y = F.silu(y, inplace=True) if silu else y
        return y.to(self.dtype).unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)


def _norm(module: nn.GroupNorm, dtype: torch.dtype) -> _Norm:
    weight, bias = (given.detach().clone() for given in (module.weight, module.bias))
    return _Norm(module.num_groups, module.eps, weight, bias, dtype)


@dataclass(frozen=True)
class _Block:
    """ResidualBlock.forward, given what the embedding adds."""

    norm1: _Norm
    conv1: _Conv
    norm2: _Norm
    conv2: _Conv
    skip: _Conv | None

    def __call__(self, x: Tensor, condition: _Condition) -> Tensor:
        h = self.conv1(self.norm1(x))
        h = self.conv2(self.norm2(h, *condition))
        return h.add_(x if self.skip is None else self.skip(x))


def _block(module: ResidualBlock, dtype: torch.dtype) -> _Block:
    skip = _conv(module.skip, dtype) if isinstance(module.skip, nn.Conv2d) else None
    norm1, norm2 = _norm(module.norm1, dtype), _norm(module.norm2, dtype)
    return _Block(norm1, _conv(module.conv1, dtype), norm2, _conv(module.conv2, dtype), skip)


@dataclass(frozen=True)
class _Attention:
    """Attention.forward."""

    heads: int
    norm: _Norm
    qkv: _Conv
    out: _Conv

    def __call__(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        qkv = self.qkv(self.norm(x, silu=False))
        q, k, v = qkv.permute(0, 2, 3, 1).reshape(b, h * w, 3, self.heads, c // self.heads).transpose(1, 3).unbind(2)
        mixed = attend(q, k, v)  # (B, heads, tokens, channels of a head)
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


def _level(module: nn.Module, dtype: torch.dtype) -> _Level:
    assert isinstance(module, Level)
    block, attention = _block(module.block, dtype), module.attention
    if not isinstance(attention, Attention):
        return _Level(block, None)
    qkv, out = _conv(attention.qkv, dtype), _conv(attention.out, dtype)
    return _Level(block, _Attention(attention.heads, _norm(attention.norm, dtype), qkv, out))


class FastUNet:
    """``UNet.forward`` of a trained network on the CPU, for sampling only: nothing can be learnt through it.

    What it computes with are copies: what is done to the network afterwards does not reach all of them.

    Args:
        dtype: what its convolutions and products are computed in, float32 or bfloat16; the latter only where the
            processor computes in it, else it takes many times longer.
    """

    def __init__(self, network: UNet, dtype: torch.dtype) -> None:
        self._network, self._dtype = network, dtype
        self._enter, self._exit = _conv(network.enter, torch.float32), _conv(network.exit, torch.float32)
        self._down, self._up = ([_level(level, dtype) for level in levels] for levels in (network.down, network.up))
        self._middle1, self._middle2 = _level(network.middle1, dtype), _block(network.middle2, dtype)
        self._downsample = [_conv(module, dtype) for module in network.downsample]
        self._upsample = [_upsample(module, dtype) for module in network.upsample]
        self._exit_norm = _norm(network.exit_norm, torch.float32)
        # One product for what noise level and class do in all blocks; these are in the order in which they are run.
        blocks = [module for module in network.modules() if isinstance(module, ResidualBlock)]
        linears = [linear for block in blocks for linear in (block.condition, block.modulation) if linear is not None]
        biases = [linear.bias.detach().clone() for linear in linears]
        if network.config.modulate:  # what is learnt of a scale is how far it is from one
            for block, bias in zip(blocks, biases[1::2], strict=True):
                bias[: block.norm2.num_channels] += 1
        self._weight, self._bias = torch.cat([linear.weight.detach() for linear in linears]), torch.cat(biases)
        self._widths = [linear.out_features for linear in linears]

    @torch.no_grad()
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
        h = self._enter(x).to(self._dtype)
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
        return network.unfold(self._exit(self._exit_norm(h)))
