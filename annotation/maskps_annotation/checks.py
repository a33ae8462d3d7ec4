"""`maskps-data annotate check`: every rule on every file of the packs (docs/annotation_checks.md).

A file that cannot be read is one finding, a shape that makes no sense is another; all other rules are still
checked. A person passes if there is an outline and no error about its slot, its file or its image.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.errors import MaskpsError, shown_value
from maskps.findings import Finding
from maskps.io.files import read_bytes
from maskps.io.images import image_orientation, image_size
from maskps.masks.labelme_file import LabelMeShape
from maskps.masks.outlines import Outline
from maskps_annotation.check_shapes import check_boxes, check_drawn
from maskps_annotation.drawn_persons import FileFindings, add_notes, group_shapes
from maskps_annotation.pack_files import (
    CHECKED_FLAG,
    CONFIG_NAME,
    PROBLEM_FLAG,
    SLOT_KEY,
    is_prefilled,
    reason_text,
    says_done,
)
from maskps_annotation.pack_record import PACK_NAME, Pack, PackedScene, PackSet
from maskps_annotation.reading import ReadFile, read_file, renamed_files
from maskps_annotation.shape_geometry import polygon_of_shape
from maskps_annotation.touches import Touches, is_flagged, is_unchanged, touches

_LEAST_COPIED = 4  # points; three may be the same by chance


@dataclass(frozen=True)
class CheckedFile:
    """The result for one annotator's file.

    Attributes:
        outlines: slot -> outline of each person who passes.
        findings: everything about the file.
        digests: checksum of the corners of each polygon -> its slot, to find copies.
        touches: slot -> what the annotator changed in the proposal, for outlines that began as one.
        untouched: slots whose proposal nobody has changed or accepted; they have no outline.
    """

    outlines: Mapping[str, Outline]
    findings: tuple[Finding, ...]
    digests: Mapping[bytes, str]
    touches: Mapping[str, Touches] = field(default_factory=dict)
    untouched: frozenset[str] = frozenset()


def check_packs(packs: PackSet, *, progress: Callable[[int, int], None] | None = None) -> list[Finding]:
    """Returns everything that is wrong or odd in the packs, by annotator and scene.

    Args:
        progress: called with (files checked, files to check).
    """
    files = {(pack.annotator, scene.scene): pack.folder / scene.file_name for pack, scene in packs.files}
    findings = [finding for pack in packs.packs for finding in check_folder(pack)]
    for one in check_files(packs, files, progress=progress).values():
        findings += one.findings
    return findings


def check_files(
    packs: PackSet,
    files: Mapping[tuple[str, str], Path],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> dict[tuple[str, str], CheckedFile]:
    """Returns the results by annotator and scene, with the images and copies checked as well.

    Args:
        files: annotator and scene -> where to read the file; missing files are skipped.
        progress: called with (files checked, files to check).
    """
    checked: dict[tuple[str, str], CheckedFile] = {}
    for done, (pack, scene) in enumerate(packs.files, start=1):
        path = files.get((pack.annotator, scene.scene))
        if path is not None and path.is_file():
            one = checked_file(scene, path, f"{pack.annotator}/{scene.file_name}")
            of_image = list(_check_image(pack, scene))
            if of_image:
                one = replace(one, outlines={}, findings=(*of_image, *one.findings))
            checked[pack.annotator, scene.scene] = one
        if progress is not None:
            progress(done, len(packs.files))
    return _without_copies(packs, checked)


def check_folder(pack: Pack) -> list[Finding]:
    """Returns what is wrong with the files of a pack before any is read."""
    if not pack.folder.is_dir():
        hint = f"ask {pack.annotator} for it"
        return [Finding("pack-missing", "error", pack.annotator, f"no folder {pack.folder}", hint=hint)]
    present = {path.name for path in pack.folder.iterdir() if not path.is_dir()}
    known = {PACK_NAME, CONFIG_NAME} | {scene.file_name for scene in pack.scenes}
    findings = []
    for scene in pack.scenes:
        if scene.file_name not in present:
            where = f"{pack.annotator}/{scene.file_name}"
            found = f"no such file; its {len(scene.slots)} persons are not drawn"
            hint = "it was deleted or not sent back; 'restore' brings back what was collected of it"
            if similar := renamed_files(scene.file_name, present - known):
                found = f"no such file, but {shown_value(similar[0])}"
                hint = f"rename it to {scene.file_name} if it is the drawing"
            findings.append(Finding("file-missing", "error", where, found, hint=hint))
    for name in sorted(name for name in present - known if name.lower().endswith(".json")):
        where, found = f"{pack.annotator}/{name}", "a file of no image of this pack"
        hint = "its drawings are not used; was an image renamed or added?"
        findings.append(Finding("file-extra", "warning", where, found, hint=hint))
    return findings


def _without_copies(
    packs: PackSet, checked: Mapping[tuple[str, str], CheckedFile]
) -> dict[tuple[str, str], CheckedFile]:
    """Returns the files with one more finding for each polygon that is in another file, point by point.

    In files of two scenes one of them is a copy (`keep_prev`, or paste): an error for both persons, unless
    one has errors of its own and is therefore the copy. In two annotators' files of one scene it is a
    warning: they should not have seen each other's.

    Args:
        checked: by annotator and scene.
    """
    places: dict[bytes, list[tuple[str, str]]] = defaultdict(list)
    for key, one in checked.items():
        for digest in one.digests:
            places[digest].append(key)
    names = {
        (pack.annotator, scene.scene): f"{pack.annotator}/{scene.file_name}" for pack, scene in packs.files
    }
    result = dict(checked)
    for digest, keys in places.items():
        for key in keys if len(keys) > 1 else ():
            slot = result[key].digests[digest]
            passes = slot in checked[key].outlines
            others = [
                other
                for other in keys
                if other != key and (not passes or checked[other].digests[digest] in checked[other].outlines)
            ]
            if not others:
                continue
            outlines = dict(result[key].outlines)
            where = f"{names[key]} {slot}"
            other = next((one for one in others if one[1] != key[1]), others[0])
            found = f"a polygon that is point by point the same as in {names[other]}"
            if other[1] != key[1]:
                hint = "one of the two is a copy from another image: delete it and draw the person"
                finding = Finding("polygon-copied", "error", where, found, hint=hint)
                outlines.pop(slot, None)
            else:
                hint = "two annotators draw a scene to be compared: neither should have the other's file"
                finding = Finding("polygon-shared", "warning", where, found, hint=hint)
            findings = (*result[key].findings, finding)
            result[key] = replace(result[key], outlines=outlines, findings=findings)
    return result


def _check_image(pack: Pack, scene: PackedScene) -> Iterator[Finding]:
    path = pack.folder / scene.image
    where = f"{pack.annotator}/{scene.image}"
    hint = "copy the image of the pack there again; drawings on another image are misplaced"
    try:
        sha256 = hashlib.sha256(read_bytes(path)).hexdigest()
    except OSError as error:
        found = error.strerror or str(error)
        yield Finding("image-missing", "error", where, found, hint="copy the image of the pack there again")
        return
    if sha256 == scene.sha256:
        return
    if path.stat().st_nlink > 1:
        hint = (
            "it is a hard link, as older packs have it: the data set's own image has changed as well; "
            "restore that one from where you got it, and copy it here"
        )
    try:
        size = image_size(path)
        orientation = image_orientation(path)
    except MaskpsError as error:
        yield replace(Finding.of_error("image-unreadable", error), where=where, hint=hint)
        return
    if size != scene.size:
        found = "an image of {} x {} pixels".format(*size)
        yield Finding("image-size-differs", "error", where, found, "{} x {}".format(*scene.size), hint)
    elif orientation != 1:
        found = f"an EXIF orientation of {orientation}: LabelMe turns the image"
        yield Finding("image-turned", "error", where, found, "the image of the pack", hint)
    else:
        found = "another image of the same size"
        yield Finding("image-differs", "error", where, found, "the image of the pack", hint)


def checked_file(scene: PackedScene, path: Path, where: str = "") -> CheckedFile:
    """Returns the result for one LabelMe file. The image is not checked.

    Args:
        where: names the file in findings; by default folder and file.
    """
    where = where or f"{path.parent.name}/{path.name}"
    findings = FileFindings(where)
    try:
        file = read_file(path, where)
    except MaskpsError as error:
        hint = error.hint
        if not isinstance(error.__cause__, UnicodeDecodeError):  # that drawing is whole
            hint += "; 'restore' brings back what was collected of it before"
        findings.add("file-unreadable", "error", "", error.found, expected=error.expected, hint=hint)
        return CheckedFile({}, tuple(findings.found), {})
    slots = {slot.name: slot for slot in scene.slots}
    _check_heading(scene, file, findings)
    if any(finding.code == "wrong-image" for finding in findings.found):  # nothing in it is about this image
        return CheckedFile({}, tuple(findings.found), {})
    add_notes(file, findings, slots=slots)
    rectangles = {index: slot for index, shape in file.shapes if (slot := _slot_of_rectangle(scene, shape))}
    drawn = [(index, shape) for index, shape in file.shapes if index not in rectangles]
    check_boxes(
        scene,
        [(index, shape, rectangles[index]) for index, shape in file.shapes if index in rectangles],
        findings,
    )

    def person_of(index: int, shape: LabelMeShape) -> tuple[Hashable, str]:
        name = _slot_label(shape)
        return (name, name) if name in slots else (index, shown_value(shape.label))

    persons = group_shapes(drawn, person_of, findings)
    same = {str(one.key): one for one in persons if one.key in slots and is_unchanged(slots[one.key], one)}
    same = {name: one for name, one in same.items() if name not in findings.blocked}
    rejected = {name for name in same if slots[name].correction is not None}
    untouched = {
        name
        for name, one in same.items()
        if name not in rejected and is_flagged(one) and not file.heading.flags.get(CHECKED_FLAG)
    }
    persons = [person for person in persons if person.key not in rejected | untouched]
    outlines = check_drawn(scene, persons, file.version, findings)
    drawn_names = slots.keys() - rejected - untouched
    names = [(shape, name) for _, shape in drawn if (name := _slot_label(shape)) in drawn_names]
    begun = {name for _, name in names}
    _check_complete(scene, file.heading.flags, begun, rejected, untouched, findings)
    given = {_digest_of(ring) for slot in scene.slots for ring in slot.given.rings}
    passing = {name: one for name, one in outlines.items() if not {"", name} & findings.blocked}
    made = {str(one.key): touches(slots[str(one.key)], one) for one in persons if one.key in passing}
    return CheckedFile(
        passing,
        tuple(findings.found),
        {one: name for shape, name in names if (one := _digest(shape)) and one not in given},
        {name: one for name, one in made.items() if one is not None},
        frozenset(untouched),
    )


def _slot_label(shape: LabelMeShape) -> str:
    """Returns the slot name that an annotator means: case and surrounding spaces do not count."""
    return shape.label.strip().casefold()


def _slot_of_rectangle(scene: PackedScene, shape: LabelMeShape) -> str | None:
    """Returns the slot for which a rectangle was pre-filled; None for what an annotator drew.

    A rectangle exactly on a slot's box counts as well, because some programs drop private keys.
    """
    if shape.shape_type != "rectangle":
        return None
    if is_prefilled(shape):
        key = shape.extra[SLOT_KEY]
        name = key.get("name") if isinstance(key, dict) else None
        if any(slot.name == name for slot in scene.slots):
            return str(name)
    corners = np.stack([shape.points.min(axis=0), shape.points.max(axis=0)])
    for slot in scene.slots:
        if np.abs(corners - slot.corners(scene.size)).max() < 0.01:
            return slot.name
    return None


def _check_heading(scene: PackedScene, file: ReadFile, findings: FileFindings) -> None:
    """Checks that a file is about the image it is named after."""
    hint = "LabelMe saved it over the file of another image: 'restore' the file and draw this one again"
    record = file.record or {}
    theirs = record.get("scene", scene.scene), record.get("sha256", scene.sha256)
    image = file.heading.image_path.replace("\\", "/").rpartition("/")[2]
    if theirs != (scene.scene, scene.sha256):
        found = f"the file of {json.dumps(theirs[0], ensure_ascii=False)[:60]}"
        if theirs[0] == scene.scene:
            found = "a file made for another version of the image"
        findings.add("wrong-image", "error", "", found, expected=f"that of {scene.scene}", hint=hint)
    elif image and image != scene.image:
        found = f"imagePath {file.heading.image_path[:80]!r}: LabelMe shows another image with it"
        findings.add("wrong-image", "error", "", found, expected=scene.image, hint=hint)
    if not record:
        found = "the record of the pack is not in the file"
        hint = "another program wrote it; check that it is about this image"
        findings.add("record-lost", "warning", "", found, hint=hint)
    if file.size is not None and file.size != scene.size:
        found = "{} x {} pixels".format(*file.size)
        hint = "it was drawn on an image of another size; draw on the image of the pack"
        findings.add("size-differs", "error", "", found, expected="{} x {}".format(*scene.size), hint=hint)
    if file.embedded not in (None, scene.sha256):
        hint = "LabelMe shows the image in the file instead of the pack's; save without image data"
        findings.add("image-embedded", "warning", "", "another image inside the file", hint=hint)


def _check_complete(
    scene: PackedScene,
    flags: Mapping[str, bool],
    begun: Collection[str],
    rejected: Collection[str],
    untouched: Collection[str],
    findings: FileFindings,
) -> None:
    is_done, is_problem = says_done(flags), bool(flags.get(PROBLEM_FLAG))
    if is_problem:
        found, hint = "the annotator ticked 'problem'", "look at the image and talk to the annotator"
        findings.add("problem-marked", "warning", "", found, hint=hint)
    if not begun and not is_done and not is_problem:
        findings.add("not-begun", "info", "", f"none of {len(scene.slots)} persons is drawn")
        return
    is_final = is_done and not is_problem
    for slot in scene.slots:
        if slot.name in rejected:
            found = f"the rejected outline is unchanged ({'; '.join(reason_text(slot).splitlines())})"
            hint = "correct it or draw it anew; tick 'problem' if it is right"
            findings.add("still-rejected", "error" if is_final else "warning", slot.name, found, hint=hint)
        elif slot.name in untouched:
            found = "the proposed outline is unchanged, and nobody has ticked that it is right"
            hint = f"correct it; if all that are left as proposed are right, tick '{CHECKED_FLAG}'"
            findings.add(
                "proposal-untouched", "error" if is_final else "warning", slot.name, found, hint=hint
            )
        elif slot.name not in begun and slot.name not in findings.blocked:
            found = "no outline of the person in the box at ({:.1f}, {:.1f})".format(*slot.box[:2])
            hint = "draw what is visible of the person; tick 'problem' if nothing is"
            findings.add("person-missing", "error" if is_final else "warning", slot.name, found, hint=hint)
    if all(slot.name in begun for slot in scene.slots) and not is_done:
        found, hint = "all persons are drawn, but 'done' is not ticked", "tick the flag 'done'"
        findings.add("not-done", "info", "", found, hint=hint)


def _digest(shape: LabelMeShape) -> bytes | None:
    points = polygon_of_shape(shape)
    if points is None or len(points) < _LEAST_COPIED or shape.shape_type == "rectangle":
        return None
    return _digest_of(points)


def _digest_of(points: NDArray[np.float64]) -> bytes:
    return hashlib.sha256(np.round(points, 3).tobytes()).digest()
