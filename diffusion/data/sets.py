"""Training and measuring need images of one size, with what is known of each: a class, and what it is a variation of.

An ``ImageSet`` holds that as uint8 tensors; ``load_npz`` reads it from an .npz.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from diffusion.files import UNREADABLE, read_arrays
from diffusion.images import to_unit

MOST_CLASSES = 100_000


class DataError(ValueError):
    """A data file that cannot be used, said in one sentence."""


@dataclass(frozen=True)
class ImageSet:
    """images (N, C, H, W) uint8, or float32 as a network sees them; labels (N,) int64, or (N, conditions) where each
    image has several.

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

    def unit(self) -> Tensor:
        """The images as a network sees them, float32, pixels in [-1, 1]."""
        return self.images if self.images.is_floating_point() else to_unit(self.images)

    def __getitem__(self, index: Tensor | slice) -> ImageSet:
        groups = None if self.groups is None else self.groups[index]
        return replace(self, images=self.images[index], labels=self.labels[index], groups=groups)

    def evenly(self, count: int) -> ImageSet:
        """``count`` of the images at an even stride (data sets are often sorted by class); all if there are fewer."""
        at = torch.linspace(0, len(self) - 1, min(count, len(self)), dtype=torch.float64)
        return self[at.round().long()]

    def without(self, held_out: ImageSet) -> ImageSet:
        """What is left when every image that equals one of ``held_out``, pixel for pixel, is taken out."""
        unwanted = {image.numpy().tobytes() for image in held_out.images}
        keep = [i for i, image in enumerate(self.images) if image.numpy().tobytes() not in unwanted]
        return self[torch.tensor(keep, dtype=torch.int64)]

    def labelled(self, labels: Tensor | None) -> ImageSet:
        """The same images with other labels; None leaves theirs."""
        return self if labels is None else replace(self, labels=labels)

    def follows(self) -> dict[str, list[int]]:
        """Which of several conditions follow from the first, as the kind from the concept, and the value that goes with
        each of its values up to the largest; none where a value between has no image.
        """
        if not self.conditions:
            return {}
        first, found = self.labels[:, 0], {}
        count = len(first.unique())
        for k, name in enumerate(self.conditions):
            both = self.labels[:, [0, k]].unique(dim=0)  # in order
            if k > 0 and len(both) == count == int(first.max()) + 1:
                found[name] = both[:, 1].tolist()
        return found

    def of_condition(self, name: str) -> ImageSet:
        """The same images with one of their several labels alone, (N,), as if it were their class.

        Raises:
            DataError: no condition of that name.
        """
        if name not in self.conditions:
            known = f"only {', '.join(self.conditions)}" if self.conditions else "but a class at most"
            raise DataError(f"The images have no condition {name!r}, {known}.")
        labels = self.labels[:, list(self.conditions).index(name)]
        return replace(self, labels=labels, classes=self.conditions[name], conditions={})


def joined(parts: Sequence[ImageSet]) -> ImageSet:
    """The images of several splits of the same data, one after the other."""
    groups = [part.groups for part in parts if part.groups is not None]
    return replace(
        parts[0], images=torch.cat([part.images for part in parts]), labels=torch.cat([part.labels for part in parts]),
        groups=torch.cat(groups) if len(groups) == len(parts) else None,
    )  # fmt: skip


