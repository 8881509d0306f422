"""Schedules that go out and come back: through CSV, and through diffusers."""

import json

import numpy as np
import pytest
from diffusers import DDPMScheduler

from diffusion.exchange import read_betas, to_diffusers
from diffusion.likelihood import schedule_csv
from diffusion.schedule import FAMILIES, ScheduleError, drawn_schedule, make_schedule, schedule_of_betas


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
    ],
)
def test_betas_are_read_from_csv_as_people_write_it(text: str) -> None:
    assert read_betas(text.encode()).beta.tolist() == [0, 0.1, 0.2, 0.3]


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
        (b"t,noise\n1,0.1\n", "headings should include beta"),
        (b"1,0.1\n2,0.2\n", "headings should include beta"),
        (b"beta\n" + b"0.001\n" * 1_000_000, "Row 4002 is one too many: a schedule has at most 4000 betas"),
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
