"""Draws in packs as annotators do, from true outlines, and makes their typical mistakes at stated rates.

An outline is simplified, and every vertex is moved by noise whose standard deviation, 1 to 3 pixels, is the
annotator's. A file gets at most one mistake, so that every finding can be laid to a mistake or to a good
drawing. What is drawn of a person depends on the seed, the annotator and the person only: drawing again
without a mistake leaves everything else as it was.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from hand import LEAST_HOLE, LEAST_PART, drawn_rings, mended, ring_by_hand

from maskps.masks import LabelMeFile, LabelMeShape, Outline, write_labelme
from maskps.masks.outlines import outline_from_shapely, ring_area
from maskps.masks.rasterising import outline_to_mask
from maskps.masks.tracing import mask_to_outline
from maskps_annotation.pack_files import CHECKED_FLAG, PROPOSED_FLAG, is_prefilled, prefilled
from maskps_annotation.pack_record import Pack, PackedScene, PackSet, Slot

Truth = Mapping[str, Mapping[int, Outline]]
"""Scene -> index of the box in it -> true outline, of labeled and unlabeled persons."""

NOISE = (1.0, 3.0)  # pixels; of the most and the least careful annotator
NEEDLESS = "needless"
"""In place of a slot: a shape for a person who needs none."""
_BEGAN, _SECONDS = 1_700_000_000, 70  # times of the files: a day in 2023, and what a person takes


@dataclass(frozen=True)
class Mistake:
    """What an annotator did wrong.

    Attributes:
        kind: a key of `RATES`.
        slots: whose drawing is wrong; empty if the file is, and (`NEEDLESS`,) for a drawing of nobody.
        other: scene and slot of a good drawing to which a finding about the mistake may be laid.
    """

    kind: str
    annotator: str
    scene: str
    slots: tuple[str, ...]
    other: tuple[str, str] | None = None


RATES = {
    "person missed": 0.03,
    "two slots swapped": 0.03,
    "polygon crosses itself": 0.02,
    "polygon around the box": 0.02,
    "rectangle instead of outline": 0.01,
    "two points only": 0.01,
    "a fifth left out (bag, arm)": 0.03,
    "what is in front drawn too": 0.03,
    "copied from the image before": 0.02,
    "hole not marked": 0.03,
    "hole not marked, same group": 0.02,
    "another person drawn": 0.02,
    "needless person, new label": 0.02,
    "needless person, slot's label": 0.02,
    "AI polygon, half a pixel off": 0.02,
    "done not ticked": 0.02,
    "problem ticked": 0.02,
    "rectangle moved": 0.02,
    "saved over by another image": 0.01,
    "file cut off": 0.01,
}
"""Share of the files in which a mistake is tried; without a hole, or a neighbour, for it the file is good."""


def draw_packs(
    packs: PackSet,
    truth: Truth,
    *,
    seed: int = 0,
    rates: Mapping[str, float] = RATES,
    noise: tuple[float, float] = NOISE,
    keep: Sequence[Mistake] | None = None,
    exact: bool = False,
) -> list[Mistake]:
    """Draws every person of every pack, as far as known and needed, and returns the mistakes.

    A proposed outline is left alone or mended, as `hand.mended` does.

    Args:
        rates: of mistakes, per file; {} for none.
        noise: standard deviations in pixels, from the first to the last annotator.
        exact: draw the true outlines as they are, with everything that is small.
        keep: make these mistakes, all of an earlier call with the same seed, instead of drawing new ones.
    """
    made: list[Mistake] = []
    for pack, sd in zip(packs.packs, np.linspace(*noise, len(packs.packs)), strict=True):
        now = _BEGAN
        before: _Desk | None = None
        for scene in pack.scenes:
            desk = _Desk(
                pack, scene, truth.get(scene.scene, {}), float(sd), seed, before, exact, packs.fingerprint
            )
            if keep is None:
                mistake = _new_mistake(desk, rates)
            else:
                planned = [one for one in keep if (one.annotator, one.scene) == (pack.annotator, scene.scene)]
                mistake = _MAKERS[planned[0].kind](desk) if planned else None
            made += [mistake] if mistake is not None else []
            desk.save()
            now += _SECONDS * len(scene.slots)
            os.utime(desk.path, (now, now))
            before = desk
    return made


class _Desk:
    """One file at work, begun anew: everybody drawn well, until a mistake changes it."""

    def __init__(
        self,
        pack: Pack,
        scene: PackedScene,
        truth: Mapping[int, Outline],
        sd: float,
        seed: int,
        before: _Desk | None,
        exact: bool,
        fingerprint: str,
    ) -> None:
        self.pack, self.scene, self.truth = pack, scene, truth
        self.sd, self.seed, self.before, self.exact = sd, seed, before, exact
        self.path = pack.folder / scene.file_name
        self.file: LabelMeFile = prefilled(scene, fingerprint)
        self.rectangles = [shape for shape in self.file.shapes if is_prefilled(shape)]
        self.flags = {"done": True, "problem": False}
        self.text: Callable[[str], str] = str
        self.shapes: list[LabelMeShape] = []
        for slot in scene.slots:
            self.shapes += self.mended(slot) if slot.proposal else self.drawn(slot.person, slot.name)
        self.rng = self.rng_of("mistake")

    def rng_of(self, what: object) -> np.random.Generator:
        words = f"{self.pack.annotator} {self.scene.scene} {what}"
        return np.random.default_rng((self.seed, zlib.crc32(words.encode())))

    def drawn(self, person: int, label: str) -> list[LabelMeShape]:
        """The shapes of one person, drawn well."""
        outline = self.truth.get(person)
        return [] if outline is None else self.shapes_of(outline.to_shapely(), label, self.rng_of(person))

    def mended(self, slot: Slot) -> list[LabelMeShape]:
        """The shapes of a person whose outline was proposed; the image is ticked if it is left alone."""
        true = self.truth.get(slot.person)
        if true is None:
            return []
        made = mended(slot.given, true, slot.box, self.sd, self.rng_of(slot.person), self.scene.size)
        if made.is_untouched:
            self.flags = {CHECKED_FLAG: True, "problem": False}
            shapes = (one for one in self.file.shapes if one.label == slot.name)
            return [one for one in shapes if not is_prefilled(one)]
        is_anew = made.deleted == sum(map(len, slot.given.rings))
        group = int(slot.name[1:]) if sum(ring_area(ring) > 0 for ring in made.rings) > 1 else None
        flags = {} if is_anew else {PROPOSED_FLAG: True}
        return [
            LabelMeShape(
                slot.name, ring, "polygon", group, flags | ({"hole": True} if ring_area(ring) < 0 else {})
            )
            for ring in made.rings
        ]

    def shapes_of(self, geometry: Any, label: str, rng: np.random.Generator) -> list[LabelMeShape]:
        least_part, least_hole = (0.0, 0.0) if self.exact else (LEAST_PART, LEAST_HOLE)
        parts = drawn_rings(geometry, least_part=least_part, least_hole=least_hole)
        group = int(label[1:]) if len(parts) > 1 else None
        shapes = []
        for part in parts:
            for index, ring in enumerate(part):
                points = ring if self.exact else ring_by_hand(ring, self.sd, rng, self.scene.size)
                shapes.append(LabelMeShape(label, points, "polygon", group, {"hole": True} if index else {}))
        return shapes

    def replace(self, slot: str, shapes: Sequence[LabelMeShape]) -> None:
        self.shapes = [shape for shape in self.shapes if shape.label != slot] + list(shapes)

    def any_slot(self) -> str:
        names = sorted({shape.label for shape in self.shapes})
        return str(self.rng.choice(names)) if names else ""

    def mistake(self, kind: str, *slots: str, other: tuple[str, str] | None = None) -> Mistake:
        return Mistake(kind, self.pack.annotator, self.scene.scene, slots, other)

    def save(self) -> None:
        write_labelme(
            self.path, replace(self.file, shapes=(*self.rectangles, *self.shapes), flags=self.flags)
        )
        if self.text is not str:
            self.path.write_text(self.text(self.path.read_text(encoding="utf-8")), encoding="utf-8")


def _new_mistake(desk: _Desk, rates: Mapping[str, float]) -> Mistake | None:
    """Makes the mistake that the rates draw, if any, and if it can be made here."""
    drawn = desk.rng.random()
    for kind, upto in zip(rates, np.cumsum(list(rates.values())).tolist(), strict=True):
        if drawn < upto:
            return _MAKERS[kind](desk) if desk.shapes else None
    return None


def _missed(desk: _Desk) -> Mistake | None:
    slot = desk.any_slot()
    desk.replace(slot, [])
    return desk.mistake("person missed", slot)


def _swapped(desk: _Desk) -> Mistake | None:
    names = sorted({shape.label for shape in desk.shapes})
    if len(names) < 2:
        return None
    one, two = map(str, desk.rng.choice(names, 2, replace=False))
    other = {one: two, two: one}
    desk.shapes = [replace(shape, label=other.get(shape.label, shape.label)) for shape in desk.shapes]
    return desk.mistake("two slots swapped", one, two)


def _crossing(desk: _Desk) -> Mistake | None:
    """Two vertices in the wrong order: a quarter of the way round apart, or less."""
    slot, shape = _largest(desk)
    for apart in range(max(len(shape.points) // 4, 2), 0, -1):
        points = shape.points.copy()
        points[[0, apart]] = points[[apart, 0]]
        if not shapely.Polygon(points).is_valid:
            desk.shapes[_index(desk, shape)] = replace(shape, points=points)
            return desk.mistake("polygon crosses itself", slot)
    return None


def _box(desk: _Desk) -> Mistake | None:
    slot, corners = _jittered_box(desk)
    x0, y0, x1, y1 = corners
    points = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    desk.replace(slot, [LabelMeShape(slot, points)])
    return desk.mistake("polygon around the box", slot)


def _rectangle(desk: _Desk) -> Mistake | None:
    slot, corners = _jittered_box(desk)
    desk.replace(slot, [LabelMeShape(slot, corners.reshape(2, 2), "rectangle")])
    return desk.mistake("rectangle instead of outline", slot)


def _two_points(desk: _Desk) -> Mistake | None:
    slot, shape = _largest(desk)
    desk.replace(slot, [replace(shape, points=shape.points[:2], shape_type="linestrip", group_id=None)])
    desk.text = lambda text: text.replace('"linestrip"', '"polygon"')  # LabelMe writes what ours would refuse
    return desk.mistake("two points only", slot)


def _cut(desk: _Desk) -> Mistake | None:
    slot, person = _person(desk)
    shape = desk.truth[person].to_shapely()
    x0, y0, x1, y1 = shape.bounds
    for share in np.linspace(0.1, 0.6, 26):  # a strip on one side
        kept = shapely.intersection(shape, shapely.box(x0 + share * (x1 - x0), y0, x1, y1))
        if kept.area < 0.82 * shape.area:
            break
    desk.replace(slot, desk.shapes_of(_areas(kept), slot, desk.rng))
    return desk.mistake("a fifth left out (bag, arm)", slot)


def _occluder(desk: _Desk) -> Mistake | None:
    for slot in desk.scene.slots:
        own = desk.truth.get(slot.person)
        for person, other in desk.truth.items():
            if own is None or person == slot.person:
                continue
            inside = shapely.intersection(other.to_shapely(), shapely.box(*slot.box))
            touches = shapely.distance(other.to_shapely(), own.to_shapely()) < 2
            if touches and inside.area > 0.1 * own.area:
                both = shapely.union(own.to_shapely(), inside).buffer(1).buffer(-1)
                desk.replace(slot.name, desk.shapes_of(_areas(both), slot.name, desk.rng))
                theirs = [one.name for one in desk.scene.slots if one.person == person]
                aside = (desk.scene.scene, theirs[0]) if theirs else None
                return desk.mistake("what is in front drawn too", slot.name, other=aside)
    return None


def _copied(desk: _Desk) -> Mistake | None:
    if desk.before is None:
        return None
    scene, shapes = desk.before.scene, desk.before.shapes
    theirs = {shape.label for shape in shapes if len(shape.points) > 3}
    names = sorted(theirs & {slot.name for slot in desk.scene.slots})
    if not names:
        return None
    slot = str(desk.rng.choice(names))
    desk.replace(slot, [shape for shape in shapes if shape.label == slot])
    return desk.mistake("copied from the image before", slot, other=(scene.scene, slot))


def _hole(desk: _Desk) -> Mistake | None:
    return _unmarked(desk, "hole not marked", lambda slot: None)


def _hole_in_group(desk: _Desk) -> Mistake | None:
    return _unmarked(desk, "hole not marked, same group", lambda slot: int(slot[1:]))


def _unmarked(desk: _Desk, kind: str, group: Callable[[str], int | None]) -> Mistake | None:
    holes = [shape for shape in desk.shapes if shape.flags.get("hole")]
    if not holes:
        return None
    slot = holes[0].label
    shapes = [replace(one, flags={}, group_id=group(slot)) for one in desk.shapes if one.label == slot]
    desk.replace(slot, shapes)
    return desk.mistake(kind, slot)


def _somebody_else(desk: _Desk) -> Mistake | None:
    slot, _ = _person(desk)
    shapes = _needless(desk, slot)
    if not shapes:
        return None
    desk.replace(slot, shapes)
    return desk.mistake("another person drawn", slot)


def _needless_new(desk: _Desk) -> Mistake | None:
    shapes = _needless(desk, f"p{len(desk.scene.slots) + 1}")
    desk.shapes += shapes
    return desk.mistake("needless person, new label", NEEDLESS) if shapes else None


def _needless_known(desk: _Desk) -> Mistake | None:
    slot, _ = _person(desk)
    shapes = _needless(desk, slot)
    desk.shapes += [replace(shape, group_id=None) for shape in shapes]
    return desk.mistake("needless person, slot's label", slot) if shapes else None


def _ai(desk: _Desk) -> Mistake | None:
    """The border of a bitmap, half a pixel to the right and down: LabelMe 6 has middles of pixel edges."""
    slot, person = _person(desk)
    mask = outline_to_mask(desk.truth[person], *desk.scene.size)
    ring = shapely.Polygon(mask_to_outline(mask).rings[0]).exterior
    middles = shapely.get_coordinates(shapely.segmentize(ring, 1.0))
    points = shapely.get_coordinates(
        shapely.Polygon((middles[:-1] + middles[1:]) / 2).simplify(1.0).exterior
    )[:-1]
    desk.replace(slot, [LabelMeShape(slot, np.minimum(points + 0.5, np.array(desk.scene.size) - 1.0))])
    return desk.mistake("AI polygon, half a pixel off", slot)


def _not_ticked(desk: _Desk) -> Mistake | None:
    desk.flags["done"] = False
    return desk.mistake("done not ticked")


def _problem(desk: _Desk) -> Mistake | None:
    desk.flags["problem"] = True
    return desk.mistake("problem ticked")


def _moved(desk: _Desk) -> Mistake | None:
    at = int(desk.rng.integers(len(desk.rectangles)))
    shape = desk.rectangles[at]
    way = desk.rng.uniform(2, 20, 2) * desk.rng.choice((-1, 1), 2)
    desk.rectangles[at] = replace(shape, points=shape.points + way)
    return desk.mistake("rectangle moved", shape.label)


def _saved_over(desk: _Desk) -> Mistake | None:
    """LabelMe saved what was drawn on the image before to this image's file."""
    if desk.before is None:
        return None
    before = desk.before
    desk.file, desk.rectangles, desk.shapes = before.file, before.rectangles, before.shapes
    return desk.mistake("saved over by another image", other=(before.scene.scene, ""))


