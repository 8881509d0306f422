"""Denoisers against direct float64 sums and against themselves: chunked, batched, in every prediction type."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Literal, cast

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch import Tensor, nn

from diffusion import process
from diffusion.denoiser import ExactDenoiser, Guided
from diffusion.images import to_unit
from diffusion.networks.denoiser import LOG_SNR_MAX, LOG_SNR_MIN, NetworkDenoiser
from diffusion.networks.unet import ResidualBlock, UNet, UNetConfig
from tests.tiny import trained

ROOT = Path(__file__).parent.parent
LEVELS = [1e-10, 0.01, 0.5, 0.99, 0.9999]


def images(n: int, seed: int = 0) -> Tensor:
    return torch.rand((n, 2, 3, 3), generator=torch.Generator().manual_seed(seed)) * 2 - 1


def noise(n: int, seed: int = 1) -> Tensor:
    return torch.randn((n, 2, 3, 3), generator=torch.Generator().manual_seed(seed))


def direct_eps(data: Tensor, x_t: Tensor, alpha_bar: float) -> np.ndarray:
    """The exact denoiser as its docstring has it, in float64 and all at once."""
    x, points = x_t.double().flatten(1).numpy(), data.double().flatten(1).numpy()
    distances = ((x[:, None] - alpha_bar**0.5 * points[None]) ** 2).sum(-1)
    x_0 = softmax(-distances / (2 * (1 - alpha_bar)), axis=1) @ points
    return ((x - alpha_bar**0.5 * x_0) / (1 - alpha_bar) ** 0.5).reshape(x_t.shape)


@pytest.mark.parametrize("alpha_bar", LEVELS)
@pytest.mark.parametrize("n", [1, 2, 7])
def test_exact_denoiser_is_the_direct_softmax(n: int, alpha_bar: float) -> None:
    data = images(n)
    x_t = process.q_sample(images(5, seed=2), alpha_bar, noise(5))
    found = ExactDenoiser(data)(x_t, alpha_bar)
    np.testing.assert_allclose(found.numpy(), direct_eps(data, x_t, alpha_bar), rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("alpha_bar", LEVELS)
def test_the_chunk_changes_nothing(alpha_bar: float) -> None:
    data, x_t = images(10), noise(4)
    whole = ExactDenoiser(data)(x_t, alpha_bar)
    for chunk in (1, 3, 10):
        torch.testing.assert_close(ExactDenoiser(data, chunk=chunk)(x_t, alpha_bar), whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("alpha_bar", LEVELS)
def test_given_a_class_the_exact_denoiser_knows_only_its_images(alpha_bar: float) -> None:
    data, classes = images(9), torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 2])
    x_t, asked = noise(5), torch.tensor([0, 1, 2, 3, 1])  # nothing is of class 3, the empty one
    found = ExactDenoiser(data, classes, chunk=2)(x_t, alpha_bar, asked)
    for i, label in enumerate(asked.tolist()):
        known = data[classes == label] if label < 3 else data
        alone = direct_eps(known, x_t[i : i + 1], alpha_bar)
        np.testing.assert_allclose(found[i : i + 1].numpy(), alone, rtol=1e-4, atol=2e-4)
    torch.testing.assert_close(ExactDenoiser(data, classes)(x_t, alpha_bar), ExactDenoiser(data)(x_t, alpha_bar))


def test_the_exact_denoiser_takes_images_as_bytes() -> None:
    grey = (images(7) * 127.5 + 127.5).round().to(torch.uint8)
    x_t = noise(3)
    torch.testing.assert_close(ExactDenoiser(grey)(x_t, 0.6), ExactDenoiser(to_unit(grey))(x_t, 0.6), rtol=0, atol=0)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.slow
def test_sixty_thousand_images_stay_below_a_gigabyte() -> None:
    """All that a process holds, Python and torch included, with 60,000 images of 32 x 32 in colour."""
    code = """
