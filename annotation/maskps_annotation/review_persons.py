"""What the review page shows of each person of a subset: outline, other drawings, findings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskps.boxes import box_area
from maskps.errors import MaskpsError
from maskps.findings import Finding
from maskps.masks.mask_file import read_masks
from maskps.masks.outlines import Outline
from maskps.structures import MaskState, PersonSearchDataset
from maskps.subset import Subset
from maskps_annotation.agreement import compare_outlines
from maskps_annotation.checks import check_packs, checked_file
from maskps_annotation.collect_packs import store_of
from maskps_annotation.collected import (
    COLLECTED_NAME,
    SUBSET_OWNER,
    CollectedPerson,
    Drawing,
    read_collected,
)
from maskps_annotation.decisions import outline_key
from maskps_annotation.pack_files import SLOT_KEY, is_prefilled
from maskps_annotation.pack_record import PackedScene, PackSet, check_packs_of, read_slot
from maskps_annotation.reading import read_file
from maskps_annotation.store import Store
from maskps_annotation.touches import Touches


@dataclass(frozen=True)
class OtherDrawing:
    """A drawing of a person that is not in use.

    Attributes:
        what: human-readable, e.g. "bob, not used".
        outline: the drawn one.
        iou, changed_cells: compared with the outline in use; None without one.
    """

    what: str
    outline: Outline
    iou: float | None
    changed_cells: int | None


@dataclass(frozen=True)
class ReviewPerson:
    """One labeled person of the subset.

    Attributes:
        row: in the training table.
        scene: its name.
        person: index of the box in the scene.
        identity: the data set's own.
        outline: None if missing.
        drawn_by: who drew the outline; "" if unknown.
        proposal: what that one changed in a proposal; None if the outline did not begin as one.
        annotators: that one, and everybody else who has the person to draw.
        findings: of the checks about this person or the whole file, the worst first; remarks only if they are
            about the person.
        others: drawings that are not in use, the one before the last change, and the proposal that was
            corrected.
        share: area of the outline as a share of the box; 0 without outline.
        outside: share of the outline outside the box.
    """

    row: int
    scene: str
    person: int
    identity: str
    outline: Outline | None
    drawn_by: str
    proposal: Touches | None
    annotators: tuple[str, ...]
    findings: tuple[Finding, ...]
    others: tuple[OtherDrawing, ...]
    share: float
    outside: float


def review_persons(
    folder: Path,
    subset: Subset,
    dataset: PersonSearchDataset,
    packs: PackSet | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[ReviewPerson]:
    """Returns every labeled person of a subset, in the order of the training table.

    Args:
        folder: of the subset; its collected.json and store are read if they exist.
        packs: adds the findings of their checks.
        progress: called with (files checked, files to check).

    Raises:
        InputFileError: collected.json or the store is damaged.
        AnnotationError: the packs belong to another data set.
    """
    train = dataset.train
    scene_of_person = train.scene_of_person
    findings: Mapping[int, list[Finding]] = {}
    assigned: Mapping[int, list[str]] = {}
    if packs is not None:
        findings, assigned = _findings_of_packs(packs, dataset, progress)
    collected = read_collected(folder / COLLECTED_NAME)
    drawings = _Drawings(store_of(folder), dataset)
    areas = box_area(train.boxes)
    persons = []
    for row in np.flatnonzero(subset.masks.states != MaskState.NOT_APPLICABLE).tolist():
        scene = int(scene_of_person[row])
        person = row - int(train.offsets[scene])
        outline = subset.masks.outlines.get(row)
        known = collected.get(row)
        used = known.used if known is not None and outline is not None else None
        drawn_by = used.annotator if used is not None else ""
        box = train.boxes[row].astype(np.float64)
        persons.append(
            ReviewPerson(
                row=row,
                scene=str(train.names[scene]),
                person=person,
                identity=str(dataset.train_ids[train.pids[row] - 1]),
                outline=outline,
                drawn_by=drawn_by,
                proposal=used.proposal if used is not None else None,
                annotators=tuple(dict.fromkeys(filter(None, (drawn_by, *assigned.get(row, ()))))),
                findings=tuple(findings.get(row, ())),
                others=tuple(drawings.others(known, row, person, outline, box)) if known else (),
                share=outline.area / max(float(areas[row]), 1.0) if outline else 0.0,
                outside=_outside(outline, box) if outline else 0.0,
            )
        )
    return persons


def _outside(outline: Outline, box: np.ndarray) -> float:
    """Returns the share of the outline's area outside the box."""
    return max(0.0, 1 - outline.clipped(box).area / outline.area)


