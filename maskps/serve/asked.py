"""What a search asks for: JSON of the page, checked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from maskps.errors import ConfigError, shown_value
from maskps.gallery import Where
from maskps.serve.guard import RefusedError
from maskps.serve.pictures import Box

MOST_HITS = 500
MOST_EXAMPLES = 50


@dataclass(frozen=True)
class Example:
    """One example of the person of the query.

    Attributes:
        picture: name of a picture that was dropped on the page; "" for a person of the gallery.
        person: number of a person of the gallery; None for a picture.
        box: xyxy in the picture, or in the scene of `person`; None asks for `person` as it is kept.
    """

    picture: str = ""
    person: int | None = None
    box: Box | None = None


@dataclass(frozen=True)
class Asked:
    """A search; the fields are those of `Gallery.search_vectors`."""

    examples: tuple[Example, ...]
    top: int
    where: Where
    per_source: int | None
    min_similarity: float


def read_asked(content: bytes) -> Asked:
    """Returns the search that a request asks for.

    Raises:
        RefusedError: 400, with the field that is wrong.
    """
    try:
        asked = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _wrong("the search", "JSON", str(error)[:60]) from error
    fields = ("examples", "cameras", "from", "to", "min_similarity", "per_source", "top")
    if not isinstance(asked, dict) or not asked.keys() <= set(fields):
        raise _wrong("the search", f"an object with {', '.join(fields)}", shown_value(asked))
    examples = asked.get("examples")
    if not isinstance(examples, list) or not 1 <= len(examples) <= MOST_EXAMPLES:
        raise _wrong("examples", f"1 to {MOST_EXAMPLES} examples", shown_value(examples))
    cameras = asked.get("cameras")
    if cameras is not None and not (
        isinstance(cameras, list) and all(isinstance(one, str) for one in cameras)
    ):
        raise _wrong("cameras", "names", shown_value(cameras))
    try:
        where = Where(
            cameras=None if cameras is None else tuple(cameras),
            start=_time("from", asked.get("from")),
            end=_time("to", asked.get("to")),
        )
    except ConfigError as error:
        raise RefusedError(
            HTTPStatus.BAD_REQUEST, "to", expected="a time after from", found=asked["to"], hint=error.hint
        ) from error
    return Asked(
        tuple(_example(one) for one in examples),
        _whole("top", asked.get("top", 50), MOST_HITS),
        where,
        None if asked.get("per_source") is None else _whole("per_source", asked["per_source"], MOST_HITS),
        _number("min_similarity", asked.get("min_similarity", -1)),
    )


def person_number(text: object) -> int:
    """Returns the number of a person. It is text in JSON: numbers of Milvus exceed those of JavaScript.

    Raises:
        RefusedError: 404, not a number.
    """
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 20 and int(text) < 2**63:
        return int(text)
    raise RefusedError(HTTPStatus.NOT_FOUND, "person", expected="a number", found=shown_value(text))


def _example(example: object) -> Example:
    if isinstance(example, Mapping):
        box = _box(example["box"]) if "box" in example else None
        if example.keys() == {"picture", "box"} and isinstance(example["picture"], str):
            return Example(picture=example["picture"], box=box)
        if example.keys() - {"box"} == {"person"}:
            return Example(person=person_number(example["person"]), box=box)
    expected = "a picture and a box, or a person, or a person and a box in the scene"
    raise _wrong("examples", expected, shown_value(example))


def _box(box: object) -> Box:
    if not isinstance(box, list) or len(box) != 4:
        raise _wrong("box", "x0, y0, x1, y1", shown_value(box))
    x0, y0, x1, y1 = (_number("box", value) for value in box)
    return x0, y0, x1, y1


def _number(where: str, value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and abs(value) < 1e9 and math.isfinite(value)):
        raise _wrong(where, "a number", shown_value(value))
    return float(value)


def _whole(where: str, value: Any, most: int) -> int:
    if not (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most):
        raise _wrong(where, f"a whole number from 1 to {most}", shown_value(value))
    return value


def _time(where: str, value: object) -> float | None:
    """Returns a time as Unix seconds; without a zone it is that of this machine."""
    if value is None:
        return None
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise _wrong(where, "a time such as 2024-05-01T18:30", shown_value(value)) from error


def _wrong(where: str, expected: str, found: str) -> RefusedError:
    return RefusedError(HTTPStatus.BAD_REQUEST, where, expected=expected, found=found)
