"""Uploaded bytes of every kind, good and bad, and pictures on their way out."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from diffusion import images
from diffusion.images import ImageError, open_image


def data_of(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def random_image(width: int = 40, height: int = 30, mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(width * height)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).convert(mode)


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of one bit a pixel whose header promises a size, and whose pixels are rubbish."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

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


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # what Pillow has to say about damaged headers
@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "TIFF", "WEBP"])
def test_a_damaged_picture_is_opened_or_refused_and_nothing_else(format: str) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    options = {} if format == "GIF" else {"exif": exif}
    data, rng = data_of(random_image(), format, **options), np.random.default_rng(0)
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
        np.testing.assert_allclose((tensor[:, y, x].numpy() + 1) * 127.5, image.getpixel((x, y)), rtol=1e-4)


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
