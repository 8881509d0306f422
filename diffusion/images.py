"""A picture that somebody uploads may be of any kind and size, damaged, or made to do harm.

Nothing else in the library touches its bytes. ``read_picture`` opens it, or refuses it in a sentence for the person who
chose it; ``picture_for`` makes it what a network takes. The rest turns bytes 0 ... 255 into values in [-1, 1] and back,
and lays images out to be looked at.
"""

from __future__ import annotations

import ctypes
import io
import logging
import math
import stat
import struct
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import IcnsImagePlugin, IcoImagePlugin, Image, ImageFile, TiffImagePlugin, UnidentifiedImageError, _imaging
from torch import Tensor

MOST_BYTES = 2**28  # of a file
MAX_PIXELS = 50_000_000
MAX_SIDE = 30_000
MIN_SIDE = 2
ICON_SIDE = 1024
# Each of these takes a second or so, or half a gigabyte.
SLOW_PIXELS = 1_000_000  # of what Pillow decodes in Python
WAVELET_PIXELS = 2_000_000  # of a JPEG 2000
WEBP_PIXELS = 30_000_000  # each of which takes 16 bytes
MOST_BLOCKS = 2**18  # that a JPEG 2000 is coded in
MOST_TILES = 2**13  # of a JPEG 2000
MOST_READS = 3 * SLOW_PIXELS  # of a file, by what Pillow has in Python; a tenth by what it has in C
MOST_HEADER_READS = 20_000
MOST_COMMENTS = 1000  # in a plain PPM
MOST_SCANS = 16  # of a progressive JPEG of 50 megapixels, and as many more as it is smaller
MOST_TAGS = 2**17  # in all that looks like a TIFF or EXIF
MOST_VALUES = 2**18  # of a tag of a TIFF: colours of a palette of 16 bits, or places of strips
STRIP_PIXELS = 2**20  # that are converted at a time
GAP = 3  # averaged in whole pixels down to so many times the size, as Pillow does
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
# Of TIFF, and so of EXIF.
TIFF_HEADERS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
UNITS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
BYTES = (1, 2, 7)  # kinds of values that stay together
PLACES = (273, 324)  # of strips and tiles
DIRECTORIES = (0x8769, 0x8825, 0xA005, 0x927C)  # inside others: EXIF, GPS, interoperability, a maker's
SAMPLE_FORMAT = 339
DEPTHS = (8, 10, 12, 14, 16, 24, 32)  # bits that pictures are stored with
DAMAGED = "This picture is damaged or cut off; choose another file."
TOO_MANY_BYTES = "This file has more than 256 MB; choose a smaller one."


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
            formats that take long to decode) or longer than 30,000 pixels, one without values, or a file of more than
            256 MB.
    """
    data = source if isinstance(source, bytes) else _contents(Path(source))
    if len(data) > MOST_BYTES:
        raise ImageError(TOO_MANY_BYTES)
    file = _Upload(data)
    with _quietly(), _opened(file) as image:
        format = image.format or ""
        _check_size(image.size)
        try:
            file.reads_left = MOST_READS if _decoder_in_python(image) else MOST_READS // 10
            _check_time(image, data)
            image.draft("RGB", (2 * side, 2 * side))  # lets a JPEG decode at a fraction of its size
            image.load()
            turn = TURNS.get(_orientation(image))
            small, note = _scaled(image, side)
        except ImageError:
            raise
        except Exception as error:  # bytes that are not what they say: decoders stumble over them in every way
            raise ImageError(DAMAGED) from error
    return Picture(small if turn is None else small.transpose(turn), format, note)


def _contents(path: Path) -> bytes:
    """What a file holds, if it is one: a pipe or a device might never end."""
    name = "".join(character if character.isprintable() else "?" for character in path.name[:100]) or str(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{name} is not a file that can be read.")
        if status.st_size > MOST_BYTES:
            raise ImageError(TOO_MANY_BYTES)
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise ImageError(f"There is no file {name}.") from error
    except ImageError:
        raise
    except (OSError, ValueError) as error:
        raise ImageError(f"{name} is not a file that can be read.") from error


class _Upload(io.BytesIO):
    """A file that can be read from only so often, as headers may have millions of parts.

    Pillow reads them one by one, and puts some together by copying all that it has so far.
    """

    reads_left = MOST_HEADER_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads_left -= 1
        if self.reads_left < 0:
            raise OSError("A file in too many parts.")
        return super().read(size)


_quiet_lock = Lock()
_quiet = ExitStack()
_quiet_count = 0


@contextmanager
def _quietly() -> Iterator[None]:
    """Without Pillow's warnings of what is not as it should be, and is read all the same.

    Any number of threads may be in here at a time; with ``catch_warnings`` alone each would put back what it found when
    it came, and the last to leave might leave Pillow silent for good.
    """
    global _quiet_count
    with _quiet_lock:
        if _quiet_count == 0:
            _silence_libraries()
            _quiet.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=r"PIL\.")
        _quiet_count += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_count -= 1
            if _quiet_count == 0:
                _quiet.close()


@cache
def _silence_libraries() -> None:
    """Keep what Pillow logs and libtiff prints about damaged files off the terminal."""
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    with suppress(AttributeError, OSError):  # where libtiff is built into Pillow
        pillow = ctypes.CDLL(_imaging.__file__)
        pillow.TIFFSetErrorHandler(None)
        pillow.TIFFSetWarningHandler(None)


def _opened(file: _Upload) -> Image.Image:
    """The header of a picture, or of those of phones the whole."""
    data = file.getvalue()
    try:
        _check_tags(data)
        if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS and b"avif" not in data[12:64]:
            return _opened_heif(data)
        Image.init()  # else Pillow knows five formats only, where formats are named
        for inside in _inside_icon(data):
            width, height = inside.size
            if width > ICON_SIDE or height > (2 * ICON_SIDE if inside.format == "DIB" else ICON_SIDE):
                raise ImageError(f"This icon holds a picture of more than {ICON_SIDE} pixels a side; save that alone.")
        return Image.open(file, formats=list(FORMATS))
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError("This picture has more than 50 megapixels; choose a smaller one.") from error
    except Exception as error:  # as above
        raise ImageError("This file is not a picture that can be read; try a PNG or JPEG.") from error


def _opened_heif(data: bytes) -> Image.Image:
    from pillow_heif import open_heif  # for photos of phones only

    file = open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
    _check_size(file.size)
    try:
        image: Image.Image = file.to_pillow()
    except Exception as error:
        raise ImageError(DAMAGED) from error
    image.format = "HEIF"
    image.info = {}  # it is turned already
    return image


def _inside_icon(data: bytes) -> Iterator[Image.Image]:
    """The headers of what Pillow would decode of an ICO or ICNS before it can be asked how large it is.

    The header of the icon itself may say anything.
    """
    if data.startswith(b"\0\0\1\0"):
        places = [IcoImagePlugin.IcoFile(_Upload(data)).entry[0].offset]
    elif data.startswith(b"icns"):
        icon = IcnsImagePlugin.IcnsFile(_Upload(data))
        places = [icon.dct[code][0] for code, _ in icon.SIZES[icon.bestsize()] if code in icon.dct]
    else:
        places = []
    for place in places:
        part = data[place:]
        with suppress(UnidentifiedImageError):  # pixels as they are, of the size that the icon says
            image = Image.open(_Upload(part), formats=["PNG", "JPEG2000", "DIB"])
            _check_time(image, part)
            yield image


def _check_tags(data: bytes) -> None:
    """Refuse TIFF directories, those of EXIF too, that say that they hold more than is there.

    Pillow keeps a copy of each tag's bytes, which tags may share, and makes an object of each number.
    """
    left = MOST_TAGS
    for header in TIFF_HEADERS:
        place = data.find(header)
        while place >= 0:
            left -= 1
            if left < 0:
                raise ImageError(DAMAGED)
            with suppress(struct.error):  # Pillow will see that it is cut off
                left = _check_directories(memoryview(data)[place:], left)
            place = data.find(header, place + len(header))


def _check_directories(tiff: memoryview, left: int) -> int:
    """As ``_check_tags``, of the first directory and those inside it, which are all that Pillow reads.

    Args:
        left: how many tags there may be.

    Returns:
        How many more there may be then.
    """
    order = "<" if tiff[0] == ord("I") else ">"
    if 43 in tiff[2:4]:
        first, number, entry = struct.unpack_from(order + "8xQ", tiff)[0], order + "Q", order + "HHQQ"
    else:
        first, number, entry = struct.unpack_from(order + "4xI", tiff)[0], order + "H", order + "HHII"
    starts, total = [first], 0
    for start in starts:
        (count,) = struct.unpack_from(number, tiff, start)
        left -= count
        if left < 0 or len(starts) > len(DIRECTORIES):
            raise ImageError(DAMAGED)
        for i in range(count):
            tag, kind, values, place = struct.unpack_from(
                entry, tiff, start + struct.calcsize(number) + i * struct.calcsize(entry)
            )
            size = values * UNITS.get(kind, 0)
            if size > struct.calcsize(entry[-1]) and place + size <= len(tiff):
                total += size
                many = values > MOST_VALUES and (kind not in BYTES or tag in PLACES)
                if many or total > 2 * len(tiff):
                    raise ImageError(DAMAGED)
            if tag in DIRECTORIES:
                starts.append(place)
    return left


def _check_size(size: tuple[int, int]) -> None:
    """Refuse a picture by what its header says.

    Raises:
        ImageError: too large, too small, or too long.
    """
    width, height = size
    if width * height > MAX_PIXELS:
        raise ImageError(f"This picture is {width} x {height}, more than 50 megapixels; choose a smaller one.")
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"This picture is {width} x {height}; it needs at least {MIN_SIDE} x {MIN_SIDE} pixels.")
    if max(width, height) > MAX_SIDE:
        raise ImageError(f"This picture is {width} x {height}; a side may have at most {MAX_SIDE:,} pixels.")


def _decoder_in_python(image: Image.Image) -> str:
    """The name of the decoder, "" if Pillow has it in C."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    return next((tile[0] for tile in tiles if tile[0] in Image.DECODERS), "")


