"""Pictures in and out: the only place that touches uploaded bytes."""

from __future__ import annotations

import io
import math
import re
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFile
from torch import Tensor

MAX_PIXELS = 50_000_000
# Of formats that Pillow decodes in Python, and of JPEG 2000, of which it can decode a part: a second or two.
MAX_SLOW_PIXELS = 2_000_000
MAX_SIDE = 30_000
MIN_SIDE = 2
ICON_SIDE = 1024
# Where the headers of PNG, of JP2 and of a bare JPEG 2000 stream say how large they are.
SIZES = rb"\x89PNG\r\n\x1a\n.{4}IHDR(.{8})|ihdr(.{8})|\xff\x4f\xff\x51.{4}(.{8})"
# As Pillow calls them, and the suffixes that they go by; others are not opened, whatever a file is called.
FORMATS: dict[str, tuple[str, ...]] = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "DIB": (".dib",),
    "AVIF": (".avif", ".avifs"),
    "TIFF": (".tif", ".tiff"),
    "JPEG2000": (".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".jpc"),
    "ICO": (".ico",),
    "ICNS": (".icns",),
    "TGA": (".tga", ".icb", ".vda", ".vst"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "PSD": (".psd",),
    "DDS": (".dds",),
    "PCX": (".pcx",),
    "QOI": (".qoi",),
    "SGI": (".sgi", ".rgb", ".rgba", ".bw"),
}
PHOTOS = {".heic", ".heif", ".hif"}  # of phones; not one of Pillow's own
SUFFIXES = {suffix for suffixes in FORMATS.values() for suffix in suffixes} | PHOTOS
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
# What an EXIF orientation says is to be done, as in PIL.ImageOps.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
DEPTHS = (8, 10, 12, 14, 16, 24, 32)  # bits that pictures are stored with


class ImageError(ValueError):
    """A picture that cannot be used, said in one sentence for the person who chose it."""


@dataclass(frozen=True)
class Picture:
    """A picture that was opened.

    Args:
        image: "L" if it is grey, else "RGB".
        format: of the file, as Pillow calls it; "HEIF" for photos of phones.
        note: what was done to values that are not 8 bits, in a sentence; "" where nothing was.
    """

    image: Image.Image
    format: str
    note: str


def open_image(source: str | Path | bytes, side: int = 256) -> Image.Image:
    """Open a picture as RGB, its longer side at most ``side`` pixels; see ``read_picture``.

    Raises:
        ImageError: as ``read_picture``.
    """
    return read_picture(source, side).image.convert("RGB")


def read_picture(source: str | Path | bytes, side: int) -> Picture:
    """Open a picture, grey or RGB as it is stored, its longer side at most ``side`` pixels.

    Turned as its EXIF says; transparency laid over white; palette, CMYK and values of more than 8 bits converted; the
    first frame of an animation. Size is read from the header and refused before any pixel is decoded. Formats are those
    in ``FORMATS``, and HEIF.

    Raises:
        ImageError: no such file, no picture, a damaged one, one smaller than 2 x 2, larger than 50 megapixels (less in
            formats that take long to decode) or longer than 30,000 pixels, or one without values.
    """
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
    except FileNotFoundError as error:
        raise ImageError(f"There is no file {Path(str(source)).name}.") from error
    except (OSError, ValueError) as error:
        raise ImageError(f"{Path(str(source)).name} is not a file that can be read.") from error
    with _opened(data) as image, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")  # what is not as it should be, and read all the same
        _check_size(image, len(data))
        format = image.format or ""
        try:
            image.draft("RGB", (2 * side, 2 * side))  # lets a JPEG decode at a fraction of its size
            image.load()
            turn = TURNS.get(image.getexif().get(0x0112, 1))
            small, note = _scaled(image, side)
            small = _grey_or_rgb(small)
        except ImageError:
            raise
        except Exception as error:  # bytes that are not what they say: decoders stumble over them in every way
            raise ImageError("This picture is damaged or cut off; choose another file.") from error
    return Picture(small if turn is None else small.transpose(turn), format, note)


def _opened(data: bytes) -> Image.Image:
    """The header of a picture."""
    too_large = "This picture has more than 50 megapixels; choose a smaller one."
    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 megapixels on; our own, lower limit refuses those below.
            warnings.simplefilter("ignore")
            if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS:
                return _opened_heif(data)
            if any(max(size) > ICON_SIDE for size in _sizes_in_icons(data)):
                raise ImageError(f"This icon holds a picture of more than {ICON_SIDE} pixels a side; save that alone.")
            Image.init()  # else Pillow knows five formats only, where formats are named
            return Image.open(io.BytesIO(data), formats=list(FORMATS))
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(too_large) from error
    except Exception as error:  # as above
        raise ImageError("This file is not a picture that can be read; try a PNG or JPEG.") from error


def _opened_heif(data: bytes) -> Image.Image:
    from pillow_heif import open_heif  # for photos of phones only

    file = open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
    width, height = file.size
    if width * height > MAX_PIXELS:
        raise Image.DecompressionBombError
    image: Image.Image = file.to_pillow()
    image.format = "HEIF"
    return image


def _sizes_in_icons(data: bytes) -> Iterator[tuple[int, int]]:
    """Sizes of the PNG and JPEG 2000 files inside an ICO or ICNS, whose own header may say anything.

    Pillow decodes them before it can be asked how large they are.
    """
    if data[:4] not in (b"\0\0\1\0", b"\0\0\2\0", b"icns"):
        return
    for found in re.finditer(
        rb"\x89PNG\r\n\x1a\n.{4}IHDR(.{8})|ihdr(.{8})|\xff\x4f\xff\x51.{4}(.{8})", data, re.DOTALL
    ):
        yield struct.unpack(">II", found[1] or found[2] or found[3])


def _check_size(image: Image.Image, length: int) -> None:
    """Refuse a picture by what its header says.

    Args:
        length: of the file, in bytes.

    Raises:
        ImageError: too large, too small, or too long.
    """
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(f"This picture is {width} x {height}, more than 50 megapixels; choose a smaller one.")
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"This picture is {width} x {height}; it needs at least {MIN_SIDE} x {MIN_SIDE} pixels.")
    if max(width, height) > MAX_SIDE:
        raise ImageError(f"This picture is {width} x {height}; a side may have at most {MAX_SIDE:,} pixels.")
    if image.format == "JPEG2000" and width * height > MAX_SLOW_PIXELS:
        # Every second pixel, or every fourth, as often as the file was made for: five times in most.
        image.reduce = math.ceil(math.log(width * height / MAX_SLOW_PIXELS, 4))  # type: ignore[method-assign, assignment]
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    slow = any(tile[0] in Image.DECODERS for tile in tiles)
    if slow and (width * height > MAX_SLOW_PIXELS or length > 16 * MAX_SLOW_PIXELS):
        raise ImageError(
            f"This picture is {width} x {height} in a kind of {image.format} that is slow to read; save it as PNG."
        )


