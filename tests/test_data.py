"""Data files, whole and broken."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
import torch
from PIL import Image

from diffusion.data.draws import images_of_step
from diffusion.data.folders import BUNDLED, DataWarning, load_data
from diffusion.data.sets import DataError, ImageSet, load_npz
from diffusion.images import encode, open_image, to_tensor, to_unit

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
        ({"x_test": some(2, 4, 4)}, "has x_test, but x_train and y_train are needed, or images and labels, or arr_0"),
        ({"y_train": np.arange(2)}, "has y_train, but"),
        ({}, "has no arrays, but"),
        ({"images": some(2, 4, 4), "y_train": np.arange(2)}, "has images, y_train, but"),
        ({"arr_0": some(2, 4, 4), "arr_1": np.arange(3)}, "2 images but 3 labels"),
        ({"x_train": some(2, 4, 4, 4), "y_train": np.arange(2)}, r"C 1 or 3, not of shape \(2, 4, 4, 4\)"),
        ({"x_train": some(2, 2, 4, 4), "y_train": np.arange(2)}, r"C 1 or 3, not of shape \(2, 2, 4, 4\)"),
        ({"x_train": some(2, 4, 0), "y_train": np.arange(2)}, r"C 1 or 3, not of shape \(2, 4, 0, 1\)"),
        ({"x_train": some(2, 4, 4, 3, 1), "y_train": np.arange(2)}, r"not of shape \(2, 4, 4, 3, 1\)"),
        ({"x_train": some(2, 4, 4) / 100, "y_train": np.arange(2)}, "uint8, or floats within 0 ... 1 or -1 ... 1"),
        ({"x_train": np.full((2, 4, 4), np.nan), "y_train": np.arange(2)}, "uint8, or floats within"),
        ({"x_train": np.full((2, 4, 4), np.inf), "y_train": np.arange(2)}, "uint8, or floats within"),
        ({"x_train": some(2, 4, 4).astype(str), "y_train": np.arange(2)}, "uint8, or floats within"),
        (
            {"x_train": some(2, 4, 4), "y_train": np.array([0, -1])},
            "y_train has -1 to 0, but classes are numbered from 0",
        ),
        (
            {"x_train": some(2, 4, 4), "y_train": np.array([0, 2**64 - 1], np.uint64)},
            "18446744073709551615, but classes",
        ),
        ({"x_train": some(2, 4, 4), "y_train": np.array([0, 10**9])}, "has 0 to 1000000000, but classes"),
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


@pytest.mark.parametrize("content", ["", "text", "cut", "pickle"])
def test_a_file_of_another_kind_or_a_damaged_one_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.npz"
    write(path, x_train=some(9, 8, 8), y_train=np.arange(9))
    match content:
        case "cut":
            path.write_bytes(path.read_bytes()[:300])
        case "pickle":
            write(path, x_train=np.array([{}], dtype=object), y_train=np.arange(1))
        case _:
            path.write_text(content)
    with pytest.raises(DataError, match=r"a.npz is not an .npz file that can be read"):
        load_npz(path, "train", 8)


def test_a_single_array_by_the_name_of_many_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, np.arange(3))
    with pytest.raises(DataError, match=r"a\.npz is a single array, an \.npy by another name; np\.savez writes"):
        load_npz(tmp_path / "a.npz", "train", 8)


def test_an_array_that_promises_more_than_there_is_takes_no_memory(tmp_path: Path) -> None:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (9000000, 1000, 1000), }".ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x_train.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(DataError, match="x_train is not as large as it says"):
        load_npz(tmp_path / "a.npz", "train", 8)


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_come_first_where_they_cannot_come_last(tmp_path: Path, channels: int) -> None:
    images = some(4, channels, 6, 5)
    data = load_npz(write(tmp_path / "a.npz", x_train=images, y_train=np.arange(4)), "train", 8)
    np.testing.assert_array_equal(data.images[:, :, 1:7, 1:6].numpy(), images)
    both = some(4, 3, 6, 3)  # three channels at either end: the usual order
    data = load_npz(write(tmp_path / "b.npz", x_train=both, y_train=np.arange(4)), "train", 6)
    np.testing.assert_array_equal(data.images[:, :, 1:4].numpy(), both.transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("names", "labels", "expected"),
    [
        (("images", "labels"), np.array([2, 0, 1]), [2, 0, 1]),
        (("images", "labels"), np.array([], np.int64), [0, 0, 0]),  # as sample writes them of a network without classes
        (("images", "labels"), None, [0, 0, 0]),
        (("arr_0", "arr_1"), np.array([[2], [0], [1]]), [2, 0, 1]),
        (("arr_0", "arr_1"), None, [0, 0, 0]),
        (("x_train", "y_train"), np.array([[2], [0], [1]], np.uint8), [2, 0, 1]),
        (("x_train", "y_train"), None, [0, 0, 0]),
    ],
)
def test_the_layouts_that_people_have_are_read(
    tmp_path: Path, names: tuple[str, str], labels: np.ndarray | None, expected: list[int]
) -> None:
    arrays = {names[0]: some(3, 8, 8, 3)} | ({} if labels is None else {names[1]: labels})
    data = load_npz(write(tmp_path / "a.npz", **arrays), "train", 8)
    np.testing.assert_array_equal(data.images.numpy(), arrays[names[0]].transpose(0, 3, 1, 2))
    assert data.labels.tolist() == expected and data.labels.dtype == torch.int64
    with pytest.raises(DataError, match="x_test and y_test"):
        load_npz(tmp_path / "a.npz", "test", 8)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_become_the_bytes_they_were_made_of(tmp_path: Path, dtype: type) -> None:
    images = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    for name, floats in (("unit", images / 255), ("signed", images / 127.5 - 1)):
        data = load_npz(write(tmp_path / f"{name}.npz", images=floats.astype(dtype)), "train", 8)
        np.testing.assert_array_equal(data.images[:, 0].numpy(), images)


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
    assert data.evenly(4).labels.tolist() == [0, 3, 6, 9]
    assert data.evenly(99).labels.tolist() == list(range(10))


def test_a_group_is_drawn_as_often_as_an_image_alone() -> None:
    groups = torch.tensor([0, 1, 1, 1, 1, 2])
    data = ImageSet(torch.zeros(6, 1, 2, 2, dtype=torch.uint8), torch.zeros(6, dtype=torch.int64), groups)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat([images_of_step(data, step, 3, 0, generator) for step in range(400)])
    assert torch.bincount(groups[drawn]).tolist() == [400, 400, 400]
    assert torch.bincount(drawn)[1:5].min() > 60


def test_the_bundled_emoji_hold_out_whole_emoji() -> None:
    train, test = (load_npz(ROOT / "assets" / "emoji" / "emoji.npz", split, 32) for split in ("train", "test"))
    assert (len(train), len(test)) == (3421, 360)
    assert train.groups is not None
    assert test.groups is not None
    assert not set(train.groups.tolist()) & set(test.groups.tolist())
    assert set(train.labels.tolist()) == set(test.labels.tolist()) == set(range(9))


def save(folder: Path, name: str, pixels: np.ndarray, **options: Any) -> np.ndarray:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return pixels


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def zipped(folder: Path, path: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*"), reverse=True):  # no order that a reader should keep
            if file.is_file():
                archive.write(file, prefix + file.relative_to(folder).as_posix())
    return path


def test_folders_at_the_top_are_the_classes(tmp_path: Path) -> None:
    cat, dog = save(tmp_path, "dog/1.png", noise(0, 8, 8, 3)), save(tmp_path, "cat/deep/9.PNG", noise(1, 8, 8, 3))
    save(tmp_path, "cat/.hidden.png", noise(2, 8, 8, 3))
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    data = load_data(tmp_path, "train", 8)
    assert (data.classes, data.labels.tolist()) == (("cat", "dog"), [0, 1])
    np.testing.assert_array_equal(data.images.numpy(), np.stack([dog, cat]).transpose(0, 3, 1, 2))


def test_a_zip_holds_what_its_folder_holds_whether_zipped_from_inside_or_outside(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    for i in range(5):
        save(folder, f"{'ab'[i % 2]}/{i}.png", noise(i, 9 + i, 12, 3))
    save(folder, "__MACOSX/a/1.png", noise(9, 8, 8, 3))
    plain = load_data(folder, "train", 8)
    for prefix in ("", "pictures/"):
        data = load_data(zipped(folder, tmp_path / "a.zip", prefix), "train", 8)
        assert torch.equal(data.images, plain.images)
        assert (data.labels.tolist(), data.classes) == ([0, 0, 0, 1, 1], ("a", "b"))


@pytest.mark.parametrize("wide", [True, False])
def test_the_square_in_the_middle_is_kept(tmp_path: Path, wide: bool) -> None:
    pixels = noise(0, 8, 20, 3)
    save(tmp_path, "a.png", pixels if wide else pixels.transpose(1, 0, 2).copy())
    image = load_data(tmp_path, "train", 8).images[0].numpy()
    np.testing.assert_array_equal(image if wide else image.transpose(0, 2, 1), pixels[:, 6:14].transpose(2, 0, 1))


def test_the_crop_is_of_whole_pixels(tmp_path: Path) -> None:
    pixels = save(tmp_path, "a.png", noise(0, 8, 11))
    np.testing.assert_array_equal(load_data(tmp_path, "train", 8).images[0, 0].numpy(), pixels[:, 1:9])


def test_images_of_other_sizes_are_resized_with_lanczos(tmp_path: Path) -> None:
    sources = [save(tmp_path, f"{i}.png", noise(i, side, side)) for i, side in enumerate((40, 5))]
    data = load_data(tmp_path, "train", 8)
    assert data.classes == ()
    for source, image in zip(sources, data.images, strict=True):
        expected = np.asarray(Image.fromarray(source).resize((8, 8), Image.Resampling.LANCZOS))
        np.testing.assert_array_equal(image[0].numpy(), expected)


def test_every_kind_of_image_becomes_grey_or_rgb(tmp_path: Path) -> None:
    grey = save(tmp_path, "a.png", noise(0, 8, 8))
    clear = np.zeros((8, 8, 4), np.uint8)
    save(tmp_path, "b.png", clear)  # black, but transparent
    save(tmp_path, "c.png", np.full((8, 8), 65535, np.uint16))
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([10, 200, 30])
    palette.save(tmp_path / "d.gif")
    turned = Image.fromarray(noise(1, 8, 8, 3))
    exif = Image.Exif()
    exif[0x0112] = 3  # stored upside down
    turned.save(tmp_path / "e.png", exif=exif)
    data = load_data(tmp_path, "train", 8)
    a, b, c, d, e = data.images.numpy()
    np.testing.assert_array_equal(a, np.stack([grey] * 3))
    assert (b == 255).all() and (c == 255).all()
    assert d[:, 0, 0].tolist() == [10, 200, 30]
    np.testing.assert_array_equal(e, noise(1, 8, 8, 3)[::-1, ::-1].transpose(2, 0, 1))
    made_grey = load_data(tmp_path, "train", 8, channels=1).images
    np.testing.assert_array_equal(made_grey[0, 0].numpy(), grey)
    assert made_grey[3].unique().tolist() == [round(0.299 * 10 + 0.587 * 200 + 0.114 * 30)]
    with pytest.raises(DataError, match="1 channel or 3, not 2"):
        load_data(tmp_path, "train", 8, channels=2)


def test_grey_images_of_any_kind_stay_grey(tmp_path: Path) -> None:
    wide = np.arange(64, dtype=np.uint16).reshape(8, 8) * 300  # far from the brightest there could be
    save(tmp_path, "a.png", wide)
    save(tmp_path, "b.png", np.eye(8, dtype=np.uint8) * 9, transparency=0)  # only the diagonal is to be seen
    Image.new("LA", (8, 8), (0, 128)).save(tmp_path / "c.png")
    Image.new("1", (8, 8), 1).save(tmp_path / "d.png")
    images = load_data(tmp_path, "train", 8).images
    assert images.shape == (4, 1, 8, 8)
    np.testing.assert_array_equal(images[0, 0].numpy(), np.asarray(open_image(tmp_path / "a.png"))[..., 0])
    np.testing.assert_array_equal(images[0, 0].numpy(), np.rint(wide / 257))
    np.testing.assert_array_equal(images[1, 0].numpy(), np.where(np.eye(8), 9, 255))
    assert images[2].unique().tolist() == [127] and images[3].unique().tolist() == [255]


def test_every_suffix_is_read_and_a_picture_turned_as_its_exif_says(tmp_path: Path) -> None:
    pixels = np.repeat(np.arange(8, dtype=np.uint8)[:, None] * 30, 12, axis=1)  # brighter from top to bottom
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side
    for name in ("a.JPG", "b.jpeg", "c.webp"):
        save(tmp_path, name, pixels, exif=exif, quality=100)
    for name in ("d.bmp", "e.Gif", "f.png"):
        save(tmp_path, name, pixels.T[2:10, ::-1].copy())
    images = load_data(tmp_path, "train", 8, channels=1).images.int()
    assert len(images) == 6
    assert (images - images[5]).abs().max() <= 4
    assert images[5, 0, 0].tolist() == list(range(210, -1, -30))


def pictures_in_a_zip(path: Path, *names: str) -> Path:
    """A zip of grey pictures, the n-th all of grey level n, under names as they stand."""
    with zipfile.ZipFile(path, "w") as archive:
        for i, name in enumerate(names):
            entry = zipfile.ZipInfo()
            entry.filename = name  # which the constructor would have changed
            archive.writestr(entry, encode(Image.new("L", (8, 8), i), "PNG"))
    return path


@pytest.mark.parametrize(
    ("names", "classes", "labels"),
    [
        (["/abs.png"], (), {0: 0}),
        (["C:/x.png", "C:\\y.png"], (), {0: 0, 1: 0}),
        (["/home/me/photos/cat/1.png", "/home/me/photos/dog/1.png"], ("cat", "dog"), {0: 0, 1: 1}),
        (["C:\\photos\\cat\\1.png", "C:\\photos\\dog\\1.png"], ("cat", "dog"), {0: 0, 1: 1}),
        (["cat\\1.png", "dog\\1.png", "dog\\"], ("cat", "dog"), {0: 0, 1: 1}),
        (["photos\\train\\cat\\1.png", "photos\\train\\dog\\a\\1.png"], ("cat", "dog"), {0: 0, 1: 1}),
        (["../../cat/1.png", "./dog/./1.png", "bird/../dog/2.png"], ("cat", "dog"), {0: 0, 1: 1, 2: 1}),
        (["cat/1.png", "/cat/1.png", "../cat/1.png"], (), {0: 0, 1: 0, 2: 0}),
        (["a.png", "C:a.png"], (), {0: 0, 1: 0}),
    ],
)
def test_zips_are_read_whoever_made_them(
    tmp_path: Path, names: list[str], classes: tuple[str, ...], labels: dict[int, int]
) -> None:
    data = load_data(pictures_in_a_zip(tmp_path / "a.zip", *names), "train", 8)
    assert dict(zip(data.images[:, 0, 0, 0].tolist(), data.labels.tolist(), strict=True)) == labels
    assert data.classes == classes
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_labels_written_on_windows_are_those_of_the_files(tmp_path: Path) -> None:
    path = pictures_in_a_zip(tmp_path / "a.zip", "x\\1.png", "x\\2.png")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("dataset.json", json.dumps({"labels": [["x\\1.png", 5], ["x\\2.png", 3]]}))
    assert load_data(path, "train", 8).labels.tolist() == [5, 3]


@pytest.mark.parametrize("suffix", ["tif", "TIFF", "avif", "jfif", "jpe", "apng", "dib", "tga", "ppm", "pgm", "ico",
                                    "jp2", "pcx", "sgi", "dds", "icns", "qoi"])  # fmt: skip
def test_every_kind_of_picture_that_the_page_takes_is_read(tmp_path: Path, suffix: str) -> None:
    format = {"tif": "TIFF", "jfif": "JPEG", "jpe": "JPEG", "apng": "PNG", "pgm": "PPM", "jp2": "JPEG2000"}
    picture = Image.new("L" if suffix == "pgm" else "RGB", (32, 32), "white")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(f"a.{suffix}", encode(picture, format.get(suffix, suffix.upper())))
    assert load_data(tmp_path / "a.zip", "train", 32).images.min() > 250


def test_files_of_other_kinds_are_counted_and_left_out(tmp_path: Path) -> None:
    for folder in ("train", "test"):
        save(tmp_path, f"{folder}/cat/1.png", noise(0, 8, 8))
    for name in ("train/cat/2.xyz", "train/cat/3.XYZ", "train/notes", "train/.hidden", "train/cat/Thumbs.db"):
        (tmp_path / name).write_text("")
    (tmp_path / "README.md").write_text("")
    with pytest.warns(DataWarning, match=r"3 files in .* of kinds that are not read \(\.xyz, no suffix\) left out\.$"):
        assert len(load_data(tmp_path, "train", 8)) == 1
    assert len(load_data(tmp_path, "test", 8)) == 1


def test_a_picture_of_a_kind_that_is_not_opened_is_not_by_another_name(tmp_path: Path) -> None:
    """PostScript, for one, is a program."""
    save(tmp_path, "a.png", noise(0, 8, 8))
    (tmp_path / "b.png").write_bytes(encode(Image.new("RGB", (8, 8)), "EPS"))
    with pytest.warns(DataWarning, match=r"cannot be read and are left out: b\.png\.$"):
        load_data(tmp_path, "train", 8)


def test_photos_of_phones_and_pictures_of_more_bits_are_images_of_a_folder(tmp_path: Path) -> None:
    pillow_heif.from_pillow(Image.new("RGB", (64, 64), (200, 100, 50))).save(tmp_path / "a.HEIC", quality=90)
    Image.fromarray(np.full((64, 64), 1023, np.uint16)).save(tmp_path / "b.png")
    Image.fromarray(np.linspace(0, 1023, 64 * 64).astype(np.uint16).reshape(64, 64)).save(tmp_path / "c.png")
    data = load_data(tmp_path, "train", 8)
    photo, flat, ramp = data.images.float()
    assert (photo.mean((1, 2)) - torch.tensor([200.0, 100.0, 50.0])).abs().max() < 5
    assert flat.max() == 4  # as dark as it says; of one value alone nobody knows that it is the greatest
    assert ramp[:, -1].min() > 230


def test_files_that_say_they_are_huge_are_never_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffusion.data.folders.MOST_BYTES", 1000)
    path = pictures_in_a_zip(tmp_path / "a.zip", "a.png")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b.png", bytes(1001))
    original = zipfile.ZipFile.read
    unpacked: list[str] = []

    def read(self: zipfile.ZipFile, name: zipfile.ZipInfo) -> bytes:
        unpacked.append(name.filename)
        return original(self, name)

    monkeypatch.setattr(zipfile.ZipFile, "read", read)
    with pytest.warns(DataWarning, match=r"1 of 2 .* left out: b\.png\.$"):
        load_data(path, "train", 8)
    assert unpacked == ["a.png"]
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("dataset.json", bytes(1001))
    with pytest.raises(DataError, match=r"dataset\.json in .* cannot be read: it takes more than 1,000 bytes"):
        load_data(path, "train", 8)


def test_images_that_cannot_be_read_are_named_counted_and_left_out(tmp_path: Path) -> None:
    for i in range(20):
        save(tmp_path, f"{'ab'[i // 10]}/{i:02}.png", np.full((8, 8), i, np.uint8))
    whole = (tmp_path / "a" / "03.png").read_bytes()
    (tmp_path / "a" / "03.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "b" / "17.png").write_text("not a picture")
    with pytest.warns(DataWarning, match=r"2 of 20 images in .* left out: a/03\.png, b/17\.png\.$"):
        data = load_data(tmp_path, "train", 8)
    assert data.images[:, 0, 0, 0].tolist() == [i for i in range(20) if i not in (3, 17)]
    assert data.labels.tolist() == [0] * 9 + [1] * 9


def test_images_of_too_many_pixels_count_as_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffusion.images.MAX_PIXELS", 64)
    save(tmp_path, "a.png", noise(0, 8, 8))
    save(tmp_path, "bomb.png", noise(1, 13, 5))
    with pytest.warns(DataWarning, match=r"1 of 2 .*: bomb\.png\.$"):
        assert len(load_data(tmp_path, "train", 8)) == 1


def test_only_some_of_many_bad_images_are_named(tmp_path: Path) -> None:
    save(tmp_path, "a.png", noise(0, 8, 8))
    for i in range(8):
        (tmp_path / f"bad{i}.jpg").write_bytes(b"")
    with pytest.warns(DataWarning, match=r"8 of 9 .* bad4\.jpg and 3 more\.$"):
        assert len(load_data(tmp_path, "train", 8)) == 1
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match="None of the 8 images"):
        load_data(tmp_path, "train", 8)


def test_the_split_is_a_folder_where_there_is_one(tmp_path: Path) -> None:
    for split in ("train", "test"):
        save(tmp_path / "both", f"{split}/cat/1.png", np.full((8, 8), 7 * len(split), np.uint8))
    train, test = (load_data(tmp_path / "both", split, 8) for split in ("train", "test"))
    assert (train.images.unique().tolist(), test.images.unique().tolist()) == ([35], [28])
    assert train.classes == test.classes == ("cat",)
    save(tmp_path / "one", "1.png", noise(0, 8, 8))
    with pytest.raises(DataError, match="has no folder test"):
        load_data(tmp_path / "one", "test", 8)
    for there, asked in (("train", "test"), ("test", "train")):
        save(tmp_path / there, f"{there}/cat/1.png", noise(0, 8, 8))
        for source in (tmp_path / there, zipped(tmp_path / there, tmp_path / f"{there}.zip")):
            assert load_data(source, there, 8).classes == ("cat",)
            with pytest.raises(DataError, match=f"has no folder {asked}"):
                load_data(source, asked, 8)


def test_what_lies_beside_the_splits_counts_for_nothing(tmp_path: Path) -> None:
    for i, name in enumerate(("train/cat/1.png", "test/cat/1.png", "validation/cat/1.png", "overview.png")):
        save(tmp_path / "in", name, np.full((8, 8), i, np.uint8))
    (tmp_path / "in" / "README.md").write_text("How these were made")
    for source in (tmp_path / "in", zipped(tmp_path / "in", tmp_path / "a.zip", "in/")):
        for i, split in enumerate(("train", "test")):
            data = load_data(source, split, 8)
            assert (data.images.unique().tolist(), data.classes) == ([i], ("cat",))


def test_a_label_means_the_same_in_both_splits(tmp_path: Path) -> None:
    for name in ("train/ant/1.png", "train/cat/1.png", "train/dog/1.png", "test/bee/1.png", "test/dog/1.png"):
        save(tmp_path, name, noise(0, 8, 8))
    train, test = (load_data(tmp_path, split, 8) for split in ("train", "test"))
    assert train.classes == test.classes == ("ant", "bee", "cat", "dog")
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 2, 3], [1, 3])


def test_dataset_json_gives_the_labels(tmp_path: Path) -> None:
    for name in ("x/1.png", "x/2.png", "3.png"):
        save(tmp_path, name, noise(0, 8, 8))
    (tmp_path / "dataset.json").write_text('{"labels": [["x/2.png", 0], ["x/1.png", 4], ["3.png", 2]]}')
    assert load_data(tmp_path, "train", 8).labels.tolist() == [2, 4, 0]
    (tmp_path / "dataset.json").write_text('{"labels": null}')
    data = load_data(tmp_path, "train", 8)
    assert (data.labels.tolist(), data.classes) == ([0, 0, 0], ())


def test_each_split_has_a_dataset_json_of_its_own(tmp_path: Path) -> None:
    for label, split in enumerate(("train", "test")):
        save(tmp_path, f"{split}/x/1.png", noise(0, 8, 8))
        (tmp_path / split / "dataset.json").write_text(f'{{"labels": [["x/1.png", {label + 3}]]}}')
    assert [load_data(tmp_path, split, 8).labels.tolist() for split in ("train", "test")] == [[3], [4]]
    (tmp_path / "dataset.json").write_text('{"labels": [["train/x/1.png", 0]]}')
    with pytest.raises(DataError, match=r"dataset\.json beside train and test"):
        load_data(tmp_path, "train", 8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("oops", "is not"),
        ("[]", "is not"),
        ('{"labels": [1]}', "is not"),
        ('{"labels": [["1.png", 0]]}', r"2\.png is not listed\."),
        ('{"labels": []}', r"1\.png is not listed \(and 1 more\)"),
        ('{"labels": [["1.png", 0], ["2.png", 1], ["9.png", 1]]}', r"9\.png is listed, but not there"),
        ('{"labels": [["1.png", 0], ["2.png", -1]]}', r"2\.png has -1"),
        ('{"labels": [["1.png", 0], ["2.png", "cat"]]}', r"2\.png has 'cat'"),
        ('{"labels": [["1.png", true], ["2.png", 1.0]]}', r"1\.png has True \(and 1 more\)"),
        ('{"labels": [["1.png", 0], ["2.png", 1e99]]}', r"2\.png has 1e\+99"),
        ('{"labels": [["1.png", 0], ["2.png", 9999999999999999999]]}', r"2\.png has 9999999999999999999"),
        ('{"labels": [["1.png", 0], ["2.png", 1], ["1.png", 2]]}', r"1\.png is listed more than once\."),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path: Path, content: str, message: str) -> None:
    for name in ("1.png", "2.png"):
        save(tmp_path, name, noise(0, 8, 8))
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(DataError, match=message):
        load_data(tmp_path, "train", 8)


def test_labels_damaged_in_a_zip_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "in", "1.png", noise(0, 8, 8))
    (tmp_path / "in" / "dataset.json").write_text('{"labels": [["1.png", 0]]}')
    path = zipped(tmp_path / "in", tmp_path / "a.zip")
    path.write_bytes(path.read_bytes().replace(b'["1.png", 0]', b'["1.png", 7]'))
    with pytest.raises(DataError, match=r"dataset\.json in .*a\.zip cannot be read: Bad CRC-32"):
        load_data(path, "train", 8)


def test_sources_without_images_are_refused(tmp_path: Path) -> None:
    empty, text, torn = tmp_path / "empty", tmp_path / "a.txt", tmp_path / "torn.zip"
    empty.mkdir()
    text.write_text("")
    torn.write_bytes(b"PK\x03\x04 and nothing more")
    (tmp_path / "unfilled" / "train").mkdir(parents=True)
    (tmp_path / "unfilled" / "train" / "notes.txt").write_text("")
    save(tmp_path / "stray", "1.png", noise(0, 8, 8))
    save(tmp_path / "stray", "cat/1.png", noise(0, 8, 8))
    for source, message in [
        (empty, "has no images"),
        (zipped(empty, tmp_path / "empty.zip"), "has no images"),
        (tmp_path / "unfilled", "has no images in the folder train"),
        (tmp_path / "nowhere", "There is no file or folder"),
        (text, "is neither"),
        (torn, "is not a zip file"),
        (tmp_path / "stray", r"but 1\.png is in none of them"),
    ]:
        with pytest.raises(DataError, match=message):
            load_data(source, "train", 8)


def test_the_bundled_data_have_names() -> None:
    emoji, digits = load_data("emoji", "test", 32, 3), load_data("digits", "test", 32)
    assert len(emoji.classes) == 9 and emoji.classes[0] == "Activities"
    assert emoji[:3].classes == emoji.evenly(5).classes == emoji.without(emoji[:3]).classes == emoji.classes
    assert digits.classes == () and torch.equal(digits.images, load_npz(BUNDLED["digits"], "test", 32).images)
    assert digits.images.shape[1:] == (1, 32, 32)
    with pytest.raises(DataError, match="has images of 3 channels, not 1"):
        load_data("emoji", "train", 32, 1)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"group_test": np.zeros(2, np.int64)}, "group_test must be whole numbers"),
        ({"group_test": np.zeros(3)}, "group_test must be whole numbers"),
        ({"classes": np.array(["a", "b"])}, "names 2 classes, but y_test has 0 to 2"),
        ({"classes": np.array([], dtype=str)}, "names 0 classes"),
        ({"classes": np.arange(3)}, "classes must be names"),
        ({"classes": np.array([["a"], ["b"], ["c"]])}, "classes must be names"),
        ({"classes": np.array("abc")}, "classes must be names"),
    ],
)
def test_groups_and_classes_that_do_not_fit_are_refused(tmp_path: Path, extra: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "a.npz", x_test=noise(0, 3, 8, 8), y_test=np.array([0, 1, 2]), **extra)
    with pytest.raises(DataError, match=message):
        load_npz(path, "test", 8)


CONDITIONED: dict[str, Any] = {
    "images": some(5, 4, 4, 3), "conditions": np.array(["thing", "hand"]), "thing": np.array([0, 2, 1, 0, 1]),
    "hand": np.array([0, 0, 1, 1, 0], np.uint8), "things": np.array(["fox", "pizza", "axe"]),
    "hands": np.array(["left", "right"]), "split": np.array([0, 1, 0, 0, 2]),
    "splits": np.array(["train", "test", "pairs"]), "group": np.array([3, 4, 5, 3, 6]),
}  # fmt: skip


def test_images_with_several_labels_are_read_by_split(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", **CONDITIONED)
    data = load_data(path, "train", 6)
    assert data.images.shape == (3, 3, 6, 6)
    np.testing.assert_array_equal(data.images[1, :, 1:5, 1:5], np.moveaxis(CONDITIONED["images"][2], 2, 0))
    assert data.labels.tolist() == [[0, 0], [1, 1], [0, 1]] and data.labels.dtype == torch.int64
    assert data.groups is not None and data.groups.tolist() == [3, 5, 3] and data.classes == ()
    assert data.conditions == {"thing": ("fox", "pizza", "axe"), "hand": ("left", "right")}
    assert [load_npz(path, split, 4).labels.tolist() for split in ("test", "pairs")] == [[[2, 0]], [[1, 0]]]
    assert data[1:].conditions == data.conditions


@pytest.mark.parametrize(
    ("change", "split", "message"),
    [
        ({"hands": None, "split": None}, "train", "names conditions, but has no split, hands"),
        ({}, "validation", "no images for 'validation', only for train, test, pairs"),
        ({"thing": np.array([0, 2, 3, 0, 1])}, "train", "labels that have no name"),
        ({"split": np.ones(5, int)}, "train", "has no images for 'train'"),
        ({"images": some(5, 9, 9, 3)}, "train", "larger than the network's 4"),
    ],
)
def test_conditions_that_do_not_fit_are_refused(
    tmp_path: Path, change: dict[str, Any], split: str, message: str
) -> None:
    arrays = {name: value for name, value in (CONDITIONED | change).items() if value is not None}
    with pytest.raises(DataError, match=message):
        load_npz(write(tmp_path / "a.npz", **arrays), split, 4)
