"""The network prepared for sampling on a processor, against the network itself."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from diffusion.device import best_precision
from diffusion.networks import fast
from diffusion.networks.denoiser import NetworkDenoiser
from diffusion.networks.fast import FastUNet, _upsample
from diffusion.networks.model import load_model
from diffusion.networks.unet import UNetConfig
from tests.tiny import inputs, trained
from ui.models import find_source, loaded_once

PRECISIONS = (torch.float32, torch.bfloat16)
CONFIGS = {
    "digits": UNetConfig(32, 1, (10,), widths=(48, 96, 128)),
    "no classes, no patches": UNetConfig(16, 3, (), patch=1, widths=(16, 32), blocks=1, attention=()),
    "few channels": UNetConfig(8, 1, (2,), widths=(12, 24), blocks=1, attention=(0,), dropout=0.5),
    "one level": UNetConfig(8, 3, (2,), widths=(64,), blocks=3, attention=(0,)),
    "modulated": UNetConfig(16, 1, (3,), widths=(24, 32), attention=(1,), modulate=True),
    "three conditions, scaled": UNetConfig(16, 3, (5, 1, 3), widths=(24, 32), attention=(1,), modulate="scale"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_in_full_precision_it_is_the_network(name: str) -> None:
    network = trained(CONFIGS[name])
    x, log_snr, label = inputs(CONFIGS[name])
    with torch.inference_mode():
        for labels in (label, None):
            found, exact = FastUNet(network, torch.float32)(x, log_snr, labels), network(x, log_snr, labels)
            torch.testing.assert_close(found, exact, rtol=0, atol=2e-5 * exact.abs().max().item())


@pytest.mark.parametrize("name", CONFIGS)
def test_in_bfloat16_it_errs_less_than_autocast(name: str) -> None:
    network = trained(CONFIGS[name])
    x, log_snr, label = inputs(CONFIGS[name])
    with torch.inference_mode():
        exact = network(x, log_snr, label)
        with torch.autocast("cpu", torch.bfloat16):
            autocast = network(x, log_snr, label).float()
        prepared = FastUNet(network, torch.bfloat16)(x, log_snr, label)
    error, usual = ((found - exact).square().mean().sqrt().item() for found in (prepared, autocast))
    assert prepared.dtype == torch.float32
    assert 0 < error < 0.95 * usual


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_it_keeps_the_network_as_it_is(dtype: torch.dtype) -> None:
    network = trained(CONFIGS["few channels"])
    before = copy.deepcopy(network.state_dict())
    with torch.inference_mode():
        FastUNet(network, dtype)(*inputs(CONFIGS["few channels"]))
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]) and value.dtype == torch.float32


@pytest.mark.parametrize(("dtype", "off"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_a_sample_does_not_depend_on_its_batch(dtype: torch.dtype, off: float) -> None:
    """But for rounding, which depends on how oneDNN splits the work."""
    network = FastUNet(trained(CONFIGS["digits"]), dtype)
    x, log_snr, label = inputs(CONFIGS["digits"])
    assert label is not None
    with torch.inference_mode():
        whole = network(x, log_snr, label)
        alone = network(x[2:3], log_snr[2:3], label[2:3])
    torch.testing.assert_close(alone, whole[2:3], rtol=0, atol=off * whole.std().item())


@pytest.mark.parametrize(("dtype", "off"), [(torch.float32, 1e-5), (torch.bfloat16, 0.1)])
def test_aloaded_once_network_is_prepared_for_its_precision(dtype: torch.dtype, off: float) -> None:
    model = load_model("digits", precision=dtype)
    assert model.denoiser.fast is not None
    x = torch.randn(2, *model.image_shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        exact = NetworkDenoiser(model.denoiser.network)(x, 0.3, torch.tensor([1, 2]))
        torch.testing.assert_close(model.denoiser(x, 0.3, torch.tensor([1, 2])), exact, rtol=0, atol=off)


def test_what_is_to_be_differentiated_is_left_to_the_network_itself() -> None:
    model = load_model("digits")
    x = torch.randn(2, *model.image_shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (slope,) = torch.autograd.grad(model.denoiser(x, 0.3).square().sum(), x)
    exact = NetworkDenoiser(model.denoiser.network)(x, 0.3)
    assert torch.equal(slope, torch.autograd.grad(exact.square().sum(), x)[0]) and slope.abs().max() > 0


@pytest.mark.parametrize(
    ("able", "best"), [({}, "no"), ({"avx512_bf16": True}, "bf16"), ({"avx512_bf16": False, "amx_bf16": True}, "bf16")]
)
def test_a_processor_is_asked_whether_it_computes_in_bfloat16(
    able: dict[str, bool], best: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert best_precision(torch.device("cpu")) == best
    loaded_once.cache_clear()
    try:
        assert find_source("digits").precision == {"no": "float32", "bf16": "bfloat16"}[best]
    finally:
        loaded_once.cache_clear()


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


def test_enlarging_first_or_last_is_the_same() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(5, 7, 3, padding=1).requires_grad_(False)
    x = torch.randn(2, 5, 4, 6)
    expected = conv(nn.functional.interpolate(x, scale_factor=2.0, mode="nearest"))
    torch.testing.assert_close(_upsample(conv, torch.float32)(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_norms_of_many_numbers_are_those_of_few(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = FastUNet(trained(CONFIGS[name]), torch.float32)
    with torch.inference_mode():
        few = network(*inputs(CONFIGS[name]))
        monkeypatch.setattr(fast, "LARGE", 0)
        torch.testing.assert_close(network(*inputs(CONFIGS[name])), few, rtol=0, atol=2e-5 * few.abs().max().item())


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_weights_in_the_order_of_a_shape_are_the_same_weights(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not fast.can_order(dtype):
        pytest.skip("PyTorch has oneDNN's convolutions apart on x86, in bfloat16 where the processor computes in it")
    conv = fast._conv(nn.Conv2d(24, 32, 3, padding=1), dtype)
    x = torch.randn(7, 24, 8, 8, generator=torch.Generator().manual_seed(0)).to(
        dtype, memory_format=torch.channels_last
    )
    with torch.inference_mode():
        found = [conv(x[:count]) for count in (1, 2, 7, 1)]
        assert len(conv.ordered) == fast.KEPT
        assert all(y.is_contiguous(memory_format=torch.channels_last) for y in found)
        monkeypatch.setattr(fast, "can_order", lambda dtype: False)
        for y in found:
            torch.testing.assert_close(y, conv(x[: len(y)]))


def test_two_who_ask_at_once_are_answered_as_one_alone() -> None:
    network = FastUNet(trained(CONFIGS["modulated"]), torch.float32)
    asked = [
        tuple(given[:count] for given in inputs(CONFIGS["modulated"]) if given is not None) for count in range(1, 6)
    ]
    alone = [network(*given) for given in asked]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda given: network(*given), asked * 4))
    for found, expected in zip(together, alone * 4, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * expected.abs().max().item())
