"""The command line: what each command writes, and what it refuses."""

import argparse
import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from diffusion.cli.main import main, parser
from diffusion.losses.curve import ErrorCurve
from diffusion.losses.measure import measuring_levels
from diffusion.losses.weightings import loss_weight, schedule_csv
from diffusion.sampling.archive import save
from diffusion.sampling.recipe import Recipe
from diffusion.schedules.families import beta_for_terminal_snr, make_schedule
from tests.tiny import save_tiny, save_tiny_of_things

PARSER = parser()


@pytest.fixture(autouse=True)
def one_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a command that is refused, building the parser is most of the work."""
    monkeypatch.setattr("diffusion.cli.main.parser", lambda: PARSER)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One of its classes is named like the index of another."""
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    save_tiny(path, ["circle", "square", "1"])
    return str(path)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "pictures.npz"
    images = np.random.default_rng(0).integers(0, 256, (12, 6, 6), dtype=np.uint8)
    np.savez(path, x_test=images, y_test=np.repeat(np.arange(3, dtype=np.uint8), 4))
    return path


def sample(model: str, out: Path, *options: str) -> dict[str, np.ndarray]:
    assert main(["sample", "--model", model, "--device", "cpu", "--steps", "3", "--out", str(out), *options]) == 0
    with np.load(out) as file:
        return dict(file)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The message of a command that fails with status 1: one line on stderr."""
    assert main(list(arguments)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_samples_are_uint8_with_the_classes_in_turn(model: str, tmp_path: Path) -> None:
    made = sample(model, tmp_path / "a.npz", "--count", "5")
    assert made["images"].shape == (5, 8, 8, 1)
    assert made["images"].dtype == np.uint8
    assert made["labels"].dtype == np.int64
    assert made["labels"].tolist() == [0, 1, 2, 0, 1]


@pytest.mark.parametrize(("label", "index"), [("square", 1), ("1", 2), ("0", 0)])
def test_a_label_is_a_name_before_it_is_an_index(model: str, tmp_path: Path, label: str, index: int) -> None:
    assert sample(model, tmp_path / "a.npz", "--count", "2", "--label", label)["labels"].tolist() == [index, index]


def test_of_several_conditions_any_are_asked_for_by_name(tmp_path: Path) -> None:
    path = tmp_path / "things.safetensors"
    save_tiny_of_things(path)
    made = sample(str(path), tmp_path / "a.npz", "--count", "3", "--label", "fox, flat", "--label", "kind=family")
    assert made["labels"].tolist() == [[0, 2, 2], [4, 1, 3], [0, 2, 2]]
    assert (made["images"] != sample(str(path), tmp_path / "b.npz", "--count", "3", "--label", "")["images"]).any()
    assert main(["sample", "--like", str(tmp_path / "a.npz"), "--out", str(tmp_path / "c.npz")]) == 0
    with np.load(tmp_path / "c.npz") as again:
        assert (again["images"] == made["images"]).all() and (again["labels"] == made["labels"]).all()
    assert sample(str(path), tmp_path / "a.npz", "--count", "2")["labels"].tolist() == [[0, 2, 3], [2, 2, 3]]


def test_a_student_is_sampled_in_its_own_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, picture = tmp_path / "pupil.safetensors", tmp_path / "a.png"
    save_tiny_of_things(path, teacher="things", levels=make_schedule("cosine", 100).alpha_bar[[100, 50]].tolist())
    Image.new("L", (8, 8), 90).save(picture)
    arguments = ["sample", "--model", str(path), "--device", "cpu", "--count", "1", "--out", str(tmp_path / "a.npz")]

    def steps(*options: str) -> tuple[list[int], bool]:
        assert main([*arguments, *options]) == 0
        said = "note: Tiny is a student and was taught the 2 steps at t = " in capsys.readouterr().err
        with np.load(tmp_path / "a.npz") as file:
            return json.loads(str(file["recipe"]))["steps"], said

    assert steps("--schedule", "cosine") == ([1000, 500], False)
    assert steps("--schedule", "cosine", "--steps", "2", "--T", "10") == ([10, 5], False)
    assert steps()[1] is False and steps()[0] != [1000, 500]  # the levels are elsewhere on the linear schedule
    assert steps("--schedule", "cosine", "--steps", "4") == ([1000, 750, 500, 250], True)
    assert steps("--schedule", "cosine", "--image", str(picture), "--at", "700") == ([700, 500], True)
    assert steps("--schedule", "cosine", "--image", str(picture), "--at", "500") == ([500], False)
    assert steps("--schedule", "cosine", "--sampler", "ddpm") == ([1000, 500], True)


def test_a_png_is_the_grid_of_the_same_images(model: str, tmp_path: Path) -> None:
    images = sample(model, tmp_path / "a.npz", "--count", "5")["images"]
    path = tmp_path / "a.png"
    arguments = ["sample", "--model", model, "--device", "cpu", "--steps", "3", "--count", "5"]
    assert main([*arguments, "--out", str(path)]) == 0
    with Image.open(path) as picture:
        assert picture.size == (3 * 8, 2 * 8)
        assert picture.mode == "L"
        np.testing.assert_array_equal(np.asarray(picture)[8:, 8:16], images[4, :, :, 0])


def test_the_same_seed_gives_the_same_bytes(model: str, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        sample(model, tmp_path / name, "--count", "3", "--sampler", "ddpm", "--seed", "7")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_seeds_count_up_across_batches(model: str, tmp_path: Path) -> None:
    options = ["--label", "0", "--sampler", "ddpm"]
    many = sample(model, tmp_path / "a.npz", "--count", "70", *options)["images"]
    last = sample(model, tmp_path / "b.npz", "--count", "3", "--seed", "67", *options)["images"]
    # Batches of other sizes may round differently, by a grey level at most.
    assert np.abs(many[67:].astype(int) - last).max() <= 1


@pytest.mark.parametrize(
    "options",
    [
        ["--seed", "1"],
        ["--label", "square"],
        ["--guidance", "3"],
        ["--sampler", "ddpm"],
        ["--eta", "1"],
        ["--sampler", "dpmpp"],
        ["--sampler", "unipc"],
        ["--clip", "dynamic"],
        ["--precision", "bfloat16"],
        ["--spacing", "leading"],
        ["--schedule", "cosine"],
        ["--T", "10"],
        ["--beta-end", "0.05"],
    ],
)
def test_every_option_changes_the_images(model: str, tmp_path: Path, options: list[str]) -> None:
    plain = sample(model, tmp_path / "a.npz", "--count", "2", "--label", "circle")["images"]
    assert (sample(model, tmp_path / "b.npz", "--count", "2", "--label", "circle", *options)["images"] != plain).any()


def test_the_variance_changes_what_ddpm_draws(model: str, tmp_path: Path) -> None:
    beta, posterior = (
        sample(model, tmp_path / "a.npz", "--count", "2", "--sampler", "ddpm", "--variance", variance)["images"]
        for variance in ("beta", "posterior")
    )
    assert (beta != posterior).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--label", "3"], "There is no class '3'; tiny knows circle, square, 1."),
        (["--label", "-1"], "There is no class '-1'"),
        (["--label", "cat"], "There is no class 'cat'"),
        (["--steps", "1001"], "Steps must lie between 1 and T = 1000, not 1001."),
        (["--steps", "0"], "Steps must lie between 1 and T = 1000, not 0."),
        (["--count", "0"], "--count must be at least 1, not 0."),
        (["--seed", "-1"], "--seed must be a whole number from 0"),
        (["--seed", str(2**64)], "--seed must be a whole number from 0"),
        (["--guidance", "nan"], "--guidance must be a finite number, not nan."),
        (["--guidance", "inf"], "--guidance must be a finite number, not inf."),
        (["--sampler", "odd"], "There is no sampler 'odd'"),
        (["--sampler", "ddpm", "--variance", "odd"], "--variance must be beta, posterior or a number"),
        (["--sampler", "ddpm", "--variance", "1.5"], "v must lie between 0 and 1, not 1.5."),
        (["--image", "a.png"], "--image needs --at T"),
        (["--mask", "a.png"], "--image needs --at T"),
        (["--image", "a.png", "--mask", "b.png", "--at", "5"], "--image needs --at T"),
        (["--at", "0", "--image", "a.png"], "must lie between 1 and T = 1000, not 0."),
        (["--examples", "digits"], "Say what to draw from"),
        (["--like", "nowhere.npz"], "There is no file nowhere.npz."),
        (["--like", "."], ". is a folder, not a file."),
        (["--image", "nowhere.png", "--at", "99"], "There is no file nowhere.png."),
        (["--image", ".", "--at", "99"], ". is a folder, not a file."),
        (["--betas", "nowhere.csv"], "There is no file nowhere.csv."),
        (["--count", "2000000"], "--count must be at most 1,000,000, not 2000000."),
        (["--guidance", "1e9"], "--guidance must be at most 1,000"),
        (["--terminal-snr", "nan"], "--terminal-snr must be a finite number, not nan."),
        (["--terminal-snr=-inf"], "--terminal-snr must be a finite number, not -inf."),
        (["--eta", "nan"], "eta must lie between 0 and 1, not nan."),
        (["--T", "-1"], "T must be a whole number from 2 to 4000, not -1."),
        # What would do nothing.
        (["--sampler", "unipc", "--eta", "1"], "--eta does nothing with UniPC; leave it out."),
        (["--sampler", "unipc", "--eta", "0"], "--eta does nothing with UniPC"),
        (["--sampler", "ddpm", "--eta", "1"], "--eta does nothing with DDPM"),
        (["--variance", "beta"], "--variance does nothing with DDIM"),
        (["--jump", "3"], "Nothing is repeated without --mask; leave --jump out."),
        (["--jump", "3", "--repeats", "2"], "leave --jump and --repeats out."),
        (["--size", "8"], "A network has a size of its own; leave --size out."),
        (["--size", "0"], "--size must be at least 1, not 0."),
        (["--jump", "0"], "--jump must be at least 1, not 0."),
        (["--repeats", "-1"], "--repeats must be at least 1, not -1."),
        (["--image", "a.png", "--mask", "a.png", "--steps", "5", "--jump", "5"], "--jump must be smaller than --steps"),
        (["--image", "a.png", "--mask", "a.png", "--steps", "5", "--repeats", "5"], "--jump must be smaller"),
        (["--schedule", "cosine", "--keep-shape-of", "500"], "keeps its shape in any case; leave --keep-shape-of out."),
        (
            ["--terminal-snr", "-30", "--beta-end", "0.1"],
            "says what is left at T; leave --beta-end out.",
        ),
        (["--terminal-snr", "-30", "--zero-terminal-snr"], "leave --zero-terminal-snr out."),
        (
            ["--betas", "a.csv", "--T", "50"],
            "--betas has all there is to a schedule; leave its other options out",
        ),
        (["--betas", "a.csv", "--schedule", "linear"], "leave its other options out: --schedule."),
        (["--frames", "--count", "65"], "Frames are kept of at most 64 images."),
        (["--eta", "1.5"], "eta must lie between 0 and 1, not 1.5."),
        (["--spacing", "odd"], "There is no spacing 'odd'"),
        (["--schedule", "odd"], "There is no schedule family 'odd'"),
        (["--schedule", "cosine", "--beta-end", "0.02"], "The cosine schedule has no parameter 'beta_end'"),
        (["--T", "1"], "T must be a whole number from 2 to 4000, not 1."),
        (["--beta-start", "0.05"], "must be smaller than"),
    ],
)
def test_sample_refuses(
    capsys: pytest.CaptureFixture[str], model: str, tmp_path: Path, options: list[str], message: str
) -> None:
    out = tmp_path / "a.npz"
    assert message in refused(capsys, "sample", "--model", model, "--device", "cpu", "--out", str(out), *options)
    assert not out.exists()


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("a.jpg", "--out must end in .png, .npz or, for points, .csv, not '.jpg'."),
        ("a", "not 'a'."),
        ("no/a.npz", "There is no folder"),
    ],
)
def test_sample_refuses_where_it_cannot_write(
    capsys: pytest.CaptureFixture[str], model: str, tmp_path: Path, out: str, message: str
) -> None:
    assert message in refused(capsys, "sample", "--model", model, "--out", str(tmp_path / out))


def drawn(out: Path, *options: str) -> dict[str, np.ndarray]:
    assert main(["sample", "--device", "cpu", "--out", str(out), *options]) == 0
    with np.load(out) as file:
        return dict(file)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A grey picture that is not square, and a mask of its right half."""
    folder = tmp_path_factory.mktemp("pair")
    x = np.linspace(0, 255, 12 * 20).reshape(12, 20).astype(np.uint8)
    Image.fromarray(x).save(folder / "picture.png")
    Image.fromarray(np.where(np.arange(20) > 9, 255, 0).astype(np.uint8)[None].repeat(12, 0)).save(folder / "mask.png")
    return str(folder / "picture.png"), str(folder / "mask.png")


