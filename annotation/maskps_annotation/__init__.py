"""From LabelMe files to the outlines of a mask subset."""

from maskps_annotation.collect import build_subset_from_labelme, outlines_from_labelme

__all__ = ["build_subset_from_labelme", "outlines_from_labelme"]
