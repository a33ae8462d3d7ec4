"""The usual ways to 14x14 mask targets, with the calls that the toolkits make, for bench_mask_targets.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask
from torchvision.models.detection.roi_heads import project_masks_on_boxes
from torchvision.ops import roi_align

from maskps.masks import mask_targets, pad_edges

try:
    from skimage.draw import polygon as skimage_polygon
except ImportError as error:
    raise SystemExit("scikit-image is missing; try: python -m pip install -e '.[bench]'") from error

WIDTH, HEIGHT = 1500, 900
"""Of the images, pixels: the shorter side is that of the paper's training."""

SIZE, FINE = 14, 112


@dataclass(frozen=True)
class Batch:
    """The persons of one image, and one (person, box) pair per target.

    Attributes:
        rings: of each person, (40, 2) float64, x, y.
        boxes: (N, 4) float64 xyxy.
        matched: (N,) int64, the person of each box.
    """

    rings: list[NDArray[np.float64]]
    boxes: NDArray[np.float64]
    matched: NDArray[np.int64]

    def mirrored(self) -> Batch:
        rings = [(ring * (-1, 1) + (WIDTH, 0))[::-1] for ring in self.rings]
        boxes = np.stack(
            [WIDTH - self.boxes[:, 2], self.boxes[:, 1], WIDTH - self.boxes[:, 0], self.boxes[:, 3]], 1
        )
        return Batch(rings, boxes, self.matched)

    def pairs(self) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        return [(self.rings[person], box) for person, box in zip(self.matched, self.boxes, strict=True)]


# Bitmaps of whole images, (8, 900, 1500) uint8: once per person.


def coco_bitmaps(batch: Batch) -> torch.Tensor:
    return torch.from_numpy(np.stack([coco_bitmap(ring, HEIGHT, WIDTH) for ring in batch.rings]))


def labelme_bitmaps(batch: Batch) -> torch.Tensor:
    """As LabelMe's `shape_to_mask`: the polygon with its outline, in Pillow."""
    return torch.from_numpy(np.stack([pillow_bitmap(ring, HEIGHT, WIDTH) for ring in batch.rings]))


def coco_bitmap(ring: NDArray[np.float64], height: int, width: int) -> NDArray[np.uint8]:
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([ring.ravel().tolist()], height, width)))


def pillow_bitmap(ring: NDArray[np.float64], height: int, width: int) -> NDArray[np.uint8]:
    canvas = Image.new("L", (width, height))
    ImageDraw.Draw(canvas).polygon([tuple(point) for point in ring.tolist()], outline=1, fill=1)
    return np.asarray(canvas)


# Methods: from a batch, and the bitmaps where a method needs them, to (N, 14, 14), bool or covered shares.


def ours(batch: Batch, _: None) -> NDArray:
    return mask_targets(edges_of(batch)[batch.matched], batch.boxes)


def ours_as_tensors(batch: Batch, _: None) -> NDArray:
    edges = torch.from_numpy(edges_of(batch)).float()[torch.from_numpy(batch.matched)]
    return mask_targets(edges, torch.from_numpy(batch.boxes).float()).numpy()


def edges_of(batch: Batch) -> NDArray[np.float64]:
    return pad_edges([np.hstack([ring, np.roll(ring, -1, axis=0)]) for ring in batch.rings])


def by_shapely(batch: Batch, _: None) -> NDArray:
    result = []
    for ring, box in batch.pairs():
        x, y = np.linspace(box[0], box[2], SIZE + 1), np.linspace(box[1], box[3], SIZE + 1)
        cells = shapely.box(x[None, :-1], y[:-1, None], x[None, 1:], y[1:, None])
        result.append(shapely.area(shapely.intersection(cells, shapely.Polygon(ring))) / shapely.area(cells))
    return np.stack(result)


def coco_direct(batch: Batch, _: None) -> NDArray:
    """detectron2's PolygonMasks: `rasterize_polygons_within_box`."""
    return np.stack([coco_bitmap(on_grid(ring, box, SIZE), SIZE, SIZE) for ring, box in batch.pairs()])


def coco_fine(batch: Batch, _: None) -> NDArray:
    return np.stack([mean(coco_bitmap(on_grid(ring, box, FINE), FINE, FINE)) for ring, box in batch.pairs()])


def pillow_direct(batch: Batch, _: None) -> NDArray:
    return np.stack([pillow_bitmap(on_grid(ring, box, SIZE), SIZE, SIZE) for ring, box in batch.pairs()])


def pillow_fine(batch: Batch, _: None) -> NDArray:
    return np.stack(
        [mean(pillow_bitmap(on_grid(ring, box, FINE), FINE, FINE)) for ring, box in batch.pairs()]
    )


