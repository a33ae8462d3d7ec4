"""packs.json and pack.json: who annotates which persons of which scenes, and as which slots."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from maskps.errors import AnnotationError, ConfigError, InputFileError, shown_value
from maskps.io.files import json_field, read_record
from maskps.masks.outlines import Outline
from maskps.masks.proposed_outlines import ProposedOutline
from maskps.structures import PersonSearchDataset

PACKS_NAME = "packs.json"
PACK_NAME = "pack.json"
FORMAT = "maskps-packs"
PACK_FORMAT = "maskps-pack"
VERSION = 1

_EDITED = "it was edited or cut off; copy it again, or make the packs again"
_field = partial(json_field, hint=_EDITED)
_LONGEST = 250  # bytes of a file name that still fits with another ending
_ANNOTATOR = re.compile(r"[^\W_][\w.-]{0,63}")


Rings = tuple[tuple[tuple[float, float], ...], ...]
"""The rings of an outline, as in `Outline`, each as x, y of its points."""


@dataclass(frozen=True)
class Correction:
    """Why a person must be drawn again.

    Attributes:
        reasons: what reviewers wrote, one line each, e.g. "rita: bag missing"; may be empty.
        rejected: the rejected outline, cut at the image; empty if there is no outline.
    """

    reasons: tuple[str, ...]
    rejected: Rings = ()

    @classmethod
    def of(cls, reasons: Sequence[str], outline: Outline) -> Correction:
        """Returns the correction of an outline."""
        return cls(tuple(reasons), _rings_of(outline))

    @property
    def outline(self) -> Outline:
        """The rejected outline, empty if the person has none."""
        return _outline_of(self.rejected)

    def clipped(self, size: tuple[int, int]) -> Correction:
        """Returns the correction with its outline cut at an image of (width, height) pixels."""
        return Correction.of(self.reasons, self.outline.clipped((0, 0, *size)))


@dataclass(frozen=True)
class Proposal:
    """An outline to start from, which no annotator has drawn.

    Attributes:
        by: what proposed it, e.g. "run small-3, weights 0123456789ab".
        sureness: from 0 to 1.
        rings: the outline, cut at the image; not empty.
    """

    by: str
    sureness: float
    rings: Rings

    @classmethod
    def of(cls, proposed: ProposedOutline, size: tuple[int, int]) -> Proposal | None:
        """Returns what is proposed inside an image of (width, height) pixels; None if nothing is."""
        outline = proposed.outline.clipped((0, 0, *size))
        rings = _rings_of(outline)
        return cls(proposed.by, round(float(proposed.sureness), 4), rings) if rings else None

    @property
    def outline(self) -> Outline:
        """The proposed outline."""
        return _outline_of(self.rings)


def _rings_of(outline: Outline) -> Rings:
    return tuple(tuple((x, y) for x, y in ring.tolist()) for ring in outline.rings)


def _outline_of(rings: Rings) -> Outline:
    return Outline(tuple(np.array(ring, dtype=np.float64) for ring in rings))


@dataclass(frozen=True)
class Slot:
    """One person to draw.

    Attributes:
        name: "p1" to "pN", from left to right in the scene: the label of the person's shapes.
        person: index of the person's box within the scene.
        identity: the data set's own, e.g. "p3219"; annotators need not know it.
        box: xyxy, pixels of the scene.
        correction: why the person is drawn again; None for the first time.
        proposal: an outline to start from; None without one.
    """

    name: str
    person: int
    identity: str
    box: tuple[float, float, float, float]
    correction: Correction | None = None
    proposal: Proposal | None = None

    @property
    def given(self) -> Outline:
        """The outline that the pack already holds, to be mended: rejected or proposed; empty without one."""
        start = self.correction or self.proposal
        return Outline(()) if start is None else start.outline

    def corners(self, size: tuple[int, int]) -> np.ndarray:
        """Returns the (2, 2) float64 corners of the pre-filled rectangle: the box, cut at the image."""
        return np.clip(np.array(self.box, dtype=np.float64).reshape(2, 2), 0, size)


@dataclass(frozen=True)
class PackedScene:
    """One image of a pack.

    Attributes:
        scene: its name in the data set.
        image: its file name in the pack; stems are unique, ignoring case.
        sha256: hex checksum of the image file in the pack.
        size: (width, height) in pixels.
        slots: the persons to draw, from left to right.
    """

    scene: str
    image: str
    sha256: str
    size: tuple[int, int]
    slots: tuple[Slot, ...]

    @property
    def file_name(self) -> str:
        """Name of its LabelMe file in the pack."""
        return f"{Path(self.image).stem}.json"


@dataclass(frozen=True)
class Pack:
    """What one annotator has: the folder and its scenes."""

    annotator: str
    folder: Path
    scenes: tuple[PackedScene, ...]

    @property
    def persons(self) -> int:
        """Number of persons to draw."""
        return sum(len(scene.slots) for scene in self.scenes)

    @property
    def proposals(self) -> int:
        """Number of persons with a proposed outline."""
        return sum(slot.proposal is not None for scene in self.scenes for slot in scene.slots)


@dataclass(frozen=True)
class PackSet:
    """All packs of one distribution.

    Attributes:
        fingerprint: of the data set.
        seed: of the distribution.
        packs: one per annotator, in the order given.
        doubled: names of the scenes that two annotators have.
    """

    fingerprint: str
    seed: int
    packs: tuple[Pack, ...]
    doubled: frozenset[str]

    @property
    def files(self) -> list[tuple[Pack, PackedScene]]:
        """Each scene of each pack, in pack order: one LabelMe file."""
        return [(pack, scene) for pack in self.packs for scene in pack.scenes]


def check_annotators(names: Sequence[str]) -> None:
    """Raises ConfigError unless the names differ and each can name a folder on any system."""
    for name in names:
        if not _ANNOTATOR.fullmatch(name) or name.endswith(".") or name.casefold() == PACKS_NAME:
            raise ConfigError(
                "annotators",
                expected="names of letters, digits, '-', '_' and '.', up to 64 of them",
                found=repr(name)[:90],
                hint="the annotator's folder gets this name; choose a simple one",
            )
    if len({name.casefold() for name in names}) != len(names):
        raise ConfigError(
            "annotators",
            expected="each name once",
            found=", ".join(names)[:200],
            hint="name every annotator once; names may not differ by capitals alone",
        )


def check_source(
    dataset: PersonSearchDataset, fingerprint: str, where: Path | str, *, what: str, hint: str
) -> None:
    """Raises AnnotationError unless a file was made from this data set.

    Args:
        what: what the file holds, e.g. "packs".
    """
    if fingerprint != dataset.fingerprint:
        raise AnnotationError(
            where,
            expected=f"{what} of {dataset.root} (fingerprint {dataset.fingerprint})",
            found=f"{what} of another data set (fingerprint {fingerprint[:64]})",
            hint=hint,
        )


def check_packs_of(packs: PackSet, dataset: PersonSearchDataset) -> None:
    """Raises AnnotationError if the packs were made from another data set."""
    hint = "give the data set and the packs that belong together"
    check_source(dataset, packs.fingerprint, PACKS_NAME, what="packs", hint=hint)


def packs_content(packs: PackSet) -> dict[str, Any]:
    """Returns the content of packs.json; a scene that two annotators have is listed once."""
    scenes = {scene.scene: scene for _, scene in packs.files}
    return {
        "format": FORMAT,
        "version": VERSION,
        "fingerprint": packs.fingerprint,
        "seed": packs.seed,
        "packs": {pack.annotator: [scene.scene for scene in pack.scenes] for pack in packs.packs},
        "doubled": sorted(packs.doubled),
        "scenes": _scenes_content(scenes[name] for name in sorted(scenes)),
    }


def pack_content(pack: Pack, fingerprint: str) -> dict[str, Any]:
    """Returns the content of pack.json: the annotator's own part, without any hint at the others."""
    return {
        "format": PACK_FORMAT,
        "version": VERSION,
        "annotator": pack.annotator,
        "fingerprint": fingerprint,
        "scenes": _scenes_content(pack.scenes),
    }


