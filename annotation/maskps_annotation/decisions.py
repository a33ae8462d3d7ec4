"""What a reviewer decided about each outline: the file that the review page saves.

    {"format": "maskps-review", "version": 1, "fingerprint": of the data set, "subset": name of its folder,
     "reviewer": name, "decisions": [{"scene", "person", "decision", "comment", "outline"}, ...]}

Each decision names its outline by a key. If the person is drawn anew, the key differs and the decision no
longer holds.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from maskps.errors import InputFileError, shown_value
from maskps.io.files import json_field, read_record
from maskps.masks.outlines import Outline

FORMAT = "maskps-review"
VERSION = 1

Verdict = Literal["accept", "reject", ""]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

_EDITED = "the file was edited or cut off; save the decisions again on the review page"
_field = partial(json_field, hint=_EDITED)


@dataclass(frozen=True)
class Decision:
    """What was decided about one person.

    Attributes:
        scene: its name in the data set.
        person: index of the person's box within the scene.
        decision: "accept", "reject", or "" for a comment alone.
        comment: the reason, or a remark; may be empty.
        outline: `outline_key` of the outline that the reviewer saw.
    """

    scene: str
    person: int
    decision: Verdict
    comment: str
    outline: str


@dataclass(frozen=True)
class Decisions:
    """The decisions of one reviewer.

    Attributes:
        fingerprint: of the data set.
        reviewer: name; may be empty.
        decisions: in the order of the file, each person once.
    """

    fingerprint: str
    reviewer: str
    decisions: tuple[Decision, ...]


def outline_key(outline: Outline | None) -> str:
    """Returns 16 hex digits that change with every point of an outline; "" for None or an empty outline."""
    if outline is None or outline.is_empty:
        return ""
    digest = hashlib.sha256()
    for ring in outline.rings:
        digest.update(np.int64(len(ring)).astype("<i8").tobytes())
        digest.update(np.asarray(ring, dtype="<f8").tobytes())
    return digest.hexdigest()[:16]


def read_decisions(path: Path) -> Decisions:
    """Returns the decisions that the review page saved.

    Raises:
        InputFileError: missing, cut off, edited, of another kind or version.
    """
    content = read_record(
        path,
        format=FORMAT,
        version=VERSION,
        what="the decisions of a review",
        hint="give the file that the review page saved, NAME.review.json",
    )
    decisions = [
        _read_decision(entry, path, f"decision {index}")
        for index, entry in enumerate(_field(content, "decisions", list, path))
    ]
    seen: set[tuple[str, int]] = set()
    for index, decision in enumerate(decisions):
        person = (decision.scene, decision.person)
        if person in seen:
            raise _refused(path, f"decision {index}: every person once", f"{person[0]} box {person[1]} again")
        seen.add(person)
    fingerprint = _text(content, "fingerprint", path)
    return Decisions(fingerprint, _text(content, "reviewer", path), tuple(decisions))


def _read_decision(entry: Any, path: Path, where: str) -> Decision:
    if not isinstance(entry, dict):
        raise _refused(path, f"{where} as an object", entry)
    person, verdict = _field(entry, "person", int, path), _field(entry, "decision", str, path)
    outline = _field(entry, "outline", str, path)
    if person < 0:
        raise _refused(path, f"{where}: 'person' of 0 or above", person)
    if verdict not in VERDICTS:
        raise _refused(path, f"{where}: 'accept', 'reject' or ''", verdict)
    if not re.fullmatch("([0-9a-f]{16})?", outline):
        raise _refused(path, f"{where}: 'outline' of 16 digits, or empty", outline)
    return Decision(_text(entry, "scene", path), person, verdict, _text(entry, "comment", path), outline)


def _text(content: dict[str, Any], key: str, path: Path) -> str:
    """Returns a text that can be written as UTF-8: browsers may save half a surrogate pair."""
    return str(_field(content, key, str, path)).encode("utf-8", "replace").decode("utf-8")


def _refused(path: Path, expected: str, value: object) -> InputFileError:
    return InputFileError(path, expected=expected, found=shown_value(value), hint=_EDITED)
