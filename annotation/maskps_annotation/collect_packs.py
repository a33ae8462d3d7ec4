"""`maskps-data annotate collect`: from the annotators' files to masks.json and the 14x14 targets.

    SUBSET.store/        every version of every file (`maskps_annotation.store`), beside the subset, so that a
                         subset that is built again does not take it along
    SUBSET/collected.json    whose drawing each outline is, and which others there are
    SUBSET/masks.json, targets_14x14.npz, subset.json    as `build_subset` writes them

All files are stored before any is looked at, and what is checked are the stored bytes. Then the four files
are written in this order, each whole or not at all, and only if it changes. Whenever a run is killed, the
next one comes to the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from maskps.errors import AnnotationError, InputFileError
from maskps.findings import Finding
from maskps.io.files import read_record, written_atomically
from maskps.masks.mask_file import masks_of_scenes, read_mask_json, write_masks
from maskps.masks.outlines import Outline
from maskps.structures import MaskState, PersonSearchDataset
from maskps.subset import Subset, open_subset, write_subset_record, write_targets
from maskps.subset.build import MASKS_NAME, TARGETS_NAME
from maskps.subset.manifest import RECORD_NAME
from maskps_annotation.checks import CheckedFile, check_folder, check_whole, without_copies
from maskps_annotation.decisions import outline_key
from maskps_annotation.pack_record import PACK_NAME, PackSet, packs_content
from maskps_annotation.store import Store

COLLECTED_NAME = "collected.json"
FORMAT = "maskps-collected"
VERSION = 1
SUBSET_OWNER = "subset"
"""In the store, the owner of a masks.json that a collection changed."""

_SCRATCH = ".collect."
_EDITED = "do not edit it; without it, collect starts it anew"


@dataclass(frozen=True)
class Drawing:
    """Where an outline comes from.

    Attributes:
        annotator, file: who drew it and where; `SUBSET_OWNER` and masks.json if the subset had it before.
        sha256: of the file, under which the store has it.
        packs: checksum of the distribution (packs.json) it belongs to.
        outline: its `outline_key`; "" in records that were written before it was noted.
    """

    annotator: str
    file: str
    sha256: str
    packs: str
    outline: str = ""

    def shows_the_same(self, other: Drawing) -> bool:
        """Tells whether two drawings are the same outline, whatever else changed in the file."""
        return self.sha256 == other.sha256 or (self.outline != "" and self.outline == other.outline)


@dataclass(frozen=True)
class CollectedPerson:
    """One entry of collected.json: the drawing that is used, and the latest of each other annotator."""

    used: Drawing
    others: tuple[Drawing, ...] = ()


@dataclass(frozen=True)
class CollectReport:
    """What a collection did.

    Attributes:
        files: annotators' files that are there; all of them are in the store.
        stored: versions that were new to the store.
        persons: persons of the packs, each once.
        passed: persons with an outline that passes.
        added, changed: persons who had no outline before, or another one.
        kept: persons whose drawing is missing, has an error, or was replaced by one of later packs: they keep
            the outline they had.
        conflicts: persons of whom there is more than one drawing; one is used, all are in the store. Persons
            of packs of corrections do not count.
        present, missing: outlines of the whole subset after it.
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
    present: int
    missing: int
    findings: tuple[Finding, ...]

    def rows(self) -> list[tuple[str, int]]:
        """Returns the counts, each with its name for people."""
        return [
            ("files in the store", self.files),
            ("of them new or changed", self.stored),
            ("persons in the packs", self.persons),
            ("whose drawing passes", self.passed),
            ("outlines new", self.added),
            ("outlines changed", self.changed),
            ("kept from before: the drawing does not pass, or was replaced", self.kept),
            ("drawn by several", self.conflicts),
            ("outlines in the subset", self.present),
            ("still missing there", self.missing),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Returns all fields by name."""
        return asdict(self)


def store_of(subset_dir: Path) -> Store:
    """Returns the store that belongs to a subset: the folder of its name and ".store" beside it."""
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

    Of two annotators of one person the first in the order of the packs is used, until one of them is used
    already; that outline stays as long as its annotator hands in no other one. A drawing that a later
    distribution has replaced (corrections) does not come back, unless its annotator changes it.

    Args:
        progress: called with (files stored and checked, twice the number of files).

    Raises:
        InputFileError: a damaged subset, store, or collected.json.
        AnnotationError: packs or a subset of another data set.
        OutputError: another collection is at work, or a file cannot be written.
    """
    if packs.fingerprint != dataset.fingerprint:
        raise AnnotationError(
            "packs.json",
            expected=f"packs of {dataset.root} (fingerprint {dataset.fingerprint})",
            found=f"packs of another data set (fingerprint {packs.fingerprint[:64]})",
            hint="give the data set that the packs were made from",
        )
    subset = open_subset(subset_dir, dataset)
    rows = _person_rows(packs, subset, dataset)
    store = store_of(subset_dir)
    with store.locked():
        shas, findings, stored = _store_all(packs, store, progress)
        checked = _check_all(packs, store, shas, findings, progress)
        before = subset.masks.outlines
        record = read_collected(subset_dir / COLLECTED_NAME)
        record, outlines = _choose(packs, rows, checked, shas, record, before, subset_dir / MASKS_NAME)
        conflicts = _conflicts(record, rows, packs)
        merged = {**before, **outlines}
        _write(subset_dir, subset, dataset, merged, record, packs, store)
    for one in checked.values():
        findings += one.findings
    wanted = set(rows.values())
    return CollectReport(
        files=len(shas),
        stored=stored,
        persons=len(wanted),
        passed=len({rows[key] for key in rows if key[2] in _outlines_of(checked, key)}),
        added=len(outlines.keys() - before.keys()),
        changed=sum(row in before and not _same(before[row], outline) for row, outline in outlines.items()),
        kept=len((wanted & before.keys()) - outlines.keys()),
        conflicts=len(conflicts),
        present=len(merged),
        missing=int((subset.masks.states != MaskState.NOT_APPLICABLE).sum()) - len(merged),
        findings=(*findings, *conflicts),
    )


_Key = tuple[str, str, str]  # annotator, scene, slot


def _person_rows(packs: PackSet, subset: Subset, dataset: PersonSearchDataset) -> dict[_Key, int]:
    """Annotator, scene and slot -> person row of the training table."""
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
                        expected="a person whose mask the subset wants",
                        found=f"box {slot.person} of {scene.scene}, which is none",
                        hint="give the subset that the packs were made from",
                    )
                rows[pack.annotator, scene.scene, slot.name] = row
    return rows


