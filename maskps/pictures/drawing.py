"""The elements of pictures: colours, text, crops, frames, marks, outlines and targets.

The colours are those of Okabe and Ito, which people with any kind of colour blindness can distinguish. A mark
or a line style repeats the meaning of each colour. Sizes are in pixels of the finished picture.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from maskps.io.images import read_image
from maskps.masks.outlines import Outline

_COVER = 0.72

Picture = Image.Image | NDArray[np.uint8] | Path
"""An image: opened by Pillow, as (H, W, 3) uint8 RGB, or the path of its file."""

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
INK: Colour = (33, 37, 41)
SOFT_INK: Colour = (96, 104, 112)
HAIRLINE: Colour = (214, 219, 224)
PAPER: Colour = (255, 255, 255)
EMPTY: Colour = (232, 236, 240)
OUTSIDE: Colour = (205, 211, 217)
BLUE: Colour = (0, 114, 178)
GREEN: Colour = (0, 158, 115)
VERMILION: Colour = (213, 94, 0)
ORANGE: Colour = (230, 159, 0)
SKY: Colour = (86, 180, 233)


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Returns the font that comes with Pillow; no font of the system is needed."""
    return ImageFont.load_default(size)


def open_picture(picture: Picture) -> Image.Image:
    """Returns the image as RGB.

    Raises:
        InputFileError: there is no readable image at the path.
    """
    if isinstance(picture, Image.Image):
        return picture.convert("RGB")
    return Image.fromarray(read_image(picture) if isinstance(picture, Path) else picture)


def shrunk(image: Image.Image, longest: int) -> tuple[Image.Image, float]:
    """Returns a copy whose longer side is at most so many pixels, and its scale, at most 1."""
    scale = min(1.0, longest / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS), scale


def data_url(picture: Image.Image) -> str:
    """Returns the picture as a data URL."""
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=80, method=2)  # 2.4 times as fast as 4, 6 % larger
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"


def write_text(
    canvas: Image.Image,
    at: tuple[float, float],
    text: str,
    *,
    size: int,
    colour: Colour = INK,
    anchor: str = "la",
    bold: bool = False,
    width: float = 0,
) -> None:
    """Writes one line of text. Text wider than `width` ends in "..."."""
    while width and len(text) > 4 and font(size).getlength(text) > width:
        text = text[:-4].rstrip() + "..."
    ImageDraw.Draw(canvas).text(
        at, text, colour, font(size), anchor=anchor, stroke_width=size / 60 if bold else 0, stroke_fill=colour
    )


def text_width(text: str, size: int) -> float:
    return float(font(size).getlength(text))


def crop_tile(
    image: Image.Image, box: NDArray[np.floating], size: tuple[int, int], *, context: float = 0.0
) -> tuple[Image.Image, NDArray[np.float64]]:
    """Returns a (width, height) tile that shows the box, and the place of the box in it.

    The tile shows the box and a margin of `context` times its sides, widened to the tile's proportions. Parts
    beyond the image stay empty.

    Returns:
        The tile, and (4,) float64 xyxy of the box in it.
    """
    box = np.asarray(box, dtype=np.float64)
    center, sides = (box[:2] + box[2:]) / 2, np.maximum(box[2:] - box[:2], 1.0) * (1 + 2 * context)
    scale = min(size[0] / sides[0], size[1] / sides[1])
    origin = center - np.array(size) / (2 * scale)
    low = np.clip(origin, 0, image.size)
    high = np.clip(origin + np.array(size) / scale, 0, image.size)
    tile = Image.new("RGB", size, OUTSIDE)
    begin = np.round((low - origin) * scale).astype(int)
    shape = np.round((high - origin) * scale).astype(int) - begin
    if (shape > 0).all() and (high > low).all():
        region = (low[0], low[1], high[0], high[1])
        tile.paste(
            image.resize((int(shape[0]), int(shape[1])), Image.Resampling.BICUBIC, box=region), (*begin,)
        )
    return tile, (box - np.tile(origin, 2)) * scale


def dim_outside(tile: Image.Image, box: NDArray[np.float64], *, strength: float = 0.45) -> Image.Image:
    """Returns the tile faded to white outside the box; the context stays visible."""
    keep = Image.new("L", tile.size, round(255 * strength))
    ImageDraw.Draw(keep).rectangle([*np.round(box[:2]), *(np.round(box[2:]) - 1)], fill=0)
    return Image.composite(Image.new("RGB", tile.size, WHITE), tile, keep)


def draw_frame(
    canvas: Image.Image, box: Sequence[float], colour: Colour, *, width: int, dashed: bool = False
) -> None:
    """Draws a rectangle with its line inside the box: solid, or dashed with white gaps."""
    draw = ImageDraw.Draw(canvas)
    x0, y0, x1, y1 = (round(float(value)) for value in box)
    x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
    if not dashed:
        draw.rectangle([x0, y0, x1 - 1, y1 - 1], outline=colour, width=width)
        return
    draw.rectangle([x0, y0, x1 - 1, y1 - 1], outline=WHITE, width=width)
    for begin, end in _dashes(x0, x1, width):
        draw.rectangle([begin, y0, end, y0 + width - 1], fill=colour)
        draw.rectangle([begin, y1 - width, end, y1 - 1], fill=colour)
    for begin, end in _dashes(y0, y1, width):
        draw.rectangle([x0, begin, x0 + width - 1, end], fill=colour)
        draw.rectangle([x1 - width, begin, x1 - 1, end], fill=colour)


