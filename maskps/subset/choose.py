"""All ways to choose the images of a subset in one place: a draw, a list, LabelMe files, a record."""

from __future__ import annotations

from pathlib import Path

from maskps.structures import PersonSearchDataset
from maskps.subset.names import labelme_name_list, read_name_list, select_named
from maskps.subset.nested import with_proportions
from maskps.subset.recorded import selection_of_record
from maskps.subset.select import Order, SubsetSelection, select_subset


def choose_images(
    dataset: PersonSearchDataset,
    *,
    names: Path | None = None,
    from_labelme: Path | None = None,
    record: Path | None = None,
    seed: int = 0,
    portion_size: int = 5,
    per_portion: int = 1,
    order: Order = "name",
    proportion: str | None = None,
) -> SubsetSelection:
    """Returns the images of a subset: a draw as in Sec. 3.1, unless one of the three other ways is given.

    Args:
        names: a text file with image names (`read_name_list`).
        from_labelme: a folder; the images that have a LabelMe file in it.
        record: a subset.json; its images, order and nested subsets.
        seed: of the draw, and of the order of nested subsets; not with a record.
        portion_size, per_portion, order: of the draw (`select_subset`).
        proportion: nested subsets, such as "3%,6%,full"; not with a record.

    Raises:
        ConfigError: as `select_subset` and `with_proportions`.
        InputFileError, AnnotationError: as `read_name_list`, `labelme_name_list`, `select_named` and
            `selection_of_record`.
    """
    if record is not None:
        return selection_of_record(dataset, record)
    if names is not None:
        selection = select_named(dataset, read_name_list(names), seed=seed)
    elif from_labelme is not None:
        selection = select_named(dataset, labelme_name_list(from_labelme), seed=seed)
    else:
        selection = select_subset(
            dataset.train, portion_size=portion_size, per_portion=per_portion, order=order, seed=seed
        )
    return selection if proportion is None else with_proportions(dataset.train, selection, proportion)
