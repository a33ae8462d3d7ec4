"""From a data set to the folder of its mask subset, and back.

subset.json         the record: draw, names, counts
masks.json          outlines and mask states of the persons of the kept images (COCO)
targets_14x14.npz   mask targets of the ground-truth boxes
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.errors import AnnotationError, InputFileError
from maskps.files import check_output, folder_written_atomically
from maskps.images import image_size
from maskps.masks.mask_file import PersonMasks, masks_of_scenes, read_masks, write_masks
from maskps.masks.outlines import Outline
from maskps.structures import MaskState, PersonSearchDataset, SceneTable
from maskps.subset.manifest import RECORD_NAME, SubsetRecord, read_subset_record, write_subset_record
from maskps.subset.select import GENERATOR, SubsetSelection, select_subset
from maskps.subset.stats import table1
from maskps.subset.targets import write_targets

MASKS_NAME = "masks.json"
TARGETS_NAME = "targets_14x14.npz"


@dataclass(frozen=True)
class Subset:
    """A mask subset, opened beside its data set.

    Attributes:
        record: how it was made.
        kept_rows: (K,) int64, its scenes as rows of the data set's training table.
        masks: state and outline of every person of the training table.
    """

    record: SubsetRecord
    kept_rows: NDArray[np.int64]
    masks: PersonMasks


def build_subset(
    dataset: PersonSearchDataset,
    out: Path,
    *,
    seed: int = 0,
    portion_size: int = 5,
    outlines: Callable[[NDArray[np.int64]], Mapping[int, Outline]] | None = None,
    force: bool = False,
) -> SubsetRecord:
    """Draws a mask subset of the training set (Sec. 3.1) and writes its folder, whole or not at all.

    The same data set, arguments and outlines give the same bytes. Image sizes come from the headers of the
    images where these exist; an image that is not there is no error, the subset can be drawn without.

    Args:
        outlines: called with the (K,) rows of the kept scenes; returns outlines by person row of the training
            table. Labeled persons without one, and all of them if None, get the state MISSING.
        force: replace a subset that stands at `out`.

    Raises:
        ConfigError: portion_size or seed out of range.
        OutputExistsError: `out` holds something.
        InputFileError: an image that exists but is broken.
        AnnotationError: an outline of a person who needs none, or what `outlines` raises.
    """
    check_output(out, record=RECORD_NAME, force=force)  # before the work, not after
    train = dataset.train
    selection = select_subset(train, portion_size=portion_size, seed=seed)
    masks = masks_of_scenes(train, selection.kept, {} if outlines is None else outlines(selection.kept))
    sizes = _image_sizes(dataset, selection.kept)
    record = SubsetRecord(
        fingerprint=dataset.fingerprint,
        portion_size=portion_size,
        seed=seed,
        generator=GENERATOR,
        drawn=tuple(train.names[selection.drawn].tolist()),
        kept=tuple(train.names[selection.kept].tolist()),
        counts=_counts(train, selection, masks),
    )
    with folder_written_atomically(out, record=RECORD_NAME, force=force) as folder:
        write_masks(
            folder / MASKS_NAME,
            train,
            masks,
            fingerprint=dataset.fingerprint,
            scene_rows=selection.kept,
            sizes=sizes,
        )
        write_targets(folder / TARGETS_NAME, train, masks)
        write_subset_record(folder / RECORD_NAME, record)
    return record


def open_subset(folder: Path, dataset: PersonSearchDataset) -> Subset:
    """Returns the subset in a folder that `build_subset` wrote.

    Raises:
        InputFileError: a file of it is missing, cut off or edited.
        AnnotationError: it was drawn from another data set, or names images that this one does not have.
    """
    record = read_subset_record(folder / RECORD_NAME)
    if record.fingerprint != dataset.fingerprint:
        raise AnnotationError(
            folder / RECORD_NAME,
            expected=f"a subset of {dataset.root} (fingerprint {dataset.fingerprint})",
            found=f"a subset of another data set (fingerprint {record.fingerprint})",
            hint="give the data set that the subset was built from, or build a subset of this one",
        )
    try:
        kept_rows = dataset.train.rows_of(record.kept)
    except AnnotationError as error:
        raise AnnotationError(
            folder / RECORD_NAME,
            expected="kept images that the data set has",
            found=f"{error.where}, which it has not",
            hint="the record was edited; build the subset again",
        ) from error
    masks = read_masks(folder / MASKS_NAME, dataset.train, fingerprint=dataset.fingerprint)
    wanted = np.isin(dataset.train.scene_of_person, kept_rows) & dataset.train.is_labeled
    if ((masks.states != MaskState.NOT_APPLICABLE) != wanted).any():
        raise InputFileError(
            folder / MASKS_NAME,
            expected=f"the persons of the {len(kept_rows)} images that {RECORD_NAME} keeps",
            found="those of other images",
            hint="the files are of two subsets; build the subset again",
        )
    return Subset(record, kept_rows, masks)


def _counts(train: SceneTable, selection: SubsetSelection, masks: PersonMasks) -> dict[str, int]:
    persons = table1(train, selection.kept).with_masks
    return {
        "images": len(train),
        "portions": len(selection.portions),
        "drawn": len(selection.drawn),
        "kept": len(selection.kept),
        "labeled": persons.labeled,
        "unlabeled": persons.unlabeled,
        "masks_present": int((masks.states == MaskState.PRESENT).sum()),
        "masks_missing": int((masks.states == MaskState.MISSING).sum()),
    }


def _image_sizes(dataset: PersonSearchDataset, scene_rows: NDArray[np.int64]) -> dict[int, tuple[int, int]]:
    paths = {row: dataset.image_path(str(dataset.train.names[row])) for row in scene_rows.tolist()}
    return {row: image_size(path) for row, path in paths.items() if path.exists()}
