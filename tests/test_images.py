"""Uploaded bytes of every kind, good and bad, and pictures on their way out."""

import io
import logging
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
import torch
from PIL import Image, ImageFile

from diffusion import images
from diffusion.images import ImageError, open_image, read_picture


def data_of(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def random_image(width: int = 40, height: int = 30, mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(width * height)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).convert(mode)


def heic_of(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of one bit a pixel whose header promises a size, and whose pixels are rubbish."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"rubbish") + chunk(b"IEND", b"")


@pytest.mark.parametrize("data", [b"", b"\x00", b"hello", b"<svg></svg>", b"\x89PNG\r\n\x1a\n", b"GIF89a", bytes(5000)])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match="not a picture that can be read"):
        open_image(data)


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(ImageError, match=r"^There is no file file\.png\.$"):
        open_image("no/such/file.png")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_a_picture_cut_off_in_its_pixels_is_refused(format: str) -> None:
    data = data_of(random_image(), format)
    # WebP's reader looks at the whole file before it says what it is.
    with pytest.raises(ImageError, match="not a picture" if format == "WEBP" else "damaged or cut off"):
        open_image(data[: len(data) * 2 // 3])


@pytest.mark.parametrize("format", [*images.FORMATS, "HEIF"])
def test_a_damaged_picture_is_opened_or_refused_and_nothing_else(format: str, capfd: Any) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    options: dict[str, Any] = {"exif": exif} if format in ("PNG", "JPEG", "TIFF", "WEBP", "AVIF") else {}
    if format == "TIFF":
        options["compression"] = "tiff_lzw"
    if format == "HEIF":
        data = heic_of(random_image())
    elif format == "PSD":  # which Pillow does not write
        header = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 30, 40, 8, 3) + bytes(12)
        data = header + struct.pack(">H", 0) + np.asarray(random_image()).tobytes()
    elif format == "ICNS":
        data = icon_of(format, data_of(random_image(32, 32)))
    else:
        data = data_of(random_image(), format, **options)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(100):
        damaged = bytearray(data)
        for place in rng.integers(0, min(len(data), 300), 3):
            damaged[place] = rng.integers(0, 256)
        try:
            assert open_image(bytes(damaged)).mode == "RGB"
        except ImageError:
            refused += 1
    assert refused > 0
    assert capfd.readouterr() == ("", "")  # libtiff would print there


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 50), (50, 1)])
def test_a_picture_of_a_single_row_is_refused(width: int, height: int) -> None:
    with pytest.raises(ImageError, match=f"is {width} x {height}; it needs at least 2 x 2"):
        open_image(data_of(Image.new("RGB", (width, height))))


# Below Pillow's own warning, between its warning and its error, and beyond its error.
@pytest.mark.parametrize(("width", "height"), [(8000, 8000), (10_000, 9500), (20_000, 20_000), (2, 2**30)])
def test_a_huge_picture_is_refused_by_its_header(width: int, height: int) -> None:
    with pytest.raises(ImageError, match="more than 50 megapixels"):  # decoded, it would be "damaged"
        open_image(png_claiming(width, height))


def test_the_smallest_picture_and_one_within_the_limit_are_opened() -> None:
    assert open_image(data_of(random_image(2, 2))).size == (2, 2)
    with pytest.raises(ImageError, match="damaged"):  # so the test above sees the header refused, not the pixels
        open_image(png_claiming(5000, 5000))


