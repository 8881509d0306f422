"""What a run will cost is said before it starts: as many calls as it then makes, and how long they take."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch import Tensor

from diffusion.networks.denoiser import NetworkDenoiser
from diffusion.networks.unet import UNetConfig
from diffusion.sampling.loop import sample
from diffusion.sampling.plan import SamplingPlan
from diffusion.sampling.steps import SPACINGS, Spacing, resampled, timesteps
from diffusion.sampling.updates import SAMPLERS
from diffusion.schedules.families import make_schedule
from diffusion.schedules.schedule import Schedule
from ui import cost, loss_tab, reverse_tab
from ui.models import EXACT, find_source
from ui.sampling import Controls, control_names, read_recipe, values_of
from ui.sidebar import default_settings

NO_SIGNAL = make_schedule("linear", 1000, zero_terminal_snr=True)  # from which Heun's method takes a step of DDIM


def asked(controls: Controls) -> list[object]:
    """What the page sends for controls."""
    values = values_of(controls)
    return [values[name] for name in control_names()]


@pytest.mark.parametrize("schedule", [make_schedule("linear", 1000), NO_SIGNAL])
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("count", [1, 2, 7, 50])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_as_many_calls_are_foreseen_as_are_made(
    sampler: str, count: int, spacing: Spacing, schedule: Schedule
) -> None:  # fmt: skip
    calls = 0

    def counting(x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
        nonlocal calls
        calls += 1
        return x_t / 2

    plan = SamplingPlan(timesteps(schedule, count, spacing), [0], sampler)
    *_, last = sample(counting, schedule, plan, (1, 1, 1))
    assert plan.calls(schedule) == calls == last.calls


def test_steps_back_up_ask_nothing() -> None:
    schedule = make_schedule("linear", 100)
    steps = resampled(timesteps(schedule, 10), 3, 3)
    assert len(steps) > 10
    falling = sum(s < t for t, s in zip(steps, [*steps[1:], 0], strict=True))
    assert SamplingPlan(steps, [0], "ddim").calls(schedule) == falling < len(steps)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.0 s"), (0.44, "0.4 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min 0 s"),
     (200, "3 min 20 s"), (3599.6, "1 h 0 min"), (7500, "2 h 5 min")],
)  # fmt: skip
def test_durations_are_said_as_people_do(seconds: float, said: str) -> None:
    assert cost.duration(seconds) == said


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that takes 10 ms a call and 1 ms an image."""
    monkeypatch.setattr(cost, "_timed", lambda network: (0.01 + 0.001 * cost.FEW, 0.01 + 0.001 * cost.MANY))


@pytest.mark.usefixtures("timed")
def test_a_run_is_foreseen_by_its_calls_and_its_images() -> None:
    controls = Controls(count=40, sampler="ddim", steps=100)
    said = reverse_tab.foresee(default_settings(), *asked(controls))
    assert said == "100 calls, about 5.0 s here"
    twice = replace(controls, sampler="heun", guidance=2.0)  # 199 calls of 80 images
    assert reverse_tab.foresee(default_settings(), *asked(twice)) == "199 calls, about 18 s here"
    assert reverse_tab.foresee(default_settings(), *asked(replace(controls, count=1, steps=1))).startswith("1 call, ")


@pytest.mark.usefixtures("timed")
def test_what_would_be_refused_costs_nothing() -> None:
    for controls in (Controls(steps=None), Controls(steps=2.5), Controls(steps=1001), Controls(seed="?")):
        assert reverse_tab.foresee(default_settings(), *asked(controls)) == ""


@pytest.mark.usefixtures("timed")
def test_a_measurement_is_foreseen_in_batches() -> None:
    assert loss_tab.foresee_measuring("digits", loss_tab.THEIRS, 40, 1, 100) == (  # 32 images and 8
        "100 noise levels, 40 images at each, about 6.0 s here"
    )
    said = loss_tab.foresee_measuring("digits", loss_tab.OWN, 8, 2, 10)
    assert said == "10 noise levels, 16 draws of ε at each, about 0.3 s here"
    assert "32 draws of ε for 16 images" in loss_tab.foresee_measuring("digits", loss_tab.THEIRS, 16, 2, 10)


def test_opening_the_page_times_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*asked: object) -> None:
        raise AssertionError("A network was asked.")

    monkeypatch.setattr(NetworkDenoiser, "__call__", refuse)
    for controls, said in (
        (Controls(), "10 calls of the network"),
        (Controls(network=EXACT + "digits", sampler="heun", steps=3), "5 calls of the exact denoiser"),
    ):
        assert reverse_tab.count_calls(default_settings(), *asked(controls)) == said
    assert reverse_tab.foresee(default_settings(), *asked(Controls(network=EXACT + "digits"))).endswith("denoiser")


def test_a_network_is_timed_once() -> None:
    first = cost.seconds_a_call("digits", cost.FEW)
    assert 0 < first == cost.seconds_a_call("digits", cost.FEW)


@pytest.mark.usefixtures("timed")
def test_a_student_that_is_told_guidance_is_asked_once() -> None:
    source = find_source("digits")
    recipe = read_recipe(source, default_settings(), Controls(guidance=3.0))
    assert source.model is not None
    card, network = source.model.card, source.model.card.network
    assert isinstance(network, UNetConfig)
    told = replace(source.model, card=replace(card, network=replace(network, guidance=(1.0, 4.0))))
    assert cost.seconds_of(told, recipe) < cost.seconds_of(source.model, recipe)
