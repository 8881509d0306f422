"""Networks that are told several things: what is asked of them, of which pairs, and what judges find."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusion.cli.main import main
from diffusion.data.folders import load_data
from diffusion.data.sets import ImageSet, joined
from diffusion.evaluation import conditions
from diffusion.evaluation.classifier import ClassifierConfig, ClassifierTraining, make_classifier
from diffusion.evaluation.conditions import (
    Judge,
    asked_for,
    evaluate_conditions,
    find_pairs,
    implied,
    load_judges,
    shares_found,
)
from diffusion.evaluation.evaluate import Drawing, EvaluationError, evaluate_likelihood
from diffusion.networks.model import Model, load_model
from tests.tiny import THINGS, save_tiny, save_tiny_of_things
from ui.card import quality

pytestmark = pytest.mark.slow

CONCEPTS = [*THINGS["concept"], "held out"]
UNSEEN = [(0, 0), (1, 1)]
STILL = ClassifierTraining(images=6400, batch=64, degrees=0, stretch=0, shift=0)


def draw_things(labels: Tensor, seed: int) -> Tensor:
    """A light row for the concept, a light column for the style; noisy."""
    images = np.random.default_rng(seed).integers(0, 60, (len(labels), 1, 8, 8), dtype=np.uint8)
    for image, (concept, _, style) in zip(images, labels.tolist(), strict=True):
        image[0, concept] += 120
        image[0, :, 5 + style] += 70
    return torch.from_numpy(images)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images of every concept in every style, of which two pairs and a concept are held out."""
    path = tmp_path_factory.mktemp("data") / "things.npz"
    rows = [(c, c % 2, s) for c in range(5) for s in range(3) for _ in range(6)]
    labels, split = torch.tensor(rows), [1 if c == 4 else 2 if (c, s) in UNSEEN else 0 for c, _, s in rows]
    names: dict[str, Any] = {f"{n}s": np.array(values) for n, values in (THINGS | {"concept": CONCEPTS}).items()}
    columns: dict[str, Any] = {name: labels[:, k].numpy() for k, name in enumerate(THINGS)}
    np.savez(path, images=draw_things(labels, 0).movedim(1, -1).numpy(), conditions=np.array(list(THINGS)), **names,
             **columns, split=np.array(split), splits=np.array(["train", "test", "pairs"]))  # fmt: skip
    return path


@pytest.fixture(scope="module")
def splits(data: Path) -> dict[str, ImageSet]:
    return {split: load_data(data, split, 8) for split in ("train", "test", "pairs")}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("models") / "things.safetensors"
    save_tiny_of_things(path, T=30)
    return load_model(str(path))


@pytest.fixture(scope="module")
def judges(tmp_path_factory: pytest.TempPathFactory, splits: dict[str, ImageSet]) -> dict[str, Path]:
    """One of each condition; that of concepts knows the unseen pairs too."""
    folder, made = tmp_path_factory.mktemp("judges"), {}
    for name in THINGS:
        train = [splits["train"]] + [splits["pairs"]] * (name == "concept")
        known = joined(train).of_condition(name)
        config = ClassifierConfig(1, len(known.classes), widths=(16, 32), dropout=0.0)
        test = splits["pairs" if name != "concept" else "test"].of_condition(name)
        path = folder / f"things-{name}.safetensors"
        make_classifier(
            path, known, test, config, STILL, about_data="", command="", condition=name, classes=known.classes
        )
        made[name] = path
    return made


@pytest.fixture(scope="module")
def loaded(model: Model, judges: dict[str, Path]) -> dict[str, Judge]:
    return load_judges(model.card, [str(path) for path in judges.values()])


def test_the_kind_follows_from_the_concept(splits: dict[str, ImageSet]) -> None:
    assert implied(splits["train"].labels) == [1]
    assert implied(torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])) == []
    assert implied(torch.tensor([[0, 1], [1, 0]])) == []  # one for one: neither says more


