"""PRW as a row of the table of formats.

The format holds one protocol, whose galleries are all test scenes. Identities are whole numbers and images
are .jpg files. It holds no hard marks and no image sizes; cameras only if the image names state them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from maskps.datasets.dataset_format import Checked, DatasetFormat, Published, Written
from maskps.datasets.prw import files
from maskps.datasets.prw.checks import check_prw
from maskps.datasets.prw.reader import is_prw, read_prw, read_prw_protocol
from maskps.datasets.prw.writer import write_prw
from maskps.protocols.protocol import SearchProtocol
from maskps.protocols.sets import WHOLE_TEST_SET
from maskps.structures import PersonSearchDataset
from maskps_manifest import prw as published

_NO_QUERIES = "the source has no queries: query_info.txt is not written; docs/prw.md shows a line of it"


def _files(root: Path) -> list[Path]:
    annotations = sorted((root / files.ANNOTATION_DIR).glob("*.mat"))
    return [root / files.TRAIN_FILE, root / files.TEST_FILE, *annotations]


def _write(root: Path, dataset: PersonSearchDataset, protocols: Mapping[str, SearchProtocol]) -> Written:
    name = WHOLE_TEST_SET if WHOLE_TEST_SET in protocols else next(iter(protocols), None)
    if name is None or protocols[name].num_queries == 0:
        write_prw(root, dataset, None)
        return Written({}, (_NO_QUERIES,))
    write_prw(root, dataset, protocols[name])
    return Written({name: WHOLE_TEST_SET})


PRW = DatasetFormat(
    kind="prw",
    name="PRW",
    main_file=files.TRAIN_FILE,
    image_dir=files.IMAGE_DIR,
    is_there=is_prw,
    is_part=lambda path: (path / files.QUERY_FILE).exists() or (path / files.IMAGE_DIR).exists(),
    files=_files,
    read=read_prw,
    check=lambda root: Checked(check_prw(root)),
    write=_write,
    protocol_names=lambda root: (WHOLE_TEST_SET,) if (root / files.QUERY_FILE).is_file() else (),
    read_protocol=lambda dataset, name: read_prw_protocol(dataset),
    published=Published(
        "PRW", published.TRAIN, published.TEST, published.TRAIN_IDENTITIES, terms=published.TERMS
    ),
)
