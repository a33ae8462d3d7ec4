"""Packs of corrections: the persons whose outline a review rejected, with the reasons.

If one reviewer rejects and another accepts, the outline is rejected and both comments are shown. A decision
counts only for the outline it was about (`decisions.outline_key`): if the person was drawn anew since, the
decision is left out, with a finding. Every image goes to one annotator, even if two drew its persons.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from maskps.errors import AnnotationError, ConfigError
from maskps.findings import Finding
from maskps.masks.outlines import Outline
from maskps.structures import MaskState, PersonSearchDataset
from maskps.subset import Subset, open_subset
from maskps_annotation.collected import COLLECTED_NAME, read_collected
from maskps_annotation.decisions import Decision, outline_key, read_decisions
from maskps_annotation.pack_record import Correction, PackSet, check_annotators, check_source
from maskps_annotation.packs import check_free, write_shares
from maskps_annotation.sharding import share_scenes


def write_corrections(
    subset_dir: Path,
    dataset: PersonSearchDataset,
    out: Path,
    *,
    reviews: Sequence[Path],
    annotators: Sequence[str] | None = None,
    seed: int = 0,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[PackSet, tuple[Finding, ...]]:
    """Writes packs with only the rejected persons of a subset, atomically.

    Args:
        reviews: files that the review page saved.
        annotators: who shares the work; by default each image goes back to its annotator by collected.json.
        seed, force, progress: as for `write_packs`.

    Returns:
        The packs, and the decisions that were left out.

    Raises:
        ConfigError: names that cannot be folders; or, without `annotators`, nobody has drawn a person.
        InputFileError: decisions, a file of the subset, or an image is missing or damaged.
        AnnotationError: decisions about another data set, or nothing to draw again.
        OutputExistsError: as `write_packs`.
    """
    if annotators is not None:
        check_annotators(annotators)
    check_free(out, force=force)  # before the work, not after
    subset = open_subset(subset_dir, dataset)
    corrections, left_out = _read_rejections(reviews, subset, dataset)
    rows = sorted(corrections)
    if annotators is None:
        collected = read_collected(subset_dir / COLLECTED_NAME)
        drawn_by = {row: person.used.annotator for row, person in collected.items()}
        shares = _back_to_annotators(corrections, drawn_by, dataset)
    else:
        persons = [len(corrections[row]) for row in rows]
        dealt = share_scenes(persons, len(annotators), seed=seed).scenes
        shares = {name: [rows[i] for i in share] for name, share in zip(annotators, dealt, strict=True)}
    packs = write_shares(
        out,
        dataset,
        shares,
        corrections=corrections,
        seed=seed,
        force=force,
        progress=progress,
    )
    return packs, left_out


def _read_rejections(
    reviews: Sequence[Path], subset: Subset, dataset: PersonSearchDataset
) -> tuple[dict[int, dict[int, Correction]], tuple[Finding, ...]]:
    """Returns scene row -> index of the box in the scene -> correction; and the decisions left out."""
    by_person: dict[tuple[str, int], list[tuple[Decision, str]]] = defaultdict(list)
    for path in reviews:
        review = read_decisions(path)
        hint = "give the file saved on the review page of this subset"
        check_source(dataset, review.fingerprint, path, what="decisions", hint=hint)
        for decision in review.decisions:
            by_person[decision.scene, decision.person].append((decision, review.reviewer))
    rows = {str(dataset.train.names[row]): row for row in subset.kept_rows.tolist()}
    corrections: dict[int, dict[int, Correction]] = defaultdict(dict)
    findings = []
    for (scene, person), decided in sorted(by_person.items(), key=lambda item: item[0]):
        if all(decision.decision != "reject" for decision, _ in decided):
            continue
        where = f"{scene} box {person}"
        if not _is_wanted(subset, dataset, rows.get(scene), person):
            hint = "the decision is left out; was another subset reviewed?"
            found = "rejected, but the subset needs no mask of this person"
            findings.append(Finding("person-unknown", "warning", where, found, hint=hint))
            continue
        outline = subset.masks.outlines.get(int(dataset.train.offsets[rows[scene]]) + person)
        valid = [(one, reviewer) for one, reviewer in decided if one.outline == outline_key(outline)]
        if all(decision.decision != "reject" for decision, _ in valid):
            hint = "the decision is left out; review the subset again if the outline is still wrong"
            found = "rejected, but the outline was changed since"
            findings.append(Finding("decision-stale", "warning", where, found, hint=hint))
            continue
        said = [one for one in valid if one[0].decision or one[0].comment.strip()]
        reasons = dict.fromkeys(_reason(one, reviewer) for one, reviewer in said)
        corrections[rows[scene]][person] = Correction.of(list(reasons), outline or Outline(()))
    if not corrections:
        raise _nothing_rejected(reviews, by_person, findings)
    return corrections, tuple(findings)


def _is_wanted(subset: Subset, dataset: PersonSearchDataset, scene: int | None, person: int) -> bool:
    if scene is None:
        return False
    first, last = dataset.train.offsets[scene : scene + 2].tolist()
    return first + person < last and subset.masks.states[first + person] != MaskState.NOT_APPLICABLE


def _reason(decision: Decision, reviewer: str) -> str:
    """Returns one line, e.g. "rita: bag missing" or "otto (accepted): looks fine"."""
    who, comment = " ".join(reviewer.split()), " ".join(decision.comment.split())
    if decision.decision == "accept":
        who = f"{who or 'a reviewer'} (accepted)"
    elif not comment:
        comment = "rejected, without a reason"
    return ": ".join(filter(None, (who, comment)))


def _nothing_rejected(
    reviews: Sequence[Path],
    by_person: Mapping[tuple[str, int], Sequence[tuple[Decision, str]]],
    findings: Sequence[Finding],
) -> AnnotationError:
    verdicts = Counter(decision.decision for decided in by_person.values() for decision, _ in decided)
    counts = f"{verdicts['accept']:,} accepted, {verdicts['']:,} remarks"
    codes = Counter(finding.code for finding in findings)
    if codes["decision-stale"]:
        counts += f", {codes['decision-stale']:,} rejected before the outline was changed"
    if codes["person-unknown"]:
        counts += f", {codes['person-unknown']:,} rejected that the subset does not have"
    return AnnotationError(
        ", ".join(map(str, reviews)),
        expected="at least one rejected person",
        found=counts,
        hint="there is nothing to draw again, so nothing was written",
    )


def _back_to_annotators(
    corrections: Mapping[int, Mapping[int, Correction]],
    annotators: Mapping[int, str],
    dataset: PersonSearchDataset,
) -> dict[str, list[int]]:
    """Returns annotator -> scene rows: each image goes to whoever drew most of its rejected persons."""
    train = dataset.train
    shares: dict[str, list[int]] = defaultdict(list)
    unknown = []
    for row in sorted(corrections):
        first = int(train.offsets[row])
        known = Counter(annotators[first + one] for one in corrections[row] if first + one in annotators)
        if known:
            shares[min(known, key=lambda name: (-known[name], name))].append(row)
        else:
            unknown += [f"{train.names[row]} box {person}" for person in corrections[row]]
    if unknown:
        more = f" and {len(unknown) - 3:,} more" if len(unknown) > 3 else ""
        raise ConfigError(
            "annotators",
            expected="names, because collected.json does not name an annotator for every rejected person",
            found=f"nobody for {', '.join(unknown[:3])}{more}",
            hint="name them with --annotators a,b; all rejected persons are then shared out anew",
        )
    check_annotators(sorted(shares))
    return dict(sorted(shares.items()))
