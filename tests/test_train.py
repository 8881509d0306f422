"""Training: what each step draws, that it learns, and that a stopped run goes on as if it had not been."""

import csv
import dataclasses
import errno
import itertools
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor

from diffusion import process
from diffusion.data.draws import batch_indices
from diffusion.data.sets import ImageSet
from diffusion.images import to_unit
from diffusion.losses.weightings import min_snr_weight
from diffusion.networks.card import Card
from diffusion.networks.kinds import find_kind
from diffusion.networks.model import load_model
from diffusion.networks.unet import UNet, UNetConfig
from diffusion.sampling.loop import sample
from diffusion.schedules.families import make_schedule
from diffusion.schedules.spec import ScheduleSpec
from diffusion.training import train
from diffusion.training.batch import Batch, draw_steps
from diffusion.training.conditions import begin_labels, drop_labels, parameter_groups, preview_labels
from diffusion.training.config import TrainConfig, TrainError
from diffusion.training.errors import EXPECT_BELOW, errors_of_batch, examples_of, expected_of, expected_x_0
from diffusion.training.history import LossHistory
from diffusion.training.presets import PRESETS
from diffusion.training.preview import PreviewClock
from tests.tiny import unet_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
NETWORK = UNetConfig(8, 1, (2,), widths=(8, 16), blocks=1, attention=(), dropout=0.1)
CONFIG = TrainConfig(images=12 * 8, batch=8, lr=2e-3, warmup=3, save_every=1e9)


def card(network: UNetConfig = NETWORK) -> Card:
    return Card("toy", "Toy", ["dark", "light"], network, ScheduleSpec("cosine", 100), "", "", "", 0, 0.0)


def toy_set() -> ImageSet:
    """Dark images with a light left half, class 0, and light ones with a dark top, class 1."""
    images = torch.full((20, 1, 8, 8), 40, dtype=torch.uint8)
    images[::2, :, :, :4] = 220
    images[1::2] = 220
    images[1::2, :, :4] = 40
    return ImageSet(images, torch.arange(20) % 2)


def run(folder: Path, config: TrainConfig = CONFIG, network: UNetConfig = NETWORK) -> dict[str, Any]:
    """Train into a folder; returns what is needed to go on."""
    train.train(toy_set(), config, folder, card(network), Accelerator(cpu=True))
    return torch.load(folder / "state.pt", weights_only=True)


@pytest.mark.parametrize(("n", "batch"), [(10, 5), (10, 3), (7, 7), (5, 12), (1, 4), (13, 4)])
@pytest.mark.parametrize("seed", [0, 3])
def test_batches_cover_every_epoch_exactly_once(n: int, batch: int, seed: int) -> None:
    seen = torch.cat([batch_indices(n, step, batch, seed) for step in range(3 * n)])  # batch epochs of three each
    assert len(seen) == 3 * n * batch
    for epoch in seen.split(n):
        assert epoch.sort().values.tolist() == list(range(n))


def test_every_epoch_and_every_seed_has_an_order_of_its_own() -> None:
    orders = [tuple(batch_indices(50, step, 50, seed).tolist()) for step in range(3) for seed in range(3)]
    assert len(set(orders)) == 9
    assert batch_indices(50, 2, 50, 1).tolist() == list(orders[7])


@pytest.mark.parametrize(("batch", "T"), [(4, 1000), (32, 1000), (10, 10), (7, 100), (1, 50), (32, 5)])
def test_there_is_one_step_in_each_of_equal_parts(batch: int, T: int) -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        t = draw_steps(batch, np.full(T, 1 / T), True, generator)
        assert t.dtype == torch.int64
        for i, step in enumerate(t.tolist()):
            assert math.floor(i * T / batch) + 1 <= step <= min(T, math.ceil((i + 1) * T / batch))


@pytest.mark.parametrize("stratified", [True, False])
def test_steps_are_uniform_over_1_and_T(stratified: bool) -> None:
    generator, n = torch.Generator().manual_seed(0), 2000
    counts = (
        torch.stack([draw_steps(6, np.full(20, 1 / 20), stratified, generator) for _ in range(n)])
        .flatten()
        .bincount(minlength=21)
    )
    assert counts[0] == 0 and len(counts) == 21
    # Each step has 6 / 20 of a count in a batch; stratified, its variance is below the binomial's.
    expected = n * 6 / 20
    assert (counts[1:] - expected).abs().max() < 4 * math.sqrt(expected)