def _scaled(image: Image.Image, side: int) -> tuple[Image.Image, str]:
    """A picture with its longer side at most ``side`` pixels, and what was done to values of more than 8 bits.

    Before it is converted, which takes several times its memory.
    """
    scale = side / max(image.size)
    if image.mode.startswith(("I", "F")):
        image, note = _in_8_bits(image, max(1, int(0.5 / scale)))
    else:
        note = ""
    if scale >= 1:
        return image, note
    if image.mode in ("1", "P", "PA") or (image.has_transparency_data and image.mode in ("L", "RGB")):
        # Neither numbers in a palette nor a colour that stands for "transparent" can be averaged.
        image = image.convert("RGBA" if image.has_transparency_data else "L" if image.mode == "1" else "RGB")
    size = max(1, round(image.width * side / max(image.size))), max(1, round(image.height * side / max(image.size)))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0), note


def _in_8_bits(image: Image.Image, every: int) -> tuple[Image.Image, str]:
    """Grey of 16 or 32 bits, or floating point, as "L", and how its values were scaled.

    Whole numbers are as many bits as they need; a picture that is the same all over, as many as it is stored with.
    Floating point is 0 ... 1 if nothing is outside, else from the least value, if that is below zero, to the greatest.

    Args:
        every: blocks of so many pixels a side are averaged.
    """
    values = np.asarray(image)
    known = np.isfinite(values) if values.dtype.kind == "f" else None
    present = values if known is None or known.all() else values[known]
    if present.size == 0:
        raise ImageError("No pixel of this picture has a value.")
    low, high = float(present.min()), float(present.max())
    note = "" if known is None or present.size == values.size else "Pixels without a value are black. "
    if values.dtype.kind == "f":
        bottom, top = (0.0, 1.0) if 0 <= low and high <= 1 else (min(low, 0.0), high)
        if (bottom, top) != (0.0, 1.0):
            note += f"Black is {bottom:.6g} and white {top:.6g}, the least and the greatest value here."
    else:
        stored = 16 if image.mode.startswith("I;16") or high < 2**16 else 32
        depth = stored if low == high else next(bits for bits in DEPTHS if high < 2**bits)
        bottom, top = min(low, 0.0), 2.0**depth - 1
        if low < 0:
            top = high
            note += f"Black is {bottom:.0f} and white {top:.0f}, the least and the greatest value here."
        elif depth != 16:
            note += f"Its values reach {high:.0f}: white is {top:.0f}, as with {depth} bits."
    unit = (_block_means(values, every, bottom) - bottom) / max(top - bottom, np.finfo(np.float64).tiny)
    return Image.fromarray(np.clip(np.rint(unit * 255), 0, 255).astype(np.uint8)), note.strip()


