"""Schedules in and out: CSV of betas, and the configuration of diffusers' schedulers."""

from __future__ import annotations

import csv
import io
from typing import Any

from diffusion.schedule import FAMILIES, T_MAX, Schedule, ScheduleError, schedule_of_betas

# What diffusers calls the families that it has too.
DIFFUSERS = {"linear": "linear", "scaled_linear": "scaled_linear", "cosine": "squaredcos_cap_v2"}


def read_betas(content: bytes) -> Schedule:
    """The schedule in a CSV file: beta_1 ... beta_T, one a row.

    The betas are in the column that is headed ``beta``, or in the only one, with a heading or without. Cells may be
    separated by commas, semicolons or tabs; empty lines do not count.

    Raises:
        ScheduleError: not such a file; the row, as a spreadsheet counts them, that is wrong.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScheduleError("csv", "This is not a text file; choose a CSV with one beta a row.") from error
    heading = text.lstrip().split("\n", 1)[0]
    delimiter = next((mark for mark in ";\t" if mark in heading), ",")
    betas: list[float] = []
    column = None
    try:
        for number, cells in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), 1):
            if not any(cell.strip() for cell in cells):
                continue
            if column is None:
                column = _beta_column(cells)
                if not _is_number(cells[column]):
                    continue  # the heading
            if len(betas) == T_MAX:
                raise ScheduleError("csv", f"Row {number} is one too many: a schedule has at most {T_MAX} betas.")
            betas.append(_beta(number, cells[column] if column < len(cells) else ""))
    except csv.Error as error:
        raise ScheduleError("csv", f"This is not a CSV file that can be read: {error}.") from error
    return schedule_of_betas(betas)


def _beta_column(cells: list[str]) -> int:
    names = [cell.strip().lower() for cell in cells]
    if "beta" in names:
        return names.index("beta")
    if len(cells) == 1:
        return 0
    raise ScheduleError("csv", f"Which of the {len(cells)} columns is it? The headings should include beta.")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _beta(row: int, cell: str) -> float:
    if not _is_number(cell):
        raise ScheduleError("csv", f"Row {row}: {cell.strip()[:40]!r} is not a number.")
    beta = float(cell)
    if not 0 < beta < 1:
        raise ScheduleError("csv", f"Row {row}: beta = {beta:g} is outside (0, 1).")
    return beta


def to_diffusers(schedule: Schedule) -> dict[str, Any]:
    """What ``DDPMScheduler.from_config`` of diffusers needs for the same alpha_bar (its step i is our t = i + 1).

    By name where diffusers has the family with these parameters, else with every beta.
    """
    config: dict[str, Any] = {"_class_name": "DDPMScheduler", "num_train_timesteps": schedule.T}
    params = dict(schedule.params)
    changed = "keep_shape_of" in params or "zero_terminal_snr" in params
    if schedule.family in ("linear", "scaled_linear") and not changed:
        return config | {"beta_schedule": DIFFUSERS[schedule.family], **params}
    defaults = {name: p.default for name, p in FAMILIES["cosine"].parameters.items()}
    if schedule.family == "cosine" and params == defaults:  # diffusers has no others
        return config | {"beta_schedule": DIFFUSERS["cosine"]}
    return config | {"trained_betas": schedule.beta[1:].tolist()}
