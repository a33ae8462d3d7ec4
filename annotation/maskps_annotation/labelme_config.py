"""The LabelMe configuration of a pack: only keys that LabelMe 6 and 7 both know."""

from __future__ import annotations

import json

from maskps.masks.labelme_file import HOLE_FLAG

CONFIG_NAME = "labelmerc.yaml"
DONE_FLAG = "done"
"""Flag of an image whose persons are all drawn. LabelMe saves the file as soon as it is ticked."""
PROBLEM_FLAG = "problem"
"""Flag of an image that the annotator cannot finish."""
IMAGE_FLAGS = (DONE_FLAG, PROBLEM_FLAG)
SHAPE_FLAGS = (HOLE_FLAG, "accessory", "unsure")


def labelme_config(slots: int) -> str:
    """Returns the configuration for scenes of up to `slots` persons, as YAML.

    Given to LabelMe with --config, so that the annotator's own ~/.labelmerc changes nothing. Shapes are never
    copied from the image before (`keep_prev`), files are saved after every stroke, hold no pixels, and no
    label but p1, p2, ... is accepted.
    """
    values: dict[str, object] = {
        "auto_save": True,
        "with_image_data": False,
        "keep_prev": False,
        "labels": [f"p{number}" for number in range(1, slots + 1)],
        "sort_labels": False,  # p10 would stand before p2
        "validate_label": "exact",
        "flags": list(IMAGE_FLAGS),
        "label_flags": {"p[0-9]+$": list(SHAPE_FLAGS)},
    }
    # JSON is YAML: no quoting of our own.
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in values.items())