def load_npz(path: Path, split: str, image_size: int) -> ImageSet:
    """Images x_{split} and labels y_{split}, or, all for training, images and labels or arr_0 and arr_1 (as ``sample``
    and as guided-diffusion write them), padded evenly with zeros to image_size.

    Images are uint8, or floats in 0 ... 1 or -1 ... 1; (N, H, W), (N, H, W, C) or (N, C, H, W) with C 1 or 3. Labels
    are whole numbers, (N,) or (N, 1), and 0 where there are none. There may also be group_{split} (N,) and classes
    (K,), the names of labels 0 ... K - 1. Or it is a file of several conditions, see ``_conditioned``.

    Raises:
        DataError: missing or damaged file, missing arrays, wrong type or length, labels that are not among the
            classes, or images larger than image_size.
    """
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    try:
        with path.open("rb") as opened:
            if opened.read(6) == b"\x93NUMPY":
                raise DataError(f"{path} is a single array, an .npy by another name; np.savez writes an .npz.")
            with zipfile.ZipFile(opened) as archive:
                there = [name.removesuffix(".npy") for name in archive.namelist()]
            if "conditions" in there:
                return _conditioned(path, read_arrays(opened, there), split, image_size)
            names = _layout(path, there, split)
            arrays = read_arrays(opened, (*names, f"group_{split}", "classes"))
    except (*UNREADABLE, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is not an .npz file that can be read: {error}.") from error
    images = _as_bytes(path, names[0], _channels_last(path, names[0], arrays[names[0]]))
    labels, groups, classes = (arrays.get(name) for name in (names[1], f"group_{split}", "classes"))
    if labels is None or (labels.shape == (0,) and names[1] == "labels"):  # as ``sample`` writes them if it knows none
        labels = np.zeros(len(images), np.int64)
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(f"{path}: {names[1]} must be whole numbers of shape (N,).")
    if len(images) != len(labels) or len(images) == 0:
        raise DataError(f"{path} has {len(images)} images but {len(labels)} labels in {split}.")
    if not 0 <= int(labels.min()) <= int(labels.max()) < MOST_CLASSES:
        raise DataError(f"{path}: {names[1]} has {labels.min()} to {labels.max()}, but classes are numbered from 0 and "
                        f"below {MOST_CLASSES:,}.")  # fmt: skip
    if groups is not None and (groups.shape != labels.shape or groups.dtype.kind not in "iu"):
        raise DataError(f"{path}: group_{split} must be whole numbers of shape (N,), one for each image.")
    if classes is not None and (classes.ndim != 1 or classes.dtype.kind != "U"):
        raise DataError(f"{path}: classes must be names of shape (K,).")
    if classes is not None and int(labels.max()) >= len(classes):
        raise DataError(f"{path} names {len(classes)} classes, but {names[1]} has {labels.min()} to {labels.max()}.")
    return ImageSet(_padded(path, images, image_size), torch.from_numpy(labels.astype(np.int64)),
                    None if groups is None else torch.from_numpy(groups.astype(np.int64)),
                    () if classes is None else tuple(map(str, classes)))  # fmt: skip


def _padded(path: Path, images: NDArray[np.uint8], image_size: int) -> Tensor:
    """Images (N, H, W, C) as (N, C, image_size, image_size), zeros evenly around them."""
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
    images = _as_bytes(path, "images", _channels_last(path, "images", arrays["images"])[chosen])
    return ImageSet(_padded(path, images, image_size), torch.from_numpy(labels), groups, conditions=names)


def _layout(path: Path, there: Sequence[str], split: str) -> tuple[str, str]:
    """The names of images and labels in an .npz that has arrays of the names ``there``.

    Raises:
        DataError: neither of the layouts, or parts of two.
    """
    splits = [(f"x_{name}", f"y_{name}") for name in ("train", "test")]
    usual = (f"x_{split}", f"y_{split}")
    if usual[0] in there:
        return usual
    if not set(chain(*splits)) & set(there):
        for names in (("images", "labels"), ("arr_0", "arr_1")):
            if names[0] in there and split == "train":
                return names
            if names[0] in there:
                raise DataError(f"{path} has {names[0]}, all for training, but no images to test with: {usual[0]} and "
                                f"{usual[1]}.")  # fmt: skip
    raise DataError(f"{path} has {', '.join(there) or 'no arrays'}, but {usual[0]} and {usual[1]} are needed"
                    f"{', or images and labels, or arr_0 and arr_1' if split == 'train' else ''}.")  # fmt: skip


def _channels_last(path: Path, name: str, images: NDArray[Any]) -> NDArray[Any]:
    """Images (N, H, W), (N, H, W, C) or (N, C, H, W) as (N, H, W, C), C 1 or 3; what can be the third is the second.

    Raises:
        DataError: none of these.
    """
    if images.ndim == 3:
        images = images[..., None]
    elif images.ndim == 4 and images.shape[3] not in (1, 3) and images.shape[1] in (1, 3):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape[1:]:
        raise DataError(f"{path}: {name} must be uint8 of shape (N, H, W), (N, H, W, C) or (N, C, H, W), C 1 or 3, not "
                        f"of shape {images.shape}.")  # fmt: skip
    return images


def _as_bytes(path: Path, name: str, images: NDArray[Any]) -> NDArray[np.uint8]:
    """Images as uint8; floats of 0 ... 1 or, where any is negative, of -1 ... 1 become 0 ... 255.

    Raises:
        DataError: of another type, or floats beyond these.
    """
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind == "f" and images.size:
        low, high = float(images.min()), float(images.max())
        if -1 <= low <= high <= 1:  # false for nan
            scale, shift = (127.5, 127.5) if low < 0 else (255.0, 0.0)
            return np.stack([np.rint(image * scale + shift).astype(np.uint8) for image in images])
    raise DataError(f"{path}: {name} must be uint8, or floats within 0 ... 1 or -1 ... 1.")
