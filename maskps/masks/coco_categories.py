"""Which annotations of a COCO file are persons: the one rule for the data set reader and for masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from maskps.errors import AnnotationError, shown_value

Key = int | str
Kind = Literal["person", "other", "undeclared"]

PERSON = "person"
"""Name of the category of persons; case and surrounding spaces do not matter."""


@dataclass(frozen=True)
class Categories:
    """The categories of a COCO file.

    Attributes:
        declared: ids of all categories, None if the file lists none: then every annotation is a person.
        persons: ids of the categories of persons.
        odd_name: name of the only category if it is not "person", for a warning.
    """

    declared: frozenset[Key] | None = None
    persons: frozenset[Key] = frozenset()
    odd_name: str | None = None

    def kind_of(self, category_id: Any) -> Kind:
        """Returns what an annotation with this `category_id` shows; None stands for a missing key.

        An annotation without `category_id` is of the only category, if there is only one.
        """
        if self.declared is None:
            return "person"
        if category_id is None and len(self.declared) == 1:
            return "person"
        key = _key(category_id)
        if key in self.persons:
            return "person"
        return "other" if key in self.declared else "undeclared"


def read_categories(path: Path, categories: Any) -> Categories:
    """Returns the categories of a COCO file.

    The category of persons is the one named "person"; a single category may have any name. Ids are compared
    as numbers where they are numbers: 1, 1.0 and "1" are the same.

    Args:
        path: the file, for the message.
        categories: the value of its key "categories", None if it has no such key.

    Raises:
        AnnotationError: several categories and none of them named "person"; an id that a category of persons
            shares with another one; not a list of objects with an id.
    """
    if categories is None or categories == []:
        return Categories()
    where = f"{path}, categories"
    listed = categories if isinstance(categories, list) else []
    entries = [entry for entry in listed if isinstance(entry, dict)]
    names = [entry.get("name") for entry in entries]
    is_person = [isinstance(name, str) and name.strip().casefold() == PERSON for name in names]
    if len(names) > 1 and not any(is_person):
        raise AnnotationError(
            where,
            expected=f"one category, or one that is named '{PERSON}'",
            found=f"the categories {shown_value(names)}",
            hint=f"name the category of the persons '{PERSON}'",
        )
    keys = [key for entry in entries if (key := _key(entry.get("id"))) is not None]
    if not keys or len(keys) != len(listed):
        raise AnnotationError(
            where,
            expected="a list of objects with an id (a whole number or a text) and a name",
            found=shown_value(categories),
            hint="give every category its id, or leave out 'categories' if all annotations are persons",
        )
    if len(names) == 1 and not is_person[0]:
        return Categories(frozenset(keys), frozenset(keys), shown_value(names[0]))
    persons = frozenset(key for key, person in zip(keys, is_person, strict=True) if person)
    others = frozenset(key for key, person in zip(keys, is_person, strict=True) if not person)
    if shared := sorted(map(str, persons & others)):
        raise AnnotationError(
            where,
            expected="an id of its own for every category",
            found=f"id {shared[0]} for '{PERSON}' and for another category",
            hint="number the categories anew, and set the category_id of the annotations to match",
        )
    return Categories(persons | others, persons)


def _key(value: Any) -> Key | None:
    """Returns an id in the form in which ids are compared, None if it is not an id."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        text = value.strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else text or None
    return value if type(value) is int else None
