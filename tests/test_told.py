"""What the samples shall show, chosen on the page: lists, pictures, and what becomes of it in a recipe."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from diffusion.data.folders import load_data
from diffusion.networks.model import load_model
from diffusion.sampling import archive
from diffusion.sampling.choices import SamplingError
from diffusion.sampling.snippet import snippet
from diffusion.sampling.wishes import ANY, IN_TURN
from tests.tiny import THINGS, save_tiny_of_things
from ui import api, link, reverse_tab, sampling, told, whatif, whatif_tab
from ui.files import find_made
from ui.models import Source, StopFlag, find_source, shared_model
from ui.seen import image_button
from ui.sidebar import default_settings

pytestmark = pytest.mark.slow

NETWORK = "emoji-sets"
CONTROLS = sampling.Controls(NETWORK, "concept=fox, style=openmoji", 3, "ddim", 2, "7", 2.0)


@pytest.fixture
def things(tmp_path: Path) -> Source:
    """A network of other conditions, of which there are no bundled pictures."""
    save_tiny_of_things(tmp_path / "things.safetensors", follows={"kind": [0, 1, 0, 1]})
    model = load_model(str(tmp_path / "things.safetensors"))
    return Source(str(tmp_path / "things.safetensors"), "Things", model.device, model)


def test_lists_are_those_of_the_card_and_styles_have_pictures() -> None:
    value, card = told.told_value(NETWORK), shared_model(NETWORK).card
    assert {each["name"]: each["values"] for each in value["lists"]} == card.conditions
    assert [len(each["pictures"]) for each in value["lists"]] == [0, 0, 9]
    assert value["chosen"] == {"concept": IN_TURN, "kind": ANY, "style": ANY} and value["follows"] == card.follows
    shown = load_data(NETWORK, "shown", 32)
    octopus = shown[shown.labels[:, 0] == card.conditions["concept"].index("octopus")]
    for style, picture in enumerate(value["lists"][2]["pictures"]):
        (image,) = octopus.images[octopus.labels[:, 2] == style]
        assert picture == image_button(image, "")["picture"]


def test_another_network_has_its_own_lists_without_pictures(things: Source) -> None:
    value = told.told_value(things.name, "fox")
    assert {each["name"]: each["values"] for each in value["lists"]} == THINGS
    assert not any(each["pictures"] for each in value["lists"])
    assert value["chosen"] == {"concept": "fox", "kind": ANY, "style": ANY}
    (only,) = told.told_value("digits", "3")["lists"]
    assert (only["name"], only["choices"], told.told_value("digits", "3")["chosen"]) == (
        "class", [IN_TURN], {"class": "3"}
    )  # fmt: skip
    for name in ("exact-digits", "exact-own", f"exact-{NETWORK}"):
        assert told.told_value(name)["lists"] == []


def test_handlers_get_the_label_and_refuse_what_is_none() -> None:
    view = told.ToldView("digits")
    assert view.preprocess({"network": "digits", "label": "3"}) == "3"
    values: list[Any] = [None, 3, [], {}, {"label": 3}, {"label": None}]
    for wild in values:
        label = view.preprocess(wild)
        with pytest.raises(ValueError, match="label"):
            sampling.controls_of([*(sampling.values_of(CONTROLS) | {"label": label}).values()])


def test_a_network_is_guided_as_it_is_best_and_others_are_not() -> None:
    for name, guidance in ((NETWORK, 1.5), ("digits", 1), ("emoji", 1), ("exact-digits", 1)):
        assert reverse_tab.choose_network(name)[1]["value"] == guidance


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (IN_TURN, None),
        ("concept=fox, style=openmoji", {"concept": "fox", "style": "openmoji"}),
        ("concept=any", {}),
        ("kind=cat-face, style=noto", {"kind": "cat-face", "style": "noto"}),
    ],
)
def test_what_is_chosen_is_in_the_recipe_the_link_the_file_and_python(
    label: str, said: dict[str, str] | None, tmp_path: Path
) -> None:
    controls, source = replace(CONTROLS, label=label), find_source(NETWORK)
    assert source.model is not None
    recipe, card = sampling.read_recipe(source, default_settings(), controls), source.model.card
    assert recipe.labels is not None and recipe.guidance == 2
    empty = card.network.conditions
    if said is None:
        assert recipe.labels == [[i * empty[0] // 3, *empty[1:]] for i in range(3)]
    else:
        row = [card.conditions[name].index(said[name]) if name in said else empty[k]
               for k, name in enumerate(card.conditions)]  # fmt: skip
        assert recipe.labels == [row] * 3
    written = {"network": NETWORK, "class": label, "images": "3", "sampler": "ddim", "steps": "2", "seed": "7",
               "guidance": "2"}  # fmt: skip
    assert link.controls_from_link(written) == controls
    *_, done = sampling.run_for_view(source, recipe, StopFlag())
    path = find_made(done["file"]["path"], sampling.FRAMES)
    assert path is not None
    kept = archive.read(sampling.recipe_path(path))
    assert kept.labels == recipe.labels and kept.guidance == 2
    assert f"labels={recipe.labels}, guidance=2.0" in snippet(kept).replace("\n    ", " ")


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("concept=fox, kind=cat-face", "fox is animal-mammal, not cat-face"),
        ("concept=fo", "There is no concept 'fo'; there is"),
        ("concept=fox, concept=pizza", "two values of concept"),
        ("Flags", "emoji-sets knows no 'Flags'"),
        ("x" * 5000, "at most 200 letters"),
        ("\0, \ud800", "emoji-sets knows no"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(label: str, message: str) -> None:
    with pytest.raises(SamplingError) as refused:
        sampling.read_recipe(find_source(NETWORK), default_settings(), replace(CONTROLS, label=label))
    assert message in str(refused.value) and refused.value.field == "label"
    assert link.controls_from_link({"network": NETWORK, "class": label}).label == IN_TURN
    with pytest.raises(ValueError, match="nothing; leave the label out"):
        sampling.read_recipe(find_source("exact-digits"), default_settings(), replace(CONTROLS, label=label))


def test_programs_ask_as_commands_do() -> None:
    asked = api.AskedImages(NETWORK, "fox, style=all in turn", 3, "ddim", 2, guidance=2.0)
    _, file = api.generate(asked)
    recipe = archive.read(Path(file["path"]))
    assert recipe.labels is not None and [row[2] for row in recipe.labels] == [0, 3, 6]
    assert "emoji-sets" in api.generate_about() and "fox, openmoji" in api.generate_about()


def test_questions_keep_what_was_chosen() -> None:
    source = find_source(NETWORK)
    assert source.model is not None
    rows = whatif.chosen_labels(source, "concept=fox, style=openmoji")
    assert [*rows] == ["fox, openmoji"]
    assert len(whatif.chosen_labels(source, IN_TURN)) == whatif.SHOWN_CLASSES
    assert [*whatif.chosen_labels(source, "concept=any")] == ["concept=any"]
    recipe = sampling.read_recipe(source, default_settings(), CONTROLS)
    *_, (value, message, *_) = whatif_tab.ask_branches(
        {"t": 500, "sample": 1}, StopFlag(), whatif_tab.LastRun(NETWORK, (), recipe), whatif_tab.FRAME
    )
    assert message == "" and value["state"] == "done"
    asked = default_settings(), StopFlag(), "0", "1"
    *_, (value, message, *_) = whatif_tab.ask_interpolation(*asked, *sampling.values_of(CONTROLS).values())
    assert message == "" and [row["label"] for row in value["rows"]] == ["fox, openmoji"]


def test_a_picture_says_itself_what_it_is_where_nothing_is_chosen() -> None:
    source = find_source(NETWORK)
    for label, guidance, told_it in ((IN_TURN, 1.5, False), (IN_TURN, 4.0, True), (CONTROLS.label, 2.0, True)):
        controls = replace(CONTROLS, label=label, guidance=guidance)
        recipe = whatif.with_picture(source, sampling.read_recipe(source, default_settings(), controls), label)
        assert (recipe.labels is not None) == told_it and recipe.guidance == (guidance if told_it else 1)