def _store_all(
    packs: PackSet, store: Store, progress: Callable[[int, int], None] | None
) -> tuple[dict[tuple[str, str], str], list[Finding], int]:
    """Stores every file; returns the checksums by annotator and scene, and how many versions were new."""
    total, done, stored = 2 * sum(len(pack.scenes) for pack in packs.packs), 0, 0
    shas: dict[tuple[str, str], str] = {}
    findings: list[Finding] = []
    for pack in packs.packs:
        findings += check_folder(pack)
        ours = {scene.file_name: scene.scene for scene in pack.scenes}
        extra = sorted(path.name for path in pack.folder.glob("*.json")) if pack.folder.is_dir() else []
        for name in sorted({*ours, *extra} - {PACK_NAME}):
            path = pack.folder / name
            if path.is_file():
                known = len(store.versions(pack.annotator, name))
                try:
                    sha256 = store.add(path, pack.annotator, name)
                except InputFileError as error:
                    findings.append(Finding.of_error("file-unreadable", error))
                    continue
                stored += len(store.versions(pack.annotator, name)) - known
                if name in ours:
                    shas[pack.annotator, ours[name]] = sha256
            if name in ours and progress is not None:
                done += 1
                progress(done, total)
    return shas, findings, stored


def _check_all(
    packs: PackSet,
    store: Store,
    shas: Mapping[tuple[str, str], str],
    findings: list[Finding],
    progress: Callable[[int, int], None] | None,
) -> dict[tuple[str, str], CheckedFile]:
    done = sum(len(pack.scenes) for pack in packs.packs)
    total = 2 * done
    checked: dict[tuple[str, str], CheckedFile] = {}
    for pack in packs.packs:
        for scene in pack.scenes:
            key = (pack.annotator, scene.scene)
            if key in shas:
                checked[key] = check_whole(pack, scene, store.path(shas[key]))
            done += 1
            if progress is not None:
                progress(done, total)
    return without_copies(packs, checked)


