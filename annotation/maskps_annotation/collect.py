"""From the LabelMe files of annotators to one outline per labeled person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import box_iou, xywh_to_xyxy
from maskps.errors import AnnotationError, MaskpsError
from maskps.findings import Finding, raise_on_errors
from maskps.masks.assignment import best_fit
from maskps.masks.labelme_file import BOX_KEY, HOLE_FLAG, LabelMeFile, LabelMeShape, read_labelme, told
from maskps.masks.outlines import FARTHEST, Outline, outline_from_parts
from maskps.structures import BACKGROUND_PID, PersonSearchDataset, SceneTable
from maskps.subset import SubsetRecord, SubsetSelection, build_subset
from maskps.subset.names import check_labelme_folder
from maskps_annotation.prefilled import FILE_KEY
from maskps_annotation.shape_geometry import AREA_TYPES, geometry_of_shape

_BOX_TOLERANCE = 0.01  # pixels; boxes are float32


@dataclass
class _Instance:
    """The shapes of one person by where they stand; `person` is its index in the scene if the shapes tell."""

    where: str
    person: int | None
    parts: dict[str, LabelMeShape] = field(default_factory=dict)
    holes: dict[str, LabelMeShape] = field(default_factory=dict)

    def outline(self) -> Outline:
        """Returns the union of the parts without the holes."""
        parts, holes = (
            [geometry_of_shape(shape, where) for where, shape in shapes.items()]
            for shapes in (self.parts, self.holes)
        )
        return outline_from_parts(parts, holes=holes, where=self.where)


def outlines_from_labelme(
    folder: Path,
    train: SceneTable,
    *,
    scene_rows: NDArray[np.int64],
    train_ids: NDArray[np.str_] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[int, Outline], list[Finding]]:
    """Returns the outlines of labeled persons in LabelMe files, and everything that was noticed.

    The file of a scene is `folder/<stem of its name>.json`. Whom a shape belongs to is told by its private
    key "maskps_box"; else by a label that is an identity of the scene; else shapes of the same label and
    group_id are one person (a shape without group_id is one of its own), found by the best fit of boxes:
    the assignment of greatest total IoU, each at least 0.3, among all persons of the scene, so that
    the outline of an unlabeled person does not go to a labeled neighbour.

    Polygons, rectangles and mask shapes of one person are united, those with the flag "hole" cut out.
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
        scene = train[row]
        path = folder / f"{Path(scene.name).stem}.json"
        file = _read_file(path, scene.name, findings)
        if file is not None:
            drawn = _outlines_of_scene(file, path.name, scene.boxes, scene.pids, pid_of_id, findings)
            outlines |= {int(train.offsets[row]) + person: outline for person, outline in drawn.items()}
            absent = [i for i in np.flatnonzero(scene.is_labeled).tolist() if i not in drawn]
            findings += [
                Finding(
                    "outline-missing", "warning", path.name, f"no outline of box {i} (pid {scene.pids[i]})"
                )
                for i in absent
            ]
        if progress is not None:
            progress(done, len(scene_rows))
    if (
        len(scene_rows)
        and all(finding.code == "labelme-file-missing" for finding in findings)
        and not outlines
    ):
        findings = [
            Finding(
                "labelme-file-missing",
                "warning",
                str(folder),
                f"none of the {len(scene_rows):,} images has a LabelMe file here; all masks are missing",
                hint="give the folder with their files: s1.json for s1.jpg",
            )
        ]
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


def _read_file(path: Path, scene: str, findings: list[Finding]) -> LabelMeFile | None:
    """Returns the LabelMe file of a scene; None, and a finding, if there is none that can be used."""
    if not path.is_file():
        found = f"no LabelMe file {path.name}; its masks are missing"
        findings.append(Finding("labelme-file-missing", "warning", scene, found))
        return None
    try:
        file = read_labelme(path)
    except MaskpsError as error:
        findings.append(Finding.of_error("labelme-file-unreadable", error))
        return None
    if FILE_KEY in file.extra:
        found = "a file of a pack: its labels are slots, and its rectangles are no outlines"
        hint = "'maskps-data annotate collect' takes what was drawn in packs"
        findings.append(Finding("pack-file", "error", path.name, found, hint=hint))
        return None
    findings += [Finding("labelme-note", "info", scene, note) for note in file.notes]
    return file


