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

_NOTHING = "nothing-used"


@dataclass(frozen=True)
class MaskImport:
    """The result of an import.

    Attributes:
        record: of the new subset; None if errors, or nothing to import, prevented writing it.
        named: labeled persons whose mask the source named.
        fitted: labeled persons found by their boxes.
        unlabeled: masks of unlabeled persons, not used.
        low_scores: masks of a score below the least one, not used.
        outscored: masks whose person has a mask of a higher score, not used.
        added: persons who had no outline before.
        replaced: persons whose outline was replaced.
        kept: persons who keep their outline, although the source has one.
        findings: errors, warnings and remarks.
    """

    record: SubsetRecord | None
    named: int
    fitted: int
    unlabeled: int
    low_scores: int
    outscored: int
    added: int
    replaced: int
    kept: int
    findings: tuple[Finding, ...]

    @property
    def is_empty(self) -> bool:
        """Whether no mask of the source is of a labeled person of the subset."""
        return self.named + self.fitted == 0

    @property
    def errors(self) -> int:
        """Number of masks that cannot be used."""
        return sum(finding.level == "error" and finding.code != _NOTHING for finding in self.findings)

    def rows(self) -> list[tuple[str, int]]:
        """Returns the counts, each with a human-readable name."""
        return [
            ("of persons that the source names", self.named),
            ("of persons found by their boxes", self.fitted),
            ("of unlabeled persons, not used", self.unlabeled),
            ("of a score below --min-score, not used", self.low_scores),
            ("of persons with a mask of a higher score, not used", self.outscored),
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
    min_score: float = 0.5,
    replace: bool = False,
    skip_errors: bool = False,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> MaskImport:
    """Writes a new subset folder: a copy of `subset`, with masks of another source added.

    Persons without a mask in the source keep their outline, or stay MISSING.

    Args:
        source: a COCO file, PNG masks, YOLO labels or CVAT files (docs/masks.md).
        min_score: masks of a lower score are left out; masks without a score stay.
        replace: masks of the source replace outlines that the subset has.
        skip_errors: write the subset even if some masks of the source cannot be used; these are left out.
            Without a single mask that can be used, nothing is written.
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
        dataset.test.names.tolist(),
    )
    found = import_outlines(source, scenes, min_score=min_score, progress=progress)
    findings = found.findings
    if not found.outlines:
        findings += (_nothing_used(source, scenes),)
    before = opened.masks.outlines
    both = before.keys() & found.outlines.keys()
    has_errors = any(finding.level == "error" for finding in findings)
    record = None
    if found.outlines and (skip_errors or not has_errors):
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
        low_scores=found.low_scores,
        outscored=found.outscored,
        added=len(found.outlines) - len(both),
        replaced=len(both) if replace else 0,
        kept=0 if replace else len(both),
        findings=findings,
    )


def _nothing_used(source: Path, scenes: ImportScenes) -> Finding:
    names = scenes.train.names[scenes.rows[:1]].tolist()
    return Finding(
        _NOTHING,
        "error",
        str(source),
        "no mask of a labeled person of the subset",
        expected=f"masks of the subset's images, such as {names[0]}, in pixels of these images",
        hint="see the counts and the other findings; docs/from_your_tool.md lists the export of each tool",
    )
