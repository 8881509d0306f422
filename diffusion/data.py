"""Data sets for training and measuring: images as uint8 tensors, with a class each."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

# What the readers of zipfile and numpy raise on bytes that are not what they say.
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, RuntimeError, struct.error, zlib.error, lzma.LZMAError,
              zipfile.BadZipFile)  # fmt: skip


class DataError(ValueError):
    """A data file that cannot be used, said in one sentence."""


@dataclass(frozen=True)
class ImageSet:
    """images (N, C, H, W) uint8, labels (N,) int64, or (N, conditions) where each image has several.

    ``groups`` (N,) int64, where there are any, says which images are variations of one thing (an emoji in several skin
    tones): training draws every group equally often, so that one with many variations does not crowd out the others.
    ``classes`` are the names of labels 0, 1, ..., where they are known; ``conditions``, where there are several, their
    names, and the names of the values of each.
    """

    images: Tensor
    labels: Tensor
    groups: Tensor | None = None
    classes: tuple[str, ...] = ()
    conditions: dict[str, tuple[str, ...]] = field(default_factory=dict)

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


def load_npz(path: Path, split: str, image_size: int) -> ImageSet:
    """Arrays x_{split} (N, H, W) or (N, H, W, C) uint8 and y_{split} (N,), padded evenly with zeros to image_size.

    It may also have group_{split} (N,) and classes (K,), the names of labels 0 ... K - 1. Or it is a file of several
    conditions, see ``_conditioned``.

    Raises:
        DataError: missing or damaged file, missing arrays, wrong type or length, labels that are not among the
            classes, or images larger than image_size.
    """
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    names = (f"x_{split}", f"y_{split}")
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            if "conditions" in file:
                return _conditioned(path, dict(file), split, image_size)
            found, arrays = file.files, [file[name] for name in names if name in file]
            groups = file.get(f"group_{split}")
            classes = file.get("classes")
    except DataError:
        raise
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
    return ImageSet(_padded(path, images, image_size), torch.from_numpy(labels.astype(np.int64)),
                    None if groups is None else torch.from_numpy(groups.astype(np.int64)),
                    () if classes is None else tuple(map(str, classes)))  # fmt: skip


def _padded(path: Path, images: NDArray[np.uint8], image_size: int) -> Tensor:
    images = images[..., None] if images.ndim == 3 else images
    height, width = images.shape[1:3]
    if max(height, width) > image_size:
        raise DataError(f"{path} has images of {width} x {height}, larger than the network's {image_size}.")
    dx, dy = image_size - width, image_size - height
    tensor = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    return F.pad(tensor, (dx // 2, dx - dx // 2, dy // 2, dy - dy // 2))


def _conditioned(path: Path, arrays: dict[str, NDArray[Any]], split: str, image_size: int) -> ImageSet:
    """Images that each have several labels.

    The arrays are images (N, H, W, C) uint8; conditions (K,), the names of the conditions; for each condition, by its
    name, its value for each image (N,), and by that name and "s" the names of its values; split (N,), which counts in
    splits, their names; and there may be group (N,), as in ``ImageSet``.
    """
    wanted = ["images", "split", "splits", *(f"{c}{end}" for c in map(str, arrays["conditions"]) for end in ("", "s"))]
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise DataError(f"{path} names conditions, but has no {', '.join(missing)}.")
    splits = list(map(str, arrays["splits"]))
    if split not in splits:
        raise DataError(f"{path} has no images for {split!r}, only for {', '.join(splits)}.")
    chosen = arrays["split"] == splits.index(split)
    names = {str(c): tuple(map(str, arrays[f"{c}s"])) for c in arrays["conditions"]}
    labels = np.stack([arrays[name][chosen] for name in names], axis=1).astype(np.int64)
    groups = torch.from_numpy(arrays["group"][chosen].astype(np.int64)) if "group" in arrays else None
    if not len(labels) or (labels < 0).any() or (labels >= [len(values) for values in names.values()]).any():
        raise DataError(f"{path} has no images for {split!r}, or labels that have no name.")
    images = _padded(path, arrays["images"][chosen], image_size)
    return ImageSet(images, torch.from_numpy(labels), groups, conditions=names)
