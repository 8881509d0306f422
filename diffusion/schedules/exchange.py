"""A schedule that was made elsewhere is a column of numbers in a file, and one that was made here is wanted elsewhere.

Read are CSV files of betas or alpha_bar, as spreadsheets write them, and the configuration of diffusers' schedulers;
the latter is written too.
"""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

from diffusion.checks import shown
from diffusion.schedules.families import FAMILIES, T_MAX, make_schedule
from diffusion.schedules.given import schedule_of_alpha_bars, schedule_of_betas
from diffusion.schedules.schedule import Schedule, ScheduleError, to_zero_terminal_snr

# What diffusers calls the families that it has too.
DIFFUSERS = {"linear": "linear", "scaled_linear": "scaled_linear", "cosine": "squaredcos_cap_v2"}
MOST_BYTES = 16_000_000
# Headings of columns: of what is read, and of what a lone column would be taken for betas with.
BETA = ("beta", "betas", "β")
ALPHA_BAR = ("alpha_bar", "alphas_cumprod", "alpha_bars", "alphas_bar", "alpha_cumprod", "alphabar", "ᾱ")
OTHERS = ("alpha", "alphas", "α", "sigma", "sigmas", "σ", "snr", "snr_db", "log_snr", "t", "signal", "noise_power")
DECIMAL_COMMA = re.compile(r"0?,\d+(e[+-]?\d+)?", re.IGNORECASE)


def read_betas(content: bytes) -> Schedule:
    """The schedule in a file: a CSV, one step a row, or the configuration of a scheduler of diffusers, JSON.

    In a CSV the betas are in the column that is headed ``beta``, else alpha_bar is in the one headed ``alpha_bar`` or
    ``alphas_cumprod``, else the betas are in the only column, with a heading or without. Cells may be separated by
    commas, semicolons or tabs, numbers may have decimal commas, and empty lines do not count.

    Raises:
        ScheduleError: not such a file; the row, as a spreadsheet counts them, that is wrong.
    """
    if len(content) > MOST_BYTES:
        raise ScheduleError("csv", f"This file is larger than the {MOST_BYTES:,} bytes that a schedule may take.")
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScheduleError("csv", "This is not a text file; choose a CSV with one beta a row.") from error
    return _from_json(text) if text.lstrip().startswith("{") else _from_csv(text)


def _from_csv(text: str) -> Schedule:
    lines = text.strip().split("\n", T_MAX)
    delimiter = next((mark for mark in ";\t" if mark in lines[0]), ",")
    # Without a point in them, and with one comma a row, they are numbers, and no cells.
    if delimiter == "," and all(DECIMAL_COMMA.fullmatch(line.strip()) for line in lines[1:] if line.strip()):
        delimiter = ";"
    values: list[float] = []
    column, is_alpha_bar, clean = None, False, False
    try:
        for number, cells in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), 1):
            if not any(cell.strip() for cell in cells):
                continue
            if column is None:
                column, is_alpha_bar = _column(cells)
                if not _is_number(cells[column]):
                    continue  # the heading
            if len(values) == T_MAX:
                raise ScheduleError("csv", f"Row {number} is one too many: a schedule has at most {T_MAX} steps.")
            cell = cells[column] if column < len(cells) else ""
            if not _is_number(cell):
                raise ScheduleError("csv", f"Row {number}: {cell.strip()[:40]!r} is not a number.")
            value = _number(cell)
            if is_alpha_bar and value == 1 and not values and not clean:
                clean = True  # that of t = 0
                continue
            before = values[-1] if values else 1.0
            if not 0 < value < 1:
                name = "alpha_bar" if is_alpha_bar else "beta"
                raise ScheduleError("csv", f"Row {number}: {name} = {value:g} is outside (0, 1).")
            if is_alpha_bar and value >= before:
                raise ScheduleError("csv", f"Row {number}: alpha_bar = {value:g} does not fall from {before:g}.")
            values.append(value)
    except csv.Error as error:
        raise ScheduleError("csv", f"This is not a CSV file that can be read: {error}.") from error
    return schedule_of_alpha_bars(values) if is_alpha_bar else schedule_of_betas(values)


def _column(cells: list[str]) -> tuple[int, bool]:
    """Which column to read, and whether it holds alpha_bar."""
    names = [cell.strip().lower() for cell in cells]
    for known, is_alpha_bar in ((BETA, False), (ALPHA_BAR, True)):
        for name in known:
            if name in names:
                return names.index(name), is_alpha_bar
    if len(cells) > 1:
        raise ScheduleError("csv", f"Which of the {len(cells)} columns is it? The headings should include beta or "
                                   "alpha_bar.")  # fmt: skip
    if names[0] in OTHERS:
        raise ScheduleError("csv", f"This is a column of {names[0]}; a schedule is read from beta or alpha_bar.")
    return 0, False


def _number(cell: str) -> float:
    return float(cell.replace(",", "."))


def _is_number(cell: str) -> bool:
    try:
        _number(cell)
    except ValueError:
        return False
    return True


def _from_json(text: str) -> Schedule:
    """The schedule of a diffusers scheduler's configuration, or of the JSON that the page writes."""
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ScheduleError("csv", "This JSON cannot be read; it may be cut off.") from error
    kind, betas = str(config.get("_class_name", "")), config.get("trained_betas")
    if "beta" in config and "beta_schedule" not in config:  # t = 0 ... T, as the page writes it
        given = config["beta"]
        if not isinstance(given, list) or given[:1] != [0]:
            raise ScheduleError("csv", "beta in this JSON must be a list that begins with beta_0 = 0.")
        return schedule_of_betas(given[1:])
    if (betas is None and not config.keys() & {"beta_schedule", "beta_start", "beta_end"}) or "FlowMatch" in kind:
        what = f"{kind} has no betas" if kind else "This JSON has neither beta_schedule nor trained_betas"
        raise ScheduleError("csv", f"{what}; choose the scheduler_config.json of a scheduler that has.")
    # What a configuration leaves out is what diffusers takes then.
    T, name = config.get("num_train_timesteps", 1000), config.get("beta_schedule", "linear")
    if betas is not None:
        if not isinstance(betas, list) or ("num_train_timesteps" in config and T != len(betas)):
            raise ScheduleError("csv", f"trained_betas must be a list of num_train_timesteps = {shown(T)} numbers.")
        schedule = schedule_of_betas(betas)
    else:
        family = next((ours for ours, theirs in DIFFUSERS.items() if theirs == name), None)
        if family is None:
            raise ScheduleError("csv", f"There is no beta_schedule {shown(name)} here; it may be "
                                       f"{', '.join(DIFFUSERS.values())}, or trained_betas be given.")  # fmt: skip
        ends = {"beta_start": config.get("beta_start", 0.0001), "beta_end": config.get("beta_end", 0.02)}
        schedule = make_schedule(family, T, **({} if family == "cosine" else ends))
    rescale = config.get("rescale_betas_zero_snr", False)
    if not isinstance(rescale, bool | None):
        raise ScheduleError("csv", f"rescale_betas_zero_snr is true or false, not {shown(rescale)}.")
    return to_zero_terminal_snr(schedule) if rescale else schedule


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
