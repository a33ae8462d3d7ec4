"""What `convert` and `cut` share: a data set is written below another folder, read again and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from maskps.datasets.compare import compare_datasets, compare_protocols
from maskps.datasets.dataset_format import MADE_RECORDS
from maskps.datasets.formats import FORMATS
from maskps.datasets.protocols import read_by_name
from maskps.errors import ConfigError, InputFileError
from maskps.io.files import explained_reading, read_bytes, write_errors_explained
from maskps.protocols.protocol import SearchProtocol
from maskps.structures import PersonSearchDataset

ImageCopies = Literal["link", "copy"] | None
"""How a new data set gets its images: a link to their folder, copies of them, or not at all."""


@dataclass(frozen=True)
class Copy:
    """A data set as it was written, and how it differs from its source.

    Attributes:
        dataset: the new data set, read again.
        protocols: name of each protocol of the source, and its name in the new data set.
        remarks: what is ordered or numbered differently.
        losses: what the format does not hold.
    """

    dataset: PersonSearchDataset
    protocols: dict[str, str]
    remarks: tuple[str, ...]
    losses: tuple[str, ...]


def target_kinds() -> list[str]:
    """Returns the kinds of data sets that can be written."""
    return [kind for kind, one in FORMATS.items() if one.write is not None]


def check_elsewhere(dataset: PersonSearchDataset, out: Path) -> None:
    """Raises ConfigError if `out` is the folder of the data set, or one that holds it."""
    root, target = dataset.root.resolve(), out.resolve()
    if target == root or target in root.parents:
        raise ConfigError(
            out,
            expected="a folder of its own for the new data set",
            found="the data set itself, or a folder that holds it",
            hint="choose another folder for the result",
        )


def write_and_compare(
    folder: Path, dataset: PersonSearchDataset, protocols: Mapping[str, SearchProtocol], to: str
) -> Copy:
    """Writes the annotation in the format `to`, reads it again and compares.

    Raises:
        AnnotationError: something that the format cannot hold.
        ConfigError: a format that is unknown or cannot be written.
    """
    write = FORMATS[to].write if to in FORMATS else None
    if write is None:
        kinds = ", ".join(target_kinds())
        raise ConfigError("format", expected=f"one of {kinds}", found=f"'{to}'", hint="choose one of these")
    written = write(folder, dataset, protocols)
    again = FORMATS[to].read(folder)
    found = compare_datasets(dataset, again)
    losses = [*found.losses, *_protocol_losses(protocols, written.protocols, again)]
    for record in MADE_RECORDS:
        if (dataset.root / record).is_file():
            _copy_file(dataset.root / record, folder / record, what="a record of maskps")
    return Copy(again, written.protocols, (*found.remarks, *written.remarks), tuple(losses))


def place_images(
    dataset: PersonSearchDataset,
    image_dir: Path,
    how: ImageCopies,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Links the folder of images to `image_dir`, or copies the images of all scenes into it.

    Args:
        progress: called with (images copied, images in all).

    Raises:
        AnnotationError, InputFileError: an image to copy, or the folder to link, is missing, or a name or a
            link leads out of the data set's folder.
    """
    if how == "link":
        _link_images(dataset, image_dir)
    elif how == "copy":
        _copy_images(dataset, image_dir, progress)


def _copy_file(source: Path, target: Path, *, what: str) -> None:
    with explained_reading(source, what=what):
        content = read_bytes(source)
    with write_errors_explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _protocol_losses(
    protocols: Mapping[str, SearchProtocol], names: Mapping[str, str], written: PersonSearchDataset
) -> list[str]:
    losses = [f"protocol {name}" for name in protocols if name not in names]
    losses += [f"the name of protocol {old}, which becomes {new}" for old, new in names.items() if old != new]
    for old, new in names.items():
        differing = compare_protocols(protocols[old], read_by_name(written, new))
        if differing:
            losses.append(f"{', '.join(differing)} of protocol {old}")
    return losses


def _link_images(dataset: PersonSearchDataset, image_dir: Path) -> None:
    if dataset.test_image_dir is not None:
        raise InputFileError(
            dataset.test_image_dir,
            expected="one folder of images",
            found=f"the images of the two splits in two folders, here and {dataset.image_dir}",
            hint="copy them with --images copy",
        )
    if not dataset.image_dir.is_dir():
        raise InputFileError(
            dataset.image_dir,
            expected="the folder of images",
            found="no such folder",
            hint="convert without --images, and add the images later",
        )
    with write_errors_explained(image_dir):
        image_dir.parent.mkdir(parents=True, exist_ok=True)
        image_dir.symlink_to(dataset.image_dir.resolve(), target_is_directory=True)


def _copy_images(
    dataset: PersonSearchDataset, image_dir: Path, progress: Callable[[int, int], None] | None
) -> None:
    names = [*dataset.train.names.tolist(), *dataset.test.names.tolist()]
    missing = [name for name in names if not dataset.image_path(name).is_file()]
    if missing:
        raise InputFileError(
            dataset.image_path(missing[0]),
            expected="an image of the data set",
            found=f"no such file, as for {len(missing):,} of {len(names):,} images",
            hint="complete the images, or convert without --images",
        )
    for done, name in enumerate(names, start=1):
        _copy_file(dataset.image_path(name), image_dir / name, what="an image of the data set")
        if progress is not None:
            progress(done, len(names))