def _block_means(values: NDArray[Any], every: int, missing: float) -> NDArray[np.float64]:
    """Means over blocks of ``every`` pixels a side; those without a value are taken to be ``missing``.

    Rows and columns that fill no block are left out.
    """
    down, across = (min(every, n) for n in values.shape)
    h, w = values.shape[0] // down, values.shape[1] // across
    out = np.empty((h, w))
    for y in range(h):  # row by row: the whole in double precision would take too much memory
        rows = values[y * down : (y + 1) * down, : w * across].astype(np.float64)
        rows = np.nan_to_num(rows, nan=missing, posinf=missing, neginf=missing)
        out[y] = rows.reshape(down, w, across).mean(axis=(0, 2))
    return out


def _grey_or_rgb(image: Image.Image) -> Image.Image:
    """A picture of any mode of 8 bits, transparency laid over white: "L" if it is grey, else "RGB"."""
    grey = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("L" if grey else "RGB")


def middle(image: Image.Image) -> Image.Image:
    """The square in the middle of a picture, in whole pixels.

    ImageOps.fit would cut at half pixels, and so blur, where the sides differ by an odd number.
    """
    short = min(image.size)
    left, top = (image.width - short) // 2, (image.height - short) // 2
    return image.crop((left, top, left + short, top + short))


def picture_for(source: str | Path | bytes, shape: tuple[int, int, int]) -> Tensor:
    """A picture as a network's images are: the square in its middle, (C, H, W) float32 in [-1, 1].

    Args:
        shape: (C, H, W) with C 1 or 3 and H = W.

    Raises:
        ImageError: as ``open_image``.
    """
    channels, height, width = shape
    image = middle(open_image(source, 1024)).convert("L" if channels == 1 else "RGB")
    return to_tensor(image.resize((width, height), Image.Resampling.LANCZOS))


def to_unit(images: Tensor) -> Tensor:
    """uint8 0 ... 255 to float32 in [-1, 1]."""
    return images.float() / 127.5 - 1.0


def to_tensor(image: Image.Image) -> Tensor:
    """PIL to (C, H, W) float32 in [-1, 1]."""
    array = np.asarray(image, dtype=np.uint8)
    array = array[..., None] if array.ndim == 2 else array
    return to_unit(torch.from_numpy(array.transpose(2, 0, 1).copy()))


def to_bytes(x: Tensor) -> np.ndarray:
    """(..., C, H, W) in [-1, 1] to (..., H, W, C) uint8, rounded to the nearest and clipped."""
    scaled = ((x.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return scaled.movedim(-3, -1).cpu().numpy()


@dataclass(frozen=True)
class Difference:
    """How far images are from others, in grey levels 0 ... 255: the largest difference, and the root mean square."""

    largest: int
    rms: float


def difference(images: np.ndarray, others: np.ndarray) -> Difference:
    """Of two uint8 arrays of one shape: what a lower precision changed, for one."""
    off = images.astype(np.int64) - others.astype(np.int64)
    return Difference(int(np.abs(off).max()), float(np.sqrt((off**2).mean())))


def grid(images: np.ndarray, columns: int | None = None, gap: int = 0) -> np.ndarray:
    """(N, H, W, C) uint8 laid out in rows, (rows H, columns W, C); as square as can be, empty places mid-grey."""
    n, h, w, c = images.shape
    columns = columns or int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    out = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap, c), 128, np.uint8)
    for i, image in enumerate(images):
        y, x = divmod(i, columns)
        out[y * (h + gap) : y * (h + gap) + h, x * (w + gap) : x * (w + gap) + w] = image
    return out


def to_pil(array: np.ndarray) -> Image.Image:
    """(H, W, 1 or 3) uint8 to PIL, grey or RGB."""
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)


def enlarge(image: Image.Image, factor: int) -> Image.Image:
    """Pixel art enlarged without smoothing."""
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def encode(image: Image.Image, format: str, **options: Any) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()
