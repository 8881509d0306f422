"""Files that are whole or not there at all, and files that may come from anywhere.

A machine that is lost in the middle of writing leaves half a file, and an .npz can say that it holds more than a
machine has: what is written here is written beside and renamed, and what is read is held against a bound first.
"""

from __future__ import annotations

import lzma
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

# The data that come with the project; the README.md beside each says from where.
ASSETS = Path(__file__).parent.parent / "assets"
# What the readers of zipfile and numpy raise on bytes that are not what they say.
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, RuntimeError, OverflowError, struct.error, zlib.error,
              lzma.LZMAError, zipfile.BadZipFile)  # fmt: skip
MOST_BYTES = 2**36  # of an array of a data set


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


def write_atomically(path: Path, data: bytes) -> None:
    """Write beside and rename, so that a full disk or a lost machine leaves the file that was there."""
    write_together({path: data})


def write_together(files: dict[Path, bytes]) -> None:
    """Write several files that belong together, atomically each; none is replaced unless there is room for all."""
    beside = {path: path.with_name(f".{path.name}.part") for path in files}
    try:
        for path, data in files.items():
            with beside[path].open("wb") as file:
                file.write(data)
                file.flush()
                # Without it the rename may reach the disk before the content.
                os.fsync(file.fileno())
        for path, part in beside.items():
            os.replace(part, path)
    finally:
        for part in beside.values():
            part.unlink(missing_ok=True)