def test_like_draws_the_same_images_again(model: str, pair: tuple[str, str], tmp_path: Path) -> None:
    """Whatever drew them, bit for bit: the files are equal."""
    picture, mask = pair
    first, second = tmp_path / "a.npz", tmp_path / "b.npz"
    network = ["--model", model, "--steps", "4"]
    for options in (
        [*network, "--sampler", "ddpm", "--variance", "0.4", "--seed", "8", "--guidance", "2", "--T", "70", "--frames"],
        [*network, "--sampler", "dpmpp", "--eta", "1", "--clip", "dynamic", "--spacing", "log_snr", "--count", "67"],
        [*network, "--image", picture, "--at", "400"],
        [*network, "--image", picture, "--mask", mask, "--jump", "1", "--repeats", "3"],
        ["--examples", "digits", "--steps", "4", "--count", "3"],
    ):
        made = drawn(first, *options)
        drawn(second, "--like", str(first), *(["--frames"] if "--frames" in options else []))
        assert first.read_bytes() == second.read_bytes()
        assert ("x_t" in made) == ("--frames" in options)


@pytest.mark.parametrize("option", [
    "--model m", "--examples d", "--count 16", "--seed 0", "--steps 50", "--eta 0", "--sampler ddim", "--clip none",
    "--guidance 1", "--label 0", "--T 1000", "--at 3", "--schedule linear", "--zero-terminal-snr", "--s 0.1",
    "--betas b", "--spacing x", "--precision float32", "--image i", "--mask m", "--jump 2", "--size 3",
])  # fmt: skip
def test_like_refuses_options_that_it_would_ignore(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str
) -> None:
    (tmp_path / "a.npz").touch()
    name = option.split()[0]
    message = refused(capsys, "sample", "--like", str(tmp_path / "a.npz"), "--python", *option.split())
    assert f"--like has all that decides which images are drawn; leave {name} out." in message


