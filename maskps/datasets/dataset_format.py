"""What a format of data sets provides: how it is recognised, read, written and checked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from maskps.datasets.checks.tables import RawScenes
from maskps.datasets.cuhk_sysu.layout import SYNTHETIC_RECORD
from maskps.findings import Finding
from maskps.protocols.protocol import SearchProtocol
from maskps.structures import PersonSearchDataset
from maskps_manifest.counts import Counts

CUT_RECORD = "cut.json"
"""`maskps-data cut` writes it beside a part of a data set."""

MADE_RECORDS = (SYNTHETIC_RECORD, CUT_RECORD)
"""Records of data sets that are not the published one, whatever their names; `convert` copies them."""


def is_made(root: Path) -> bool:
    """Whether a record says that this data set is not the published one: synthetic, or a part."""
    return any((root / record).exists() for record in MADE_RECORDS)


@dataclass(frozen=True)
class Checked:
    """What the checks of a format return.

    Attributes:
        findings: everything that is wrong or odd in the annotation.
        scenes: the scenes, for the checks of the images. If None, `verify` takes them from the reader.
        names: those of scenes that some file has, if the scenes cannot be read.
    """

    findings: list[Finding]
    scenes: RawScenes | None = None
    names: Collection[str] = ()


@dataclass(frozen=True)
class Written:
    """What a writer wrote.

    Attributes:
        protocols: the name of each protocol that it wrote, and its name in the new data set.
        remarks: what the user should know or do.
    """

    protocols: dict[str, str]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Published:
    """The published data set of a format, by which a copy of it is recognised.

    Attributes:
        name: its name, e.g. "PRW".
        train, test: its counts.
        train_identities: number of training identities.
        test_identities: number of test identities, None if it was not published.
        names: returns the published names of all scenes; None if they were not published.
        terms: on which terms it may be used.
    """

    name: str
    train: Counts
    test: Counts
    train_identities: int
    test_identities: int | None = None
    names: Callable[[], Set[str]] | None = None
    terms: str = ""

    @property
    def weight_terms(self) -> str:
        """What the users of weights that were trained on it should know."""
        return f"trained on {self.name}: {self.terms}"


def _no_protocols(root: Path) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class DatasetFormat:
    """A format in which data sets lie on disk. docs/extend/dataset.md shows how to add one.

    Attributes:
        kind: its short name: `PersonSearchDataset.kind`, and the value of `convert --to`.
        name: its name in messages.
        main_file: the file below the root that users know the format by, for messages.
        image_dir: the folder of images of a written data set, below the root.
        is_there: whether `read` can be tried on this folder.
        is_part: whether this path holds some file of the format, for `verify`: the main file may be missing.
        files: returns all files that `read` reads, always in the same order; the cache watches them.
        read: returns the data set in this folder. Raises InputFileError or AnnotationError.
        check: returns the findings on the data set at this path. It never raises.
        write: writes (root, data set, protocols by name); None if the format cannot be written. Raises
            AnnotationError for anything that the format cannot hold.
        protocol_names: returns the names of the test protocols below a root.
        read_protocol: returns the protocol of a data set with one of these names.
        protocol_file: returns the file of a protocol that takes long to read; the cache then keeps it.
        find_images: returns the data set with the folders of images that are there now, if that is not always
            `image_dir`; called on every opening.
        published: the published data set of this format.
    """

    kind: str
    name: str
    main_file: Path
    image_dir: Path
    is_there: Callable[[Path], bool]
    is_part: Callable[[Path], bool]
    files: Callable[[Path], Sequence[Path]]
    read: Callable[[Path], PersonSearchDataset]
    check: Callable[[Path], Checked]
    write: Callable[[Path, PersonSearchDataset, Mapping[str, SearchProtocol]], Written] | None = None
    protocol_names: Callable[[Path], tuple[str, ...]] = _no_protocols
    read_protocol: Callable[[PersonSearchDataset, str], SearchProtocol] | None = None
    protocol_file: Callable[[Path, str], Path] | None = None
    find_images: Callable[[PersonSearchDataset], PersonSearchDataset] | None = None
    published: Published | None = None
