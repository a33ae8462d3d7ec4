"""subset.json: what a mask subset was drawn from, how, and what came out; enough to build it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from maskps.errors import InputFileError
from maskps.files import check_format, read_json, write_json

FORMAT = "maskps-subset"
VERSION = 1
RECORD_NAME = "subset.json"
_WHAT = "a subset's record (subset.json)"
_EDITED = "the record was edited; build the subset again"
_KINDS = {str: "text", int: "a whole number", list: "a list", dict: "an object"}
_COUNTS = ("images", "portions", "drawn", "kept", "labeled", "unlabeled", "masks_present", "masks_missing")


@dataclass(frozen=True)
class SubsetRecord:
    """The record of one mask subset.

    Attributes:
        fingerprint: of the data set it was drawn from.
        portion_size: images per portion (the last portion takes the remainder).
        seed, generator: of the draw.
        drawn: names of the drawn images, one per portion, in the order of the portions.
        kept: those of them that hold a labeled person.
        counts: images of the training set, portions, drawn and kept images; labeled and unlabeled persons of
            the kept ones; labeled persons whose outline is there and whose outline is still missing.
    """

    fingerprint: str
    portion_size: int
    seed: int
    generator: str
    drawn: tuple[str, ...]
    kept: tuple[str, ...]
    counts: Mapping[str, int]

    def summary(self) -> str:
        """Returns one line for people."""
        counts = self.counts
        return (
            f"{counts['drawn']:,} of {counts['images']:,} images drawn, {counts['kept']:,} kept; "
            f"{counts['labeled']:,} labeled persons, {counts['masks_present']:,} with outline, "
            f"{counts['masks_missing']:,} still without"
        )


def write_subset_record(path: Path, record: SubsetRecord) -> None:
    """Writes subset.json, whole or not at all; the same record gives the same bytes."""
    write_json(path, {"format": FORMAT, "version": VERSION, **asdict(record)})


def read_subset_record(path: Path) -> SubsetRecord:
    """Returns the record of subset.json.

    Raises:
        InputFileError: missing, cut off, not a subset's record, of a newer version, or edited so that it
            contradicts itself.
    """
    content = read_json(path, what=_WHAT)
    hint = "give the folder that build-subset made"
    check_format(path, content, format=FORMAT, version=VERSION, what=_WHAT, hint=hint)
    record = SubsetRecord(
        fingerprint=_field(content, "fingerprint", str, path),
        portion_size=_field(content, "portion_size", int, path),
        seed=_field(content, "seed", int, path),
        generator=_field(content, "generator", str, path),
        drawn=_names(content, "drawn", path),
        kept=_names(content, "kept", path),
        counts=_field(content, "counts", dict, path),
    )
    if not set(record.kept) <= set(record.drawn):
        stray = min(set(record.kept) - set(record.drawn))
        found = f"'{stray}', which was not drawn"
        raise InputFileError(path, expected="kept images among the drawn ones", found=found, hint=_EDITED)
    if (
        set(record.counts) != set(_COUNTS)
        or not all(type(count) is int for count in record.counts.values())
        or record.counts["drawn"] != len(record.drawn)
        or record.counts["kept"] != len(record.kept)
    ):
        raise InputFileError(
            path,
            expected=f"counts of {', '.join(_COUNTS)} that fit the lists of names",
            found=f"{record.counts} for {len(record.drawn)} drawn and {len(record.kept)} kept names",
            hint=_EDITED,
        )
    return record


def _field(content: dict[str, Any], key: str, kind: type, path: Path) -> Any:
    value = content.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        found = repr(value)[:60] if key in content else "no such key"
        raise InputFileError(path, expected=f"'{key}' as {_KINDS[kind]}", found=found, hint=_EDITED)
    return value


def _names(content: dict[str, Any], key: str, path: Path) -> tuple[str, ...]:
    names = _field(content, key, list, path)
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        found = repr(names)[:60]
        raise InputFileError(path, expected=f"'{key}' as names, each once", found=found, hint=_EDITED)
    return tuple(names)
