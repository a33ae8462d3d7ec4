"""What a data set may be called, and on which terms it may be used: by its published counts and names."""

from __future__ import annotations

from pathlib import Path

from maskps.datasets.cuhk_sysu.layout import SYNTHETIC_RECORD
from maskps.datasets.dataset_format import CUT_RECORD, Published
from maskps.datasets.formats import FORMATS
from maskps.structures import PersonSearchDataset, SceneTable
from maskps_manifest.counts import Counts


def data_name(dataset: PersonSearchDataset) -> str:
    """Returns what these data may be called; "CUHK-SYSU" or "PRW" only if their published counts agree.

    A synthetic set may have the counts of CUHK-SYSU, but it has a record and other file names.
    """
    name = dataset.root.resolve().name
    if has_synthetic_record(dataset.root):
        return f"synthetic data '{name}'"
    one = FORMATS.get(dataset.kind)
    if one is not None and one.published is not None and _is_published(dataset, one.published):
        return one.published.name
    return f"'{name}' (layout: {one.name if one else dataset.kind})"


def weight_terms(dataset: PersonSearchDataset) -> str:
    """Returns the terms of weights that are trained on these data; "" if they are not a published set.

    A published set is recognised by its counts and names, in any format; a part of it that `maskps-data cut`
    wrote, by its names.
    """
    if has_synthetic_record(dataset.root):
        return ""
    names = {*dataset.train.names.tolist(), *dataset.test.names.tolist()}
    is_cut = (dataset.root / CUT_RECORD).is_file()
    for published in (one.published for one in FORMATS.values() if one.published is not None):
        is_part = is_cut and published.names is not None and names <= published.names()
        if is_part or _is_published(dataset, published):
            return published.weight_terms
    return ""


def has_synthetic_record(root: Path) -> bool:
    """Whether the data set in this folder has the record of a synthetic one."""
    return (root / SYNTHETIC_RECORD).is_file()


def published_like(dataset: PersonSearchDataset) -> Published:
    """Returns the published data set to compare with: that of the format, or one of the same size.

    The size is the number of training images. CUHK-SYSU if neither exists.
    """
    rows = [(one.kind, one.published) for one in FORMATS.values() if one.published is not None]
    for kind, published in rows:
        if kind == dataset.kind:
            return published
    for _, published in rows:
        if published.train.images == len(dataset.train):
            return published
    return rows[0][1]


def _is_published(dataset: PersonSearchDataset, published: Published) -> bool:
    found = (_counts(dataset.train), _counts(dataset.test), len(dataset.train_ids))
    if found != (published.train, published.test, published.train_identities):
        return False
    names = {*dataset.train.names.tolist(), *dataset.test.names.tolist()}
    return published.names is None or published.names() == names


def _counts(table: SceneTable) -> Counts:
    labeled = int(table.is_labeled.sum())
    return Counts(images=len(table), labeled=labeled, unlabeled=table.num_persons - labeled)
