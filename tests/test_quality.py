"""How good drawn images are by sampler and calls: what is counted, kept, refused and gone on with."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from diffusion.cli.main import main
from diffusion.data.sets import ImageSet
from diffusion.evaluation.classifier import Classifier, ClassifierCard, ClassifierConfig, save_classifier
from diffusion.evaluation.evaluate import EvaluationError, fit_gaussian, frechet_distance, make_reference
from diffusion.evaluation.quality import (
    CALLS,
    MOST_CALLS,
    Quality,
    QualityPoint,
    calls_by_steps,
    measure_quality,
    quality_path,
    read_quality,
    ways_to_measure,
)
from diffusion.networks.model import MODELS, Model, available, load_model, read_card
from diffusion.sampling.updates import SAMPLERS
from diffusion.schedules.families import make_schedule
from tests.tiny import save_tiny, save_tiny_of_things

FOUND = Quality("toy", "ab", "python -m diffusion evaluate", 9, "float32", 0, 0.9, 0.25, 3, 0.01, 0.02,
                (QualityPoint("heun", 3, 5, 0.5, 1.5),))  # fmt: skip


def half_grey(count: int, seed: int) -> ImageSet:
    images = np.random.default_rng(seed).integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)
    return ImageSet(torch.from_numpy(images), torch.arange(count) % 2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    save_tiny(path, ["left", "top"], T=30)
    return load_model(str(path))


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    torch.manual_seed(0)
    return Classifier(ClassifierConfig(1, 2, widths=(4, 6))).eval()


def test_heun_asks_twice_a_step_but_for_the_last_and_where_nothing_of_the_image_is_left() -> None:
    assert calls_by_steps("heun", make_schedule("linear", 1000)) == [2 * steps - 1 for steps in range(1, 26)]
    cosine = calls_by_steps("heun", make_schedule("cosine", 1000))
    assert cosine == [1, *(2 * steps - 2 for steps in range(2, 27))]
    assert calls_by_steps("ddim", make_schedule("cosine", 1000)) == list(range(1, MOST_CALLS + 1))
    assert calls_by_steps("ddim", make_schedule("cosine", 7)) == list(range(1, 8))


def test_every_sampler_is_measured_where_its_calls_come_nearest_from_below() -> None:
    ways = ways_to_measure(make_schedule("cosine", 1000))
    assert [calls for _, _, calls in ways] == sorted(calls for _, _, calls in ways)
    for sampler in SAMPLERS:
        calls = [calls for name, _, calls in ways if name == sampler]
        wanted = list(CALLS) if sampler != "heun" else [1, 2, 4, 6, 8, 10, 12, 20, 34, 50]
        assert calls == wanted


def test_what_is_kept_comes_back() -> None:
    assert Quality.from_json(json.loads(json.dumps(FOUND.to_json()))) == FOUND


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": None},
        {"images": 2.5},
        {"held_out_sets": None},
        {"frechet_spread": float("inf")},
        {"held_out_accuracy": 1.5},
        {"held_out_frechet": "low"},
        {"more": 1},
        {"points": None},
        {"points": [{"sampler": "ddim"}]},
        {"points": [{"sampler": "euler", "steps": 1, "calls": 1, "accuracy": 0.5, "frechet": 1.0}]},
        {"points": [{"sampler": "ddim", "steps": 2, "calls": 1, "accuracy": 0.5, "frechet": 1.0}]},
        {"points": [{"sampler": "ddim", "steps": 1, "calls": 1, "accuracy": -0.5, "frechet": 1.0}]},
        {"points": [{"sampler": "ddim", "steps": 1, "calls": 1, "accuracy": 0.5, "frechet": float("nan")}]},
    ],
)
def test_anything_else_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(EvaluationError):
        Quality.from_json(FOUND.to_json() | change)


def test_a_file_of_other_weights_says_nothing_of_these(tmp_path: Path) -> None:
    path = quality_path(tmp_path / "toy.safetensors")
    assert read_quality(path, "ab") is None
    path.write_text(json.dumps(FOUND.to_json()))
    assert path.name == "toy.steps.json"
    assert read_quality(path, "ab") == FOUND
    assert read_quality(path, "cd") is None
    for text in ("[]", "nonsense"):
        path.write_text(text)
        with pytest.raises(EvaluationError):
            read_quality(path, "ab")


def test_measuring_goes_on_where_it_was_stopped(model: Model, classifier: Classifier) -> None:
    """And the floor is the mean distance of as many held-out images."""
    train, held_out = half_grey(40, 1), half_grey(12, 2)
    begun = Quality("tiny", model.card.sha256, "the command", 5, "float32", 3)
    runs = measure_quality(model, classifier, train, held_out, begun)
    first, second, third = (next(runs) for _ in range(3))
    assert [len(found.points) for found in (first, second, third)] == [0, 1, 2]
    reference = make_reference(classifier, train, held_out)
    distances = [frechet_distance(fit_gaussian(reference.features[k : k + 5]), reference.training_gaussian)
                 for k in (0, 5)]  # fmt: skip
    assert first.held_out_frechet == pytest.approx(np.mean(distances))
    assert first.held_out_sets == 2
    assert first.frechet_spread == pytest.approx(np.std(distances, ddof=1))
    assert first.held_out_accuracy == reference.summary()["accuracy"]
    went_on = measure_quality(model, classifier, train, held_out, begun, known=third)
    assert next(went_on).points == third.points
    assert next(went_on).points == next(runs).points
    other = dataclasses.replace(third, command="another")
    assert next(measure_quality(model, classifier, train, held_out, begun, known=other)).points == ()


def test_few_steps_of_one_call_are_the_same_image_by_any_sampler(model: Model, classifier: Classifier) -> None:
    """All ways draw from the same noise: in one call each of them shows the x_0 that is predicted from it."""
    begun = Quality("tiny", model.card.sha256, "the command", 8, "float32", 0)
    *_, found = (f for f, _ in zip(measure_quality(model, classifier, half_grey(40, 1), half_grey(12, 2), begun),
                                   range(1 + len(SAMPLERS)), strict=False))  # fmt: skip
    assert {point.calls for point in found.points} == {1}
    assert {point.sampler for point in found.points} == set(SAMPLERS)
    assert len({(point.accuracy, point.frechet) for point in found.points}) == 1


def test_more_images_than_are_held_out_would_have_no_floor(model: Model, classifier: Classifier) -> None:
    begun = Quality("tiny", model.card.sha256, "", 13, "float32", 0)
    with pytest.raises(EvaluationError, match="12 are held out"):
        next(measure_quality(model, classifier, half_grey(40, 1), half_grey(12, 2), begun))


@pytest.mark.slow
def test_the_command_keeps_it_beside_the_network(
    tmp_path: Path, classifier: Classifier, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, data, judge = (tmp_path / name for name in ("toy.safetensors", "a.npz", "judge.safetensors"))
    card = save_tiny(path, ["left", "top"], T=30)
    save_classifier(judge, classifier, ClassifierCard("judge", classifier.config, "", "", 0, 0, 0.5, 2))
    train, test = half_grey(40, 1), half_grey(12, 2)
    np.savez(data, x_train=train.images[:, 0], y_train=train.labels, x_test=test.images[:, 0], y_test=test.labels)
    arguments = ["evaluate", "--model", str(path), "--data", str(data), "--classifier", str(judge), "--device", "cpu",
                 "--by-steps", "6"]  # fmt: skip
    monkeypatch.setattr("diffusion.evaluation.quality.CALLS", (1, 3))
    assert main(arguments) == 0
    found = Quality.from_json(json.loads(capsys.readouterr().out.splitlines()[-1]))
    assert read_quality(quality_path(path), card.sha256) == found
    assert {(point.sampler, point.calls) for point in found.points} >= {("ddim", 3), ("unipc", 1), ("heun", 1)}
    assert found.images == 6 and found.command.endswith("--by-steps 6")
    written = quality_path(path).stat().st_mtime_ns
    drawn = "diffusion.evaluation.quality.draw_labelled"
    monkeypatch.setattr(drawn, lambda *_, **__: pytest.fail("nothing is drawn twice"))
    assert main(arguments) == 0
    assert quality_path(path).stat().st_mtime_ns >= written
    assert main([*arguments, "--card"]) == 1
    assert "leave --card out" in capsys.readouterr().err


@pytest.mark.slow
def test_what_draws_in_its_own_steps_or_is_told_more_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_tiny_of_things(tmp_path / "things.safetensors")
    save_tiny_of_things(tmp_path / "student.safetensors", levels=[0.1, 0.5])
    for name, why in (("things", "not told one class"), ("student", "its own 2 steps")):
        asked = ["--model", str(tmp_path / f"{name}.safetensors"), "--data", "digits", "--by-steps", "9"]
        assert main(["evaluate", *asked]) == 1
        assert why in capsys.readouterr().err


@pytest.mark.parametrize("name", available())
def test_what_is_shipped_is_of_the_shipped_weights_and_whole(name: str) -> None:
    path = MODELS / f"{name}.safetensors"
    card = read_card(path)
    if card.levels or not card.classes:
        assert not quality_path(path).exists()
        return
    found = read_quality(quality_path(path), card.sha256)
    assert found is not None, f"measure it: python -m diffusion evaluate --model {name} --data ... --by-steps 500"
    ways = {(point.sampler, point.steps, point.calls) for point in found.points}
    assert ways == set(ways_to_measure(card.training_schedule()))
    assert "/" not in found.command.replace("python -m diffusion", "")
