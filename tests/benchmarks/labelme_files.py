"""What becomes of LabelMe files of all ages: read or refused, what was put right, which shapes are outlines.

    python tests/benchmarks/labelme_files.py [FOLDER ...]

FOLDERs hold LabelMe files (../shared/data/labelme_history and ../shared/data/labelme by default). Prints a
table in Markdown, which docs/labelme.md holds; writes nothing. The exit code is 1 if a file is refused.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from maskps.errors import AnnotationError, MaskpsError
from maskps.masks import LabelMeFile, read_labelme
from maskps.masks.labelme_file import read_content
from maskps_annotation.shape_geometry import geometry_of_shape

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
FOLDERS = (DATA / "labelme_history", DATA / "labelme")
MISSING = {"version": "version", "flags": "flags", "imageWidth": "size"}
"""Keys that old files do not have, and how the table calls them."""


def row_of(path: Path) -> tuple[list[str], bool]:
    """Returns what becomes of one file, as the cells of a row, and whether it is read."""
    try:
        file = read_labelme(path)
    except MaskpsError as error:
        return [f"refused: expected {error.expected}, found {error.found}", *[""] * 4], False
    content = read_content(path)
    kinds = Counter(shape.shape_type for shape in file.shapes)
    notes = Counter(note.partition(": ")[2] for note in file.notes)
    cells = [
        str(content.get("version", "-")),
        ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items())) or "none",
        ", ".join(called for key, called in MISSING.items() if key not in content) or "-",
        ", ".join(f"{text} ({number})" for text, number in notes.items()) or "-",
        outlines_of(file),
    ]
    return cells, True


def outlines_of(file: LabelMeFile) -> str:
    """Returns how many shapes can be outlines, and why others cannot."""
    usable, reasons = 0, Counter[str]()
    for shape in file.shapes:
        try:
            if geometry_of_shape(shape, "") is not None:
                usable += 1
            else:
                reasons[f"{shape.shape_type}: no outline"] += 1
        except AnnotationError as error:
            reasons[error.found] += 1
    words = "; ".join(text if number == 1 else f"{number} {text}" for text, number in sorted(reasons.items()))
    return f"{usable} of {len(file.shapes)}" + (f" ({words})" if words else "")


def main() -> int:
    folders = [Path(name) for name in sys.argv[1:]] or list(FOLDERS)
    paths = [(path, folder) for folder in folders for path in sorted(folder.rglob("*.json"))]
    if not paths:
        sys.exit(f"no LabelMe files in {', '.join(map(str, folders))}")
    print("| file | LabelMe | shapes | keys it has not | put right | can be outlines |")
    print("|---|---|---|---|---|---|")
    refused = 0
    for path, folder in paths:
        cells, is_read = row_of(path)
        refused += not is_read
        name = f"{folder.name}/{path.relative_to(folder).as_posix()}"
        print(f"| {' | '.join([name, *cells])} |")
    print(f"\n{len(paths)} files: {len(paths) - refused} read, {refused} refused")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
