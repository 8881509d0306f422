"""Animations, read back by other code than wrote them: every frame, its colours, and for how long it is shown."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from diffusion.animation import FORMATS, Format, animate


def noise(mode: str = "RGB", seed: int = 0, size: tuple[int, int] = (45, 30)) -> Image.Image:
    """Gaussian noise about mid-grey, an odd number of pixels wide."""
    width, height = size
    shape = (height, width, 3)[: 2 + (mode == "RGB")]
    values = 127.5 + 60 * np.random.default_rng(seed).standard_normal(shape)
    return Image.fromarray(values.round().clip(0, 255).astype(np.uint8))


def read(data: bytes, mode: str = "RGB") -> tuple[list[np.ndarray], list[int]]:
    """Frames and durations in milliseconds, as Pillow reads them; the animation is endless."""
    frames, durations = [], []
    with Image.open(io.BytesIO(data)) as animation:
        assert animation.info["loop"] == 0
        for i in range(animation.n_frames):  # type: ignore[attr-defined]
            animation.seek(i)
            frames.append(np.asarray(animation.convert(mode)))
            durations.append(animation.info["duration"])
    return frames, durations


def brightness(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(pixels.mean(-1))


def colour(pixels: np.ndarray) -> np.ndarray:
    """More red than blue."""
    return np.asarray(pixels[..., 0] - pixels[..., 2])


def read_mp4(data: bytes) -> tuple[list[np.ndarray], Fraction]:
    """Frames as RGB, as ffmpeg converts them, and how many are shown a second."""
    with av.open(io.BytesIO(data), "r") as container:
        (stream,) = container.streams
        assert isinstance(stream, av.VideoStream)
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        rate = stream.average_rate
    assert rate is not None
    return frames, rate


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("order", [[0], [0, 1, 2], [0, 0], [0, 0, 1, 1, 1, 0], [0, 0, 0, 0]])
def test_a_gif_has_every_frame_even_those_that_equal_the_one_before(mode: str, order: list[int]) -> None:
    shades = [noise(mode, i, (12, 10)).quantize(64).convert(mode) for i in range(3)]
    frames = [shades[i] for i in order]
    found, durations = read(animate(frames, "gif", milliseconds=40, hold=500), mode)
    assert durations == [40] * (len(order) - 1) + [540]
    for frame, expected in zip(found, frames, strict=True):
        np.testing.assert_array_equal(frame, np.asarray(expected))


def test_a_gif_of_flat_frames() -> None:
    frames = [Image.new("RGB", (12, 10), colour) for colour in ((0, 0, 0), (250, 10, 60), (250, 10, 60), (1, 1, 1))]
    found, _ = read(animate(frames, "gif", milliseconds=40))
    for frame, expected in zip(found, frames, strict=True):
        np.testing.assert_array_equal(frame, np.asarray(expected))


@pytest.mark.parametrize(("milliseconds", "expected"), [(1, 10), (14, 10), (16, 20), (33, 30), (38, 40), (1000, 1000)])
def test_gif_times_are_rounded_to_hundredths(milliseconds: int, expected: int) -> None:
    _, durations = read(animate([noise()] * 3, "gif", milliseconds=milliseconds, hold=0))
    assert durations == [expected] * 3


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_webp_keeps_every_pixel_of_noise_and_the_time_of_every_frame(mode: str) -> None:
    frames = [noise(mode, i) for i in range(5)]
    found, durations = read(animate(frames, "webp", milliseconds=70, hold=500))
    assert durations == [70] * 4 + [570]
    for frame, expected in zip(found, frames, strict=True):
        np.testing.assert_array_equal(frame, np.asarray(expected.convert("RGB")))
    # Frames that are alike are one, shown for as long.
    found, durations = read(animate([frames[0], frames[1], frames[1]], "webp", milliseconds=70, hold=0))
    assert durations == [70, 140]


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_mp4_keeps_the_noise_of_every_pixel_in_brightness_and_in_colour(mode: str) -> None:
    frames = [noise(mode, i) for i in range(5)]
    found, rate = read_mp4(animate(frames, "mp4", milliseconds=80, hold=400))
    assert rate == Fraction(1000, 80)
    assert len(found) == 5 + 400 // 80
    for frame, image in zip(found, frames, strict=False):
        expected = np.asarray(image.convert("RGB")).astype(float)
        assert frame.shape == (2 * 30, 2 * 45, 3)
        pixels = frame.reshape(30, 2, 45, 2, 3).mean((1, 3))
        assert np.abs(pixels - expected).mean() < 3
        for part in (brightness, colour):
            assert part(pixels).std() == pytest.approx(part(expected).std(), rel=0.03, abs=2)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (128, 128, 128), (255, 0, 0), (0, 255, 0), (0, 0, 255)])
def test_mp4_has_the_colours_that_it_was_given(colour: tuple[int, int, int]) -> None:
    found, _ = read_mp4(animate([Image.new("RGB", (16, 16), colour)] * 2, "mp4", milliseconds=50, hold=0))
    assert np.abs(found[-1].astype(int) - colour).max() <= 3


@pytest.mark.parametrize(("format", "scale", "size"), [("gif", 3, 3), ("webp", 2, 2), ("mp4", 1, 2), ("mp4", 4, 4)])
def test_pixels_are_enlarged(format: Format, scale: int, size: int) -> None:
    data = animate([noise(seed=i, size=(9, 20)) for i in (0, 1)], format, milliseconds=50, hold=0, scale=scale)
    found, _ = read_mp4(data) if format == "mp4" else read(data)
    assert found[0].shape == (size * 20, size * 9, 3)


@pytest.mark.parametrize("format", FORMATS)
def test_animating_leaves_the_frames_alone(format: Format) -> None:
    frames = [noise("L"), noise("L", 1)]
    animate(frames, format, milliseconds=40)
    for i, frame in enumerate(frames):
        assert frame.mode == "L"
        np.testing.assert_array_equal(np.asarray(frame), np.asarray(noise("L", i)))
