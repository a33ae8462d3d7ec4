"""Outlines of persons, exact mask targets cut from them, and their files.

outlines        the polygons of a person, and the pixel convention
coverage        exact mask targets: the covered share of every cell of a box
mask_file       masks.json (COCO)
labelme_file    LabelMe files
rle, coco_rle   run lengths, for other readers
rasterising, tracing    bitmaps of outlines, outlines of bitmaps
proposed_outlines       outlines proposed by a network, to be corrected by hand
coco_categories who is a person in a COCO file: one rule for masks and data sets
imports         masks of other sources; assignment finds their persons
"""

from maskps.masks.coverage import coverage, mask_targets, pad_edges
from maskps.masks.labelme_file import (
    BOX_KEY,
    HOLE_FLAG,
    LabelMeFile,
    LabelMeShape,
    read_labelme,
    write_labelme,
)
from maskps.masks.mask_file import PersonMasks, masks_of_scenes, read_masks, write_masks
from maskps.masks.outlines import (
    Outline,
    flip_edges,
    outline_from_polygons,
    outline_from_shapely,
    scale_edges,
)

__all__ = [
    "BOX_KEY",
    "HOLE_FLAG",
    "LabelMeFile",
    "LabelMeShape",
    "Outline",
    "PersonMasks",
    "coverage",
    "flip_edges",
    "mask_targets",
    "masks_of_scenes",
    "outline_from_polygons",
    "outline_from_shapely",
    "pad_edges",
    "read_labelme",
    "read_masks",
    "scale_edges",
    "write_labelme",
    "write_masks",
]