def _choose(
    packs: PackSet,
    rows: Mapping[_Key, int],
    checked: Mapping[tuple[str, str], CheckedFile],
    shas: Mapping[tuple[str, str], str],
    record: Mapping[int, CollectedPerson],
    before: Mapping[int, Outline],
    masks_path: Path,
) -> tuple[dict[int, CollectedPerson], dict[int, Outline]]:
    """Returns the new record, and the outline of each person of whom a drawing is used."""
    distribution = hashlib.sha256(json.dumps(packs_content(packs)).encode()).hexdigest()
    files = {(pack.annotator, scene.scene): scene.file_name for pack in packs.packs for scene in pack.scenes}
    candidates: dict[int, list[tuple[Drawing, Outline]]] = {}
    for key, row in rows.items():
        file = key[:2]
        outlines = _outlines_of(checked, key)
        if key[2] in outlines:
            outline = outlines[key[2]]
            drawing = Drawing(key[0], files[file], shas[file], distribution, outline_key(outline))
            candidates.setdefault(row, []).append((drawing, outline))
    result, chosen = dict(record), {}
    earlier = Drawing(SUBSET_OWNER, MASKS_NAME, hashlib.sha256(masks_path.read_bytes()).hexdigest(), "")
    for row, drawings in candidates.items():
        known = record.get(row)
        usable = [one for one in drawings if known is None or _is_news(one[0], known)]
        if not usable:
            continue
        same = [one for one in usable if known is not None and _owner(one[0]) == _owner(known.used)]
        used, outline = (same or usable)[0]
        if not same and known is not None and known.used.packs == distribution and row in before:
            used, outline = (
                known.used,
                before[row],
            )  # not handed in again, or with an error: no reason to change
        others = {_owner(one): one for one in (known.others if known is not None else ())}
        if known is not None and _owner(known.used) != _owner(used):
            others[_owner(known.used)] = known.used
        if known is None and row in before and not _same(before[row], outline):
            others[_owner(earlier)] = replace(earlier, outline=outline_key(before[row]))
        others |= {_owner(drawing): drawing for drawing, _ in drawings if drawing != used}
        others.pop(_owner(used), None)
        result[row] = CollectedPerson(used, tuple(others[key] for key in sorted(others)))
        chosen[row] = outline
    return dict(sorted(result.items())), chosen


def _is_news(drawing: Drawing, known: CollectedPerson) -> bool:
    """Tells whether a drawing may take the place of the one that is used.

    Of a distribution that a later one replaced, only what its annotator has changed since may.
    """
    if drawing.packs == known.used.packs or all(drawing.packs != other.packs for other in known.others):
        return True
    earlier = [other for other in known.others if _owner(other) == _owner(drawing)]
    return bool(earlier) and not drawing.shows_the_same(earlier[0])


def _owner(drawing: Drawing) -> tuple[str, str]:
    return drawing.packs, drawing.annotator


def _outlines_of(checked: Mapping[tuple[str, str], CheckedFile], key: _Key) -> Mapping[str, Outline]:
    one = checked.get(key[:2])
    return {} if one is None else one.outlines


def _same(first: Outline, second: Outline) -> bool:
    return len(first.rings) == len(second.rings) and all(
        one.shape == two.shape and bool((one == two).all())
        for one, two in zip(first.rings, second.rings, strict=True)
    )


def _conflicts(
    record: Mapping[int, CollectedPerson], rows: Mapping[_Key, int], packs: PackSet
) -> list[Finding]:
    """Tells of whom there are several drawings; that a correction has replaced one goes without saying."""
    findings = []
    told = {
        rows[pack.annotator, scene.scene, slot.name]
        for pack in packs.packs
        for scene in pack.scenes
        for slot in scene.slots
        if slot.correction is not None
    }
    for (_, scene_name, slot_name), row in rows.items():
        person = record.get(row)
        if person is None or not person.others or row in told:
            continue
        told.add(row)
        others = ", ".join(f"{one.annotator} ({one.sha256[:12]})" for one in person.others)
        findings.append(
            Finding(
                "drawn-by-several",
                "info",
                f"{scene_name} {slot_name}",
                f"that of {person.used.annotator} ({person.used.sha256[:12]}) is used; also there: {others}",
                hint="nothing is lost: 'restore' gives back any of them",
            )
        )
    return findings