def skimage_direct(batch: Batch, _: None) -> NDArray:
    return np.stack([skimage_bitmap(on_grid(ring, box, SIZE)) for ring, box in batch.pairs()])


def skimage_centres(batch: Batch, _: None) -> NDArray:
    """scikit-image asks at whole numbers, so that half a cell less asks at the centres of the cells."""
    return np.stack([skimage_bitmap(on_grid(ring, box, SIZE) - 0.5) for ring, box in batch.pairs()])


def roi_align_half_pixel(batch: Batch, bitmaps: torch.Tensor) -> NDArray:
    """detectron2's BitMasks and mmdetection's BitmapMasks, but with one copy of each person's bitmap."""
    rois = torch.from_numpy(np.hstack([batch.matched[:, None], batch.boxes])).float()
    return roi_align(bitmaps[:, None].float(), rois, (SIZE, SIZE), 1.0, 0, True)[:, 0].numpy()


def roi_align_torchvision(batch: Batch, bitmaps: torch.Tensor) -> NDArray:
    """torchvision's own function; it takes the shares as they are, we put its cells at a half."""
    boxes, matched = torch.from_numpy(batch.boxes).float(), torch.from_numpy(batch.matched)
    return project_masks_on_boxes(bitmaps, boxes, matched, SIZE).numpy()


def crop_area(batch: Batch, bitmaps: torch.Tensor) -> NDArray:
    return crop(batch, bitmaps, Image.Resampling.BOX)


def crop_nearest(batch: Batch, bitmaps: torch.Tensor) -> NDArray:
    return crop(batch, bitmaps, Image.Resampling.NEAREST)


def crop(batch: Batch, bitmaps: torch.Tensor, how: Image.Resampling) -> NDArray:
    """The bitmap cut at the box in whole pixels, then made smaller by Pillow."""
    result, pixels = [], bitmaps.numpy()
    for person, box in zip(batch.matched, np.round(batch.boxes).astype(int), strict=True):
        cut = Image.fromarray(pixels[person, box[1] : box[3], box[0] : box[2]] * np.float32(1))
        result.append(np.asarray(cut.resize((SIZE, SIZE), how)))
    return np.stack(result)


def on_grid(ring: NDArray[np.float64], box: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    return (ring - box[:2]) * (size / (box[2:] - box[:2]))


def mean(bitmap: NDArray[np.uint8]) -> NDArray[np.float64]:
    return bitmap.reshape(SIZE, FINE // SIZE, SIZE, FINE // SIZE).mean(axis=(1, 3))


def skimage_bitmap(ring: NDArray[np.float64]) -> NDArray[np.bool_]:
    bitmap = np.zeros((SIZE, SIZE), bool)
    bitmap[skimage_polygon(ring[:, 1], ring[:, 0], bitmap.shape)] = True
    return bitmap


@dataclass(frozen=True)
class Method:
    """A row of the table."""

    name: str
    targets: Callable[[Batch, Any], NDArray]
    bitmaps: Callable[[Batch], torch.Tensor] | None = None

    def prepared(self, batch: Batch) -> torch.Tensor | None:
        return self.bitmaps(batch) if self.bitmaps else None


METHODS = [
    Method("**exact area (maskps, numpy)**", ours),
    Method("exact area (maskps, torch, float32)", ours_as_tensors),
    Method("shapely, 196 intersections", by_shapely),
    Method("pycocotools at 112, mean of 8x8", coco_fine),
    Method("centres of the cells (scikit-image, moved by half a cell)", skimage_centres),
    Method(
        "pycocotools bitmap, RoIAlign `aligned=True` (detectron2 BitMasks, mmdetection)",
        roi_align_half_pixel,
        coco_bitmaps,
    ),
    Method("pycocotools bitmap, cut in whole pixels, area (Pillow)", crop_area, coco_bitmaps),
    Method("Pillow at 112, mean of 8x8", pillow_fine),
    Method("pycocotools at 14 (detectron2 PolygonMasks)", coco_direct),
    Method("pycocotools bitmap, `project_masks_on_boxes` (torchvision)", roi_align_torchvision, coco_bitmaps),
    Method("LabelMe bitmap, `project_masks_on_boxes` (torchvision)", roi_align_torchvision, labelme_bitmaps),
    Method("LabelMe bitmap, cut in whole pixels, area (Pillow)", crop_area, labelme_bitmaps),
    Method("LabelMe bitmap, cut in whole pixels, nearest (Pillow)", crop_nearest, labelme_bitmaps),
    Method("Pillow at 14", pillow_direct),
    Method("scikit-image at 14, not moved", skimage_direct),
]
