"""The test protocols of a data set by name, whatever its format."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path

from maskps.datasets.formats import FORMATS
from maskps.datasets.open import open_dataset
from maskps.datasets.parsed import cached_protocol
from maskps.errors import ConfigError
from maskps.protocols.protocol import SearchProtocol, read_protocol
from maskps.protocols.sets import WHOLE_TEST_SET
from maskps.protocols.summary import ProtocolSummary, describe_protocol
from maskps.structures import PersonSearchDataset

_SIZED = re.compile(r"TestG(\d+)")


def protocol_names(dataset: PersonSearchDataset) -> tuple[str, ...]:
    """Returns the names of the data set's protocols.

    CUHK-SYSU: "TestG50" ... "TestG4000", "Occlusion", "Resolution", if their files are there.
    PRW: "all", if its query_info.txt is there. COCO: those of its protocols.npz, and "all" if PRW's
    query_info.txt lies beside the two files.

    Raises:
        InputFileError: a protocols.npz that cannot be read.
    """
    return FORMATS[dataset.kind].protocol_names(dataset.root)


def protocol_of_size(dataset: PersonSearchDataset, gallery_size: int | None = None) -> str:
    """Returns the name of the protocol with galleries of this size; without one, of the usual protocol.

    That is "all" if the data set has it (each gallery is all test scenes), else TestG100, else its only one.

    Raises:
        ConfigError: no size, and the data set has no protocol, or several of which none is the usual one.
    """
    if gallery_size is not None:
        return f"TestG{gallery_size}"
    names = protocol_names(dataset)
    usual = [name for name in (WHOLE_TEST_SET, "TestG100") if name in names]
    if usual or len(names) == 1:
        return (*usual, *names)[0]
    raise ConfigError(
        "test protocol",
        expected=f"one of {', '.join(names)}" if names else "a data set with test protocols",
        found=f"{'no default (all, TestG100) among them' if names else 'none'} in {dataset.root}",
        hint=_hint("TestG100", names),
    )


def open_protocol(dataset: PersonSearchDataset, name: str) -> SearchProtocol:
    """Returns the protocol of this name, from the cache if that saves time.

    Raises:
        ConfigError: the data set has no protocol of this name.
        InputFileError, AnnotationError: as the reader of the format.
    """
    names = protocol_names(dataset)
    if name not in names:
        raise ConfigError(
            f"test protocol '{name}'",
            expected=f"one of {', '.join(names)}" if names else "a data set with test protocols",
            found=f"none of this name in {dataset.root}",
            hint=_hint(name, names),
        )
    protocol_file = FORMATS[dataset.kind].protocol_file
    if protocol_file is None:
        return read_by_name(dataset, name)
    return cached_protocol(name, [protocol_file(dataset.root, name)], lambda: read_by_name(dataset, name))


def protocol_summaries(path: Path) -> dict[str, ProtocolSummary]:
    """Returns the counts and anomalies of a protocol file, or of all protocols of a data set, by name.

    Args:
        path: a file such as TestG100.mat, or the folder of a data set.

    Raises:
        ConfigError: a data set without protocols.
        InputFileError, AnnotationError: as `open_dataset`, `open_protocol` and `read_protocol`.
    """
    if not path.is_dir():
        return {path.stem: describe_protocol(read_protocol(path))}
    dataset = open_dataset(path)
    names = protocol_names(dataset) or (protocol_of_size(dataset),)  # an error: no protocol
    return {name: describe_protocol(open_protocol(dataset, name)) for name in names}


def read_by_name(dataset: PersonSearchDataset, name: str) -> SearchProtocol:
    """Returns the protocol of this name, one of `protocol_names`, read from its file, never from the cache.

    Raises:
        InputFileError, AnnotationError: as the reader of the format.
    """
    read = FORMATS[dataset.kind].read_protocol
    assert read is not None, f"{dataset.kind} has names of protocols, but no reader"
    return read(dataset, name)


def _hint(name: str, names: tuple[str, ...]) -> str:
    if not names:
        return "add the files of its protocols, or write your own: docs/coco.md shows how"
    sizes = [match.group(1) for known in names if (match := _SIZED.fullmatch(known))]
    if _SIZED.fullmatch(name) and sizes:
        options = "--gallery-size, in training --set eval_gallery_size"
        return f"choose a gallery size that the data set has: {', '.join(sizes)} ({options})"
    close = get_close_matches(name.lower(), [known.lower() for known in names], n=1, cutoff=0.5)
    nearest = next((known for known in names if close and known.lower() == close[0]), None)
    return f"is it '{nearest}'?" if nearest else "choose one of these (--subset NAME)"
