"""What people ask of a network in words, and of a student in steps."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from diffusion.networks.card import Card
from diffusion.sampling.choices import SamplingError
from diffusion.sampling.plan import SamplingPlan
from diffusion.sampling.steps import steps_at, timesteps
from diffusion.sampling.wishes import in_words, labels_asked, remark_on_student, steps_asked, values_asked
from diffusion.schedules.families import FAMILIES, make_schedule
from diffusion.schedules.schedule import to_zero_terminal_snr
from tests.tiny import save_tiny, save_tiny_of_things

LEVELS = make_schedule("cosine", 1000).alpha_bar[[1000, 750, 500, 250]].tolist()
STEPS = [1000, 750, 500, 250]


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Card:
    return save_tiny_of_things(tmp_path_factory.mktemp("models") / "things.safetensors")


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Card:
    return save_tiny(tmp_path_factory.mktemp("models") / "tiny.safetensors", ["circle", "square", "1"])


@pytest.mark.parametrize(
    ("wish", "row"),
    [
        ("fox", [0, 2, 3]),
        ("fox, flat", [0, 2, 2]),
        ("flat,fox", [0, 2, 2]),
        ("concept=fox,style=flat", [0, 2, 2]),
        (" concept = fox , style = flat ", [0, 2, 2]),
        ("kind=family", [4, 1, 3]),
        ("concept=family, kind=family", [3, 1, 3]),
        ("Red Heart", [1, 2, 3]),
        ("RED_HEART, kind=0", [1, 0, 3]),
        ("axe", [2, 2, 3]),
        ("", [4, 2, 3]),
        (" , ", [4, 2, 3]),
    ],
)
def test_values_are_asked_for_by_name_and_those_not_named_are_left_out(things: Card, wish: str, row: list[int]) -> None:
    assert labels_asked(things, [wish], 2) == [row, row]


def test_several_wishes_are_taken_in_turn(things: Card, classes: Card) -> None:
    fox, nothing = [0, 2, 3], [4, 2, 3]
    assert labels_asked(things, ["fox", ""], 5) == [fox, nothing, fox, nothing, fox]
    assert labels_asked(classes, ["square", "0"], 3) == [1, 0, 1]


def test_without_wishes_values_of_the_first_condition_are_spread_evenly(things: Card, classes: Card) -> None:
    assert labels_asked(things, (), 2) == [[0, 2, 3], [2, 2, 3]]
    assert labels_asked(things, (), 6) == [[i, 2, 3] for i in (0, 1, 2, 3, 0, 1)]
    assert labels_asked(classes, (), 5) == [0, 1, 2, 0, 1]


@pytest.mark.parametrize(
    ("wish", "rows"),
    [
        ("all in turn", [[i, 2, 3] for i in (0, 1, 2, 3, 0, 1)]),
        ("concept=all in turn, style=top", [[i, 2, 1] for i in (0, 1, 2, 3, 0, 1)]),
        ("fox, style=all in turn", [[0, 2, i] for i in (0, 1, 2, 0, 1, 2)]),
        ("concept=any, style=top", [[4, 2, 1]] * 6),
        ("concept=any", [[4, 2, 3]] * 6),
        ("kind=animal, concept=all in turn", [[i, 0, 3] for i in (0, 2, 0, 2, 0, 2)]),
        ("fox, animal", [[0, 0, 3]] * 6),
        ("concept=any, kind=all in turn", [[4, i, 3] for i in (0, 1, 0, 1, 0, 1)]),
    ],
)
def test_values_are_taken_in_turn_where_that_is_asked_for(things: Card, wish: str, rows: list[list[int]]) -> None:
    known = replace(things, follows={"kind": [0, 1, 0, 1]})
    assert labels_asked(known, [wish], 6) == rows
    several = labels_asked(known, [wish, "fox"], 12)
    assert several is not None and several[::2] == rows and several[1::2] == [[0, 2, 3]] * 6


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ("fox, kind=family", "fox is animal, not family: leave the kind out."),
        ("fox, kind=all in turn", "The kind follows from the concept: leave one of the two out."),
        ("concept=all in turn, kind=all in turn", "The kind follows from the concept"),
    ],
)
def test_what_cannot_be_together_is_refused(things: Card, wish: str, message: str) -> None:
    known = replace(things, follows={"kind": [0, 1, 0, 1]})
    with pytest.raises(SamplingError) as refused:
        labels_asked(known, [wish], 4)
    assert message in str(refused.value)
    assert labels_asked(things, [wish], 4) is not None  # nothing is known of what goes with what


def test_a_label_is_no_text_without_end(things: Card, classes: Card) -> None:
    for card in (things, classes):
        with pytest.raises(SamplingError, match="at most 200 letters"):
            labels_asked(card, ["fox, " * 1000], 1)


def test_a_wish_and_a_label_can_be_said_in_words(things: Card, classes: Card) -> None:
    said = values_asked(things, "Fox, style=all in turn")
    assert said == {"concept": "fox", "kind": "any", "style": "all in turn"}
    assert values_asked(things, "all in turn") == {"concept": "all in turn", "kind": "any", "style": "any"}
    assert values_asked(classes, "0") == {"class": "circle"}
    assert values_asked(classes, "all in turn") == {"class": "all in turn"}
    assert in_words(things, [0, 2, 1]) == "fox, top" and in_words(things, [4, 2, 3]) == "concept=any"
    assert in_words(classes, 1) == "square"


def test_a_class_is_left_out_by_an_empty_name(classes: Card) -> None:
    assert labels_asked(classes, [""], 2) == [3, 3]


def test_a_network_that_is_told_nothing_has_no_labels(classes: Card) -> None:
    alone = replace(classes, classes=[], network=replace(classes.network, conditions=()))  # type: ignore[type-var]
    assert labels_asked(alone, (), 3) is None
    with pytest.raises(SamplingError, match="tiny has no classes"):
        labels_asked(alone, ["circle"], 3)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ("foxx", "tiny knows no 'foxx'; there is fox."),
        ("heart", "tiny knows no 'heart'; there is red-heart."),
        ("zzz", "tiny knows no 'zzz'; there is fox, red-heart, Axe, family, animal, family, left, top or flat."),
        ("style=fox", "There is no style 'fox'; there is left, top or flat."),
        ("style=lft", "There is no style 'lft'; there is left or flat."),
        ("hand=fox", "tiny has no condition 'hand'; it is told concept, kind, style."),
        ("family", "'family' can be concept or kind: say concept=family or kind=family."),
        ("fox, axe", "'fox, axe' names two values of concept: ask for one at a time."),
        ("0", "tiny knows no '0'"),
        ("kind=2", "There is no kind '2'"),
        ("=fox", "tiny has no condition ''"),
    ],
)
def test_what_is_not_known_is_refused_with_what_is_nearest(things: Card, wish: str, message: str) -> None:
    with pytest.raises(SamplingError) as refused:
        labels_asked(things, [wish], 1)
    assert message in str(refused.value) and refused.value.field == "label"


def test_of_many_classes_only_the_nearest_are_named(classes: Card) -> None:
    many = replace(classes, classes=[f"class-{i}" for i in range(1000)])
    with pytest.raises(
        SamplingError, match=r"There is no class 'clas 77'; there is class-77, class-\d+ or class-\d+\."
    ):
        labels_asked(many, ["clas 77"], 1)
    with pytest.raises(SamplingError, match="none of the 1,000 names there are is like it"):
        labels_asked(many, ["zzz"], 1)


def test_a_student_finds_its_own_steps_on_the_schedule_it_was_taught_on() -> None:
    schedule = make_schedule("cosine", 1000)
    assert steps_at(schedule, LEVELS) == STEPS == timesteps(schedule, 4)
    assert steps_at(schedule, LEVELS[:1]) == [1000]
    assert steps_at(make_schedule("cosine", 100), LEVELS) == [100, 75, 50, 25]


@pytest.mark.parametrize("family", FAMILIES)
def test_on_any_schedule_it_finds_the_nearest_noise_levels(family: str) -> None:
    schedule = make_schedule(family, 1000)
    steps = steps_at(schedule, LEVELS)
    off = np.abs(schedule.log_snr[1:, None] - (np.log(LEVELS) - np.log1p(-np.array(LEVELS))))
    assert steps[0] == 1000 and all(t > s for t, s in pairwise([*steps, 0]))
    for t, nearest in zip(steps[1:], 1 + off.argmin(0)[1:], strict=True):
        # Interpolated between two steps; and moved apart where two are nearest to the same.
        assert abs(t - nearest) <= 1 or nearest >= 997


@pytest.mark.parametrize("family", FAMILIES)
def test_on_a_schedule_of_as_many_steps_it_takes_them_all(family: str) -> None:
    assert steps_at(make_schedule(family, 4), LEVELS) == [4, 3, 2, 1]


def test_nothing_at_all_may_be_left_of_the_image() -> None:
    schedule = to_zero_terminal_snr(make_schedule("linear", 1000))
    assert steps_at(schedule, [0.0, 0.5])[0] == 1000


def test_more_levels_than_steps_are_refused() -> None:
    with pytest.raises(SamplingError, match="takes 4 steps, and the schedule has 3"):
        steps_at(make_schedule("linear", 3), LEVELS)


def test_a_student_takes_its_own_steps_unless_it_is_asked_for_others() -> None:
    schedule = make_schedule("cosine", 1000)
    assert steps_asked(LEVELS, schedule) == (STEPS, None)
    assert steps_asked(LEVELS, schedule, 4) == (STEPS, None)
    assert steps_asked(LEVELS, schedule, start=600) == ([600, 500, 250], None)
    assert steps_asked(LEVELS, schedule, start=500) == ([500, 250], None)
    assert steps_asked(LEVELS, schedule, 7) == (timesteps(schedule, 7), "trailing")
    assert steps_asked(LEVELS, schedule, spacing="karras") == (timesteps(schedule, 4, "karras"), "karras")
    assert steps_asked((), schedule) == (timesteps(schedule, 50), "trailing")
    assert steps_asked((), schedule, 9, "log_snr", 700) == (timesteps(schedule, 9, "log_snr", 700), "log_snr")
    for count, start in ((0, None), (1001, None), (None, 0), (None, 1001)):
        with pytest.raises(SamplingError):
            steps_asked(LEVELS, schedule, count, start=start)


def test_a_student_that_is_asked_for_what_it_was_not_taught_says_so(things: Card) -> None:
    schedule, student = make_schedule("cosine", 1000), replace(things, levels=LEVELS, teacher="things")

    def remark(steps: list[int], sampler: str = "ddim", **options: float) -> str:
        return remark_on_student(student, schedule, SamplingPlan(steps, [0], sampler, options))

    assert [remark(STEPS), remark(STEPS[1:]), remark([1000, 750, 1000, 750, 500, 250])] == ["", "", ""]
    said = "Tiny is a student and was taught the 4 steps at t = 1000, 750, 500, 250, by DDIM"
    for plan in ([1000], [1000, 500, 250], [600, 500, 250], timesteps(schedule, 50)):
        assert remark(plan).startswith(said)
    assert said in remark(STEPS, eta=1.0) and said in remark(STEPS, "dpmpp")
    assert remark_on_student(things, schedule, SamplingPlan([7], [0])) == ""
    one = replace(student, levels=LEVELS[:1])
    assert "one step, at t = 1000" in remark_on_student(one, schedule, SamplingPlan([7], [0], "ddim"))


def test_a_card_with_levels_comes_back(tmp_path: Path) -> None:
    assert save_tiny_of_things(tmp_path / "a.safetensors", levels=LEVELS, teacher="big").levels == LEVELS
