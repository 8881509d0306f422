"""Data files, whole and broken."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from diffusion.data import DataError, ImageSet, load_npz
from diffusion.images import to_tensor, to_unit
from diffusion.train import choose

ROOT = Path(__file__).parent.parent


def write(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def some(n: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(n).integers(1, 256, (n, *shape), dtype=np.uint8)


def test_grey_and_coloured_images_become_channels_first(tmp_path: Path) -> None:
    grey, colour = some(4, 5, 5), some(3, 5, 5, 3)
    path = write(
        tmp_path / "a.npz", x_train=grey, y_train=np.arange(4), x_test=colour, y_test=np.arange(3, dtype=np.uint8)
    )
    train, test = load_npz(path, "train", 5), load_npz(path, "test", 5)
    np.testing.assert_array_equal(train.images.numpy(), grey[:, None])
    np.testing.assert_array_equal(test.images.numpy(), np.moveaxis(colour, 3, 1))
    assert train.images.dtype == torch.uint8 and train.labels.dtype == test.labels.dtype == torch.int64
    assert train.labels.tolist() == [0, 1, 2, 3] and test.labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("height", "width", "top", "left"), [(28, 28, 2, 2), (5, 32, 13, 0), (31, 30, 0, 1)])
def test_small_images_are_padded_evenly_with_zeros(
    tmp_path: Path, height: int, width: int, top: int, left: int
) -> None:
    images = some(2, height, width)
    loaded = load_npz(write(tmp_path / "a.npz", x_train=images, y_train=np.zeros(2, int)), "train", 32).images
    assert loaded.shape == (2, 1, 32, 32)
    np.testing.assert_array_equal(loaded[:, 0, top : top + height, left : left + width].numpy(), images)
    assert loaded.sum() == images.sum(dtype=np.int64)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": some(2, 4, 4)}, "has x_train, but x_train and y_train are needed"),
        ({"images": some(2, 4, 4), "y_train": np.arange(2)}, "has images, y_train, but"),
        ({"x_train": some(2, 4, 4).astype(float), "y_train": np.arange(2)}, "x_train must be uint8"),
        ({"x_train": some(2, 16), "y_train": np.arange(2)}, "x_train must be uint8 of shape"),
        ({"x_train": some(2, 4, 4), "y_train": np.arange(3)}, "2 images but 3 labels in train"),
        ({"x_train": some(0, 4, 4), "y_train": np.arange(0)}, "0 images but 0 labels"),
        ({"x_train": some(2, 4, 4), "y_train": np.eye(2, dtype=int)}, "y_train must be whole numbers"),
        ({"x_train": some(2, 4, 4), "y_train": np.array([0.5, 1.5])}, "y_train must be whole numbers"),
        ({"x_train": some(2, 4, 9), "y_train": np.arange(2)}, "images of 9 x 4, larger than the network's 8"),
        ({"x_train": some(2, 9, 4), "y_train": np.arange(2)}, "images of 4 x 9, larger than the network's 8"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_npz(write(tmp_path / "a.npz", **arrays), "train", 8)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no file .*none.npz"):
        load_npz(tmp_path / "none.npz", "train", 8)


@pytest.mark.parametrize("content", ["", "text", "array", "cut", "pickle"])
def test_a_file_of_another_kind_or_a_damaged_one_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.npz"
    write(path, x_train=some(9, 8, 8), y_train=np.arange(9))
    match content:
        case "array":
            with path.open("wb") as file:
                np.save(file, np.arange(3))
        case "cut":
            path.write_bytes(path.read_bytes()[:300])
        case "pickle":
            write(path, x_train=np.array([{}], dtype=object), y_train=np.arange(1))
        case _:
            path.write_text(content)
    with pytest.raises(DataError, match=r"a.npz is not an .npz file that can be read"):
        load_npz(path, "train", 8)


def test_a_set_is_indexed_with_its_labels() -> None:
    whole = ImageSet(torch.from_numpy(some(5, 1, 2, 2)), torch.arange(5) * 10)
    assert len(whole) == 5 and len(whole[1:3]) == 2
    picked = whole[torch.tensor([4, 0, 0])]
    assert picked.labels.tolist() == [40, 0, 0]
    assert torch.equal(picked.images, whole.images[[4, 0, 0]])


def test_unit_range_is_that_of_uploaded_pictures() -> None:
    greys = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    assert torch.equal(to_unit(torch.from_numpy(greys)), to_tensor(Image.fromarray(greys[0])))


def test_held_out_images_are_left_out_wherever_they_stand() -> None:
    images = torch.arange(6 * 4, dtype=torch.uint8).reshape(6, 1, 2, 2)
    data = ImageSet(torch.cat([images, images[:1]]), torch.arange(7))
    left = data.without(ImageSet(images[[0, 4]], torch.zeros(2, dtype=torch.int64)))
    assert left.labels.tolist() == [1, 2, 3, 5]
    assert torch.equal(left.images, images[[1, 2, 3, 5]])


def test_spread_reaches_both_ends_and_never_repeats() -> None:
    data = ImageSet(torch.zeros(10, 1, 2, 2, dtype=torch.uint8), torch.arange(10))
    assert data.spread(4).labels.tolist() == [0, 3, 6, 9]
    assert data.spread(99).labels.tolist() == list(range(10))


def test_a_group_is_drawn_as_often_as_an_image_alone() -> None:
    groups = torch.tensor([0, 1, 1, 1, 1, 2])
    data = ImageSet(torch.zeros(6, 1, 2, 2, dtype=torch.uint8), torch.zeros(6, dtype=torch.int64), groups)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat([choose(data, step, 3, 0, generator) for step in range(400)])
    assert torch.bincount(groups[drawn]).tolist() == [400, 400, 400]
    assert torch.bincount(drawn)[1:5].min() > 60


def test_the_bundled_emoji_hold_out_whole_emoji() -> None:
    train, test = (load_npz(ROOT / "assets" / "emoji" / "emoji.npz", split, 32) for split in ("train", "test"))
    assert (len(train), len(test)) == (3421, 360)
    assert train.groups is not None
    assert test.groups is not None
    assert not set(train.groups.tolist()) & set(test.groups.tolist())
    assert set(train.labels.tolist()) == set(test.labels.tolist()) == set(range(9))
