"""Writes a data set in another format, reads it back, and keeps it only if nothing was lost.

Each `format.py`, and docs/coco.md, say what a format cannot hold. Missing image sizes are no loss,
because the images have them. Neither is another order of the training scenes. But a mask subset is drawn in
that order: draw it from the data set that you use it with.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from maskps.datasets.compare import compare_datasets, compare_protocols
from maskps.datasets.formats import FORMATS
from maskps.datasets.protocols import open_protocol, protocol_names, read_by_name
from maskps.errors import AnnotationError, ConfigError, InputFileError
from maskps.io.files import write_errors_explained, write_json
from maskps.io.folders import folder_written_atomically
from maskps.protocols.protocol import SearchProtocol
from maskps.structures import PersonSearchDataset

RECORD = "convert.json"
FORMAT = "maskps-convert"
VERSION = 1


@dataclass(frozen=True)
class ConvertSummary:
    """What was written: the content of `convert.json`.

    Attributes:
        source: kind of the data set that was read.
        kind: kind of the data set that was written.
        fingerprint: of the new data set.
        train_images, train_persons, test_images, test_persons: counts.
        protocols: name of each protocol of the source, and its name in the new data set.
        remarks: what is ordered or numbered differently.
        losses: what the format does not hold; only with `allow_loss`.
        image_dir: the folder for the images of the new data set, below its root.
    """

    source: str
    kind: str
    fingerprint: str
    train_images: int
    train_persons: int
    test_images: int
    test_persons: int
    protocols: dict[str, str]
    remarks: tuple[str, ...]
    losses: tuple[str, ...]
    image_dir: str

    def to_dict(self) -> dict[str, object]:
        """Returns all fields by name."""
        return asdict(self)

    def summary(self) -> str:
        """Returns a human-readable line."""
        protocols = ", ".join(self.protocols.values()) or "none"
        return (
            f"{self.train_images:,} training images with {self.train_persons:,} persons, "
            f"{self.test_images:,} test images with {self.test_persons:,}; protocols: {protocols}"
        )


def target_kinds() -> list[str]:
    """Returns the kinds of data sets that can be written."""
    return [kind for kind, one in FORMATS.items() if one.write is not None]


def convert(
    dataset: PersonSearchDataset,
    to: str,
    out: Path,
    *,
    force: bool = False,
    allow_loss: bool = False,
    images: Literal["link", "copy"] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ConvertSummary:
    """Writes the annotation of a data set in another format, atomically.

    The result is read again and compared with the source: names, boxes, identities, hard marks, cameras,
    sizes and protocols.

    Args:
        to: the kind to write, one of `target_kinds`; may be the one that the data set has.
        out: the new data set's root.
        force: replace a data set that this function made.
        allow_loss: keep the result even if the format does not hold everything; `losses` lists the rest.
        images: "link" makes the folder of images a link to the source's; "copy" copies the images of all
            scenes; by default no images are written.
        progress: called with (images copied, images in all).

    Raises:
        AnnotationError: something that the format cannot hold.
        ConfigError: an unknown format, or `out` is the data set itself.
        InputFileError: an image to copy, or the folder to link, is missing; or a protocol cannot be read.
        OutputError, OutputExistsError: as `folder_written_atomically`.
    """
    write = FORMATS[to].write if to in FORMATS else None
    if write is None:
        kinds = ", ".join(target_kinds())
        raise ConfigError("format", expected=f"one of {kinds}", found=f"'{to}'", hint="choose one of these")
    root, target = dataset.root.resolve(), out.resolve()
    if target == root or target in root.parents:
        raise ConfigError(
            out,
            expected="a folder of its own for the new data set",
            found="the data set to convert",
            hint="choose another folder for the result",
        )
    protocols = {name: open_protocol(dataset, name) for name in protocol_names(dataset)}
    with folder_written_atomically(out, record=RECORD, force=force) as folder:
        written = write(folder, dataset, protocols)
        again = FORMATS[to].read(folder)
        found = compare_datasets(dataset, again)
        losses = [*found.losses, *_protocol_losses(protocols, written.protocols, again)]
        if losses and not allow_loss:
            raise AnnotationError(
                f"{dataset.root} as {to}",
                expected="a format that holds everything",
                found="what would be lost: " + "; ".join(losses),
                hint="convert to coco, which holds everything, or leave it out with --allow-loss",
            )
        image_dir = FORMATS[to].image_dir
        with write_errors_explained(folder / image_dir):
            if images == "link":
                _link_images(dataset, folder / image_dir)
            elif images == "copy":
                _copy_images(dataset, folder / image_dir, progress)
        summary = ConvertSummary(
            source=dataset.kind,
            kind=to,
            fingerprint=again.fingerprint,
            train_images=len(again.train),
            train_persons=again.train.num_persons,
            test_images=len(again.test),
            test_persons=again.test.num_persons,
            protocols=written.protocols,
            remarks=(*found.remarks, *written.remarks),
            losses=tuple(losses),
            image_dir=image_dir.as_posix(),
        )
        write_json(folder / RECORD, {"format": FORMAT, "version": VERSION, **summary.to_dict()})
    return summary


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
    if not dataset.image_dir.is_dir():
        raise InputFileError(
            dataset.image_dir,
            expected="the folder of images",
            found="no such folder",
            hint="convert without --images, and add the images later",
        )
    image_dir.parent.mkdir(parents=True, exist_ok=True)
    image_dir.symlink_to(dataset.image_dir.resolve(), target_is_directory=True)


def _copy_images(
    dataset: PersonSearchDataset, image_dir: Path, progress: Callable[[int, int], None] | None
) -> None:
    names = [*dataset.train.names.tolist(), *dataset.test.names.tolist()]
    outside = [name for name in names if name.startswith("/") or ".." in PurePosixPath(name).parts]
    if outside:
        raise AnnotationError(
            f"image '{outside[0]}'",
            expected="images below one folder",
            found="a name that leads out of it",
            hint="link the images instead of copying them",
        )
    missing = [name for name in names if not dataset.image_path(name).is_file()]
    if missing:
        raise InputFileError(
            dataset.image_path(missing[0]),
            expected="an image of the data set",
            found=f"no such file, as for {len(missing):,} of {len(names):,} images",
            hint="complete the images, or convert without --images",
        )
    for done, name in enumerate(names, start=1):
        (image_dir / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(dataset.image_path(name), image_dir / name)
        if progress is not None:
            progress(done, len(names))
