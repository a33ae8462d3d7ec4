"""CUHK-SYSU as a row of the table of formats.

The format holds no cameras and no image sizes, and test identities only of persons whom a TestG protocol
names. Training scenes are sorted by name. Protocols are TestG<gallery size>, Occlusion and Resolution.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from maskps.datasets.cuhk_sysu import layout
from maskps.datasets.cuhk_sysu.checks import check_cuhk_sysu
from maskps.datasets.cuhk_sysu.reader import read_cuhk_sysu
from maskps.datasets.cuhk_sysu.writer import write_cuhk_sysu
from maskps.datasets.dataset_format import DatasetFormat, Published, Written
from maskps.errors import AnnotationError
from maskps.protocols.protocol import SUBSET_KEYS, SearchProtocol, read_protocol
from maskps.structures import PersonSearchDataset
from maskps_manifest import cuhk_sysu as published


def _files(root: Path) -> list[Path]:
    # The reader takes the test identities from the protocol with the smallest galleries.
    galleries = [name for name in layout.available_protocols(root) if name.startswith("TestG")]
    smallest = [layout.protocol_file(name) for name in galleries[:1]]
    return [root / file for file in (layout.IMAGES_FILE, layout.POOL_FILE, layout.TRAIN_FILE, *smallest)]


def _protocol_file(root: Path, name: str) -> Path:
    return root / layout.protocol_file(name)


def _write(root: Path, dataset: PersonSearchDataset, protocols: Mapping[str, SearchProtocol]) -> Written:
    names: dict[str, str] = {}
    for name, protocol in protocols.items():
        is_known = name in SUBSET_KEYS or re.fullmatch(r"TestG[1-9]\d*", name)
        names[name] = name if is_known else f"TestG{protocol.gallery_size}"
    doubled = {new for new in names.values() if list(names.values()).count(new) > 1}
    names = {old: new for old, new in names.items() if old == new or new not in doubled}
    if not any(name.startswith("TestG") for name in names.values()):
        raise AnnotationError(
            dataset.root,
            expected="a test protocol: CUHK-SYSU's test identities are those of its queries",
            found=f"protocols: {', '.join(protocols) or 'none'}",
            hint="add protocols to the data set (docs/coco.md), or convert it to coco",
        )
    write_cuhk_sysu(
        root,
        train=dataset.train,
        test=dataset.test,
        train_ids=dataset.train_ids,
        test_ids=dataset.test_ids,
        protocols={new: protocols[old] for old, new in names.items()},
    )
    return Written(names)


CUHK_SYSU = DatasetFormat(
    kind="cuhk-sysu",
    name="CUHK-SYSU",
    main_file=layout.IMAGES_FILE,
    image_dir=layout.IMAGE_DIR,
    is_there=lambda root: (root / layout.IMAGES_FILE).is_file(),
    is_part=lambda path: any((path / folder).is_dir() for folder in ("annotation", layout.IMAGE_DIR)),
    files=_files,
    read=read_cuhk_sysu,
    check=check_cuhk_sysu,
    write=_write,
    protocol_names=layout.available_protocols,
    read_protocol=lambda dataset, name: read_protocol(_protocol_file(dataset.root, name)),
    protocol_file=_protocol_file,
    published=Published(
        "CUHK-SYSU",
        published.TRAIN,
        published.TEST,
        published.TRAIN_IDENTITIES,
        published.QUERIES,  # every query is an identity of its own
        published.published_names,
        published.TERMS,
    ),
)
