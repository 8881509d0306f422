"""Data sets come as an .npz, as folders or zips of images with a folder a class, or with the project itself.

``load_data`` reads all of them as one ``ImageSet``, and warns of what it had to leave out.
"""

from __future__ import annotations

import json
import posixpath
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from diffusion.data.points import patterns
from diffusion.data.sets import MOST_CLASSES, DataError, ImageSet, load_npz
from diffusion.files import ASSETS, UNREADABLE
from diffusion.images import MOST_BYTES, SUFFIXES, middle_square, read_picture

# Called as the networks that learned from such images; of all but the emoji only held-out ones are bundled.
BUNDLED = {
    "digits": ASSETS / "digits" / "digits.npz",
    "emoji": ASSETS / "emoji" / "emoji.npz",
    "emoji-sets": ASSETS / "emoji" / "sets.npz",
}
SPLITS = ("train", "test")
PLANE, PATTERN_POINTS = "plane:", 5000
LABELS = "dataset.json"
ASIDE = {"__MACOSX", "Thumbs.db", "desktop.ini"}  # what systems put beside pictures
WORDS = {".txt", ".md", ".json", ".jsonl", ".csv", ".xml", ".html"}  # about pictures, and not expected to be read
DRIVE = re.compile(r"^[A-Za-z]:")
READ_SIDE = 1024  # pictures that are larger are made so large first


class DataWarning(UserWarning):
    """Some of the data cannot be used; the rest can."""


def split_of_examples(source: str | Path) -> str:
    """The split of a data set that an exact denoiser is made of: all there is to learn from, where there is any."""
    return "test" if str(source) in BUNDLED and str(source) != "emoji" else "train"


def load_data(source: str | Path, split: str, image_size: int, channels: int | None = None) -> ImageSet:
    """Images from any of the places they may be in.

    Args:
        source: a name of ``BUNDLED``, which come with the project; "plane:NAME", points of a pattern, (N, 2, 1, 1)
            float32, of no other size; an .npz (see ``load_npz``); or a folder or .zip of
            images. There the labels are those in ``dataset.json`` ({"labels": [[path, label], ...]}, or null) if there
            is one; else the folders at the top are the classes, by name; else there are none. If there is a folder
            ``train`` or ``test`` at the top, the split chooses between these two first, and nothing else at the top
            counts. Images are cropped to the square in their middle and resized with Lanczos; transparency is laid
            over white.
        split: "train" or "test", or another one that an .npz of several conditions has; images without a folder
            ``test`` are all for training.
        image_size: side of the images, in pixels.
        channels: 1 for grey, 3 for RGB; None for grey if all images are. An .npz must have them as they are.

    Raises:
        DataError: nothing there, no such split, no images that can be read, labels or channels that do not fit.

    Warns:
        DataWarning: images that cannot be read, and files of other kinds, which are left out.
    """
    if not str(source):  # which would be the folder one is in
        raise DataError("Data are named by a file or folder, and not by nothing.")
    if str(source).startswith(PLANE):
        return _pattern(str(source).removeprefix(PLANE), split)
    path = BUNDLED.get(str(source), Path(source))
    if path.suffix.lower() == ".npz":
        data = load_npz(path, split, image_size)
        if channels not in (None, data.images.shape[1]):
            raise DataError(f"{path} has images of {data.images.shape[1]} channels, not {channels}.")
        return data
    if path.is_dir():
        sizes = {file.relative_to(path).as_posix(): file.stat().st_size for file in path.rglob("*") if file.is_file()}
        return _load_files(path, sizes, lambda name: (path / name).read_bytes(), split, image_size, channels)
    if not path.is_file():
        raise DataError(f"There is no file or folder {path}.")
    if path.suffix.lower() != ".zip":
        raise DataError(f"{path} is neither an .npz, nor a .zip or folder of images.")
    try:
        archive = zipfile.ZipFile(path)
    except UNREADABLE as error:
        raise DataError(f"{path} is not a zip file that can be read: {error}.") from error
    with archive:
        entries = _entries(archive)
        sizes = {name: entry.file_size for name, entry in entries.items()}
        return _load_files(path, sizes, lambda name: archive.read(entries[name]), split, image_size, channels)


