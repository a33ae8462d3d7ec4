"""Pieces of pictures: what is drawn where."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from maskps.masks.outlines import Outline, outline_from_polygons
from maskps.pictures import drawing


def plain(size: tuple[int, int], colour: drawing.Colour = (10, 20, 30)) -> Image.Image:
    return Image.new("RGB", size, colour)


def test_crop_tile_shows_the_box_where_it_says() -> None:
    """A red box in a black image: the tile is red inside the returned box and black around it."""
    image = plain((100, 80), (0, 0, 0))
    image.paste((255, 0, 0), (40, 20, 60, 60))
    tile, box = drawing.crop_tile(image, np.array([40, 20, 60, 60]), (200, 300), context=0.25)
    np.testing.assert_allclose(box, [50, 50, 150, 250])
    pixels = np.asarray(tile)
    assert tuple(pixels[150, 100]) == (255, 0, 0)
    assert tuple(pixels[150, 20]) == (0, 0, 0) and tuple(pixels[20, 100]) == (0, 0, 0)


@pytest.mark.parametrize("box", [[-30, -10, 10, 40], [90, 60, 130, 120], [0, 0, 100, 80], [50, 40, 50, 40]])
def test_crop_tile_has_its_size_also_at_the_image_border(box: list[float]) -> None:
    tile, _ = drawing.crop_tile(plain((100, 80)), np.array(box), (60, 120), context=0.2)
    assert tile.size == (60, 120)


def test_crop_tile_leaves_empty_what_lies_beyond_the_image() -> None:
    tile, _ = drawing.crop_tile(plain((100, 80)), np.array([-20, 0, 20, 80]), (40, 80))
    pixels = np.asarray(tile)
    assert tuple(pixels[40, 5]) == drawing.OUTSIDE and tuple(pixels[40, 35]) == (10, 20, 30)


def test_crop_tile_of_a_box_wholly_outside_is_empty() -> None:
    tile, _ = drawing.crop_tile(plain((100, 80)), np.array([300, 300, 340, 380]), (40, 80))
    assert (np.asarray(tile) == drawing.OUTSIDE).all()


def test_dashes_of_a_frame_reach_the_corners_and_leave_gaps() -> None:
    canvas = plain((200, 120))
    drawing.draw_frame(canvas, [10, 10, 190, 110], drawing.ORANGE, width=4, dashed=True)
    top = np.asarray(canvas)[11, 10:190]
    is_dash = (top == drawing.ORANGE).all(axis=1)
    assert is_dash[:4].all() and is_dash[-4:].all()
    assert (top[~is_dash] == drawing.WHITE).all() and 0.4 < is_dash.mean() < 0.75


@pytest.mark.parametrize("box", [[0, 0, 1, 1], [5, 5, 5, 5], [5, 5, 9, 40]])
def test_frames_of_tiny_boxes_are_drawn(box: list[float]) -> None:
    for dashed in (False, True):
        canvas = plain((60, 60))
        drawing.draw_frame(canvas, box, drawing.BLUE, width=5, dashed=dashed)
        assert canvas.getpixel((int(box[0]), int(box[1]))) == drawing.BLUE


def test_target_tile_has_one_square_per_cell() -> None:
    target = np.zeros((14, 14), dtype=bool)
    target[2, 5] = True
    tile = np.asarray(drawing.target_tile(target, 280))
    centers = tile[10::20, 10::20]
    assert (centers[target] == drawing.BLUE).all() and (centers[~target] == drawing.EMPTY).all()


def test_overlay_keeps_the_cells_that_are_on_and_darkens_the_rest() -> None:
    target = np.zeros((14, 14), dtype=bool)
    target[:, :7] = True
    tile = plain((160, 300), (200, 100, 50))
    shown = np.asarray(drawing.overlay_target(tile, np.array([10, 10, 150, 290]), target))
    assert tuple(shown[150, 40]) == (200, 100, 50)
    assert shown[150, 120].sum() < 200 and shown[5, 5].sum() < 200


def test_outline_is_painted_without_its_hole() -> None:
    square = np.array([[10, 10], [90, 10], [90, 90], [10, 90]], float)
    hole = np.array([[35, 35], [65, 35], [65, 65], [35, 65]], float)
    canvas = plain((100, 100), (255, 255, 255))
    drawing.paint_outline(canvas, outline_from_polygons([square], holes=[hole], where="test"))
    pixels = np.asarray(canvas)
    assert tuple(pixels[50, 50]) == (255, 255, 255) and tuple(pixels[2, 2]) == (255, 255, 255)
    assert tuple(pixels[22, 22]) != (255, 255, 255)


def test_empty_outline_paints_nothing() -> None:
    canvas = plain((30, 30))
    drawing.paint_outline(canvas, Outline(()))
    assert (np.asarray(canvas) == (10, 20, 30)).all()


def test_marks_differ_in_shape_as_well_as_in_colour() -> None:
    """The corner of the badge is paper for the disc and coloured for the square."""
    right, wrong = plain((60, 60)), plain((60, 60))
    drawing.draw_mark(right, (30, 30), 40, is_right=True)
    drawing.draw_mark(wrong, (30, 30), 40, is_right=False)
    assert right.getpixel((12, 12)) == (10, 20, 30) and wrong.getpixel((17, 17)) == drawing.VERMILION


def test_long_text_is_cut_to_its_width() -> None:
    canvas = plain((400, 60), (255, 255, 255))
    drawing.write_text(canvas, (0, 0), "a very long name of an image file.jpg", size=30, width=200)
    columns = np.flatnonzero((np.asarray(canvas) != 255).any(axis=(0, 2)))
    assert 100 < columns.max() < 205
