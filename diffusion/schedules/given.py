"""A schedule need not come of a formula: a curve may be drawn by hand, and betas or alpha_bars may stand in a file.

Each becomes a ``Schedule`` as it is, or is refused with the point or the row that is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diffusion.checks import is_number, shown
from diffusion.schedules.families import T_MAX, T_MIN, whole_T
from diffusion.schedules.schedule import Array, Schedule, ScheduleError, betas_of_alpha_bar, effective_betas

POINTS_MIN, POINTS_MAX = 2, 16
POINT_LOG_SNR = 20.0  # a drawn curve runs within -20 ... 20
POINT_GAP = 1e-6  # of t/T between two of its points; there are at most 4,000 steps


def drawn_schedule(T: int, points: Sequence[tuple[float, float]]) -> Schedule:
    """The schedule whose log SNR over t/T runs through points, and between them never rises.

    Monotone cubic interpolation (PCHIP, Fritsch & Carlson 1980): whatever falls from point to point becomes a schedule.

    Args:
        points: 2 to 16 pairs (t/T, log SNR): t/T rising from 0 to 1, log SNR (natural) falling, within -20 ... 20.

    Raises:
        ScheduleError: points that are no such curve, or a T that ``make_schedule`` would refuse.
    """
    from scipy.interpolate import PchipInterpolator  # takes long to import: only a drawn curve needs it
    from scipy.special import expit

    T = whole_T(T)
    if not POINTS_MIN <= len(points) <= POINTS_MAX:
        raise ScheduleError("points", f"A drawn curve has {POINTS_MIN} to {POINTS_MAX} points, not {len(points)}.")
    if not all(len(point) == 2 and all(map(is_number, point)) for point in points):
        raise ScheduleError("points", "A drawn curve must fall from point to point, each a pair of numbers.")
    u, log_snr = np.asarray(points, dtype=np.float64).T
    if not (u[0] == 0 and u[-1] == 1 and (np.diff(u) > 0).all()):
        raise ScheduleError("points", "The points of a drawn curve must run from t/T = 0 to t/T = 1.")
    if (np.diff(u) < POINT_GAP).any():
        raise ScheduleError("points", f"Points of a drawn curve must lie at least {POINT_GAP:g} apart in t/T.")
    if not ((np.diff(log_snr) < 0).all() and (np.abs(log_snr) <= POINT_LOG_SNR).all()):
        limit = f"{POINT_LOG_SNR:g}"
        raise ScheduleError("points", f"A drawn curve must fall, and its log SNR lie between −{limit} and {limit}.")
    with np.errstate(all="ignore"):  # a fall of next to nothing has a slope with no finite inverse
        curve = PchipInterpolator(u, log_snr)(np.arange(1, T + 1) / T)
    return Schedule(effective_betas(betas_of_alpha_bar(np.concatenate(([1.0], expit(curve))))), "drawn")


def schedule_of_betas(betas: Sequence[float] | Array, T: int | None = None) -> Schedule:
    """The schedule with these beta_1 ... beta_T, whatever made them.

    Args:
        T: another number of steps; ln alpha_bar is then interpolated linearly over t/T, which keeps the curve.

    Raises:
        ScheduleError: T outside 2 ... 4000, a beta outside (0, 1), or betas so large that nothing is left of the image
            long before T.
    """
    if not isinstance(betas, Sequence | np.ndarray) or not T_MIN <= len(betas) <= T_MAX:
        count = len(betas) if isinstance(betas, Sequence | np.ndarray) else shown(betas)
        raise ScheduleError("beta", f"There must be {T_MIN} to {T_MAX} betas, not {count}.")
    if not isinstance(betas, np.ndarray):
        for t, beta in enumerate(betas, 1):
            if not is_number(beta):
                raise ScheduleError("beta", f"beta_{t} must be a number between 0 and 1, not {shown(beta)}.")
    schedule = Schedule(np.concatenate(([0.0], np.asarray(betas, dtype=np.float64))))
    if T is None or whole_T(T) == schedule.T:
        return schedule
    u = np.linspace(0, 1, schedule.T + 1)
    log_alpha_bar = np.interp(np.linspace(0, 1, int(T) + 1), u, np.cumsum(np.log1p(-schedule.beta)))
    return Schedule(effective_betas(np.concatenate(([0.0], -np.expm1(np.diff(log_alpha_bar))))))


def schedule_of_alpha_bars(alpha_bars: Sequence[float] | Array) -> Schedule:
    """The schedule with these alpha_bar_1 ... alpha_bar_T.

    Raises:
        ScheduleError: as ``schedule_of_betas``, of the betas that follow.
    """
    return schedule_of_betas(betas_of_alpha_bar(np.concatenate(([1.0], np.asarray(alpha_bars, dtype=np.float64))))[1:])
