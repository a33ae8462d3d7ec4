"""COCO-style JSON as a row of the table of formats; it holds everything that the records hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from maskps.datasets.coco.checks import check_coco
from maskps.datasets.coco.reader import (
    FILES,
    IMAGE_DIR,
    coco_files,
    coco_protocol_names,
    is_coco,
    read_coco,
    read_coco_protocol,
    with_images,
)
from maskps.datasets.coco.writer import write_coco
from maskps.datasets.dataset_format import Checked, DatasetFormat, Written
from maskps.protocols.protocol import SearchProtocol
from maskps.structures import PersonSearchDataset


def _is_part(path: Path) -> bool:
    return any(path.glob("*.json")) if path.is_dir() else path.is_file() and path.suffix.lower() == ".json"


def _write(root: Path, dataset: PersonSearchDataset, protocols: Mapping[str, SearchProtocol]) -> Written:
    unknown = write_coco(root, dataset, protocols)
    images = len(dataset.train) + len(dataset.test)
    remark = f"{unknown:,} of {images:,} images cannot be read: the sizes in their place hold their boxes"
    return Written({name: name for name in protocols}, (remark,) if unknown else ())


COCO = DatasetFormat(
    kind="coco",
    name="COCO",
    main_file=Path(FILES[0][0]),
    image_dir=Path(IMAGE_DIR),
    is_there=is_coco,
    is_part=_is_part,
    files=coco_files,
    read=read_coco,
    check=lambda path: Checked(check_coco(path)),
    write=_write,
    protocol_names=coco_protocol_names,
    read_protocol=read_coco_protocol,
    find_images=with_images,
)
