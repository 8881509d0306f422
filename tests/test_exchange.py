"""Schedules that go out and come back: through CSV, and through diffusers."""

import json
from typing import Any

import numpy as np
import pytest
from diffusers import DDIMScheduler, DDPMScheduler, EulerDiscreteScheduler

from diffusion.losses.weightings import schedule_csv
from diffusion.schedules.exchange import read_betas, to_diffusers
from diffusion.schedules.families import FAMILIES, make_schedule
from diffusion.schedules.given import drawn_schedule, schedule_of_betas
from diffusion.schedules.schedule import ScheduleError


@pytest.mark.parametrize("family", FAMILIES)
def test_our_own_csv_comes_back_to_the_last_digit(family: str) -> None:
    schedule = make_schedule(family, 100)
    again = read_betas(schedule_csv(schedule).encode())
    np.testing.assert_array_equal(again.beta, schedule.beta)
    assert again.family == "custom"


@pytest.mark.parametrize(
    "text",
    [
        "0.1\n0.2\n0.3",
        "\ufeffbeta\r\n0.1\r\n0.2\r\n\r\n0.3\r\n",
        "noise\n 0.1 \n0.2\n0.3\n\n\n",
        "t;Beta;x\n1;0.1;9\n2;0.2;\n3;0.3;text",
        "x\tbeta\n\t1e-1\n\t.2\n\t0.3",
        "0,1\n0,2\n0,3",
        "beta\n0,1\n,2\n3e-1\n".replace("3e-1", "0,3E0"),
        "t;beta\n1;0,1\n2;0,2\n3;0,3",
        "betas,alpha_bar\n.1,.5\n.2,.4\n.3,.3",
    ],
)
def test_betas_are_read_from_csv_as_people_write_it(text: str) -> None:
    for encoding in ("utf-8", "utf-16"):
        assert read_betas(text.removeprefix("\ufeff").encode(encoding)).beta.tolist() == [0, 0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    "text",
    [
        "alpha_bar\n0.9\n0.72\n0.504",
        "Alpha_Bar\n1\n0.9\n0.72\n0.504",  # with that of t = 0
        "t,alphas_cumprod\n0,0.9\n1,0.72\n2,0.504\n",
        "t;snr;alpha_bar\n1;9;0,9\n2;9;0,72\n3;9;0,504",
    ],
)
def test_a_column_of_alpha_bar_is_read_as_that(text: str) -> None:
    np.testing.assert_allclose(read_betas(text.encode()).beta, [0, 0.1, 0.2, 0.3], rtol=1e-14)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "There must be 2 to 4000 betas, not 0"),
        (b"0.1", "not 1"),
        (b"beta\n0.1\nlots\n0.2", r"Row 3: 'lots' is not a number"),
        (b"0.1\n\nnan\n", r"Row 3: beta = nan is outside \(0, 1\)"),
        (b"0.1\n1\n", r"Row 2: beta = 1 is outside"),
        (b"0.1\n-0.1\n", r"Row 2: beta = -0.1 is outside"),
        (b"0.1\ninf\n", r"Row 2: beta = inf is outside"),
        (b"t,beta\n1,0.1\n2\n", r"Row 3: '' is not a number"),
        (b"alpha_bar\n0.9\n0.9\n", "Row 3: alpha_bar = 0.9 does not fall from 0.9"),
        (b"alpha_bar\n0.9\n1\n", r"Row 3: alpha_bar = 1 is outside \(0, 1\)"),
        (b"alpha_bar\n1\n1\n", "Row 3: alpha_bar = 1 is outside"),
        (b"alphas\n0.9\n0.8\n", "a column of alphas; a schedule is read from beta or alpha_bar"),
        (b"sigma\n0.1\n0.2\n", "a column of sigma"),
        (b"0" * 20_000_000, "larger than the 16,000,000 bytes"),
        (b"{", "This JSON cannot be read"),
        (b"{" + b'"a":[' * 100_000, "This JSON cannot be read"),
        (b'{"_class_name": "FlowMatchEulerDiscreteScheduler"}', "FlowMatchEulerDiscreteScheduler has no betas"),
        (b'{"beta_schedule": "sigmoid"}', "There is no beta_schedule 'sigmoid' here; it may be linear, scaled_linear"),
        (b'{"beta_schedule": ["linear"]}', "There is no beta_schedule"),
        (b'{"beta_start": "x"}', "must lie between 1e-06 and 0.05, not 'x'"),
        (b'{"beta_end": 5}', "must lie between"),
        (b'{"beta_schedule": "linear", "num_train_timesteps": 1e9}', "T must be a whole number"),
        (b'{"beta_schedule": "linear", "rescale_betas_zero_snr": "no"}', "true or false"),
        (b'{"trained_betas": 3}', "trained_betas must be a list"),
        (b'{"trained_betas": [0.1, 0.2], "num_train_timesteps": 3}', "list of num_train_timesteps = 3"),
        (b'{"trained_betas": [0.1, "x"]}', "beta_2 must be a number"),
        (b'{"trained_betas": [0.1, 2]}', "beta_2 = 2 is outside"),
        (b'{"x": 1}', "neither beta_schedule nor trained_betas"),
        (b'{"beta": [0.1, 0.2]}', "begins with beta_0 = 0"),
        (b"t,noise\n1,0.1\n", "headings should include beta"),
        (b"1,0.1\n2,0.2\n", "headings should include beta"),
        (b"beta\n" + b"0.001\n" * 1_000_000, "Row 4002 is one too many: a schedule has at most 4000 steps"),
        (b"0.9\n" * 100, "lower β or T"),
        (bytes(range(256)), "not a text file"),
        (b'beta\n"0.1' + b"1" * 200_000, "not a CSV file that can be read"),
        (b"beta\n<script>alert(1)</script>\n", "Row 2: '<script>alert"),
    ],
)
def test_a_file_that_is_no_schedule_is_refused_with_the_row(content: bytes, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        read_betas(content)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("T", [2, 50, 1000])
def test_diffusers_loads_the_same_alpha_bar(family: str, T: int) -> None:
    schedule = make_schedule(family, T)
    config = json.loads(json.dumps(to_diffusers(schedule)))
    assert ("trained_betas" in config) == (family not in ("linear", "scaled_linear", "cosine"))
    theirs = DDPMScheduler.from_config(config).alphas_cumprod.numpy()
    np.testing.assert_allclose(theirs, schedule.alpha_bar[1:], rtol=0, atol=1e-6)


def test_diffusers_gets_the_betas_of_what_it_has_no_name_for() -> None:
    for schedule in (
        make_schedule("cosine", 100, s=0.1),
        make_schedule("linear", 50, keep_shape_of=1000),
        make_schedule("scaled_linear", zero_terminal_snr=True),
        drawn_schedule(30, [(0, 8), (0.3, 1), (1, -9)]),
        schedule_of_betas(np.linspace(0.01, 0.3, 20)),
    ):
        theirs = DDPMScheduler.from_config(to_diffusers(schedule)).alphas_cumprod.numpy()
        np.testing.assert_allclose(theirs, schedule.alpha_bar[1:], rtol=0, atol=1e-6)


def test_what_goes_to_diffusers_comes_back_to_the_last_digit() -> None:
    for schedule in (
        *(make_schedule(family, T) for family in FAMILIES for T in (2, 1000)),
        make_schedule("scaled_linear", 1000, beta_start=0.00085, beta_end=0.012),
        make_schedule("cosine", 100, s=0.1),
        make_schedule("linear", 50, keep_shape_of=1000),
        make_schedule("scaled_linear", zero_terminal_snr=True),
        drawn_schedule(30, [(0, 8), (0.3, 1), (1, -9)]),
    ):
        again = read_betas(json.dumps(to_diffusers(schedule)).encode())
        np.testing.assert_array_equal(again.beta, schedule.beta)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
        {"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 50},
        {"trained_betas": [0.1, 0.2, 0.3], "num_train_timesteps": 3},
        {"beta_schedule": "scaled_linear", "rescale_betas_zero_snr": True},
    ],
)
@pytest.mark.parametrize("kind", [DDPMScheduler, DDIMScheduler, EulerDiscreteScheduler])
def test_the_configurations_of_diffusers_are_read(kind: Any, config: dict[str, Any]) -> None:
    scheduler = kind(**config)
    ours = read_betas(scheduler.to_json_string().encode()).alpha_bar[1:]
    np.testing.assert_allclose(ours, scheduler.alphas_cumprod.numpy(), rtol=0, atol=1e-6)


def test_the_json_of_the_page_is_read() -> None:
    schedule = make_schedule("laplace", 20)
    text = json.dumps({"settings": {}, "beta": schedule.beta.tolist(), "alpha_bar": schedule.alpha_bar.tolist()})
    np.testing.assert_array_equal(read_betas(text.encode()).beta, schedule.beta)
