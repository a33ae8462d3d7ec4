"""Masks of other sources, by person of our own training table.

sources   finds out what a file or folder is, and hands it on
coco      COCO annotations and results: polygons and run lengths
png       PNG masks
scenes    the training images that masks may belong to
"""

from maskps.masks.imports.sources import import_outlines

__all__ = ["import_outlines"]
