"""Recipes: the same images from the file, and from the Python it is said in."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import diffusion
from diffusion.generate import generate
from diffusion.images import to_bytes
from diffusion.recipe import Frames, Recipe, RecipeError, denoiser_of, draw, load_model_of, read, run, save, snippet
from diffusion.sampler import CLIPS, DDIM, SAMPLERS, SPACINGS, Known, noised, resampled, sample, timesteps
from diffusion.schedule import drawn_schedule, make_schedule, schedule_of_betas
from tests.tiny import save_tiny


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

# Recipes without their model: every sampler, spacing and clipping, every kind of schedule, start and list.
RECIPES: dict[str, Callable[[], dict[str, Any]]] = {
    **{f"sampler {name}": lambda name=name: {"schedule": LINEAR, "steps": timesteps(LINEAR, 4), "seeds": [3, 4],
       "sampler": name, "options": {k: 0.4 for k in SAMPLERS[name].parameters}} for name in SAMPLERS},
    **{f"spacing {name}": lambda name=name: {"schedule": COSINE, "steps": timesteps(COSINE, 4, name), "seeds": [7, 5],
       "spacing": name, "labels": [0, 1]} for name in SPACINGS},
    **{f"clip {name}": lambda name=name: {"schedule": LINEAR, "steps": [900, 500, 20], "seeds": range(3),
       "clip": name, "guidance": 2.5, "labels": [1, 1, 0]} for name in CLIPS},
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
    recipe = Recipe(LINEAR, timesteps(LINEAR, 20), range(6), examples=examples)
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
    recipe = Recipe(LINEAR, timesteps(LINEAR, 3), [5], weights, sha256, labels=[1], sampler="dpmpp", spacing="trailing")
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
    ran = list(sample(lambda x, a, y=None: x, LINEAR, shape, steps=steps, seeds=seeds))
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
    recipe = Recipe(LINEAR, timesteps(LINEAR, 3), [5, 6], *model)
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
    recipe = Recipe(LINEAR, [1000], [0], model[0], "0" * 64)
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
        ({"recipe": np.array('{"versions": {}, "schedule": {"betas": [0.1, 2]}}')}, "not a file of drawn images"),
        ({"recipe": np.array('{"versions": {}, "schedule": {"betas": [0.1, 0.2]}, "odd": 1}')}, "not a file of drawn"),
    ],
)
def test_a_file_without_a_recipe_is_refused(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    with pytest.raises(RecipeError, match=message):
        read(path)


def test_batches_share_what_is_one_for_all_and_split_the_rest() -> None:
    image = torch.linspace(-1, 1, 4).reshape(4, 1, 1, 1).expand(4, 1, 8, 8)

    def made(start: torch.Tensor, mask: torch.Tensor, batch: int) -> np.ndarray:
        return generate(
            lambda x, a, y=None: x, LINEAR, (1, 8, 8), steps=[500, 100], seeds=range(4), update=DDIM(), start=start,
            known=Known(image, mask), batch=batch,
        )  # fmt: skip

    for start in (IMAGE, image):
        for mask in (MASK, MASK.expand(4, 1, 8, 8)):
            np.testing.assert_array_equal(made(start, mask, 4), made(start, mask, 3))


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    assert diffusion.__version__ == project["version"]
