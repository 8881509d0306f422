"""Points of the plane: patterns known in closed form, and what people bring."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from diffusion.data.points import (
    MOST_POINTS,
    fitted,
    patterns,
    points_from_csv,
    points_from_picture,
)
from diffusion.data.sets import DataError
from diffusion.plane import points_csv

PATTERNS = patterns()


@pytest.mark.parametrize("name", PATTERNS)
def test_a_preset_is_its_mixture_within_the_square(name: str) -> None:
    pattern = PATTERNS[name]
    points, labels = pattern.draw(20_000, 0)
    assert points.shape == (20_000, 2, 1, 1) and float(points.abs().max()) < 1.4
    mean, variance = pattern.mixture().moments()
    torch.testing.assert_close(points.mean(0), mean, atol=0.015, rtol=0)
    torch.testing.assert_close(points.var(0), variance, atol=0.015, rtol=0)
    assert (labels is None) == (not pattern.names)
    assert torch.equal(points, pattern.draw(20_000, 0)[0]) and not torch.equal(points, pattern.draw(20_000, 1)[0])


def test_classes_come_as_often_as_they_weigh() -> None:
    _, labels = PATTERNS["clusters"].draw(20_000, 0)
    assert labels is not None
    assert (labels.bincount() / 20_000).tolist() == pytest.approx([0.6, 0.3, 0.1], abs=0.02)
    assert len(PATTERNS["clusters"].names) == 3


def test_points_are_fitted_with_both_axes_alike() -> None:
    rows = fitted(np.array([[10.0, 5.0], [30.0, 5.0], [20.0, 10.0]]))
    np.testing.assert_allclose(rows, [[-1, -0.25], [1, -0.25], [0, 0.25]])


@pytest.mark.parametrize(
    "text",
    ["0,0\n1,0\n1,1\n", "x,y\n0,0\n1,0\n1,1", "0;0\n1;0\n1;1\n", "0\t0\n1\t0\n\n1\t1\n",
     "\ufeffx,y,name\n0,0,a\n1,0,b\n1,1,c", "x,y\r\n0,0\r\n1,0\r\n1,1\r\n"],
)  # fmt: skip
def test_a_csv_of_points_is_read_as_people_write_it(text: str) -> None:
    points, labels = points_from_csv(text.encode())
    np.testing.assert_allclose(points, [[-1, -1], [1, -1], [1, 1]])
    assert labels is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x,y,class\n0,0,2\n1,0,10\n1,1,2\n", [0, 1, 0]),
        ("x;y;Class\n0;0;b\n1;0;a\n1;1;b\n", [1, 0, 1]),
        ("x,y,size,class\n0,0,9,a\n1,0,9\n1,1,9,a\n", [1, 0, 1]),  # nothing said is a class too
    ],
)
def test_a_column_of_a_csv_may_say_classes(text: str, expected: list[int]) -> None:
    labels = points_from_csv(text.encode())[1]
    assert labels is not None and labels.tolist() == expected


@pytest.mark.parametrize("name", PATTERNS)
def test_points_that_were_taken_away_come_back_as_they_were(name: str) -> None:
    points, labels = PATTERNS[name].draw(300, 1)
    rows, classes = points_from_csv(points_csv(points, labels))
    np.testing.assert_array_equal(rows.astype(np.float32), points.flatten(1).numpy())
    assert (classes is None) == (labels is None)
    assert classes is None or labels is None or classes.tolist() == labels.tolist()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "There are no points in this file."),
        (b"x,y\n", "There are no points in this file."),
        (b"x,y\n1,2\nthree,4\n", "Row 2 of this file does not begin with two numbers, of at most 1e+12: 'three, 4'."),
        (b"1\n2\n3\n", "Row 1 of this file does not begin with two numbers"),
        (b"1,nan\n2,3\n4,inf\n", "Row 1"),
        (b"1,2\n", "At least two different points are needed."),
        (b"1,2\n1,2\n1,2\n", "At least two different points are needed."),
        (b"x,y,class\n" + b"".join(b"%d,1,%d\n" % (k, k) for k in range(101)), "101 classes are too many"),
        (b"1,2\n" * (MOST_POINTS + 1), "5,001 points are too many; there can be 5,000."),
        (b"0.25,0.5\n" * 1_000_000, "A file of points may have 4 MB, not 9.0."),
        (b"\xff\xfe\x00\x01", "This is no CSV that can be read"),
        (b"\x89PNG\r\n\x1a\n", "This is no CSV that can be read"),
    ],
)
def test_what_is_no_file_of_points_is_refused_in_a_sentence(content: bytes, said: str) -> None:
    with pytest.raises(DataError, match="^" + re.escape(said)):
        points_from_csv(content)


def test_points_are_put_where_a_picture_is_dark() -> None:
    values = np.full((40, 80), 255, np.uint8)
    values[10:20, 10:30] = 0
    values[20:30, 50:70] = 64  # half as dark
    rows = points_from_picture(Image.fromarray(values), 3000)
    left = rows[:, 0] < 0
    assert len(rows) == 3000 and 0.62 < left.mean() < 0.71
    assert rows[left, 1].mean() > 0 > rows[~left, 1].mean()  # upwards is upwards
    assert np.abs(rows).max() == pytest.approx(1)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_blank_picture_has_no_points(mode: str) -> None:
    blank = Image.new("RGB", (30, 20), "white").convert(mode)
    with pytest.raises(DataError, match="dark nowhere"):
        points_from_picture(blank, 10)


def test_a_photo_of_any_size_gives_its_points() -> None:
    rng = np.random.default_rng(0)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (700, 300, 3), dtype=np.uint8)).save(buffer, "PNG")
    rows = points_from_picture(Image.open(buffer), 500, seed=3)
    assert rows.shape == (500, 2)
    np.testing.assert_array_equal(fitted(rows), rows)
