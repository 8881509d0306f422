"""Data sets for training and measuring: images as uint8 tensors, with a class each."""

from __future__ import annotations

import lzma
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

# What the readers of zipfile and numpy raise on bytes that are not what they say.
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, RuntimeError, OverflowError, struct.error, zlib.error,
              lzma.LZMAError, zipfile.BadZipFile)  # fmt: skip
MOST_BYTES = 2**36  # of an array of a data set


class DataError(ValueError):
    """A data file that cannot be used, said in one sentence."""


@dataclass(frozen=True)
class ImageSet:
    """images (N, C, H, W) uint8, labels (N,) int64.

    ``groups`` (N,) int64, where there are any, says which images are variations of one thing (an emoji in several skin
    tones): training draws every group equally often, so that one with many variations does not crowd out the others.
    ``classes`` are the names of labels 0, 1, ..., where they are known.
    """

    images: Tensor
    labels: Tensor
    groups: Tensor | None = None
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Tensor | slice) -> ImageSet:
        groups = None if self.groups is None else self.groups[index]
        return replace(self, images=self.images[index], labels=self.labels[index], groups=groups)

    def spread(self, count: int) -> ImageSet:
        """``count`` of the images at an even stride (data sets are often sorted by class); all if there are fewer."""
        at = torch.linspace(0, len(self) - 1, min(count, len(self)), dtype=torch.float64)
        return self[at.round().long()]

    def without(self, held_out: ImageSet) -> ImageSet:
        """What is left when every image that equals one of ``held_out``, pixel for pixel, is taken out."""
        unwanted = {image.numpy().tobytes() for image in held_out.images}
        keep = [i for i, image in enumerate(self.images) if image.numpy().tobytes() not in unwanted]
        return self[torch.tensor(keep, dtype=torch.int64)]


def read_arrays(opened: BinaryIO, names: Sequence[str], limit: int = MOST_BYTES) -> dict[str, NDArray[Any]]:
    """Those of the named arrays that an .npz has, each of at most ``limit`` bytes, which is seen to before any is read.

    Raises:
        ValueError: no .npz, an array of objects or of too many bytes, or not of as many as it says.
        UNREADABLE: whatever else its readers raise.
    """
    with zipfile.ZipFile(opened) as archive:
        entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
        found = {name: entries[name] for name in names if name in entries}
        for name, entry in found.items():
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{name} is compressed in a way that NumPy does not write")
            with archive.open(entry) as file:
                version = np.lib.format.read_magic(file)
                if version not in _READ_HEADER:
                    raise ValueError(f"{name} is an array of an unknown version")
                shape, _, dtype = _READ_HEADER[version](file)
                size = file.tell() + math.prod(shape) * dtype.itemsize
            if dtype.hasobject or not all(0 <= side <= limit for side in shape):
                raise ValueError(f"{name} is not an array of numbers or text")
            if size != entry.file_size:
                raise ValueError(f"{name} is not as large as it says")
            if size > limit:
                raise ValueError(f"{name} takes {size:,} bytes, more than the {limit:,} that are read")
        arrays = {}
        for name, entry in found.items():
            with archive.open(entry) as file:
                arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
        return arrays


# NumPy writes the first unless a header is long.
_READ_HEADER: dict[tuple[int, int], Callable[[Any], Any]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def load_npz(path: Path, split: str, image_size: int) -> ImageSet:
    """Arrays x_{split} (N, H, W) or (N, H, W, C) uint8 and y_{split} (N,), padded evenly with zeros to image_size.

    It may also have group_{split} (N,) and classes (K,), the names of labels 0 ... K - 1.

    Raises:
        DataError: missing or damaged file, missing arrays, wrong type or length, labels that are not among the
            classes, or images larger than image_size.
    """
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    names = (f"x_{split}", f"y_{split}")
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            found, arrays = file.files, [file[name] for name in names if name in file]
            groups = file.get(f"group_{split}")
            classes = file.get("classes")
    except (*UNREADABLE, TypeError) as error:
        raise DataError(f"{path} is not an .npz file that can be read: {error}.") from error
    if len(arrays) < len(names):
        raise DataError(f"{path} has {', '.join(found)}, but {' and '.join(names)} are needed.")
    images, labels = arrays
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise DataError(f"{path}: {names[0]} must be uint8 of shape (N, H, W) or (N, H, W, C).")
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(f"{path}: {names[1]} must be whole numbers of shape (N,).")
    if len(images) != len(labels) or len(images) == 0:
        raise DataError(f"{path} has {len(images)} images but {len(labels)} labels in {split}.")
    if groups is not None and (groups.shape != labels.shape or groups.dtype.kind not in "iu"):
        raise DataError(f"{path}: group_{split} must be whole numbers of shape (N,), one for each image.")
    if classes is not None and (classes.ndim != 1 or classes.dtype.kind != "U"):
        raise DataError(f"{path}: classes must be names of shape (K,).")
    if classes is not None and not 0 <= int(labels.min()) <= int(labels.max()) < len(classes):
        raise DataError(f"{path} names {len(classes)} classes, but {names[1]} has {labels.min()} to {labels.max()}.")
    images = images[..., None] if images.ndim == 3 else images
    height, width = images.shape[1:3]
    if max(height, width) > image_size:
        raise DataError(f"{path} has images of {width} x {height}, larger than the network's {image_size}.")
    dx, dy = image_size - width, image_size - height
    tensor = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    padded = F.pad(tensor, (dx // 2, dx - dx // 2, dy // 2, dy - dy // 2))
    return ImageSet(padded, torch.from_numpy(labels.astype(np.int64)),
                    None if groups is None else torch.from_numpy(groups.astype(np.int64)),
                    () if classes is None else tuple(map(str, classes)))  # fmt: skip
