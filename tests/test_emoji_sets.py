"""The emoji in nine hands: how their command names, groups and holds out, the project's own copy, and the cards."""

import importlib.util
import itertools
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from diffusion.cli.main import parser
from diffusion.cli.options import check_labels
from diffusion.data.folders import BUNDLED, load_data
from diffusion.data.sets import DataError, ImageSet
from diffusion.networks.card import Card
from diffusion.networks.model import MODELS, available, read_card

FOLDER = Path(__file__).parent.parent / "assets" / "emoji"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def build() -> ModuleType:
    return script("build_sets")


def test_code_points_and_names_are_compared_by_what_matters(build: ModuleType) -> None:
    assert build.plain("2764-FE0F-200D-1F525") == build.plain("2764-200d-1f525") == "2764-200d-1f525"
    assert build.letters("flag-for-flag-japan") == build.letters("flag-for-japan") == build.letters("Flag Japan")
    tones = [build.tone_of(code) for code in ("1f44b", "1f44b-1f3fb", "1f44b-1f3ff", "1f9d1-1f3fb-200d-1f9d1-1f3fb",
                                              "1f9d1-1f3fb-200d-1f9d1-1f3ff")]  # fmt: skip
    assert tones == [0, 1, 5, 1, 6]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("man-running", "woman-running-facing-right", True),
        ("firefighter", "man-firefighter", True),
        ("prince", "person-with-crown", True),
        ("backhand-index-pointing-up", "backhand-index-pointing-left", True),
        ("waxing-crescent-moon", "waning-crescent-moon", True),
        ("green-book", "blue-book", True),
        ("light-blue-heart", "red-heart", True),
        ("fox", "dog-face", False),
        ("light-bulb", "bulb", False),
        ("manual-wheelchair", "motorized-wheelchair", False),
    ],
)
def test_gender_direction_and_colour_make_no_other_thing(build: ModuleType, one: str, other: str, same: bool) -> None:
    assert (build.thing(one) == build.thing(other)) == same