@pytest.fixture
def undecoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture can be decoded: one that is refused by its header is told from one that is found to be damaged."""

    def load(self: ImageFile.ImageFile) -> None:
        raise OSError

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)


def directory(tags: int, values: int, kind: int = 1) -> bytes:
    """A TIFF, or EXIF, of tags that share their bytes."""
    entries = b"".join(struct.pack("<HHII", 1000 + i, kind, values, 14 + 12 * tags) for i in range(tags))
    return b"II*\0" + struct.pack("<IH", 8, tags) + entries + bytes(4 + values * {1: 1, 3: 2}[kind])


def png_with(*chunks: bytes) -> bytes:
    data = data_of(random_image())
    return data[:33] + b"".join(chunks) + data[33:]


def gif_with_comment(parts: int) -> bytes:
    data = data_of(random_image(mode="P"), "GIF")
    start = 13 + 3 * 256  # after the palette
    return data[:start] + b"!\xfe" + b"\1a" * parts + b"\0" + data[start:]


def with_raw_profile(exif: bytes) -> bytes:
    """A PNG with EXIF as ImageMagick once wrote it: digits, compressed."""
    text = zlib.compress(b"\nexif\n%8d\n" % len(exif) + exif.hex().encode())
    return png_with(chunk(b"zTXt", b"Raw profile type exif\0\0" + text))


def jpeg_with_scans(times: int) -> bytes:
    """A progressive JPEG that gives its last detail again and again."""
    data = data_of(Image.new("RGB", (100, 100)), "JPEG", progressive=True)
    last = data.rfind(b"\xff\xda")
    return data[:last] + data[last:-2] * times + data[-2:]


# What a file may have a few of, and one that is made to stall has thousands or millions of.
@pytest.mark.parametrize(
    ("with_parts", "few", "many"),
    [
        (lambda n: png_with(chunk(b"abCd") * n), 100, 20_000),
        (lambda n: png_with(chunk(b"IDAT") * n), 100, 200_000),
        (gif_with_comment, 100, 20_000),
        (lambda n: b"P5 #" + b"a" * n + b"\n2 2 255\n" + bytes(4), 1000, 40_000),
        (lambda n: b"P2 2 2 255\n" + b"#\n" * n + b"1 " * 4, 100, 2000),
        (jpeg_with_scans, 10, 80_000),
        (lambda n: data_of(random_image(), exif=directory(n, 10_000)), 1, 100),
        (lambda n: data_of(random_image(), "WEBP", exif=directory(n, 10_000)), 1, 100),
        (lambda n: data_of(random_image(), exif=directory(1, n, 3)), 1000, 300_000),
        (lambda n: data_of(random_image()) + b"II*\0" * n, 100, 140_000),
        (lambda n: data_of(random_image()) + b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, n) + bytes(9999), 5, 2**40),
        (lambda n: with_raw_profile(directory(n, 10_000)), 1, 100),
    ],
    ids=[
        "chunks",
        "late chunks",
        "comments",
        "comment",
        "plain comments",
        "scans",
        "tags",
        "tags of WebP",
        "values",
        "directories",
        "tags of a BigTIFF",
        "packed tags",
    ],
)
def test_a_file_of_too_many_parts_is_refused(with_parts: Callable[[int], bytes], few: int, many: int) -> None:
    open_image(with_parts(few))
    with pytest.raises(ImageError, match=r"not a picture|slow to read|damaged"):
        open_image(with_parts(many))


def test_tags_inside_others_are_counted_too() -> None:
    outside = struct.pack("<4sIHHHII4x", b"II*\0", 8, 1, 0x8769, 4, 1, 26)
    inside = directory(100, 10_000)[8:]
    open_image(data_of(random_image(), exif=outside + directory(1, 10_000)[8:] + bytes(18)))
    with pytest.raises(ImageError, match="damaged"):
        open_image(data_of(random_image(), exif=outside + inside + bytes(18)))  # so far has everything moved


@pytest.mark.usefixtures("undecoded")
def test_what_pillow_decodes_in_python_may_have_a_megapixel() -> None:
    def claiming(kind: str, width: int, height: int) -> bytes:
        return {
            "PPM": b"P3 %d %d 255\n1 2 3" % (width, height),
            "QOI": b"qoif" + struct.pack(">IIBB", width, height, 3, 0) + bytes(100),
            "DDS": struct.pack("<4s4I56x", b"DDS ", 124, 0x100F, height, width)
            + struct.pack("<2I4sI4I20x", 32, 0x41, b"", 32, 0xFF, 0xFF00, 0xFF0000, 0xFF000000),
            "BMP": struct.pack("<2s4x4xIIiiHHI20x", b"BM", 1078, 40, width, height, 1, 8, 1) + bytes(1100),
        }[kind]

    for kind in ("PPM", "QOI", "DDS", "BMP"):
        with pytest.raises(ImageError, match=f"is 1000 x 1001 in a kind of {kind} that is slow to read; save it as"):
            open_image(claiming(kind, 1000, 1001))
        with pytest.raises(ImageError, match="damaged"):
            open_image(claiming(kind, 1000, 1000))


@pytest.mark.usefixtures("undecoded")
def test_a_webp_takes_more_memory_than_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "WEBP_PIXELS", 40 * 30 - 1)
    with pytest.raises(ImageError, match="slow"):
        open_image(data_of(random_image(), "WEBP"))


@pytest.mark.usefixtures("undecoded")
def test_a_picture_of_two_columns_may_have_30_000_rows() -> None:
    with pytest.raises(ImageError, match=r"^This picture is 2 x 25000000; a side may have at most 30,000 pixels\.$"):
        open_image(png_claiming(2, 25_000_000))


def icon_of(format: str, content: bytes) -> bytes:
    """An icon that says it is 32 x 32."""
    if format == "ICO":
        return struct.pack("<HHHBBBBHHII", 0, 1, 1, 32, 32, 0, 0, 1, 32, len(content), 22) + content
    return b"icns" + struct.pack(">I4sI", len(content) + 16, b"icp5", len(content) + 8) + content


@pytest.mark.parametrize("format", ["ICO", "ICNS"])
def test_an_icon_is_as_large_as_the_picture_inside(format: str) -> None:
    small = random_image(32, 32)
    np.testing.assert_array_equal(np.asarray(open_image(icon_of(format, data_of(small)))), np.asarray(small))
    claimed = png_claiming(1025, 1024)
    late = claimed[:8] + chunk(b"tEXt", b"a\0b") + claimed[8:]  # which is no place for it, and read all the same
    for content in (claimed, late):
        with pytest.raises(ImageError, match="holds a picture of more than 1024 pixels a side; save that alone"):
            open_image(icon_of(format, content))
    with pytest.raises(ImageError, match="more than 50 megapixels"):  # beyond Pillow's own limit
        open_image(icon_of(format, png_claiming(20_000, 20_000)))


def test_an_icon_of_a_bitmap_or_a_jpeg_2000_is_as_large_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    image = random_image(32, 32)
    np.testing.assert_array_equal(
        np.asarray(open_image(data_of(image, "ICO", bitmap_format="bmp", sizes=[(32, 32)]))), np.asarray(image)
    )
    np.testing.assert_array_equal(
        np.asarray(open_image(icon_of("ICNS", data_of(image, "JPEG2000")))), np.asarray(image)
    )
    for content in (
        struct.pack("<IiiHHI20x", 40, 1025, 64, 1, 24, 0),  # twice as high: a mask follows
        struct.pack("<IiiHHI20x", 40, 64, 2 * 1025, 1, 24, 0),
    ):
        with pytest.raises(ImageError, match="more than 1024 pixels"):
            open_image(icon_of("ICO", content))
    with pytest.raises(ImageError, match="not a picture"):  # within the limit, and cut off
        open_image(icon_of("ICO", struct.pack("<IiiHHI20x", 40, 64, 2 * 1024, 1, 24, 0)))
    with pytest.raises(ImageError, match="more than 1024 pixels"):
        open_image(icon_of("ICNS", data_of(Image.new("L", (1030, 8)), "JPEG2000")))
    monkeypatch.setattr(images, "MOST_TILES", 15)
    with pytest.raises(ImageError, match="slow to read"):
        open_image(icon_of("ICNS", data_of(image, "JPEG2000", tile_size=(8, 8), num_resolutions=1)))


def smooth(width: int, height: int, mode: str = "RGB") -> Image.Image:
    y, x = np.mgrid[:height, :width]
    bands = [127.5 + 127 * np.sin(x / width * a + y / height * b) for a, b in ((5, 3), (2, 7), (4, 4), (3, 6))]
    return Image.fromarray(np.stack(bands[: len(mode)], -1).astype(np.uint8).squeeze())


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_of_a_large_jpeg_2000_every_second_or_fourth_pixel_is_decoded(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    y, x = np.mgrid[:120, :160]
    bands = [x // 2 + 40, y // 2 + 90, (x + y) // 3, 255 - x]
    image = Image.fromarray(np.stack(bands[: len(mode)], -1).astype(np.uint8).squeeze())
    data = data_of(image, "JPEG2000")
    whole = np.asarray(open_image(data, 40)).astype(int)
    for limit, size in ((160 * 120, (160, 120)), (160 * 120 - 1, (80, 60)), (40 * 30, (40, 30)), (1000, (20, 15))):
        monkeypatch.setattr(images, "WAVELET_PIXELS", limit)
        assert open_image(data).size == size
        if limit > 1000:
            off = np.abs(np.asarray(open_image(data, 40)).astype(int) - whole)
            assert off.max() <= 3  # it lies up to half a pixel beside


def test_a_jpeg_2000_that_would_be_slow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    image = smooth(160, 120)
    tiled = data_of(image, "JPEG2000", tile_size=(32, 32))
    fine = data_of(image, "JPEG2000", codeblock_size=(4, 4))
    flat = data_of(image, "JPEG2000", num_resolutions=1)
    for data in (tiled, fine, flat):
        open_image(data)
    monkeypatch.setattr(images, "MOST_TILES", 19)
    monkeypatch.setattr(images, "MOST_BLOCKS", 160 * 120 * 3 // 16 - 1)
    for data in (tiled, fine):
        with pytest.raises(ImageError, match="slow to read"):
            open_image(data)
    open_image(flat)
    monkeypatch.setattr(images, "WAVELET_PIXELS", 1000)
    with pytest.raises(ImageError, match="slow to read"):
        open_image(flat)


def test_a_jpeg_2000_whose_stream_is_of_another_size_or_kind_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_of(smooth(160, 120), "JPEG2000")
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("it was decoded"))
    size, channels = data.index(b"ihdr") + 4, data.index(b"\xff\x4f\xff\x51") + 40
    for place, changed in ((size, struct.pack(">II", 60, 80)), (channels, struct.pack(">H", 5000))):
        with pytest.raises(ImageError, match="damaged"):
            open_image(data[:place] + changed + data[place + len(changed) :])


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "empty.png").touch()
    for path in (tmp_path / "pipe.png", tmp_path / "folder.png", Path("/dev/zero"), "/", "a\0.png"):
        with pytest.raises(ImageError, match="is not a file that can be read"):
            open_image(path)
    with pytest.raises(ImageError, match=r"not a picture that can be read"):
        open_image(tmp_path / "empty.png")


def test_a_name_is_said_in_one_line_of_text_that_can_be_written(tmp_path: Path) -> None:
    for name in ("new\nline.png", "\udcff.png", "a" * 5000):
        with pytest.raises(ImageError) as refused:
            open_image(tmp_path / name)
        assert "\n" not in str(refused.value) and str(refused.value).encode() and len(str(refused.value)) < 150


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError

    (tmp_path / "a.png").write_bytes(data_of(random_image()))
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ImageError, match=r"^a\.png is not a file that can be read\.$"):
        open_image(tmp_path / "a.png")


def test_a_huge_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(2**28 + 1)
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("it was opened"))
    with pytest.raises(ImageError, match="more than 256 MB"):
        open_image(tmp_path / "a.png")
    monkeypatch.setattr(images, "MOST_BYTES", 1000)
    with pytest.raises(ImageError, match="more than 256 MB"):
        open_image(bytes(1001))


def test_a_picture_is_converted_strip_by_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "STRIP_PIXELS", 1000)
    largest = 0
    original = images._grey_or_rgb

    def converted(strip: Image.Image) -> Image.Image:
        nonlocal largest
        largest = max(largest, strip.width * strip.height)
        return original(strip)

    monkeypatch.setattr(images, "_grey_or_rgb", converted)
    for mode in ("RGBA", "P", "CMYK", "I;16", "F"):
        image = deep(mode, smooth(200, 150, "L")) if mode in ("I;16", "F") else smooth(200, 150).convert(mode)
        read_picture(data_of(image, "TIFF"), 50)
    assert 0 < largest <= 1000


def test_what_pillow_logs_is_not_printed_where_nobody_has_set_up_logging() -> None:
    open_image(data_of(random_image()))
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("PIL").handlers)


def test_threads_that_read_pictures_leave_warnings_as_they_were() -> None:
    """Each comes while another is there, and leaves after it."""
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))
    before = warnings.filters[:]

    def first() -> None:
        with images._quietly():
            first_is_in.set()
            second_is_in.wait(5)
        first_is_out.set()

    def second() -> None:
        first_is_in.wait(5)
        with images._quietly():
            second_is_in.set()
            first_is_out.wait(5)
            quiet.append(warnings.filters[0][0] == "ignore")

    quiet: list[bool] = []
    threads = [threading.Thread(target=run) for run in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert quiet == [True] and warnings.filters == before


def deep(mode: str, image: Image.Image) -> Image.Image:
    """The greys of a picture in more than 8 bits."""
    values = np.asarray(image).astype(np.float32)
    return Image.fromarray(values / 255 if mode == "F" else (values * 257).astype(np.uint16))


def fully_converted(image: Image.Image) -> Image.Image:
    """Over white, in RGB."""
    over = Image.new("RGBA", image.size, "white")
    over.alpha_composite(image.convert("RGBA"))
    return over.convert("RGB")


@pytest.mark.parametrize(
    ("format", "mode", "options"),
    [
        ("PNG", "RGB", {}), ("PNG", "RGBA", {}), ("PNG", "L", {}), ("PNG", "LA", {}), ("PNG", "1", {}),
        ("PNG", "P", {}), ("PNG", "P", {"transparency": 7}), ("PNG", "L", {"transparency": 90}),
        ("PNG", "P", {"transparency": bytes(range(256))}), ("GIF", "P", {"transparency": 3}),
        ("TIFF", "CMYK", {}), ("TIFF", "LAB", {}), ("TIFF", "RGBA", {"compression": "tiff_lzw"}),
        ("TIFF", "1", {"compression": "group4"}), ("BMP", "P", {}), ("TGA", "RGBA", {}), ("PCX", "L", {}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [(613, 411), (90, 700)])
def test_scaling_before_converting_is_lanczos_of_the_converted(
    format: str, mode: str, options: dict[str, Any], size: tuple[int, int]
) -> None:
    image = smooth(*size, "RGBA")
    image = Image.merge("LAB", image.split()[:3]) if mode == "LAB" else image.convert(mode)
    data = data_of(image, format, **options)
    whole = fully_converted(Image.open(io.BytesIO(data)))
    scale = 64 / max(size)
    expected = whole.resize((round(size[0] * scale), round(size[1] * scale)), Image.Resampling.LANCZOS)
    off = np.abs(np.asarray(open_image(data, 64)).astype(int) - np.asarray(expected))
    edges = mode in ("1", "P") or "transparency" in options  # where averages in whole pixels differ most
    assert off.max() <= (6 if edges else 2) and off.mean() < (1.2 if edges else 0.5)
    np.testing.assert_array_equal(np.asarray(open_image(data, max(size))), np.asarray(whole))


@pytest.mark.parametrize("mode", ["I;16", "F"])
def test_scaling_values_of_more_bits_is_lanczos_of_them(mode: str) -> None:
    image = smooth(613, 411, "L")
    expected = image.resize((64, 43), Image.Resampling.LANCZOS)
    opened = read_picture(data_of(deep(mode, image), "TIFF"), 64).image
    assert opened.mode == "L"
    np.testing.assert_allclose(np.asarray(opened).astype(int), np.asarray(expected), atol=2)


def tiff_of(values: np.ndarray) -> bytes:
    """As other programs write it: with unsigned numbers too, of which Pillow has none in 32 bits."""
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    height, width = values.shape
    tags = [(256, width), (257, height), (258, values.itemsize * 8), (259, 1), (262, 1), (273, 8), (277, 1),
            (278, height), (279, values.nbytes), (339, kind)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    end = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + values.nbytes) + values.tobytes() + end


@pytest.mark.parametrize(
    ("bits", "dtype"),
    [(8, np.uint16), (10, np.uint16), (12, np.uint16), (14, np.uint16), (16, np.uint16), (16, np.uint32),
     (24, np.uint32), (24, np.int32), (32, np.uint32)],
)  # fmt: skip
def test_whole_numbers_are_as_many_bits_as_they_need(bits: int, dtype: type[np.integer[Any]]) -> None:
    values = np.linspace(0, 2**bits - 1, 64).astype(dtype).reshape(8, 8)
    opened = read_picture(tiff_of(values), 8)
    np.testing.assert_array_equal(np.asarray(opened.image), np.rint(values / (2**bits - 1) * 255))
    if bits == 16:
        assert opened.note == ""
    else:
        assert opened.note == f"Its values reach {2**bits - 1}: white is {2**bits - 1}, as with {bits} bits."


FLOATS = np.array([[0, 0.25], [0.5, 1]], np.float32)


@pytest.mark.parametrize(
    ("values", "expected", "note"),
    [
        (FLOATS, [[0, 64], [128, 255]], ""),
        (FLOATS * 2 - 1, [[0, 64], [128, 255]], "Black is -1 and white 1,"),
        (FLOATS * 255, [[0, 64], [128, 255]], "Black is 0 and white 255,"),
        (FLOATS - 5, [[0, 64], [128, 255]], "Black is -5 and white -4,"),
        (np.full((2, 2), 0.5, np.float32), 128, ""),
        (np.full((2, 2), 7, np.float32), 255, "Black is 0 and white 7,"),
        (np.full((2, 2), -7, np.float32), 0, "Black is -7 and white -7,"),
        (
            np.array([[np.nan, np.inf], [-np.inf, 1]], np.float32),
            [[0, 0], [0, 255]],
            "Pixels without a value are black",
        ),
        (np.array([[np.nan, 3], [-1, 1]], np.float32), [[0, 255], [0, 128]], "are black. Black is -1 and white 3,"),
        (np.array([[3e38, -3e38], [0, 0]], np.float32), [[255, 0], [128, 128]], "Black is -3e+38 and white 3e+38,"),
        (np.array([[-100, 100], [0, 50]], np.int32), [[0, 255], [128, 191]], "Black is -100 and white 100,"),
        (np.array([[-3, -1], [-2, -2]], np.int32), [[0, 255], [128, 128]], "Black is -3 and white -1,"),
        (np.full((2, 2), -9, np.int32), 0, "Black is -9 and white -9,"),
        (np.zeros((2, 2), np.uint16), 0, ""),
        (np.full((2, 2), 65535, np.uint16), 255, ""),
        (np.full((2, 2), 2**31, np.uint32), 128, "Its values reach 2147483648: white is 4294967295, as with 32 bits."),
    ],
)
def test_values_are_scaled_by_what_is_there(values: np.ndarray, expected: Any, note: str) -> None:
    opened = read_picture(tiff_of(values), 2)
    np.testing.assert_array_equal(np.asarray(opened.image), np.broadcast_to(expected, (2, 2)))
    assert note in opened.note and bool(note) == bool(opened.note)


def test_a_nan_that_is_made_to_be_noticed_is_black_without_a_warning() -> None:
    signalling = np.array([[0x7FA00000, 0], [0x3F800000, 0]], np.uint32).view(np.float32)
    assert np.asarray(read_picture(tiff_of(signalling), 2).image).tolist() == [[0, 0], [255, 0]]


def test_a_picture_without_values_is_refused() -> None:
    with pytest.raises(ImageError, match=r"^No pixel of this picture has a value\.$"):
        open_image(tiff_of(np.full((4, 4), np.nan, np.float32)))


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("pages", [1, 2])
def test_a_tiff_is_turned_once(compression: str | None, pages: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = random_image(3, 2)
    more = {"save_all": True, "append_images": [image]} if pages > 1 else {}
    opened = open_image(data_of(image, "TIFF", exif=exif, compression=compression, **more))
    np.testing.assert_array_equal(np.asarray(opened), np.rot90(np.asarray(image), -1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_of_a_phone_is_turned_once(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = smooth(96, 64)
    turned = open_image(data_of(image, exif=exif))
    opened = read_picture(heic_of(image, exif=exif.tobytes(), quality=-1), 256)
    assert opened.format == "HEIF" and opened.note == ""
    assert opened.image.size == turned.size
    assert np.abs(np.asarray(opened.image).astype(int) - np.asarray(turned)).mean() < 3  # its colours are coarser


def test_an_avif_is_one_whichever_of_its_brands_comes_first() -> None:
    data = data_of(random_image(), "AVIF")
    assert data[8:12] == b"avif" and read_picture(data[:8] + b"mif1" + data[12:], 64).format == "AVIF"


def test_a_photo_of_a_phone_is_refused_by_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    data = heic_of(smooth(96, 64))
    monkeypatch.setattr(pillow_heif.HeifFile, "to_pillow", lambda _: pytest.fail("it was decoded"))
    monkeypatch.setattr(images, "MAX_PIXELS", 96 * 64 - 1)
    with pytest.raises(ImageError, match="This picture is 96 x 64, more than 50 megapixels"):
        open_image(data)


def test_a_transparent_photo_of_a_phone_lies_over_white() -> None:
    opened = np.asarray(open_image(heic_of(Image.new("RGBA", (64, 64), (0, 0, 0, 0)), quality=-1)))
    assert opened.min() >= 253


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_small_picture_comes_through_unchanged_from_bytes_and_from_a_path(mode: str, tmp_path: Any) -> None:
    image = random_image(mode=mode)
    (tmp_path / "image.png").write_bytes(data_of(image))
    for source in (data_of(image), tmp_path / "image.png", str(tmp_path / "image.png")):
        opened = open_image(source)
        assert opened.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(opened), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(
    ("size", "expected"), [((100, 50), (64, 32)), ((50, 100), (32, 64)), ((64, 64), (64, 64)), ((3000, 2), (64, 1))]
)
@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_the_longer_side_is_at_most_the_side_asked_for(
    size: tuple[int, int], expected: tuple[int, int], format: str
) -> None:
    assert open_image(data_of(Image.new("RGB", size), format), side=64).size == expected


def test_a_large_jpeg_keeps_its_colours() -> None:
    image = Image.new("RGB", (2000, 1000), (200, 30, 90))
    opened = np.asarray(open_image(data_of(image, "JPEG"), side=32))
    np.testing.assert_allclose(opened, np.broadcast_to([200, 30, 90], (16, 32, 3)), atol=3)


@pytest.mark.parametrize(("cmyk", "rgb"), [((0, 255, 255, 0), (255, 0, 0)), ((255, 0, 0, 0), (0, 255, 255)),
                                           ((0, 0, 0, 255), (0, 0, 0)), ((0, 0, 0, 0), (255, 255, 255))])  # fmt: skip
def test_cmyk_jpeg(cmyk: tuple[int, ...], rgb: tuple[int, ...]) -> None:
    opened = open_image(data_of(Image.new("CMYK", (16, 16), cmyk), "JPEG", quality=95))
    np.testing.assert_allclose(np.asarray(opened), np.broadcast_to(rgb, (16, 16, 3)), atol=4)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_grey_of_16_bits_keeps_its_shades(format: str) -> None:
    values = np.array([[0, 128, 257, 255], [32768, 40000, 65534, 65535]], dtype=np.uint16)
    opened = np.asarray(open_image(data_of(Image.fromarray(values), format)))
    np.testing.assert_array_equal(opened, np.rint(values[..., None] / 257.0).repeat(3, -1))


def test_dark_grey_of_16_bits_stays_dark() -> None:
    values = np.full((4, 4), 200, dtype=np.uint16)
    assert np.asarray(open_image(data_of(Image.fromarray(values)))).max() == 1


def paletted() -> Image.Image:
    image = Image.fromarray(np.array([[0, 1], [2, 1]], dtype=np.uint8), "L").convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    return image


def test_palette() -> None:
    np.testing.assert_array_equal(
        np.asarray(open_image(data_of(paletted()))), [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [0, 255, 0]]]
    )


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_a_transparent_palette_colour_is_white(format: str) -> None:
    np.testing.assert_array_equal(
        np.asarray(open_image(data_of(paletted(), format, transparency=1))),
        [[[255, 0, 0], [255, 255, 255]], [[0, 0, 255], [255, 255, 255]]],
    )


def test_a_palette_of_partial_transparency_lies_over_white() -> None:
    opened = np.asarray(open_image(data_of(paletted(), transparency=bytes([255, 0, 128]))))
    np.testing.assert_allclose(opened, [[[255, 0, 0], [255, 255, 255]], [[127, 127, 255], [255, 255, 255]]], atol=1)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGBA", (255, 0, 0, 255), (255, 0, 0)),
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (0, 100, 200, 128), (127, 177, 227)),
        ("LA", (0, 255), (0, 0, 0)),
        ("LA", (0, 0), (255, 255, 255)),
        ("LA", (100, 128), (177, 177, 177)),
    ],
)
def test_transparency_lies_over_white(mode: str, colour: tuple[int, ...], expected: tuple[int, ...]) -> None:
    opened = np.asarray(open_image(data_of(Image.new(mode, (4, 4), colour))))
    np.testing.assert_allclose(opened, np.broadcast_to(expected, (4, 4, 3)), atol=1)


def test_a_transparent_grey_and_a_transparent_colour_are_white() -> None:
    grey = Image.fromarray(np.array([[7, 80], [80, 7]], dtype=np.uint8))
    opened = np.asarray(open_image(data_of(grey, transparency=7)))
    np.testing.assert_array_equal(opened[..., 0], [[255, 80], [80, 255]])
    opened = np.asarray(open_image(data_of(grey.convert("RGB"), transparency=(80, 80, 80))))
    np.testing.assert_array_equal(opened[..., 0], [[7, 255], [255, 7]])


def test_one_bit() -> None:
    image = Image.fromarray(np.array([[0, 255], [255, 0]], dtype=np.uint8)).convert("1")
    np.testing.assert_array_equal(np.asarray(open_image(data_of(image)))[..., 1], [[0, 255], [255, 0]])


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_an_animation_gives_its_first_frame(format: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    options = {"lossless": True} if format == "WEBP" else {}
    data = data_of(frames[0], format, save_all=True, append_images=frames[1:], duration=50, **options)
    assert Image.open(io.BytesIO(data)).n_frames == 3  # type: ignore[attr-defined]
    np.testing.assert_array_equal(np.asarray(open_image(data)), np.asarray(frames[0]))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int) -> None:
    """The tag names the sides at which the stored rows and columns begin (EXIF 2.32, tag 0x0112)."""
    stored = np.asarray(random_image(3, 2))
    upright = {
        1: stored,  # top, left
        2: stored[:, ::-1],  # top, right
        3: stored[::-1, ::-1],  # bottom, right
        4: stored[::-1],  # bottom, left
        5: stored.swapaxes(0, 1),  # left, top
        6: np.rot90(stored, -1),  # right, top
        7: stored[::-1, ::-1].swapaxes(0, 1),  # right, bottom
        8: np.rot90(stored, 1),  # left, bottom
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    opened = open_image(data_of(Image.fromarray(stored), exif=exif))
    np.testing.assert_array_equal(np.asarray(opened), upright)


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_orientation_that_means_nothing_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(
        np.asarray(open_image(data_of(random_image(), exif=exif))), np.asarray(random_image())
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_every_byte_survives_the_way_to_a_tensor_and_back(channels: int) -> None:
    array = np.arange(256 * channels, dtype=np.uint32).astype(np.uint8).reshape(16, 16, channels)
    tensor = images.to_tensor(images.to_pil(array))
    assert tensor.shape == (channels, 16, 16) and tensor.dtype == torch.float32
    assert tensor.min() == -1 and tensor.max() == 1
    np.testing.assert_array_equal(images.to_bytes(tensor), array)


def test_a_tensor_has_its_channels_rows_and_columns_in_order() -> None:
    image = random_image(5, 4)
    tensor = images.to_tensor(image)
    for x, y in ((0, 0), (4, 0), (1, 3)):
        np.testing.assert_allclose((tensor[:, y, x].numpy() + 1) * 127.5, np.array(image.getpixel((x, y))), rtol=1e-4)


def test_bytes_are_rounded_to_the_nearest_and_clipped() -> None:
    greys = torch.tensor([[[-7.0, -1.0, 10.4, 10.6, 99.499, 99.501, 254.6, 300.0]]])
    x = torch.where(greys < 0, greys, greys / 127.5 - 1)
    assert images.to_bytes(x).ravel().tolist() == [0, 0, 10, 11, 99, 100, 255, 255]


def test_bytes_of_a_batch_are_a_batch() -> None:
    assert images.to_bytes(torch.zeros(5, 2, 3, 4, 6)).shape == (5, 2, 4, 6, 3)


@pytest.mark.parametrize(
    ("n", "columns", "rows_columns"),
    [(1, None, (1, 1)), (4, None, (2, 2)), (5, None, (2, 3)), (10, None, (3, 4)), (5, 5, (1, 5)), (3, 1, (3, 1))],
)
@pytest.mark.parametrize("gap", [0, 2])
def test_grid_puts_images_in_reading_order(
    n: int, columns: int | None, rows_columns: tuple[int, int], gap: int
) -> None:
    batch = np.random.default_rng(0).integers(0, 256, (n, 4, 6, 3), dtype=np.uint8)
    out, (rows, across) = images.grid(batch, columns, gap), rows_columns
    assert out.shape == (rows * (4 + gap) - gap, across * (6 + gap) - gap, 3)
    empty = np.ones(out.shape[:2], dtype=bool)
    for i in range(n):
        y, x = (i // across) * (4 + gap), (i % across) * (6 + gap)
        np.testing.assert_array_equal(out[y : y + 4, x : x + 6], batch[i])
        empty[y : y + 4, x : x + 6] = False
    assert (out[empty] == 128).all()


def test_enlarging_repeats_pixels() -> None:
    image = random_image(3, 2)
    np.testing.assert_array_equal(np.asarray(images.enlarge(image, 4)), np.asarray(image).repeat(4, 0).repeat(4, 1))


@pytest.mark.parametrize("format", ["PNG", "BMP"])
def test_encoded_bytes_are_a_file(format: str) -> None:
    opened = Image.open(io.BytesIO(images.encode(random_image(), format)))
    assert opened.format == format
    np.testing.assert_array_equal(np.asarray(opened), np.asarray(random_image()))


def test_differences_are_counted_in_grey_levels() -> None:
    a = np.zeros((2, 3, 3, 1), np.uint8)
    b = a.copy()
    b[0, 0, 0] = 255
    b[1, 2, 2] = 3
    found = images.difference(a, b)
    assert found.largest == 255  # and not 1, as uint8 would have it
    assert found.rms == pytest.approx(((255**2 + 9) / 18) ** 0.5)
