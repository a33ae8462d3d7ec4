"""Where the files of CUHK-SYSU lie, and the name of the one variable in each."""

from __future__ import annotations

import re
from pathlib import Path

from maskps.protocols.protocol import SUBSET_KEYS

IMAGE_DIR = Path("Image/SSM")
IMAGES_FILE = Path("annotation/Images.mat")
POOL_FILE = Path("annotation/pool.mat")
PERSON_FILE = Path("annotation/Person.mat")
TRAIN_FILE = Path("annotation/test/train_test/Train.mat")
GALLERY_DIR = Path("annotation/test/train_test")
SUBSET_DIR = Path("annotation/test/subset")

SYNTHETIC_RECORD = "synth.json"
"""`maskps-data synth` writes it beside a data set of the same layout and, if asked to, of the same size."""


def protocol_file(name: str) -> Path:
    """Returns the file, below the root, of the protocol "TestG100", "Occlusion" or "Resolution"."""
    return (SUBSET_DIR if name in SUBSET_KEYS else GALLERY_DIR) / f"{name}.mat"


def available_protocols(root: Path) -> tuple[str, ...]:
    """Returns the names of the protocols below this root: TestG by size, then the subsets."""
    found = [re.fullmatch(r"TestG(\d+)\.mat", path.name) for path in (root / GALLERY_DIR).glob("TestG*.mat")]
    sizes = sorted(int(match.group(1)) for match in found if match)
    subsets = [name for name in SUBSET_KEYS if (root / protocol_file(name)).is_file()]
    return (*(f"TestG{size}" for size in sizes), *subsets)
