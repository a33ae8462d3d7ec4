"""The names of scenes and identities in the files of CUHK-SYSU, compared with each other."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from maskps.datasets.checks.tables import check_similar_ids, check_split_ids, check_unlabeled_marks
from maskps.datasets.cuhk_sysu import layout
from maskps.datasets.cuhk_sysu.check_files import Annotation
from maskps.datasets.cuhk_sysu.check_published import name_ranges
from maskps.findings import Finding, Rule
from maskps.protocols.identities import means_nobody
from maskps.protocols.protocol import SUBSET_KEYS

_OTHER_VERSION = "the annotation files may be of different versions; copy all of them again"

_POOL_DOUBLED = Rule(
    "pool-scene-doubled", "error", "every scene once", "remove the doubled entry from pool.mat"
)
_TRAIN_IN_POOL = Rule(
    "train-scene-in-pool",
    "warning",
    "training persons in training scenes only",
    "these appearances are not used; are Train.mat and pool.mat of the same version?",
)
_NOT_IN_POOL = Rule(
    "protocol-scene-not-in-pool",
    "error",
    "scenes of the test set only",
    "nothing can be found in them; copy both files again",
)
_SCENE_UNKNOWN = Rule("scene-unknown", "error", "scenes of Images.mat", _OTHER_VERSION)
_ID_DOUBLED = Rule("id-doubled", "error", "every identity once", "join its entries into one")
_ID_UNKNOWN = Rule("subset-id-unknown", "warning", "persons of the test set", _OTHER_VERSION)
_MEANS_NOBODY = Rule(
    "id-means-nobody",
    "warning",
    "names of persons; those without identity are in Images.mat only",
    "remove its entry from the file, or all of them become one person",
)


def check_lists(files: Annotation) -> list[Finding]:
    """Compares the scenes of pool.mat, Train.mat and the protocols with each other and with Images.mat."""
    findings = []
    pool_path, pool = files.root / layout.POOL_FILE, set(files.pool or ())
    doubled = [name for name, count in Counter(files.pool).items() if count > 1]
    if doubled:
        findings.append(_POOL_DOUBLED.broken(pool_path, f"scenes listed twice: {name_ranges(doubled)}"))
    lists: list[tuple[Path, str, set[str]]] = [(pool_path, "test scenes", pool)]
    if files.train is not None:
        lists.append((files.train.path, "scenes of training persons", set(files.train.names)))
        if shared := pool.intersection(files.train.names):
            found = f"training persons appear in {len(shared):,} test scenes: {name_ranges(shared)}"
            findings.append(_TRAIN_IN_POOL.broken(files.train.path, found))
    for name, protocol in files.protocols.items():
        used = set(protocol.image_names.tolist())
        lists.append((files.path(name), "scenes of the protocol", used))
        others = used - pool
        if files.pool is not None and others:
            found = f"{len(others):,} scenes that are not in pool.mat: {name_ranges(others)}"
            findings.append(_NOT_IN_POOL.broken(files.path(name), found))
    if files.images is not None:
        known = set(files.images.names)
        for path, what, used in lists:
            if unknown := used - known:
                found = f"{len(unknown):,} {what} that Images.mat does not have: {name_ranges(unknown)}"
                findings.append(_SCENE_UNKNOWN.broken(path, found))
    return findings


def check_ids(files: Annotation) -> list[Finding]:
    """Checks the names of identities: doubled, in both splits, in a subset only, or a mark for 'nobody'."""
    train = files.train.ids if files.train is not None else []
    train_path = str(files.root / layout.TRAIN_FILE)
    findings = [
        _ID_DOUBLED.broken(train_path, f"identity '{identity}' is listed {count} times")
        for identity, count in Counter(train).items()
        if count > 1
    ]
    by_protocol = {name: set(protocol.query_ids.tolist()) for name, protocol in files.protocols.items()}
    queried: set[str] = set().union(*(ids for name, ids in by_protocol.items() if name not in SUBSET_KEYS))
    findings += check_split_ids(train, queried, where=train_path)
    for name in SUBSET_KEYS:
        others = by_protocol.get(name, set()) - queried
        if others and queried:
            found = f"{len(others):,} persons who are in no TestG file: {', '.join(sorted(others)[:5])}"
            findings.append(_ID_UNKNOWN.broken(files.path(name), found))
    marks = {train_path: {identity for identity in train if means_nobody(identity)}}
    for name, ids in by_protocol.items():
        marks[str(files.path(name))] = {identity for identity in ids if means_nobody(identity)}
    findings += [
        _MEANS_NOBODY.broken(where, f"identity '{identity}' looks like a mark for persons without identity")
        for where, used in marks.items()
        for identity in sorted(used)
    ]
    findings += check_similar_ids({*train, *queried}, where=train_path)
    return findings + check_unlabeled_marks(marks)
