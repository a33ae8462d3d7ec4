"""From a data set to the folder of its mask subset, and back.

subset.json         the record: which images, how they were chosen, counts
masks.json          outlines and mask states of the persons of the kept images (COCO)
targets_14x14.npz   mask targets of the ground-truth boxes
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.errors import InputFileError
from maskps.io.folders import check_replaceable, folder_written_atomically
from maskps.io.images import image_size
from maskps.masks.mask_file import PersonMasks, masks_of_scenes, read_masks, write_masks
from maskps.masks.outlines import Outline
from maskps.structures import MaskState, PersonSearchDataset, SceneTable
from maskps.subset.manifest import RECORD_NAME, SubsetRecord, write_subset_record
from maskps.subset.nested import FULL, counts_of, in_order_of
from maskps.subset.recorded import nested_rows, open_record
from maskps.subset.select import GENERATOR, SubsetSelection, check_kept, select_subset
from maskps.subset.stats import table1
from maskps.subset.targets import write_targets

MASKS_NAME = "masks.json"
TARGETS_NAME = "targets_14x14.npz"


@dataclass(frozen=True)
class Subset:
    """A mask subset, opened beside its data set.

    Attributes:
        record: how it was made.
        kept_rows: (K,) int64, its scenes as rows of the data set's training table, rising.
        masks: state and outline of every person of the training table.
        proportion: which of the nested subsets this is, e.g. "3%"; "full": all kept images.
    """

    record: SubsetRecord
    kept_rows: NDArray[np.int64]
    masks: PersonMasks
    proportion: str = FULL


def build_subset(
    dataset: PersonSearchDataset,
    out: Path,
    selection: SubsetSelection | None = None,
    *,
    seed: int = 0,
    outlines: Callable[[NDArray[np.int64]], Mapping[int, Outline]] | None = None,
    force: bool = False,
) -> SubsetRecord:
    """Writes the folder of a mask subset of the training set, atomically.

    The same data set, selection and outlines give the same bytes. Image sizes come from the headers of the
    images that exist; a missing image is not an error.

    Args:
        selection: which images; by default one drawn from each five (Sec. 3.1).
        seed: of the draw, if no selection is given.
        outlines: called with the (K,) rows of the kept scenes; returns outlines by person row of the training
            table. Labeled persons without one, and all of them if None, get the state MISSING.
        force: replace an existing subset at `out`.

    Raises:
        ConfigError: a negative seed.
        OutputExistsError: `out` holds something.
        InputFileError: an image that exists but is broken.
        AnnotationError: a selection that keeps no image, an outline of a person who needs none, or an error
            of `outlines`.
    """
    check_replaceable(out, record=RECORD_NAME, force=force)  # before the work, not after
    train = dataset.train
    chosen = select_subset(train, seed=seed) if selection is None else selection
    check_kept(train, chosen)
    masks = masks_of_scenes(train, chosen.kept, {} if outlines is None else outlines(chosen.kept))
    sizes = image_sizes(dataset, chosen.kept)
    with folder_written_atomically(out, record=RECORD_NAME, force=force) as folder:
        write_masks(
            folder / MASKS_NAME,
            train,
            masks,
            fingerprint=dataset.fingerprint,
            scene_rows=chosen.kept,
            sizes=sizes,
        )
        write_targets(folder / TARGETS_NAME, train, masks)
        record = SubsetRecord(
            fingerprint=dataset.fingerprint,
            source=chosen.source,
            portion_size=chosen.portion_size,
            per_portion=chosen.per_portion,
            order=chosen.order,
            seed=chosen.seed,
            generator=GENERATOR,
            drawn=_names(train, chosen.drawn),
            kept=_names(train, chosen.kept),
            counts=_counts(train, chosen, masks),
            nested=_names(train, chosen.nested),
            proportions=chosen.proportions,
            masks_sha256=hashlib.sha256((folder / MASKS_NAME).read_bytes()).hexdigest(),
            data=_path_from(out, dataset.root),
        )
        write_subset_record(folder / RECORD_NAME, record)
    return record


def open_subset(folder: Path, dataset: PersonSearchDataset, proportion: str | None = None) -> Subset:
    """Returns the subset in a folder that `build_subset` wrote, or one of the nested subsets in it.

    Args:
        proportion: such as "6%": the persons of all other images then have the state NOT_APPLICABLE, as if
            the larger subset did not exist. None or "full": all kept images.

    Raises:
        InputFileError: a file of the subset is missing, cut off or edited.
        AnnotationError: a subset of another data set, or one with images that this data set does not have.
        ConfigError: a proportion that the subset does not have.
    """
    record, kept_rows = open_record(folder, dataset)
    masks = read_masks(folder / MASKS_NAME, dataset.train, fingerprint=dataset.fingerprint)
    wanted = _wanted(dataset.train, kept_rows)
    if ((masks.states != MaskState.NOT_APPLICABLE) != wanted).any():
        raise InputFileError(
            folder / MASKS_NAME,
            expected=f"the persons of the {len(kept_rows)} images that {RECORD_NAME} keeps",
            found="those of other images",
            hint="the files are of two subsets; build the subset again",
        )
    label, rows = nested_rows(record, dataset, proportion, where=folder / RECORD_NAME)
    return _part(dataset.train, Subset(record, kept_rows, masks), label, rows)


def redrawn(subset: Subset, train: SceneTable, proportion: str, seed: int) -> Subset:
    """Returns a nested subset of a proportion whose images are drawn anew, with a seed of one's own.

    Of one seed, smaller subsets are in larger ones, as in `with_proportions`. The subset's own nested subsets
    do not matter.

    Args:
        subset: with all kept images.
        proportion: such as "6%"; "full" is the same for all seeds.

    Raises:
        ConfigError: a proportion of 0 images, or of more images than are kept.
    """
    kept = subset.kept_rows
    count = counts_of([proportion], train_images=len(train), kept_images=len(kept))[proportion]
    return _part(train, subset, proportion, np.sort(in_order_of(kept, seed)[:count]))


def _part(train: SceneTable, subset: Subset, label: str, rows: NDArray[np.int64]) -> Subset:
    """Returns the part of a subset in these scenes, as if the other images had not been chosen."""
    is_in = _wanted(train, rows)
    states = np.where(is_in, subset.masks.states, np.int8(MaskState.NOT_APPLICABLE))
    outlines = {row: outline for row, outline in subset.masks.outlines.items() if is_in[row]}
    return Subset(subset.record, rows, PersonMasks(states, outlines), label)


def _wanted(train: SceneTable, scene_rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Returns (P,) bool, True for the labeled persons of these scenes."""
    is_in = np.zeros(len(train), dtype=np.bool_)
    is_in[scene_rows] = True
    return is_in[train.scene_of_person] & train.is_labeled


def _path_from(folder: Path, root: Path) -> str:
    """Returns the path of a data set relative to a folder, with forward slashes."""
    return Path(os.path.relpath(root.resolve(), folder.resolve())).as_posix()


def _names(train: SceneTable, rows: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(train.names[rows].tolist())


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


def image_sizes(
    dataset: PersonSearchDataset, scene_rows: NDArray[np.int64], table: SceneTable | None = None
) -> dict[int, tuple[int, int]]:
    """Returns scene row -> (width, height), from the image if it exists, else from the annotation.

    Args:
        table: that the rows are of, by default the training table.
    """
    table = dataset.train if table is None else table
    sizes: dict[int, tuple[int, int]] = {}
    for row in scene_rows.tolist():
        path = dataset.image_path(str(table.names[row]))
        if path.exists():
            sizes[row] = image_size(path)
        elif table.size is not None:
            width, height = table.size[row].tolist()
            sizes[row] = (width, height)
    return sizes
