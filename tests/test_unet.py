"""A network that begins with the weights of a smaller one."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from diffusion.unet import UNet, UNetConfig, grow
from tests.tiny import inputs, trained

CONFIG = UNetConfig(16, 1, (3,), widths=(12, 24, 32), blocks=2, attention=(1, 2))


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


@pytest.mark.parametrize("blocks", [0, -1])
def test_a_network_without_blocks_is_refused(blocks: int) -> None:
    with pytest.raises(ValueError, match=f"at least one block a level, not {blocks}"):
        replace(CONFIG, blocks=blocks)
