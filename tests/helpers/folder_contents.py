"""What a folder holds, to compare it with another one or with itself later."""

from __future__ import annotations

from pathlib import Path


def contents_of(folder: Path) -> dict[str, bytes]:
    """The bytes of every file below a folder that exists, by path in it, in the order of the paths."""
    assert folder.is_dir(), folder
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
