"""What is wrong or odd in a COCO-style data set, or in a single file of one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from maskps.boxes import xyxy_to_xywh
from maskps.datasets.checks.protocols import check_protocol, check_query_box
from maskps.datasets.checks.tables import (
    RawScenes,
    check_split_names,
    check_tables,
    check_unlabeled_marks,
)
from maskps.datasets.coco.ids import WHAT
from maskps.datasets.coco.json_file import CocoColumns, read_columns
from maskps.datasets.coco.reader import coco_files, coco_protocol_names, read_coco, read_coco_protocol
from maskps.datasets.unreadable import file_finding, missing_file
from maskps.errors import InputFileError, MaskpsError
from maskps.findings import Finding, Rule
from maskps.protocols.protocol import SearchProtocol

_SHOWN = 5  # identities of a longer list in a message

_ID_REPEATED = Rule(
    "coco-annotation-id-repeated",
    "warning",
    "an id of its own for every annotation",
    "number the annotations anew: programs that find them by id lose these",
)
_AREA = Rule(
    "coco-area",
    "warning",
    hint="correct it: programs sort persons into small and large by it; maskps does not read it",
)
_NO_IDENTITIES = Rule(
    "coco-no-identities",
    "warning",
    "a person_id for every person who is known",
    "add 'person_id' to the annotations; -1 stands for a person without one",
)
_EMPTY = Rule(
    "coco-empty",
    "error",
    "annotations of persons in one of the files, or in both",
    "was the export made before the persons were drawn? Export it again",
)
_ID_IN_BOTH = Rule(
    "coco-id-in-both-files",
    "warning",
    "persons of the test set that were never seen in training",
    "nothing to do if each file has numbers of its own, as maskps reads them; if these are the same persons, "
    "results would be too good",
)


def check_coco(root_or_file: Path) -> list[Finding]:
    """Returns the findings on a folder with train.json and test.json, or on one such file.

    Codes: those of `check_tables`, `check_split_names`, `check_unlabeled_marks`, `check_protocol`,
    `check_query_box`, `file_finding` and `read_columns`, and

        coco-annotation-id-repeated    an id that two annotations have
        coco-area                      an area that is not width * height
        coco-no-identities             nobody in a file has a person_id
        coco-empty                     not one annotation in both files
        coco-id-in-both-files          identities in the training and in the test file
        coco-protocols                 test protocols that cannot be read or do not fit the test file
    """
    if root_or_file.is_file():
        return _check_file(root_or_file)[1]
    paths = coco_files(root_or_file)
    findings: list[Finding] = []
    found: dict[Path, CocoColumns] = {}
    for path in paths:
        if not path.is_file():
            other = [file.name for file in paths if file != path]
            findings.append(missing_file(path, what=WHAT, root=root_or_file, known=other))
            continue
        columns, of_file = _check_file(path)
        findings += of_file
        if columns is not None:
            found[path] = columns
    marks = {path.name: columns.marks for path, columns in found.items()}
    findings += check_unlabeled_marks(marks)
    if len(found) == 2:
        train, test = found.values()
        where = f"{train.path.name} and {test.path.name}"
        findings += check_split_names(train.names, test.names, where=where)
        findings += _shared_ids(train, test, where)
    if not any(finding.level == "error" for finding in findings):
        if not any(len(columns.ids) for columns in found.values()):
            findings.append(_EMPTY.broken(root_or_file, "no annotation in both files"))
        findings += _check_protocols(root_or_file, found[paths[1]])
    return findings


def _check_file(path: Path) -> tuple[CocoColumns | None, list[Finding]]:
    try:
        columns, findings = read_columns(path)
    except InputFileError as error:
        finding = file_finding(path, error, root=path.parent)
        if finding.code == "file-damaged" and error.__cause__ is None:  # it is JSON, but of another kind
            finding = replace(finding, code="file-other-kind")
        return None, [finding]
    if any(finding.code == "coco-box-corners" for finding in findings):
        # One finding is enough: the other checks see the boxes as they were meant.
        boxes = columns.boxes - np.pad(columns.boxes[:, :2], ((0, 0), (2, 0)))
        columns = replace(columns, boxes=boxes)
    return columns, [*findings, *check_tables(_scenes_of(columns)), *_odd_entries(columns)]


def _scenes_of(columns: CocoColumns) -> RawScenes:
    return RawScenes(
        names=columns.names,
        offsets=columns.offsets,
        boxes=columns.boxes,
        ids=columns.ids,
        where=columns.where,
        sizes=columns.sizes,
    )


def _odd_entries(columns: CocoColumns) -> list[Finding]:
    findings = []
    if columns.repeated_annotation_ids:
        found = f"{columns.repeated_annotation_ids:,} annotations with the id of an earlier one"
        findings.append(_ID_REPEATED.broken(columns.path, found))
    areas = columns.boxes[:, 2] * columns.boxes[:, 3]
    with np.errstate(invalid="ignore"):
        wrong = np.abs(columns.areas - areas) > np.maximum(1.0, 0.01 * areas)
    if wrong.any():
        person = int(np.argmax(wrong))
        share = f"{np.count_nonzero(wrong):,} of {len(areas):,} annotations"
        found = f"area {columns.areas[person]:g}, in {share}"
        expected = f"width * height, {areas[person]:g} here"
        findings.append(_AREA.broken(columns.where(person), found, expected=expected))
    if len(columns.ids) and all(identity is None for identity in columns.ids):
        found = f"{len(columns.ids):,} persons, none with an identity"
        findings.append(_NO_IDENTITIES.broken(columns.path, found))
    return findings


def _shared_ids(train: CocoColumns, test: CocoColumns, where: str) -> list[Finding]:
    both = sorted(set(train.ids) & set(test.ids) - {None}, key=lambda text: (len(text), text))
    listed = ", ".join(both[:_SHOWN]) + (", ..." if len(both) > _SHOWN else "")
    return [_ID_IN_BOTH.broken(where, f"{len(both):,} identities ({listed}) in both files")] if both else []


def _check_protocols(root: Path, test: CocoColumns) -> list[Finding]:
    """Returns what is wrong with the protocols, if both files can be read."""
    findings: list[Finding] = []
    try:
        dataset = read_coco(root)
        names = coco_protocol_names(root)
    except MaskpsError as error:
        return [Finding.of_error("coco-protocols", error)]
    for name in names:
        try:
            protocol = read_coco_protocol(dataset, name)
        except MaskpsError as error:
            findings.append(Finding.of_error("coco-protocols", error))
            continue
        findings += check_protocol(f"protocol {name}", protocol)
        findings += _check_queries(f"protocol {name}", protocol, _scenes_of(test))
    return findings


def _check_queries(where: str, protocol: SearchProtocol, test: RawScenes) -> list[Finding]:
    """Returns the queries whose box is not their person's; all their images are among these scenes."""
    scene_of = {name: scene for scene, name in enumerate(test.names)}
    boxes = xyxy_to_xywh(protocol.query_boxes)
    findings = []
    for query, image in enumerate(protocol.image_names[protocol.query_scenes].tolist()):
        identity = str(protocol.query_ids[query])
        findings += check_query_box(f"{where}, query {query}", identity, boxes[query], test, scene_of[image])
    return findings
