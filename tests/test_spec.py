"""A schedule as data: whoever holds it, in whatever dialect, means the same schedule."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from diffusion.schedules.families import FAMILIES, make_schedule
from diffusion.schedules.given import drawn_schedule, schedule_of_betas
from diffusion.schedules.schedule import ScheduleError, to_zero_terminal_snr
from diffusion.schedules.spec import ScheduleSpec

POINTS = ((0.0, 8.0), (0.4, 1.0), (1.0, -7.0))
BETAS = (0.1, 0.2, 0.3)
IN_BASE64 = base64.b64encode(np.array(BETAS, "<f8").tobytes()).decode()
SPECS = {
    **{family: (ScheduleSpec(family, 40), make_schedule(family, 40)) for family in FAMILIES},
    "parameter": (ScheduleSpec("cosine", 60, {"s": 0.1}), make_schedule("cosine", 60, s=0.1)),
    "shape kept": (ScheduleSpec("linear", 50, {"beta_end": 0.03}, 1000),
                   make_schedule("linear", 50, keep_shape_of=1000, beta_end=0.03)),
    "zero": (ScheduleSpec("linear", 90, zero_terminal_snr=True), make_schedule("linear", 90, zero_terminal_snr=True)),
    "drawn": (ScheduleSpec("drawn", 50, points=POINTS), drawn_schedule(50, POINTS)),
    "drawn to zero": (ScheduleSpec("drawn", 50, zero_terminal_snr=True, points=POINTS),
                      to_zero_terminal_snr(drawn_schedule(50, POINTS))),
    "given": (ScheduleSpec("given", 3, betas=BETAS), schedule_of_betas(BETAS)),
    "given, of other T": (ScheduleSpec("given", 7, betas=BETAS), schedule_of_betas(BETAS, 7)),
}  # fmt: skip


@pytest.mark.parametrize("name", SPECS)
def test_what_it_makes_is_the_schedule_also_after_a_round_trip(name: str) -> None:
    spec, schedule = SPECS[name]
    assert np.array_equal(spec.make().beta, schedule.beta)
    again = ScheduleSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert again == spec
    assert np.array_equal(ScheduleSpec.of(schedule).make().beta, schedule.beta)


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ({"family": "cosine", "T": 60, "params": {"s": 0.1}}, "parameter"),
        ({"family": "linear", "T": 50, "params": {"beta_end": 0.03}, "keep_shape_of": 1000}, "shape kept"),
        ({"family": "linear", "T": 90, "params": {}, "zero_terminal_snr": True}, "zero"),
        ({"family": "drawn", "T": 50, "params": {}, "points": [list(point) for point in POINTS]}, "drawn"),
        ({"family": "given", "T": 7, "params": {}, "betas": IN_BASE64}, "given, of other T"),
    ],
)
def test_the_page_says_the_same(page: dict[str, Any], name: str) -> None:
    assert ScheduleSpec.from_json(page) == SPECS[name][0]


def test_files_of_today_are_written_as_before() -> None:
    assert ScheduleSpec("cosine", 1000).to_json() == {"family": "cosine", "T": 1000}
    assert ScheduleSpec.of(schedule_of_betas(BETAS)).to_json() == {"betas": list(BETAS)}
    flags = {"keep_shape_of": 1000.0, "zero_terminal_snr": 1.0}  # as they once were
    kept = ScheduleSpec.from_json({"family": "scaled_linear", "T": 50, **flags}).make()
    same = make_schedule("scaled_linear", 50, keep_shape_of=1000, zero_terminal_snr=True)
    assert np.array_equal(kept.beta, same.beta)


@pytest.mark.parametrize(
    ("content", "field", "message"),
    [
        (["linear"], "family", "described by its settings by name, not"),
        ({"betas": list(BETAS), "family": "linear"}, "beta", "A schedule of betas has no other settings."),
        ({"betas": "many"}, "beta", "must be a number between 0 and 1"),
        ({"betas": list(BETAS), "zero_terminal_snr": "yes"}, "zero_terminal_snr", "either true or false, not 'yes'"),
        ({"family": "odd", "T": 9}, "family", "There is no schedule family 'odd'"),
        ({"family": "linear", "T": 9, "s": 1}, "s", "has no parameter 's'"),
        ({"family": "linear", "T": "9"}, "T", "T must be a whole number"),
        ({"family": "linear", "T": "9", "params": {}}, "T", "T must be a number."),
        ({"family": "linear", "T": 9, "params": {"beta_end": None}}, "beta_end", "β_T must be a number."),
        ({"family": "linear", "T": 9, "params": {}, "keep_shape_of": "x"}, "T", "T must be a number."),
        ({"family": "drawn", "T": 9, "params": {}, "points": [1]}, "family", "must be pairs of numbers"),
        ({"family": "drawn", "T": 9, "points": [[0, 1], [1, 2]]}, "points", "must fall"),
        ({"family": "given", "T": 9, "params": {}, "betas": "?"}, "family", "cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is(content: Any, field: str, message: str) -> None:
    with pytest.raises(ScheduleError, match=message) as caught:
        ScheduleSpec.from_json(content).make()
    assert caught.value.field == field


@pytest.mark.parametrize("name", ["family", "T"])
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(KeyError, match=name):
        ScheduleSpec.from_json({key: value for key, value in {"family": "linear", "T": 9}.items() if key != name})
