"""The doctor's checks of query_info.txt of PRW: its lines, and whether they fit the annotation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from maskps.datasets.checks.protocols import check_query_box
from maskps.datasets.checks.tables import RawScenes
from maskps.datasets.prw import files
from maskps.datasets.prw.files import QueryLine
from maskps.findings import Finding


def identities_of(scenes: RawScenes) -> set[str]:
    """Returns the ids of the persons who have one."""
    return {identity for identity in scenes.ids if identity is not None}


def line_ends(path: Path, text: str) -> Finding:
    """Returns how the lines of query_info.txt end: code that cuts 2 characters needs CRLF after all."""
    windows, all_ends = text.count("\r\n"), len(files.LINE_END.findall(text))
    if text.endswith(("\n", "\r")) and windows == all_ends:
        found = "lines end with CRLF, as released"
        hint = "nothing to do here; code that strips only the newline looks for images of wrong names"
        return Finding("line-ends", "info", str(path), found, hint=hint)
    if windows == all_ends and windows:
        found = "lines end with CRLF, but the last one has no end"
    elif windows:
        found = f"{windows} lines end with CRLF and {all_ends - windows} with LF"
    else:
        found = "lines end with LF"
    hint = "read correctly here; code that cuts two characters, as SeqNet, loses the image's last digit"
    return Finding("line-ends", "info", str(path), found, "CRLF after every line, as released", hint)


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
            found = f"the same person and image as in line {line}"
            findings.append(
                Finding("query-doubled", "warning", where, found, "every query once", "delete one")
            )
        if query.name not in scene_of:
            place = "a training image" if query.name in training_names else "in neither list of images"
            findings.append(
                Finding(
                    "query-outside-test",
                    "error",
                    where,
                    f"'{query.name}' is {place}",
                    f"an image of {files.TEST_FILE}",
                    "the files may be of different versions; copy them again",
                )
            )
            continue
        if identity in training_ids:
            found = f"id {identity} is in the training set too"
            hint = "results would be too good; as released, no query's person is in a training image"
            findings.append(Finding("query-id-in-training", "warning", where, found, hint=hint))
        scene = scene_of[query.name]
        if test.offsets[scene] < test.offsets[scene + 1]:  # an empty or unreadable file is told elsewhere
            findings += check_query_box(where, identity, np.array(query.box), test, scene)
        if not scenes_of_id.get(identity, set()) - {scene}:
            found = f"id {identity} is in no other test image"
            hint = "nothing can be found for it; it counts as a query all the same"
            findings.append(Finding("query-without-match", "warning", where, found, hint=hint))
    return findings