@pytest.mark.parametrize("name", ["A.PNG", "B.Npz"])
def test_capitals_in_a_name_make_no_other_kind_of_file(model: str, tmp_path: Path, name: str) -> None:
    assert main(["sample", "--model", model, "--device", "cpu", "--steps", "2", "--count", "2",
                 "--out", str(tmp_path / name)]) == 0  # fmt: skip
    first = (tmp_path / name).read_bytes()[:4]
    assert first == (b"\x89PNG" if name == "A.PNG" else b"PK\x03\x04")
    if name == "B.Npz":
        assert main(["sample", "--like", str(tmp_path / name), "--out", str(tmp_path / "again.npz")]) == 0


def test_where_nothing_can_be_written_is_said_before_the_work(
    capsys: pytest.CaptureFixture[str], model: str, tmp_path: Path
) -> None:
    (tmp_path / "a.npz").mkdir()
    for command in (["sample", "--model", model, "--out"], ["loss", "--model", model, "--out"], ["schedule", "--csv"],
                    ["schedule", "--diffusers"], ["evaluate", "--model", model, "--data", "digits", "--out"],
                    ["classifier", "--data", "digits", "--out"]):  # fmt: skip
        assert "a.npz is a folder; give the name of a file" in refused(capsys, *command, str(tmp_path / "a.npz"))
        assert "There is no folder" in refused(capsys, *command, str(tmp_path / "no" / "b.npz"))
    both = str(tmp_path / "c")
    assert "same place" in refused(capsys, "schedule", "--csv", both, "--diffusers", both)
    assert "same place" in refused(capsys, "schedule", "--csv", "-", "--diffusers", "-")
    assert "cannot both be written" in refused(capsys, "loss", "--model", model, "--out", both, "--csv", both)
    assert "must end in .safetensors" in refused(capsys, "classifier", "--data", "digits", "--out", both)


