"""The names of scenes and identities in the files of CUHK-SYSU, against each other."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from maskps.datasets.checks.tables import check_split_ids, check_unlabeled_marks
from maskps.datasets.cuhk_sysu import layout
from maskps.datasets.cuhk_sysu.check_files import Annotation
from maskps.datasets.cuhk_sysu.check_published import name_ranges
from maskps.findings import Finding
from maskps.protocols.protocol import SUBSET_KEYS

_UNLABELED = re.compile(r"p?-\d+|un-?label+ed|unknown|none|nan", re.IGNORECASE)


def check_lists(files: Annotation) -> list[Finding]:
    """The names of scenes in pool.mat, Train.mat and the protocols against each other and Images.mat."""
    findings = []
    pool = set(files.pool or ())
    if files.pool is not None and len(pool) < len(files.pool):
        doubled = [name for name, count in Counter(files.pool).items() if count > 1]
        findings.append(
            Finding(
                "pool-scene-doubled",
                "error",
                str(files.root / layout.POOL_FILE),
                f"scenes listed twice: {name_ranges(doubled)}",
                "every scene once",
                "remove the doubled entry from pool.mat",
            )
        )
    lists: list[tuple[Path, str, set[str]]] = [(files.root / layout.POOL_FILE, "test scenes", pool)]
    if files.train is not None:
        lists.append((files.train.path, "scenes of training persons", set(files.train.names)))
        if pool.intersection(files.train.names):
            shared = pool.intersection(files.train.names)
            findings.append(
                Finding(
                    "train-scene-in-pool",
                    "warning",
                    str(files.train.path),
                    f"training persons appear in {len(shared):,} test scenes: {name_ranges(shared)}",
                    "training persons in training scenes only",
                    "these appearances are not used; are Train.mat and pool.mat of the same version?",
                )
            )
    for name, protocol in files.protocols.items():
        used = set(protocol.image_names.tolist())
        lists.append((files.path(name), "scenes of the protocol", used))
        if files.pool is not None and used - pool:
            findings.append(
                Finding(
                    "protocol-scene-not-in-pool",
                    "error",
                    str(files.path(name)),
                    f"{len(used - pool):,} scenes that are not in pool.mat: {name_ranges(used - pool)}",
                    "scenes of the test set only",
                    "nothing can be found in them; copy both files again",
                )
            )
    if files.images is not None:
        known = set(files.images.names)
        for path, what, used in lists:
            unknown = used - known
            if unknown:
                findings.append(
                    Finding(
                        "scene-unknown",
                        "error",
                        str(path),
                        f"{len(unknown):,} {what} that Images.mat does not have: {name_ranges(unknown)}",
                        "scenes of Images.mat",
                        "the annotation files may be of different versions; copy all of them again",
                    )
                )
    return findings


def check_ids(files: Annotation) -> list[Finding]:
    """The names of identities: doubled, in both splits, in a subset only, or a mark for 'nobody'."""
    findings = []
    train = files.train.ids if files.train is not None else []
    train_path = str(files.root / layout.TRAIN_FILE)
    for identity, count in Counter(train).items():
        if count == 1:
            continue
        findings.append(
            Finding(
                "id-doubled",
                "error",
                train_path,
                f"identity '{identity}' is listed {count} times",
                "every identity once",
                "join its entries into one",
            )
        )
    by_protocol = {name: set(protocol.query_ids.tolist()) for name, protocol in files.protocols.items()}
    queried: set[str] = set().union(*(ids for name, ids in by_protocol.items() if name not in SUBSET_KEYS))
    findings += check_split_ids(train, queried, where=train_path)
    for name in SUBSET_KEYS:
        others = by_protocol.get(name, set()) - queried
        if others and queried:
            findings.append(
                Finding(
                    "subset-id-unknown",
                    "warning",
                    str(files.path(name)),
                    f"{len(others):,} persons who are in no TestG file: {', '.join(sorted(others)[:5])}",
                    "persons of the test set",
                    "the annotation files may be of different versions; copy all of them again",
                )
            )
    marks = {train_path: {identity for identity in train if _UNLABELED.fullmatch(identity)}}
    for name, ids in by_protocol.items():
        marks[str(files.path(name))] = {identity for identity in ids if _UNLABELED.fullmatch(identity)}
    for where, used in marks.items():
        for identity in sorted(used):
            findings.append(
                Finding(
                    "id-means-nobody",
                    "warning",
                    where,
                    f"identity '{identity}' looks like a mark for persons without one",
                    "names of persons; those without identity are in Images.mat only",
                    "take its entry out of the file, or all of them become one person",
                )
            )
    return findings + check_unlabeled_marks(marks)