def read_packs(out: Path) -> PackSet:
    """Returns the packs that `write_packs` wrote to this folder; reads packs.json only.

    Raises:
        InputFileError: packs.json is missing, cut off, edited, or of another version.
    """
    path = out / PACKS_NAME
    if (out / PACK_NAME).is_file() and not path.exists():
        raise InputFileError(
            out,
            expected="the folder that 'maskps-data annotate pack' made",
            found="the folder of one annotator",
            hint=f"give the folder with {PACKS_NAME}: {out.parent}",
        )
    content = read_record(
        path,
        format=FORMAT,
        version=VERSION,
        what="a record of packs (packs.json)",
        hint="give the folder that 'maskps-data annotate pack' made",
    )
    scenes = _read_scenes(content, path)
    given = _field(content, "packs", dict, path)
    seed = _field(content, "seed", int, path)
    try:
        check_annotators(list(given))
    except ConfigError as error:
        raise InputFileError(path, expected=error.expected, found=error.found, hint=_EDITED) from error
    packs = tuple(
        Pack(name, out / name, tuple(scenes[scene] for scene in _names(names, scenes, path)))
        for name, names in given.items()
    )
    return PackSet(
        fingerprint=_field(content, "fingerprint", str, path),
        seed=seed,
        packs=packs,
        doubled=frozenset(_names(content.get("doubled"), scenes, path)),
    )