def pictures(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(256, size=(count, 32, 32, 3), dtype=np.uint8)


def test_what_is_drawn_alike_or_mirrored_is_one_family(build: ModuleType) -> None:
    images = pictures(0, 5)
    images[2] = images[0]
    images[3] = images[1, :, ::-1]
    names, zeros = ["a", "b", "c", "d", "e"], np.zeros(5, int)
    family = build.families_of(names, zeros, images, zeros, np.arange(5), zeros)
    assert family.tolist() == [0, 1, 0, 1, 4]
    styles = np.arange(5)  # in other styles they are other pictures
    assert build.families_of(names, zeros, images, styles, np.arange(5), zeros).tolist() == [0, 1, 2, 3, 4]


def test_families_are_held_out_whole_and_pairs_are_seen_in_other_styles(build: ModuleType) -> None:
    chance = np.random.default_rng(0)
    kinds, has = np.repeat(np.arange(20), 40), chance.random((800, 9)) < 0.9
    kinds[:3] = 20  # a kind that is too small to hold any out
    family = np.arange(800)
    family[100:200:2] = family[101:200:2]
    concepts, pairs = build.hold_out(kinds, family, has)
    assert 0.04 < concepts.mean() < 0.06 and not concepts[kinds == 20].any()
    assert abs(pairs.sum() - build.PAIRS) < 60 and np.ptp(pairs.sum(0)) < 15
    for f in np.unique(family):
        members = family == f
        assert len(set(concepts[members])) == 1
        assert pairs[members].all(0).sum() == pairs[members].any(0).sum() <= 1
    held = pairs.any(1)
    assert not (held & concepts).any() and not (pairs & ~has).any()
    assert ((has & ~pairs)[held].sum(1) >= build.OTHERS).all()
    again = build.hold_out(kinds, family, has)
    assert (again[0] == concepts).all() and (again[1] == pairs).all()


# The project's own copy


@pytest.fixture(scope="module")
def splits() -> dict[str, ImageSet]:
    return {split: load_data("emoji-sets", split, 32, 3) for split in ("test", "pairs", "shown")}


@pytest.fixture(scope="module")
def card() -> Card:
    return read_card(MODELS / "emoji-sets.safetensors")


def rows(data: ImageSet, columns: list[int]) -> set[tuple[int, ...]]:
    return {tuple(row) for row in data.labels[:, columns].tolist()}


def test_the_copy_has_what_is_held_out_and_a_few_that_are_shown(splits: dict[str, ImageSet], card: Card) -> None:
    assert BUNDLED["emoji-sets"].stat().st_size < 1.6e6
    assert {name: len(data) for name, data in splits.items()} == {"test": 821, "pairs": 449, "shown": 80}
    concept, style = 0, 2
    assert len(rows(splits["test"], [concept])) == 81 and len(rows(splits["pairs"], [concept, style])) == 449
    images = {name: {x.numpy().tobytes() for x in data.images} for name, data in splits.items()}
    assert not any(images[a] & images[b] for a, b in itertools.combinations(images, 2))
    # Held-out concepts are new to the network, the others it knows, and no pair that is shown was held out.
    assert min(rows(splits["test"], [concept]))[0] >= len(card.conditions["concept"])
    known = rows(splits["pairs"], [concept]) | rows(splits["shown"], [concept])
    assert max(known)[0] < len(card.conditions["concept"])
    assert not rows(splits["shown"], [concept, style]) & rows(splits["pairs"], [concept, style])
    with pytest.raises(DataError, match="no images for 'train', only for test, pairs, shown"):
        load_data("emoji-sets", "train", 32)


def test_the_copy_is_of_what_the_network_was_told(splits: dict[str, ImageSet], card: Card) -> None:
    for data in splits.values():
        check_labels("emoji-sets", data, card, new=True)
    for name in ("pairs", "shown"):
        concepts, kinds, _ = splits[name].labels.unbind(1)
        assert kinds.tolist() == [card.follows["kind"][concept] for concept in concepts.tolist()]


def test_the_copy_is_the_same_whenever_it_is_made(tmp_path: Path) -> None:
    """Of a set that is made of the copy itself, as the whole is not here."""
    bundling = script("bundle_sets")
    with np.load(BUNDLED["emoji-sets"]) as copy:
        whole = {name: copy[name] for name in copy.files}
    kept = {name: array.copy() for name, array in whole.items()}
    # The splits of the whole file, in their order there; without skin tones, as none is said of these.
    whole |= {"splits": np.array(["train", "test", "pairs"]), "tone": np.zeros(len(whole["split"]), np.uint8)}
    whole["split"] = np.array([1, 2, 0], np.uint8)[whole["split"]]
    arrays = bundling.bundle(whole)
    assert all((arrays[name] == kept[name]).all() for name in kept)
    for name in ("a.npz", "b.npz"):
        bundling.write(tmp_path / name, arrays)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes() == BUNDLED["emoji-sets"].read_bytes()


def test_a_pair_that_was_not_held_out_is_not_shown_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    bundling = script("bundle_sets")
    monkeypatch.setattr(bundling, "PAIRS", {"noto": "octopus"})
    with np.load(BUNDLED["emoji-sets"]) as copy:
        whole = {name: copy[name] for name in copy.files} | {"splits": np.array(["test", "pairs", "train"])}
    with pytest.raises(ValueError, match="octopus of noto is no pair"):
        bundling.bundle(whole | {"tone": np.zeros(len(whole["split"]), np.uint8)})


@pytest.mark.parametrize("name", available())
def test_no_card_names_a_place_of_the_machine_it_was_made_on(name: str) -> None:
    card = read_card(MODELS / f"{name}.safetensors")
    text = (MODELS / f"{name}.json").read_text(encoding="utf-8")
    assert not re.search(r"[ '=\"](/|~|[A-Z]:\\\\)\w", text)
    for command in [*card.command.split(" && "), card.figures["command"]]:
        line = command.removeprefix("python -m diffusion ")
        assert line != command
        parser().parse_args(shlex.split(line))


def test_the_card_says_which_licence_holds_for_what(card: Card) -> None:
    for part in ("weights", "samples", "CC BY-SA 4.0", "Apache-2.0", "MIT", "CC BY 4.0", "assets/emoji/README.md"):
        assert part in card.licence
    credits = (FOLDER / "README.md").read_text(encoding="utf-8")
    for style in card.conditions["style"]:
        assert f"@iconify-json/{style} " in credits
