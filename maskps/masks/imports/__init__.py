"""Masks of other sources, by person of our own training table.

sources   finds out what a file or folder is, and hands it on
coco      COCO annotations and results: polygons and run lengths
png       PNG masks
yolo      YOLO segmentation labels
cvat      CVAT for images 1.1
foreign   files of other tools: which they are, and the export that works
scenes    the training images that masks may belong to
"""

from maskps.masks.imports.sources import import_outlines

__all__ = ["import_outlines"]