import torch
from diffusion.denoiser import ExactDenoiser
images = torch.randint(0, 256, (60_000, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
exact = ExactDenoiser(images, torch.arange(60_000) % 10)
x_t = images[:16] / 127.5 - 1
level = torch.linspace(0.001, 0.999, 16, dtype=torch.float64)
with torch.inference_mode():
    found = exact(0.5 * x_t, level, torch.arange(16) % 10)
assert found.isfinite().all()
# The peak of this program alone: that of getrusage begins with its parent's.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 < 1e9


@pytest.mark.parametrize("alpha_bar", [0.0, 1e-300, 1e-20, 1 - 1e-6, 1 - 1e-9, 1 - 2**-53])
def test_exact_denoiser_is_finite_at_both_ends(alpha_bar: float) -> None:
    exact, x_t = ExactDenoiser(images(6)), images(3, seed=5)
    assert exact(x_t, alpha_bar).isfinite().all()
    assert exact(x_t, torch.full((3,), alpha_bar, dtype=torch.float64)).isfinite().all()


def test_exact_denoiser_finds_the_noise_on_one_of_its_images() -> None:
    data, eps = images(6), noise(6)
    found = ExactDenoiser(data)(process.q_sample(data, 0.999, eps), 0.999)
    torch.testing.assert_close(found, eps, rtol=1e-3, atol=1e-3)


def test_exact_denoiser_of_pure_noise_guesses_the_mean() -> None:
    data, x_t = images(6), noise(3)
    x_0 = process.x0_from_eps(x_t.double(), ExactDenoiser(data)(x_t, 1e-6).double(), 1e-6)
    torch.testing.assert_close(x_0, data.double().mean(0).expand_as(x_0), rtol=0, atol=0.02)


@dataclasses.dataclass
class StubNetwork(nn.Module):
    """Stands for a network that finds eps = tanh(x_t + log_snr / 10), told in the words of ``prediction``."""

    prediction: Literal["eps", "v", "x0"]

    def __post_init__(self) -> None:
        super().__init__()
        self.config = UNetConfig(3, 2, (4,), patch=1, widths=(8,), prediction=self.prediction)

    def forward(self, x_t: Tensor, log_snr: Tensor, label: Tensor | None = None) -> Tensor:
        self.seen = log_snr
        alpha_bar = log_snr.double().sigmoid()[:, None, None, None]
        eps = (x_t + log_snr[:, None, None, None] / 10).tanh().double()
        x_0 = process.x0_from_eps(x_t.double(), eps, alpha_bar)
        return {"eps": eps, "x0": x_0, "v": process.v_from_x0_eps(x_0, eps, alpha_bar)}[self.prediction].float()


def stub(prediction: Literal["eps", "v", "x0"]) -> NetworkDenoiser:
    return NetworkDenoiser(cast(UNet, StubNetwork(prediction)))


@pytest.mark.parametrize("alpha_bar", [0.001, 0.2, 0.9, 0.999])
@pytest.mark.parametrize("prediction", ["eps", "v", "x0"])
def test_every_prediction_type_gives_the_same_eps(prediction: Literal["eps", "v", "x0"], alpha_bar: float) -> None:
    x_t = noise(4)
    expected = (x_t + float(np.log(alpha_bar / (1 - alpha_bar))) / 10).tanh()
    torch.testing.assert_close(stub(prediction)(x_t, alpha_bar), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(("alpha_bar", "log_snr"), [(0.0, LOG_SNR_MIN), (0.5, 0.0), (1 - 2**-53, LOG_SNR_MAX)])
def test_the_network_is_told_a_finite_log_snr(alpha_bar: float, log_snr: float) -> None:
    denoiser = stub("eps")
    denoiser(noise(3), alpha_bar)
    assert cast(StubNetwork, denoiser.network).seen.tolist() == [log_snr] * 3


def unet() -> NetworkDenoiser:
    """A U-Net with random weights everywhere, the last layers, which begin at zero, among them."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    network = UNet(UNetConfig(8, 1, (3,), widths=(8, 16), blocks=1, attention=(1,))).eval().requires_grad_(False)
    for parameter in network.parameters():
        if not parameter.any():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return NetworkDenoiser(network)


@pytest.mark.parametrize("denoiser", [ExactDenoiser(images(6)), stub("eps"), stub("v"), stub("x0")])
def test_a_level_for_each_image_is_as_asking_for_each_alone(denoiser: ExactDenoiser | NetworkDenoiser) -> None:
    levels, x_t = [0.001, 0.3, 0.7, 0.99], noise(4)
    together = denoiser(x_t, torch.tensor(levels, dtype=torch.float64))
    alone = torch.cat([denoiser(x[None], level) for x, level in zip(x_t, levels, strict=True)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_unet_treats_each_image_by_its_own_level_and_label() -> None:
    denoiser, levels, labels = unet(), [0.01, 0.5, 0.95], torch.tensor([0, 1, 3])
    x_t = torch.randn((3, 1, 8, 8), generator=torch.Generator().manual_seed(3))
    together = denoiser(x_t, torch.tensor(levels, dtype=torch.float64), labels)
    alone = [denoiser(x_t[i : i + 1], levels[i], labels[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(together, denoiser(x_t, torch.tensor(levels, dtype=torch.float64)), atol=1e-3)


@torch.no_grad()
def test_no_label_is_the_empty_class() -> None:
    denoiser, x_t = unet(), torch.randn((2, 1, 8, 8), generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(denoiser(x_t, 0.3), denoiser(x_t, 0.3, torch.tensor([3, 3])))


@pytest.mark.parametrize(
    "config",
    [
        UNetConfig(8, 1, (), patch=1, widths=(8,), blocks=1, attention=()),
        UNetConfig(8, 3, (2,), patch=2, widths=(8, 16), blocks=2, attention=(0, 1)),
        UNetConfig(16, 1, (5,), patch=2, widths=(8, 16, 24), blocks=1, attention=(2,)),
    ],
)
def test_a_new_unet_of_any_shape_says_nothing_yet(config: UNetConfig) -> None:
    x = torch.randn(2, config.channels, config.image_size, config.image_size)
    out = UNet(config)(x, torch.zeros(2))
    assert out.shape == x.shape and not out.any()


@torch.no_grad()
@pytest.mark.parametrize("width", [8, 16, 24, 32, 48, 64, 96])
def test_a_unet_of_any_width_listens_to_noise_level_and_label(width: int) -> None:
    """Normalising each channel alone would undo the constant by which both come in."""
    torch.manual_seed(0)
    block = ResidualBlock(width, width, 4, dropout=0.0, modulate=False)
    torch.nn.init.normal_(block.conv2.weight)
    x = torch.randn(1, width, 6, 6)
    assert (block(x, torch.ones(1, 4)) - block(x, -torch.ones(1, 4))).abs().max() > 0.1


class Counting:
    """eps = x_t + label + alpha_bar, and a record of the batches it was asked for."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
        self.batches.append(len(x_t))
        level = alpha_bar if isinstance(alpha_bar, float) else alpha_bar.float()[:, None, None, None]
        return x_t + level + (0.0 if label is None else label[:, None, None, None])


def test_guidance_of_scale_one_is_the_denoiser_in_one_call() -> None:
    inner, x_t, label = Counting(), noise(3), torch.tensor([0, 1, 2])
    assert torch.equal(Guided(inner, 1.0, empty=9)(x_t, 0.5, label), Counting()(x_t, 0.5, label))
    assert inner.batches == [3]


def test_guidance_without_a_label_is_the_denoiser_in_one_call() -> None:
    inner, x_t = Counting(), noise(3)
    assert torch.equal(Guided(inner, 4.0, empty=9)(x_t, 0.5), Counting()(x_t, 0.5))
    assert inner.batches == [3]


@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0, -1.0])
def test_guidance_goes_from_the_empty_class_towards_the_label_in_one_doubled_call(scale: float) -> None:
    inner, x_t, label = Counting(), noise(3), torch.tensor([0, 1, 2])
    levels = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    for alpha_bar in (0.5, levels):
        with_label = Counting()(x_t, alpha_bar, label)
        without = Counting()(x_t, alpha_bar, torch.full((3,), 9))
        expected = (1 - scale) * without + scale * with_label
        torch.testing.assert_close(Guided(inner, scale, empty=9)(x_t, alpha_bar, label), expected)
    assert inner.batches == [6, 6]


@torch.inference_mode()
def test_guidance_leaves_out_all_of_several_conditions() -> None:
    config = UNetConfig(8, 1, (4, 2, 3), widths=(12,), blocks=1, attention=())
    inner, x_t = NetworkDenoiser(trained(config)), torch.randn(3, 1, 8, 8)
    label = torch.tensor([[0, 1, 2], [4, 0, 3], [3, 2, 1]])
    expected = 3 * inner(x_t, 0.5, label) - 2 * inner(x_t, 0.5)
    torch.testing.assert_close(Guided(inner, 3.0, config.conditions)(x_t, 0.5, label), expected, rtol=1e-4, atol=1e-4)


def test_bfloat16_computes_the_same_to_its_own_precision() -> None:
    x_t = torch.randn((3, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    exact, rounded = unet()(x_t, 0.5), dataclasses.replace(unet(), precision=torch.bfloat16)(x_t, 0.5)
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).abs().max() < 0.03 * exact.abs().max()


@pytest.mark.parametrize("alpha_bar", [0.0, 1e-9, 0.3, 1 - 1e-9, 1.0])
def test_a_level_asks_the_same_as_a_number_and_as_a_tensor(alpha_bar: float) -> None:
    asked: list[Tensor] = []

    class Listening(UNet):
        def forward(
            self, x_t: Tensor, log_snr: Tensor, label: Tensor | None = None, guidance: Tensor | None = None
        ) -> Tensor:
            asked.append(log_snr)
            return x_t

    denoiser = NetworkDenoiser(Listening(UNetConfig(8, 1, (), widths=(12,), attention=(), prediction="eps")))
    x = torch.zeros(2, 1, 8, 8)
    denoiser(x, alpha_bar)
    denoiser(x, torch.full((2,), alpha_bar, dtype=torch.float64))
    torch.testing.assert_close(asked[0], asked[1])
    assert asked[0].dtype == torch.float32 and asked[0].shape == (2,)
