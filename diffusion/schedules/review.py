"""A curve does not show what is wrong with it: that x_T still holds some of the picture, say, or that steps are wasted.

``summarize`` puts a schedule into five numbers; ``review`` says what is wrong with it, a sentence each, and ``compare``
how far it is from the one that a network was trained under.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from diffusion.schedules.families import BETA_CAP, PER_STEP
from diffusion.schedules.schedule import Array, Schedule

Curve = Literal["beta", "alpha_bar", "log_snr", "weight"]
# Here noise is 32 times as strong as the image. Above it a sampler that starts from pure noise starts from the wrong
# place: the last step of Stable Diffusion, at -23 dB, is enough to keep it from dark and bright pictures (Lin et al.
# 2023, arXiv 2305.08891, section 3.1). Below it steps hardly change anything: of the linear schedule, which has 17 %
# of its steps there, up to 20 % can be left out (Nichol & Dhariwal 2021, arXiv 2102.09672, fig. 4).
NOISE_DB = -30.0
WASTED_SHARE = 0.1
SAME_ALPHA_BAR = 0.002  # closer than this, no eye can tell two curves apart
TOLERANCE_DB = 0.5  # as far beyond what a network has seen it does as well


@dataclass(frozen=True)
class Summary:
    """What to compare schedules by.

    Args:
        last_alpha_bar: the share of signal power left at T.
        terminal_snr_db: SNR at T in decibel.
        t_equal: the t at which SNR = 1, between two steps; None if it is never reached.
        share_above_0_db: the share of steps 1 ... T with more signal than noise.
        prior_kl: (a, b) so that L_T = a m + b bits/dim for an image whose pixels have the mean square m:
            a = alpha_bar_T / (2 ln 2), b = -(alpha_bar_T + ln(1 - alpha_bar_T)) / (2 ln 2).
    """

    last_alpha_bar: float
    terminal_snr_db: float
    t_equal: float | None
    share_above_0_db: float
    prior_kl: tuple[float, float]


def summarize(schedule: Schedule) -> Summary:
    """The five numbers of a schedule."""
    last = float(schedule.alpha_bar[-1])
    a, b = last / (2 * math.log(2)), -(last + math.log1p(-last)) / (2 * math.log(2))
    return Summary(
        last_alpha_bar=last,
        terminal_snr_db=float(schedule.snr_db[-1]),
        t_equal=_t_equal(schedule.log_snr),
        share_above_0_db=float((schedule.snr_db[1:] > 0).mean()),
        prior_kl=(a, b),
    )


def _t_equal(log_snr: Array) -> float | None:
    """Where log SNR crosses zero, interpolated linearly; t = 0 has no finite one, and counts as 1."""
    after = int(np.argmax(log_snr <= 0))
    if log_snr[-1] > 0:
        return None
    if after <= 1:
        return float(after)
    before, here = log_snr[after - 1], log_snr[after]
    return float(after - 1 + before / (before - here))


@dataclass(frozen=True)
class Remark:
    """A sentence, and the curve it is about."""

    curve: Curve
    text: str


@dataclass(frozen=True)
class Trained:
    """The noise levels that a network has seen: its name and its training schedule."""

    title: str
    schedule: Schedule


def review(schedule: Schedule, trained: Trained | None = None) -> list[Remark]:
    """What is wrong with a schedule; nothing if all is well.

    Args:
        trained: the network that is to run under it.
    """
    remarks = []
    capped = int((schedule.beta >= BETA_CAP).sum())
    if schedule.family in PER_STEP and capped:
        are = _form(capped, "is", "are")
        remarks.append(Remark("beta", f"{_steps(capped)} would have β of 1 or more and {are} capped at {BETA_CAP:g}."))
    last = float(schedule.snr_db[-1])
    if last > NOISE_DB:
        share = float(schedule.signal[-1] / schedule.noise[-1])
        remarks.append(
            Remark(
                "alpha_bar",
                f"At T ({_number(last)} dB) the picture is still {share:.1%} as strong as the noise, "
                "but sampling starts from noise alone.",
            )
        )
    wasted = int((schedule.snr_db[1:] < NOISE_DB).sum())
    if wasted > WASTED_SHARE * schedule.T:
        lie, floor = _lie(wasted, schedule), _number(NOISE_DB, 0)
        remarks.append(Remark("log_snr", f"{lie} below {floor} dB, where next to nothing is left to destroy."))
    if trained is not None:
        most, least = trained.schedule.snr_db[1], trained.schedule.snr_db[-1]
        far = (schedule.snr_db[1:] > most + TOLERANCE_DB) | (schedule.snr_db[1:] < least - TOLERANCE_DB)
        if far.any():
            remarks.append(
                Remark(
                    "log_snr",
                    f"{_lie(int(far.sum()), schedule)} outside the {_number(least)} to {_number(most)} dB "
                    f"that the network “{trained.title}” was trained on.",
                )
            )
    return remarks


def compare(schedule: Schedule, trained: Trained) -> str:
    """How far a schedule is from the one in training, and why the network runs under it all the same."""
    u = np.linspace(0, 1, 1001)
    here, there = (np.interp(u * s.T, np.arange(s.T + 1), s.alpha_bar) for s in (schedule, trained.schedule))
    gap = here - there
    at = int(np.abs(gap).argmax())
    most, least = trained.schedule.snr_db[1] + TOLERANCE_DB, trained.schedule.snr_db[-1] - TOLERANCE_DB
    seen = int(((schedule.snr_db[1:] <= most) & (schedule.snr_db[1:] >= least)).sum())
    name = f"{trained.schedule.family}, T = {trained.schedule.T}"
    if abs(gap[at]) < SAME_ALPHA_BAR:
        if schedule.T == trained.schedule.T:
            return f"This is the schedule in training ({name})."
        far = f"The curve over t/T is that in training ({name})."
    else:
        more = "above" if gap[at] > 0 else "below"
        far = f"ᾱ is up to {abs(gap[at]):.2f} {more} the schedule in training ({name}), at t/T = {u[at]:.2f}."
    why = "The network is asked by noise level, not by step:"
    if seen == schedule.T:
        return f"{far} {why} it has seen all the levels of these steps, so it works all the same."
    return f"{far} {why} it has seen the levels of {seen:,} of the {schedule.T:,} steps; at the others it has to guess."


def _form(count: int, one: str, more: str) -> str:
    return one if count == 1 else more


def _steps(count: int) -> str:
    return f"{count} {_form(count, 'step', 'steps')}"


def _lie(count: int, schedule: Schedule) -> str:
    return f"{_steps(count)} of {schedule.T} {_form(count, 'lies', 'lie')}"


def _number(value: float, digits: int = 1) -> str:
    return f"{value:.{digits}f}".replace("-", "−")
