"""What a text or number for a person's identity means: the same person, another one, or nobody."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_WHOLE = re.compile(r"(-?[0-9]{1,40})\.0*", re.ASCII)
_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")
_NOBODY = re.compile(
    r"(p|id|pid)?-[0-9]+|un-?label+ed|un-?known|un-?defined|un-?identified|none|null|nil|nan|nat|n/?a|<na>"
    r"|no-?id|no-?identity|nobody|background|\?+|-+|4294967295|18446744073709551615|"
)
"""Marks of persons without identity, without case and spaces. The numbers are -1 as unsigned integers."""


def plain_identity(text: str) -> str:
    """Returns an identity as it is compared: "5.0", which tables make of a column with gaps, is "5"."""
    whole = _WHOLE.fullmatch(text.strip())
    return str(int(whole.group(1))) if whole else text


def means_nobody(text: str) -> bool:
    """Whether a text marks persons without an identity: "", "-1", "None", "nan", "unknown", ..."""
    plain = re.sub(r"[\s_]+", "-", plain_identity(text).strip().casefold())
    return _NOBODY.fullmatch(plain) is not None


def similar_identities(ids: Iterable[str]) -> list[list[str]]:
    """Returns the groups of identities that differ only in case, spaces or leading zeros: p07, P7, "p7 "."""
    groups: dict[str, list[str]] = {}
    for identity in sorted(set(ids)):
        folded = unicodedata.normalize("NFKC", identity).casefold()
        groups.setdefault(_ZEROS.sub("", "".join(folded.split())), []).append(identity)
    return [group for group in groups.values() if len(group) > 1]
