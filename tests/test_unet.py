"""A network that begins with the weights of a smaller one."""

from dataclasses import replace
from typing import Any, cast

import pytest
import torch

from diffusion.fast import FastUNet
from diffusion.unet import UNet, UNetConfig, grow
from tests.tiny import inputs, trained

CONFIG = UNetConfig(16, 1, 3, widths=(12, 24, 32), blocks=2, attention=(1, 2))


@torch.inference_mode()
@pytest.mark.parametrize(
    "change", [{}, {"blocks": 3}, {"blocks": 4}, {"modulate": True}, {"blocks": 3, "modulate": True}]
)
@pytest.mark.parametrize("levels", [1, 3])
@pytest.mark.parametrize("modulate", [False, True])
def test_a_grown_network_computes_the_same(change: dict[str, Any], levels: int, modulate: bool) -> None:
    start = trained(replace(CONFIG, widths=CONFIG.widths[:levels], attention=(levels - 1,), modulate=modulate))
    grown = grow(start, replace(start.config, **change)).eval()
    torch.testing.assert_close(grown(*inputs(CONFIG)), start(*inputs(CONFIG)), rtol=1e-5, atol=1e-5)


def test_every_weight_that_was_added_can_learn() -> None:
    grown = grow(trained(CONFIG), replace(CONFIG, blocks=3, modulate=True)).requires_grad_(True)
    x, log_snr, label = inputs(CONFIG)
    # Behind a last layer of zeros nothing has a gradient until that layer has made its first step.
    optimizer = torch.optim.SGD(grown.parameters(), lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        (grown(x, log_snr, label) - 1).square().mean().backward()
        optimizer.step()
    still = [name for name, parameter in grown.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert still == []


@pytest.mark.parametrize(
    "change", [{"blocks": 1}, {"modulate": False}, {"widths": (12, 24, 48)}, {"prediction": "eps"}]
)
def test_what_cannot_be_grown_is_refused(change: dict[str, Any]) -> None:
    start = UNet(replace(CONFIG, modulate=True))
    with pytest.raises(ValueError, match="can only grow in blocks"):
        grow(start, replace(start.config, **change))


@torch.inference_mode()
@pytest.mark.parametrize(("before", "after"), [(3, 5), (3, 1), (3, 3), (0, 4), (4, 0)])
def test_a_network_for_other_classes_begins_with_what_the_old_one_does_for_the_empty_one(
    before: int, after: int
) -> None:
    start = trained(replace(CONFIG, num_classes=before))
    grown = grow(start, replace(start.config, num_classes=after, blocks=3), same_classes=False).eval()
    x, log_snr, label = inputs(grown.config)
    torch.testing.assert_close(grown(x, log_snr, label), start(x, log_snr), rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_classes_that_are_the_same_are_kept_and_any_size_of_images_will_do() -> None:
    start = trained(CONFIG)
    grown = grow(start, replace(CONFIG, image_size=2 * CONFIG.image_size))
    assert torch.equal(cast(Any, grown.label).weight, cast(Any, start.label).weight)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("image_size", [0, -8, 8.0, "8", True, 10**9, None]),
        ("channels", [0, -1, 1.0]),
        ("num_classes", [-1, 1.5, None]),
        ("patch", [0, -1, 1.5]),
        ("widths", [(), (0,), (7, 14), (12.0,), ("12",), (-12,), (10**9,), (12,) * 9]),
        ("blocks", [0, -1, 1.5, 10**9, True]),
        ("dropout", [-0.1, 1.0, float("nan"), "0.1", None]),
        ("prediction", ["noise", None, ""]),
    ],
)
def test_what_no_network_can_be_built_of_is_refused(field: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(ValueError, match=r"must|predicts|at least"):
            replace(CONFIG, **{field: value})


@torch.inference_mode()
@pytest.mark.parametrize("widths", [(2, 2), (10, 7), (8, 200), (200, 130)])
def test_whatever_is_not_refused_computes(widths: tuple[int, ...]) -> None:
    config = replace(CONFIG, widths=widths, attention=(0, 1), blocks=1)
    for network in (UNet(config), FastUNet(UNet(config))):
        assert network(*inputs(config)).shape == inputs(config)[0].shape


@pytest.mark.parametrize("blocks", [0, -1])
def test_a_network_without_blocks_is_refused(blocks: int) -> None:
    with pytest.raises(ValueError, match=f"at least one block a level, not {blocks}"):
        replace(CONFIG, blocks=blocks)