def _check_time(image: Image.Image, data: bytes) -> None:
    """Refuse a picture that would take long to decode, though it is not large; of a JPEG 2000 as much as can be is
    left out.

    Raises:
        ImageError: what to do instead.
    """
    pixels = image.width * image.height
    if image.format == "JPEG2000":
        slow = not _reduce(image, data)
    elif image.format == "WEBP":
        slow = pixels > WEBP_PIXELS
    elif decoder := _decoder_in_python(image):
        slow = pixels > SLOW_PIXELS or (decoder == "ppm_plain" and data.count(b"#") > MOST_COMMENTS)
    else:
        slow = "progressive" in image.info and data.count(b"\xff\xda") * pixels > MOST_SCANS * MAX_PIXELS
    if slow:
        raise ImageError(
            f"This picture is {image.width} x {image.height} in a kind of {image.format} that is slow to read; "
            "save it as PNG."
        )


def _reduce(image: Image.Image, data: bytes) -> bool:
    """Have every second pixel decoded of a JPEG 2000, or every fourth, ... until they are not too many.

    Returns:
        Whether it can be decoded fast then. See ISO/IEC 15444-1, A.5.1 and A.6.1, for the segments SIZ and COD.
    """
    start = data.index(b"\xff\x4f\xff\x51")
    right, bottom, left, top, across, down, *_, channels = struct.unpack_from(">8I H", data, start + 8)
    place = data.index(b"\xff\x52\0", start + 42)
    style, levels, *block = struct.unpack_from(">4xB4x3B", data, place)
    precincts = data[place + 14 : place + 15 + levels] if style & 1 else b""
    area = min(sum(block) + 4, *((size & 15) + (size >> 4) for size in precincts), 16)
    pixels = (right - left) * (bottom - top)
    if (right - left, bottom - top) != image.size or channels > 4:
        raise ImageError(DAMAGED)
    tiles = math.ceil(right / max(across, 1)) * math.ceil(bottom / max(down, 1))
    needed = math.ceil(math.log(max(pixels / WAVELET_PIXELS, 1), 4))
    image.reduce = needed  # type: ignore[method-assign, assignment]
    return needed <= levels and tiles <= MOST_TILES and channels * pixels >> area <= MOST_BLOCKS