def read_pack(folder: Path) -> Pack:
    """Returns the pack of one annotator, from its own pack.json.

    Raises:
        InputFileError: pack.json is missing, cut off, edited, or of another version.
    """
    path = folder / PACK_NAME
    content = read_record(
        path,
        format=PACK_FORMAT,
        version=VERSION,
        what="an annotator's pack (pack.json)",
        hint="give the folder of one annotator, below the one that 'maskps-data annotate pack' made",
    )
    annotator = _field(content, "annotator", str, path)
    return Pack(annotator, folder, tuple(_read_scenes(content, path).values()))


def _scenes_content(scenes: Iterable[PackedScene]) -> list[dict[str, Any]]:
    return [
        {
            "scene": scene.scene,
            "image": scene.image,
            "sha256": scene.sha256,
            "size": list(scene.size),
            "slots": [_full_slot_content(slot) for slot in scene.slots],
        }
        for scene in scenes
    ]


def slot_content(slot: Slot) -> dict[str, Any]:
    """Returns what identifies a person, and who proposed which outline; without a correction."""
    content: dict[str, Any] = {
        "name": slot.name,
        "person": slot.person,
        "identity": slot.identity,
        "box": list(slot.box),
    }
    if slot.proposal is not None:
        one = slot.proposal
        content["proposal"] = {"by": one.by, "sureness": one.sureness, "rings": _flat(one.rings)}
    return content


def _full_slot_content(slot: Slot) -> dict[str, Any]:
    if slot.correction is None:
        return slot_content(slot)
    correction = {"reasons": list(slot.correction.reasons), "rejected": _flat(slot.correction.rejected)}
    return slot_content(slot) | {"correction": correction}


def _flat(rings: Rings) -> list[list[float]]:
    """Returns each ring as x0, y0, x1, y1, ..."""
    return [[value for point in ring for value in point] for ring in rings]


def _read_scenes(content: dict[str, Any], path: Path) -> dict[str, PackedScene]:
    """Returns the scenes by name, in the order of the file."""
    scenes = [
        _read_scene(scene, path, index) for index, scene in enumerate(_field(content, "scenes", list, path))
    ]
    for values in ([scene.scene for scene in scenes], [scene.file_name.casefold() for scene in scenes]):
        if len(set(values)) != len(values):
            _refuse(path, "every scene and every file name once", values)
    return {scene.scene: scene for scene in scenes}