def _pattern(name: str, split: str) -> ImageSet:
    """Points of a pattern; others for each split."""
    there = patterns()
    if name not in there:
        raise DataError(f"There is no pattern {PLANE}{name}; there are {', '.join(PLANE + each for each in there)}.")
    points, labels = there[name].draw(PATTERN_POINTS, SPLITS.index(split) if split in SPLITS else len(SPLITS))
    labels = torch.zeros(len(points), dtype=torch.int64) if labels is None else labels
    return ImageSet(points, labels, classes=there[name].names)


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The files in a zip by the names they would have below one folder, with / between the parts, wherever they were
    packed: nothing is ever written under these names.

    Where all are absolute, what the names begin with in common says nothing.
    """
    given = {entry.filename: entry for entry in archive.infolist() if entry.filename[-1:] not in ("/", "\\")}
    absolute = all(name[:1] in ("/", "\\") or DRIVE.match(name) for name in given)
    names = {name: posixpath.normpath("/" + DRIVE.sub("", name).replace("\\", "/").lstrip("/")) for name in given}
    start = posixpath.commonpath(map(posixpath.dirname, names.values())) if absolute and names else "/"
    entries: dict[str, zipfile.ZipInfo] = {}
    for name, entry in given.items():
        plain = posixpath.relpath(names[name], start)
        stem, suffix = posixpath.splitext(plain)
        while plain in entries:  # two files that were told apart by where they are
            stem += "_"
            plain = stem + suffix
        entries[plain] = entry
    return entries


def _load_files(source: Path, sizes: Mapping[str, int], read_file: Callable[[str], bytes], split: str, image_size: int,
                channels: int | None) -> ImageSet:  # fmt: skip
    """The images of a split among the files of a folder or zip, whose sizes in bytes are given, in the order of their
    names.
    """
    if channels not in (None, 1, 3):
        raise DataError(f"Images of {source} can have 1 channel or 3, not {channels}.")
    names = set(sizes)
    root, files, every, unknown = _find_split(source, {name for name in names if not _hidden(name)}, split)
    if unknown:
        kinds = sorted({PurePosixPath(name).suffix.lower() or "no suffix" for name in unknown})
        more = f" and {len(kinds) - 5} more" if len(kinds) > 5 else ""
        warnings.warn(f"{len(unknown)} file{'s' if len(unknown) > 1 else ''} in {source} of kinds that are not read "
                      f"({', '.join(kinds[:5])}{more}) left out.", DataWarning, stacklevel=3)  # fmt: skip

    def read(name: str) -> bytes:
        if sizes[name] > MOST_BYTES:  # as it says itself, before anything is unpacked
            raise ValueError(f"it takes more than {MOST_BYTES:,} bytes")
        return read_file(name)

    classes: tuple[str, ...] = ()
    if root + LABELS in names:
        try:
            content = read(root + LABELS)
        except UNREADABLE as error:
            raise DataError(f"{LABELS} in {source} cannot be read: {str(error) or 'it ends too soon'}.") from error
        labels = _read_labels(source, content, files)
    else:
        labels, classes = _labels_of_folders(source, files, every)

    def decode(name: str) -> NDArray[np.uint8] | None:
        try:
            return _square(read(root + name), image_size)
        except UNREADABLE:
            return None

    # Decoding leaves the interpreter's lock, so threads help; map keeps the order.
    with ThreadPoolExecutor() as pool:
        decoded = list(tqdm(pool.map(decode, files), total=len(files), unit=" images", disable=len(files) < 500))
    bad = [name for name, image in zip(files, decoded, strict=True) if image is None]
    if len(bad) == len(files):
        raise DataError(f"None of the {len(files)} images in {source} can be read.")
    if bad:
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        names_of_bad = ", ".join(bad[:5])
        warnings.warn(f"{len(bad)} of {len(files)} images in {source} cannot be read and are left out: "
                      f"{names_of_bad}{more}.", DataWarning, stacklevel=3)  # fmt: skip
    kept = [image for image in decoded if image is not None]
    if channels is None:
        channels = 1 if all(image.shape[-1] == 1 for image in kept) else 3
    arrays = np.empty((len(kept), channels, image_size, image_size), np.uint8)
    for place, image in zip(arrays, kept, strict=True):
        place[:] = _with_channels(image, channels).transpose(2, 0, 1)
    chosen = [label for label, image in zip(labels, decoded, strict=True) if image is not None]
    return ImageSet(torch.from_numpy(arrays), torch.tensor(chosen), classes=classes)


def _find_split(source: Path, names: set[str], split: str) -> tuple[str, list[str], list[str], list[str]]:
    """Where a split is: the start of its files' names, the rest of its images' names, and of those of all splits; and
    the files in it of a kind that is not read.
    """
    folders = set(map(_folder, names))
    root = ""
    if source.suffix.lower() == ".zip" and len(folders) == 1 and not folders & {"", *SPLITS}:
        root = f"{folders.pop()}/"  # a folder that was zipped as a whole
        names = {name.removeprefix(root) for name in names}
        folders = set(map(_folder, names))
    images = sorted(name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES)
    found = [name for name in SPLITS if name in folders]
    if not found and split == "test":
        raise DataError(f"{source} has no folder test: what was trained on would say little about a network.")
    if found and split not in found:
        raise DataError(f"{source} has no folder {split}.")
    if found and LABELS in names:
        raise DataError(f"{source} has {LABELS} beside {' and '.join(found)}; it belongs inside.")
    inside = {name: [image.removeprefix(f"{name}/") for image in images if _folder(image) == name] for name in found}
    files = inside.get(split, images)
    if not files:
        where = f"in the folder {split}" if found else "in it"
        raise DataError(f"{source} has no images {where} ({', '.join(sorted(SUFFIXES))}).")
    here = {name for name in names if not found or _folder(name) == split}
    unknown = [name for name in here - set(images) if PurePosixPath(name).suffix.lower() not in WORDS]
    return (f"{root}{split}/", files, [*chain(*inside.values())], unknown) if found else (root, files, files, unknown)


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part in ASIDE for part in PurePosixPath(name).parts)


def _folder(name: str) -> str:
    """The folder at the top that a file is in, "" if it is in none."""
    parts = PurePosixPath(name).parts
    return parts[0] if len(parts) > 1 else ""


def _read_labels(source: Path, content: bytes, files: list[str]) -> list[int]:
    """The label of each file, from the format of the data set tools of StyleGAN and EDM."""
    try:
        listed = json.loads(content)["labels"]
        # A path may have been written on Windows.
        pairs: list[tuple[Any, Any]] = [(name.replace("\\", "/"), label) for name, label in listed or ()]
        found = dict(pairs)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f'{LABELS} in {source} is not {{"labels": [[path, label], ...]}}.') from error
    if listed is None:
        return [0] * len(files)
    there = set(files)
    for problems in (
        [f"{name} has {label!r}" for name, label in pairs if type(label) is not int or not 0 <= label < MOST_CLASSES],
        [f"{name} is listed, but not there" for name in found if name not in there],
        [f"{name} is listed more than once" for name, times in Counter(name for name, _ in pairs).items() if times > 1],
        [f"{name} is not listed" for name in files if name not in found],
    ):
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise DataError(f"{LABELS} in {source} does not fit the images: {problems[0]}{more}.")
    return [found[name] for name in files]


def _labels_of_folders(source: Path, files: list[str], every: list[str]) -> tuple[list[int], tuple[str, ...]]:
    """The class of each of ``files`` by the folder at the top that it is in, and the names of the classes.

    Those are the folders of ``every`` split, so that a class that is missing from one moves no label in it.
    """
    folders = [_folder(name) for name in files]
    if not any(folders):
        return [0] * len(files), ()
    if "" in folders:
        more = f" (and {folders.count('') - 1} more)" if folders.count("") > 1 else ""
        raise DataError(f"{source} has folders of classes, but {files[folders.index('')]}{more} is in none of them.")
    classes = sorted(set(map(_folder, every)) - {""})
    number = {name: i for i, name in enumerate(classes)}
    return [number[folder] for folder in folders], tuple(classes)


def _square(content: bytes, side: int) -> NDArray[np.uint8]:
    """The square in the middle of a picture, (side, side, 1 or 3), grey or RGB as it is stored."""
    image = middle_square(read_picture(content, max(READ_SIDE, 4 * side)).image)
    return np.asarray(image.resize((side, side), Image.Resampling.LANCZOS)).reshape(side, side, -1)


def _with_channels(image: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """(H, W, 1 or 3) as (H, W, channels), where channels are 1 or 3 too."""
    if image.shape[-1] == channels:
        return image
    if channels == 3:
        return image.repeat(3, axis=2)
    return np.asarray(Image.fromarray(image).convert("L"))[..., None]
