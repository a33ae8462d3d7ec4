"""Writes a part of a data set: the scenes whose images are at hand, or those of a list of names."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from os.path import splitext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.datasets.copies import ImageCopies, check_elsewhere, place_images, write_and_compare
from maskps.datasets.dataset_format import CUT_RECORD
from maskps.datasets.formats import FORMATS
from maskps.datasets.protocols import open_protocol, protocol_names
from maskps.errors import AnnotationError, InputFileError
from maskps.io.files import write_json
from maskps.io.folders import folder_written_atomically
from maskps.protocols.protocol import SearchProtocol
from maskps.protocols.sets import only_scenes
from maskps.structures import BACKGROUND_PID, UNLABELED_PID, PersonSearchDataset, SceneTable

FORMAT = "maskps-cut"
VERSION = 1
_SHOWN = 5


@dataclass(frozen=True)
class Kept:
    """How many of something the part has, and how many the whole data set."""

    kept: int
    of: int


@dataclass(frozen=True)
class CutSummary:
    """What was written: the content of `cut.json`.

    Attributes:
        kind: of both data sets.
        source_fingerprint: of the whole data set.
        fingerprint: of the part.
        counts: by what is counted, e.g. "test persons" and "queries of TestG100".
        remarks: what is ordered or numbered differently.
        losses: what the format cannot hold of the part.
        image_dir: the folder for the images of the part, below its root.
    """

    kind: str
    source_fingerprint: str
    fingerprint: str
    counts: dict[str, Kept]
    remarks: tuple[str, ...]
    losses: tuple[str, ...]
    image_dir: str

    def to_dict(self) -> dict[str, object]:
        """Returns all fields by name."""
        return asdict(self)


def cut(
    dataset: PersonSearchDataset,
    out: Path,
    *,
    names: Collection[str] | None = None,
    images: ImageCopies = None,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> CutSummary:
    """Writes the part of a data set that has some of its scenes, in the same format, atomically.

    Persons of the other scenes are left out, and identities without a person. Identities are numbered
    anew, in the same order. A query stays if its scene does, and one or more of its true boxes.

    Args:
        out: the root of the part.
        names: of the scenes to keep, with or without ending; by default those whose image file is there.
        images: "link" makes the folder of images a link to the source's; "copy" copies the images of the
            part; by default no images are written.
        force: replace a data set that this function made.
        progress: called with (images copied, images in all).

    Raises:
        AnnotationError: a name that no scene has or several have, or something that the format cannot hold.
        ConfigError: `out` is the data set itself.
        InputFileError: no image is there; an image to copy, or the folder to link, is missing; or a protocol
            cannot be read.
        OutputError, OutputExistsError: as `folder_written_atomically`.
    """
    check_elsewhere(dataset, out)
    kept = _scenes_at_hand(dataset) if names is None else _named_scenes(dataset, names)
    protocols = {name: open_protocol(dataset, name) for name in protocol_names(dataset)}
    part, remaining = _part_of(dataset, protocols, kept)
    image_dir = FORMATS[dataset.kind].image_dir
    with folder_written_atomically(out, record=CUT_RECORD, force=force) as folder:
        copy = write_and_compare(folder, part, remaining, dataset.kind)
        place_images(part, folder / image_dir, images, progress)
        summary = CutSummary(
            kind=dataset.kind,
            source_fingerprint=dataset.fingerprint,
            fingerprint=copy.dataset.fingerprint,
            counts=_counts(dataset, protocols, copy.dataset, remaining),
            remarks=copy.remarks,
            losses=copy.losses,
            image_dir=image_dir.as_posix(),
        )
        write_json(folder / CUT_RECORD, {"format": FORMAT, "version": VERSION, **summary.to_dict()})
    return summary


def _scenes_at_hand(dataset: PersonSearchDataset) -> list[str]:
    names = [*dataset.train.names.tolist(), *dataset.test.names.tolist()]
    kept = [name for name in names if dataset.image_path(name).is_file()]
    if not kept:
        raise InputFileError(
            dataset.image_dir,
            expected="images of the data set",
            found=f"none of its {len(names):,} images",
            hint="copy images into this folder, or name the ones to keep with --names",
        )
    return kept


def _named_scenes(dataset: PersonSearchDataset, names: Collection[str]) -> list[str]:
    known = [*dataset.train.names.tolist(), *dataset.test.names.tolist()]
    by_name: dict[str, list[str]] = {}
    for name in known:
        by_name.setdefault(splitext(name)[0], []).append(name)
    by_name |= {name: [name] for name in known}
    unknown = [name for name in names if len(by_name.get(name, ())) != 1]
    if unknown:
        more = ", ..." if len(unknown) > _SHOWN else ""
        shown = ", ".join(f"'{name}'" for name in unknown[:_SHOWN])
        raise AnnotationError(
            "list of names",
            expected=f"names of the {len(known):,} images of {dataset.root}",
            found=f"{len(unknown):,} of {len(names):,} names that no image has, or several: {shown}{more}",
            hint="correct or remove them; a name needs no ending if it is the only one of its kind",
        )
    return [by_name[name][0] for name in names]


def _part_of(
    dataset: PersonSearchDataset, protocols: dict[str, SearchProtocol], names: list[str]
) -> tuple[PersonSearchDataset, dict[str, SearchProtocol]]:
    """Returns the data set and the protocols of these scenes only."""
    remaining = {
        name: only_scenes(protocol, np.intersect1d(dataset.test.names, names))
        for name, protocol in protocols.items()
    }
    searched = [identity for protocol in remaining.values() for identity in protocol.query_ids.tolist()]
    train, train_ids = _only_scenes_of(dataset.train, dataset.train_ids, names, [])
    test, test_ids = _only_scenes_of(dataset.test, dataset.test_ids, names, searched)
    part = replace(
        dataset,
        train=train,
        test=test,
        train_ids=train_ids,
        test_ids=test_ids,
        fingerprint=train.fingerprint(),
        warnings=(),
    )
    return part, remaining


def _only_scenes_of(
    table: SceneTable, ids: NDArray[np.str_], names: list[str], searched: list[str]
) -> tuple[SceneTable, NDArray[np.str_]]:
    """Returns the table of these scenes, and the identities that are in them or are searched for."""
    part = table.select(np.flatnonzero(np.isin(table.names, names)))
    is_kept = np.isin(ids, searched)
    is_kept[part.pids[part.is_labeled] - 1] = True
    pids = np.concatenate([[BACKGROUND_PID], np.cumsum(is_kept), [UNLABELED_PID]])  # -1 is the last one
    return replace(part, pids=pids[part.pids]), ids[is_kept]


def _counts(
    dataset: PersonSearchDataset,
    protocols: dict[str, SearchProtocol],
    part: PersonSearchDataset,
    remaining: dict[str, SearchProtocol],
) -> dict[str, Kept]:
    counts = {}
    for split in ("train", "test"):
        table, whole = getattr(part, split), getattr(dataset, split)
        counts[f"{split} images"] = Kept(len(table), len(whole))
        counts[f"{split} persons"] = Kept(table.num_persons, whole.num_persons)
        ids, all_ids = getattr(part, f"{split}_ids"), getattr(dataset, f"{split}_ids")
        counts[f"{split} identities"] = Kept(len(ids), len(all_ids))
    for name, protocol in remaining.items():
        counts[f"queries of {name}"] = Kept(protocol.num_queries, protocols[name].num_queries)
    return counts