def _read_scene(content: Any, path: Path, index: int) -> PackedScene:
    where = f"scene {index}"
    if not isinstance(content, dict):
        _refuse(path, f"{where} as an object", content)
    image = _field(content, "image", str, path)
    is_name = image == Path(image).name and not set("\\\0") & set(image) and Path(image).suffix
    if not is_name or len(image.encode()) > _LONGEST:
        _refuse(path, f"{where}: 'image' as the name of a file in the pack", image)
    size = _numbers(content.get("size"), 2, path, f"{where}: 'size'")
    if not all(side == int(side) and side > 0 for side in size):
        _refuse(path, f"{where}: 'size' in whole pixels", size)
    slots = tuple(read_slot(slot, path, where) for slot in _field(content, "slots", list, path))
    if [slot.name for slot in slots] != [f"p{number}" for number in range(1, len(slots) + 1)]:
        _refuse(path, f"{where}: slots p1, p2, ...", [slot.name for slot in slots])
    if len({slot.person for slot in slots}) != len(slots):
        _refuse(path, f"{where}: every person once", [slot.person for slot in slots])
    sha256 = _field(content, "sha256", str, path)
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        _refuse(path, f"{where}: 'sha256' of 64 digits", sha256)
    return PackedScene(
        _field(content, "scene", str, path), image, sha256, (int(size[0]), int(size[1])), slots
    )


def read_slot(content: Any, path: Path, where: str) -> Slot:
    """Returns a slot from its content.

    Args:
        where: names the scene in messages about the file.

    Raises:
        InputFileError: it was edited.
    """
    if not isinstance(content, dict):
        _refuse(path, f"{where}: slots as objects", content)
    person = _field(content, "person", int, path)
    if person < 0:
        _refuse(path, f"{where}: 'person' of 0 or above", person)
    x0, y0, x1, y1 = _numbers(content.get("box"), 4, path, f"{where}: 'box'")
    name, identity = _field(content, "name", str, path), _field(content, "identity", str, path)
    correction = _read_correction(content["correction"], path, where) if "correction" in content else None
    proposal = _read_proposal(content["proposal"], path, where) if "proposal" in content else None
    return Slot(name, person, identity, (x0, y0, x1, y1), correction, proposal)


def _read_correction(content: Any, path: Path, where: str) -> Correction:
    if not isinstance(content, dict):
        _refuse(path, f"{where}: 'correction' as an object", content)
    reasons = _field(content, "reasons", list, path)
    if not all(isinstance(reason, str) for reason in reasons):
        _refuse(path, f"{where}: 'reasons' as texts", reasons)
    return Correction(tuple(reasons), _read_rings(content, "rejected", path, where))


def _read_proposal(content: Any, path: Path, where: str) -> Proposal:
    if not isinstance(content, dict):
        _refuse(path, f"{where}: 'proposal' as an object", content)
    (sureness,) = _numbers([content.get("sureness")], 1, path, f"{where}: 'sureness'")
    rings = _read_rings(content, "rings", path, where)
    if not rings:
        _refuse(path, f"{where}: a proposal with an outline", rings)
    return Proposal(_field(content, "by", str, path), sureness, rings)


def _read_rings(content: Mapping[str, Any], name: str, path: Path, where: str) -> Rings:
    rings = _field(content, name, list, path)
    if not all(isinstance(ring, list) and len(ring) >= 6 and len(ring) % 2 == 0 for ring in rings):
        _refuse(path, f"{where}: {name!r} as lists of x, y", rings)
    values = [_numbers(ring, len(ring), path, f"{where}: {name!r}") for ring in rings]
    return tuple(tuple(zip(ring[::2], ring[1::2], strict=True)) for ring in values)


def _numbers(value: Any, count: int, path: Path, what: str) -> list[float]:
    if (
        not isinstance(value, list)
        or len(value) != count
        or not all(type(number) in (int, float) and abs(number) < 1e9 for number in value)  # no NaN
    ):
        _refuse(path, f"{what} as {count} numbers", value)
    return [float(number) for number in value]


def _names(value: Any, scenes: Mapping[str, PackedScene], path: Path) -> list[str]:
    is_list = isinstance(value, list) and all(isinstance(name, str) for name in value)
    if not is_list or len(set(value)) != len(value) or not set(value) <= scenes.keys():
        _refuse(path, "lists of scenes, each one once", value)
    return list(value)


def _refuse(path: Path, expected: str, value: object) -> NoReturn:
    raise InputFileError(path, expected=expected, found=shown_value(value), hint=_EDITED)