def _findings_of_packs(
    packs: PackSet, dataset: PersonSearchDataset, progress: Callable[[int, int], None] | None
) -> tuple[dict[int, list[Finding]], dict[int, list[str]]]:
    """Returns the findings by person row, the worst first, and the annotators by person row."""
    check_packs_of(packs, dataset)
    slots: dict[str, dict[str, int]] = {}  # "annotator/file" or "annotator" -> slot -> person row
    assigned: dict[int, list[str]] = defaultdict(list)
    for pack in packs.packs:
        every = slots.setdefault(pack.annotator, {})
        scene_rows = dataset.train.rows_of([scene.scene for scene in pack.scenes]).tolist()
        for scene, scene_row in zip(pack.scenes, scene_rows, strict=True):
            first = int(dataset.train.offsets[scene_row])
            rows = {slot.name: first + slot.person for slot in scene.slots}
            slots[f"{pack.annotator}/{scene.file_name}"] = slots[f"{pack.annotator}/{scene.image}"] = rows
            every |= {f"{scene.scene} {name}": row for name, row in rows.items()}
            for row in rows.values():
                assigned[row].append(pack.annotator)
    findings: dict[int, list[Finding]] = defaultdict(list)
    every_finding = check_packs(packs, progress=progress)
    for level in ("error", "warning", "info"):
        for finding in every_finding:
            if finding.level == level:
                for row in _rows_meant(finding, slots):
                    findings[row].append(finding)
    return findings, assigned


def _rows_meant(finding: Finding, slots: Mapping[str, Mapping[str, int]]) -> list[int]:
    """Returns the persons a finding is about: its slot's, or all in the file unless it is a remark."""
    file, _, place = finding.where.partition(" ")
    rows = slots.get(file, {})
    if not place:
        return list(rows.values()) if finding.level != "info" else []
    slot = place.split(" ")[0]
    return [rows[slot]] if slot in rows else []


class _Drawings:
    """Outlines in stored versions of files, each file read once."""

    def __init__(self, store: Store, dataset: PersonSearchDataset) -> None:
        self._store = store
        self._dataset = dataset
        self._read: dict[str, Mapping[Any, Outline]] = {}

    def others(
        self, known: CollectedPerson, row: int, person: int, outline: Outline | None, box: np.ndarray
    ) -> Iterator[OtherDrawing]:
        """Yields other drawings of a person: of each kind the latest that differs from those shown."""
        seen = {outline_key(outline), ""}
        drawings = [(what, self._outline(drawing, row, person)) for what, drawing in self._named(known)]
        if known.used.proposal is not None:
            drawings.insert(0, (f"proposed by {known.used.proposal.by}", self._proposed(known.used, person)))
        for what, other in drawings:
            if other is None or what in seen or outline_key(other) in seen:
                continue
            seen |= {what, outline_key(other)}
            iou, cells = None, None
            if outline is not None:
                iou, _, cells = compare_outlines(outline, other, (*box.tolist(),))
            yield OtherDrawing(what, other, iou, cells)

    def _proposed(self, drawing: Drawing, person: int) -> Outline | None:
        """Returns the proposal of a person, which the stored file keeps."""
        path = self._store.path(drawing.sha256)
        scene = _scene_of_file(path) if path.is_file() else None
        slots = scene.slots if scene is not None else ()
        return next((slot.given for slot in slots if slot.person == person and not slot.given.is_empty), None)

    def _named(self, known: CollectedPerson) -> Iterator[tuple[str, Drawing]]:
        used = known.used
        for version in reversed(self._versions_before(used)):
            yield f"{used.annotator}, before", Drawing(used.annotator, used.file, version, used.packs)
        for other in known.others:
            if other.annotator == SUBSET_OWNER:
                yield "in the subset before", other
            elif other.annotator == used.annotator:
                yield f"{other.annotator}, before", other
            else:
                yield f"{other.annotator}, not used", other

    def _versions_before(self, used: Drawing) -> list[str]:
        """Returns the checksums of earlier versions of the file in use."""
        versions = [one.sha256 for one in self._store.versions(used.annotator, used.file)]
        if used.annotator == SUBSET_OWNER or used.sha256 not in versions:
            return []
        return versions[: versions.index(used.sha256)]

    def _outline(self, drawing: Drawing, row: int, person: int) -> Outline | None:
        if drawing.sha256 not in self._read:
            path = self._store.path(drawing.sha256)
            self._read[drawing.sha256] = self._outlines(path, drawing) if path.is_file() else {}
        return self._read[drawing.sha256].get(row if drawing.annotator == SUBSET_OWNER else person)

    def _outlines(self, path: Path, drawing: Drawing) -> Mapping[int, Outline]:
        """Returns the outlines of a stored version: of a masks.json by row, of a LabelMe file by person."""
        try:
            if drawing.annotator == SUBSET_OWNER:
                fingerprint = self._dataset.fingerprint
                return read_masks(path, self._dataset.train, fingerprint=fingerprint).outlines
            scene = _scene_of_file(path)
            if scene is None:
                return {}
            outlines = checked_file(scene, path).outlines
            return {one.person: outlines[one.name] for one in scene.slots if one.name in outlines}
        except MaskpsError:
            return {}


def _scene_of_file(path: Path) -> PackedScene | None:
    """Returns the scene and slots recorded in a LabelMe file of a pack; None if that is lost or damaged.

    A file of an earlier distribution has its own slots, which the packs at hand do not have.
    """
    slots = {}
    try:
        file = read_file(path, path.name)
        for _, shape in file.shapes:
            if is_prefilled(shape):
                slot = read_slot(shape.extra[SLOT_KEY], path, "private key")
                slots[slot.name] = slot
        record = file.record or {}
        scene, sha256 = str(record["scene"]), str(record["sha256"])
    except (KeyError, MaskpsError):  # it could not be read when it was stored, either
        return None
    if file.size is None:
        return None
    return PackedScene(scene, file.heading.image_path, sha256, file.size, tuple(slots.values()))