def test_a_network_without_classes_is_given_no_guidance(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "plain.safetensors"
    save_tiny(path, [])
    arguments = ["sample", "--model", str(path), "--out", str(tmp_path / "a.npz")]
    assert "tiny has no classes to guide to; leave --guidance out." in refused(capsys, *arguments, "--guidance", "2")
    assert "tiny has no classes; leave the label out." in refused(capsys, *arguments, "--label", "0")


@pytest.mark.parametrize(
    ("size", "light", "message"),
    [
        ((13, 20), True, "The mask is of another shape, 20 x 13, than the picture, 20 x 12."),
        ((20, 12), None, "The mask is of another shape, 12 x 20, than the picture, 20 x 12."),
        ((12, 20), True, "The mask keeps all of the picture, and nothing is left to be made up."),
        ((12, 20), False, "The mask keeps nothing of the picture, and so would change nothing."),
    ],
)
def test_a_mask_that_does_not_fit_or_does_nothing_is_refused(
    capsys: pytest.CaptureFixture[str], model: str, pair: tuple[str, str], tmp_path: Path, size: tuple[int, int],
    light: bool | None, message: str,
) -> None:  # fmt: skip
    mask = tmp_path / "mask.png"
    Image.fromarray(np.full(size, 255 if light else 0, np.uint8)).save(mask)
    arguments = ["sample", "--model", model, "--image", pair[0], "--mask", str(mask), "--steps", "3"]
    assert message in refused(capsys, *arguments, "--out", str(tmp_path / "a.npz"))


def test_images_of_two_channels_are_no_picture(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    examples = torch.zeros((3, 2, 1, 1), dtype=torch.uint8)  # points of the plane
    recipe = Recipe([10, 5], [0, 1], schedule=make_schedule("linear", 10), examples=examples)
    save(tmp_path / "a.npz", recipe, np.zeros((2, 1, 1, 2), np.uint8))
    like = ["sample", "--like", str(tmp_path / "a.npz"), "--device", "cpu", "--out"]
    assert "Images of 2 channels are no pictures" in refused(capsys, *like, str(tmp_path / "b.png"))
    assert main([*like, str(tmp_path / "b.npz")]) == 0


def test_of_two_pictures_the_damaged_one_is_named(
    capsys: pytest.CaptureFixture[str], model: str, pair: tuple[str, str], tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(Path(pair[0]).read_bytes()[:60])
    for picture, mask in ((pair[0], str(damaged)), (str(damaged), pair[1])):
        arguments = ["sample", "--model", model, "--image", picture, "--mask", mask, "--out", str(tmp_path / "a.npz")]
        assert f"{damaged}: This " in refused(capsys, *arguments)


def test_a_mask_may_be_the_picture_s_shape_in_another_size(model: str, pair: tuple[str, str], tmp_path: Path) -> None:
    with Image.open(pair[1]) as mask:
        mask.resize((50, 30), Image.Resampling.NEAREST).save(tmp_path / "mask.png")
    made = [
        drawn(tmp_path / "a.npz", "--model", model, "--image", pair[0], "--mask", mask, "--steps", "3")["images"]
        for mask in (pair[1], str(tmp_path / "mask.png"))
    ]
    np.testing.assert_array_equal(made[0], made[1])


def test_a_picture_is_begun_with_or_kept_in_part(model: str, pair: tuple[str, str], tmp_path: Path) -> None:
    picture, mask = pair
    kept = drawn(tmp_path / "a.npz", "--model", model, "--image", picture, "--mask", mask, "--steps", "3")["images"]
    x = np.asarray(Image.open(picture).crop((4, 0, 16, 12)).resize((8, 8), Image.Resampling.LANCZOS))
    assert np.abs(kept[:, :, 5:, 0].astype(int) - x[:, 5:]).max() <= 1
    assert (kept[0] != kept[1]).any()
    far, near = (
        drawn(tmp_path / "a.npz", "--model", model, "--image", picture, "--at", t, "--steps", "1")["images"]
        for t in ("900", "1")
    )
    assert np.abs(near[..., 0].astype(int) - x).mean() < np.abs(far[..., 0].astype(int) - x).mean()


def test_the_python_that_is_printed_draws_the_same(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = drawn(tmp_path / "a.npz", "--model", model, "--steps", "3", "--python")
    text, variables = capsys.readouterr().out, dict[str, Any]()
    exec(text, variables)
    np.testing.assert_array_equal(variables["images"], made["images"])
    capsys.readouterr()
    assert main(["sample", "--like", str(tmp_path / "a.npz"), "--python"]) == 0
    assert capsys.readouterr().out == text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Say where to write the images"),
        (["--out", "a.npz"], "Say what to draw from"),
        (["--out", "."], "--out must end in .png, .npz or, for points, .csv"),
        (["--out", "a.npz", "--examples", "digits", "--precision", "bfloat16"], "leave --precision out."),
        (["--out", "a.npz", "--examples", "digits", "--compile"], "no network to compile"),
        (["--out", "a.npz", "--examples", "digits", "--size", "100000"], "--size must be at most 1,024"),
        (["--out", "a.npz", "--examples", "nowhere"], "There is no file or folder nowhere."),
        (["--out", "a.npz", "--examples", "digits", "--label", "3"], "Examples know no classes"),
        (["--out", "a.png", "--model", "digits", "--frames"], "Frames need an --out"),
    ],
)
def test_sample_refuses_what_does_not_go_together(
    capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert message in refused(capsys, "sample", *options)


EXTREMES = ["0", "-1", "nan", "inf", "-inf", "1e999", "1.5", "9" * 30, "9" * 5000, "", "x", "2147483648", "true", "."]


def options() -> list[tuple[str, str]]:
    """Every option of every command that takes a value, but for where a run is written."""
    (commands,) = (action for action in PARSER._actions if isinstance(action, argparse._SubParsersAction))
    return [(command, action.option_strings[0]) for command, of_command in commands.choices.items()
            for action in of_command._actions if action.option_strings and action.nargs != 0
            and action.dest not in ("help", "run", "device")]  # fmt: skip


@pytest.mark.filterwarnings("ignore::diffusion.data.folders.DataWarning")
@pytest.mark.parametrize(("command", "option"), options())
def test_no_value_of_any_option_ends_in_a_traceback(
    command: str, option: str, model: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Whatever is not refused would begin, which is as far as it goes here."""
    data = tmp_path / "p.npz"
    with np.load(pictures) as file:
        images, labels = file["x_test"], file["y_test"]
    np.savez(data, x_train=images, y_train=labels, x_test=images[::-1] // 2, y_test=labels)
    network, out = ["--model", model, "--device", "cpu"], ["--out", str(tmp_path / "out")]
    usual = {
        "train": ["--data", str(data), "--run", "run", "--name", "x", "--image-size", "8", "--widths", "12"],
        "distill": ["--model", model, "--calls", "2", "--data", str(data), "--run", "run", "--name", "x"],
        "sample": [*network, "--python"],
        "schedule": ["--csv", str(tmp_path / "a.csv")],
        "loss": [*network, "--images", str(data), "--count", "3", *out],
        "evaluate": [*network, "--data", str(data), "--runs"],
        "classifier": ["--data", str(data), "--image-size", "8", "--out", str(tmp_path / "c.safetensors")],
    }[command]  # fmt: skip

    class BegunError(ValueError):
        pass

    def begin(*_args: object, **_options: object) -> None:
        raise BegunError("it would have begun")

    for function in ("training.train.train", "evaluation.classifier.make_classifier",
                     "evaluation.evaluate.evaluate_likelihood", "losses.reference.other_images"):  # fmt: skip
        monkeypatch.setattr(f"diffusion.{function}", begin)
    monkeypatch.chdir(tmp_path)
    for value in EXTREMES:
        status: str | int | None
        try:
            status = main([command, *usual, f"{option}={value}"])
        except SystemExit as stopped:  # which argparse does
            status = stopped.code
        error = capsys.readouterr().err
        assert status in (0, 1, 2)
        assert status != 1 or (error.startswith("error: ") and error.count("\n") == 1 and len(error) < 600)


@pytest.mark.parametrize("command", ["sample", "loss"])
def test_an_unknown_model_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str) -> None:
    message = refused(capsys, command, "--model", "nobody", "--device", "cpu", "--out", str(tmp_path / "a.npz"))
    assert "There is no model 'nobody'" in message


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_a_device_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str], model: str, tmp_path: Path) -> None:
    message = refused(capsys, "sample", "--model", model, "--device", "cuda", "--out", str(tmp_path / "a.npz"))
    assert "no cuda device" in message


@pytest.mark.parametrize(
    "arguments",
    [[], ["paint"], ["loss", "--model", "digits"], ["sample", "--model", "m", "--out", "a.png", "--count", "many"]],
)
def test_arguments_that_cannot_be_read_exit_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("usage: ")


@pytest.mark.parametrize(
    ("family", "options", "params"),
    [
        ("linear", ["--T", "50", "--beta-start", "0.001", "--beta-end", "0.3"], {"beta_start": 0.001, "beta_end": 0.3}),
        ("scaled_linear", ["--T", "1000"], {}),
        ("cosine", ["--T", "1000"], {}),
        ("cosine", ["--T", "37", "--s", "0.02", "--max-beta", "0.9"], {"s": 0.02, "max_beta": 0.9}),
        ("linear", ["--T", "50", "--keep-shape-of", "1000"], {"keep_shape_of": 1000}),
        ("sigmoid", ["--T", "50", "--zero-terminal-snr"], {"zero_terminal_snr": True}),
        ("linear", ["--T", "50", "--terminal-snr", "-9"], beta_for_terminal_snr("linear", 50, -9)),
    ],
)
def test_the_csv_reads_back_as_the_schedule(
    tmp_path: Path, family: str, options: list[str], params: dict[str, Any]
) -> None:
    path = tmp_path / "schedule.csv"
    assert main(["schedule", "--family", family, "--csv", str(path), *options]) == 0
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    schedule = make_schedule(family, int(options[1]), **params)
    assert list(rows[0]) == ["t", "beta", "alpha_bar", "log_snr", "posterior_variance", "loss_weight"]
    assert [int(row["t"]) for row in rows] == list(range(1, schedule.T + 1))
    for name in ("beta", "alpha_bar", "log_snr", "posterior_variance"):
        np.testing.assert_array_equal([float(row[name]) for row in rows], getattr(schedule, name)[1:])
    np.testing.assert_array_equal([float(row["loss_weight"]) for row in rows], loss_weight(schedule, "beta")[1:])


def test_a_dash_writes_the_csv_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schedule", "--T", "5", "--csv", "-"]) == 0
    out = capsys.readouterr().out
    assert out == schedule_csv(make_schedule("linear", 5))
    assert len(list(csv.reader(io.StringIO(out)))) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--family", "odd"], "There is no schedule family 'odd'"),
        (["--T", "0"], "T must be a whole number"),
        (["--family", "linear", "--s", "0.1"], "The linear schedule has no parameter 's'"),
        (["--beta-end", "nan"], "must lie between"),
        (["--terminal-snr", "-900"], "can bring the SNR at T to between"),
        (["--keep-shape-of", "1"], "The T whose shape is kept must be a whole number from 2 to 4000, not 1."),
    ],
)
def test_schedule_refuses(capsys: pytest.CaptureFixture[str], options: list[str], message: str) -> None:
    assert message in refused(capsys, "schedule", "--csv", "-", *options)


def test_loss_writes_a_curve_over_the_training_levels(model: str, pictures: Path, tmp_path: Path) -> None:
    outs = [tmp_path / "a.json", tmp_path / "b.json"]
    for out in outs:
        assert main(["loss", "--model", model, "--device", "cpu", "--images", str(pictures), "--levels", "9", "--count",
                     "6", "--seed", "3", "--out", str(out), "--csv", str(tmp_path / "a.csv")]) == 0  # fmt: skip
    assert outs[0].read_bytes() == outs[1].read_bytes()
    content = json.loads(outs[0].read_text())
    card = json.loads(Path(model).with_suffix(".json").read_text())
    assert {name: content[name] for name in ("model", "sha256", "count", "seed")} == {
        "model": "tiny", "sha256": card["sha256"], "count": 6, "seed": 3,
    }  # fmt: skip
    curve = ErrorCurve.from_json(content["curve"])
    levels = measuring_levels(make_schedule("cosine", 100), 9, seed=3)
    np.testing.assert_allclose(1 / (1 + np.exp(-curve.log_snr)), levels, rtol=1e-9)
    assert curve.dimensions == 64
    references = {name: ErrorCurve.from_json(values) for name, values in content["references"].items()}
    assert content["others"] == 6 and list(references) == ["known", "others"]
    for reference in references.values():
        np.testing.assert_array_equal(reference.log_snr, curve.log_snr)
    assert (references["known"].mean < references["others"].mean).all()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text())))
    on_schedule = [float(row["error"]) for row in rows]
    np.testing.assert_allclose(on_schedule, curve.on(make_schedule("cosine", 100))[1:], rtol=1e-4)
    assert np.isfinite(curve.mean).all()
    assert (curve.mean > 0).all()


def test_loss_uses_the_bundled_digits(capsys: pytest.CaptureFixture[str], model: str, tmp_path: Path) -> None:
    message = refused(capsys, "loss", "--model", model, "--device", "cpu", "--out", str(tmp_path / "a.json"))
    assert "digits.npz has images of 28 x 28, larger than the network's 8." in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--count", "13"], "has 12 images, fewer than the 13 asked for."),
        (["--levels", "1000000"], "--levels must be at most 100,000, not 1000000."),
        (["--noises", "-1"], "--noises must be at least 1, not -1."),
        (["--seed", "-1"], "--seed must be a whole number from 0"),
        (["--images", "."], ". has no folder test"),
        (["--count", "0"], "--count must be at least 1, not 0."),
        (["--noises", "0"], "--noises must be at least 1, not 0."),
        (["--levels", "1"], "--levels must be at least 2, not 1."),
        (["--images", "nowhere.npz"], "There is no file nowhere.npz."),
    ],
)
def test_loss_refuses(
    capsys: pytest.CaptureFixture[str], model: str, pictures: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    out = tmp_path / "a.json"
    arguments = ["loss", "--model", model, "--device", "cpu", "--images", str(pictures), "--out", str(out)]
    assert message in refused(capsys, *arguments, *options)
    assert not out.exists()


@pytest.mark.parametrize(
    ("shape", "label", "message"), [((2, 8, 8, 3), 0, "images of 3 channels"), ((2, 8, 8), 3, "labels outside 0 ... 2")]
)
def test_loss_refuses_images_of_another_kind(
    capsys: pytest.CaptureFixture[str], model: str, tmp_path: Path, shape: tuple[int, ...], label: int, message: str
) -> None:
    path = tmp_path / "other.npz"
    np.savez(path, x_test=np.zeros(shape, np.uint8), y_test=np.full(2, label, np.uint8))
    arguments = ["loss", "--model", model, "--device", "cpu", "--images", str(path), "--count", "2"]
    assert message in refused(capsys, *arguments, "--out", str(tmp_path / "a.json"))


def test_train_makes_a_model_that_sample_and_another_run_can_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = tmp_path / "data.npz", tmp_path / "run"
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8), dtype=np.uint8)
    np.savez(data, x_train=images, y_train=np.arange(8, dtype=np.uint8) % 2)
    arguments = ["train", "--data", str(data), "--run", str(run), "--name", "new", "--image-size", "8",
                 "--widths", "12", "12", "12", "--images", "8", "--batch", "8"]  # fmt: skip
    monkeypatch.setattr("sys.argv", ["diffusion", *arguments])
    assert main(arguments) == 0
    made = sample(str(run / "new.safetensors"), tmp_path / "a.npz", "--count", "2")
    assert made["images"].shape == (2, 8, 8, 1)

    begun = ["--init", str(run / "new.safetensors"), "--run", str(tmp_path / "on")]
    assert main([*arguments, *begun]) == 0
    first, second = (json.loads((folder / "new.json").read_text()) for folder in (run, tmp_path / "on"))
    assert (first["images_seen"], second["images_seen"]) == (8, 16)
    assert main([*arguments, *begun, "--run", str(tmp_path / "grown"), "--blocks", "3", "--modulate"]) == 0
    assert json.loads((tmp_path / "grown" / "new.json").read_text())["network"]["blocks"] == 3
    assert second["command"].startswith(f"{first['command']} && ") and second["command"].count("&&") == 1
    assert main([*arguments, *begun, "--run", str(tmp_path / "other"), "--widths", "16", "16"]) == 1
    assert "another architecture" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--batch", "0"], "--batch must lie between 1 and 1,048,576, not 0."),
        (["--batch", "-1"], "--batch must lie between 1 and 1,048,576, not -1."),
        (["--images", "0"], "--images must be at least 1, not 0."),
        (["--images", "3"], "--images must lie between 32 and "),
        (["--image-size", "0"], "--image-size must be at least 1, not 0."),
        (["--image-size", "9999"], "--image-size must be at most 1,024"),
        (["--image-size", "9"], "need an image size divisible by 8, not 9."),
        (["--widths", "0"], "Widths must be 1 to 8 whole numbers from 1 to 8192, not (0,)."),
        (["--widths", "7"], "The first of the widths must be even, not 7."),
        (["--widths", "-8", "16"], "Widths must be"),
        (["--blocks", "0"], "at least one block a level, not 0."),
        (["--dropout", "1"], "dropout must lie between 0 and 1"),
        (["--dropout", "nan"], "dropout must lie between 0 and 1"),
        (["--lr", "nan"], "--lr must lie between 1e-12 and 1000, not nan."),
        (["--lr", "inf"], "--lr must lie between"),
        (["--warmup", "0"], "--warmup must lie between 1 and"),
        (["--ema", "1"], "--ema must lie between"),
        (["--clip", "0"], "--clip must lie between"),
        (["--seed", "-1"], "--seed must lie between"),
        (["--config", "odd"], "There is no configuration 'odd'"),
        (["--init", "nobody"], "There is no model 'nobody'"),
        (["--name", "a/b"], "cannot be 'a/b'"),
        (["--name", ""], "cannot be ''"),
        (["--config", "cifar10", "--drop-label", "0.5"], "has no classes; leave --drop-label out."),
        (["--hold-out", "nowhere"], "There is no file or folder nowhere."),
        (["--hold-out", "DATA"], "All images of DATA are among those that --hold-out leaves out."),
        (["--run", "DATA"], "DATA is a file; --run names a folder."),
        (["--keep-shape-of", "500"], "keeps its shape in any case"),
        (["--T", "0"], "T must be a whole number from 2 to 4000, not 0."),
    ],
)
def test_train_refuses(capsys: pytest.CaptureFixture[str], tmp_path: Path, options: list[str], message: str) -> None:
    data = str(tmp_path / "data.npz")
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8), dtype=np.uint8)
    parts = ("train", "test")
    np.savez(
        data, **dict[str, Any]({f"x_{part}": images for part in parts} | {f"y_{part}": np.arange(8) for part in parts})
    )
    arguments = ["train", "--data", data, "--run", str(tmp_path / "run"), "--name", "new", "--image-size", "8",
                 *[option.replace("DATA", data) for option in options]]  # fmt: skip
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert message.replace("DATA", data) in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("names", [["cat", "dog"], []])
def test_a_network_of_other_classes_is_begun_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, names: list[str]
) -> None:
    """As photos of two classes, or of none, after emoji; the architecture is that of the network."""
    data = tmp_path / "photos"
    for i in range(8):
        folder = data / names[i % 2] if names else data
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (9, 12), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    run = tmp_path / "run"
    assert main(["train", "--data", str(data), "--init", model, "--run", str(run), "--name", "new", "--images", "8",
                 "--batch", "8", "--lr", "1e-12", "--weight-decay", "0", "--device", "cpu"]) == 0  # fmt: skip
    said = capsys.readouterr().out
    assert (
        f"({', '.join(names) or 'none'}) are not those of tiny (circle, square, 1): what depends on them begins" in said
    )
    card = json.loads((run / "new.json").read_text())
    assert card["classes"] == names and card["network"]["widths"] == [12, 24]
    before, after = (safetensors.torch.load_file(path) for path in (model, run / "new.safetensors"))
    about_classes = {"label.weight"}
    if names:
        assert after["label.weight"].shape[0] == len(card["classes"]) + 1
    else:  # what the empty class added is in the bias of what it was added to
        about_classes |= {"noise_level.mlp.2.bias"}
        assert "label.weight" not in after
    for name in before.keys() - about_classes:
        assert torch.equal(before[name], after[name]), name


def test_a_network_of_other_channels_is_another_architecture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str
) -> None:
    data = tmp_path / "data.npz"
    np.savez(data, x_train=np.zeros((8, 8, 8, 3), np.uint8), y_train=np.arange(8) % 3)
    assert main(["train", "--data", str(data), "--init", model, "--run", str(tmp_path / "run"), "--name", "new"]) == 1
    assert "another architecture" in (error := capsys.readouterr().err) and "channels 1 to 3" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--draws", "0"], "--draws must be at least 1, not 0."),
        (["--seed", "-1"], "--seed must be a whole number from 0"),
        (["--runs", "ddim:50"], "is not SAMPLER:STEPS:COUNT"),
        (["--runs", "ddim:0:9"], "is not SAMPLER:STEPS:COUNT"),
        (["--runs", "ddim:5:1"], "draws 1 images, but 2 to 1,000,000 can be measured."),
        (["--runs", "ddim:5:9999999"], "draws 9999999 images"),
        (["--runs", "ddim:eta=nan:5:9"], "eta must lie between 0 and 1, not nan."),
        (["--runs", "ddim:spacing=odd:5:9"], "There is no spacing 'odd'"),
        (["--runs", "--precision", "bfloat16"], "--runs draws nothing; leave --precision out."),
    ],
)
def test_evaluate_refuses(
    capsys: pytest.CaptureFixture[str], model: str, pictures: Path, options: list[str], message: str
) -> None:
    arguments = ["evaluate", "--model", model, "--device", "cpu", "--data", str(pictures)]
    assert message in refused(capsys, *arguments, *options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--image-size", "9"], "--image-size must be even, not 9."),
        (["--image-size", "0"], "--image-size must be at least 1, not 0."),
        (["--images", "0"], "--images must be at least 1, not 0."),
        (["--images", "9"], "--images must be at least 64"),
        (["--seed", "-1"], "--seed must be a whole number from 0"),
    ],
)
def test_classifier_refuses(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, options: list[str], message: str
) -> None:
    arguments = ["classifier", "--data", "digits", "--out", str(tmp_path / "a.safetensors")]
    assert message in refused(capsys, *arguments, *options)


def test_ctrl_c_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("diffusion.cli.options.ScheduleSpec", interrupted)
    assert main(["schedule", "--csv", "-"]) == 130
    assert capsys.readouterr().err == "Stopped.\n"


def test_train_learns_several_conditions_and_can_begin_with_a_network_of_classes(model: str, tmp_path: Path) -> None:
    data, run = tmp_path / "data.npz", tmp_path / "run"
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8), dtype=np.uint8)
    n = np.arange(8)
    np.savez(
        data, images=images, conditions=np.array(["concept", "kind", "style"]), concept=n // 2, kind=n // 4,
        style=n % 2,
        concepts=np.array(["fox", "axe", "sun", "held out"]), kinds=np.array(["a", "b"]), styles=np.array(["x", "y"]),
        split=np.array([0, 0, 0, 2, 0, 0, 1, 1]), splits=np.array(["train", "test", "pairs"]), group=n,
    )  # fmt: skip
    arguments = ["train", "--data", str(data), "--run", str(run), "--name", "new", "--config", "emoji-sets",
                 "--init", model, "--image-size", "8", "--widths", "12", "24", "--blocks", "1", "--images", "16",
                 "--batch", "8", "--drop-label", "0.2", "--drop-all", "0.1", "--device", "cpu"]  # fmt: skip
    assert main(arguments) == 1  # the network to begin with has no attention
    assert main([*arguments[:9], *arguments[11:]]) == 0
    card = json.loads((run / "new.json").read_text())
    assert card["network"]["conditions"] == [3, 2, 2] and card["network"]["modulate"] == "scale"
    assert card["conditions"] == {"concept": ["fox", "axe", "sun"], "kind": ["a", "b"], "style": ["x", "y"]}
    assert card["follows"] == {"kind": [0, 0, 1]}
    assert card["classes"] == [] and (run / "samples" / "asked.png").is_file()
    made = sample(str(run / "new.safetensors"), tmp_path / "a.npz", "--count", "2")  # of which nothing is said
    assert made["images"].shape == (2, 8, 8, 1)
    begun = ["--init", str(run / "new.safetensors"), "--run", str(tmp_path / "on"), "--decay", "cosine"]
    assert main([*arguments[:9], *arguments[11:], *begun]) == 0
    assert json.loads((tmp_path / "on" / "new.json").read_text())["images_seen"] == 32


def test_images_with_classes_of_other_names_are_refused(
    capsys: pytest.CaptureFixture[str], model: str, tmp_path: Path
) -> None:
    path = tmp_path / "other.npz"
    np.savez(path, x_test=np.zeros((2, 8, 8), np.uint8), y_test=np.zeros(2, np.uint8), classes=np.array(["cat", "dog"]))
    arguments = ["loss", "--model", model, "--device", "cpu", "--images", str(path), "--count", "2"]
    arguments += ["--out", str(tmp_path / "a.json")]
    assert "(cat, dog) are not those of tiny (circle, square, 1)." in refused(capsys, *arguments)


def test_a_schedule_of_betas_goes_through_every_form(model: str, tmp_path: Path) -> None:
    betas, table, config = (tmp_path / name for name in ("betas.csv", "table.csv", "config.json"))
    betas.write_text("0.1\n0.2\n0.3\n")
    assert main(["schedule", "--betas", str(betas), "--csv", str(table), "--diffusers", str(config)]) == 0
    assert [float(row["beta"]) for row in csv.DictReader(io.StringIO(table.read_text()))] == [0.1, 0.2, 0.3]
    assert json.loads(config.read_text())["trained_betas"] == [0.1, 0.2, 0.3]
    made = sample(model, tmp_path / "a.npz", "--count", "2", "--betas", str(betas))["images"]
    assert (made != sample(model, tmp_path / "b.npz", "--count", "2", "--T", "3")["images"]).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--csv", "-", "--betas", "nowhere.csv"], "nowhere.csv"),
        (["--csv", "-", "--betas", "nowhere.csv", "--s", "0.1"], "leave its other options out"),
        ([], "Say what to write"),
    ],
)
def test_a_schedule_of_betas_is_refused(capsys: pytest.CaptureFixture[str], options: list[str], message: str) -> None:
    assert message in refused(capsys, "schedule", *options)
