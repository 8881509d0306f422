"""The handlers of the lesson on the plane, called without a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from diffusion.data.points import patterns
from ui.asked import AskedError
from ui.learning import LearnWish, Lesson
from ui.lesson import behind, change_wish, press_once, press_reset, press_train, read_wish, taught_before
from ui.models import StopFlag
from ui.plane import PlaneData, pattern_points

pytestmark = pytest.mark.slow
SMALL: tuple[Any, ...] = (16, 1, False, "eps", "simple", 1e-3, 64)


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))


def points_of(pattern: str, count: int) -> PlaneData:
    return pattern_points({"pattern": pattern, "count": count, "seed": 0})


def test_one_step_is_one_step_and_train_goes_on_until_it_is_paused() -> None:
    lesson, flag, data = Lesson(), StopFlag(), points_of("moons", 200)
    *_, (view, message, start, halt, once) = press_once(data, flag, lesson, *SMALL)
    assert (view["updates"], view["state"], view["key"], message) == (1, "done", data["key"], "")
    assert start["interactive"] and once["interactive"] and not halt["interactive"]
    seen = []
    for view, _, _, halt, once in press_train(data, flag, lesson, *SMALL):
        seen.append(view["updates"])
        if len(seen) == 1:
            assert view["state"] == "live" and halt["interactive"] and not once["interactive"]
        flag.up = len(seen) == 2
    assert seen == sorted(seen) and seen[0] > 1 and len(seen) == 3 and "pattern" in view["curves"]
    assert press_reset(flag, lesson) == (None, "") and lesson.run is None
    *_, (view, *_) = press_once(data, flag, lesson, *SMALL)
    assert view["updates"] == 1


def test_a_reset_ends_what_is_learning() -> None:
    lesson, flag, values = Lesson(), StopFlag(), []
    for value in press_train(points_of("moons", 200), flag, lesson, *SMALL):
        values.append(value)
        if len(values) == 1:
            press_reset(flag, lesson)
    assert len(values) == 2 and values[-1][0] is None and values[-1][2]["interactive"] and lesson.run is None


def test_a_turn_ends_where_others_wait_and_only_there(monkeypatch: pytest.MonkeyPatch) -> None:
    lesson, data = Lesson(), points_of("moons", 200)
    monkeypatch.setattr("ui.lesson.TURN_SECONDS", 0.0)
    monkeypatch.setattr("ui.lesson.others_wait", lambda: True)
    *_, (view, message, start, *_) = press_train(data, StopFlag(), lesson, *SMALL)
    assert view["state"] == "done" and message.startswith("Others were waiting") and start["interactive"]
    monkeypatch.setattr("ui.lesson.others_wait", lambda: False)
    flag, seen = StopFlag(), []
    for view, message, *_ in press_train(data, flag, lesson, *SMALL):
        seen.append((view["state"], message))
        flag.up = len(seen) == 3
    assert seen == [("live", ""), ("live", ""), ("live", ""), ("done", "")]


def test_nothing_of_one_lesson_reaches_another() -> None:
    """Two visitors in turn, as two states of the page: what one has learnt is not the other's to go on with."""
    one, other, data = Lesson(), Lesson(), points_of("moons", 200)
    for lesson in (one, other, one):
        *_, (view, *_) = press_once(data, StopFlag(), lesson, *SMALL)
    assert view["updates"] == 2 and other.run is not None and other.run.state.step == 1
    assert one.run is not None and one.run.state.network is not other.run.state.network
    assert one.fields.updates == [1, 2] and other.fields.updates == [1] and one.wish is not other.wish


@pytest.mark.parametrize("name", patterns())
def test_a_class_where_there_is_one_is_learnt_too(name: str) -> None:
    lesson = Lesson()
    *_, (_, message, *_) = press_once(points_of(name, 50), StopFlag(), lesson, *SMALL)
    assert message == "" and lesson.run is not None
    assert len(lesson.run.card.network.conditions) == bool(patterns()[name].names)


def test_what_cannot_be_learnt_is_refused_in_a_sentence() -> None:
    for data, said in (
        (None, "There are no points yet"),
        (points_of("moons", 1), "One point is nothing to learn from"),
    ):
        *_, (_, message, start, *_) = press_train(data, StopFlag(), Lesson(), *SMALL)
        assert message.startswith(said) and start["interactive"]
    *_, (_, message, *_) = press_once(points_of("moons", 9), StopFlag(), Lesson(), 0, *SMALL[1:])
    assert message == "width must be a whole number from 1 to 1024, not 0."


def test_a_control_is_heard_while_it_learns() -> None:
    lesson = Lesson()
    assert change_wish(lesson, *SMALL) == "" and lesson.wish == LearnWish(*SMALL)
    assert "--lr must lie between" in change_wish(lesson, *SMALL[:5], 1e9, 64) and lesson.wish == LearnWish(*SMALL)
    with pytest.raises(AskedError):
        read_wish((16, 1, False, "score", "simple", 1e-3, 64))


def test_the_distribution_is_known_of_patterns_alone() -> None:
    known = behind(points_of("ring", 5))
    assert known is not None and torch.equal(known.centres, patterns()["ring"].mixture().centres)
    assert behind({"points": "", "labels": "", "key": "sketch-12.5"}) is None
    with pytest.raises(AskedError, match="There is no pattern"):
        taught_before({"pattern": "../digits"})
    assert taught_before({"pattern": "ring"})["updates"] == 3000
