"""A new subset of the same images, with masks of another source added."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from maskps.findings import Finding
from maskps.io.folders import check_replaceable
from maskps.masks.imports.scenes import ImportScenes
from maskps.masks.imports.sources import import_outlines
from maskps.masks.mask_file import read_mask_images
from maskps.structures import PersonSearchDataset
from maskps.subset.build import MASKS_NAME, build_subset, image_sizes, open_subset
from maskps.subset.manifest import RECORD_NAME, SubsetRecord
from maskps.subset.recorded import selection_of_record


@dataclass(frozen=True)
class MaskImport:
    """The result of an import.

    Attributes:
        record: of the new subset; None if errors prevented writing it.
        named: labeled persons whose mask the source named.
        fitted: labeled persons found by their boxes.
        unlabeled: masks of unlabeled persons, not used.
        added: persons who had no outline before.
        replaced: persons whose outline was replaced.
        kept: persons who keep their outline, although the source has one.
        findings: errors, warnings and remarks.
    """

    record: SubsetRecord | None
    named: int
    fitted: int
    unlabeled: int
    added: int
    replaced: int
    kept: int
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """Number of masks that cannot be used."""
        return sum(finding.level == "error" for finding in self.findings)

    def rows(self) -> list[tuple[str, int]]:
        """Returns the counts, each with a human-readable name."""
        return [
            ("of persons that the source names", self.named),
            ("of persons found by their boxes", self.fitted),
            ("of unlabeled persons, not used", self.unlabeled),
            ("new", self.added),
            ("in place of others", self.replaced),
            ("not used: the subset has others", self.kept),
            ("that cannot be used", self.errors),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Returns all fields by name; of the record its counts."""
        return asdict(self) | {"record": None if self.record is None else dict(self.record.counts)}


def import_masks(
    dataset: PersonSearchDataset,
    subset: Path,
    source: Path,
    out: Path,
    *,
    replace: bool = False,
    skip_errors: bool = False,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> MaskImport:
    """Writes a new subset folder: a copy of `subset`, with masks of another source added.

    Persons without a mask in the source keep their outline, or stay MISSING.

    Args:
        source: a COCO file, a PNG file or a folder of PNG files (docs/masks.md).
        replace: masks of the source replace outlines that the subset has.
        skip_errors: write the subset even if some masks of the source cannot be used; these are left out.
        force: replace an existing subset at `out`.
        progress: called with (masks read, 0).

    Raises:
        OutputExistsError: `out` holds something.
        InputFileError: a source that cannot be read at all, or a damaged subset.
        AnnotationError: a subset of another data set.
    """
    check_replaceable(out, record=RECORD_NAME, force=force)  # before the work, not after
    opened = open_subset(subset, dataset)
    images = read_mask_images(subset / MASKS_NAME, dataset.train, fingerprint=dataset.fingerprint)
    scenes = ImportScenes(
        dataset.train,
        opened.kept_rows,
        dataset.train_ids,
        image_sizes(dataset, opened.kept_rows),
        dataset.fingerprint,
        images,
    )
    found = import_outlines(source, scenes, progress=progress)
    before = opened.masks.outlines
    both = before.keys() & found.outlines.keys()
    is_written = skip_errors or not any(finding.level == "error" for finding in found.findings)
    record = None
    if is_written:
        outlines = {**before, **found.outlines} if replace else {**found.outlines, **before}
        record = build_subset(
            dataset,
            out,
            selection_of_record(dataset, subset / RECORD_NAME),
            outlines=lambda rows: dict(sorted(outlines.items())),
            force=force,
        )
    return MaskImport(
        record,
        named=found.named,
        fitted=found.fitted,
        unlabeled=found.unlabeled,
        added=len(found.outlines) - len(both),
        replaced=len(both) if replace else 0,
        kept=0 if replace else len(both),
        findings=found.findings,
    )