def test_what_is_not_asked_for_is_left_out(model: Model) -> None:
    labels = torch.tensor([[0, 1, 2], [4, 0, 0]])
    assert asked_for(model.card, labels, ["kind", "style"]).tolist() == [[4, 1, 2], [4, 0, 0]]
    assert model.card.known(labels).tolist() == labels.tolist()  # type: ignore[union-attr]
    assert model.card.known(labels + 1).tolist() == [[1, 2, 3], [4, 1, 1]]  # type: ignore[union-attr]


def test_every_unseen_pair_stands_beside_a_seen_one_of_the_same_concept(
    model: Model, splits: dict[str, ImageSet]
) -> None:
    pairs = find_pairs(model.card, splits["train"], splits["pairs"], tuple(THINGS))
    assert pairs.names == ("concept", "style")
    assert pairs.unseen.labels.tolist() == [[0, 2, 0], [1, 2, 1]]
    assert pairs.seen.labels[:, 0].tolist() == [0, 1] and pairs.seen.labels[:, 1].tolist() == [2, 2]
    assert not {tuple(row) for row in pairs.seen.labels[:, [0, 2]].tolist()} & set(UNSEEN)
    there = {image.numpy().tobytes() for image in splits["train"].images}
    assert all(image.numpy().tobytes() in there for image in pairs.seen.images)
    assert len(find_pairs(model.card, splits["train"], splits["pairs"], tuple(THINGS), most=1).unseen) == 1


def test_pairs_that_cannot_be_judged_are_refused(model: Model, splits: dict[str, ImageSet]) -> None:
    with pytest.raises(EvaluationError, match="neither follows from another"):
        find_pairs(model.card, splits["train"], splits["pairs"], ("concept", "kind"))
    unknown = replace(splits["pairs"], labels=splits["pairs"].labels + torch.tensor([4, 0, 0]))
    with pytest.raises(EvaluationError, match="No training image has the concept of an unseen pair"):
        find_pairs(model.card, splits["train"], unknown, tuple(THINGS))


