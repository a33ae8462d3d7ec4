"""From a folder of LabelMe files that did not come from packs to one outline per labeled person."""

from __future__ import annotations

import os
import shlex
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import xywh_to_xyxy
from maskps.errors import AnnotationError, MaskpsError, shown_value
from maskps.findings import Finding, raise_on_errors
from maskps.masks.assignment import FoundMask, assign_masks
from maskps.masks.labelme_file import BOX_KEY, LabelMeShape, is_person_label
from maskps.masks.outlined_persons import PersonOutlines
from maskps.masks.outlines import FARTHEST, Outline
from maskps.structures import BACKGROUND_PID, PersonSearchDataset, Scene, SceneTable
from maskps.subset import SubsetRecord, SubsetSelection, build_subset
from maskps.subset.build import image_sizes
from maskps.subset.names import check_labelme_folder, other_content
from maskps_annotation.drawn_persons import FileFindings, add_notes, group_shapes, outline_of_person
from maskps_annotation.reading import ReadFile, read_file, renamed_files

_BOX_TOLERANCE = 0.01  # pixels; boxes are float32


def outlines_from_labelme(
    folder: Path,
    table: SceneTable,
    *,
    scene_rows: NDArray[np.int64],
    ids: NDArray[np.str_] | None = None,
    labels: Collection[str] = (),
    sizes: Mapping[int, tuple[int, int]] | None = None,
    other_names: Iterable[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[int, Outline], list[Finding]]:
    """Returns the outlines of labeled persons in LabelMe files, and everything that was noticed.

    The file of a scene is `folder/<its name>.json` with the scene's folders, else `folder/<stem>.json`. Its
    `imagePath` must not name another image. A shape belongs to the person whom its private key "maskps_box"
    names; else to the one whose identity is its label; else it must be labeled as a person
    (`is_person_label`). Shapes of the same label and group_id are one person (a shape without group_id is one
    of its own), found by the best fit of boxes. Shapes are united as in packs (`drawn_persons`); persons are
    found as for imported masks (`assign_masks`).

    Outlines of unlabeled persons are not used: the paper annotates labeled persons only (Sec. 3.1). Points
    outside the image stay: targets are cut at boxes.

    Args:
        table: training or test scenes.
        scene_rows: (K,) scenes to look for.
        ids: (N,) str, the data set's own identity of pid i at [i - 1], e.g. "p3219". Without it, the
            labels "p12" and "12" mean pid 12.
        labels: more labels of persons, in the language of the annotators.
        sizes: scene row -> (width, height) of the image, where known; by default as annotated.
        other_names: names of the images of the other split, whose files must not be confused with these.
        progress: called with (scenes done, scenes to do).

    Returns:
        Person row of `table` -> outline; and the findings, "error" where a drawing cannot be used, "warning"
        where a file or the outline of a labeled person is missing or fits nobody.

    Raises:
        InputFileError: `folder` is not a folder.
    """
    check_labelme_folder(folder)
    files = _LabelMeFolder(folder, [*table.names.tolist(), *other_names])
    naming = _Naming.of(ids, labels)
    outlines: dict[int, Outline] = {}
    findings: list[Finding] = []
    for done, row in enumerate(scene_rows.tolist(), start=1):
        scene, first = table[row], int(table.offsets[row])
        path = files.path_of(scene.name)
        file_findings = FileFindings(path.relative_to(folder).as_posix())
        size = scene.size if sizes is None else sizes.get(row)
        file = _read_file(files, path, replace(scene, size=size), file_findings)
        if file is not None:
            masks = [
                replace(mask, scene=row, person=None if mask.person is None else first + mask.person)
                for mask in _masks_of_scene(file, scene, naming, file_findings)
            ]
            assigned = assign_masks(masks, table)
            outlines |= assigned.outlines
            file_findings.found += assigned.findings
            for person in np.flatnonzero(scene.is_labeled).tolist():
                if first + person not in assigned.outlines:
                    found = f"no outline of box {person} (pid {scene.pids[person]})"
                    file_findings.add("person-missing", "warning", "", found)
        findings += file_findings.found
        if progress is not None:
            progress(done, len(scene_rows))
    return outlines, [*findings, *naming.findings(folder)]


def build_subset_from_labelme(
    dataset: PersonSearchDataset,
    out: Path,
    labelme: Path | None,
    selection: SubsetSelection | None = None,
    *,
    seed: int = 0,
    labels: Collection[str] = (),
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[SubsetRecord, list[Finding]]:
    """Writes the folder of a mask subset, filled with the outlines of LabelMe files.

    Args:
        labelme: folder of the LabelMe files; None leaves every mask MISSING.
        selection, seed, force: as `build_subset`.
        labels: as `outlines_from_labelme`.
        progress: called with (scenes done, scenes to do) while the files are read.

    Returns:
        The record, and the findings of level "warning" and "info".

    Raises:
        AnnotationError: a drawing that cannot be used; names the first and how many there are. Or not one
            outline in the whole folder.
        MaskpsError: as `build_subset`.
    """
    findings: list[Finding] = []

    def read_outlines(scene_rows: NDArray[np.int64]) -> dict[int, Outline]:
        if labelme is None:
            return {}
        outlines, noticed = outlines_from_labelme(
            labelme,
            dataset.train,
            scene_rows=scene_rows,
            ids=dataset.train_ids,
            labels=labels,
            sizes=image_sizes(dataset, scene_rows),
            other_names=dataset.test.names.tolist(),
            progress=progress,
        )
        raise_on_errors(noticed)
        if not outlines:
            raise _nothing_used(labelme, len(scene_rows), noticed)
        findings.extend(noticed)
        return outlines

    record = build_subset(dataset, out, selection, seed=seed, outlines=read_outlines, force=force)
    return record, findings


def person_outlines_from_labelme(
    folder: Path, dataset: PersonSearchDataset
) -> tuple[PersonOutlines, list[Finding]]:
    """Returns the outlines of labeled persons in all LabelMe files of a folder, of training and test images.

    Returns:
        The outlines, and the findings of level "warning" and "info".

    Raises:
        AnnotationError: a drawing that cannot be used; names the first and how many there are. Or not one
            outline in the whole folder.
        InputFileError: `folder` is not a folder.
    """
    check_labelme_folder(folder)
    every = [*dataset.train.names.tolist(), *dataset.test.names.tolist()]
    files = _LabelMeFolder(folder, every)
    splits: list[dict[int, Outline]] = []
    findings: list[Finding] = []
    opened = 0
    for table, ids in ((dataset.train, dataset.train_ids), (dataset.test, dataset.test_ids)):
        has_file = [os.path.isfile(files.path_of(name)) for name in table.names.tolist()]
        rows = np.flatnonzero(np.array(has_file, dtype=np.bool_))
        outlines, noticed = outlines_from_labelme(
            folder,
            table,
            scene_rows=rows,
            ids=ids,
            sizes=image_sizes(dataset, rows, table),
            other_names=every,
        )
        splits.append(outlines)
        findings += noticed
        opened += len(rows)
    raise_on_errors(findings)
    if not any(splits):
        raise AnnotationError(
            folder,
            expected="LabelMe files with outlines of labeled persons in images of the data set",
            found=f"{opened:,} files of its images, without such an outline; the folder holds "
            f"{other_content(folder)}",
            hint="give the folder that holds the files themselves (s1.json for s1.jpg)",
        )
    return PersonOutlines(*splits), findings


class _LabelMeFolder:
    """Where the LabelMe files of scenes are.

    Args:
        names: of all images of the data set.
    """

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self.folder = folder
        self._names = defaultdict[str, list[str]](list)
        for name in names:
            self._names[PurePosixPath(name).stem].append(name)

    def path_of(self, scene: str) -> Path:
        """Returns the path of a scene's file, which may be missing."""
        parts = PurePosixPath(scene).with_suffix(".json").parts
        nested = self.folder.joinpath(*parts)
        is_inside = len(parts) > 1 and not {"..", "/"} & set(parts)
        return nested if is_inside and os.path.isfile(nested) else self.folder / parts[-1]

    def others_of(self, path: Path, scene: str) -> list[str]:
        """Returns the other images whose file would have the same path."""
        is_nested = path.parent != self.folder
        return [] if is_nested else [name for name in self._names[PurePosixPath(scene).stem] if name != scene]

    @cached_property
    def unused(self) -> list[str]:
        """The names in the folder that are not of a file of any image."""
        return [name for name in os.listdir(self.folder) if name.removesuffix(".json") not in self._names]


def _read_file(files: _LabelMeFolder, path: Path, scene: Scene, findings: FileFindings) -> ReadFile | None:
    """Returns the LabelMe file of a scene; None, and a finding, if it is missing or cannot be used."""
    if not os.path.isfile(path):  # not even if the name is too long
        found, hint = f"no LabelMe file {path.name}; its masks are missing", ""
        if similar := renamed_files(path.name, files.unused):
            found = f"no LabelMe file {path.name}, but {shown_value(similar[0])}; its masks are missing"
            hint = f"rename it to {path.name} if it is the drawing"
        findings.found.append(Finding("file-missing", "warning", scene.name, found, hint=hint))
        return None
    try:
        file = read_file(path, findings.where)
    except MaskpsError as error:
        findings.found.append(Finding.of_error("file-unreadable", error))
        return None
    if file.record is not None:
        found = "a file of a pack: its labels are slots, and its rectangles are not outlines"
        hint = "collect packs with 'maskps-data annotate collect'"
        findings.add("pack-file", "error", "", found, hint=hint)
        return None
    image_path, others = file.heading.image_path, files.others_of(path, scene.name)
    owners = [
        name for name in (scene.name, *others) if _parts(image_path)[-len(_parts(name)) :] == _parts(name)
    ]
    if not _names_image(image_path, scene.name) and not others:
        found = f"imagePath is {shown_value(image_path)}"
        hint = "it was drawn on another image: rename the file, or correct imagePath if only that is wrong"
        findings.add("wrong-image", "error", "", found, expected=f"a path of {scene.name}", hint=hint)
    elif others and not owners:
        found = f"one file for {len(others) + 1} images: {', '.join([scene.name, *others][:4])}"
        hint = f"put it in folders as the images are: {PurePosixPath(scene.name).with_suffix('.json')}"
        findings.add("file-ambiguous", "error", "", found, hint=hint)
    elif others and (owner := max(owners, key=len)) != scene.name:
        found = f"{path.name} is of {owner}; its masks are missing"
        findings.found.append(Finding("file-missing", "warning", scene.name, found))
    elif file.size is not None and scene.size is not None and file.size != scene.size:
        found, expected = ("{} x {} pixels".format(*size) for size in (file.size, scene.size))
        hint = "it was drawn on an image of another size, or LabelMe turned the image (EXIF); draw it again"
        findings.add("size-differs", "error", "", found, expected=expected, hint=hint)
    else:
        return file
    return None


def _names_image(path: str, scene: str) -> bool:
    """Whether an imagePath may be of a scene: same name without ending, and folders that do not differ."""
    given, own = _parts(path), _parts(scene)
    if not given:
        return True
    if PurePosixPath(given[-1]).stem.casefold() != PurePosixPath(own[-1]).stem.casefold():
        return False
    shared = min(len(given), len(own)) - 1
    return given[-1 - shared : -1] == own[-1 - shared : -1]


def _parts(path: str) -> list[str]:
    """Returns folders and name of a path of any system, without "." and ".."."""
    path = unicodedata.normalize("NFC", path)
    return [part for part in path.replace("\\", "/").split("/") if part not in ("", ".", "..")]


@dataclass
class _Naming:
    """Whom labels mean, and how many shapes have a label that means nobody in particular.

    Attributes:
        pid_of_id: the data set's identities; None: "p12" and "12" mean pid 12.
        labels: more labels of persons.
        used, unused: label -> number of shapes labeled as a person, or as something else.
    """

    pid_of_id: Mapping[str, int] | None
    labels: Collection[str]
    used: Counter[str] = field(default_factory=Counter)
    unused: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, ids: NDArray[np.str_] | None, labels: Collection[str]) -> _Naming:
        """Returns the meaning of the labels of a data set."""
        if ids is None:
            return cls(None, labels)
        return cls({str(name): pid for pid, name in enumerate(ids, start=1)}, labels)

    def pid_of(self, label: str) -> int | None:
        """Returns the pid that a label means, if it is an identity."""
        if self.pid_of_id is not None:
            return self.pid_of_id.get(label)
        digits = label.removeprefix("p")
        return int(digits) if digits.isdecimal() and len(digits) < 10 else None

    def is_person(self, label: str) -> bool:
        """Whether a label says that its shape is a person, whoever that is; counts it if it does not."""
        if self.pid_of(label) is not None or is_person_label(label, self.labels):
            return True
        self.unused[label] += 1
        return False

    def findings(self, folder: Path) -> list[Finding]:
        """Returns a line for each label: used, or not the label of a person."""
        return [
            *(
                Finding("label-used", "info", str(folder), f"{_shapes(count, label)} used as persons")
                for label, count in self.used.most_common()
            ),
            *(
                Finding(
                    "label-not-person",
                    "warning",
                    str(folder),
                    f"{_shapes(count, label)} not used",
                    hint=f"if they are outlines of whole persons, give --label {shlex.quote(label)}",
                )
                for label, count in self.unused.most_common()
            ),
        ]


def _shapes(count: int, label: str) -> str:
    return f"{count:,} shape{'' if count == 1 else 's'} labeled {shown_value(label)}"


def _nothing_used(folder: Path, scenes: int, findings: Sequence[Finding]) -> AnnotationError:
    """Returns the error about a folder without an outline: no files of ours, or other labels."""
    expected = f"a LabelMe file with outlines of persons for each of {scenes:,} images"
    missing = sum(finding.code == "file-missing" for finding in findings)
    unused = [finding.found for finding in findings if finding.code == "label-not-person"]
    hint = "give the folder with their files (s1.json for s1.jpg), or choose the images by --from-labelme"
    if missing == scenes:
        found = f"none of them: the folder holds {other_content(folder)}"
        hint += "; import-masks reads masks of other tools (docs/from_your_tool.md)"
    else:
        found = f"{scenes - missing:,} of them, without the outline of a labeled person"
        if unused:
            found += f": {'; '.join(unused[:4])}"
            hint = "give the label of whole persons with --label"
    return AnnotationError(folder, expected=expected, found=found, hint=hint)


def _masks_of_scene(file: ReadFile, scene: Scene, naming: _Naming, findings: FileFindings) -> list[FoundMask]:
    """Returns the outlines of a file; `person` is the index of the box in the scene, where it is named."""

    def person_of(index: int, shape: LabelMeShape) -> tuple[Hashable, str] | None:
        name = shown_value(shape.label)
        pid = naming.pid_of(shape.label)
        named = np.flatnonzero(scene.pids == (BACKGROUND_PID if pid is None else pid)).tolist()
        person = named[0] if len(named) == 1 else None
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
        elif pid is not None and not named and not shape.label.isdecimal():  # digits may count the shapes
            found = f"a person of the data set, but not of {scene.name}"
            hint = "correct the label; or is the file about another image?"
            findings.add("identity-elsewhere", "error", name, found, hint=hint, shape=index)
            return None
        if person is not None:
            return (person, name) if scene.is_labeled[person] else None
        if not naming.is_person(shape.label):
            return None
        naming.used[shape.label] += 1
        return ((index,) if shape.group_id is None else (shape.label, shape.group_id)), name

    bad = tuple(one for one in file.bad_shapes if not one[0] or naming.is_person(one[0]))
    add_notes(replace(file, bad_shapes=bad), findings)
    masks = []
    for drawn in group_shapes(file.shapes, person_of, findings):
        outline = outline_of_person(drawn, file.version, findings, is_pack=False)
        if outline is not None and drawn.key not in findings.blocked:
            where = f"{findings.where} {drawn.name} (shape {min(drawn.shapes)})"
            masks.append(FoundMask(where, 0, outline, drawn.key if isinstance(drawn.key, int) else None))
    return masks


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
