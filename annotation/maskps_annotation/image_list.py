"""A list of images to pack: a text file with the name of a scene per line, as `annotate next` writes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.errors import InputFileError, shown_value
from maskps.io.files import explained_reading
from maskps.structures import PersonSearchDataset
from maskps.subset import open_record


def read_image_list(path: Path, subset_dir: Path, dataset: PersonSearchDataset) -> NDArray[np.int64]:
    """Returns the (S,) rows of the training table, ascending, of the images that a file names.

    Empty lines, and lines that begin with #, are skipped.

    Args:
        subset_dir: folder of the subset that has these images.

    Raises:
        InputFileError: the file cannot be read, names no image, or one that the subset does not have.
        AnnotationError: the subset belongs to another data set.
    """
    with explained_reading(path, what="a list of images"):
        text = path.read_text(encoding="utf-8")
    lines = (line.strip() for line in text.splitlines())
    names = list(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    _, rows = open_record(subset_dir, dataset)
    known = {str(dataset.train.names[row]): row for row in rows.tolist()}
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise InputFileError(
            path,
            expected=f"images of {subset_dir}, one a line",
            found=f"{len(unknown):,} others, such as {shown_value(unknown[0])}" if unknown else "none",
            hint="write the names as in the data set, e.g. s1234.jpg; 'annotate next' makes such a file",
        )
    return np.array(sorted(known[name] for name in names), dtype=np.int64)
