"""Where the files of CUHK-SYSU lie, and the name of the one variable in each."""

from __future__ import annotations

import re
from pathlib import Path

from maskps.errors import InputFileError
from maskps.evaluation.protocol import SUBSET_KEYS

IMAGE_DIR = Path("Image/SSM")
IMAGES_FILE = Path("annotation/Images.mat")
POOL_FILE = Path("annotation/pool.mat")
PERSON_FILE = Path("annotation/Person.mat")
TRAIN_FILE = Path("annotation/test/train_test/Train.mat")
GALLERY_DIR = Path("annotation/test/train_test")
SUBSET_DIR = Path("annotation/test/subset")


def protocol_file(name: str) -> Path:
    """Returns where the protocol "TestG100", "Occlusion" or "Resolution" lies below the root."""
    return (SUBSET_DIR if name in SUBSET_KEYS else GALLERY_DIR) / f"{name}.mat"


def available_protocols(root: Path) -> tuple[str, ...]:
    """Returns the names of the protocols below this root: TestG by size, then the subsets."""
    found = [re.fullmatch(r"TestG(\d+)\.mat", path.name) for path in (root / GALLERY_DIR).glob("TestG*.mat")]
    sizes = sorted(int(match.group(1)) for match in found if match)
    subsets = [name for name in SUBSET_KEYS if (root / protocol_file(name)).is_file()]
    return (*(f"TestG{size}" for size in sizes), *subsets)


def protocol_path(root: Path, *, gallery_size: int = 100, subset: str | None = None) -> Path:
    """Returns the file of a test protocol.

    Args:
        root: of the data set, the folder that holds `annotation/`.
        gallery_size: of TestG50 ... TestG4000; the paper's tables use 100.
        subset: "occlusion" or "resolution" instead: the test subsets of Table 3, gallery size 100.

    Raises:
        InputFileError: there is no such file; the message lists those that are there.
    """
    name = f"TestG{gallery_size}" if subset is None else subset.capitalize()
    path = root / protocol_file(name)
    if path.is_file() and (subset is None or name in SUBSET_KEYS):
        return path
    available = ", ".join(available_protocols(root)) or "none"
    raise InputFileError(
        path,
        expected=f"the test protocol {name}",
        found=f"no such file; protocols here: {available}",
        hint="choose one of those, or copy the annotation files again",
    )