def _orientation(image: Image.Image) -> int:
    """How EXIF says the picture was taken, 1 to 8; of a TIFF Pillow has turned it already."""
    profile = image.info.get("Raw profile type exif", "")  # compressed in a PNG, and so not seen before
    _check_tags(bytes.fromhex("".join(profile.split("\n")[3:])))
    return image.getexif().get(0x0112, 1)


def _scaled(image: Image.Image, side: int) -> tuple[Image.Image, str]:
    """A picture as "L" or "RGB", its longer side at most ``side`` pixels, and what was done to its values.

    Converted strip by strip, and averaged in whole pixels at once: the whole would take several times its memory.
    """
    scale = min(1.0, side / max(image.size))
    width, height = (max(1, round(length * scale)) for length in image.size)
    x, y = max(1, int(image.width / width / GAP)), max(1, int(image.height / height / GAP))
    deep = image.mode.startswith(("I", "F"))
    black, white, note = _black_and_white(image) if deep else (0, 255, "")
    out: Image.Image | None = None
    rows = y * max(1, STRIP_PIXELS // (image.width * y))
    for top, strip in _strips(image, rows):
        strip = _grey_or_rgb(_in_8_bits(_values(image, strip), black, white) if deep else strip).reduce((x, y))
        out = out or Image.new(strip.mode, (math.ceil(image.width / x), math.ceil(image.height / y)))
        out.paste(strip, (0, top // y))
    assert out is not None
    box = (0, 0, image.width / x, image.height / y)
    return out.resize((width, height), Image.Resampling.LANCZOS, box), note


def _strips(image: Image.Image, rows: int) -> Iterator[tuple[int, Image.Image]]:
    """A picture from top to bottom, and where each strip begins."""
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _values(image: Image.Image, strip: Image.Image) -> NDArray[Any]:
    """The values of a strip, which Pillow holds as signed whatever the TIFF says."""
    values = np.asarray(strip)
    signed = not isinstance(image, TiffImagePlugin.TiffImageFile) or image.tag_v2.get(SAMPLE_FORMAT, (1,)) != (1,)
    return values if signed or values.dtype != np.int32 else values.view(np.uint32)


def _black_and_white(image: Image.Image) -> tuple[float, float, str]:
    """The values of grey of 16 or 32 bits, or of floating point, that are to be black and white; and why.

    Whole numbers are as many bits as they need; a picture that is the same all over, as many as it is stored with.
    Floating point is 0 ... 1 if nothing is outside, else from the least value, if that is below zero, to the greatest.
    """
    low, high, note = math.inf, -math.inf, ""
    for _, strip in _strips(image, max(1, STRIP_PIXELS // image.width)):
        values = _values(image, strip)
        present = values[np.isfinite(values)]
        if present.size < values.size:
            note = "Pixels without a value are black. "
        if present.size > 0:
            low, high = min(low, float(present.min())), max(high, float(present.max()))
    if low > high:
        raise ImageError("No pixel of this picture has a value.")
    if image.mode.startswith("F"):
        black, white = (0.0, 1.0) if 0 <= low and high <= 1 else (min(low, 0.0), high)
        if (black, white) != (0.0, 1.0):
            note += f"Black is {black:.6g} and white {white:.6g}, the least and the greatest value here."
    elif low < 0:
        black, white = low, high
        note = f"Black is {black:.0f} and white {white:.0f}, the least and the greatest value here."
    else:
        stored = 16 if image.mode.startswith("I;16") or high < 2**16 else 32
        depth = stored if low == high else next(bits for bits in DEPTHS if high < 2**bits)
        black, white = 0.0, 2.0**depth - 1
        if depth != 16:
            note = f"Its values reach {high:.0f}: white is {white:.0f}, as with {depth} bits."
    return black, white, note.strip()


def _in_8_bits(values: NDArray[Any], black: float, white: float) -> Image.Image:
    """Values as grey; those that are none are black."""
    with np.errstate(invalid="ignore"):  # a NaN that is made to be noticed
        grey = values.astype(np.float64)
    grey[~np.isfinite(values)] = black
    grey -= black
    grey *= 255
    grey /= max(white - black, 1e-300)
    return Image.fromarray(np.rint(grey, out=grey).astype(np.uint8))


def _grey_or_rgb(image: Image.Image) -> Image.Image:
    """A picture of any mode of 8 bits, transparency laid over white: "L" if it is grey, else "RGB"."""
    grey = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("L" if grey else "RGB")


def middle_square(image: Image.Image) -> Image.Image:
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
    image = middle_square(open_image(source, 1024)).convert("L" if channels == 1 else "RGB")
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
