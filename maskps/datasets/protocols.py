"""The test protocols of a data set by name, whatever its format."""

from __future__ import annotations

from difflib import get_close_matches

from maskps.datasets.coco.reader import coco_protocol_names, read_coco_protocol
from maskps.datasets.cuhk_sysu.layout import available_protocols, protocol_file
from maskps.datasets.parsed import cached_protocol
from maskps.datasets.prw.reader import PRW_PROTOCOL, read_prw_protocol
from maskps.errors import ConfigError
from maskps.protocols.protocol import SearchProtocol, read_protocol
from maskps.structures import PersonSearchDataset


def protocol_names(dataset: PersonSearchDataset) -> tuple[str, ...]:
    """Returns the names of the data set's protocols.

    CUHK-SYSU: "TestG50" ... "TestG4000", "Occlusion", "Resolution", those whose files are there. PRW: "all".
    COCO: those of its protocols.npz, and "all" if PRW's query_info.txt lies beside the two files.

    Raises:
        InputFileError: a protocols.npz that cannot be read.
    """
    if dataset.kind == "cuhk-sysu":
        return available_protocols(dataset.root)
    return (PRW_PROTOCOL,) if dataset.kind == "prw" else coco_protocol_names(dataset.root)


def protocol_of_size(dataset: PersonSearchDataset, gallery_size: int | None = None) -> str:
    """Returns the name of the protocol with galleries of this size; without one, of the field's usual one.

    That is "all" where the data set has it (each gallery is all test scenes), else TestG100.
    """
    if gallery_size is None and PRW_PROTOCOL in protocol_names(dataset):
        return PRW_PROTOCOL
    return f"TestG{gallery_size or 100}"


def open_protocol(dataset: PersonSearchDataset, name: str) -> SearchProtocol:
    """Returns the protocol of this name, from the cache where that saves time.

    Raises:
        ConfigError: the data set has none of this name.
        InputFileError, AnnotationError: as the reader of the format.
    """
    names = protocol_names(dataset)
    if name not in names:
        close = get_close_matches(name.lower(), [known.lower() for known in names], n=1, cutoff=0.5)
        nearest = next((known for known in names if close and known.lower() == close[0]), None)
        other = "choose one of these" if names else "see docs/coco.md for how protocols are written"
        raise ConfigError(
            f"test protocol '{name}'",
            expected=f"one of {', '.join(names)}" if names else "a data set with test protocols",
            found=f"none of this name in {dataset.root}",
            hint=f"is it '{nearest}'?" if nearest else other,
        )
    if dataset.kind == "cuhk-sysu":  # the others need no parsing to speak of
        path = dataset.root / protocol_file(name)
        return cached_protocol(name, [path], lambda: read_protocol(path))
    return read_by_name(dataset, name)


def read_by_name(dataset: PersonSearchDataset, name: str) -> SearchProtocol:
    """Returns the protocol of this name, one of `protocol_names`, read from its file, never from the cache.

    Raises:
        InputFileError, AnnotationError: as the reader of the format.
    """
    if dataset.kind == "cuhk-sysu":
        return read_protocol(dataset.root / protocol_file(name))
    if dataset.kind == "prw":
        return read_prw_protocol(dataset.root, dataset)
    return read_coco_protocol(dataset.root, dataset, name)
