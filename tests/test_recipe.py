"""Recipes: the same images from the file, and from the Python it is said in."""

import json
import math
import tomllib
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import diffusion
from diffusion.images import to_bytes
from diffusion.sampling.archive import Frames, read, save
from diffusion.sampling.choices import SamplingError
from diffusion.sampling.clips import CLIPS, Clip
from diffusion.sampling.generate import generate
from diffusion.sampling.loop import sample
from diffusion.sampling.noise import noised
from diffusion.sampling.plan import Known
from diffusion.sampling.recipe import Recipe, RecipeError, denoiser_of, draw, load_model_of, run
from diffusion.sampling.snippet import snippet
from diffusion.sampling.steps import SPACINGS, Spacing, resampled, timesteps
from diffusion.sampling.updates import DDIM, SAMPLERS
from diffusion.schedules.families import make_schedule
from diffusion.schedules.given import drawn_schedule, schedule_of_betas
from tests.tiny import plan, save_tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Its path and hash."""
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    return str(path), save_tiny(path, ["circle", "square"]).sha256


LINEAR, COSINE = make_schedule("linear", 1000), make_schedule("cosine", 60, zero_terminal_snr=True)
DRAWN = drawn_schedule(50, [(0, 8), (0.4, 1), (1, -7)])
EIGHT = make_schedule("linear", 1000, keep_shape_of=500, beta_end=0.0173)
IMAGE = torch.rand((1, 1, 8, 8), generator=torch.Generator().manual_seed(0)) * 2 - 1
MASK = (torch.arange(64).reshape(1, 1, 8, 8) % 3 == 0).float()


def with_sampler(name: str) -> dict[str, Any]:
    return {"schedule": LINEAR, "steps": timesteps(LINEAR, 4), "seeds": [3, 4],
            "sampler": name, "options": {k: 0.4 for k in SAMPLERS[name].parameters}}  # fmt: skip


def with_spacing(name: Spacing) -> dict[str, Any]:
    steps = timesteps(COSINE, 4, name)
    return {"schedule": COSINE, "steps": steps, "seeds": [7, 5], "spacing": name, "labels": [0, 1]}


def with_clip(name: Clip) -> dict[str, Any]:
    return {"schedule": LINEAR, "steps": [900, 500, 20], "seeds": range(3),
            "clip": name, "guidance": 2.5, "labels": [1, 1, 0]}  # fmt: skip


# Recipes without their model: every sampler, spacing and clipping, every kind of schedule, start and list.
RECIPES: dict[str, Callable[[], dict[str, Any]]] = {
    **{f"sampler {name}": partial(with_sampler, name) for name in SAMPLERS},
    **{f"spacing {name}": partial(with_spacing, name) for name in SPACINGS},
    **{f"clip {name}": partial(with_clip, name) for name in CLIPS},
    "drawn": lambda: {"schedule": DRAWN, "steps": [50, 20, 4], "seeds": [0]},
    "betas": lambda: {"schedule": schedule_of_betas([0.1, 0.2, 0.3]), "steps": [3, 2, 1], "seeds": [0]},
    "shape kept": lambda: {"schedule": EIGHT, "steps": [1000, 2], "seeds": [0]},
    "bfloat16": lambda: {"schedule": LINEAR, "steps": [1000, 200], "seeds": [0], "precision": "bfloat16"},
    "noised": lambda: {"schedule": LINEAR, "steps": timesteps(LINEAR, 3, start=400), "spacing": "trailing",
                       "seeds": [1, 9], "start": noised(IMAGE, LINEAR, 400, [1, 9])},
    "known": lambda: {"schedule": LINEAR, "steps": resampled(timesteps(LINEAR, 12), 3, 5), "seeds": [1, 9],
                      "known": Known(IMAGE, MASK)},
    "batches": lambda: {"schedule": LINEAR, "steps": [1000, 300], "seeds": range(5), "batch": 2,
                        "labels": [0, 1, 0, 1, 0]},
}  # fmt: skip


def drawn(recipe: Recipe) -> np.ndarray:
    return draw(recipe, *denoiser_of(recipe, load_model_of(recipe, "cpu")), "cpu")


@pytest.mark.parametrize("name", RECIPES)
def test_the_file_and_the_snippet_draw_the_same_images(
    name: str, model: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, (weights, sha256) = tmp_path / "a.npz", model
    recipe = Recipe(**RECIPES[name](), model=weights, sha256=sha256)
    images = drawn(recipe)
    save(path, recipe, images)
    again = read(path)
    np.testing.assert_array_equal(drawn(again), images)
    for text in (snippet(recipe, file=str(path)), snippet(again, file=str(path))):
        variables: dict[str, Any] = {}
        exec(text, variables)
        np.testing.assert_array_equal(variables["images"], images)
        assert len(text) < 2500


def test_a_recipe_of_images_holds_them(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    examples = torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    recipe = Recipe(timesteps(LINEAR, 20), range(6), schedule=LINEAR, examples=examples)
    images = drawn(recipe)
    for image in images:  # what perfect training does: memorise
        assert any(np.abs(image[..., 0].astype(int) - example[0].numpy()).max() <= 1 for example in examples)
    save(path, recipe, images)
    np.testing.assert_array_equal(drawn(read(path)), images)
    variables: dict[str, Any] = {}
    exec(snippet(recipe, file=str(path)), variables)
    np.testing.assert_array_equal(variables["images"], images)


def test_the_file_says_what_drew_the_images(model: tuple[str, str], tmp_path: Path) -> None:
    path, (weights, sha256) = tmp_path / "a.npz", model
    recipe = Recipe(
        timesteps(LINEAR, 3),
        [5],
        schedule=LINEAR,
        model=weights,
        sha256=sha256,
        labels=[1],
        sampler="dpmpp",
        spacing="trailing",
    )
    save(path, recipe, drawn(recipe))
    with np.load(path) as file:
        content = json.loads(str(file["recipe"]))
        assert file["labels"].tolist() == [1]
    assert content["schedule"] == {"family": "linear", "T": 1000, "beta_start": 1e-4, "beta_end": 0.02}
    assert (content["model"], content["sha256"], content["seeds"]) == (weights, sha256, [5])
    assert content["versions"].keys() == {"ddpm-lab", "python", "torch", "numpy"}


def test_frames_are_bounded_and_stop_where_the_run_did() -> None:
    shape, seeds = (1, 8, 8), [0, 1]
    steps = timesteps(LINEAR, 10)
    ran = list(sample(lambda x, a, y=None: x, LINEAR, plan(steps=steps, seeds=seeds), shape))
    frame = 2 * len(seeds) * 64
    for limit, every in ((10 * frame, 1), (10 * frame - 1, 2), (4 * frame, 3), (0, 10)):
        frames = Frames(len(steps), len(seeds), shape, limit)
        for step in ran[:8]:
            frames.add(step)
        arrays = frames.arrays()
        assert frames.every == every
        assert arrays["t"].tolist() == [step.t for step in ran[:8:every]]
        np.testing.assert_array_equal(arrays["x_0"], [to_bytes(step.x_0) for step in ran[:8:every]])
        np.testing.assert_array_equal(arrays["x_t"], [to_bytes(step.x_t) for step in ran[:8:every]])


def test_frames_are_kept_beside_the_images(model: tuple[str, str], tmp_path: Path) -> None:
    recipe = Recipe(timesteps(LINEAR, 3), [5, 6], schedule=LINEAR, model=model[0], sha256=model[1])
    denoiser, shape = denoiser_of(recipe, load_model_of(recipe, "cpu"))
    frames = Frames(3, 2, shape)
    for step in run(recipe, denoiser, shape, "cpu"):
        frames.add(step)
    save(tmp_path / "a.npz", recipe, to_bytes(step.x_s), frames)
    with np.load(tmp_path / "a.npz") as file:
        assert file["t"].tolist() == list(recipe.steps)
        assert file["x_t"].shape == file["x_0"].shape == (3, 2, 8, 8, 1)
        np.testing.assert_array_equal(file["x_0"][-1], file["images"])
    np.testing.assert_array_equal(drawn(read(tmp_path / "a.npz")), to_bytes(step.x_s))


def test_another_network_of_that_name_is_refused(model: tuple[str, str]) -> None:
    recipe = Recipe([1000], [0], schedule=LINEAR, model=model[0], sha256="0" * 64)
    with pytest.raises(RecipeError, match="SHA-256 differs"):
        load_model_of(recipe, "cpu")


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04"])
def test_a_file_that_is_none_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"a\.npz is not a file of drawn images"):
        read(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros(3)}, "does not say how its images were drawn"),
        ({"recipe": np.array("{}")}, "does not say"),
        ({"recipe": np.array("[]")}, "not a file of drawn images"),
        ({"recipe": np.array("[" * 100_000)}, "too many parts"),
        ({"recipe": np.array("[" * 4_000)}, "not a file of drawn images"),
        ({"recipe": np.array('{"schedule": [' + "[]," * 1_000_000 + "[]]}")}, "too many parts"),
        ({"recipe": np.array(["{}", "{}"])}, "not a file of drawn images"),
        ({"recipe": np.zeros(3)}, "not a file of drawn images"),
        ({"recipe": np.array({}, dtype=object)}, "not a file of drawn images"),
    ],
)
def test_a_file_without_a_recipe_is_refused(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    with pytest.raises(RecipeError, match=message):
        read(path)


# A recipe as a file has it, with all there can be; and what is none in each of its fields.
JSON: dict[str, Any] = {
    "schedule": {"family": "linear", "T": 1000, "beta_start": 1e-4, "beta_end": 0.02}, "model": "digits", "sha256": "",
    "precision": "float32", "guidance": 2.0, "sampler": "ddim", "spacing": "trailing", "clip": "static", "batch": 64,
    "options": {"eta": 0.5}, "steps": [1000, 500, 700, 3], "seeds": [7, 8], "labels": [3, 4],
    "versions": {"ddpm-lab": "0.1.0"},
}  # fmt: skip
PLAIN = {"start": IMAGE.numpy(), "known": IMAGE.numpy(), "mask": MASK.numpy()}
NOTHING: list[Any] = [None, "abc", "", [], {}, [[]], math.nan, math.inf, -1, 1.5, 10**30, True, "x); print(1"]
WRONG: dict[str, list[Any]] = {
    "schedule": [
        *NOTHING, {"family": "linear"}, {"T": 10}, {"family": ["linear"], "T": 10}, {"family": "linear", "T": "10"},
        {"family": "linear", "T": 10**9}, {"family": "linear", "T": 10, "beta_start=1), print(": 0.1},
        {"family": "linear", "T": 10, "beta_end": "0.02"}, {"family": "linear", "T": 10, "zero_terminal_snr": "x"},
        {"family": "linear", "T": 10, "keep_shape_of": 1e99}, {"betas": "0.1"}, {"betas": 7}, {"betas": [0.1, "0.2"]},
        {"betas": [0.1, 2]}, {"betas": [0.1, math.nan]}, {"betas": [0.001] * 5000}, {"betas": [0.1, 0.2], "T": 2},
        {"family": "linear", "T": 10, "self": 1},
    ],
    "steps": [*NOTHING, [500.5], [500.0], ["500"], [True], [0], [1001], [-3], [5, 5], {"5": 1}, [9] * 2_000_000],
    "seeds": [*NOTHING, [-1, 0], [2**63, 0], [0.5, 1], ["0", "1"], [None, None], [True, False], {"1": 2}],
    "labels": ["abc", {}, math.nan, 3, True, [3], [3, 4, 5], [-1, 0], [0.5, 1], ["3", "4"], [2**70, 0], [None, None]],
    "model": [None, 3, [], {}, ["digits"], "a" * 5000, ""],
    "sha256": [None, 3, [], "a" * 65],
    "precision": [*NOTHING, "float16", "Tensor", "float32, exit()"],
    "guidance": [x for x in NOTHING if x not in (-1, 1.5)] + ["2", -1e9],
    "sampler": [*NOTHING, "euler", ["ddim"]],
    "spacing": [x for x in NOTHING if x is not None] + ["even"],
    "clip": [*NOTHING, "off", "x"],
    "batch": [*NOTHING, 0, 10**9, 64.0],
    "options": [
        x for x in NOTHING if x != {}
    ] + [{"v": 1.0}, {"eta": "0.5"}, {"eta": True}, {"eta": 2}, {"eta": math.nan}, {"eta=0), print(": 0.5},
         {"name": "ddim"}, {"self": 1}, {"": 1}],
    "odd": [1], "known": [[1]], "start": [[1]], "known_image": [None],
}  # fmt: skip
WRONG_ARRAYS: dict[str, list[np.ndarray]] = {
    name: [
        x[0],
        x.astype(np.float64),
        x.astype(">f4"),
        np.full_like(x, np.nan),
        np.full_like(x, np.inf),
        x[..., :5],
        x.repeat(5, axis=1),
        x.repeat(5, axis=0),
        x[:0],
        np.full_like(x, 1e9),
        np.array("text"),
        np.zeros(3),
    ]
    for name, x in PLAIN.items()
} | {"examples": [np.zeros((2, 1, 8, 8), np.float32), np.zeros((2, 8, 8), np.uint8), np.zeros((0, 1, 8, 8), np.uint8)]}
WRONG_ARRAYS["mask"] += [np.ones_like(PLAIN["mask"]), np.zeros_like(PLAIN["mask"]), -PLAIN["mask"]]


def written(path: Path, changed: dict[str, Any] | None = None, **arrays: Any) -> Path:
    content = {name: value for name, value in (JSON | (changed or {})).items() if value is not KeyError}
    np.savez(path, recipe=np.array(json.dumps(content)), **(PLAIN | arrays))
    return path


def refused(path: Path) -> str:
    """The one sentence, or two, that a file is refused with."""
    with pytest.raises(RecipeError) as refusal:
        read(path)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 300
    return str(refusal.value)


def test_a_whole_recipe_is_read_and_one_from_before_there_were_all_fields(tmp_path: Path) -> None:
    recipe = read(written(tmp_path / "a.npz"))
    for name in JSON.keys() - {"schedule", "versions"}:
        assert getattr(recipe, name) == JSON[name]
    assert recipe.known is not None and recipe.start is not None
    fields = dict.fromkeys(JSON.keys() - {"schedule", "steps", "seeds", "model"}, KeyError)
    old = read(written(tmp_path / "b.npz", fields))
    assert (old.model, old.labels, old.sampler, old.clip, old.spacing) == ("digits", None, "ddpm", "static", None)
    # The page once kept a guidance that did nothing, and schedules kept their flags as floats.
    schedule = {"family": "scaled_linear", "T": 50, "keep_shape_of": 1000.0, "zero_terminal_snr": 1.0}
    images = np.zeros((3, 1, 8, 8), np.uint8)
    exact = read(written(tmp_path / "c.npz", fields | {"guidance": 3.0, "schedule": schedule, "steps": [50, 3]},
                         examples=images))  # fmt: skip
    assert exact.guidance == 1 and exact.schedule.T == 50


@pytest.mark.parametrize("name", WRONG)
def test_every_field_of_a_recipe_is_checked(name: str, tmp_path: Path) -> None:
    for value in WRONG[name]:
        message = refused(written(tmp_path / "a.npz", {name: value}))
        assert message.startswith("a.npz "), (value, message)


@pytest.mark.parametrize("name", ["schedule", "steps", "seeds", "model"])
def test_what_a_recipe_cannot_be_without_is_named(name: str, tmp_path: Path) -> None:
    assert f"('{name}' is missing)" in refused(written(tmp_path / "a.npz", {name: KeyError}))


@pytest.mark.parametrize("name", WRONG_ARRAYS)
def test_every_array_of_a_recipe_is_checked(name: str, tmp_path: Path) -> None:
    for array in WRONG_ARRAYS[name]:
        refused(written(tmp_path / "a.npz", None, **{name: array}))


def test_steps_rise_only_where_parts_are_known(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, recipe=np.array(json.dumps(JSON)))
    assert "Steps must descend" in refused(path)


def header(shape: str, dtype: str = "<f4") -> bytes:
    """The beginning of an .npy."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize("shape", ["(1, 1, 100000, 100000)", f"({10**30},)", "(-1, 1, 8, 8)", f"(0, {10**30})", "()"])
