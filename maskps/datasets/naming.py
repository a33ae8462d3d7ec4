"""What a data set may be called: a published name only where the published counts agree."""

from __future__ import annotations

from pathlib import Path

from maskps.structures import PersonSearchDataset, SceneTable
from maskps_manifest import cuhk_sysu, prw
from maskps_manifest.counts import Counts

_SYNTHETIC = "synth.json"
_LAYOUTS = {"cuhk-sysu": "CUHK-SYSU", "prw": "PRW", "coco": "COCO"}


def data_name(dataset: PersonSearchDataset) -> str:
    """Returns what these data may be called; "CUHK-SYSU" or "PRW" only if their published counts agree.

    A synthetic set has the counts of CUHK-SYSU, but its record beside the annotation, and other file names.
    """
    name = dataset.root.resolve().name
    if has_synthetic_record(dataset.root):
        return f"synthetic data '{name}'"
    found = (_counts(dataset.train), _counts(dataset.test), len(dataset.train_ids))
    if dataset.kind == "prw" and found == (prw.TRAIN, prw.TEST, prw.TRAIN_IDENTITIES):
        return "PRW"
    wanted = (cuhk_sysu.TRAIN, cuhk_sysu.TEST, cuhk_sysu.TRAIN_IDENTITIES)
    if dataset.kind == "cuhk-sysu" and found == wanted and _has_published_names(dataset):
        return "CUHK-SYSU"
    return f"'{name}' (layout: {_LAYOUTS.get(dataset.kind, dataset.kind)})"


def has_synthetic_record(root: Path) -> bool:
    """Whether the data set in this folder says of itself that its scenes are rendered."""
    return (root / _SYNTHETIC).is_file()


def _has_published_names(dataset: PersonSearchDataset) -> bool:
    return cuhk_sysu.published_names() == {*dataset.train.names.tolist(), *dataset.test.names.tolist()}


def _counts(table: SceneTable) -> Counts:
    labeled = int(table.is_labeled.sum())
    return Counts(images=len(table), labeled=labeled, unlabeled=table.num_persons - labeled)
