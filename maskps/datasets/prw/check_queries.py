"""The checks of PRW's query_info.txt: its lines, and whether they fit the annotation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from maskps.datasets.checks.protocols import WITHOUT_MATCH, check_query_box
from maskps.datasets.checks.tables import RawScenes
from maskps.datasets.prw import files
from maskps.datasets.prw.files import QueryLine
from maskps.findings import Finding, Rule

_CRLF = Rule(
    "line-ends",
    "info",
    hint="nothing to do here; code that strips only the newline looks for images of wrong names",
)
_NOT_CRLF = Rule(
    "line-ends",
    "info",
    "CRLF after every line, as released",
    "read correctly here; code that cuts two characters, as SeqNet, loses the image's last digit",
)
_DOUBLED = Rule("query-doubled", "warning", "every query once", "delete one")
_OUTSIDE = Rule(
    "query-outside-test",
    "error",
    f"an image of {files.TEST_FILE}",
    "the files may be of different versions; copy them again",
)
_IN_TRAINING = Rule(
    "query-id-in-training",
    "warning",
    hint="results would be too good; as released, no query's person is in a training image",
)


def identities_of(scenes: RawScenes) -> set[str]:
    """Returns the ids of the persons with an identity."""
    return {identity for identity in scenes.ids if identity is not None}


def line_ends(path: Path, text: str) -> Finding:
    """Returns how the lines of query_info.txt end (code line-ends): some code works with CRLF only."""
    windows, all_ends = text.count("\r\n"), len(files.LINE_END.findall(text))
    if text.endswith(("\n", "\r")) and windows == all_ends:
        return _CRLF.broken(path, "lines end with CRLF, as released")
    if windows == all_ends and windows:
        found = "lines end with CRLF, but the last one has no end"
    elif windows:
        found = f"{windows} lines end with CRLF and {all_ends - windows} with LF"
    else:
        found = "lines end with LF"
    return _NOT_CRLF.broken(path, found)


def check_queries(path: Path, queries: list[QueryLine], train: RawScenes, test: RawScenes) -> list[Finding]:
    """Returns the queries that do not fit the annotation of the two sets.

    Codes: query-outside-test, query-id-not-in-image, query-box-differs, query-id-in-training,
    query-without-match, query-doubled.
    """
    findings: list[Finding] = []
    scene_of = {name: scene for scene, name in reversed(list(enumerate(test.names)))}
    training_names, training_ids = set(train.names), identities_of(train)
    scenes_of_id: dict[str, set[int]] = {}
    for scene, identity in zip(test.scene_of_person.tolist(), test.ids.tolist(), strict=True):
        if identity is not None:
            scenes_of_id.setdefault(identity, set()).add(scene)
    seen: dict[tuple[int, str], int] = {}
    for query in queries:
        where = f"{path}, line {query.number}"
        identity = str(query.identity)
        line = seen.setdefault((query.identity, query.name), query.number)
        if line != query.number:
            findings.append(_DOUBLED.broken(where, f"the same person and image as in line {line}"))
        if query.name not in scene_of:
            place = "a training image" if query.name in training_names else "in neither list of images"
            findings.append(_OUTSIDE.broken(where, f"'{query.name}' is {place}"))
            continue
        if identity in training_ids:
            findings.append(_IN_TRAINING.broken(where, f"id {identity} is in the training set too"))
        scene = scene_of[query.name]
        if test.offsets[scene] < test.offsets[scene + 1]:  # else its file is empty or unreadable: a finding
            findings += check_query_box(where, identity, np.array(query.box), test, scene)
        if not scenes_of_id.get(identity, set()) - {scene}:
            findings.append(WITHOUT_MATCH.broken(where, f"id {identity} is in no other test image"))
    return findings
