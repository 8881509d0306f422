"""A schedule as data: what a card, a recipe, a link, the page and a command hold instead of its thousand betas.

    spec = ScheduleSpec.from_json({"family": "cosine", "T": 1000, "s": 0.01})
    schedule = spec.make()
    spec.to_json()

It says how a schedule is made, and is checked when it is made. What the page and its links hold is written a little
differently, and is read here too.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from diffusion.checks import shown
from diffusion.schedules.families import FAMILIES, check_zero_terminal_snr, make_schedule
from diffusion.schedules.given import drawn_schedule, schedule_of_betas
from diffusion.schedules.schedule import Schedule, ScheduleError, to_zero_terminal_snr

DRAWN, GIVEN = "drawn", "given"  # in place of a family
MOST = 1e300  # of a number that is typed


@dataclass(frozen=True)
class ScheduleSpec:
    """How a schedule is made.

    Args:
        family, T, params, keep_shape_of, zero_terminal_snr: as in ``make_schedule``; or the family is "drawn" or
            "given".
        points: of a drawn schedule, as in ``drawn_schedule``.
        betas: of a given schedule, as in ``schedule_of_betas``; T may be another number than there are.
    """

    family: str = "linear"
    T: int = 1000
    params: Mapping[str, float] = field(default_factory=dict)
    keep_shape_of: int | None = None
    zero_terminal_snr: bool = False
    points: tuple[tuple[float, float], ...] = ()
    betas: tuple[float, ...] = ()

    def make(self) -> Schedule:
        """The schedule.

        Raises:
            ScheduleError: as ``make_schedule``, ``drawn_schedule`` and ``schedule_of_betas``.
        """
        match self.family:
            case "drawn":
                schedule = drawn_schedule(self.T, self.points)
            case "given":
                schedule = schedule_of_betas(self.betas, self.T)
            case family:
                return make_schedule(family, self.T, keep_shape_of=self.keep_shape_of,
                                     zero_terminal_snr=self.zero_terminal_snr, **self.params)  # fmt: skip
        check_zero_terminal_snr(self.zero_terminal_snr)
        return to_zero_terminal_snr(schedule) if self.zero_terminal_snr else schedule

    @staticmethod
    def of(schedule: Schedule) -> ScheduleSpec:
        """How a schedule is made: by its family, if that gives the same betas, else of its betas."""
        params = dict(schedule.params)
        kept, zero = params.pop("keep_shape_of", None), bool(params.pop("zero_terminal_snr", False))
        spec = ScheduleSpec(schedule.family, schedule.T, params, None if kept is None else int(kept), zero)
        if schedule.family in FAMILIES and np.array_equal(spec.make().beta, schedule.beta):
            return spec
        betas = tuple(schedule.beta[1:].tolist())
        return ScheduleSpec(GIVEN, len(betas), betas=betas)

    def to_json(self) -> dict[str, Any]:
        """Only what is not as usual, besides family and T: {"family": "cosine", "T": 1000, "s": 0.01}."""
        content: dict[str, Any] = {"family": self.family, "T": self.T, **self.params}
        if self.family == DRAWN:
            content["points"] = [list(point) for point in self.points]
        if self.family == GIVEN:
            content = {"betas": list(self.betas)} | ({} if self.T == len(self.betas) else {"T": self.T})
        if self.keep_shape_of is not None:
            content["keep_shape_of"] = self.keep_shape_of
        return content | ({"zero_terminal_snr": True} if self.zero_terminal_snr else {})

    @staticmethod
    def from_json(content: Any) -> ScheduleSpec:
        """What ``to_json`` gave, or the settings of the page, whose parameters are in "params" and whose betas are
        float64 in base64. What a number is not, a person may have typed.

        Raises:
            ScheduleError: settings that are neither's.
            KeyError: family or T missing.
        """
        if not isinstance(content, dict):
            raise ScheduleError("family", f"A schedule is described by its settings by name, not {shown(content)}.")
        if "params" in content:
            return _from_page(content)
        rest = dict(content)
        zero = rest.pop("zero_terminal_snr", False)
        if "betas" in rest:
            betas = rest.pop("betas")
            betas = tuple(betas) if isinstance(betas, list) else betas
            T = rest.pop("T", len(betas) if isinstance(betas, tuple) else 0)
            if rest:
                raise ScheduleError("beta", "A schedule of betas has no other settings.")
            return ScheduleSpec(GIVEN, T, zero_terminal_snr=zero, betas=betas)
        for name in ("family", "T"):
            if name not in rest:
                raise KeyError(name)
        family, T, kept = rest.pop("family"), rest.pop("T"), rest.pop("keep_shape_of", None)
        points = _points(rest.pop("points", None)) if family == DRAWN else ()
        return ScheduleSpec(family, T, rest, kept, zero, points)


def _from_page(settings: dict[str, Any]) -> ScheduleSpec:
    """Of {"family", "T", "params", "keep_shape_of", "zero_terminal_snr", "points", "betas"}."""
    family, T = settings["family"], read_number("T", settings["T"])
    zero = bool(settings.get("zero_terminal_snr"))
    if family == DRAWN:
        return ScheduleSpec(DRAWN, T, zero_terminal_snr=zero, points=_points(settings.get("points")))
    if family == GIVEN:
        return ScheduleSpec(GIVEN, T, zero_terminal_snr=zero, betas=_betas(settings.get("betas")))
    known = FAMILIES[family].parameters if family in FAMILIES else {}
    params = {
        name: read_number(name, value, known[name].symbol if name in known else name)
        for name, value in settings["params"].items()
    }
    kept = settings.get("keep_shape_of")
    return ScheduleSpec(family, T, params, None if kept is None else read_number("T", kept), zero)


def read_number(field: str, value: Any, symbol: str | None = None) -> Any:
    """A number that a person typed.

    Raises:
        ScheduleError: anything else.
    """
    # A whole number may be too large to be a float.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MOST or math.isnan(value):
        raise ScheduleError(field, f"{symbol or field} must be a number.")
    return value


def _points(content: Any) -> tuple[tuple[float, float], ...]:
    try:
        return tuple((float(u), float(log_snr)) for u, log_snr in content)
    except (TypeError, ValueError) as error:
        raise ScheduleError("family", "The points of a drawn curve must be pairs of numbers.") from error


def _betas(content: Any) -> tuple[float, ...]:
    try:
        return tuple(np.frombuffer(base64.b64decode(content, validate=True), dtype="<f8").tolist())
    except (TypeError, ValueError, binascii.Error) as error:
        raise ScheduleError("family", "The betas of this schedule cannot be read.") from error
