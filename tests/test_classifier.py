"""The classifier that judges: what training shows it, that it can be made again, and what comes with the project."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusion.cli.main import main
from diffusion.data.folders import BUNDLED
from diffusion.data.sets import DataError, ImageSet, joined, load_npz
from diffusion.evaluation import classifier
from diffusion.evaluation.classifier import (
    Classifier,
    ClassifierConfig,
    ClassifierTraining,
    accuracy,
    augment,
    classify,
    hold_out_variants,
    load_classifier,
    make_classifier,
    once_each,
    train_classifier,
)
from diffusion.networks.checkpoint import CheckpointError

CONFIG = ClassifierConfig(1, 2, widths=(8, 16))
SHORT = ClassifierTraining(images=64, batch=16)
STILL: dict[str, Any] = {"degrees": 0.0, "stretch": 0.0, "shift": 0.0}
SIDE, RADIUS = 32, 8.0


def two_classes(count: int, seed: int) -> ImageSet:
    """Dark noise, and light noise."""
    images = torch.randint(0, 100, (count, 1, 8, 8), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    labels = torch.arange(count) % 2
    return ImageSet(images + 150 * labels[:, None, None, None].to(torch.uint8), labels)


def axis() -> Tensor:
    """Pixel centres, zero in the middle of the image."""
    return torch.arange(SIDE) + 0.5 - SIDE / 2


def spots(count: int) -> Tensor:
    """Soft spots to the right of the middle, on nothing."""
    y, x = torch.meshgrid(axis(), axis(), indexing="ij")
    return (-((x - RADIUS) ** 2 + y**2) / 4).exp().repeat(count, 1, 1, 1)


def positions(x: Tensor) -> tuple[Tensor, Tensor]:
    """Where each spot is, in pixels from the middle: to the right and down."""
    total = x.sum((1, 2, 3))
    return (x.sum((1, 2)) * axis()).sum(1) / total, (x.sum((1, 3)) * axis()).sum(1) / total


def augmented(**settings: Any) -> tuple[Tensor, Tensor]:
    return positions(augment(spots(400), ClassifierTraining(**settings), torch.Generator().manual_seed(0)))


def test_an_image_that_may_not_change_does_not() -> None:
    x = torch.rand(5, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = augment(x, ClassifierTraining(**STILL), torch.Generator().manual_seed(0))
    torch.testing.assert_close(found, x, rtol=1e-4, atol=1e-4)


def test_images_turn_about_their_middle_by_at_most_the_given_angle() -> None:
    right, down = augmented(**(STILL | {"degrees": 15.0}))
    torch.testing.assert_close(torch.hypot(right, down), torch.full((400,), RADIUS), rtol=0.01, atol=0)
    angle = torch.atan2(down, right).rad2deg()
    assert 14 < angle.max() < 15.2 and -15.2 < angle.min() < -14


def test_images_grow_and_shrink_by_at_most_the_given_share() -> None:
    right, down = augmented(**(STILL | {"stretch": 0.2}))
    assert down.abs().max() < 0.01
    assert RADIUS / 1.205 < right.min() < RADIUS / 1.18 and RADIUS / 0.82 < right.max() < RADIUS / 0.795


def test_images_shift_by_at_most_the_given_pixels() -> None:
    right, down = augmented(**(STILL | {"shift": 3.0}))
    for moved in (right - RADIUS, down):
        assert 2.8 < moved.max() < 3.02 and -3.02 < moved.min() < -2.8
    assert abs(torch.corrcoef(torch.stack([right, down]))[0, 1]) < 0.2


def test_images_that_are_only_shifted_keep_their_pixels() -> None:
    x = torch.rand(50, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    found = augment(x, ClassifierTraining(**(STILL | {"shift": 2.0})), torch.Generator().manual_seed(0))
    inner, moved = x[:, :, 4:-4, 4:-4], 0
    for i, image in enumerate(found):
        ways = [
            (dx, dy) for dx in range(-2, 3) for dy in range(-2, 3)
            if torch.allclose(image[:, 4 + dy : SIDE - 4 + dy, 4 + dx : SIDE - 4 + dx], inner[i], atol=1e-4)
        ]  # fmt: skip
        assert len(ways) == 1
        moved += ways[0] != (0, 0)
    assert moved > 40


def test_noise_is_added_in_grey_levels_of_any_deviation_up_to_the_largest() -> None:
    x = torch.zeros(300, 1, SIDE, SIDE)
    found = augment(x, ClassifierTraining(**STILL, noise=10.0), torch.Generator().manual_seed(0))
    deviation = found.flatten(1).std(1) * 127.5
    assert 9 < deviation.max() < 11 and deviation.min() < 0.5 and 4 < deviation.mean() < 6


def test_half_of_the_images_are_mirrored_left_to_right_if_that_is_allowed() -> None:
    x = torch.rand(400, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found = augment(x, ClassifierTraining(**STILL, mirror=True), torch.Generator().manual_seed(0))
    mirrored = (found - x.flip(3)).abs().amax((1, 2, 3)) < 1e-4
    same = (found - x).abs().amax((1, 2, 3)) < 1e-4
    assert (mirrored ^ same).all() and 150 < int(mirrored.sum()) < 250


def test_an_edge_is_continued_rather_than_filled() -> None:
    x = torch.full((20, 3, 16, 16), 0.75)
    torch.testing.assert_close(augment(x, ClassifierTraining(), torch.Generator().manual_seed(0)), x)


def test_the_same_seed_gives_the_same_weights() -> None:
    data = two_classes(40, 0)
    first, again = (train_classifier(data, CONFIG, SHORT).state_dict() for _ in range(2))
    other = train_classifier(data, CONFIG, ClassifierTraining(images=64, batch=16, seed=1)).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_classes_follow_from_the_features_by_one_linear_layer() -> None:
    network = train_classifier(two_classes(40, 0), CONFIG, SHORT)
    features, found = classify(network, two_classes(30, 1).images)
    assert features.shape == (30, 16) and features.min() >= 0
    assert torch.equal((features @ network.head.weight.T + network.head.bias).argmax(1), found)


def test_the_learning_rate_ends_near_nothing_and_peaks_after_a_tenth() -> None:
    training = ClassifierTraining(images=10_000, batch=10)
    rates = [training.lr_at(step) for step in range(training.steps)]
    assert training.steps == 1000 and max(range(1000), key=rates.__getitem__) == 99
    assert max(rates) == pytest.approx(training.lr * (1 + math.cos(0.099 * math.pi)) / 2) and rates[-1] < 1e-4 * max(
        rates
    )


def test_accuracy_is_the_share_of_equal_classes() -> None:
    assert accuracy(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 2, 0])) == 0.75


def test_test_images_that_were_trained_on_do_not_count(tmp_path: Path) -> None:
    train, fresh = two_classes(40, 0), two_classes(10, 1)
    test = ImageSet(torch.cat([fresh.images, train.images[:7]]), torch.cat([fresh.labels, train.labels[:7]]))
    path, about = tmp_path / "toy.safetensors", {"about_data": "noise", "command": "none"}
    card = make_classifier(path, train, test, CONFIG, SHORT, **about)
    assert card.test_images == 10 and card.images_seen == 64 and card.name == "toy"
    path.unlink()
    with pytest.raises(DataError, match="Every test image is a training image too"):
        make_classifier(path, train, train[:9], CONFIG, SHORT, **about)
    assert not path.exists()


THREE = {"tone": ("dark", "light"), "side": ("left", "right", "none")}


def of_things(count: int, seed: int) -> ImageSet:
    """The same with a second label, in groups of three."""
    data = two_classes(count, seed)
    labels = torch.stack([data.labels, torch.arange(count) % 3], 1)
    return replace(data, labels=labels, groups=torch.arange(count) // 3, conditions=THREE)


def test_a_classifier_of_one_of_several_conditions_learns_from_its_labels() -> None:
    data = of_things(12, 0)
    tone, side = data.of_condition("tone"), data.of_condition("side")
    assert tone.labels.tolist() == [0, 1] * 6 and side.labels.tolist() == [0, 1, 2] * 4
    assert side.classes == THREE["side"] and not side.conditions and side.groups is data.groups
    with pytest.raises(DataError, match="no condition 'hand', only tone, side"):
        data.of_condition("hand")
    with pytest.raises(DataError, match="no condition 'tone', but a class at most"):
        two_classes(4, 0).of_condition("tone")


def test_what_follows_from_the_first_condition_is_found() -> None:
    data = replace(of_things(6, 0), conditions=THREE | {"kind": ("flat", "round")})
    kinds = torch.tensor([1, 0] * 3)  # of the tones, which come in turn
    data = data.labelled(torch.cat([data.labels, kinds[:, None]], 1))
    assert data.follows() == {"kind": [1, 0]}
    gap = data[data.labels[:, 0] == 1]
    assert gap.follows() == {}  # nothing is known of the first tone
    assert two_classes(4, 0).follows() == {}
    assert data.labelled(None) is data


def test_splits_are_joined_in_order_and_with_their_groups() -> None:
    first, second = of_things(6, 0), of_things(9, 1)
    both = joined([first, second])
    assert torch.equal(both.images, torch.cat([first.images, second.images])) and len(both.labels) == 15
    assert both.groups is not None and both.groups.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert both.conditions == THREE
    assert joined([first, replace(second, groups=None)]).groups is None


def test_one_variation_of_each_of_several_is_held_out() -> None:
    data = of_things(13, 0)  # the last is a group of its own
    train, test = hold_out_variants(data)
    assert test.groups is not None and test.groups.tolist() == [0, 1, 2, 3]
    assert train.groups is not None and train.groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4]
    assert len(test.without(train)) == 4
    assert not torch.equal(hold_out_variants(data, seed=1)[1].images, test.images)
    for alone in (replace(data, groups=None), replace(data, groups=torch.arange(13))):
        with pytest.raises(DataError, match="No image is a variation of another"):
            hold_out_variants(alone)


def test_the_command_learns_a_condition_from_the_splits_it_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "things.npz", tmp_path / "side.safetensors"
    things = of_things(36, 0)
    arrays: dict[str, Any] = {name: things.labels[:, k].numpy() for k, name in enumerate(THREE)}
    arrays |= {f"{name}s": np.array(values) for name, values in THREE.items()}
    np.savez(data, images=things.images.movedim(1, -1).numpy(), conditions=np.array(list(THREE)), **arrays,
             split=np.arange(36) // 12, splits=np.array(["train", "test", "pairs"]),
             group=np.arange(36) // 3)  # fmt: skip
    plain = ["classifier", "--data", str(data), "--image-size", "8", "--images", "64", "--widths", "8", "16",
             "--out", str(out)]  # fmt: skip
    assert main(plain) == 1 and "say which to find, --condition tone or side" in capsys.readouterr().err
    assert main([*plain, "--condition", "side"]) == 0
    network, card = load_classifier(str(out))
    assert (card.condition, card.tested_on, card.classes) == ("side", "test", THREE["side"])
    assert network.config == ClassifierConfig(1, 3, (8, 16)) and card.test_images == 4  # one of every group
    capsys.readouterr()
    assert main([*plain, "--condition", "tone", "--learn", "train", "pairs", "--test", "variants"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["test_images"] == 8
    assert load_classifier(str(out))[1].tested_on == (
        "one variation of each of several, of train and pairs; the others were learnt from"
    )
    assert main([*plain, "--condition", "tone", "--learn", "train", "test"]) == 1
    assert "cannot be tested on: give another --test than test" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda card: card["network"].update(widths=[8, 24]), "does not fit the architecture"),
        (lambda card: card["network"].update(num_classes=3), "does not fit the architecture"),
        (lambda card: card.pop("data"), "cannot be read"),
        (lambda card: card["network"].pop("widths"), "cannot be read"),
        (lambda card: card.update(network=[]), "cannot be read"),
        (lambda card: card.update(sha256="0" * 64), "SHA-256 differs"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(
    tmp_path: Path, edit: Callable[[dict[str, Any]], Any], message: str
) -> None:
    path = tmp_path / "toy.safetensors"
    make_classifier(path, two_classes(40, 0), two_classes(10, 1), CONFIG, SHORT, about_data="", command="")
    content = json.loads(path.with_suffix(".json").read_text())
    edit(content)
    path.with_suffix(".json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=message):
        load_classifier(str(path))


def test_the_shipped_emoji_classifier_is_as_good_as_its_card_says() -> None:
    network, card = load_classifier("emoji")
    train, test = (load_npz(BUNDLED["emoji"], split, 32) for split in ("train", "test"))
    chosen = once_each(test.without(train))
    right = accuracy(classify(network, chosen.images)[1], chosen.labels)
    assert card.test_images == len(chosen) and right == pytest.approx(card.test_accuracy, abs=0.5 / len(chosen))


def test_the_shipped_digit_classifier_knows_the_bundled_digits() -> None:
    network, card = load_classifier("digits")
    digits = load_npz(BUNDLED["digits"], "test", 32)
    assert accuracy(classify(network, digits.images)[1], digits.labels) > 0.97
    assert card.test_accuracy > 0.993 and card.test_images == 10_000


def test_there_is_a_classifier_for_every_shipped_set_of_classes() -> None:
    for name in ("digits", "emoji"):
        network: Classifier = load_classifier(name)[0]
        assert sum(parameter.numel() for parameter in network.parameters()) < 300_000
        assert (classifier.CLASSIFIERS / f"{name}.safetensors").stat().st_size < 1_000_000


@pytest.mark.parametrize("condition", ["concept", "kind", "style"])
def test_the_judges_of_the_emoji_sets_say_what_they_find_and_what_that_was_tested_on(condition: str) -> None:
    name = f"emoji-sets-{condition}"
    network, card = load_classifier(name)
    assert (card.condition, len(card.classes)) == (condition, network.config.num_classes)
    assert "variation" in card.tested_on if condition == "concept" else card.tested_on == "test"
    assert "--learn" in card.command if condition == "concept" else "--learn" not in card.command
    assert (classifier.CLASSIFIERS / f"{name}.safetensors").stat().st_size < 2_000_000