def _write(
    folder: Path,
    subset: Subset,
    dataset: PersonSearchDataset,
    outlines: Mapping[int, Outline],
    record: Mapping[int, CollectedPerson],
    packs: PackSet,
    store: Store,
) -> None:
    """Writes the four files, each only if it changes; a masks.json that changes is stored before."""
    train = dataset.train
    masks = masks_of_scenes(train, subset.kept_rows, dict(sorted(outlines.items())))
    for name in (COLLECTED_NAME, MASKS_NAME, TARGETS_NAME, RECORD_NAME):
        for left in folder.glob(f".{name}.*"):  # of a run that was killed
            left.unlink()
    for scratch in store.folder.glob(f"{_SCRATCH}*"):
        shutil.rmtree(scratch)
    _replace(folder / COLLECTED_NAME, lambda path: _write_collected(path, record, dataset), store)
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
    present = int((masks.states == MaskState.PRESENT).sum())
    counts = dict(subset.record.counts)
    counts |= {
        "masks_present": present,
        "masks_missing": int((masks.states == MaskState.MISSING).sum()),
    }
    sha256 = hashlib.sha256((folder / MASKS_NAME).read_bytes()).hexdigest()
    final = replace(subset.record, counts=counts, masks_sha256=sha256)
    _replace(folder / RECORD_NAME, lambda path: write_subset_record(path, final), store)


def _replace(path: Path, write: Callable[[Path], None], store: Store) -> None:
    """Writes a file whole or not at all, and leaves it alone if its content would be the same."""
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=store.folder) as scratch:
        write(Path(scratch) / path.name)
        content = (Path(scratch) / path.name).read_bytes()
    if path.is_file():
        if path.read_bytes() == content:
            return
        if path.name == MASKS_NAME:
            store.add(path, SUBSET_OWNER, path.name)
    with written_atomically(path) as temporary:
        temporary.write_bytes(content)


def _sizes(masks: Path, packs: PackSet, dataset: PersonSearchDataset) -> dict[int, tuple[int, int]]:
    """Scene row -> (width, height): as masks.json has it, and for the scenes of the packs as these do."""
    images = [image for image in read_mask_json(masks)["images"] if "maskps_size" not in image]
    sizes = {str(image["file_name"]): (int(image["width"]), int(image["height"])) for image in images}
    sizes |= {scene.scene: scene.size for pack in packs.packs for scene in pack.scenes}
    rows = dataset.train.rows_of(list(sizes)).tolist()
    return dict(zip(rows, sizes.values(), strict=True))


def _write_collected(path: Path, record: Mapping[int, CollectedPerson], dataset: PersonSearchDataset) -> None:
    train = dataset.train
    scene_of_person = train.scene_of_person
    persons = []
    for row, person in record.items():
        scene = int(scene_of_person[row])
        place = {"row": row, "scene": str(train.names[scene]), "box_index": row - int(train.offsets[scene])}
        persons.append(json.dumps(place | asdict(person), ensure_ascii=False))
    head = f'{{"format": "{FORMAT}", "version": {VERSION}, "persons": [\n'
    path.write_text(head + ",\n".join(persons) + "\n]}\n", encoding="utf-8")


def read_collected(path: Path) -> dict[int, CollectedPerson]:
    """Returns the entries of collected.json by person row of the training table; none if it is not there.

    Raises:
        InputFileError: it is damaged or of another kind.
    """
    if not path.exists():
        return {}
    what = "the record of a collection (collected.json)"
    content = read_record(path, format=FORMAT, version=VERSION, what=what, hint=_EDITED)
    try:
        return {
            int(person["row"]): CollectedPerson(
                Drawing(**person["used"]), tuple(Drawing(**other) for other in person["others"])
            )
            for person in content["persons"]
        }
    except (KeyError, TypeError, ValueError) as error:
        raise InputFileError(path, expected=what, found=repr(error)[:90], hint=_EDITED) from error
