"""The students that come along: what their cards say of them is so, and they draw in their calls what they are told."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion.images import to_bytes
from diffusion.networks.model import MODELS, available, load_model, read_card
from diffusion.sampling.recipe import Recipe, denoiser_of, run
from diffusion.sampling.wishes import labels_asked, steps_asked

STUDENTS = [name for name in available() if read_card(MODELS / f"{name}.safetensors").levels]


def test_there_are_students_of_one_two_and_four_calls() -> None:
    calls = {name: len(read_card(MODELS / f"{name}.safetensors").levels) for name in STUDENTS}
    assert calls == {f"{teacher}-{k}": k for teacher in ("digits", "emoji-sets") for k in (1, 2, 4)}


@pytest.mark.parametrize("name", STUDENTS)
def test_a_card_says_whose_student_it_is_and_how_well_it_draws(name: str) -> None:
    card = read_card(MODELS / f"{name}.safetensors")
    teacher = read_card(MODELS / f"{card.teacher}.safetensors")
    calls = len(card.levels)
    assert card.title == f"{teacher.title}, {calls} call{'s' * (calls > 1)}"
    assert (card.classes, card.conditions, card.follows) == (teacher.classes, teacher.conditions, teacher.follows)
    assert (card.data, card.licence) == (teacher.data, teacher.licence)
    assert card.command.startswith(f"{teacher.command} && ") and "--critic-steps" in card.command
    assert card.images_seen > teacher.images_seen and card.network.guidance is not None
    assert card.network.guidance[0] <= card.usual_guidance() <= card.network.guidance[1]
    assert card.figures["sha256"] == card.sha256 and f"--model {name} " in card.figures["command"]
    measured = {(each["steps"], each["guidance"]): each for each in card.figures["runs"]}
    # What the issue of few calls was: as good as the teacher's many steps, or nearly, in these few.
    found = measured[calls, card.usual_guidance()]
    by_teacher = next(each for each in teacher.figures["runs"] if (each["sampler"], each["steps"]) == ("ddim", 50))
    assert found["accuracy"] >= 0.98 if not card.conditions else found["accuracy"] > by_teacher["accuracy"]
    assert found["frechet"] <= 1.4 * by_teacher["frechet"]


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDENTS)
def test_in_its_own_calls_it_draws_pictures_of_what_it_is_told(name: str) -> None:
    model = load_model(name)
    card, schedule = model.card, model.card.training_schedule()
    wishes = ["fox, noto", "pizza, twemoji"] if card.conditions else ["1", "0"]
    recipe = Recipe(
        steps_asked(card.levels, schedule)[0], range(8), "ddim", {"eta": 0.0}, labels=labels_asked(card, wishes, 8),
        guidance=card.usual_guidance(), schedule=schedule, model=name, sha256=card.sha256,
    )  # fmt: skip
    denoiser, shape = denoiser_of(recipe, model)
    *_, last = run(recipe, denoiser, shape, "cpu")
    assert last.calls == len(card.levels)
    drawn = to_bytes(last.x_s).astype(float)
    corners = drawn[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    # Ones and noughts on black, of which these take more ink; foxes and pizzas on white, both of warm colours.
    if card.conditions:
        assert np.median(corners) > 230
        inked = drawn.min(-1) < 200
        assert (drawn[inked][:, 0] > drawn[inked][:, 2]).mean() > 0.8
    else:
        assert np.median(corners) < 20
        ink = (drawn > 127).mean((1, 2, 3))
        assert ink[1::2].min() > ink[::2].max()
