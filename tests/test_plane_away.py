"""What is taken away from the plane is what was seen there."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from diffusion.cli.main import main
from diffusion.data.points import as_points, patterns
from diffusion.evaluation.distances import kernel_distance
from diffusion.files import ASSETS
from diffusion.mixture import Mixture
from diffusion.plane import BESIDE, CELLS, COLOUR, REACH, SIDE, density_on_grid, plane_picture, points_csv
from ui import plane, plane_tab
from ui.learning import LearnWish, Lesson, learn, save_lesson
from ui.models import StopFlag
from ui.plane_away import POINTS_FILE, places_at, read_trails, take_away_plane
from ui.sampling import values_of
from ui.sidebar import default_settings

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    monkeypatch.chdir(tmp_path)


def draw(data: plane.PlaneData, flag: StopFlag | None = None, lesson: Lesson | None = None, **wish: Any) -> str:
    """The path of a run."""
    return draw_both(data, flag, lesson, **wish)[0]


def draw_both(
    data: plane.PlaneData, flag: StopFlag | None = None, lesson: Lesson | None = None, **wish: Any
) -> list[str]:
    """The paths of a run, and of that which is beside it."""
    controls = values_of(plane.PlaneWish(**({"steps": 9, "count": 70} | wish))).values()
    value: Any = None
    for values in plane_tab.press_draw(default_settings(), data, flag or StopFlag(), lesson or Lesson(), *controls):
        value = values[0]
        if flag is not None:
            flag.up = True
    return [run["file"]["path"] for run in value["runs"]]


def taken(file: str, form: Any, beside: str = "") -> bytes:
    answer = plane_tab.take_away_shown({"file": file, "beside": beside, "form": form})
    path = Path(answer["url"].partition("file=")[2])
    assert path.name == answer["name"]
    return path.read_bytes()


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def moons(count: int = 300) -> plane.PlaneData:
    return plane.pattern_points({"pattern": "moons", "count": count, "seed": 4})


@pytest.mark.parametrize("wish", [
    {}, {"sampler": "ddpm", "steps": 60}, {"told": "in-turn", "guidance": 1.5, "sampler": "unipc"},
    {"denoiser": "learned", "told": "in-turn", "guidance": 2.0, "options": {"eta": 0.5}},
])  # fmt: skip
@pytest.mark.parametrize("count", [300, 2500])
def test_the_python_draws_the_same_samples(
    count: int, wish: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ASSETS.parent)  # where the weights are that the Python names
    file = draw(moons(count), **wish)
    names: dict[str, Any] = {}
    exec(take_away_plane({"file": file, "beside": "", "form": "py"})["text"], names)
    places = read_trails(Path(file)).places
    np.testing.assert_allclose(names["samples"], places[-1], atol=2e-3)  # to which a run is kept
    assert capsys.readouterr().out.splitlines()[0] == "1000"


def test_the_python_for_points_of_ones_own_reads_them_from_their_file() -> None:
    rows = patterns()["ring"].draw(50, 3)[0]
    data: plane.PlaneData = {"points": plane.encode_points(rows.flatten(1)), "labels": "", "key": "file-a-1-2.csv"}
    file = draw(data)
    Path(POINTS_FILE).write_bytes(points_csv(rows))
    names: dict[str, Any] = {}
    exec(take_away_plane({"file": file, "beside": "", "form": "py"})["text"], names)
    np.testing.assert_allclose(names["samples"], read_trails(Path(file)).places[-1], atol=2e-3)


def test_what_ones_own_network_drew_is_drawn_again_from_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = moons(60)
    points, labels = plane.read_plane_data(data)
    lesson = Lesson(LearnWish(width=16, depth=1, batch=32))
    for _ in learn(lesson, points, labels, None, StopFlag(), updates=2):
        pass
    file = draw(data, lesson=lesson, denoiser="learned")
    # Going on to learn changes nothing of what was drawn.
    for _ in learn(lesson, points, labels, None, StopFlag(), updates=2):
        pass
    with zipfile.ZipFile(io.BytesIO(taken(file, "py"))) as bundle:
        assert sorted(bundle.namelist()) == ["draw.py", "plane-moons.json", "plane-moons.safetensors"]
        bundle.extractall(tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec((tmp_path / "draw.py").read_text(encoding="utf-8"), names)
    # The weights are kept in half precision.
    np.testing.assert_allclose(names["samples"], read_trails(Path(file)).places[-1], atol=2e-2)
    assert len(rows_of(taken(file, "samples"))) == 70


def test_tables_have_the_samples_and_their_paths() -> None:
    file = draw(moons())
    places = read_trails(Path(file)).places
    samples = np.array([[float(row["x"]), float(row["y"])] for row in rows_of(taken(file, "samples"))])
    np.testing.assert_allclose(samples, places[-1], atol=1e-6)
    paths = rows_of(taken(file, "paths"))
    assert len(paths) == places.shape[0] * places.shape[1] and float(paths[-1]["alpha_bar"]) == 1
    third = [(float(row["x"]), float(row["y"])) for row in paths if row["sample"] == "3"]
    np.testing.assert_allclose(third, places[:, 3], atol=1e-4)


def test_a_second_run_is_in_tables_and_film_too() -> None:
    first, second = draw_both(moons(), steps=5, beside="ddpm")
    ends = [read_trails(Path(path)).places[-1] for path in (first, second)]
    rows = rows_of(taken(first, "samples", second))
    for number, end in zip("12", ends, strict=True):
        found = [(float(row["x"]), float(row["y"])) for row in rows if row["run"] == number]
        np.testing.assert_allclose(found, end, atol=1e-6)
    paths = rows_of(taken(first, "paths", second))
    assert len(paths) == sum(read_trails(Path(path)).places[..., 0].size for path in (first, second))
    # Brown dots over the violet ones and their density.
    alone, both = (taken(first, "gif", beside) for beside in ("", second))
    brown = []
    for content in (alone, both):
        film = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
        brown.append((film[..., 0] - film[..., 2] > (BESIDE[0] - BESIDE[2]) / 3).sum())
    assert brown[0] == 0 < brown[1]
    missing = take_away_plane({"file": first, "beside": str(Path(second).with_suffix(".npy")), "form": "gif"})
    assert "no longer kept" in missing["error"]


def test_the_run_that_the_tab_opens_with_is_taken_away_too(monkeypatch: pytest.MonkeyPatch) -> None:
    places = read_trails(plane.PLANE_OPENING).places
    rows = rows_of(taken("opening", "samples"))
    np.testing.assert_allclose([(float(row["x"]), float(row["y"])) for row in rows], places[-1], atol=1e-6)
    names: dict[str, Any] = {}
    exec(plane_tab.take_away_shown({"file": "opening", "beside": "", "form": "py"})["text"], names)
    np.testing.assert_allclose(names["samples"], places[-1], atol=2e-3)
    assert Image.open(io.BytesIO(taken("opening", "gif"))).size == (SIDE, SIDE)


def test_a_film_ends_on_the_data() -> None:
    file = draw(moons(), steps=5)
    gif = Image.open(io.BytesIO(taken(file, "gif")))
    assert gif.size == (SIDE, SIDE) and gif.n_frames == 60  # type: ignore[attr-defined]
    gif.seek(59)
    last = np.asarray(gif.convert("L"), float)
    gif.seek(0)
    first = np.asarray(gif.convert("L"), float)
    # At first there is noise wherever one looks; at the end nothing is left far from the moons.
    corner = slice(0, SIDE // 5), slice(2 * SIDE // 5, None)
    assert last[corner].min() > 245 > first[corner].min()
    with av.open(io.BytesIO(taken(file, "mp4")), "r") as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    assert frames[0].shape == (SIDE * 2, SIDE * 2) or frames[0].shape == (SIDE, SIDE)
    assert len(frames) >= 60 and frames[0].std() != frames[-1].std()


def test_between_two_frames_samples_move_on_an_arc() -> None:
    x_0, eps = np.array([[0.3, -0.4]]), np.array([[1.1, 0.6]])
    at = [np.cos(a) * x_0 + np.sin(a) * eps for a in (1.2, 0.7, 0.1)]
    levels = [float(np.cos(a) ** 2) for a in (1.2, 0.7, 0.1)]
    for angle in (1.2, 0.9, 0.7, 0.3, 0.1):
        expected = np.cos(angle) * x_0 + np.sin(angle) * eps
        np.testing.assert_allclose(places_at(levels, np.stack(at), angle), expected, atol=1e-9)


def test_what_is_no_run_or_was_stopped_is_said_in_a_sentence(tmp_path: Path) -> None:
    assert "no longer kept" in take_away_plane({"file": str(tmp_path), "beside": "", "form": "gif"})["error"]
    stopped = draw(moons(), StopFlag(), steps=500)
    assert "was stopped" in take_away_plane({"file": stopped, "beside": "", "form": "py"})["error"]
    assert rows_of(taken(stopped, "samples"))


def test_the_density_of_a_picture_is_that_of_the_mixture() -> None:
    mixture = Mixture(patterns()["clusters"].draw(40, 0)[0], 0.3, torch.arange(1.0, 41) / 820)
    density = density_on_grid(mixture)
    cell = 2 * REACH / CELLS
    middle = -REACH + (np.arange(CELLS) + 0.5) * cell
    y, x = np.meshgrid(-middle, middle, indexing="ij")
    places = as_points(np.stack([x.ravel(), y.ravel()], 1))
    seen = Mixture(mixture.centres, (0.3**2 + cell**2 / 4) ** 0.5, mixture.weights)
    np.testing.assert_allclose(density.ravel(), seen.log_density(places).exp(), rtol=2e-3, atol=1e-6)
    assert density.sum() * cell**2 == pytest.approx(1, abs=2e-3)


def test_a_point_is_where_it_belongs() -> None:
    picture = np.asarray(plane_picture(as_points(np.array([[0.8, 0.4], [50.0, 0.0]]))))
    row, column = (round(SIDE * v / (2 * REACH)) for v in (REACH - 0.4, REACH + 0.8))
    assert np.abs(picture[row, column].astype(int) - COLOUR).max() < 12
    assert (picture[:, : SIDE // 2] == 255).all()


def test_the_weights_of_a_lesson_are_sampled_by_the_command(tmp_path: Path) -> None:
    pattern, lesson = patterns()["clusters"], Lesson(LearnWish(width=48, depth=2))
    points, labels = pattern.draw(500, 0)
    for _ in learn(lesson, points, labels, None, StopFlag(), 500):
        pass
    path = save_lesson(lesson, "clusters-500-0", pattern.names)
    with zipfile.ZipFile(path) as bundle:
        assert sorted(bundle.namelist()) == ["plane-clusters.json", "plane-clusters.safetensors"]
        bundle.extractall(tmp_path)
    model = "sample", "--model", "plane-clusters.safetensors", "--count", "300", "--steps", "15"
    assert main([*model, "--out", "drawn.csv"]) == 0
    rows = rows_of(Path("drawn.csv").read_bytes())
    assert list(rows[0]) == ["x", "y", "class"] and [row["class"] for row in rows[:4]] == ["0", "1", "2", "0"]
    for k in range(3):  # each where its class is
        drawn = as_points(np.array([[float(row["x"]), float(row["y"])] for row in rows if row["class"] == str(k)]))
        assert kernel_distance(drawn, points[labels == k]) < 0.1 < 0.5 < kernel_distance(drawn, points[labels != k])
    assert main([*model, "--label", "10 %", "--out", "drawn.png"]) == 0
    with Image.open("drawn.png") as picture:
        assert picture.size == (SIDE, SIDE)


def test_a_table_is_for_points_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--model", "digits", "--count", "1", "--out", "a.csv"]) == 1
    assert "A table is for points" in capsys.readouterr().err
