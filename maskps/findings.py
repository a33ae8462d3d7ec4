"""What a bulk check reports: every finding of every file, instead of stopping at the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from maskps.errors import AnnotationError, MaskpsError

Level = Literal["error", "warning", "info"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""The worst first."""


@dataclass(frozen=True)
class Finding:
    """One thing that a check noticed.

    Attributes:
        code: what it is, in words that stay the same from version to version, e.g. "box-outside-image".
        level: "error": the result would be wrong; "warning": worth a look; "info": only told.
        where: file, shape, person: the place a person would look at first.
        found: what is the matter.
        expected: what should be there, where that does not go without saying.
        hint: what to do about it.
    """

    code: str
    level: Level
    where: str
    found: str
    expected: str = ""
    hint: str = ""

    @classmethod
    def of_error(cls, code: str, error: MaskpsError) -> Finding:
        """Returns the finding of level "error" that says what this error says."""
        return cls(code, "error", error.where, error.found, error.expected, error.hint)

    def __str__(self) -> str:
        text = f"{self.level}: {self.where}: {self.found}"
        if self.expected:
            text += f" (expected {self.expected})"
        return f"{text}; {self.hint}" if self.hint else text

    def to_dict(self) -> dict[str, str]:
        """Returns all fields by name."""
        return asdict(self)


def count_by_level(findings: Sequence[Finding]) -> dict[str, int]:
    """Returns how many there are of each level: "errors", "warnings" and "infos"."""
    return {f"{level}s": sum(finding.level == level for finding in findings) for level in LEVELS}


def raise_on_errors(findings: Sequence[Finding]) -> None:
    """Raises an AnnotationError with the first finding of level "error" and the number of all of them.

    Does nothing when there is none; warnings never raise.
    """
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        first = errors[0]
        more = f" (and {len(errors) - 1} more errors)" if len(errors) > 1 else ""
        raise AnnotationError(first.where, expected=first.expected, found=first.found + more, hint=first.hint)
