"""collected.json: whose drawing each outline of a subset is, which others exist, and how one is chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from maskps.errors import InputFileError
from maskps.io.files import read_record
from maskps.structures import SceneTable
from maskps_annotation.touches import Touches

COLLECTED_NAME = "collected.json"
FORMAT = "maskps-collected"
VERSION = 1
SUBSET_OWNER = "subset"
"""In the store, the owner of a masks.json that a collection changed."""

_EDITED = "do not edit it; without it, collect starts a new one"


@dataclass(frozen=True)
class Drawing:
    """Where an outline comes from.

    Attributes:
        annotator, file: who drew it and where; `SUBSET_OWNER` and masks.json if the subset had it before.
        sha256: of the file; the store has it under this name.
        packs: checksum of the distribution (packs.json) it belongs to.
        outline: its `outline_key`; "" in records written before the key was kept.
        proposal: what the annotator changed in a proposed outline; None if the drawing did not begin as one.
    """

    annotator: str
    file: str
    sha256: str
    packs: str
    outline: str = ""
    proposal: Touches | None = None

    @property
    def owner(self) -> tuple[str, str]:
        """Distribution and annotator: one person has one drawing per owner."""
        return self.packs, self.annotator

    def shows_the_same(self, other: Drawing) -> bool:
        """Whether two drawings are the same outline, whatever else changed in the file.

        The one that was drawn later has a key.
        """
        return self.sha256 == other.sha256 or self.outline == other.outline


@dataclass(frozen=True)
class CollectedPerson:
    """One entry of collected.json: the drawing in use, and the latest of each other owner."""

    used: Drawing
    others: tuple[Drawing, ...] = ()

    def may_be_replaced_by(self, drawing: Drawing) -> bool:
        """Whether a drawing may take the place of the one in use.

        If a later distribution replaced the drawing, only a change by its annotator brings it back.
        """
        if drawing.packs == self.used.packs or all(drawing.packs != other.packs for other in self.others):
            return True
        earlier = [other for other in self.others if other.owner == drawing.owner]
        return bool(earlier) and not drawing.shows_the_same(earlier[0])


def choose_drawing(
    drawings: Sequence[Drawing], known: CollectedPerson | None, *, has_outline: bool = True
) -> CollectedPerson | None:
    """Returns which drawing of a person is used, None if nothing changes.

    The first annotator in pack order, unless
    - another annotator's drawing of the same distribution is in use: it stays, also while that annotator
      hands in nothing that passes; a new version by that annotator replaces it;
    - the drawing was replaced by one of a later distribution and has not changed since.

    Args:
        drawings: those that pass the checks, all of one distribution, in pack order; at least one.
        known: what is in use so far; None if the person has no outline.
        has_outline: the subset has the outline of `known.used`; if not, that drawing cannot stay.
    """
    if known is None:
        return CollectedPerson(drawings[0], _by_owner(drawings[1:]))
    candidates = [drawing for drawing in drawings if known.may_be_replaced_by(drawing)]
    if not candidates:
        return None
    own = [drawing for drawing in candidates if drawing.owner == known.used.owner]
    if own:
        used = own[0]
    elif has_outline and known.used.packs == candidates[0].packs:
        used = known.used
    else:
        used = candidates[0]
    earlier = (*known.others, known.used)
    if known.used.annotator == SUBSET_OWNER and known.used.shows_the_same(used):
        earlier = known.others
    return CollectedPerson(used, _by_owner((*earlier, *drawings), without=used))


def _by_owner(drawings: Sequence[Drawing], *, without: Drawing | None = None) -> tuple[Drawing, ...]:
    """Returns the last drawing of each owner, sorted by owner."""
    latest = {drawing.owner: drawing for drawing in drawings}
    if without is not None:
        latest.pop(without.owner, None)
    return tuple(latest[owner] for owner in sorted(latest))


def write_collected(path: Path, record: Mapping[int, CollectedPerson], train: SceneTable) -> None:
    """Writes the entries, one per line.

    Args:
        record: person row of the training table -> entry.
    """
    scene_of_person = train.scene_of_person
    persons = []
    for row, person in sorted(record.items()):
        scene = int(scene_of_person[row])
        place = {"row": row, "scene": str(train.names[scene]), "box_index": row - int(train.offsets[scene])}
        content = {"used": _content(person.used), "others": [_content(other) for other in person.others]}
        persons.append(json.dumps(place | content, ensure_ascii=False))
    head = f'{{"format": "{FORMAT}", "version": {VERSION}, "persons": [\n'
    path.write_text(head + ",\n".join(persons) + "\n]}\n", encoding="utf-8")


def read_collected(path: Path) -> dict[int, CollectedPerson]:
    """Returns the entries of collected.json by person row of the training table; {} if there is no such file.

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
                _drawing(person["used"]), tuple(_drawing(other) for other in person["others"])
            )
            for person in content["persons"]
        }
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputFileError(path, expected=what, found=repr(error)[:90], hint=_EDITED) from error


def _content(drawing: Drawing) -> dict[str, Any]:
    """Returns the attributes by name; "proposal" only if there was one."""
    return {name: value for name, value in asdict(drawing).items() if value is not None}


def _drawing(content: dict[str, Any]) -> Drawing:
    if "proposal" in content:
        content = content | {"proposal": Touches(**content["proposal"])}
    return Drawing(**content)