def _outlines_of_scene(
    file: LabelMeFile,
    name: str,
    boxes: NDArray[np.float32],
    pids: NDArray[np.int64],
    pid_of_id: dict[str, int] | None,
    findings: list[Finding],
) -> dict[int, Outline]:
    """Returns the outline of each labeled person that has one, by index within the scene."""
    known: dict[int, Outline] = {}
    unknown: list[tuple[_Instance, Outline]] = []
    for instance in _instances(file, name, boxes, pids, pid_of_id, findings):
        if instance.person is not None and pids[instance.person] <= BACKGROUND_PID:
            continue
        try:
            outline = instance.outline()
        except AnnotationError as error:
            findings.append(Finding.of_error("outline-invalid", error))
            continue
        if instance.person is not None:
            known[instance.person] = outline
        else:
            unknown.append((instance, outline))
    free = np.array([person for person in range(len(pids)) if person not in known], dtype=np.int64)
    bounds = np.array([outline.bounds for _, outline in unknown]).reshape(-1, 4)
    fits = [
        None if column is None else int(free[column]) for column in best_fit(box_iou(bounds, boxes[free]))
    ]
    for (instance, outline), person in zip(unknown, fits, strict=True):
        if person is None:
            findings.append(
                Finding(
                    "outline-fits-nobody",
                    "warning",
                    instance.where,
                    "fits the box of no person",
                    hint="draw it in place or delete it",
                )
            )
        elif pids[person] > BACKGROUND_PID:
            known[person] = outline
    return known


def _instances(
    file: LabelMeFile,
    name: str,
    boxes: NDArray[np.float32],
    pids: NDArray[np.int64],
    pid_of_id: dict[str, int] | None,
    findings: list[Finding],
) -> list[_Instance]:
    """Returns the shapes of a file, put together by person."""
    instances: dict[tuple, _Instance] = {}
    for index, shape in enumerate(file.shapes):
        where = f"{name} shape {index} ({told(shape.label)})"
        if shape.shape_type not in AREA_TYPES:
            found = f"a {shape.shape_type} is no outline and is not used"
            findings.append(Finding("shape-not-polygon", "warning", where, found, hint="draw a polygon"))
            continue
        try:
            person = _person_of_shape(shape, where, boxes, pids, pid_of_id)
        except AnnotationError as error:
            findings.append(Finding.of_error("shape-names-nobody", error))
            continue
        key: tuple
        if person is not None:
            key = ("person", person)
        elif shape.group_id is not None:
            key = ("group", shape.label, shape.group_id)
        else:
            key = ("shape", index)
        instance = instances.setdefault(key, _Instance(where, person))
        (instance.holes if shape.flags.get(HOLE_FLAG) else instance.parts)[where] = shape
    for instance in instances.values():
        if not instance.parts:
            findings.append(
                Finding(
                    "hole-alone",
                    "error",
                    instance.where,
                    "a hole without the outline it belongs to",
                    hint="give both the same label and group_id",
                )
            )
    return [instance for instance in instances.values() if instance.parts]


def _person_of_shape(
    shape: LabelMeShape,
    where: str,
    boxes: NDArray[np.float32],
    pids: NDArray[np.int64],
    pid_of_id: dict[str, int] | None,
) -> int | None:
    """Returns the index of the person whom the shape names, None if it names nobody of this scene."""
    if BOX_KEY in shape.extra:
        return _person_of_box(shape.extra[BOX_KEY], where, boxes)
    if pid_of_id is not None:
        pid = pid_of_id.get(shape.label)
    else:
        digits = shape.label.removeprefix("p")
        pid = int(digits) if digits.isdecimal() and len(digits) < 10 else None
    named = np.flatnonzero(pids == (pid or BACKGROUND_PID))  # no person has the pid of the background
    return int(named[0]) if len(named) == 1 else None  # the same identity twice: the boxes decide


def _person_of_box(xywh: object, where: str, boxes: NDArray[np.float32]) -> int:
    try:
        given = np.array(xywh, dtype=np.float64).reshape(1, 4)
        if not (np.abs(given) <= FARTHEST).all():
            raise ValueError("a number that is none, or in no image")
    except (TypeError, ValueError, OverflowError) as error:
        raise AnnotationError(
            where,
            expected=f"{BOX_KEY} as [x, y, width, height]",
            found=repr(xywh)[:60],
            hint=f"delete {BOX_KEY} from the shape; its label or its place then tells the person",
        ) from error
    distance = np.abs(boxes - xywh_to_xyxy(given)).max(axis=1, initial=0.0)
    if not len(boxes) or not distance.min() <= _BOX_TOLERANCE:
        raise AnnotationError(
            where,
            expected=f"{BOX_KEY} as one of the {len(boxes)} boxes of the scene",
            found=repr(xywh)[:60],
            hint="the file belongs to another data set or another version of it",
        )
    return int(distance.argmin())
