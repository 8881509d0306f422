"""The command that builds the emoji in nine hands: how it names, groups and holds out."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SCRIPT = Path(__file__).parent.parent / "assets" / "emoji" / "build_sets.py"


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_sets", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["build_sets"] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


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
