"""Every error that a user can cause, as one tree.

    MaskpsError
    |-- InputFileError       a file is missing, cut off, or not what its name promises
    |-- AnnotationError      a file can be read but says something impossible (box, pid, polygon)
    |-- ConfigError          an unknown key, a value out of range, options that contradict each other
    |-- OutputError          a result cannot be written: no space, no permission, a file in the way
    |-- OutputExistsError    a result would overwrite something of the user's
    `-- TrainingError        a non-finite loss, an interrupted or mismatching run

A message has four parts: where, what was expected, what was found, what to try.
"""

from __future__ import annotations

from pathlib import Path

_NEW_LINE = "\n    "


class MaskpsError(Exception):
    """Base of all errors that a user can cause.

    Args:
        where: the place to look at first: file, image, shape index, option.
        expected: what should be there.
        found: what is there; "\\n    " in it begins a new, indented line.
        hint: what to try next.
    """

    def __init__(self, where: str | Path, *, expected: str = "", found: str = "", hint: str = "") -> None:
        self.where = str(where)
        self.expected = expected
        self.found = found
        self.hint = hint
        super().__init__(self.where, expected, found, hint)

    def __str__(self) -> str:
        parts = [printable(self.where)]
        if self.expected:
            parts.append(f"  expected: {printable(self.expected)}")
        if self.found:
            lines = map(printable, self.found.split(_NEW_LINE))  # other line breaks may come from a file
            parts.append(f"  found:    {_NEW_LINE.join(lines)}")
        if self.hint:
            parts.append(f"  try:      {printable(self.hint)}")
        return "\n".join(parts)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments: the default pickling of exceptions (worker processes) would lose them.
        return _rebuild, (type(self), self.where, self.expected, self.found, self.hint)


def printable(text: str, *, keep: str = "") -> str:
    """Returns a text for a terminal, in which no character from a file acts on it or is invisible.

    Control characters, marks of direction, unusual spaces, and halves of characters become escapes such as
    "\\x1b" or "\\u202e".

    Args:
        keep: characters that stay as they are, e.g. line breaks.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one in keep else one.encode("unicode_escape").decode() for one in text
    )


def shown_value(value: object) -> str:
    """Returns a value from a file for a message: at most 60 characters, however large, deep or odd it is."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # ValueError: a number of 5,000 digits
        text = type(value).__name__
    return text if len(text) <= 60 else text[:57] + "..."


def number_of(count: int, one: str) -> str:
    """Returns e.g. "1 photo" or "1,200 photos", for a noun whose plural has an s."""
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def _rebuild(cls: type[MaskpsError], where: str, expected: str, found: str, hint: str) -> MaskpsError:
    return cls(where, expected=expected, found=found, hint=hint)


class InputFileError(MaskpsError):
    """A file is missing, unreadable, cut off, or of another kind than expected."""


class AnnotationError(MaskpsError):
    """The content of an annotation contradicts the data set's rules."""


class ConfigError(MaskpsError):
    """A setting is unknown, out of range, or contradicts another."""


class OutputError(MaskpsError):
    """A result cannot be written to its place."""


class OutputExistsError(MaskpsError):
    """An output exists already and `--force` was not given."""


class TrainingError(MaskpsError):
    """Training cannot continue, or a run cannot be resumed."""
