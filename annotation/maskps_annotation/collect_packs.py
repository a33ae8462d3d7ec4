"""`maskps-data annotate collect`: from the annotators' files to masks.json and the 14x14 targets.

    SUBSET.store/        every version of every file (`maskps_annotation.store`), beside the subset, where it
                         survives when the subset is built again
    SUBSET/collected.json    whose drawing each outline is (`maskps_annotation.collected`)
    SUBSET/masks.json, targets_14x14.npz, subset.json    as `build_subset` writes them

All files are stored first; the checks read the stored bytes. Then the four files are written in this order,
each atomically, and only if it changes. If a run is killed, the next one ends with the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from maskps.errors import AnnotationError, InputFileError, MaskpsError
from maskps.findings import Finding
from maskps.io.files import read_bytes, written_atomically
from maskps.masks.mask_file import masks_of_scenes, read_mask_json, write_masks
from maskps.masks.outlines import Outline
from maskps.structures import MaskState, PersonSearchDataset
from maskps.subset import Subset, open_subset, write_subset_record, write_targets
from maskps.subset.build import MASKS_NAME, TARGETS_NAME
from maskps.subset.manifest import RECORD_NAME
from maskps_annotation.checks import CheckedFile, check_files, check_folder
from maskps_annotation.collected import (
    COLLECTED_NAME,
    SUBSET_OWNER,
    CollectedPerson,
    Drawing,
    choose_drawing,
    read_collected,
    write_collected,
)
from maskps_annotation.decisions import outline_key
from maskps_annotation.pack_images import packed_content
from maskps_annotation.pack_record import PACK_NAME, PackSet, check_packs_of, packs_content
from maskps_annotation.store import Store

_SCRATCH = ".collect."
_Key = tuple[str, str, str]  # annotator, scene, slot


@dataclass(frozen=True)
class CollectReport:
    """What a collection did.

    Attributes:
        files: annotators' files found; all are in the store.
        stored: versions that were new to the store.
        persons: persons in the packs, each once.
        passed: persons with an outline that passes.
        added, changed: persons who had no outline before, or another one.
        kept: persons who keep the outline they had, because their drawing is missing, has an error, or was
            replaced by one of later packs.
        conflicts: persons with more than one drawing; one is used, all are in the store. Persons in packs of
            corrections do not count.
        proposals: persons in the packs with a proposed outline.
        accepted, corrected: persons in the packs whose outline in use is a proposal, as it was or corrected.
        vertices: those moved, added or deleted in the corrected ones.
        present, missing: outlines of the whole subset afterwards.
        findings: of the checks, and one for each conflict.
    """

    files: int
    stored: int
    persons: int
    passed: int
    added: int
    changed: int
    kept: int
    conflicts: int
    proposals: int
    accepted: int
    corrected: int
    vertices: int
    present: int
    missing: int
    findings: tuple[Finding, ...]

    def rows(self) -> list[tuple[str, int]]:
        """Returns the counts, each with a human-readable name."""
        proposals = [
            ("persons with a proposed outline", self.proposals),
            ("proposals accepted", self.accepted),
            ("proposals corrected", self.corrected),
            ("vertices changed in them", self.vertices),
        ]
        return [
            ("files in the store", self.files),
            ("new or changed files", self.stored),
            ("persons in the packs", self.persons),
            ("persons whose drawing passes", self.passed),
            ("outlines new", self.added),
            ("outlines changed", self.changed),
            ("outlines kept: the drawing does not pass, or was replaced", self.kept),
            ("persons drawn by several", self.conflicts),
            *(proposals if self.proposals else ()),
            ("outlines in the subset", self.present),
            ("outlines still missing", self.missing),
        ]


def store_of(subset_dir: Path) -> Store:
    """Returns the store of a subset: the folder beside it with ".store" added to its name."""
    folder = subset_dir.resolve()
    return Store(folder.with_name(folder.name + ".store"))


def collect_packs(
    packs: PackSet,
    subset_dir: Path,
    dataset: PersonSearchDataset,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> CollectReport:
    """Stores every annotator's file and writes what passes the checks into the subset.

    `collected.choose_drawing` decides which of several drawings of a person is used.

    Args:
        progress: called with (files checked, files to check).

    Raises:
        InputFileError: the subset, its store or collected.json is damaged.
        AnnotationError: the packs or the subset belong to another data set.
        OutputError: another collection is running, or a file cannot be written.
    """
    check_packs_of(packs, dataset)
    subset = open_subset(subset_dir, dataset)
    rows = _person_rows(packs, subset, dataset)
    store = store_of(subset_dir)
    with store.locked():
        known = store.size
        shas, findings = _store_all(packs, store)
        stored = store.size - known
        stored_files = {file: store.path(sha256) for file, sha256 in shas.items()}
        checked = check_files(packs, stored_files, progress=progress)
        before = subset.masks.outlines
        record = read_collected(subset_dir / COLLECTED_NAME)
        candidates = _candidates(packs, rows, checked, shas)
        masks_sha256 = hashlib.sha256(read_bytes(subset_dir / MASKS_NAME)).hexdigest()
        record, outlines = _choose(candidates, record, before, masks_sha256)
        conflicts = _conflicts(record, rows, packs)
        merged = {**before, **outlines}
        _write(subset_dir, subset, dataset, merged, record, packs, store)
    for one in checked.values():
        findings += one.findings
    findings += _changed_sources(packs, dataset)
    wanted = set(rows.values())
    proposed = {
        rows[pack.annotator, scene.scene, slot.name]
        for pack, scene in packs.files
        for slot in scene.slots
        if slot.proposal is not None
    }
    used = [touches for row in wanted & record.keys() if (touches := record[row].used.proposal) is not None]
    corrected = [touches for touches in used if not touches.is_accepted]
    return CollectReport(
        files=len(shas),
        stored=stored,
        persons=len(wanted),
        passed=len(candidates),
        added=len(outlines.keys() - before.keys()),
        changed=sum(
            outline_key(before[row]) != outline_key(outlines[row]) for row in outlines.keys() & before.keys()
        ),
        kept=len((wanted & before.keys()) - outlines.keys()),
        conflicts=len(conflicts),
        proposals=len(proposed),
        accepted=len(used) - len(corrected),
        corrected=len(corrected),
        vertices=sum(touches.vertices for touches in corrected),
        present=len(merged),
        missing=int((subset.masks.states != MaskState.NOT_APPLICABLE).sum()) - len(merged),
        findings=(*findings, *conflicts),
    )


def _person_rows(packs: PackSet, subset: Subset, dataset: PersonSearchDataset) -> dict[_Key, int]:
    """Returns annotator, scene and slot -> person row of the training table."""
    train = dataset.train
    rows: dict[_Key, int] = {}
    for pack in packs.packs:
        scenes = train.rows_of([scene.scene for scene in pack.scenes]).tolist()
        for scene, scene_row in zip(pack.scenes, scenes, strict=True):
            first, last = train.offsets[scene_row : scene_row + 2].tolist()
            for slot in scene.slots:
                row = first + slot.person
                if row >= last or subset.masks.states[row] == MaskState.NOT_APPLICABLE:
                    raise AnnotationError(
                        f"{pack.annotator}/{scene.file_name} {slot.name}",
                        expected="a person who needs a mask in the subset",
                        found=f"box {slot.person} of {scene.scene}, who does not",
                        hint="give the subset that the packs were made from",
                    )
                rows[pack.annotator, scene.scene, slot.name] = row
    return rows


def _store_all(packs: PackSet, store: Store) -> tuple[dict[tuple[str, str], str], list[Finding]]:
    """Stores every file; returns the checksums by annotator and scene, and what is wrong with the folders."""
    shas: dict[tuple[str, str], str] = {}
    findings: list[Finding] = []
    for pack in packs.packs:
        findings += check_folder(pack)
        scenes = {scene.file_name: scene.scene for scene in pack.scenes}
        for path in sorted(pack.folder.glob("*")):
            if path.suffix.lower() != ".json" or path.name == PACK_NAME or not path.is_file():
                continue
            try:
                sha256 = store.add(path, pack.annotator, path.name)
            except InputFileError as error:
                findings.append(Finding.of_error("file-unreadable", error))
                continue
            if path.name in scenes:
                shas[pack.annotator, scenes[path.name]] = sha256
    return shas, findings


def _changed_sources(packs: PackSet, dataset: PersonSearchDataset) -> list[Finding]:
    """Returns a finding for each image of the data set that is no longer the one in the packs.

    Missing images are not looked for: a collection needs none.
    """
    findings: dict[str, Finding] = {}
    for _, scene in packs.files:
        path = dataset.image_path(scene.scene)
        if scene.scene in findings or not path.is_file():
            continue
        hint = "restore it from where you got the data set; the outlines belong to the image of the pack"
        try:
            if hashlib.sha256(packed_content(path)).hexdigest() == scene.sha256:
                continue
            found = "the data set's own image has changed since the packs were made"
            findings[scene.scene] = Finding("source-changed", "warning", str(path), found, hint=hint)
        except MaskpsError as error:
            findings[scene.scene] = Finding("source-changed", "warning", error.where, error.found, hint=hint)
    return list(findings.values())


def _candidates(
    packs: PackSet,
    rows: Mapping[_Key, int],
    checked: Mapping[tuple[str, str], CheckedFile],
    shas: Mapping[tuple[str, str], str],
) -> dict[int, dict[Drawing, Outline]]:
    """Returns person row -> drawings that pass, in pack order, and their outlines."""
    distribution = hashlib.sha256(json.dumps(packs_content(packs)).encode()).hexdigest()
    candidates: dict[int, dict[Drawing, Outline]] = defaultdict(dict)
    for pack, scene in packs.files:
        file = (pack.annotator, scene.scene)
        for slot, outline in checked[file].outlines.items() if file in checked else ():
            key, touches = outline_key(outline), checked[file].touches.get(slot)
            drawing = Drawing(pack.annotator, scene.file_name, shas[file], distribution, key, touches)
            candidates[rows[*file, slot]][drawing] = outline
    return candidates


def _choose(
    candidates: Mapping[int, Mapping[Drawing, Outline]],
    record: Mapping[int, CollectedPerson],
    before: Mapping[int, Outline],
    masks_sha256: str,
) -> tuple[dict[int, CollectedPerson], dict[int, Outline]]:
    """Returns the new record, and the outline of each person of whom a drawing is used.

    Args:
        candidates: person row -> drawings that pass, in pack order.
        before: person row -> outline that the subset has.
        masks_sha256: of the masks.json that holds `before`.
    """
    chosen: dict[int, CollectedPerson] = {}
    outlines: dict[int, Outline] = {}
    for row, drawings in candidates.items():
        known = record.get(row)
        if known is None and row in before:
            known = CollectedPerson(
                Drawing(SUBSET_OWNER, MASKS_NAME, masks_sha256, "", outline_key(before[row]))
            )
        person = choose_drawing(list(drawings), known, has_outline=row in before)
        if person is not None:
            chosen[row] = person
            outlines[row] = drawings[person.used] if person.used in drawings else before[row]
    return {**record, **chosen}, outlines


def _conflicts(
    record: Mapping[int, CollectedPerson], rows: Mapping[_Key, int], packs: PackSet
) -> list[Finding]:
    """Returns a finding for each person of whom there are several drawings, but not for corrections.

    A correction always has the drawing that it replaced beside it.
    """
    findings: dict[int, Finding] = {}
    for pack, scene in packs.files:
        for slot in scene.slots:
            row = rows[pack.annotator, scene.scene, slot.name]
            person = record.get(row)
            if slot.correction is not None or person is None or not person.others or row in findings:
                continue
            where = f"{scene.scene} {slot.name}"
            used = f"{person.used.annotator} ({person.used.sha256[:12]})"
            others = ", ".join(f"{one.annotator} ({one.sha256[:12]})" for one in person.others)
            found = f"that of {used} is used; also there: {others}"
            hint = "nothing is lost: 'restore' gives back any of them"
            findings[row] = Finding("drawn-by-several", "info", where, found, hint=hint)
    return list(findings.values())


def _write(
    folder: Path,
    subset: Subset,
    dataset: PersonSearchDataset,
    outlines: Mapping[int, Outline],
    record: Mapping[int, CollectedPerson],
    packs: PackSet,
    store: Store,
) -> None:
    """Writes the four files, each only if it changes; the old masks.json is stored before it changes."""
    train = dataset.train
    masks = masks_of_scenes(train, subset.kept_rows, dict(sorted(outlines.items())))
    for name in (COLLECTED_NAME, MASKS_NAME, TARGETS_NAME, RECORD_NAME):
        for left in folder.glob(f".{name}.*"):  # left by a run that was killed
            left.unlink()
    for scratch in store.folder.glob(f"{_SCRATCH}*"):
        shutil.rmtree(scratch)
    _replace(folder / COLLECTED_NAME, lambda path: write_collected(path, record, dataset.train), store)
    _replace(
        folder / MASKS_NAME,
        lambda path: write_masks(
            path,
            train,
            masks,
            fingerprint=dataset.fingerprint,
            scene_rows=subset.kept_rows,
            sizes=_sizes(folder / MASKS_NAME, packs, dataset),
        ),
        store,
    )
    _replace(folder / TARGETS_NAME, lambda path: write_targets(path, train, masks), store)
    counts = {
        **subset.record.counts,
        "masks_present": int((masks.states == MaskState.PRESENT).sum()),
        "masks_missing": int((masks.states == MaskState.MISSING).sum()),
    }
    sha256 = hashlib.sha256(read_bytes(folder / MASKS_NAME)).hexdigest()
    final = replace(subset.record, counts=counts, masks_sha256=sha256)
    _replace(folder / RECORD_NAME, lambda path: write_subset_record(path, final), store)


def _replace(path: Path, write: Callable[[Path], None], store: Store) -> None:
    """Writes a file atomically; leaves it alone if its content would be the same."""
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=store.folder) as scratch:
        write(Path(scratch) / path.name)
        content = read_bytes(Path(scratch) / path.name)
    if path.is_file():
        if read_bytes(path) == content:
            return
        if path.name == MASKS_NAME:
            store.add(path, SUBSET_OWNER, path.name)
    with written_atomically(path) as temporary:
        temporary.write_bytes(content)


def _sizes(masks: Path, packs: PackSet, dataset: PersonSearchDataset) -> dict[int, tuple[int, int]]:
    """Returns scene row -> (width, height), from masks.json and, for their scenes, from the packs."""
    images = [image for image in read_mask_json(masks)["images"] if "maskps_size" not in image]
    sizes = {str(image["file_name"]): (int(image["width"]), int(image["height"])) for image in images}
    sizes |= {scene.scene: scene.size for _, scene in packs.files}
    rows = dataset.train.rows_of(list(sizes)).tolist()
    return dict(zip(rows, sizes.values(), strict=True))
