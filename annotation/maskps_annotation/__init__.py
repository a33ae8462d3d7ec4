"""From LabelMe files to the outlines of a mask subset."""
