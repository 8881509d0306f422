"""What a network is told of an image, and one that begins with the weights of another."""

from dataclasses import replace
from typing import Any, cast

import pytest
import torch

from diffusion.networks.embeddings import Labels
from diffusion.networks.fast import FastUNet
from diffusion.networks.unet import ResidualBlock, UNet, UNetConfig, fields_of_today, grow
from tests.tiny import inputs, trained

CONFIG = UNetConfig(16, 1, (3,), widths=(12, 24, 32), blocks=2, attention=(1, 2))


@torch.inference_mode()
def test_conditions_are_added_up_each_from_rows_of_its_own() -> None:
    labels, rows = Labels((3, 1, 2), 5), torch.arange(9)  # 3 + 1 + 2 values, and one for "not said" of each
    torch.nn.init.normal_(labels.weight)
    every = torch.cartesian_prod(torch.arange(4), torch.arange(2), torch.arange(3))
    first, second, third = labels.weight[rows].split([4, 2, 3])
    expected = torch.stack([first[i] + second[j] + third[k] for i, j, k in every.tolist()])
    torch.testing.assert_close(labels(every), expected)
    torch.testing.assert_close(labels(None), labels(torch.tensor([[3, 1, 2]])))


@torch.inference_mode()
def test_a_single_condition_is_a_class_with_the_weights_it_always_had() -> None:
    labels = Labels((4,), 6)
    assert labels.state_dict().keys() == {"weight"} and labels.weight.shape == (5, 6)
    classes = torch.arange(5)
    assert torch.equal(labels(classes), labels.weight) and torch.equal(labels(classes[:, None]), labels.weight)


@pytest.mark.parametrize(("classes", "conditions"), [(0, ()), (1, (1,)), (9, (9,))])
def test_the_number_of_classes_is_read_as_one_condition(classes: int, conditions: tuple[int, ...]) -> None:
    new = {"guidance": None}  # of before networks could take it
    assert fields_of_today({"channels": 3, "num_classes": classes}) == {"channels": 3, "conditions": conditions} | new
    assert fields_of_today({"channels": 3, "conditions": [2]}) == {"channels": 3, "conditions": [2]} | new
    today = {"conditions": [2], "guidance": [1, 4]}
    assert fields_of_today(today) == today


def test_a_condition_without_values_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        replace(CONFIG, conditions=(3, 0))


@torch.inference_mode()
def test_a_scale_alone_is_the_modulation_without_its_shift() -> None:
    both, scale = (ResidualBlock(16, 16, 8, 0.0, modulate) for modulate in (True, "scale"))
    assert both.modulation is not None and scale.modulation is not None
    torch.nn.init.normal_(both.modulation.weight[:16])
    torch.nn.init.normal_(both.conv2.weight)
    scale.load_state_dict(both.state_dict() | {"modulation.weight": both.modulation.weight[:16],
                                               "modulation.bias": both.modulation.bias[:16]})  # fmt: skip
    x, embedding = torch.randn(2, 16, 4, 4), torch.randn(2, 8)
    torch.testing.assert_close(scale(x, embedding), both(x, embedding))


@torch.inference_mode()
@pytest.mark.parametrize("conditions", [(5, 2, 3), (4,), ()])
def test_with_other_conditions_it_computes_the_same_where_nothing_is_said(conditions: tuple[int, ...]) -> None:
    start = trained(CONFIG)
    grown = grow(start, replace(CONFIG, conditions=conditions, modulate="scale")).eval()
    x, log_snr, _ = inputs(CONFIG)
    torch.testing.assert_close(grown(x, log_snr), start(x, log_snr), rtol=1e-5, atol=1e-5)
    if len(conditions) > 1:  # a class begins as the empty one, see below
        said = torch.zeros((len(x), len(conditions)), dtype=torch.int64)
        assert (grown(x, log_snr, said) - grown(x, log_snr)).abs().max() > 1e-3


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
    "change",
    [{"blocks": 1}, {"modulate": False}, {"modulate": "scale"}, {"widths": (12, 24, 48)}, {"prediction": "eps"}],
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
    old, new = ((count,) if count else () for count in (before, after))
    start = trained(replace(CONFIG, conditions=old))
    grown = grow(start, replace(start.config, conditions=new, blocks=3), same_classes=False).eval()
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
        ("conditions", [(-1,), (1.5,), (None,), (3, 0), (True,)]),
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
    plain = UNet(config)
    for network in (plain, FastUNet(plain, torch.float32), FastUNet(plain, torch.bfloat16)):
        assert network(*inputs(config)).shape == inputs(config)[0].shape


@pytest.mark.parametrize("blocks", [0, -1])
def test_a_network_without_blocks_is_refused(blocks: int) -> None:
    with pytest.raises(ValueError, match=f"at least one block a level, not {blocks}"):
        replace(CONFIG, blocks=blocks)
