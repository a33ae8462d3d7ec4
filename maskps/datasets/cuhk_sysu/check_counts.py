"""The persons and images of CUHK-SYSU, counted as the reader counts them."""

from __future__ import annotations

import numpy as np

from maskps.datasets.cuhk_sysu.check_files import Annotation
from maskps.datasets.cuhk_sysu.check_labels import Labels
from maskps.datasets.cuhk_sysu.check_published import PUBLISHED_COUNTS


def counted(files: Annotation, labels: Labels | None) -> dict[str, int | None]:
    """Returns what `PUBLISHED_COUNTS` lists, counted as the reader counts; None where a file is missing."""
    counts: dict[str, int | None] = dict.fromkeys(PUBLISHED_COUNTS)
    images, pool, train = files.images, files.pool, files.train
    if pool is not None:
        counts["test images"] = len(set(pool))
    if train is not None:
        counts["training identities"] = len(train.ids)
        counts["appearances in Train.mat"] = len(train.names)
    if images is None:
        return counts
    counts["images"] = len(images.names)
    if pool is None or labels is None:
        return counts
    is_test = np.isin(np.array(images.names, dtype=np.str_), np.array(pool, dtype=np.str_))
    counts["training images"] = int((~is_test).sum())
    scene = images.scene_of_person
    for split, column, chosen in (("training", labels.train, ~is_test), ("test", labels.test, is_test)):
        if column is not None:
            labeled = (column != None) & chosen[scene]  # noqa: E711
            counts[f"labeled {split} persons"] = int(labeled.sum())
            counts[f"unlabeled {split} persons"] = int((images.has_area & chosen[scene] & ~labeled).sum())
            if split == "training":
                per_scene = np.bincount(scene[labeled], minlength=len(images.names))
                without = (per_scene == 0) & chosen
                counts["training images without a labeled person"] = int(without.sum())
    return counts
