"""A schedule's five numbers, found in other ways too; every remark where it belongs and nowhere else."""

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from diffusion.losses.likelihood import bits_per_dim, prior_kl
from diffusion.schedules.families import FAMILIES, make_schedule
from diffusion.schedules.review import Trained, compare, review, summarize
from diffusion.schedules.schedule import Schedule

SCHEDULES = [make_schedule(family, T) for family in FAMILIES for T in (10, 1000)]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: f"{s.family}-{s.T}")
def test_summary_is_what_the_schedule_says(schedule: Schedule) -> None:
    summary = summarize(schedule)
    assert summary.last_alpha_bar == schedule.alpha_bar[-1]
    assert summary.terminal_snr_db == pytest.approx(
        10 * np.log10(schedule.alpha_bar[-1] / (1 - schedule.alpha_bar[-1]))
    )
    assert summary.share_above_0_db == sum(schedule.alpha_bar[1:] > 0.5) / schedule.T
    x_0 = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    a, b = summary.prior_kl
    expected = bits_per_dim(prior_kl(x_0, schedule).item(), x_0.numel())
    assert a * x_0.square().mean().item() + b == pytest.approx(expected, rel=1e-5)


def test_signal_and_noise_are_equal_where_the_curve_crosses() -> None:
    for schedule in SCHEDULES:
        t = summarize(schedule).t_equal
        if t is not None and t > 1:
            steps = np.arange(1, schedule.T + 1)
            crossing = brentq(lambda at: np.interp(at, steps, schedule.log_snr[1:]), 1, schedule.T)  # noqa: B023
            assert t == pytest.approx(crossing)
    assert summarize(make_schedule("constant", 2, beta=0.001)).t_equal is None
    assert summarize(Schedule(np.array([0, 0.9, 0.9]))).t_equal == 1
    assert 259 < (summarize(make_schedule()).t_equal or 0) < 260


def curves(schedule: Schedule, trained: Schedule | None = None) -> list[str]:
    return [r.curve for r in review(schedule, None if trained is None else Trained("digits", trained))]


def test_nothing_is_said_of_a_schedule_without_fault() -> None:
    good = make_schedule("linear", beta_end=0.015)
    assert curves(good, good) == []


def test_too_much_signal_at_the_end_is_said() -> None:
    weak = make_schedule("scaled_linear", beta_start=0.00085, beta_end=0.012)  # that of Stable Diffusion
    (remark,) = review(weak)
    assert remark.curve == "alpha_bar"
    assert "6.8% as strong" in remark.text and "−23.3 dB" in remark.text  # 0.068265 in Lin et al. 2023, section 3.1
    assert curves(make_schedule("scaled_linear", beta_start=0.00085, beta_end=0.012, zero_terminal_snr=True)) == []


def test_wasted_steps_are_counted() -> None:
    schedule = make_schedule()
    (remark,) = review(schedule)
    wasted = int((schedule.alpha_bar / (1 - schedule.alpha_bar + 1e-300) < 1e-3).sum())
    assert remark.curve == "log_snr" and remark.text.startswith(f"{wasted} steps of 1000 lie below −30 dB")


def test_capped_betas_are_counted() -> None:
    remark = review(make_schedule("linear", 10, keep_shape_of=1000))[0]
    assert remark.curve == "beta" and remark.text.startswith(
        "5 steps would have β of 1 or more and are capped at 0.999"
    )
    assert "beta" not in curves(make_schedule("cosine"))  # its own cap is part of the family


def test_noise_levels_that_the_network_never_saw_are_counted() -> None:
    trained = make_schedule()
    assert curves(trained, trained) == ["log_snr"]
    remarks = review(make_schedule("cosine"), Trained("digits", trained))
    seen = trained.snr_db
    outside = int(
        (
            (make_schedule("cosine").snr_db[1:] < seen[-1] - 0.5) | (make_schedule("cosine").snr_db[1:] > seen[1] + 0.5)
        ).sum()
    )
    assert outside > 0
    assert any(f"{outside} step" in r.text and "“digits”" in r.text for r in remarks)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (make_schedule(), "This is the schedule in training (linear, T = 1000)."),
        (make_schedule("linear", 2000, keep_shape_of=1000), "The curve over t/T is that in training"),
        (make_schedule("constant", 500, beta=1e-4), "ᾱ is up to 0.96 above the schedule in training"),
        (make_schedule("cosine", 100), "ᾱ is up to 0.45 above"),
    ],
)
def test_page_says_how_far_a_schedule_is_from_the_one_in_training(schedule: Schedule, words: str) -> None:
    text = compare(schedule, Trained("digits", make_schedule()))
    assert text.startswith(words)
    # Counted anew: steps with more or less noise than any in training.
    levels = make_schedule().snr_db[1:]
    seen = sum(levels[-1] - 0.5 <= db <= levels[0] + 0.5 for db in schedule.snr_db[1:])
    if not text.startswith("This"):
        assert ("all the levels" if seen == schedule.T else f"levels of {seen:,} of") in text
