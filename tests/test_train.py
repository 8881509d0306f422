"""Training: what each step draws, that it learns, and that a stopped run goes on as if it had not been."""

import dataclasses
import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from diffusion import process, train
from diffusion.checkpoint import Card, load_model
from diffusion.data import ImageSet
from diffusion.images import to_unit
from diffusion.schedule import make_schedule
from diffusion.train import TrainConfig, batch_indices, stratified_steps
from diffusion.unet import UNet, UNetConfig

NETWORK = UNetConfig(8, 1, 2, widths=(8, 16), blocks=1, attention=(), dropout=0.1)
CONFIG = TrainConfig(images=12 * 8, batch=8, lr=2e-3, warmup=3, save_every=1e9)
CPU = torch.device("cpu")


def card(network: UNetConfig = NETWORK) -> Card:
    return Card("toy", "Toy", ["dark", "light"], network, {"family": "cosine", "T": 100}, "", "", "", 0, 0.0)


def toy_set() -> ImageSet:
    """Dark images with a light left half, class 0, and light ones with a dark top, class 1."""
    images = torch.full((20, 1, 8, 8), 40, dtype=torch.uint8)
    images[::2, :, :, :4] = 220
    images[1::2] = 220
    images[1::2, :, :4] = 40
    return ImageSet(images, torch.arange(20) % 2)


def run(folder: Path, config: TrainConfig = CONFIG, network: UNetConfig = NETWORK) -> dict[str, Any]:
    """Train into a folder; returns what is needed to go on."""
    train.train(toy_set(), network, config, folder, card(network), CPU)
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
        t = stratified_steps(batch, T, generator)
        assert t.dtype == torch.int64
        for i, step in enumerate(t.tolist()):
            assert math.floor(i * T / batch) + 1 <= step <= min(T, math.ceil((i + 1) * T / batch))


def test_steps_are_uniform_over_1_and_T() -> None:
    generator, n = torch.Generator().manual_seed(0), 2000
    counts = torch.stack([stratified_steps(6, 20, generator) for _ in range(n)]).flatten().bincount(minlength=21)
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


@pytest.mark.parametrize("prediction", ["eps", "v", "x0"])
def test_the_loss_is_the_squared_error_of_the_named_target(prediction: Any) -> None:
    schedule, generator = make_schedule("linear", 1000), torch.Generator().manual_seed(0)
    x_0, eps = (torch.randn((3, 1, 8, 8), generator=generator) for _ in range(2))
    t = torch.tensor([1, 500, 1000])
    abar = torch.tensor(schedule.alpha_bar[t.numpy()])[:, None, None, None]
    a, b = abar.sqrt().float(), (1 - abar).sqrt().float()
    network = Knows({"eps": eps, "x0": x_0, "v": a * eps - b * x_0}[prediction])
    config = dataclasses.replace(NETWORK, prediction=prediction)
    loss = train.loss_of_batch(network, config, x_0, torch.zeros(3, dtype=torch.int64), t, eps, schedule)
    assert loss.item() == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(network.x_t, a * x_0 + b * eps, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.log_snr, torch.tensor(schedule.log_snr[t.numpy()]).float())


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int, error: BaseException) -> None:
    """Let the next run go ``step`` steps and then be interrupted."""
    original, calls = train.loss_of_batch, iter(range(10_000))

    def loss_of_batch(*args: Any) -> Tensor:
        if next(calls) == step:
            raise error
        return original(*args)

    monkeypatch.setattr(train, "loss_of_batch", loss_of_batch)


def assert_same_state(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert a["step"] == b["step"]
    for name in ("network", "average"):
        for key, value in a[name].items():
            assert torch.equal(value, b[name][key]), (name, key)
    for key, moments in a["optimizer"]["state"].items():
        for name, value in moments.items():
            assert torch.equal(value, b["optimizer"]["state"][key][name]), (key, name)


@pytest.mark.parametrize("stops", [[5], [1, 6], [0]])
def test_a_run_stopped_and_resumed_is_bit_equal_to_one_that_was_not(
    tmp_path: Path, stops: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With dropout, whose masks must not depend on how often the run was stopped."""
    whole, done = run(tmp_path / "whole"), 0
    for steps in stops:
        with monkeypatch.context() as patch:
            stop_at(patch, steps, KeyboardInterrupt())
            state = run(tmp_path / "parts")
        done += steps
        assert state["step"] == done and f"Stopped at step {done} of 12" in capsys.readouterr().out
        torch.manual_seed(123)  # a new process would not have the global generator where it was left
    assert_same_state(run(tmp_path / "parts"), whole)


def test_a_finished_run_stays_as_it_is(tmp_path: Path) -> None:
    first = run(tmp_path)
    assert first["step"] == CONFIG.steps
    assert_same_state(run(tmp_path), first)


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    a, b = run(tmp_path / "a"), run(tmp_path / "b", dataclasses.replace(CONFIG, seed=1))
    assert not torch.equal(a["network"]["enter.weight"], b["network"]["enter.weight"])


def test_an_error_saves_the_steps_done_and_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        stop_at(patch, 4, MemoryError("full"))
        with pytest.raises(MemoryError, match="full"):
            run(tmp_path / "parts")
    assert_same_state(run(tmp_path / "parts"), run(tmp_path / "whole"))


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = train.loss_of_batch
    monkeypatch.setattr(train, "loss_of_batch", lambda *args: original(*args) * math.nan)
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
            stop_at(patch, 1, KeyboardInterrupt())
            state = run(tmp_path, config)
        decay = min(0.3, n / (n + 9))
        average = {key: decay * old + (1 - decay) * state["network"][key] for key, old in average.items()}
        for key, value in average.items():
            torch.testing.assert_close(state["average"][key], value, rtol=1e-5, atol=1e-6, msg=key)


def test_the_loss_falls_and_the_saved_network_tells_the_classes_apart(tmp_path: Path) -> None:
    network = UNetConfig(8, 1, 2, widths=(8, 16), blocks=1, attention=())
    config = TrainConfig(images=200 * 16, batch=16, lr=5e-3, warmup=10, ema=0.98, save_every=1e9)
    path = train.train(toy_set(), network, config, tmp_path, card(network), CPU)
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
