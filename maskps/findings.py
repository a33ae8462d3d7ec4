"""What a check of many files reports: every finding, instead of an error for the first one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from maskps.errors import AnnotationError, MaskpsError

Level = Literal["error", "warning", "info"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""The worst first."""


@dataclass(frozen=True)
class Finding:
    """One thing that a check noticed.

    Attributes:
        code: a short name that stays the same from version to version, e.g. "box-outside-image".
        level: "error": the result would be wrong; "warning": worth a look; "info": a remark.
        where: the place to look at first: file, shape, person.
        found: what is wrong or odd.
        expected: what should be there, if that is not obvious.
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
        """Returns an error of the same text as a finding of level "error"."""
        return cls(code, "error", error.where, error.found, error.expected, error.hint)

    def __str__(self) -> str:
        text = f"{self.level}: {self.where}: {self.found}"
        if self.expected:
            text += f" (expected {self.expected})"
        return f"{text}; {self.hint}" if self.hint else text

    def to_dict(self) -> dict[str, str]:
        """Returns all fields by name."""
        return asdict(self)


@dataclass(frozen=True)
class Rule:
    """A rule of a check: what all findings of one code have in common.

    Attributes:
        code, level, expected, hint: as in `Finding`.
    """

    code: str
    level: Level
    expected: str = ""
    hint: str = ""

    def broken(self, where: str | Path, found: str, *, expected: str = "") -> Finding:
        """Returns the finding that something breaks this rule.

        Args:
            expected: in place of the rule's own text.
        """
        return Finding(self.code, self.level, str(where), found, expected or self.expected, self.hint)


def count_by_level(findings: Sequence[Finding]) -> dict[str, int]:
    """Returns the number of findings of each level: "errors", "warnings" and "infos"."""
    return {f"{level}s": sum(finding.level == level for finding in findings) for level in LEVELS}


def raise_on_errors(findings: Sequence[Finding]) -> None:
    """Raises an AnnotationError with the first finding of level "error" and the number of such findings.

    Without errors it does nothing; warnings never raise.
    """
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        first = errors[0]
        more = f" (and {len(errors) - 1} more errors)" if len(errors) > 1 else ""
        raise AnnotationError(first.where, expected=first.expected, found=first.found + more, hint=first.hint)
