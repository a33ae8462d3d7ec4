"""Names of files that stand in a data set's own files: they never lead out of its folder."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from maskps.errors import AnnotationError, InputFileError, shown_value

_LONGEST_PART = 255  # bytes; Linux, macOS and Windows allow no more
_LONGEST_NAME = 1000  # bytes; with the folder it stays below the 4,096 of a path
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:")


def name_problem(name: str) -> str | None:
    """Returns why a name cannot be that of a file below a folder; None if it can.

    Windows's rules count too, so that a data set means the same everywhere.
    """
    parts = re.split(r"[/\\]", name)
    if _CONTROL.search(name):
        return "a name with control characters"
    if _ABSOLUTE.match(name):
        return "an absolute path"
    if ".." in parts:
        return "a path that leaves the folder (..)"
    if parts[-1] in ("", "."):
        return "a name without a file"
    if max(len(part.encode()) for part in parts) > _LONGEST_PART or len(name.encode()) > _LONGEST_NAME:
        return f"a name that is too long: a file system allows {_LONGEST_PART} bytes"
    return None


def check_names(where: Path | str, names: Sequence[str]) -> None:
    """Raises AnnotationError for names that cannot be those of files below a folder.

    Args:
        where: the file that has these names, for the message.
    """
    bad = [(name, problem) for name in names if (problem := name_problem(name)) is not None]
    if bad:
        name, problem = bad[0]
        more = f", and {len(bad) - 1:,} more such names" if len(bad) > 1 else ""
        raise AnnotationError(
            where,
            expected="names of files below the folder of images",
            found=f"{shown_value(name)}, {problem}{more}",
            hint="correct the name; maskps reads no file outside a data set's folder",
        )


def path_inside(folder: Path, name: str, *, root: Path) -> Path:
    """Returns the path of a file below `folder`, whose name stands in a data set's file.

    Every file that such a name leads to is opened, linked and copied by this path. The folder may be a link.
    Below it, links are followed as long as they stay in it or in the data set's root.

    Raises:
        AnnotationError: a name that `check_names` refuses.
        InputFileError: a link that leaves both folders.
    """
    check_names(folder, [name])
    path = folder / name
    real = os.path.realpath(path)
    if not any(_is_below(real, os.path.realpath(above)) for above in (folder, root)):
        raise InputFileError(
            path,
            expected="a file in the data set's folder",
            found=f"a link to {real}",
            hint="put the file itself there (cp -L); links that leave the folder are not followed",
        )
    return path


def _is_below(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == folder
