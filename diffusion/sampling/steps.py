"""A schedule has a thousand steps, a sampler takes twenty of them: which?

``timesteps`` chooses them; ``SPACINGS`` says of each way what it is, where it is from and when to use it. ``resampled``
lets them go back up again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from diffusion.checks import is_whole, shown
from diffusion.sampling.choices import Choice, SamplingError, check_choice
from diffusion.schedules.schedule import LOG_SNR_END, Schedule

Spacing = Literal["trailing", "linspace", "leading", "quadratic", "log_snr", "karras"]
RHO = 7  # the paper's choice: it spends more of the steps where little noise is left than would even out their errors


SPACINGS: dict[Spacing, Choice] = {
    "trailing": Choice(
        "trailing",
        r"t_i = \mathrm{round}\big(T - i\,\tfrac{T}{N}\big)",
        "Lin et al. 2023, table 2",
        "Even in t, always begins at T. Right unless you have a reason.",
    ),
    "linspace": Choice(
        "linspace",
        r"t_i = 1 + \mathrm{round}\big((N-1-i)\,\tfrac{T-1}{N-1}\big)",
        "Nichol & Dhariwal 2021, section 4",
        "Even in t with both ends; its last step, from t = 1, changes little.",
    ),
    "leading": Choice(
        "leading",
        r"t_i = 1 + (N-1-i)\,\lfloor T/N\rfloor",
        "Song et al. 2021, appendix D.2 (linear)",
        "Begins below T, at a level that pure noise is not at. Here to show what that costs.",
    ),
    "quadratic": Choice(
        "quadratic",
        r"t_i = \mathrm{round}\big(T\,(\tfrac{N-i}{N})^2\big)",
        "Song et al. 2021, appendix D.2",
        "More steps near t = 0, where fine detail appears.",
    ),
    "log_snr": Choice(
        "even in log SNR",
        r"\log\mathrm{SNR}_{t_i} = \log\mathrm{SNR}_T + \tfrac{i}{N-1}(\log\mathrm{SNR}_1 - \log\mathrm{SNR}_T)",
        "Lu et al. 2022, arXiv 2206.00927, section 3.3",
        "The same whatever the schedule. Best for DPM-Solver++ with 10 to 20 steps.",
    ),
    "karras": Choice(
        "Karras",
        r"\sigma_{t_i} = \big(\sigma_T^{1/7} + \tfrac{i}{N-1}(\sigma_1^{1/7} - \sigma_T^{1/7})\big)^7,\;"
        r" \sigma_t = \sqrt{(1-\bar\alpha_t)/\bar\alpha_t}",
        "Karras et al. 2022, arXiv 2206.00364, eq. 5",
        "The same whatever the schedule, with more steps where little noise is left than even ones in log SNR.",
    ),
}


def timesteps(schedule: Schedule, count: int, spacing: Spacing = "trailing", start: int | None = None) -> list[int]:
    """``count`` of the steps 1 ... T, from the noisiest down; the step after the last is t = 0.

    Args:
        start: where to begin instead of T, which all formulas then take for T.

    leading:   1 + i floor(T / count): begins below T when count does not divide it, or count < T.
    linspace:  1 + round(i (T - 1) / (count - 1)): both ends.
    trailing:  round(T - i T / count): always begins at T (Lin et al. 2023, arXiv 2305.08891, table 2).
    quadratic: round(T (i / count)^2), i = 1 ... count (Song et al. 2021, arXiv 2010.02502, appendix D.2).
    log_snr:   nearest to levels even in log SNR (Lu et al. 2022, arXiv 2206.00927, section 3.3), all within
               -12 ... 12; the first is T in any case.
    karras:    the same with levels even in sigma^(1/7), sigma = sqrt((1 - alpha_bar) / alpha_bar) = exp(-log SNR / 2)
               (Karras et al. 2022, arXiv 2206.00364, eq. 5, rho = 7).

    Where two of the last three kinds fall together, they are moved apart.

    Raises:
        SamplingError: count or start outside 1 ... T, or an unknown spacing.
    """
    check_choice("spacing", spacing, SPACINGS)
    T = schedule.T if start is None else start
    if not is_whole(T) or not 1 <= T <= schedule.T:
        raise SamplingError("start", f"The step to begin at must lie between 1 and T = {schedule.T}, not {shown(T)}.")
    if not is_whole(count):
        raise SamplingError("steps", f"The number of steps must be a whole number, not {shown(count)}.")
    if not 1 <= count <= T:
        name = "T" if start is None else "where they begin, t"
        raise SamplingError("steps", f"Steps must lie between 1 and {name} = {T}, not {shown(count)}.")
    steps: NDArray[Any]
    match spacing:
        case "leading":
            steps = 1 + np.arange(count) * (T // count)
        case "linspace":
            # The lower end alone when there is one step would start from almost clean images.
            steps = 1 + np.round(np.linspace(0, T - 1, count)) if count > 1 else np.array([T])
        case "trailing":
            steps = np.round(np.arange(T, 0, -T / count))[:count][::-1]
        case "quadratic":
            steps = _apart(T * (np.arange(1, count + 1) / count) ** 2, T)
        case "log_snr" | "karras":
            log_snr = schedule.log_snr[1 : T + 1]
            # A step beyond these would be lost.
            first, last = np.clip(log_snr[[0, -1]], -LOG_SNR_END, LOG_SNR_END)
            if spacing == "log_snr":
                levels = np.linspace(first, last, count)
            else:
                largest, smallest = np.exp(-first / 2 / RHO), np.exp(-last / 2 / RHO)  # sigma^(1/7)
                levels = -2 * RHO * np.log(np.linspace(largest, smallest, count))
            # np.interp wants rising levels, which run from T down to 1.
            steps = np.interp(levels, log_snr[::-1], np.arange(T, 0, -1))
            steps = _apart(np.concatenate((steps[:-1], [T])), T)
    return [int(t) for t in steps[::-1]]


def steps_at(schedule: Schedule, levels: Sequence[float], start: int | None = None) -> list[int]:
    """The steps of a schedule nearest in log SNR to given levels, alpha_bar, of falling noise; the first is T.

    Args:
        start: where to begin instead of T; of the levels those of less noise follow.

    Raises:
        SamplingError: more levels than steps, or a start outside 1 ... T.
    """
    if len(levels) > schedule.T:
        raise SamplingError("steps", f"This network takes {len(levels)} steps, and the schedule has {schedule.T}.")
    after = np.asarray(levels[1:], np.float64)[::-1]
    wanted = np.clip(np.log(after) - np.log1p(-after), -LOG_SNR_END, LOG_SNR_END)
    log_snr = np.clip(schedule.log_snr[1:], -LOG_SNR_END, LOG_SNR_END)
    # np.interp wants rising levels, which run from T down to 1.
    steps = np.interp(wanted, log_snr[::-1], np.arange(schedule.T, 0, -1))
    own = [int(t) for t in _apart(np.append(steps, schedule.T), schedule.T)[::-1]]
    if start is None:
        return own
    return [*timesteps(schedule, 1, start=start), *(t for t in own if t < start)]


def _apart(steps: NDArray[Any], T: int) -> NDArray[Any]:
    """Rising steps rounded to whole numbers, no two alike, within 1 ... T."""
    index = np.arange(len(steps))
    upwards = np.maximum.accumulate(np.maximum(np.round(steps), 1) - index) + index
    return np.minimum(upwards, T - index[::-1])


def resampled(steps: Sequence[int], jump: int = 10, repeats: int = 10) -> list[int]:
    """Steps that go back up again and again, for ``known`` parts and the rest to come to terms.

    After every ``jump`` steps down they rise by as many, ``repeats - 1`` times over, before they go on (RePaint,
    Lugmayr et al. 2022, arXiv 2201.09865, section 4.2 and its released code). About ``repeats`` times as many calls.

    Raises:
        SamplingError: jump or repeats below 1.
    """
    for name, value in (("jump", jump), ("repeats", repeats)):
        if not is_whole(value) or value < 1:
            raise SamplingError(name, f"{name} must be a whole number of at least 1, not {shown(value)}.")
    rising, path = steps[::-1], []
    left = dict.fromkeys(range(0, len(steps) - jump, jump), repeats - 1)
    i = len(steps)
    while i > 0:
        i -= 1
        path.append(rising[i])
        if left.get(i, 0) > 0:
            left[i] -= 1
            i += jump
            path.append(rising[i])
    return path


def count_steps(steps: Sequence[int]) -> int:
    """How many of the steps go down, which is where a denoiser is asked; all but those that ``resampled`` rises by."""
    return sum(s < t for t, s in pairwise([*steps, 0]))


def check_steps(steps: Sequence[int], schedule: Schedule, *, rising: bool = False) -> None:
    """Raises SamplingError: steps that do not descend within 1 ... T; ``rising`` ones may rise in between."""
    whole = len(steps) > 0 and all(is_whole(t) and 1 <= t <= schedule.T for t in steps)
    if not whole or any(s == t or (s > t and not rising) for t, s in pairwise(steps)):
        raise SamplingError("steps", f"Steps must descend from at most T = {schedule.T} to at least 1.")