def _dashes(begin: int, end: int, width: int) -> list[tuple[int, int]]:
    """Returns dashes of equal length. Both ends have a dash, so the corners are drawn."""
    count = max(1, round((end - begin) / (5 * width)))
    step = (end - begin) / (2 * count - 1)
    return [
        (round(begin + 2 * i * step), max(round(begin + (2 * i + 1) * step), begin + 1) - 1)
        for i in range(count)
    ]


def draw_mark(canvas: Image.Image, center: tuple[float, float], diameter: int, *, is_right: bool) -> None:
    """Draws a tick in a green disc, or a cross in a vermilion square."""
    fine = 4
    side = diameter * fine
    badge = Image.new("RGBA", (side, side), (*WHITE, 0))
    draw = ImageDraw.Draw(badge)
    body = [0, 0, side - 1, side - 1]
    ring = side // 14
    inner = [ring, ring, side - 1 - ring, side - 1 - ring]
    stroke = side // 9
    if is_right:
        draw.ellipse(body, fill=WHITE)
        draw.ellipse(inner, fill=GREEN)
        points = [(0.27 * side, 0.53 * side), (0.44 * side, 0.69 * side), (0.74 * side, 0.34 * side)]
        _stroke(draw, points, stroke)
    else:
        draw.rounded_rectangle(body, side // 6, fill=WHITE)
        draw.rounded_rectangle(inner, side // 7, fill=VERMILION)
        low, high = 0.31 * side, 0.69 * side
        _stroke(draw, [(low, low), (high, high)], stroke)
        _stroke(draw, [(low, high), (high, low)], stroke)
    badge = badge.resize((diameter, diameter), Image.Resampling.LANCZOS)
    canvas.paste(badge, (round(center[0] - diameter / 2), round(center[1] - diameter / 2)), badge)


def _stroke(draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], width: int) -> None:
    draw.line(points, fill=WHITE, width=width, joint="curve")
    for x, y in (points[0], points[-1]):
        draw.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], fill=WHITE)


def paint_outline(canvas: Image.Image, outline: Outline, *, opacity: float = 0.3) -> None:
    """Paints an outline, in pixels of the canvas: a sky-blue veil with a firm rim. Holes stay free.

    The rim is blue on white, so it stands out from dark and light clothes.
    """
    fine = 2
    size = (canvas.width * fine, canvas.height * fine)
    veil, halo, rim = (Image.new("L", size, 0) for _ in range(3))
    for outer, holes in outline.parts():
        ImageDraw.Draw(veil).polygon(_points(outer * fine), fill=round(255 * opacity))
        for hole in holes:
            ImageDraw.Draw(veil).polygon(_points(hole * fine), fill=0)
        for ring in (outer, *holes):
            closed = _points(np.concatenate([ring, ring[:2]]) * fine)
            ImageDraw.Draw(halo).line(closed, fill=200, width=6 * fine, joint="curve")
            ImageDraw.Draw(rim).line(closed, fill=255, width=3 * fine, joint="curve")
    for colour, mask in ((SKY, veil), (WHITE, halo), (BLUE, rim)):
        canvas.paste(colour, (0, 0, *canvas.size), mask.resize(canvas.size, Image.Resampling.BOX))


def _points(ring: NDArray[np.float64]) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in ring]


def target_tile(target: NDArray, side: int) -> Image.Image:
    """Returns a mask target as sharp squares: dark for 1, light for 0, in between for a soft target."""
    cells = np.asarray(target, dtype=np.float64)[..., None]
    colours = np.round(np.array(EMPTY) * (1 - cells) + np.array(BLUE) * cells).astype(np.uint8)
    tile = Image.fromarray(colours).resize((side, side), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(tile)
    for line in np.round(np.linspace(0, side, cells.shape[0] + 1)[1:-1]).astype(int).tolist():
        draw.line([line, 0, line, side], fill=WHITE, width=2)
        draw.line([0, line, side, line], fill=WHITE, width=2)
    return tile


def overlay_target(tile: Image.Image, box: NDArray[np.float64], target: NDArray) -> Image.Image:
    """Returns the tile darkened outside the box, and inside it where the target is 0."""
    x0, y0, x1, y1 = np.round(box).astype(int).tolist()
    size = (max(x1 - x0, 1), max(y1 - y0, 1))
    off = Image.fromarray(
        np.round(255 * _COVER * (1 - np.asarray(target, dtype=np.float64))).astype(np.uint8)
    )
    cover = Image.new("L", tile.size, round(255 * _COVER))
    cover.paste(off.resize(size, Image.Resampling.NEAREST), (x0, y0))
    return Image.composite(Image.new("RGB", tile.size, (20, 32, 44)), tile, cover)
