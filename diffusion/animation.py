"""Noise is the worst that a file format for moving pictures can be given, and here it is what is to be seen.

``animate`` makes GIF, WebP and MP4 of a sequence of pictures, in which noise stays noise as far as each of them can.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal, get_args

import numpy as np
from PIL import GifImagePlugin, Image

from diffusion.images import enlarge

Format = Literal["gif", "webp", "mp4"]
FORMATS: tuple[Format, ...] = get_args(Format)

# Rec. ITU-R BT.709: R'G'B' in 0 ... 255 to Y' in 16 ... 235 and Cb, Cr in 16 ... 240.
_RED, _GREEN, _BLUE = 0.2126, 0.7152, 0.0722
_LUMA = np.array([_RED, _GREEN, _BLUE])
_TO_YUV = np.array([
    219 * _LUMA,
    112 * (np.array([0, 0, 1]) - _LUMA) / (1 - _BLUE),
    112 * (np.array([1, 0, 0]) - _LUMA) / (1 - _RED),
]) / 255  # fmt: skip
_OFFSET = np.array([16, 128, 128])


def animate(
    frames: Sequence[Image.Image], format: Format, *, milliseconds: int, hold: int = 1200, scale: int = 1
) -> bytes:
    """The bytes of a file that shows the frames one after another.

    - ``"gif"``: endless, at most 256 colours a frame, times in units of 10 ms; plays everywhere.
    - ``"webp"``: endless, every pixel as it is.
    - ``"mp4"``: H.264, once; compressed, so lightly that pixels of noise are off by about one grey level.

    Args:
        frames: grey ("L") or RGB, all of one size; at least one.
        milliseconds: how long each is shown.
        hold: by how much longer the last is.
        scale: pixels are enlarged by it, without smoothing. Players of MP4 have one colour for 2 x 2 pixels, so there
            an odd scale is rounded up to an even one.
    """
    match format:
        case "gif":
            return _gif([enlarge(frame, scale) for frame in frames], milliseconds, hold)
        case "webp":
            return _webp([enlarge(frame, scale) for frame in frames], milliseconds, hold)
        case "mp4":
            return _mp4(frames, milliseconds, hold, scale + scale % 2)


def _gif(frames: list[Image.Image], milliseconds: int, hold: int) -> bytes:
    """Written frame by frame, because ``Image.save`` drops a frame that equals the one before it."""
    header, _ = GifImagePlugin.getheader(Image.new("L", frames[0].size), info={"loop": 0})
    parts = [*header]  # its colour table is the 256 greys; a frame in colour brings one of its own
    for i, frame in enumerate(frames):
        duration = max(10, round(milliseconds + hold * (i == len(frames) - 1), -1))
        if frame.mode == "L":
            parts += GifImagePlugin.getdata(frame.copy(), duration=duration)
        else:
            paletted = frame.quantize(256, dither=Image.Dither.NONE)
            parts += GifImagePlugin.getdata(paletted, duration=duration, include_color_table=True)
    return b"".join([*parts, b";"])


def _webp(frames: list[Image.Image], milliseconds: int, hold: int) -> bytes:
    """Frames that equal the one before are drawn as one, shown for as long as both."""
    buffer = io.BytesIO()
    first, *rest = [frame.convert("RGB") for frame in frames]
    durations = [milliseconds] * len(rest) + [milliseconds + hold]
    # Noise does not get smaller by effort: the quickest way to keep it.
    first.save(
        buffer, "WEBP", save_all=True, append_images=rest, duration=durations, loop=0,
        lossless=True, quality=0, method=0,
    )  # fmt: skip
    return buffer.getvalue()


def _mp4(frames: Sequence[Image.Image], milliseconds: int, hold: int, scale: int) -> bytes:
    """H.264 with one colour for 2 x 2 pixels (4:2:0), which is what every player shows.

    Every pixel of a frame is enlarged to whole blocks of 2 x 2, so none shares its colour with another.
    """
    import av  # takes long to import: only this format needs it
    from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        rate = Fraction(1000, milliseconds)
        stream = container.add_stream("libx264", rate=rate, options={"crf": "12", "preset": "fast"})
        stream.width, stream.height = (scale * side for side in frames[0].size)
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        for frame in [*frames, *[frames[-1]] * round(hold / milliseconds)]:
            rgb = np.asarray(frame.convert("RGB"))
            y, u, v = np.moveaxis(np.rint(rgb @ _TO_YUV.T + _OFFSET).astype(np.uint8), -1, 0)
            # The planes one below the other: Y, then U and V at half its size.
            planes = [_blocks(y, scale), _blocks(u, scale // 2), _blocks(v, scale // 2)]
            array = np.concatenate([plane.ravel() for plane in planes]).reshape(-1, stream.width)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(array, format="yuv420p")))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _blocks(plane: np.ndarray, scale: int) -> np.ndarray:
    return plane.repeat(scale, axis=0).repeat(scale, axis=1)