def _cut_off(desk: _Desk) -> Mistake | None:
    desk.text = lambda text: text[: len(text) * 2 // 3]
    return desk.mistake("file cut off")


_MAKERS: dict[str, Callable[[_Desk], Mistake | None]] = dict(
    zip(
        RATES,
        (
            *(_missed, _swapped, _crossing, _box, _rectangle, _two_points, _cut, _occluder, _copied, _hole),
            *(_hole_in_group, _somebody_else, _needless_new, _needless_known, _ai, _not_ticked, _problem),
            *(_moved, _saved_over, _cut_off),
        ),
        strict=True,
    )
)


def _person(desk: _Desk) -> tuple[str, int]:
    """A slot that is drawn, and its person."""
    slot = desk.any_slot()
    return slot, next(one.person for one in desk.scene.slots if one.name == slot)


def _largest(desk: _Desk) -> tuple[str, LabelMeShape]:
    slot = desk.any_slot()
    shapes = [one for one in desk.shapes if one.label == slot and not one.flags.get("hole")]
    return slot, max(shapes, key=lambda one: shapely.Polygon(one.points).area)


def _index(desk: _Desk, shape: LabelMeShape) -> int:
    return next(index for index, one in enumerate(desk.shapes) if one is shape)


def _jittered_box(desk: _Desk) -> tuple[str, np.ndarray]:
    slot = desk.any_slot()
    corners = next(one for one in desk.scene.slots if one.name == slot).corners(desk.scene.size)
    return slot, np.clip(corners + desk.rng.normal(0, 1, (2, 2)), 0, desk.scene.size).ravel()


def _needless(desk: _Desk, label: str) -> list[LabelMeShape]:
    """A person of the scene who needs no outline, drawn well under a label; nothing if all need one."""
    needed = {slot.person for slot in desk.scene.slots}
    others = sorted(desk.truth.keys() - needed)
    return desk.drawn(int(desk.rng.choice(others)), label) if others else []


def _areas(geometry: Any) -> Any:
    return outline_from_shapely(geometry).to_shapely()
