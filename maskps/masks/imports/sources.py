"""Masks of COCO and PNG files, assigned to the persons of the training table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from maskps.errors import InputFileError
from maskps.findings import Finding
from maskps.masks.assignment import AssignedMasks, FoundMask, assign_masks
from maskps.masks.imports.coco import masks_in_coco
from maskps.masks.imports.png import masks_in_pngs
from maskps.masks.imports.scenes import ImportScenes


def import_outlines(
    source: Path, scenes: ImportScenes, *, progress: Callable[[int, int], None] | None = None
) -> AssignedMasks:
    """Returns the outlines of labeled persons in a file or folder, with findings.

    Args:
        source: a JSON file (COCO annotations or results), a PNG file, or a folder with PNG files.
        progress: called with (masks done, 0): the total is known only at the end.

    Raises:
        InputFileError: another kind of file, or one that cannot be read at all.
    """
    if not source.exists():
        raise InputFileError(
            source,
            expected="a COCO file, or a folder of PNG masks",
            found="no such file",
            hint="check the path",
        )
    if source.is_dir() or source.suffix.lower() == ".png":
        entries = masks_in_pngs(source, scenes)
    elif source.suffix.lower() == ".json":
        entries = masks_in_coco(source, scenes)
    else:
        raise InputFileError(
            source,
            expected="a .json file (COCO), a .png file, or a folder of PNG masks",
            found=f"a file that ends with {source.suffix!r}",
            hint="save the masks in one of these formats",
        )
    masks: list[FoundMask] = []
    findings: list[Finding] = []
    for entry in entries:
        if isinstance(entry, Finding):
            findings.append(entry)
            continue
        masks.append(entry)
        if progress is not None:
            progress(len(masks), 0)
    assigned = assign_masks(masks, scenes.train)
    return replace(assigned, findings=(*findings, *assigned.findings))
