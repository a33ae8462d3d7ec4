"""From a folder of LabelMe files that did not come from packs to one outline per labeled person."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import xywh_to_xyxy
from maskps.errors import MaskpsError, shown_value
from maskps.findings import Finding, raise_on_errors
from maskps.masks.assignment import FoundMask, assign_masks
from maskps.masks.labelme_file import BOX_KEY, LabelMeShape
from maskps.masks.outlines import FARTHEST, Outline
from maskps.structures import BACKGROUND_PID, PersonSearchDataset, Scene, SceneTable
from maskps.subset import SubsetRecord, SubsetSelection, build_subset
from maskps.subset.names import check_labelme_folder
from maskps_annotation.drawn_persons import FileFindings, add_notes, group_shapes, outline_of_person
from maskps_annotation.reading import ReadFile, read_file

_BOX_TOLERANCE = 0.01  # pixels; boxes are float32


def outlines_from_labelme(
    folder: Path,
    train: SceneTable,
    *,
    scene_rows: NDArray[np.int64],
    train_ids: NDArray[np.str_] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[int, Outline], list[Finding]]:
    """Returns the outlines of labeled persons in LabelMe files, and everything that was noticed.

    The file of a scene is `folder/<stem of its name>.json`. A shape belongs to the person whom its private
    key "maskps_box" names; else to the one whose identity is its label; else shapes of the same label and
    group_id are one person (a shape without group_id is one of its own), found by the best fit of boxes.
    Shapes are united as in packs (`drawn_persons`); persons are found as for imported masks (`assign_masks`).

    Outlines of unlabeled persons are not used: the paper annotates labeled persons only (Sec. 3.1). Points
    outside the image stay: targets are cut at boxes.

    Args:
        scene_rows: (K,) scenes to look for.
        train_ids: (N,) str, the data set's own identity of pid i at [i - 1], e.g. "p3219". Without it, the
            labels "p12" and "12" mean pid 12.
        progress: called with (scenes done, scenes to do).

    Returns:
        Person row of `train` -> outline; and the findings, "error" where a drawing cannot be used, "warning"
        where a file or the outline of a labeled person is missing or fits nobody.

    Raises:
        InputFileError: `folder` is not a folder.
    """
    check_labelme_folder(folder)
    pid_of_id = None if train_ids is None else {str(name): pid for pid, name in enumerate(train_ids, start=1)}
    outlines: dict[int, Outline] = {}
    findings: list[Finding] = []
    for done, row in enumerate(scene_rows.tolist(), start=1):
        scene, first = train[row], int(train.offsets[row])
        path = folder / f"{Path(scene.name).stem}.json"
        file_findings = FileFindings(path.name)
        file = _read_file(path, scene.name, file_findings)
        if file is not None:
            masks = [
                replace(mask, scene=row, person=None if mask.person is None else first + mask.person)
                for mask in _masks_of_scene(file, scene, pid_of_id, file_findings)
            ]
            assigned = assign_masks(masks, train)
            outlines |= assigned.outlines
            file_findings.found += assigned.findings
            for person in np.flatnonzero(scene.is_labeled).tolist():
                if first + person not in assigned.outlines:
                    found = f"no outline of box {person} (pid {scene.pids[person]})"
                    file_findings.add("person-missing", "warning", "", found)
        findings += file_findings.found
        if progress is not None:
            progress(done, len(scene_rows))
    if len(scene_rows) and all(finding.code == "file-missing" for finding in findings) and not outlines:
        found = f"none of the {len(scene_rows):,} images has a LabelMe file here; all masks are missing"
        hint = "give the folder with their files: s1.json for s1.jpg"
        findings = [Finding("file-missing", "warning", str(folder), found, hint=hint)]
    return outlines, findings


def build_subset_from_labelme(
    dataset: PersonSearchDataset,
    out: Path,
    labelme: Path | None,
    selection: SubsetSelection | None = None,
    *,
    seed: int = 0,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[SubsetRecord, list[Finding]]:
    """Writes the folder of a mask subset, filled with the outlines of LabelMe files.

    Args:
        labelme: folder of the LabelMe files; None leaves every mask MISSING.
        selection, seed, force: as `build_subset`.
        progress: called with (scenes done, scenes to do) while the files are read.

    Returns:
        The record, and the findings of level "warning" and "info".

    Raises:
        AnnotationError: a drawing that cannot be used; names the first and how many there are.
        MaskpsError: as `build_subset`.
    """
    findings: list[Finding] = []

    def read_outlines(scene_rows: NDArray[np.int64]) -> dict[int, Outline]:
        if labelme is None:
            return {}
        outlines, noticed = outlines_from_labelme(
            labelme, dataset.train, scene_rows=scene_rows, train_ids=dataset.train_ids, progress=progress
        )
        raise_on_errors(noticed)
        findings.extend(noticed)
        return outlines

    record = build_subset(dataset, out, selection, seed=seed, outlines=read_outlines, force=force)
    return record, findings


def _read_file(path: Path, scene: str, findings: FileFindings) -> ReadFile | None:
    """Returns the LabelMe file of a scene; None, and a finding, if there is none that can be used."""
    if not path.is_file():
        found = f"no LabelMe file {path.name}; its masks are missing"
        findings.found.append(Finding("file-missing", "warning", scene, found))
        return None
    try:
        file = read_file(path, path.name)
    except MaskpsError as error:
        findings.found.append(Finding.of_error("file-unreadable", error))
        return None
    if file.record is not None:
        found = "a file of a pack: its labels are slots, and its rectangles are not outlines"
        hint = "collect packs with 'maskps-data annotate collect'"
        findings.add("pack-file", "error", "", found, hint=hint)
        return None
    return file


def _masks_of_scene(
    file: ReadFile, scene: Scene, pid_of_id: dict[str, int] | None, findings: FileFindings
) -> list[FoundMask]:
    """Returns the outlines of a file; `person` is the index of the box in the scene, where it is named."""

    def person_of(index: int, shape: LabelMeShape) -> tuple[Hashable, str] | None:
        name = shown_value(shape.label)
        person = _person_by_identity(shape.label, scene, pid_of_id)
        if BOX_KEY in shape.extra:
            person = _person_by_box(shape.extra[BOX_KEY], scene)
            if person is None:
                found = f"{BOX_KEY} is {shown_value(shape.extra[BOX_KEY])}"
                expected = (
                    f"{BOX_KEY} as [x, y, width, height], one of the {len(scene.boxes)} boxes of the scene"
                )
                hint = (
                    f"delete {BOX_KEY} from the shape, so that its label or its place counts; "
                    "or the file belongs to another data set or another version of it"
                )
                findings.add("box-unknown", "error", name, found, expected=expected, hint=hint, shape=index)
                return None
        if person is not None:
            return (person, name) if scene.is_labeled[person] else None
        return ((index,) if shape.group_id is None else (shape.label, shape.group_id)), name

    add_notes(file, findings)
    masks = []
    for drawn in group_shapes(file.shapes, person_of, findings):
        outline = outline_of_person(drawn, file.version, findings, is_pack=False)
        if outline is not None and drawn.key not in findings.blocked:
            where = f"{findings.where} {drawn.name} (shape {min(drawn.shapes)})"
            masks.append(FoundMask(where, 0, outline, drawn.key if isinstance(drawn.key, int) else None))
    return masks


def _person_by_identity(label: str, scene: Scene, pid_of_id: dict[str, int] | None) -> int | None:
    """Returns the index of the person with this identity, None if the scene has none or several."""
    if pid_of_id is not None:
        pid = pid_of_id.get(label)
    else:
        digits = label.removeprefix("p")
        pid = int(digits) if digits.isdecimal() and len(digits) < 10 else None
    named = np.flatnonzero(scene.pids == (pid or BACKGROUND_PID))  # no person has the pid of the background
    return int(named[0]) if len(named) == 1 else None


def _person_by_box(xywh: object, scene: Scene) -> int | None:
    """Returns the index of the person with this box, None if there is no such person."""
    try:
        given = np.array(xywh, dtype=np.float64).reshape(1, 4)
    except (TypeError, ValueError, OverflowError):
        return None
    if not len(scene.boxes) or not (np.abs(given) <= FARTHEST).all():
        return None
    distance = np.abs(scene.boxes - xywh_to_xyxy(given)).max(axis=1)
    return int(distance.argmin()) if distance.min() <= _BOX_TOLERANCE else None