def test_judges_are_those_of_what_the_network_is_told(
    model: Model, judges: dict[str, Path], loaded: dict[str, Judge], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert list(loaded) == list(THINGS)
    assert list(load_judges(model.card, [str(judges["style"]), str(judges["kind"])])) == ["kind", "style"]
    with pytest.raises(EvaluationError, match="The classifier emoji finds other things than tiny is told"):
        load_judges(model.card, ["emoji"])
    with pytest.raises(EvaluationError, match="no classifiers that find what tiny is told: concept"):
        load_judges(model.card)
    monkeypatch.setattr(conditions, "CLASSIFIERS", judges["kind"].parent)
    monkeypatch.setattr("diffusion.evaluation.classifier.CLASSIFIERS", judges["kind"].parent)
    assert list(load_judges(replace(model.card, name="things"))) == list(THINGS)
    assert list(load_judges(replace(model.card, name="pupil", teacher="things"))) == list(THINGS)


def test_bits_per_dim_of_a_new_concept_are_those_of_what_is_known(model: Model, splits: dict[str, ImageSet]) -> None:
    held_out = splits["test"]
    said = replace(held_out, labels=asked_for(model.card, held_out.labels, ["kind", "style"]))
    found = evaluate_likelihood(model, held_out, draws=2)
    assert found["bits_per_dim"] == evaluate_likelihood(model, said, draws=2)["bits_per_dim"]
    nothing = replace(held_out, labels=asked_for(model.card, held_out.labels, []))
    assert found["bits_per_dim"] != evaluate_likelihood(model, nothing, draws=2)["bits_per_dim"]


def test_a_perfect_network_is_found_to_be_one(
    model: Model, splits: dict[str, ImageSet], loaded: dict[str, Judge], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place of what it draws stand new images of what it is asked for; then some that mistake unseen concepts."""
    pairs = find_pairs(model.card, splits["train"], splits["pairs"], tuple(loaded))
    asked = []

    def perfect(_model: Model, _run: Drawing, labels: Tensor, *, seed: int, batch: int) -> ImageSet:
        asked.append(labels)
        full = torch.where(labels == torch.tensor([4, 2, 3]), torch.tensor([4, 0, 0]), labels)
        full[:, 0] = torch.where(labels[:, 0] == 4, labels[:, 1], full[:, 0])  # some concept of the kind
        return ImageSet(draw_things(full, seed + 1), labels)

    monkeypatch.setattr(conditions, "draw_labelled", perfect)
    args = (model, loaded, splits["train"], splits["test"], pairs)
    figures = evaluate_conditions(*args, [Drawing("ddim", 5, 20, guidance=2.0)])
    (run,) = figures["runs"]
    assert figures["asked"] == ["kind", "style"] and figures["pairs"]["asked"] == ["concept", "style"]
    assert asked[0].shape == (20, 3) and (asked[0][:, 0] == 4).all() and (asked[1] == pairs.unseen.labels).all()
    assert run["found"]["style"] > 0.9 and run["accuracy"] == run["found"]["kind"] > 0.9
    assert run["pairs"] == {which: {"concept": 1, "style": 1} for which in ("unseen", "seen", "ratio")}
    assert run["guidance"] == 2 and {"frechet", "frechet_held_out", "copied"} <= run.keys()
    assert figures["pairs"]["images"] == 2 and figures["pairs"]["seen"] == {"concept": 1, "style": 1}
    assert figures["held_out"]["found"]["style"] > 0.9

    def mistaken(_model: Model, _run: Drawing, labels: Tensor, *, seed: int, batch: int) -> ImageSet:
        full = labels.minimum(torch.tensor([3, 1, 2]))
        full[:, 0] = torch.where((labels[:, 0] == 0) & (labels[:, 2] == 0), 3, full[:, 0])
        return ImageSet(draw_things(full, seed + 1), labels)

    monkeypatch.setattr(conditions, "draw_labelled", mistaken)
    (run,) = evaluate_conditions(*args, [Drawing("ddim", 5, 20)])["runs"]
    assert run["pairs"]["unseen"] == {"concept": 0.5, "style": 1} and run["pairs"]["ratio"] == {
        "concept": 0.5,
        "style": 1,
    }


def test_shares_are_of_the_values_that_were_asked_for(model: Model, loaded: dict[str, Judge]) -> None:
    labels = torch.tensor([[0, 0, 0], [1, 1, 2], [2, 0, 1], [3, 1, 1]])
    right = ImageSet(draw_things(labels, 9), labels)
    assert shares_found(model.card, loaded, right, ["concept", "style"]) == {"concept": 1, "style": 1}
    wrong = replace(right, labels=labels.roll(1, 0))
    assert shares_found(model.card, loaded, wrong, ["concept", "style"]) == {"concept": 0, "style": 0.25}


def test_without_anything_in_common_there_is_nothing_to_judge(
    model: Model, splits: dict[str, ImageSet], loaded: dict[str, Judge]
) -> None:
    with pytest.raises(EvaluationError, match="nothing that tiny is told can be judged"):
        evaluate_conditions(model, {"concept": loaded["concept"]}, splits["train"], splits["test"], None, [])


def test_bits_per_dim_need_no_training_images(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, copy = tmp_path / "things.safetensors", tmp_path / "copy.npz"
    save_tiny_of_things(path, T=30)
    with np.load(data) as arrays:
        np.savez(
            copy, **{name: arrays[name] for name in arrays.files} | {"splits": np.array(["shown", "test", "pairs"])}
        )
    arguments = ["evaluate", "--model", str(path), "--data", str(copy), "--device", "cpu", "--draws", "1"]
    assert main([*arguments, "--runs"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["images"] == 18
    assert main([*arguments, "--runs", "ddim:2:6"]) != 0
    assert "no images for 'train'" in capsys.readouterr().err


def test_evaluate_fills_the_card_with_figures_that_the_page_can_show(
    data: Path, judges: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "things.safetensors"
    save_tiny_of_things(path, T=30)
    arguments = ["evaluate", "--model", str(path), "--data", str(data), "--device", "cpu", "--draws", "2", "--card",
                 "--classifier", *map(str, judges.values())]  # fmt: skip
    assert main([*arguments, "--runs", "ddim:2:6", "ddim:guidance=2:3:6"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures == json.loads(path.with_suffix(".json").read_text())["figures"]
    assert [run["guidance"] for run in figures["runs"]] == [1, 2]
    assert set(figures["classifiers"]) == set(THINGS) and figures["pairs"]["images"] == 2
    shown = quality(figures)
    assert (
        "guidance 2" in shown
        and "kind" in shown
        and "style" in shown
        and "Of 2 pairs of concept and style that" in shown
    )
    assert main([*arguments, "--runs", "ddim:2:6", "--pairs", "0"]) == 0
    alone = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "pairs" not in alone and "pairs" not in alone["runs"][0]
    assert "pairs of" not in quality(alone)


def test_a_student_is_drawn_in_its_own_steps_and_a_remark_says_when_it_is_not(
    data: Path, judges: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr("diffusion.cli.evaluate.MANY", 4)
    path = tmp_path / "pupil.safetensors"
    save_tiny_of_things(path, T=30, teacher="things", levels=[1e-9, 0.5])
    arguments = ["evaluate", "--model", str(path), "--data", str(data), "--device", "cpu",
                 "--classifier", *map(str, judges.values())]  # fmt: skip
    assert main(arguments) == 0
    said = capsys.readouterr()
    figures = json.loads(said.out.splitlines()[-1])
    assert [(run["steps"], run["guidance"]) for run in figures["runs"]] == [(2, 1), (2, 2)]
    assert "note: " not in said.err
    assert "bits_per_dim" not in figures and "Of 2 pairs of concept" in quality(figures)
    for more, message in ((["--draws", "3"], "leave --draws out."), (["--runs"], "and --runs draws nothing.")):
        assert main([*arguments, *more]) == 1
        assert "taught 2 noise levels: bits/dim, over all, say nothing" in (error := capsys.readouterr().err)
        assert message in error
    assert main([*arguments, "--runs", "ddim:guidance=-2000:2:4"]) == 1
    assert "Guidance must be a number" in capsys.readouterr().err
    assert main([*arguments, "--runs", "ddim:3:4"]) == 0
    assert "note: Tiny is a student and was taught the 2 steps at t = 30, 15" in capsys.readouterr().err


def test_what_has_one_class_is_judged_by_one_classifier_and_draws_no_pairs(
    data: Path, judges: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tiny.safetensors"
    save_tiny(path, ["a", "b"], T=30)
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8), dtype=np.uint8)
    plain = tmp_path / "plain.npz"
    np.savez(plain, x_train=images[:5], y_train=np.arange(5) % 2, x_test=images[5:], y_test=np.arange(3) % 2)
    arguments = ["evaluate", "--model", str(path), "--data", str(plain), "--device", "cpu"]
    for more, message in (
        (["--runs", "ddim:2:4", "--pairs", "3"], "tiny is told no pairs of things; leave --pairs out."),
        (["--runs", "ddim:2:4", "--draws", "1", "--classifier", "a", "b"], "one classifier judges it"),
        (["--runs", "--pairs", "3"], "--runs draws nothing; leave --pairs out."),
    ):
        assert main([*arguments, *more]) == 1
        assert message in capsys.readouterr().err
    assert main([*arguments[:2], str(path), "--data", str(data), "--device", "cpu", "--runs"]) == 1


def test_the_loss_is_measured_with_what_is_known_of_new_images(data: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "things.safetensors", tmp_path / "loss.json"
    save_tiny_of_things(path, T=30)
    arguments = ["loss", "--model", str(path), "--device", "cpu", "--images", str(data), "--levels", "3"]
    assert main([*arguments, "--count", "4", "--out", str(out)]) == 0
    measured = json.loads(out.read_text())
    assert measured["count"] == 4 and set(measured["references"]) == {"known", "others"}
