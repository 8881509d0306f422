"""The network prepared for sampling on a processor, against the network itself."""

import copy

import pytest
import torch
from torch import nn

from diffusion.networks.denoiser import NetworkDenoiser
from diffusion.networks.fast import FastUNet, _upsample
from diffusion.networks.model import load_model
from diffusion.networks.unet import UNetConfig
from tests.tiny import inputs, trained

CONFIGS = {
    "digits": UNetConfig(32, 1, (10,), widths=(48, 96, 128)),
    "no classes, no patches": UNetConfig(16, 3, (), patch=1, widths=(16, 32), blocks=1, attention=()),
    "few channels": UNetConfig(8, 1, (2,), widths=(12, 24), blocks=1, attention=(0,), dropout=0.5),
    "one level": UNetConfig(8, 3, (2,), widths=(64,), blocks=3, attention=(0,)),
    "modulated": UNetConfig(16, 1, (3,), widths=(24, 32), attention=(1,), modulate=True),
    "three conditions, scaled": UNetConfig(16, 3, (5, 1, 3), widths=(24, 32), attention=(1,), modulate="scale"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_in_full_precision_it_is_the_network(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffusion.networks.fast.DTYPE", torch.float32)
    network = trained(CONFIGS[name])
    x, log_snr, label = inputs(CONFIGS[name])
    with torch.inference_mode():
        for labels in (label, None):
            torch.testing.assert_close(FastUNet(network)(x, log_snr, labels), network(x, log_snr, labels),
                                       rtol=1e-3, atol=1e-4)  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_in_bfloat16_it_errs_less_than_autocast(name: str) -> None:
    network = trained(CONFIGS[name])
    x, log_snr, label = inputs(CONFIGS[name])
    with torch.inference_mode():
        exact = network(x, log_snr, label)
        with torch.autocast("cpu", torch.bfloat16):
            autocast = network(x, log_snr, label).float()
        fast = FastUNet(network)(x, log_snr, label)
    error, usual = ((found - exact).square().mean().sqrt().item() for found in (fast, autocast))
    assert fast.dtype == torch.float32
    assert 0 < error < 0.95 * usual


def test_it_keeps_the_network_as_it_is() -> None:
    network = trained(CONFIGS["few channels"])
    before = copy.deepcopy(network.state_dict())
    with torch.inference_mode():
        FastUNet(network)(*inputs(CONFIGS["few channels"]))
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]) and value.dtype == torch.float32


def test_a_sample_does_not_depend_on_its_batch() -> None:
    """But for rounding, which depends on how oneDNN splits the work."""
    network = FastUNet(trained(CONFIGS["digits"]))
    x, log_snr, label = inputs(CONFIGS["digits"])
    assert label is not None
    with torch.inference_mode():
        whole = network(x, log_snr, label)
        alone = network(x[2:3], log_snr[2:3], label[2:3])
    torch.testing.assert_close(alone, whole[2:3], rtol=0, atol=0.05 * whole.std().item())


def test_loading_for_bfloat16_prepares_the_network_and_float32_does_not() -> None:
    assert load_model("digits").denoiser.fast is None
    model = load_model("digits", precision=torch.bfloat16)
    assert model.denoiser.fast is not None
    x = torch.randn(2, *model.image_shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        exact = NetworkDenoiser(model.denoiser.network)(x, 0.3, torch.tensor([1, 2]))
        torch.testing.assert_close(model.denoiser(x, 0.3, torch.tensor([1, 2])), exact, rtol=0, atol=0.1)


def test_a_network_is_compiled_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def compile(network: nn.Module, mode: str) -> nn.Module:
        asked.append(mode)
        return network

    monkeypatch.setattr(torch, "compile", compile)
    load_model("digits", precision=torch.bfloat16)
    assert not asked
    assert load_model("digits", precision=torch.bfloat16, compiled=True).denoiser.fast is None
    assert asked == ["reduce-overhead"]


def test_enlarging_first_or_last_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffusion.networks.fast.DTYPE", torch.float32)
    torch.manual_seed(0)
    conv = nn.Conv2d(5, 7, 3, padding=1).requires_grad_(False)
    x = torch.randn(2, 5, 4, 6)
    expected = conv(nn.functional.interpolate(x, scale_factor=2.0, mode="nearest"))
    torch.testing.assert_close(_upsample(conv)(x), expected, rtol=1e-5, atol=1e-5)