def test_an_array_that_promises_more_than_there_is_takes_no_memory(shape: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("recipe.npy", header(shape, "<U9") + bytes(8))
    assert "recipe is not" in refused(path)


def test_an_array_of_too_many_bytes_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "a.npz", start=np.zeros((2, 1, 100, 100), np.float32))
    monkeypatch.setattr("diffusion.sampling.archive.MOST_BYTES", 50_000)
    original, taken = np.lib.format.read_array, list[Any]()

    def read_array(*args: Any, **options: Any) -> np.ndarray:
        taken.append(original(*args, **options))
        return taken[-1]

    monkeypatch.setattr(np.lib.format, "read_array", read_array)
    assert "start takes 80,128 bytes, more than the 50,000 that are read" in refused(path)
    assert [array.shape for array in taken] == [()]  # the recipe alone


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": range(2**20 + 1)},
        {"steps": [9] * 2_000_000},
        {"examples": torch.zeros((1, 1, 4096, 4096), dtype=torch.uint8), "seeds": range(64)},
        {"examples": torch.zeros((1, 1, 1024, 1024), dtype=torch.uint8), "seeds": range(100_000), "batch": 8},
    ],
)
def test_a_recipe_asks_for_no_more_than_a_machine_holds(change: dict[str, Any]) -> None:
    with pytest.raises(SamplingError, match=r"at most|too many"):
        Recipe(**(dict[str, Any](schedule=LINEAR, steps=[9], seeds=[0]) | change))


