"""Compares CUHK-SYSU with its published names and counts, if it should be the published data set."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from maskps.datasets.checks.tables import check_counts
from maskps.datasets.cuhk_sysu import layout
from maskps.datasets.dataset_format import is_made
from maskps.findings import Finding, Rule
from maskps.protocols.protocol import SearchProtocol
from maskps_manifest import cuhk_sysu as published

PUBLISHED_SHARE = 0.9
"""A data set should be the published one if this share of its names are published names ..."""

PUBLISHED_LEAST = published.TEST.images // 2
"""... and there are at least this many: half of the test set, for copies of which only that can be read."""

_SHOWN = 8


PUBLISHED_COUNTS = {
    "images": published.IMAGES,
    "training images": published.TRAIN.images,
    "test images": published.TEST.images,
    "labeled training persons": published.TRAIN.labeled,
    "unlabeled training persons": published.TRAIN.unlabeled,
    "training images without a labeled person": published.TRAIN_IMAGES_WITHOUT_LABELED,
    "training identities": published.TRAIN_IDENTITIES,
    "appearances in Train.mat": published.TRAIN_APPEARANCES,
    "labeled test persons": published.TEST.labeled,
    "unlabeled test persons": published.TEST.unlabeled,
}
"""The counts of `maskps_manifest`; persons are boxes with width and height."""

PUBLISHED_QUERIES = {
    **{f"TestG{size}": published.QUERIES for size in published.GALLERY_SIZES},
    "Occlusion": published.OCCLUSION_QUERIES,
    "Resolution": published.RESOLUTION_QUERIES,
}
"""Queries of the released protocols."""


_NUMBERING = (
    f"s{published.FIRST_NUMBER}.jpg ... s{published.LAST_NUMBER}.jpg without "
    f"s{published.MISSING_NUMBERS[0]}.jpg ... s{published.MISSING_NUMBERS[-1]}.jpg"
)
_COPY = "copy Images.mat again; it is of another version or was edited"
_NAMES_MISSING = Rule("names-missing", "error", _NUMBERING, _COPY)
_NAMES_EXTRA = Rule("names-extra", "error", _NUMBERING, _COPY)
_SPLIT_DIFFERS = Rule(
    "split-differs",
    "error",
    f"the {published.TEST.images:,} names with the sha256 {published.TEST_NAMES_SHA256[:12]}...",
    "copy pool.mat again; training and test would not be those of published results",
)
_PROTOCOL_MISSING = Rule(
    "protocol-missing", "warning", hint="only needed to evaluate with it; copy it from the data set"
)
_NOT_COMPARED = Rule(
    "counts-not-compared",
    "info",
    hint="a copy of CUHK-SYSU has mostly published names, s1.jpg to s18204.jpg, and neither synth.json nor "
    "cut.json",
)


def is_meant_as_published(root: Path, names: Collection[str]) -> bool:
    """Whether a data set should have the published names and counts.

    It should unless there is a `synth.json` or `cut.json`, or it has names of its own: fewer than
    `PUBLISHED_LEAST` published ones, or more than a tenth that are not s1.jpg ... s18204.jpg. So a copy that
    lost a third of its images still counts as the published one.

    Args:
        names: of the scenes in all files that could be read.
    """
    if is_made(root):
        return False
    known = len(set(names).intersection(published.scene_names()))
    return known >= PUBLISHED_LEAST and known >= PUBLISHED_SHARE * len(set(names))


def check_names(path: Path, names: Collection[str]) -> list[Finding]:
    """Returns the names that Images.mat lacks or has in addition (codes names-missing, names-extra)."""
    wanted, found = set(published.scene_names()), set(names)
    findings = []
    if lost := wanted - found:
        text = f"without {len(lost):,} of the published names: {name_ranges(lost)}"
        findings.append(_NAMES_MISSING.broken(path, text))
    if extra := found - wanted:
        text = f"{len(extra):,} names that were not published: {name_ranges(extra)}"
        findings.append(_NAMES_EXTRA.broken(path, text))
    return findings


def check_split(path: Path, pool: Sequence[str]) -> list[Finding]:
    """Returns a finding if pool.mat does not hold the published test split (code split-differs)."""
    if published.names_sha256(pool) == published.TEST_NAMES_SHA256:
        return []
    return [_SPLIT_DIFFERS.broken(path, f"{len(pool):,} names that are not the published test split")]


def check_published_counts(
    root: Path, found: Mapping[str, int | None], protocols: Mapping[str, SearchProtocol]
) -> list[Finding]:
    """Returns the numbers that differ from the published ones, and the released files that are missing.

    Codes: count-differs, protocol-missing.

    Args:
        found: numbers by the keys of `PUBLISHED_COUNTS`; None if one could not be counted.
        protocols: those that could be read, by name.
    """
    findings = check_counts(str(root), found, PUBLISHED_COUNTS, of="CUHK-SYSU")
    for name, queries in PUBLISHED_QUERIES.items():
        path = root / layout.protocol_file(name)
        if name in protocols:
            number = {"queries": protocols[name].num_queries}
            findings += check_counts(str(path), number, {"queries": queries}, of="CUHK-SYSU")
        elif not path.exists():
            expected = f"the released test protocol {name} of {queries:,} queries"
            findings.append(_PROTOCOL_MISSING.broken(path, "no such file", expected=expected))
    return findings


def not_compared(root: Path, names: int) -> Finding:
    """Returns the remark that a data set is not compared with the published one."""
    return _NOT_COMPARED.broken(root, f"{names:,} scenes; this does not look like the published CUHK-SYSU")


def name_ranges(names: Iterable[str]) -> str:
    """Returns a short list of names: "s5.jpg, s77.jpg ... s80.jpg, and 12 more"."""
    numbers, others = [], []
    for name in names:
        match = re.fullmatch(r"s(\d{1,9})\.jpg", name)
        if match and name == f"s{int(match.group(1))}.jpg":
            numbers.append(int(match.group(1)))
        else:
            others.append(name)
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = [f"s{run[0]}.jpg" + (f" ... s{run[-1]}.jpg" if len(run) > 1 else "") for run in runs]
    sizes = [len(run) for run in runs] + [1] * len(others)
    texts += sorted(others)
    left = sum(sizes[_SHOWN:])
    return ", ".join(texts[:_SHOWN]) + (f", and {left:,} more" if left else "")
