"""The schedule that all tabs share: its settings, and what the browser gets of it."""

from __future__ import annotations

import base64
import math
from dataclasses import asdict
from typing import Any

import numpy as np

from diffusion.likelihood import loss_weight
from diffusion.process import posterior_mean
from diffusion.schedule import FAMILIES, Array, Schedule, ScheduleError, make_schedule
from ui.figures import Columns
from ui.view import View

CHART_POINTS = 250  # more cannot be told apart on a screen, and cost time on every move

Settings = dict[str, Any]


def default_settings() -> Settings:
    """The linear schedule of Ho et al. 2020."""
    parameters = FAMILIES["linear"].parameters
    return {"family": "linear", "T": 1000, "params": {name: p.default for name, p in parameters.items()}}


def read_schedule(settings: Settings) -> Schedule:
    """The schedule of the sidebar's settings.

    Raises:
        ScheduleError: as ``make_schedule``, and for what a person typed that is no number.
    """
    values = {"T": settings["T"]} | settings["params"]
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            symbol = "T" if name == "T" else FAMILIES[settings["family"]].parameters[name].symbol
            raise ScheduleError(name, f"{symbol} must be a number.")
    return make_schedule(settings["family"], settings["T"], **settings["params"])


def bend_schedule(settings: Settings) -> dict[str, Any]:
    """What the browser needs to draw a schedule, or {"error": {"field", "message"}}.

    ``columns``: float64 by t = 0 ... T, base64; ``chart``: about 250 points of every curve.
    """
    try:
        schedule = read_schedule(settings)
    except ScheduleError as error:
        return {"error": {"field": error.field, "message": str(error)}}
    a, b = schedule.alpha_bar[1:], schedule.alpha_bar[:-1]
    zero = np.zeros(1)
    columns = {
        "beta": schedule.beta,
        "alpha_bar": schedule.alpha_bar,
        "signal": schedule.signal,
        "noise": schedule.noise,
        "snr_db": schedule.snr_db,
        "posterior_variance": schedule.posterior_variance,
        # The coefficients of x_t and x_0 in the posterior mean are what it makes of (0, 1) and (1, 0).
        "posterior_xt": np.concatenate((zero, posterior_mean(np.zeros_like(a), np.ones_like(a), a, b))),
        "posterior_x0": np.concatenate((zero, posterior_mean(np.ones_like(a), np.zeros_like(a), a, b))),
    }
    return {
        "settings": settings,
        "T": schedule.T,
        "columns": {name: base64.b64encode(column.tobytes()).decode() for name, column in columns.items()},
        "chart": thin(
            {
                "t": np.arange(schedule.T + 1, dtype=np.float64),
                "beta": schedule.beta,
                "alpha_bar": schedule.alpha_bar,
                "signal": schedule.signal,
                "noise": schedule.noise,
                "log_snr": schedule.log_snr,
                "weight_beta": loss_weight(schedule, "beta"),
                "weight_posterior": loss_weight(schedule, "posterior"),
            }
        ),
    }


def thin(columns: dict[str, Array]) -> Columns:
    """About 250 points of t = 1 ... T, both ends among them; what is not finite becomes a gap."""
    length = len(columns["t"])
    at = np.unique(np.round(np.linspace(1, length - 1, CHART_POINTS)).astype(int))
    return {name: plain(column[at]) for name, column in columns.items()}


def plain(values: Array) -> list[float | None]:
    """Seven digits, None for what JSON cannot say."""
    return [float(f"{value:.7g}") if math.isfinite(value) else None for value in values]


def sidebar_view() -> View:
    """The sidebar; its value is the settings of the last schedule that could be made."""
    families = {
        name: {
            "title": family.title,
            "formula": family.formula,
            "source": family.source,
            "parameters": {key: asdict(parameter) for key, parameter in family.parameters.items()},
        }
        for name, family in FAMILIES.items()
    }
    return View(
        "sidebar",
        value=default_settings(),
        elem_id="lab-sidebar",
        server_functions=[bend_schedule],
        families=families,
    )
