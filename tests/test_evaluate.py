"""Measuring: against closed forms, SciPy, brute force, and networks of which the answer is known."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from diffusion.cli.main import main
from diffusion.data.sets import ImageSet
from diffusion.evaluation import evaluate
from diffusion.evaluation.classifier import (
    Classifier,
    ClassifierConfig,
    ClassifierTraining,
    classify,
    load_classifier,
    make_classifier,
    once_each,
    train_classifier,
)
from diffusion.evaluation.evaluate import (
    Drawing,
    EvaluationError,
    Gaussian,
    fit_gaussian,
    frechet_distance,
    nearest_distance,
    nearest_images,
)
from diffusion.images import to_unit
from diffusion.losses.likelihood import bits_per_dim, bound, estimate_bound
from diffusion.networks.checkpoint import CheckpointError
from diffusion.networks.model import Model, load_model
from diffusion.schedules.families import make_schedule
from tests.tiny import save_tiny

pytestmark = pytest.mark.slow


def stripes(count: int, seed: int) -> ImageSet:
    """Class 0 has a light left half, class 1 a light top; noisy."""
    images = np.random.default_rng(seed).integers(0, 90, (count, 1, 8, 8), dtype=np.uint8)
    images[::2, :, :, :4] += 150
    images[1::2, :, :4] += 150
    return ImageSet(torch.from_numpy(images), torch.arange(count) % 2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    save_tiny(path, ["left", "top"], T=30)
    return load_model(str(path))


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    config = ClassifierConfig(1, 2, widths=(8, 16))
    return train_classifier(stripes(200, 1), config, ClassifierTraining(images=3200, batch=32))


def test_equal_gaussians_have_no_distance() -> None:
    gaussian = fit_gaussian(torch.randn(50, 6, generator=torch.Generator().manual_seed(0)))
    assert frechet_distance(gaussian, gaussian) == pytest.approx(0, abs=1e-9)


def test_commuting_covariances_have_the_distance_of_their_deviations() -> None:
    """|m_a - m_b|^2 + sum (s_a - s_b)^2 along the common axes."""
    axes = scipy.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    s_a, s_b = np.array([1.0, 2.0, 3.0, 0.0]), np.array([4.0, 2.0, 1.0, 0.5])
    a = Gaussian(np.array([1.0, 0, 0, 0]), axes * s_a**2 @ axes.T)
    b = Gaussian(np.array([0.0, 2, 0, 0]), axes * s_b**2 @ axes.T)
    assert frechet_distance(a, b) == pytest.approx(5 + ((s_a - s_b) ** 2).sum())


@pytest.mark.parametrize("count", [200, 5])  # 5 images of 8 features: singular covariances
def test_the_frechet_distance_is_that_of_the_usual_formula(count: int) -> None:
    generator = torch.Generator().manual_seed(1)
    mix = torch.randn(8, 8, generator=generator)
    x, y = torch.randn(count, 8, generator=generator), torch.randn(count, 8, generator=generator) @ mix + 1
    a, b = fit_gaussian(x), fit_gaussian(y)
    np.testing.assert_allclose(a.covariance, np.cov(x.numpy().astype(float).T))
    root = scipy.linalg.sqrtm(a.covariance @ b.covariance).real
    expected = ((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance + b.covariance - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-4)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b))


@pytest.mark.parametrize("block", [3, 7, 4096])
def test_the_nearest_is_that_of_brute_force(block: int) -> None:
    rng = np.random.default_rng(0)
    images, training = (torch.from_numpy(rng.integers(0, 256, (n, 2, 4, 4), dtype=np.uint8)) for n in (11, 17))
    images[4] = training[9]
    pairs = (images[:, None].double() - training[None].double()).square().flatten(2).mean(2).sqrt()
    found = nearest_distance(images, training, block)
    np.testing.assert_allclose(found, pairs.min(1).values.numpy())
    assert found[4] == 0


def test_once_each_takes_one_of_every_group() -> None:
    images = torch.arange(6, dtype=torch.uint8)[:, None, None, None]
    data = ImageSet(images, torch.arange(6), torch.tensor([5, 5, 5, 7, 8, 8]))
    chosen = once_each(data)
    assert chosen.groups is not None and sorted(chosen.groups.tolist()) == [5, 7, 8]
    assert sorted(once_each(dataclasses.replace(data, groups=None)).labels.tolist()) == list(range(6))


def test_the_classifier_learns_and_its_features_lead_to_its_classes(classifier: Classifier) -> None:
    data = stripes(60, 2)
    features, found = classify(classifier, data.images, batch=7)
    assert (found == data.labels).double().mean() > 0.95
    assert features.shape == (60, 16)
    whole_features, whole = classify(classifier, data.images)
    torch.testing.assert_close(features, whole_features, rtol=1e-4, atol=1e-5)
    assert torch.equal(found, whole)


def test_a_classifier_comes_back_from_disk_and_a_changed_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "toy.safetensors"
    training = ClassifierTraining(images=320, batch=32)
    card = make_classifier(path, stripes(100, 1), stripes(40, 2), ClassifierConfig(1, 2, widths=(8, 16)), training,
                           about_data="stripes", command="none")  # fmt: skip
    again, read = load_classifier(str(path))
    assert read == card and card.test_images == 40
    found = classify(again, stripes(40, 2).images)[1]
    assert (found == stripes(40, 2).labels).double().mean().item() == pytest.approx(card.test_accuracy, abs=0.03)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="SHA-256 differs"):
        load_classifier(str(path))
    with pytest.raises(CheckpointError, match="no classifier 'nobody'"):
        load_classifier("nobody")


@pytest.mark.parametrize("variance", ["beta", "posterior"])
def test_the_estimate_of_the_bound_is_right_on_average(variance: Any) -> None:
    """For a denoiser whose error does not depend on the noise, the bound has no luck in it but that of t."""
    schedule = make_schedule("cosine", 40)
    images = to_unit(stripes(3, 0).images)

    def denoiser(x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
        level = torch.as_tensor(alpha_bar, dtype=torch.float64).reshape(-1, 1, 1, 1)
        eps = (x_t.double() - level.sqrt() * images.repeat(len(x_t) // 3, 1, 1, 1)) / (1 - level).sqrt()
        return (eps + 0.1 + 0.5 * level).float()

    whole = bound(denoiser, images, schedule, variance=variance)
    generator = torch.Generator().manual_seed(0)
    found = [estimate_bound(denoiser, images, schedule, generator, draws=4, variance=variance) for _ in range(200)]
    middle = torch.stack([part["L_mid"] for part in found])
    error = middle.std(0) / len(found) ** 0.5
    assert ((middle.mean(0) - whole["L_mid"]).abs() < 4 * error + 1e-3 * whole["L_mid"].abs()).all()
    torch.testing.assert_close(found[0]["L_T"], whole["L_T"])
    torch.testing.assert_close(found[0]["L_0"], whole["L_0"], rtol=1e-2, atol=0.5)


def test_bits_per_dim_are_those_of_the_whole_bound(model: Model) -> None:
    data = stripes(24, 3)
    found = evaluate.evaluate_likelihood(model, data, draws=40, batch=10)
    terms = bound(model.denoiser, to_unit(data.images), model.card.training_schedule(), labels=data.labels)
    whole = {name: bits_per_dim(nats.mean().item(), 64) for name, nats in terms.items()}
    assert found["bits_per_dim"] == pytest.approx(found["L_T"] + found["L_mid"] + found["L_0"])
    assert found["bits_per_dim"] == pytest.approx(sum(whole.values()), abs=5 * found["standard_error"])
    assert found["L_T"] == pytest.approx(whole["L_T"])
    assert found["images"] == 24
    with pytest.raises(EvaluationError, match="At least two images"):
        evaluate.evaluate_likelihood(model, data[:1])


def test_copies_of_training_images_are_told_as_copies(classifier: Classifier) -> None:
    train, held_out = stripes(150, 4), stripes(60, 5)
    reference = evaluate.make_reference(classifier, train, held_out)
    copies, fresh = evaluate.judge(reference, train[:40]), evaluate.judge(reference, stripes(40, 6))
    assert (copies["copied"], copies["nearest_median"]) == (1.0, 0.0)
    assert fresh["copied"] < 0.2
    assert fresh["accuracy"] > 0.9
    swapped = dataclasses.replace(stripes(40, 6), labels=1 - stripes(40, 6).labels)
    assert evaluate.judge(reference, swapped)["accuracy"] == pytest.approx(1 - fresh["accuracy"])
    noise = ImageSet(torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8), torch.arange(40) % 2)
    assert evaluate.judge(reference, noise)["frechet"] > 2 * fresh["frechet"]
    assert fresh["frechet_images"] == 40


def test_held_out_images_that_are_training_images_too_do_not_hide_copies(classifier: Classifier) -> None:
    train, held_out = stripes(150, 4), stripes(60, 5)
    leaking = ImageSet(torch.cat([held_out.images, train.images[:30]]), torch.cat([held_out.labels, train.labels[:30]]))
    reference = evaluate.make_reference(classifier, train, leaking)
    assert reference.summary()["images"] == 60 and reference.distance.min() > 0
    assert evaluate.judge(reference, train[:40])["copied"] == 1
    with pytest.raises(EvaluationError, match="30 of the 30 held-out images are training images"):
        evaluate.make_reference(classifier, train, train[:30])


def test_every_way_to_draw_is_judged_on_the_labels_of_the_held_out_images(model: Model, classifier: Classifier) -> None:
    held_out = stripes(10, 5)
    runs = [Drawing("ddim", 3, 12), Drawing("ddpm", 5, 4, {"v": 0.0}, "log_snr")]
    result = evaluate.evaluate_samples(model, classifier, stripes(30, 4), held_out, runs, batch=5)
    assert result["held_out"]["images"] == 10
    assert [(run["sampler"], run["steps"], run["images"]) for run in result["runs"]] == [
        ("ddim", 3, 12),
        ("ddpm", 5, 4),
    ]
    assert (result["runs"][1]["v"], result["runs"][1]["spacing"]) == (0, "log_snr")
    reference = evaluate.make_reference(classifier, stripes(30, 4), held_out)
    labels = reference.held_out.labels[torch.arange(12) % 10]
    again = evaluate.judge(reference, evaluate.draw_labelled(model, Drawing("ddim", 3, 12), labels, batch=12))
    assert again["accuracy"] == pytest.approx(result["runs"][0]["accuracy"], abs=0.1)
    other = Classifier(ClassifierConfig(3, 2))
    with pytest.raises(EvaluationError, match="images of 3 channels"):
        evaluate.evaluate_samples(model, other, stripes(30, 4), held_out, runs)


def test_evaluate_prints_json_on_its_last_line_and_fills_the_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, data, judge, out = (tmp_path / name for name in ("toy.safetensors", "a.npz", "judge.safetensors", "a.json"))
    save_tiny(path, ["left", "top"], T=30)
    train, test = stripes(30, 4), stripes(10, 5)
    np.savez(data, x_train=train.images[:, 0], y_train=train.labels, x_test=test.images[:, 0], y_test=test.labels)
    assert main(["classifier", "--data", str(data), "--out", str(judge), "--image-size", "8", "--images", "640"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["test_images"] == 10
    arguments = ["evaluate", "--model", str(path), "--data", str(data), "--classifier", str(judge), "--device", "cpu",
                 "--draws", "3", "--runs", "ddim:2:6", "--card", "--out", str(out)]  # fmt: skip
    assert main(arguments) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result == json.loads(out.read_text()) == json.loads(path.with_suffix(".json").read_text())["figures"]
    assert {"bits_per_dim", "L_T", "L_mid", "L_0", "standard_error", "runs", "held_out"} <= result.keys()
    assert result["runs"][0]["images"] == 6
    assert main([*arguments, "--precision", "bfloat16"]) == 0
    rounded = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [rounded["precision"], result["precision"]] == ["bfloat16", "float32"]
    assert rounded["bits_per_dim"] == result["bits_per_dim"]
    nearest = [here["runs"][0]["nearest_median"] for here in (rounded, result)]
    assert nearest[0] != nearest[1] and nearest[0] == pytest.approx(nearest[1], rel=0.05)
    assert main([*arguments[:-5], "--runs"]) == 0
    assert "runs" not in json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.parametrize(
    "text",
    [
        "ddim",
        "ddim:50",
        "ddim:5:5:5",
        "ddim:eta:5:5",
        "ddim:eta=x:5:5",
        ":5:5",
        "ddim:0:5",
        "ddim:x:5",
        "ddim:5:-1",
    ],
)
def test_a_run_that_cannot_be_read_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--model", "digits", "--data", "digits", "--runs", text]) == 1
    assert "is not SAMPLER:STEPS:COUNT" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("euler:5:5", "no sampler 'euler'"),
        ("ddim:v=1:5:5", "no option 'v'"),
        ("ddim:eta=2:5:5", "eta"),
        ("ddim:spacing=odd:5:5", "no spacing"),
    ],
)
def test_a_run_of_a_sampler_that_is_not_there_is_refused(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--model", "digits", "--data", "digits", "--runs", text]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("block", [2, 3, 100])
def test_the_nearest_but_for_some(block: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (7, 3, 4, 4), generator=generator, dtype=torch.uint8)
    index, distance = nearest_images(images, images, block=block)
    assert index.tolist() == list(range(7)) and not distance.any()
    but = torch.stack([torch.arange(7), (torch.arange(7) + 1) % 7], 1)
    index, distance = nearest_images(images, images, but, block=block)
    for i in range(7):
        others = [k for k in range(7) if k not in but[i].tolist()]
        off = (images[others].double() - images[i].double()).square().flatten(1).mean(1).sqrt()
        assert int(index[i]) == others[int(off.argmin())] and distance[i] == pytest.approx(float(off.min()))