def test_the_learning_rate_rises_then_falls_to_nothing() -> None:
    config = TrainConfig(images=100 * 10, batch=10, lr=0.5, warmup=10)
    rates = [config.lr_at(step) for step in range(config.steps + 1)]
    assert config.steps == 100
    assert all(b > a for a, b in itertools.pairwise(rates[:10]))
    assert all(b < a for a, b in itertools.pairwise(rates[10:]))
    assert (
        rates[0] == pytest.approx(0.05)
        and rates[50] == pytest.approx(0.25)
        and rates[100] == pytest.approx(0, abs=1e-7)
    )


class Knows(torch.nn.Module):
    """Stands for a network that finds the target of its prediction type, off by one."""

    def __init__(self, target: Tensor) -> None:
        super().__init__()
        self.target = target

    def forward(self, x_t: Tensor, log_snr: Tensor, label: Tensor) -> Tensor:
        self.x_t, self.log_snr = x_t, log_snr
        return self.target + 1


def batch_of(x_0: Tensor, label: Tensor, alpha_bar: Tensor, eps: Tensor, **fields: Tensor) -> Batch:
    one = torch.ones(len(x_0))
    return Batch(**{"x_0": x_0, "eps": eps, "label": label, "t": torch.zeros(len(x_0), dtype=torch.int64),
                    "alpha_bar": alpha_bar, "guidance": one, "fair": one, "weight": one} | fields)  # fmt: skip