def test_choices_are_checked_for_whoever_makes_a_recipe() -> None:
    for field, value in (("clip", "off"), ("precision", "float16"), ("spacing", "even"), ("sampler", "euler")):
        with pytest.raises(SamplingError, match=f"There is no {field} '{value}'; choose one of ") as refusal:
            Recipe([9], [0], schedule=LINEAR, model="digits", **{field: value})  # type: ignore[arg-type]
        assert refusal.value.field == field


def test_what_a_network_does_not_have_is_refused(model: tuple[str, str], tmp_path: Path) -> None:
    def ask(**given: Any) -> None:
        recipe = Recipe([9], [0], schedule=LINEAR, **{"model": model[0]} | given)
        denoiser_of(recipe, load_model_of(recipe, "cpu"))

    ask(labels=[2], guidance=3.0)  # of two classes, the empty one
    save_tiny(tmp_path / "plain.safetensors", [])
    for field, given in (
        ("label", {"labels": [3]}),
        ("label", {"labels": [0], "model": str(tmp_path / "plain.safetensors")}),
        ("guidance", {"guidance": 2.0, "model": str(tmp_path / "plain.safetensors")}),
        ("guidance", {"guidance": 2.0, "examples": torch.zeros((1, 1, 8, 8), dtype=torch.uint8)}),
        ("label", {"labels": [0], "examples": torch.zeros((1, 1, 8, 8), dtype=torch.uint8)}),
        ("start", {"start": torch.zeros(1, 1, 4, 4)}),
        ("known", {"known": Known(IMAGE.repeat(1, 3, 1, 1), MASK)}),
    ):
        with pytest.raises(SamplingError) as refusal:
            ask(**given)
        assert refusal.value.field == field


def test_batches_share_what_is_one_for_all_and_split_the_rest() -> None:
    image = torch.linspace(-1, 1, 4).reshape(4, 1, 1, 1).expand(4, 1, 8, 8)

    def made(start: torch.Tensor, mask: torch.Tensor, batch: int) -> np.ndarray:
        asked = plan([500, 100], range(4), DDIM(), start=start, known=Known(image, mask))
        return generate(lambda x, a, y=None: x, LINEAR, asked, (1, 8, 8), batch=batch)

    for start in (IMAGE, image):
        for mask in (MASK, MASK.expand(4, 1, 8, 8)):
            np.testing.assert_array_equal(made(start, mask, 4), made(start, mask, 3))


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    assert diffusion.__version__ == project["version"]
