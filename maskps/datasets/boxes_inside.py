"""What training and evaluation refuse: persons with no part in their image, for `verify` an error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import box_text, is_outside, xyxy_to_xywh
from maskps.errors import AnnotationError
from maskps.io.images import check_images, image_size
from maskps.structures import PersonSearchDataset


def check_training_scenes(dataset: PersonSearchDataset) -> None:
    """Raises an error unless all training images are there, with persons, each of them in its image.

    Raises:
        InputFileError: as `check_images`, or the head of an image is broken.
        AnnotationError: no person in the training scenes; or as `check_boxes_inside`.
    """
    train = dataset.train
    if not train.num_persons:
        raise AnnotationError(
            dataset.root,
            expected="training images with persons",
            found=f"no person in {len(train):,} training images",
            hint="add their boxes to the annotation",
        )
    check_images(dataset.image_dir, train.names.tolist(), what="training images")
    check_boxes_inside(dataset, train.names[train.scene_of_person], train.boxes)


def check_boxes_inside(
    dataset: PersonSearchDataset, names: NDArray[np.str_], boxes: NDArray[np.float32]
) -> None:
    """Raises one AnnotationError with the number of boxes that have no part in their image, and the first.

    Reads the heads of the images, for their sizes.

    Args:
        names: (n,) str, the image of each box.
        boxes: (n, 4) float32, xyxy, pixels of the image.

    Raises:
        InputFileError: an image is missing, or its head is broken.
    """
    images, image_of_box = np.unique(names, return_inverse=True)
    sizes = [image_size(dataset.image_path(name)) for name in images.tolist()]
    limits = np.array(sizes, dtype=np.float64).reshape(-1, 2)[image_of_box]
    rows = np.flatnonzero(is_outside(boxes, limits))
    if not len(rows):
        return
    first = int(rows[0])
    box, size = box_text(xyxy_to_xywh(boxes[first])[0]), "{:g} x {:g}".format(*limits[first])
    raise AnnotationError(
        dataset.image_path(str(names[first])),
        expected="boxes of persons in the image, not beside it",
        found=f"{len(rows):,} of {len(boxes):,} boxes with no part in their image; the first is {box} (x, y, "
        f"width, height) in an image of {size} pixels",
        hint=f"maskps-data verify {dataset.root} lists them; correct or delete them",
    )