@pytest.mark.parametrize("prediction", ["eps", "v", "x0"])
def test_the_loss_is_the_squared_error_of_the_named_target(prediction: Any) -> None:
    schedule, generator = make_schedule("linear", 1000), torch.Generator().manual_seed(0)
    x_0, eps = (torch.randn((3, 1, 8, 8), generator=generator) for _ in range(2))
    t = torch.tensor([1, 500, 1000])
    abar = torch.tensor(schedule.alpha_bar[t.numpy()])[:, None, None, None]
    a, b = abar.sqrt().float(), (1 - abar).sqrt().float()
    network = Knows({"eps": eps, "x0": x_0, "v": a * eps - b * x_0}[prediction])
    label, level = torch.zeros(3, dtype=torch.int64), abar.flatten()
    config = UNetConfig(8, 1, (2,), widths=(8,), prediction=prediction)
    errors = errors_of_batch(network, config, batch_of(x_0, label, level, eps))
    torch.testing.assert_close(errors, torch.ones(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(network.x_t, a * x_0 + b * eps, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.log_snr, torch.tensor(schedule.log_snr[t.numpy()]).float())


def few_images() -> ImageSet:
    """Twelve images of two pixels, which are near enough to be mistaken for one another."""
    images = torch.randint(90, 166, (12, 1, 1, 2), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return ImageSet(images, torch.arange(12) % 2)


def test_the_mean_that_is_the_target_is_that_of_bayes() -> None:
    data = few_images()
    x, k, levels = to_unit(data.images).double(), data.labels, [0.001, 0.1, 0.19, 0.21, 0.9]
    for level in levels:
        x_t = torch.randn((12, 1, 1, 2), generator=torch.Generator().manual_seed(1))
        alpha_bar, label = torch.full((12,), level, dtype=torch.float64), torch.arange(12) % 3
        expected = expected_x_0(examples_of(data, torch.device("cpu")), x.float(), x_t, label, alpha_bar)
        for i in range(12):
            same = x[k == label[i]] if label[i] < 2 else x[i : i + 1]  # 2 is the empty class
            if level > EXPECT_BELOW:
                same = x[i : i + 1]
            density = torch.exp(-(x_t[i] - level**0.5 * same).square().flatten(1).sum(1) / (2 * (1 - level)))
            mean = (density[:, None, None, None] * same).sum(0) / density.sum()
            torch.testing.assert_close(expected[i].double(), mean, rtol=0, atol=1e-5)


def test_a_mean_as_target_leaves_the_expected_gradient_as_it_is_and_takes_out_its_noise() -> None:
    """Here of a network w x_t + b that predicts x_0, over many draws of image and noise."""
    data, n, generator = few_images(), 200_000, torch.Generator().manual_seed(2)
    chosen = data[torch.randint(12, (n,), generator=generator)]
    x_0 = to_unit(chosen.images)
    alpha_bar, eps = torch.full((n,), 0.1, dtype=torch.float64), torch.randn(x_0.shape, generator=generator)
    x_t = process.q_sample(x_0, 0.1, eps)
    mean = expected_x_0(examples_of(data, torch.device("cpu")), x_0, x_t, chosen.labels, alpha_bar)
    by_target = []
    for target in (x_0, mean):
        residual = (0.3 * x_t + 0.1 - target).flatten(1)
        by_target.append(torch.cat([residual * x_t.flatten(1), residual], 1).double())
    sample, expected = by_target
    error = (sample - expected).std(0) / n**0.5
    assert ((sample - expected).mean(0).abs() < 4 * error).all()
    assert (expected.mean(0).abs() > 10 * error).all()  # there is a gradient
    assert (sample.var(0) > expected.var(0)).all()


@pytest.mark.parametrize("prediction", ["eps", "v", "x0"])
def test_a_network_that_knows_the_mean_has_no_error(prediction: Any) -> None:
    data = few_images()
    examples, x_0 = examples_of(data, torch.device("cpu")), to_unit(data.images)
    level = torch.full((12,), 0.1, dtype=torch.float64)
    eps = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(3))
    x_t = process.q_sample(x_0, 0.1, eps)
    mean = torch.cat([examples[i % 2].mean(x_t[i : i + 1], 0.1) for i in range(12)])
    eps_mean = process.eps_from_x0(x_t, mean, 0.1)
    target = {"eps": eps_mean, "x0": mean, "v": process.v_from_x0_eps(mean, eps_mean, 0.1)}[prediction]
    config, batch = (
        UNetConfig(8, 1, (2,), widths=(8,), prediction=prediction),
        batch_of(x_0, data.labels, level, eps),
    )
    errors = errors_of_batch(Knows(target - 1), config, batch, expected_of(data, torch.device("cpu")))
    assert errors.max() < 1e-9
    assert errors_of_batch(Knows(target - 1), config, batch).min() > 1e-5


@pytest.mark.parametrize(("groups", "flip", "message"), [(True, False, "drawn evenly"), (False, True, "--flip")])
def test_a_mean_over_images_that_are_not_drawn_evenly_is_refused(
    tmp_path: Path, groups: bool, flip: bool, message: str
) -> None:
    data = dataclasses.replace(toy_set(), groups=torch.arange(20) // 2 if groups else None)
    with pytest.raises(TrainError, match=message):
        train.train(data, dataclasses.replace(CONFIG, target="mean", flip=flip), tmp_path / "run", card(),
                    Accelerator(cpu=True))  # fmt: skip
    assert not (tmp_path / "run").exists()


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int, action: Callable[[], None]) -> None:
    """Let the next run go ``step`` steps and then meet with something in the middle of the next."""
    calls = iter(range(10_000))

    def meets(*args: Any) -> Tensor:
        if next(calls) == step:
            action()
        return errors_of_batch(*args)

    monkeypatch.setattr(train, "errors_of_batch", meets)


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def terminate() -> None:
    signal.raise_signal(signal.SIGTERM)


def run_out_of_memory() -> None:
    raise MemoryError("full")


def assert_same_state(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert a["step"] == b["step"]
    for name in ("network", "average"):
        for key, value in a[name].items():
            assert torch.equal(value, b[name][key]), (name, key)
    for key, moments in a["optimizer"]["state"].items():
        for name, value in moments.items():
            assert torch.equal(value, b["optimizer"]["state"][key][name]), (key, name)


@pytest.mark.parametrize(("stops", "action"), [([5], interrupt), ([1, 6], interrupt), ([0], terminate)])
def test_a_run_stopped_and_resumed_is_bit_equal_to_one_that_was_not(
    tmp_path: Path,
    stops: list[int],
    action: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With dropout, whose masks must not depend on how often the run was stopped."""
    whole, done = run(tmp_path / "whole"), 0
    for steps in stops:
        with monkeypatch.context() as patch:
            stop_at(patch, steps, action)
            state = run(tmp_path / "parts")
        done += steps + 1  # the step in hand is finished
        assert state["step"] == done and f"Stopped at step {done} of 12" in capsys.readouterr().out
        torch.manual_seed(123)  # a new process would not have the global generator where it was left
    assert_same_state(run(tmp_path / "parts"), whole)


@pytest.mark.parametrize("action", [interrupt, terminate])
def test_a_stop_does_not_wait_for_the_preview(
    tmp_path: Path, action: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is drawn when the run goes on, and changes nothing in it."""
    config = dataclasses.replace(CONFIG, preview_every=CONFIG.batch * 4)
    original, taken = sample, []

    def stopped_at_the_third(*args: Any, **options: Any) -> Iterator[Any]:
        for step in original(*args, **options):
            taken.append(step.index)
            if step.index == 2:
                action()
            yield step

    with monkeypatch.context() as patch:
        patch.setattr("diffusion.training.preview.sample", stopped_at_the_third)
        patch.setattr("diffusion.training.preview.history_plot", lambda _history: pytest.fail("the loss was drawn"))
        assert run(tmp_path / "parts", config)["step"] == 4
    assert taken == [0, 1, 2]
    assert not (tmp_path / "parts" / "samples").exists()
    assert_same_state(run(tmp_path / "parts", config), run(tmp_path / "whole", config))
    names = ["step-00000004.png", "step-00000008.png", "step-00000012.png"]
    for name in names:
        parts, whole = ((tmp_path / folder / "samples" / name).read_bytes() for folder in ("parts", "whole"))
        assert parts == whole
    monkeypatch.setattr(train, "preview", lambda *_args: pytest.fail("it is there already"))
    run(tmp_path / "whole", config)


def test_a_finished_run_stays_as_it_is(tmp_path: Path) -> None:
    first = run(tmp_path)
    assert first["step"] == CONFIG.steps
    assert_same_state(run(tmp_path), first)


def test_a_run_begins_with_the_weights_it_is_given_and_counts_their_training(tmp_path: Path) -> None:
    run(tmp_path / "first")
    first = load_model(str(tmp_path / "first" / "toy.safetensors"))
    counted = dataclasses.replace(card(), images_seen=first.card.images_seen, seconds=100.0)
    config = dataclasses.replace(CONFIG, images=CONFIG.batch, lr=1e-12, weight_decay=0.0)
    train.train(toy_set(), config, tmp_path / "second", counted, Accelerator(cpu=True),
                unet_of(first))  # fmt: skip
    second = load_model(str(tmp_path / "second" / "toy.safetensors"))
    for name, weight in unet_of(first).state_dict().items():
        assert torch.equal(weight, unet_of(second).state_dict()[name]), name
    assert second.card.images_seen == CONFIG.images + CONFIG.batch and second.card.seconds >= 100


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    a, b = run(tmp_path / "a"), run(tmp_path / "b", dataclasses.replace(CONFIG, seed=1))
    assert not torch.equal(a["network"]["enter.weight"], b["network"]["enter.weight"])


def test_an_error_saves_the_steps_done_and_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        stop_at(patch, 4, run_out_of_memory)
        with pytest.raises(MemoryError, match="full"):
            run(tmp_path / "parts")
    assert_same_state(run(tmp_path / "parts"), run(tmp_path / "whole"))


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = errors_of_batch
    monkeypatch.setattr(train, "errors_of_batch", lambda *args: original(*args) * math.nan)
    with pytest.raises(RuntimeError, match="non-finite"):
        run(tmp_path)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["step"] == 0 and all(value.isfinite().all() for value in state["network"].values())


def test_the_average_follows_the_weights_as_its_formula_says(tmp_path: Path) -> None:
    """average_n = d average_{n-1} + (1 - d) weights_n with d = min(ema, n / (n + 9)), stopped after every step."""
    config = dataclasses.replace(CONFIG, ema=0.3)
    torch.manual_seed(config.seed)
    average = UNet(NETWORK).state_dict()
    for n in range(1, 8):
        with pytest.MonkeyPatch.context() as patch:
            stop_at(patch, 0, interrupt)
            state = run(tmp_path, config)
        decay = min(0.3, n / (n + 9))
        average = {key: decay * old + (1 - decay) * state["network"][key] for key, old in average.items()}
        for key, value in average.items():
            torch.testing.assert_close(state["average"][key], value, rtol=1e-5, atol=1e-6, msg=key)


def test_the_loss_falls_and_the_saved_network_tells_the_classes_apart(tmp_path: Path) -> None:
    network = UNetConfig(8, 1, (2,), widths=(8, 16), blocks=1, attention=())
    config = TrainConfig(images=200 * 16, batch=16, lr=5e-3, warmup=10, ema=0.98, save_every=1e9)
    path = train.train(toy_set(), config, tmp_path, card(network), Accelerator(cpu=True))
    model, data = load_model(str(path)), toy_set()
    assert model.card.images_seen == 3200 and model.card.network == network

    x_0 = to_unit(data.images).repeat(20, 1, 1, 1)
    label = data.labels.repeat(20)
    eps = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(5))

    def error(alpha_bar: float, label: Tensor) -> float:
        x_t = process.q_sample(x_0, alpha_bar, eps)
        return (model.denoiser(x_t, alpha_bar, label) - eps).square().mean().item()

    assert error(0.3, label) < 0.1  # finding nothing has an error of 1
    # So noisy that the label has something to tell.
    assert error(0.01, label) < 0.9 * error(0.01, 1 - label)


def read_log(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_log_of_a_stopped_run_is_that_of_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(CONFIG, log_every=3)
    run(tmp_path / "whole", config)
    with monkeypatch.context() as patch:
        stop_at(patch, 4, interrupt)
        run(tmp_path / "parts", config)
    # Rows written after the last checkpoint, by a run that was killed.
    with (tmp_path / "parts" / "log.csv").open("a") as log:
        log.write("6,48,9,9,9,9\n9,72,9")
    run(tmp_path / "parts", config)
    whole, parts = read_log(tmp_path / "whole"), read_log(tmp_path / "parts")
    assert [row["step"] for row in whole] == ["3", "6", "9", "12"]
    for a, b in zip(whole, parts, strict=True):
        assert {**a, "seconds": ""} == {**b, "seconds": ""}
    assert float(whole[0]["learning_rate"]) == pytest.approx(config.lr_at(2), rel=1e-5)


def test_a_run_goes_on_only_with_its_own_settings(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(TrainError, match=r"began with lr = 0\.002, not 0\.001"):
        run(tmp_path, dataclasses.replace(CONFIG, lr=1e-3))
    with pytest.raises(TrainError, match="began with network"):
        run(tmp_path, network=dataclasses.replace(NETWORK, widths=(16, 16)))
    longer = run(tmp_path, dataclasses.replace(CONFIG, images=14 * 8))
    assert longer["step"] == 14


def test_what_is_written_as_it_goes(tmp_path: Path) -> None:
    run(tmp_path, dataclasses.replace(CONFIG, preview_every=40))
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == ["step-00000005.png", "step-00000010.png"]
    with Image.open(tmp_path / "samples" / "step-00000010.png") as grid:
        assert grid.size == (78, 78)
    with Image.open(tmp_path / "loss_by_t.png") as plot:
        assert np.asarray(plot.convert("L")).std() > 5
    with (tmp_path / "loss_by_t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["t"]) for row in rows] == list(range(1, 101))
    assert sum(int(row["images"]) for row in rows) == 80
    assert all((row["loss"] == "nan") == (row["images"] == "0") for row in rows)


@pytest.mark.parametrize(
    ("option", "value"), [("t", "uniform"), ("weighting", "min-snr"), ("flip", True), ("decay", "constant"),
                          ("beta2", 0.9), ("weight_decay", 0.5), ("clip", 0.01), ("drop_label", 0.9)],
)  # fmt: skip
def test_every_setting_changes_the_run(tmp_path: Path, option: str, value: Any) -> None:
    a, b = run(tmp_path / "a"), run(tmp_path / "b", dataclasses.replace(CONFIG, **{option: value}))
    assert not torch.equal(a["network"]["enter.weight"], b["network"]["enter.weight"])


def test_a_run_by_importance_departs_from_uniform_once_every_step_has_its_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[np.ndarray] = []
    original = draw_steps

    def draw(batch: int, p: np.ndarray, *rest: Any) -> Tensor:
        drawn.append(p)
        return original(batch, p, *rest)

    monkeypatch.setattr("diffusion.training.batch.draw_steps", draw)
    config = dataclasses.replace(CONFIG, images=16 * 8, t="importance")
    short = dataclasses.replace(card(), schedule=ScheduleSpec("cosine", 8))
    train.train(toy_set(), config, tmp_path, short, Accelerator(cpu=True))
    departs = [p.std() > 0 for p in drawn]
    assert departs == [step >= 10 for step in range(16)]  # one at each t a step, while uniform and stratified


def test_importance_draws_large_losses_more_often_and_stays_unbiased() -> None:
    """Eq. 18: p_t ~ sqrt(E[L_t^2]); the weight 1 / (T p_t) leaves the expectation as it was."""
    T, generator = 5, torch.Generator().manual_seed(0)
    history = LossHistory.empty(T)
    truth = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.5], dtype=torch.float64)
    everyone = torch.arange(1, T + 1)
    for i in range(10):
        assert history.probability().tolist() == [0.2] * 5
        assert i == 0 or history.mean().tolist() == pytest.approx((truth + (i - 1) / 2).tolist())
        history.add(everyone, truth + i)
    for _ in range(10):  # the ten before are forgotten
        history.add(everyone, truth)
    p = history.probability()
    np.testing.assert_allclose(p, 0.999 * truth.numpy() / 15.5 + 0.001 / 5)
    t = draw_steps(100_000, p, False, generator)
    np.testing.assert_allclose(np.bincount(t, minlength=6)[1:] / 1e5, p, atol=0.006)
    assert (truth[t - 1] / torch.from_numpy(p * T)[t - 1]).mean().item() == pytest.approx(3.1, rel=0.01)
    stratified = draw_steps(1000, p, True, generator)
    np.testing.assert_allclose(np.bincount(stratified, minlength=6)[1:] / 1e3, p, atol=0.0021)


@pytest.mark.parametrize("prediction", ["eps", "v", "x0"])
def test_min_snr_weighs_the_error_of_x0_alike_whatever_is_predicted(prediction: Any) -> None:
    """weight |prediction error|^2 = min(SNR, 5) |x_0 error|^2."""
    alpha_bar = torch.tensor([0.001, 0.3, 0.8, 0.9, 0.999], dtype=torch.float64)
    x_t, x_0, wrong = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def predicted(x_0: Tensor) -> Tensor:
        eps = process.eps_from_x0(x_t, x_0, alpha_bar)
        return {"eps": eps, "x0": x_0, "v": process.v_from_x0_eps(x_0, eps, alpha_bar)}[prediction]

    error = (predicted(wrong) - predicted(x_0)).square()
    snr = alpha_bar / (1 - alpha_bar)
    torch.testing.assert_close(
        min_snr_weight(alpha_bar, prediction) * error, snr.clamp(max=5) * (wrong - x_0).square()
    )  # fmt: skip


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        stop_at(patch, 4, interrupt)
        run(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file() and path.suffix != ".csv"}

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            run(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert not list(tmp_path.glob(".*.part"))
    load_model(str(tmp_path / "toy.safetensors"))
    assert run(tmp_path)["step"] == CONFIG.steps


def test_the_papers_cifar10_network_has_its_35_7_million_parameters() -> None:
    recipe = PRESETS["cifar10"]
    with torch.device("meta"):
        network = find_kind(recipe.kind).build(recipe.network)
    assert sum(parameter.numel() for parameter in network.parameters()) == 35_746_307
    assert recipe.train.steps == 800_000
    schedule = recipe.schedule.make()
    assert (schedule.T, schedule.beta[1], schedule.beta[-1]) == (1000, 1e-4, 0.02)


@pytest.mark.parametrize(
    ("field", "value"), [("batch", 0), ("lr", -1.0), ("lr", math.nan), ("images", 3), ("ema", 1.0)]
)
def test_settings_out_of_range_are_refused(field: str, value: Any) -> None:
    with pytest.raises(TrainError, match=f"--{field} must lie between"):
        dataclasses.replace(CONFIG, **{field: value})


SCRIPT = """
import sys
from tests.test_train import CONFIG, NETWORK, card, toy_set
import dataclasses
from pathlib import Path
from accelerate import Accelerator
from diffusion.training.train import train
network = dataclasses.replace(NETWORK, dropout=0.0)
accelerator = Accelerator(cpu=True)
assert accelerator.num_processes == int(sys.argv[3])
for steps in map(int, sys.argv[4:]):  # the run is stopped after each but the last
    config = dataclasses.replace(CONFIG, images=steps * 8, log_every=1, t=sys.argv[2], decay="constant")
    train(toy_set(), config, Path(sys.argv[1]), card(network), accelerator)
accelerator.end_training()
"""


def launch(processes: int, *arguments: str) -> None:
    """Run with ``accelerate launch``, on the CPU, whatever else there is."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", str(processes),
               "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
               *(["--multi_gpu"] if processes > 1 else ["--cpu"]), *arguments]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("t", ["stratified", "importance"])
def test_two_processes_train_and_go_on_as_one_does(tmp_path: Path, t: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    for processes, stops in ((1, ["20"]), (2, ["9", "20"])):
        launch(processes, str(script), str(tmp_path / str(processes)), t, str(processes), *stops)
    one, two = (np.array([float(row["loss"]) for row in read_log(tmp_path / name)]) for name in ("1", "2"))
    assert len(one) == 20
    assert one[-1] < one[0]
    np.testing.assert_allclose(two, one, atol=1e-4)
    a, b = (torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("1", "2"))
    for key, value in a["average"].items():
        torch.testing.assert_close(b["average"][key], value, atol=1e-4, rtol=1e-3)


def test_two_processes_draw_the_samples_of_one(tmp_path: Path) -> None:
    run(tmp_path)
    made = []
    for processes in (1, 2):
        out = tmp_path / f"{processes}.npz"
        launch(processes, "-m", "diffusion", "sample", "--model", str(tmp_path / "toy.safetensors"), "--count", "150",
               "--steps", "4", "--out", str(out), "--device", "cpu")  # fmt: skip
        with np.load(out) as file:
            made.append((file["images"], file["labels"]))
    (one, labels_one), (two, labels_two) = made
    assert len(one) == 150
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(labels_one, labels_two)


CONDITIONS = dataclasses.replace(NETWORK, conditions=(4, 2, 3), modulate="scale")


def conditioned_set() -> ImageSet:
    """The toy set with three labels an image and two images a group."""
    index = torch.arange(20)
    labels = torch.stack([index % 4, index % 2, index % 3], dim=1)
    return dataclasses.replace(toy_set(), labels=labels, groups=index // 2)


def test_every_condition_is_left_out_by_itself_and_all_together() -> None:
    n = 40_000
    config = dataclasses.replace(CONFIG, drop_label=(0.5, 0.3, 0.0), drop_all=0.1)
    labels, empty = torch.tensor([1, 2, 3]).repeat(n, 1), torch.tensor([7, 8, 9])
    found = drop_labels(labels, empty, config, torch.Generator().manual_seed(0))
    left_out = (found == empty).double()
    assert torch.equal(found, torch.where(left_out > 0, empty, labels))
    expected = torch.tensor([0.1 + 0.9 * 0.5, 0.1 + 0.9 * 0.3, 0.1], dtype=torch.float64)
    torch.testing.assert_close(left_out.mean(0), expected, rtol=0, atol=4 * (0.25 / n) ** 0.5)
    # Independent but for those that are all left out: P(first and second) = 0.1 + 0.9 x 0.5 x 0.3.
    both = (left_out[:, 0] * left_out[:, 1]).mean().item()
    assert both == pytest.approx(0.1 + 0.9 * 0.15, abs=4 * (0.25 / n) ** 0.5)


def test_one_share_is_for_every_condition() -> None:
    labels, empty = torch.zeros((1000, 2), dtype=torch.int64), torch.tensor([5, 6])
    draw = [drop_labels(labels, empty, dataclasses.replace(CONFIG, drop_label=share),
                              torch.Generator().manual_seed(0)) for share in (0.4, (0.4, 0.4))]  # fmt: skip
    assert torch.equal(*draw)


def test_shares_that_are_not_as_many_as_the_conditions_are_refused(tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, drop_label=(0.5, 0.5))
    with pytest.raises(TrainError, match="2 shares for 3 conditions"):
        train.train(conditioned_set(), config, tmp_path, card(CONDITIONS), Accelerator(cpu=True))
    with pytest.raises(TrainError, match=r"--drop-label must lie between 0 and 1, not 1\.5"):
        dataclasses.replace(CONFIG, drop_label=(0.5, 1.5))


def test_the_table_of_conditions_learns_faster_and_decays_as_the_rest() -> None:
    network = UNet(CONDITIONS)
    rest, table = parameter_groups(network, dataclasses.replace(CONFIG, table_lr=10.0))
    assert network.label is not None and [*map(id, table["params"])] == [id(network.label.weight)]
    assert len(rest["params"]) + 1 == len(list(network.parameters()))
    assert table["relative_lr"] == 10 * rest["relative_lr"]
    assert table["relative_lr"] * table["weight_decay"] == pytest.approx(rest["weight_decay"])
    assert len(parameter_groups(network, CONFIG)) == 1


def test_a_run_with_several_conditions_goes_on_as_if_it_had_not_been_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(CONFIG, drop_label=(0.3, 0.2, 0.1), drop_all=0.1, table_lr=10.0, preview_every=48)
    data = conditioned_set()
    shown = preview_labels(data, data, tmp_path)

    def go(folder: Path) -> dict[str, Any]:
        train.train(data, config, folder, dataclasses.replace(card(CONDITIONS), classes=[]),
                    Accelerator(cpu=True), labels=shown)  # fmt: skip
        return torch.load(folder / "state.pt", weights_only=True)

    whole = go(tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_at(patch, 5, terminate)
        assert go(tmp_path / "parts")["step"] == 6
    torch.manual_seed(123)
    resumed = go(tmp_path / "parts")
    assert_same_state(resumed, whole)
    rates = [group["lr"] for group in resumed["optimizer"]["param_groups"]]
    assert rates[1] == pytest.approx(10 * rates[0])
    assert (tmp_path / "whole" / "samples" / "step-00000012.png").is_file()


def test_what_a_preview_asks_for(tmp_path: Path) -> None:
    index = torch.arange(200)
    labels = torch.stack([index // 2, index // 20, index % 2], dim=1)
    data = ImageSet(torch.randint(256, (200, 3, 8, 8), dtype=torch.uint8), labels, index // 2)
    unseen = data[150:]
    asked = preview_labels(data, unseen, tmp_path)
    assert asked.shape == (64, 3) and (tmp_path / "asked.png").is_file()
    assert (asked[:48, 1] == 10).all() and (asked[48:, 0] == 100).all()  # not said: one more than the last
    assert (asked[24:48, 0] >= 75).all() and (asked[:48, 0] < 100).all() and (asked[48:, 1] < 10).all()


def test_a_run_of_before_there_were_conditions_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_at(patch, 5, terminate)
        run(tmp_path / "parts")
    state = torch.load(tmp_path / "parts" / "state.pt", weights_only=True)
    state["architecture"]["num_classes"] = state["architecture"].pop("conditions")[0]
    for name in ("drop_all", "table_lr"):
        del state["config"][name]
    del state["optimizer"]["param_groups"][0]["relative_lr"]
    torch.save(state, tmp_path / "parts" / "state.pt")
    assert_same_state(run(tmp_path / "parts"), whole)


def test_what_is_told_of_a_value_begins_with_its_mean_image() -> None:
    """Rows R with (R R^T)^2 ~ M M^T: whose images are alike, their rows are."""
    data = conditioned_set()
    network = UNet(CONDITIONS)
    begin_labels(network, data)
    assert network.label is not None
    parts = network.label.weight.detach().double().split([5, 3, 4])
    for c, (part, size) in enumerate(zip(parts, CONDITIONS.conditions, strict=True)):
        assert not part[-1].any()  # not said
        images = to_unit(data.images).double().flatten(1)
        means = torch.stack([images[data.labels[:, c] == value].mean(0) for value in range(size)])
        means -= means.mean(0)
        gram = part[:-1] @ part[:-1].T
        expected = means @ means.T
        squared = gram @ gram
        torch.testing.assert_close(squared / squared.norm(), expected / expected.norm(), rtol=1e-3, atol=1e-4)
        assert part[:-1].square().mean().sqrt().item() == pytest.approx(0.5, rel=1e-3)


def test_a_run_that_is_watched_by_the_clock_learns_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Grids by the clock, of few samples in few steps, change nothing in what is learnt; the first is of the start."""
    monkeypatch.setattr("diffusion.training.preview.SHARE", 1.0)  # or so short a run would have none but the first
    watched = dataclasses.replace(CONFIG, preview_seconds=1e-6, preview_count=3, preview_steps=4)
    assert_same_state(run(tmp_path / "watched", watched), run(tmp_path / "whole"))
    drawn = sorted(path.name for path in (tmp_path / "watched" / "samples").iterdir())
    assert drawn[0] == "step-00000000.png" and len(drawn) > 1
    with Image.open(tmp_path / "watched" / "samples" / drawn[-1]) as image:
        assert image.size == (18, 18)  # two by two, of which three are drawn
    assert not (tmp_path / "watched" / "loss_by_t.png").exists()
    assert len((tmp_path / "watched" / "loss_by_t.csv").read_text().splitlines()) == 101
    assert not (tmp_path / "whole" / "samples").exists()


def test_grids_by_the_clock_take_a_tenth_of_the_time_at_most() -> None:
    clock = PreviewClock(20.0)
    assert clock.rings(5.0)
    clock.drawn(5.0, 6.0)
    assert not clock.rings(25.9) and clock.rings(26.0)
    clock.drawn(26.0, 36.0)  # ten seconds: the next not before ninety more
    assert not clock.rings(125.9) and clock.rings(126.0)
    assert not PreviewClock(0.0).rings(1e9)


def test_a_run_stops_by_itself_and_goes_on_as_if_it_had_not(tmp_path: Path) -> None:
    assert run(tmp_path / "parts", dataclasses.replace(CONFIG, stop_after=1e-9))["step"] == 0
    assert_same_state(run(tmp_path / "parts"), run(tmp_path / "whole"))
