"""What a bulk check reports: every finding of every file, instead of stopping at the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from maskps.errors import AnnotationError


@dataclass(frozen=True)
class Finding:
    """One thing that a check noticed.

    Attributes:
        level: "error": the result would be wrong; "warning": worth a look; "info": only told.
        where: file, shape, person: the place a person would look at first.
        message: what is the matter, and what to do about it.
    """

    level: Literal["error", "warning", "info"]
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.level}: {self.where}: {self.message}"


def raise_on_errors(findings: Sequence[Finding], *, hint: str = "") -> None:
    """Raises an AnnotationError with the first finding of level "error" and the number of all of them.

    Does nothing when there is none; warnings never raise.
    """
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more errors)" if len(errors) > 1 else ""
        raise AnnotationError(errors[0].where, found=errors[0].message + more, hint=hint)
