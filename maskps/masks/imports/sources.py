"""Masks of any file or folder that is read, assigned to the persons of the training table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from maskps.errors import InputFileError
from maskps.findings import Finding
from maskps.masks.assignment import AssignedMasks, FoundMask, assign_masks
from maskps.masks.imports.coco import masks_in_coco
from maskps.masks.imports.cvat import masks_in_cvat
from maskps.masks.imports.foreign import EXPECTED, unknown_file, unknown_folder
from maskps.masks.imports.png import masks_in_pngs
from maskps.masks.imports.scenes import ImportScenes
from maskps.masks.imports.yolo import masks_in_yolo


def import_outlines(
    source: Path,
    scenes: ImportScenes,
    *,
    min_score: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> AssignedMasks:
    """Returns the outlines of labeled persons in a file or folder, with findings.

    Args:
        source: a JSON file (COCO annotations or results), PNG masks, YOLO labels or CVAT files.
        min_score: masks of a lower score are left out and counted.
        progress: called with (masks done, 0): the total is known only at the end.

    Raises:
        InputFileError: another kind of file, or one that cannot be read at all.
    """
    masks: list[FoundMask] = []
    findings: list[Finding] = []
    low_scores = 0
    for entry in _entries(source, scenes, min_score):
        if entry is None:
            low_scores += 1
        elif isinstance(entry, Finding):
            findings.append(entry)
        else:
            masks.append(entry)
            if progress is not None:
                progress(len(masks), 0)
    assigned = assign_masks(masks, scenes.train)
    return replace(assigned, low_scores=low_scores, findings=(*findings, *assigned.findings))


def _entries(source: Path, scenes: ImportScenes, min_score: float) -> Iterator[FoundMask | Finding | None]:
    """Yields the masks, findings, and None for each mask of a low score, by what the source is."""
    if not source.exists():
        raise InputFileError(source, expected=EXPECTED, found="no such file", hint="check the path")
    kinds = [source.suffix.lower()]
    if source.is_dir():
        inner = [path.relative_to(source) for path in source.rglob("*")]
        endings = {path.suffix.lower() for path in inner}
        kinds = [ending for ending in (".png", ".txt", ".xml") if ending in endings]
        if any("labels" in path.parts and path.suffix.lower() == ".txt" for path in inner):
            kinds.insert(0, ".txt")  # a YOLO data set, whose PNG files are its images
        if not kinds:
            raise unknown_folder(source)
    match kinds[0]:
        case ".png":
            return iter(masks_in_pngs(source, scenes))
        case ".txt":
            return masks_in_yolo(source, scenes, min_score=min_score)
        case ".xml":
            return iter(masks_in_cvat(source, scenes))
        case ".json":
            return masks_in_coco(source, scenes, min_score=min_score)
    raise unknown_file(source)
