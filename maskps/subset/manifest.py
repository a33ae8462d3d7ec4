"""subset.json: the record of a mask subset, enough to build it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

from maskps.errors import ConfigError, InputFileError, shown_value
from maskps.io.files import json_field, read_record, write_json
from maskps.subset.nested import FULL, images_of, parse_proportions
from maskps.subset.select import Order, Source

FORMAT = "maskps-subset"
VERSION = 1
RECORD_NAME = "subset.json"
_WHAT = "a subset's record (subset.json)"
EDITED = "the record was edited; build the subset again"
_field = partial(json_field, hint=EDITED)
_COUNTS = ("images", "portions", "drawn", "kept", "labeled", "unlabeled", "masks_present", "masks_missing")


@dataclass(frozen=True)
class SubsetRecord:
    """The record of one mask subset.

    Attributes:
        fingerprint: of the data set whose training images these are.
        source: how the images were chosen: "draw", "names" or "labelme".
        portion_size: images per portion (the last portion takes the remainder); None without a draw.
        per_portion, order: images drawn from each portion, and the order of the images; None without a draw.
        seed, generator: of the draw, and of the order in which nested subsets grow.
        drawn: names of the images drawn, in the order of the portions, or given.
        kept: the drawn images with a labeled person, in the order of the training table.
        counts: images of the training set, portions, drawn and kept images; labeled and unlabeled persons of
            the kept images; labeled persons with an outline and without one.
        nested: the kept names in the order in which nested subsets grow; empty without nested subsets.
        proportions: label of each nested subset, e.g. "3%", to its number of images: the first of `nested`.
        masks_sha256: checksum of masks.json: the same for the same outlines.
        data: path of the data set, relative to the folder of the subset. A convenience: records that differ
            only here are equal.
    """

    fingerprint: str
    portion_size: int | None
    seed: int
    generator: str
    drawn: tuple[str, ...]
    kept: tuple[str, ...]
    counts: Mapping[str, int]
    source: Source = "draw"
    per_portion: int | None = 1
    order: Order | None = "name"
    nested: tuple[str, ...] = ()
    proportions: Mapping[str, int] = field(default_factory=dict)
    masks_sha256: str = ""
    data: str = field(default="", compare=False)

    def summary(self) -> str:
        """Returns one human-readable line."""
        counts = self.counts
        how = {"draw": "drawn", "names": "named", "labelme": "with a LabelMe file"}[self.source]
        nested = f"; nested subsets: {', '.join(self.proportions)}" if self.proportions else ""
        return (
            f"{counts['drawn']:,} of {counts['images']:,} images {how}, {counts['kept']:,} kept; "
            f"{counts['labeled']:,} labeled persons, {counts['masks_present']:,} with outline, "
            f"{counts['masks_missing']:,} still without{nested}"
        )

    def compared_with(self, other: SubsetRecord) -> str:
        """Returns one line that compares this subset with another record: equal to the byte, or not."""
        if self == other:
            return "the same as in the record, byte for byte"
        if replace(self, masks_sha256=other.masks_sha256, counts=other.counts) == other:
            return (
                "the same images as in the record, but other masks: LabelMe files or image sizes differ; "
                f"{self.counts['masks_present']:,} outlines, {other.counts['masks_present']:,} in the record"
            )
        return "the same images as in the record, but not the same record"


def write_subset_record(path: Path, record: SubsetRecord) -> None:
    """Writes subset.json, atomically; the same record gives the same bytes."""
    write_json(path, {"format": FORMAT, "version": VERSION, **asdict(record)})


def read_subset_record(path: Path) -> SubsetRecord:
    """Returns the record of subset.json.

    Raises:
        InputFileError: missing, cut off, not a subset's record, of a newer version, or edited so that it
            contradicts itself.
    """
    hint = "give the subset.json in a folder that build-subset wrote"
    content = read_record(path, format=FORMAT, version=VERSION, what=_WHAT, hint=hint)
    source = _choice(content, "source", get_args(Source), path)
    is_draw = source == "draw"
    record = SubsetRecord(
        fingerprint=_field(content, "fingerprint", str, path),
        source=source,
        portion_size=_field(content, "portion_size", int, path) if is_draw else None,
        per_portion=_field(content, "per_portion", int, path) if is_draw else None,
        order=_choice(content, "order", get_args(Order), path) if is_draw else None,
        seed=_field(content, "seed", int, path),
        generator=_field(content, "generator", str, path),
        drawn=_names(content, "drawn", path),
        kept=_names(content, "kept", path),
        counts=_counts(content, "counts", path),
        nested=_names(content, "nested", path),
        proportions=_counts(content, "proportions", path),
        masks_sha256=_field(content, "masks_sha256", str, path),
        data=_field(content, "data", str, path) if "data" in content else "",
    )
    _check(record, path)
    return record


def _check(record: SubsetRecord, path: Path) -> None:
    """Raises InputFileError if the parts of a record contradict each other."""
    for key, value, least, most in (
        ("seed", record.seed, 0, None),
        ("portion_size", record.portion_size, 1, None),
        ("per_portion", record.per_portion, 1, record.portion_size),
    ):
        if value is not None and (value < least or (most is not None and value > most)):
            expected = f"'{key}' from {least} to {most}" if most else f"'{key}' of {least} or more"
            raise InputFileError(path, expected=expected, found=shown_value(value), hint=EDITED)
    drawn, kept, counts = set(record.drawn), set(record.kept), record.counts
    if not kept <= drawn:
        found = f"{shown_value(min(kept - drawn))}, which was not drawn"
        raise InputFileError(path, expected="kept images among the drawn ones", found=found, hint=EDITED)
    if set(counts) != set(_COUNTS) or counts["drawn"] != len(drawn) or counts["kept"] != len(kept):
        raise InputFileError(
            path,
            expected=f"counts of {', '.join(_COUNTS)} that fit the lists of names",
            found=f"{str(dict(counts))[:300]} for {len(drawn)} drawn and {len(kept)} kept names",
            hint=EDITED,
        )
    if not _proportions_fit(record):
        raise InputFileError(
            path,
            expected=f"proportions of the training images up to {FULL!r}, and the kept names as 'nested'",
            found=f"{str(dict(record.proportions))[:200]} and {len(record.nested)} names",
            hint=EDITED,
        )


def _proportions_fit(record: SubsetRecord) -> bool:
    if not record.proportions:
        return not record.nested
    try:
        labels = parse_proportions(",".join(record.proportions))
    except ConfigError:
        return False
    kept = len(record.kept)
    counts = [(label, images_of(label, record.counts["images"], kept)) for label in labels]
    return counts == list(record.proportions.items()) and set(record.nested) == set(record.kept)


def _choice(content: dict[str, Any], key: str, choices: tuple[str, ...], path: Path) -> Any:
    value = _field(content, key, str, path)
    if value not in choices:
        expected = f"'{key}' as one of {', '.join(choices)}"
        raise InputFileError(path, expected=expected, found=shown_value(value), hint=EDITED)
    return value


def _counts(content: dict[str, Any], key: str, path: Path) -> dict[str, int]:
    counts = _field(content, key, dict, path)
    if not all(type(count) is int and count >= 0 for count in counts.values()):
        expected = f"'{key}' as whole numbers, 0 or more"
        raise InputFileError(path, expected=expected, found=shown_value(counts), hint=EDITED)
    return counts


def _names(content: dict[str, Any], key: str, path: Path) -> tuple[str, ...]:
    names = _field(content, key, list, path)
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        found = shown_value(names)
        raise InputFileError(path, expected=f"'{key}' as names, each once", found=found, hint=EDITED)
    return tuple(names)
